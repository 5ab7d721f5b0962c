"""`SegEarthOV3Segmentor`: a `Segmenter` where mmseg expects a model.

The images are those the data pipeline has loaded; nothing is read again and nothing is scaled or padded here, so images
of one batch may differ in size. The network's own scaling is the only one; it happens on the network's device.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from mmengine.device import get_device
from mmengine.registry import MODEL_WRAPPERS
from mmengine.structures import PixelData
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from ..checkpoints import PATH_VARIABLE, load_sam3
from ..checkpoints.load import compute_dtype, open_checkpoint
from ..checkpoints.manage import checkpoint_hash
from ..engine.scores import FusionSettings, Presence, labels_from_scores
from ..errors import OptionError
from ..refiners import RefinerSpec, build_refiners
from ..sam3.model import Sam3
from ..segmenter import Segmenter
from ..vocabulary import Vocabulary, require_several_classes
from .preprocessor import SegEarthOV3DataPreprocessor


class Network(NamedTuple):
    """A network and which weights it has.

    Attributes:
        model: In evaluation mode.
        checkpoint: Name of the file or folder, without the folders above.
        sha256: Of its content, shortened.
    """

    model: Sam3
    checkpoint: str
    sha256: str


def load_network(checkpoint: str | Path | None, device: str | None = None, dtype: str = "float32") -> Network:
    """Load a network once for several segmentors; arguments and errors are those of `SegEarthOV3Segmentor`."""
    model = load_sam3(checkpoint, device=device or get_device(), dtype=compute_dtype(dtype))
    name = Path(checkpoint or os.environ[PATH_VARIABLE]).name
    return Network(model, name, checkpoint_hash(open_checkpoint(checkpoint).path))


@MODELS.register_module()
class SegEarthOV3Segmentor(BaseSegmentor):
    """Training-free open-vocabulary segmentation as an mmseg model, for prediction only.

    Args:
        vocabulary: Path of a file with one class per line, or the lines themselves (["background", "building,house"]).
        checkpoint: SAM 3 weights; None means the environment variable SEGEARTH_OV3_CHECKPOINT.
        background: Class of pixels where nothing is confident; None gives every pixel its best class.
        refiners: What refines the tokens, in order: [dict(type="smoothing", weight=0.2, at="memory")].
        prob_threshold, confidence_threshold, use_semantic, use_instance, presence, window, stride, prompt_chunk: As in
            `Segmenter`.
        use_presence: Removed, use `presence`.
        device: Where the network runs ("cpu", "cuda:1"); None means the accelerator if there is one.
        dtype: Of the network: "float32", "bfloat16" or "float16".
        keep_scores: Also return the class scores, as `seg_logits`, which is mmseg's name for them; takes more time
            and memory.
        data_preprocessor: The preprocessor or its configuration; None means `SegEarthOV3DataPreprocessor()`.
        network: A loaded network, which takes the place of `checkpoint`, `device` and `dtype`.

    Raises:
        OptionError: A setting is not admissible.
        VocabularyError: The vocabulary cannot be used, or has one class only and `keep_scores` is off.
        CheckpointError: The weights cannot be used.
    """

    def __init__(
        self,
        vocabulary: str | Path | Sequence[str],
        checkpoint: str | Path | None = None,
        *,
        refiners: Sequence[RefinerSpec] = (),
        background: int | None = 0,
        prob_threshold: float = 0.0,
        confidence_threshold: float = 0.5,
        use_semantic: bool = True,
        use_instance: bool = True,
        presence: Presence = "full",
        use_presence: object = None,
        window: int | None = None,
        stride: int | None = None,
        prompt_chunk: int | None = None,
        device: str | None = None,
        dtype: str = "float32",
        keep_scores: bool = False,
        data_preprocessor: dict[str, Any] | nn.Module | None = None,
        network: Network | None = None,
    ) -> None:
        super().__init__(data_preprocessor=data_preprocessor or SegEarthOV3DataPreprocessor())
        # before the weights, which take long to load
        FusionSettings(prob_threshold, confidence_threshold, use_semantic, use_instance, presence, use_presence)
        if not isinstance(keep_scores, bool):
            raise OptionError(f"expected keep_scores as True or False, got {keep_scores!r}")
        _check_integers(background=background, window=window, stride=stride, prompt_chunk=prompt_chunk)
        words = read_vocabulary(vocabulary, background)
        if not keep_scores:
            require_several_classes(words.classes)
        refiners = build_refiners(refiners)
        self.network = network or load_network(checkpoint, device, dtype)
        # not an nn.Module: mmengine moves and wraps the modules of a model, and the network is where it should be
        self.segmenter = Segmenter(
            self.network.model,
            words,
            refiners=refiners,
            prob_threshold=prob_threshold,
            confidence_threshold=confidence_threshold,
            use_semantic=use_semantic,
            use_instance=use_instance,
            presence=presence,
            window=window,
            stride=stride,
            prompt_chunk=prompt_chunk,
        )
        self.prob_threshold = prob_threshold
        self.keep_scores = keep_scores

    def describe(self) -> dict[str, Any]:
        """Everything the predictions depend on besides the images, in plain JSON types."""
        weights = {"checkpoint": self.network.checkpoint, "checkpoint_sha256": self.network.sha256}
        return {**self.segmenter.describe(), **weights}

    def predict(
        self, inputs: Sequence[Tensor], data_samples: Sequence[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Segment a batch of images; those of one size go through the network together, unless they need windows.

        Args:
            inputs: RGB images (3, H0, W0), uint8; sizes may differ.
            data_samples: One per image, with what the pipeline knows of it; new ones are made if left out.

        Returns:
            The data samples with `pred_sem_seg` (1, H0, W0) int64, `seg_logits` (C, H0, W0) if `keep_scores`, and the
            meta value `predict_seconds`.

        Raises:
            OptionError: The pipeline has scaled, padded or flipped an image.
        """
        samples = [SegDataSample() for _ in inputs] if data_samples is None else list(data_samples)
        groups: dict[torch.Size, list[tuple[Tensor, SegDataSample]]] = {}
        for image, sample in zip(inputs, samples, strict=True):
            _check_untouched(image, sample)
            groups.setdefault(image.shape, []).append((image, sample))
        for group in groups.values():
            self._predict_group(*zip(*group))
        return samples

    def _predict_group(self, images: Sequence[Tensor], samples: Sequence[SegDataSample]) -> None:
        """Put labels, and scores if wanted, of images (3, H0, W0) of one size into their data samples."""
        start = time.perf_counter()
        labels, scores = self._segment([image.permute(1, 2, 0) for image in images])
        labels[-1][0, 0].item()  # waits until an accelerator is done
        seconds = (time.perf_counter() - start) / len(images)
        for index, sample in enumerate(samples):
            sample.pred_sem_seg = PixelData(data=labels[index][None])
            if self.keep_scores:
                sample.seg_logits = PixelData(data=scores[index])
            sample.set_metainfo({"predict_seconds": seconds})

    def _segment(self, images: Sequence[Tensor]) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Labels (H0, W0) and, if they are kept or at hand, scores (C, H0, W0) of images (H0, W0, 3) of one size."""
        segmenter = self.segmenter
        if len(images) > 1 and (segmenter.window is None or max(images[0].shape[:2]) <= segmenter.window):
            scores = segmenter.class_scores(images)  # (B, C, H0, W0)
            background = segmenter.vocabulary.background
            return [labels_from_scores(each, self.prob_threshold, background) for each in scores], list(scores)
        if self.keep_scores:
            labels, kept = zip(*map(segmenter, images))
            return labels, kept
        return [segmenter.predict_labels(image) for image in images], ()

    def loss(self, inputs: Sequence[Tensor], data_samples: Sequence[SegDataSample]) -> NoReturn:
        """Always fails: nothing is trained."""
        raise _prediction_only("loss")

    def _forward(self, inputs: Sequence[Tensor], data_samples: Sequence[SegDataSample] | None = None) -> NoReturn:
        """Always fails: the network has no raw output of one tensor."""
        raise _prediction_only("tensor")

    def extract_feat(self, inputs: Sequence[Tensor]) -> NoReturn:
        """Always fails: features depend on the steps of `Sam3`."""
        raise _prediction_only("extract_feat")

    def encode_decode(self, inputs: Sequence[Tensor], batch_data_samples: Sequence[SegDataSample]) -> NoReturn:
        """Always fails: features depend on the steps of `Sam3`."""
        raise _prediction_only("encode_decode")


@MODEL_WRAPPERS.register_module()
class InferenceWrapper(nn.Module):
    """Holds a model in a distributed run that trains nothing.

    mmengine wraps every model of such a run, by default for the exchange of gradients, which fails where there are
    none. Each process predicts its own images; only the metrics exchange anything.

    Args:
        module: The model.
    """

    def __init__(self, module: SegEarthOV3Segmentor) -> None:
        super().__init__()
        self.module: SegEarthOV3Segmentor = module

    def test_step(self, data: dict[str, Any]) -> list[SegDataSample]:
        """Predict one batch."""
        return self.module.test_step(data)


def read_vocabulary(vocabulary: str | Path | Sequence[str], background: int | None) -> Vocabulary:
    """Make a vocabulary from the path of a file or from its lines.

    Args:
        vocabulary: Path, or one string per class.
        background: Index of the background class, or None.

    Returns:
        The vocabulary.

    Raises:
        VocabularyError: It cannot be used.
    """
    if isinstance(vocabulary, (str, Path)):
        return Vocabulary.from_file(vocabulary, background=background)
    return Vocabulary.from_lines(list(vocabulary), background=background)


def _check_untouched(image: Tensor, sample: SegDataSample) -> None:
    """Raise if the pipeline has changed the geometry of an image (3, H0, W0)."""
    original = sample.metainfo.get("ori_shape")
    if original is not None and tuple(original[:2]) != tuple(image.shape[1:]):
        raise OptionError(
            f"expected the image as loaded, {tuple(original[:2])}, got {tuple(image.shape[1:])} from the pipeline; "
            f"leave Resize and Pad out, the network scales by itself"
        )
    if sample.metainfo.get("flip"):
        raise OptionError("expected the image as loaded, got a flipped one; leave RandomFlip out of the pipeline")


def _check_integers(**values: object) -> None:
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise OptionError(f"expected {name} as a whole number or None, got {value!r}")


def _prediction_only(what: str) -> OptionError:
    return OptionError(f"SegEarthOV3Segmentor only predicts (mode='predict'), and {what!r} was asked for")
