"""An image in, a class per pixel out: the object most users need."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch import Tensor

from .engine.engine import mask_rows
from .engine.image_input import ImageInput
from .engine.memory import automatic_chunk, check_count
from .engine.predictor import Progress, VariantPredictor
from .engine.scores import FusionSettings, Presence
from .engine.variants import Variant
from .errors import OptionError, VocabularyWarning
from .refiners import RefinerSpec, build_refiners, describe_refiner
from .vocabulary import Vocabulary, require_several_classes, require_vocabulary, warn_idle_background

if TYPE_CHECKING:
    from .sam3.model import Sam3


class Segmentation(NamedTuple):
    """Result for one image, on the model's device.

    Attributes:
        labels: Class of each pixel (H0, W0), int64.
        scores: Score of each class (C, H0, W0), float32, 0 to 1.
    """

    labels: Tensor
    scores: Tensor


class Segmenter:
    """Labels the pixels of images with the classes of a vocabulary.

    Images with a side longer than `window` are predicted in overlapping windows. Each window is an image of its own,
    with its own presence; where windows overlap, the scores of each prompt are averaged with equal weight before
    synonyms are joined, as in the published evaluation.

    Args:
        model: The network, in evaluation mode.
        vocabulary: The classes, and which of them is the background.
        refiners: What refines the tokens, in this order: refiners, dicts ({"type": "smoothing", "weight": 0.2, "at":
            "memory"}) or texts ("smoothing:weight=0.2,at=memory"); see `refiners.REFINERS`.
        prob_threshold: Pixels whose best class score is below it become background, 0 to 1; 0 means none do.
        confidence_threshold: Objects whose score does not exceed it are left out, 0 to 1.
        use_semantic, use_instance: Heads of the network that count, see `engine.scores`.
        presence: Where the presence of a prompt in the image counts: "full" (published), "gate_only" (the published
            switch: not in the last product) or "off" (nowhere).
        use_presence: Removed, use `presence`.
        window: Side of the windows in pixels; None predicts every image as a whole.
        stride: Step from window to window in pixels, 1 to `window`; None means `window`, so that only the windows
            moved back at the borders overlap.
        prompt_chunk: Prompts that go through the network together; more need more memory. None chooses by the memory
            that is free. Results differ by rounding only.
        window_batch: Windows of an image that go through the network together; more suit a large GPU. None: 1 on a
            CPU, 4 elsewhere. Results differ by rounding only.
        compile: Compile the network, which takes minutes at the first image and makes later ones faster on a GPU. The
            model stays compiled. Vocabularies of fewer prompts than `prompt_chunk` take as long as one of so many.

    Raises:
        OptionError: A value is not admissible, or `model` is no network.
        VocabularyError: `vocabulary` is no vocabulary, or two prompts are the same to the network.
        UnknownNameError: There is no such refiner.
        CheckpointError: A refiner's weights cannot be had.

    Warns:
        VocabularyWarning: A class "background" without a threshold, or a prompt that is too long.

    Example:
        >>> vocabulary = Vocabulary.from_text("background; building,house; road")
        >>> segmenter = Segmenter(load_sam3("sam3.pt"), vocabulary, prob_threshold=0.3)
        >>> labels, scores = segmenter(image)
    """

    def __init__(
        self,
        model: Sam3,
        vocabulary: Vocabulary,
        *,
        refiners: Iterable[RefinerSpec] = (),
        prob_threshold: float = 0.0,
        confidence_threshold: float = 0.5,
        use_semantic: bool = True,
        use_instance: bool = True,
        presence: Presence = "full",
        use_presence: object = None,
        window: int | None = None,
        stride: int | None = None,
        prompt_chunk: int | None = None,
        window_batch: int | None = None,
        compile: bool = False,
    ) -> None:
        require_vocabulary(vocabulary)
        if not callable(getattr(model, "encode_trunk", None)):
            raise OptionError(f'expected the network, got {model!r}; pass load_sam3(PATH), or load_sam3("demo") to try')
        if compile:
            prompt_chunk = prompt_chunk or automatic_chunk(model)
            check_count("prompt_chunk", prompt_chunk)
            model.compile_steps(prompt_chunk, mask_rows(model))
        self.model = model
        self.vocabulary = vocabulary
        self.settings = FusionSettings(
            prob_threshold, confidence_threshold, use_semantic, use_instance, presence, use_presence
        )
        warn_idle_background(vocabulary, prob_threshold)
        self.refiners = build_refiners(refiners)
        self.window = window
        self.stride = window if stride is None else stride
        self.prompt_chunk = prompt_chunk
        self.window_batch = window_batch
        self.compile = compile
        self._predictor = VariantPredictor(
            model,
            vocabulary,
            [Variant(self.settings, self.refiners)],
            window=window,
            stride=stride,
            prompt_chunk=prompt_chunk,
            window_batch=window_batch,
        )

    @property
    def prob_threshold(self) -> float:
        """Pixels whose best class score is below it become background."""
        return self.settings.prob_threshold

    @property
    def background(self) -> int | None:
        """Class of such pixels; None gives every pixel its best class."""
        return self.vocabulary.background

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the C classes, in label order."""
        return self.vocabulary.class_names

    @property
    def input_size(self) -> int:
        """Side of the network's input in pixels: images of this size are not resampled."""
        return self.model.config.image_size

    def __call__(self, image: ImageInput, progress: Progress | None = None) -> Segmentation:
        """Segment one image; all scores are exact.

        Args:
            image: RGB (H0, W0, 3), uint8, an array or tensor, or a PIL image (grey and palette images are converted).
            progress: Called after each window with the windows done and their total.

        Returns:
            Labels and class scores.

        Raises:
            ShapeError: Not (H0, W0, 3), or without pixels.
            OptionError: Neither an array or tensor of uint8 nor a PIL image of 8 bits.
            ScoreError: Scores are not finite: float16 overflows, or the weights are damaged.
        """
        if len(self.vocabulary) == 1:
            warnings.warn("there is one class, so that all labels are 0; only scores differ", VocabularyWarning, 2)
        (scores,) = self._predictor.class_scores(image, progress)
        return Segmentation(self._predictor.labels_of(scores), scores)

    def predict_labels(self, image: ImageInput, progress: Progress | None = None) -> Tensor:
        """Label one image, without its scores: the labels of `__call__`, up to rounding, in less time.

        Where the image is one window and pixels below `prob_threshold` become background, the mask heads of prompts
        that cannot reach the threshold are skipped.

        Args:
            image: As in `__call__`.
            progress: As in `__call__`.

        Returns:
            (H0, W0), int64, on the model's device.

        Raises:
            VocabularyError: There is one class only, so that all labels would be 0.
            ShapeError: As in `__call__`.
            OptionError: As in `__call__`.
            ScoreError: As in `__call__`.
        """
        require_several_classes(self.vocabulary.classes)
        (labels,) = self._predictor.labels(image, progress)
        return labels

    def class_scores(self, images: Sequence[ImageInput] | np.ndarray | Tensor) -> Tensor:
        """Score every class at every pixel of images of equal size, each predicted as one whole window.

        The images go through the network together. Where memory runs out, they go through it in smaller batches, then
        in batches of one with fewer prompts at a time; what has proved too large is not tried again.

        Args:
            images: B images (H0, W0, 3), RGB, uint8, or PIL images, in a sequence, or an array or tensor
                (B, H0, W0, 3). More at once suit a large GPU and need more memory.

        Returns:
            (B, C, H0, W0), float32, 0 to 1, on the model's device; each image as `__call__` would score it alone
            without windows, up to rounding.

        Raises:
            ShapeError: There is no image, one is not (H0, W0, 3) or has no pixels, or sizes differ.
            OptionError: Neither arrays or tensors of uint8 nor PIL images of 8 bits.
            ScoreError: As in `__call__`.

        Warns:
            LowMemoryWarning: Memory ran out for the first time.
        """
        return self._predictor.window_scores(images)[:, 0]

    def describe(self) -> dict[str, Any]:
        """Return everything the result depends on besides the image, in plain JSON types.

        The digest of the weights is computed at each call, which takes seconds at full size.
        """
        return {
            "classes": [list(synonyms) for synonyms in self.vocabulary.classes],
            "background": self.vocabulary.background,
            **dataclasses.asdict(self.settings),
            "window": self.window,
            "stride": self.stride,
            "refiners": [describe_refiner(refiner) for refiner in self.refiners],
            "prompt_chunk": self.prompt_chunk,
            "compile": self.compile,
            "window_batch": self.window_batch,
            "device": str(self.model.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "model": self.model.config.to_dict(),
            "checkpoint": self.model.checkpoint_name,
            "weights_sha256": self.model.weights_digest(),
        }
