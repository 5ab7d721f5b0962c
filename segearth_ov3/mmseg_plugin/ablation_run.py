"""One pass of many variants over the dataset of a configuration."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.datasets import BaseSegDataset
from mmseg.registry import MODELS
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from ..datasets import SPECS
from ..engine.engine import MemoryView
from ..engine.observer import TokenObserver
from ..engine.predictor import VariantPredictor
from ..engine.scores import FusionSettings
from ..engine.variants import VariantClock
from .ablation import NamedVariant, read_variants
from .datasets import build_dataset
from .metrics import image_confusion
from .records import ImageRecord, PixelCounts, RecordFile, image_name, image_names
from .segmentor import SegEarthOV3Segmentor


class AblationRun:
    """Measures variants image by image; each comes out as `tools/test.py` would give it alone.

    Args:
        config: The configuration; refiners of its model are left out, as the baseline has none.
        variants: File of variants, see `ablation`.
        diagnostics: Also measure the tokens without labels.

    Raises:
        SegEarthError: A variant, the data or the weights cannot be used.
    """

    def __init__(self, config: Config, variants: str | Path, *, diagnostics: bool = False) -> None:
        self.config = config
        model = {key: value for key, value in config.model.items() if key != "refiners"}
        fields = [field.name for field in dataclasses.fields(FusionSettings)]
        settings = FusionSettings(**{name: model[name] for name in fields if name in model})
        self.variants: list[NamedVariant] = read_variants(variants, settings)
        self.dataset: BaseSegDataset = build_dataset(
            config.test_dataloader.dataset, SPECS.get(config.get("dataset_name", ""))
        )
        self.segmentor: SegEarthOV3Segmentor = MODELS.build(model)
        network = self.segmentor.segmenter.model
        self._observer = _TimedObserver(TokenObserver(network, len(self.variants), settings)) if diagnostics else None
        self.predictor = self._predictor(self.variants, self._observer)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in label order."""
        return list(self.dataset.metainfo["classes"])

    @property
    def data(self) -> dict[str, Any]:
        """The dataset's section of the configuration, in plain JSON types."""
        return dict(self.config.test_dataloader.dataset.to_dict())

    def names(self) -> list[str]:
        """Names of all images below the dataset's folder, in order."""
        return image_names(self.dataset)

    def open_records(self, path: Path) -> RecordFile:
        """The record file of this run, with what an interrupted one has left.

        Raises:
            OptionError: It holds another run.
        """
        subject = {
            "configuration": self.segmentor.describe(),
            "data": self.data,
            "variants": [named.describe() for named in self.variants],
            "diagnostics": self._observer is not None,
        }
        return RecordFile(path, subject, len(self.classes))

    def measure(self, names: set[str]) -> Iterator[ImageRecord]:
        """Measure the images of the names given; the first one's time is that of a cold start, and left out."""
        for number, (image, sample) in enumerate(self._load(names)):
            record = self._measure_one(image, sample)
            if number == 0:
                record = record._replace(seconds=[None] * len(self.variants), total_seconds=None)
            yield record

    def compare(self, names: set[str], variant: int) -> Iterator[tuple[str, list[tuple[str, np.ndarray]]]]:
        """Predict some images once more, by the baseline and one variant.

        Yields:
            Name of an image, and titles with contents for `geo.overlay.render_panels`: image, label, both predictions.
        """
        pair = [self.variants[0], self.variants[variant]]
        predictor = self._predictor(pair, None)
        for image, sample in self._load(names):
            panels = [
                ("image", image.cpu().numpy()),
                ("label", sample["gt_sem_seg"]["data"].squeeze(0).cpu().numpy()),
                *((named.name, labels) for named, labels in zip(pair, predictor.labels(image).cpu().numpy())),
            ]
            yield image_name(self.dataset, sample["img_path"]), panels

    def _predictor(self, variants: Sequence[NamedVariant], observer: _TimedObserver | None) -> VariantPredictor:
        segmenter = self.segmentor.segmenter
        return VariantPredictor(
            segmenter.model,
            segmenter.vocabulary,
            [named.variant for named in variants],
            window=segmenter.window,
            stride=segmenter.stride,
            prompt_chunk=segmenter.prompt_chunk,
            observe=observer,
        )

    def _load(self, names: set[str]) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        """Images (H0, W0, 3) and what the pipeline knows of them, in the order of the dataset."""
        wanted = [index for index, name in enumerate(self.names()) if name in names]
        workers = self.config.test_dataloader.get("num_workers", 0)
        loader = DataLoader(Subset(self.dataset, wanted), batch_size=1, num_workers=workers, collate_fn=pseudo_collate)
        for batch in loader:
            data = self.segmentor.data_preprocessor(batch)
            for image, sample in zip(data["inputs"], data["data_samples"]):
                yield image.permute(1, 2, 0), sample.to_dict()

    def _measure_one(self, image: Tensor, sample: dict[str, Any]) -> ImageRecord:
        """Predict one image by all variants and count."""
        clock = VariantClock(len(self.variants), self.predictor.model.device)
        aside = self._observer.seconds if self._observer else 0.0
        start = time.perf_counter()
        labels = self.predictor.labels(image, clock=clock).cpu().numpy()  # (K, H0, W0)
        total = time.perf_counter() - start
        diagnostics = None
        if self._observer:
            total -= self._observer.seconds - aside
            diagnostics = np.array([[float(x) for x in numbers] for numbers in self._observer.inner.take()])
        counts = tuple(PixelCounts.of(image_confusion(sample, each, len(self.classes))) for each in labels)
        name = image_name(self.dataset, sample["img_path"])
        return ImageRecord(name, counts, list(clock.seconds), total, diagnostics)


class _TimedObserver:
    """A token observer that knows how long it took, so that diagnostics do not count as cost of the variants."""

    def __init__(self, observer: TokenObserver) -> None:
        self.inner = observer
        self.seconds = 0.0

    def __call__(self, view: MemoryView) -> None:
        start = time.perf_counter()
        self.inner(view)
        self.seconds += time.perf_counter() - start
