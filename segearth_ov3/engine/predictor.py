"""From an image of any size to class scores of several variants: checks, windows, blending.

Images with a side longer than the window are predicted in overlapping windows. Each window is an image of its own,
with its own presence; where windows overlap, the scores of each prompt are averaged with equal weight before synonyms
are joined, as in the published evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import OptionError, ShapeError
from ..geo.tiles import Window, plan_windows
from ..refiners.base import HasWeights
from ..sam3.preprocess import preprocess
from ..vocabulary import Vocabulary
from .engine import MemoryView, PromptEngine
from .scores import fold_into_classes, labels_from_scores
from .text_cache import TextCache
from .variants import Variant, VariantClock

if TYPE_CHECKING:
    from ..sam3.model import Sam3

Progress = Callable[[int, int], None]


class VariantPredictor:
    """Scores and labels images by several variants in one pass.

    Args:
        model: The network, in evaluation mode.
        vocabulary: The classes, and which of them is the background.
        variants: What to compute, at least one; each comes out as if it were alone.
        window: Side of the windows in pixels; None predicts every image as a whole.
        stride: Step from window to window in pixels, 1 to `window`; None means `window`.
        prompt_chunk: Prompts that go through the network together.
        observe: See `PromptEngine`.

    Raises:
        OptionError: A value is not admissible.
        CheckpointError: A refiner's weights cannot be had.
    """

    def __init__(
        self,
        model: Sam3,
        vocabulary: Vocabulary,
        variants: Sequence[Variant],
        *,
        window: int | None = None,
        stride: int | None = None,
        prompt_chunk: int = 8,
        observe: Callable[[MemoryView], None] | None = None,
    ) -> None:
        if window is None and stride is not None:
            raise OptionError(f"stride {stride} needs a window; give window= too")
        self.model = model
        self.vocabulary = vocabulary
        self.variants = tuple(variants)
        self.window = window
        self.stride = window if stride is None else stride
        if self.window is not None and self.stride is not None:
            plan_windows((1, 1), self.window, self.stride)  # raises on bad values before any image is read
        self.prompt_chunk = prompt_chunk
        self.observe = observe
        self._texts = TextCache(model)
        self._engine(None)
        for refiner in dict.fromkeys(refiner for variant in self.variants for refiner in variant.refiners):
            if isinstance(refiner, HasWeights):
                refiner.load(model.device)

    def class_scores(
        self,
        image: np.ndarray | Tensor,
        progress: Progress | None = None,
        *,
        labels_only: bool = False,
        clock: VariantClock | None = None,
    ) -> Tensor:
        """Score every class at every pixel.

        Args:
            image: RGB (H0, W0, 3), uint8, an array or a tensor.
            progress: Called after each window with the windows done and their total.
            labels_only: See `PromptEngine.class_scores`; has no effect on images in several windows.
            clock: Measures each variant.

        Returns:
            (K, C, H0, W0) for K variants, float32, 0 to 1, on the model's device.

        Raises:
            ShapeError: Not (H0, W0, 3), or without pixels.
            OptionError: Not an array or tensor of uint8.
        """
        pixels = _as_chw(image).to(self.model.device)  # (3, H0, W0)
        height, width = pixels.shape[-2:]
        engine = self._engine(clock)
        if self.window is not None and self.stride is not None and max(height, width) > self.window:
            windows = plan_windows((height, width), self.window, self.stride)
            return self._slide(engine, pixels, windows, progress)
        scores = engine.class_scores(self._preprocess(pixels), (height, width), labels_only=labels_only)
        if progress is not None:
            progress(1, 1)
        return scores

    def labels(
        self, image: np.ndarray | Tensor, progress: Progress | None = None, *, clock: VariantClock | None = None
    ) -> Tensor:
        """Label every pixel: (K, H0, W0), int64; arguments and errors as of `class_scores`."""
        scores = self.class_scores(image, progress, labels_only=True, clock=clock)
        return torch.stack([self.labels_of(values, variant) for variant, values in enumerate(scores)])

    def labels_of(self, scores: Tensor, variant: int = 0) -> Tensor:
        """Labels (H0, W0) from the class scores (C, H0, W0) of one variant."""
        threshold = self.variants[variant].settings.prob_threshold
        return labels_from_scores(scores, threshold, self.vocabulary.background)

    def _engine(self, clock: VariantClock | None) -> PromptEngine:
        """The engine with text features that fit the model's present device and dtype."""
        return PromptEngine(
            self.model,
            self._texts.features(self.vocabulary),
            self.vocabulary,
            self.variants,
            prompt_chunk=self.prompt_chunk,
            clock=clock,
            observe=self.observe,
        )

    def _slide(self, engine: PromptEngine, pixels: Tensor, windows: list[Window], progress: Progress | None) -> Tensor:
        """Class scores (K, C, H0, W0) from the mean of the prompts' scores over all windows."""
        size = pixels.shape[-2:]
        kinds = len(self.variants)
        sums = torch.zeros((kinds, len(self.vocabulary.prompts), *size), device=pixels.device)  # (K, P, H0, W0)
        counts = torch.zeros(size, device=pixels.device)
        for done, window in enumerate(windows, start=1):
            rows, cols = window.slices
            # the presence bound stays off: a prompt below the threshold here may lift the mean with a neighbour
            inputs = self._preprocess(pixels[:, rows, cols])
            for variant, prompt, scores in engine.prompt_scores(inputs, (window.height, window.width)):
                sums[variant, prompt, rows, cols] += scores
            counts[rows, cols] += 1
            if progress is not None:
                progress(done, len(windows))
        class_scores = torch.zeros((kinds, len(self.vocabulary), *size), device=pixels.device)
        for scores, means in zip(class_scores, sums.div_(counts)):
            fold_into_classes(scores, enumerate(means), self.vocabulary.class_index)
        return class_scores

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
