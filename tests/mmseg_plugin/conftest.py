"""Stand-ins for the network in tests of the mmseg classes."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch


class RecordingSegmenter:
    """Takes the place of `Segmenter`: the label of a pixel is its red value, and every image is kept."""

    def __init__(self, model: object, vocabulary: object, **settings: object) -> None:
        self.model, self.vocabulary, self.settings = model, vocabulary, settings
        self.window = settings["window"]
        self.images: list[torch.Tensor] = []
        self.batches: list[int] = []

    def predict_labels(self, image: torch.Tensor) -> torch.Tensor:
        self.images.append(image)
        return image[..., 0].long()

    def __call__(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        labels = self.predict_labels(image)
        return labels, torch.nn.functional.one_hot(labels, len(self.vocabulary)).permute(2, 0, 1).float()

    def class_scores(self, images: list[torch.Tensor]) -> torch.Tensor:
        self.batches.append(len(images))
        return torch.stack([self(image)[1] for image in images])

    def describe(self) -> dict[str, object]:
        return {**self.settings, "device": "cpu", "dtype": "float32"}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Make a segmentor whose network loads nothing and whose `segmenter` records what it is given.

    The arguments with which the network would have been loaded are the segmenter's `model`.
    """
    from segearth_ov3.mmseg_plugin import segmentor

    monkeypatch.setattr(segmentor, "load_sam3", lambda path, **options: (path, options))
    monkeypatch.setattr(segmentor, "open_checkpoint", lambda path: SimpleNamespace(path=path))
    monkeypatch.setattr(segmentor, "checkpoint_hash", lambda path: "0123456789abcdef")
    monkeypatch.setattr(segmentor, "Segmenter", RecordingSegmenter)

    def make(**options: object) -> object:
        return segmentor.SegEarthOV3Segmentor(**{"vocabulary": ["a", "b,c"], "checkpoint": "dir/sam3.pt", **options})

    return make
