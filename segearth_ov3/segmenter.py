"""An image in, a class per pixel out: the object most users need."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .engine.engine import PromptEngine
from .engine.scores import FusionSettings, fold_into_classes, labels_from_scores
from .engine.text_cache import TextCache
from .errors import OptionError, ShapeError
from .geo.tiles import Window, plan_windows
from .sam3.preprocess import preprocess
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from .sam3.model import Sam3

Progress = Callable[[int, int], None]


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
        prob_threshold: Pixels whose best class score is below it become background, 0 to 1; 0 means none do.
        confidence_threshold: Objects whose score does not exceed it are left out, 0 to 1.
        use_semantic, use_instance, use_presence: Parts of the score fusion, see `engine.scores`.
        window: Side of the windows in pixels; None predicts every image as a whole.
        stride: Step from window to window in pixels, 1 to `window`; None means `window`, so that only the windows
            moved back at the borders overlap.
        prompt_chunk: Prompts that go through the network together; more need more memory.

    Raises:
        OptionError: A value is not admissible.

    Example:
        >>> segmenter = Segmenter(load_sam3("sam3.pt"), Vocabulary.from_text("background; building,house; road"))
        >>> labels, scores = segmenter(image)
    """

    def __init__(
        self,
        model: Sam3,
        vocabulary: Vocabulary,
        *,
        prob_threshold: float = 0.0,
        confidence_threshold: float = 0.5,
        use_semantic: bool = True,
        use_instance: bool = True,
        use_presence: bool = True,
        window: int | None = None,
        stride: int | None = None,
        prompt_chunk: int = 8,
    ) -> None:
        self.model = model
        self.vocabulary = vocabulary
        self.settings = FusionSettings(prob_threshold, confidence_threshold, use_semantic, use_instance, use_presence)
        if window is None and stride is not None:
            raise OptionError(f"stride {stride} needs a window; give window= too")
        self.window = window
        self.stride = window if stride is None else stride
        if self.window is not None and self.stride is not None:
            plan_windows((1, 1), self.window, self.stride)  # raises on bad values before any image is read
        self.prompt_chunk = prompt_chunk
        self._texts = TextCache(model)
        self._engine()

    def __call__(self, image: np.ndarray | Tensor, progress: Progress | None = None) -> Segmentation:
        """Segment one image; all scores are exact.

        Args:
            image: RGB (H0, W0, 3), uint8, an array or a tensor.
            progress: Called after each window with the windows done and their total.

        Returns:
            Labels and class scores.

        Raises:
            ShapeError: Not (H0, W0, 3), or without pixels.
            OptionError: Not an array or tensor of uint8.
        """
        scores = self._class_scores(image, progress, labels_only=False)
        return Segmentation(self._labels(scores), scores)

    def predict_labels(self, image: np.ndarray | Tensor, progress: Progress | None = None) -> Tensor:
        """Label one image, without its scores: the labels of `__call__`, up to rounding, in less time.

        Where the image is one window and pixels below `prob_threshold` become background, the mask heads of prompts
        that cannot reach the threshold are skipped.

        Args:
            image: As in `__call__`.
            progress: As in `__call__`.

        Returns:
            (H0, W0), int64, on the model's device.

        Raises:
            ShapeError: As in `__call__`.
            OptionError: As in `__call__`.
        """
        return self._labels(self._class_scores(image, progress, labels_only=True))

    def describe(self) -> dict[str, Any]:
        """Everything the result depends on besides image and weights, in plain JSON types."""
        return {
            "classes": [list(synonyms) for synonyms in self.vocabulary.classes],
            "background": self.vocabulary.background,
            **dataclasses.asdict(self.settings),
            "window": self.window,
            "stride": self.stride,
            "prompt_chunk": self.prompt_chunk,
            "device": str(self.model.device),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "model": self.model.config.to_dict(),
        }

    def _engine(self) -> PromptEngine:
        """The engine with text features that fit the model's present device and dtype."""
        text = self._texts.features(self.vocabulary)
        return PromptEngine(self.model, text, self.vocabulary, self.settings, prompt_chunk=self.prompt_chunk)

    def _labels(self, scores: Tensor) -> Tensor:
        return labels_from_scores(scores, self.settings.prob_threshold, self.vocabulary.background)

    def _class_scores(self, image: np.ndarray | Tensor, progress: Progress | None, *, labels_only: bool) -> Tensor:
        """Class scores (C, H0, W0), from one window or many."""
        pixels = _as_chw(image).to(self.model.device)  # (3, H0, W0)
        height, width = pixels.shape[-2:]
        engine = self._engine()
        if self.window is not None and self.stride is not None and max(height, width) > self.window:
            windows = plan_windows((height, width), self.window, self.stride)
            return self._slide(engine, pixels, windows, progress)
        scores = engine.class_scores(self._preprocess(pixels), (height, width), labels_only=labels_only)
        if progress is not None:
            progress(1, 1)
        return scores

    def _slide(self, engine: PromptEngine, pixels: Tensor, windows: list[Window], progress: Progress | None) -> Tensor:
        """Class scores (C, H0, W0) from the mean of the prompts' scores over all windows."""
        size = pixels.shape[-2:]
        sums = torch.zeros((len(self.vocabulary.prompts), *size), device=pixels.device)  # (P, H0, W0)
        counts = torch.zeros(size, device=pixels.device)
        for done, window in enumerate(windows, start=1):
            rows, cols = window.slices
            # the presence bound stays off: a prompt below the threshold here may lift the mean with a neighbour
            inputs = self._preprocess(pixels[:, rows, cols])
            for prompt, scores in engine.prompt_scores(inputs, (window.height, window.width)):
                sums[prompt, rows, cols] += scores
            counts[rows, cols] += 1
            if progress is not None:
                progress(done, len(windows))
        means = sums.div_(counts)
        class_scores = torch.zeros((len(self.vocabulary), *size), device=pixels.device)
        return fold_into_classes(class_scores, enumerate(means), self.vocabulary.class_index)

    def _preprocess(self, pixels: Tensor) -> Tensor:
        device = self.model.device
        # MPS has no antialiased resize in older versions of PyTorch
        source = pixels.cpu() if device.type == "mps" else pixels
        return preprocess(source, self.model.config.image_size).to(device)


def _as_chw(image: np.ndarray | Tensor) -> Tensor:
    """Check an image (H0, W0, 3) and return it as a tensor (3, H0, W0)."""
    if not isinstance(image, (np.ndarray, Tensor)):
        raise OptionError(
            f"expected the image as an array or tensor, got {type(image).__name__}; for a PIL image pass "
            f"numpy.asarray(image.convert('RGB'))"
        )
    shape = tuple(image.shape)
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ShapeError(f"expected an RGB image (H0, W0, 3), got {shape}{_shape_hint(shape)}")
    if image.dtype not in (np.uint8, torch.uint8):
        raise OptionError(
            f"expected an 8-bit image (uint8, 0 to 255), got {image.dtype}; scale it to 0 to 255, round and convert"
        )
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(np.array(image))  # a copy: the array may be read-only or run backwards
    return image.permute(2, 0, 1).contiguous()


def _shape_hint(shape: tuple[int, ...]) -> str:
    """What to do about an image of the wrong shape."""
    if 0 in shape:
        return "; the image has no pixels"
    if len(shape) == 3 and shape[0] == 3:
        return "; channels come last: image.transpose(1, 2, 0), or image.permute(1, 2, 0) for a tensor"
    if len(shape) == 3 and shape[2] == 4:
        return "; leave the fourth band out: image[..., :3]"
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        return "; repeat the one band three times"
    if len(shape) == 4:
        return "; pass one image at a time"
    return "; choose three bands"
