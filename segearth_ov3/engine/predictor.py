"""From an image of any size to class scores of several variants: checks, windows, blending.

Images with a side longer than the window are predicted in overlapping windows. Each window is an image of its own,
with its own presence; where windows overlap, the scores of each prompt are averaged with equal weight before synonyms
are joined, as in the published evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import OptionError, ShapeError
from ..finite import check_finite
from ..geo.tiles import Window, plan_windows
from ..refiners.base import HasWeights
from ..sam3.preprocess import preprocess
from ..vocabulary import Vocabulary
from .engine import MemoryView, PromptEngine
from .image_input import ImageInput, as_chw, as_sequence
from .memory import WorkSize
from .running_mean import RunningMean
from .scores import fold_into_classes, labels_from_scores
from .text_cache import TextCache
from .variants import Variant, VariantClock

if TYPE_CHECKING:
    from ..sam3.model import Sam3

Progress = Callable[[int, int], None]

DEVICE_WINDOWS = 4


class VariantPredictor:
    """Scores and labels images by several variants in one pass.

    Args:
        model: The network, in evaluation mode.
        vocabulary: The classes, and which of them is the background.
        variants: What to compute, at least one; each comes out as if it were alone.
        window: Side of the windows in pixels; None predicts every image as a whole.
        stride: Step from window to window in pixels, 1 to `window`; None means `window`.
        prompt_chunk: Prompts that go through the network together; None chooses by the memory that is free. Results
            differ by rounding only.
        window_batch: Windows of an image that go through the network together; None: 1 on a CPU, 4 elsewhere. Results
            differ by rounding only.
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
        prompt_chunk: int | None = None,
        window_batch: int | None = None,
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
        self.window_batch = window_batch
        self.observe = observe
        self._texts = TextCache(model)
        if window_batch is None:
            window_batch = 1 if model.device.type == "cpu" else DEVICE_WINDOWS
        self._work = WorkSize(model, prompt_chunk, window_batch)
        self._engine(None)  # raises on bad values before any image is read
        for refiner in dict.fromkeys(refiner for variant in self.variants for refiner in variant.refiners):
            if isinstance(refiner, HasWeights):
                refiner.load(model.device)

    def class_scores(
        self,
        image: ImageInput,
        progress: Progress | None = None,
        *,
        labels_only: bool = False,
        clock: VariantClock | None = None,
    ) -> Tensor:
        """Score every class at every pixel of one image of any size.

        Args:
            image: RGB (H0, W0, 3), uint8, an array or tensor, or a PIL image.
            progress: Called after each window with the windows done and their total.
            labels_only: See `PromptEngine.class_scores`; has no effect on images in several windows.
            clock: Measures each variant.

        Returns:
            (K, C, H0, W0) for K variants, float32, 0 to 1, on the model's device.

        Raises:
            ShapeError: Not (H0, W0, 3), or without pixels.
            OptionError: Neither an array or tensor of uint8 nor a PIL image of 8 bits.
            ScoreError: Scores are not finite.

        Warns:
            LowMemoryWarning: Memory ran out, and the work was cut into smaller pieces; only the first time.
        """
        rows = list(self._rows_of_scores(image, progress, labels_only, clock))
        return rows[0] if len(rows) == 1 else torch.cat(rows, dim=2)

    def window_scores(self, images: Sequence[ImageInput] | np.ndarray | Tensor, *, labels_only: bool = False) -> Tensor:
        """Score every class at every pixel of images of equal size, each predicted as one whole window.

        Args:
            images: B images (H0, W0, 3), uint8, or PIL images, in a sequence, or an array or tensor (B, H0, W0, 3).
            labels_only: See `PromptEngine.class_scores`.

        Returns:
            (B, K, C, H0, W0), float32, 0 to 1, on the model's device; each image as it is alone, up to rounding.

        Raises:
            ShapeError: There is no image, one is not (H0, W0, 3) or has no pixels, or sizes differ.
            OptionError: Neither arrays or tensors of uint8 nor PIL images of 8 bits.
            ScoreError: Scores are not finite.

        Warns:
            LowMemoryWarning: As in `class_scores`.
        """
        pixels = [as_chw(image).to(self.model.device) for image in as_sequence(images)]
        sizes = sorted({tuple(each.shape[-2:]) for each in pixels})
        if len(sizes) != 1:
            raise ShapeError(f"expected one or more images of one size (H0, W0), got {sizes or 'none'}")
        return self._whole_windows(pixels, labels_only, None)

    def labels(
        self, image: ImageInput, progress: Progress | None = None, *, clock: VariantClock | None = None
    ) -> Tensor:
        """Label every pixel: (K, H0, W0), int64; arguments and errors as of `class_scores`.

        Of an image in windows, scores are held for the rows of one window only.
        """
        rows = [
            torch.stack([self.labels_of(values, variant) for variant, values in enumerate(scores)])
            for scores in self._rows_of_scores(image, progress, True, clock)
        ]
        return rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)

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
            prompt_chunk=self._work.prompts,
            clock=clock,
            observe=self.observe,
        )

    def _rows_of_scores(
        self, image: ImageInput, progress: Progress | None, labels_only: bool, clock: VariantClock | None
    ) -> Iterator[Tensor]:
        """Class scores of an image, some rows at a time from top to bottom (K, C, rows, W0)."""
        pixels = as_chw(image).to(self.model.device)  # (3, H0, W0)
        size = pixels.shape[1], pixels.shape[2]
        if self.window is not None and self.stride is not None and max(size) > self.window:
            yield from self._slide(pixels, plan_windows(size, self.window, self.stride), progress, clock)
            return
        yield self._whole_windows([pixels], labels_only, clock)[0]
        if progress is not None:
            progress(1, 1)

    def _whole_windows(self, images: list[Tensor], labels_only: bool, clock: VariantClock | None) -> Tensor:
        """Class scores (B, K, C, H0, W0) of images (3, H0, W0) of one size."""
        height, width = images[0].shape[-2:]

        def score(batch: slice) -> Tensor:
            inputs = torch.cat([self._preprocess(each) for each in images[batch]])  # (B, 3, R, R)
            return self._engine(clock).class_scores(inputs, (height, width), labels_only=labels_only)

        parts = []
        for _, scores in self._work.batches(len(images), len(self.vocabulary.prompts), score):
            check_finite(scores)
            parts.append(scores)
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def _slide(
        self, pixels: Tensor, windows: list[Window], progress: Progress | None, clock: VariantClock | None
    ) -> Iterator[Tensor]:
        """Class scores (K, C, rows, W0) from the mean of the prompts' scores over all windows."""
        height, width = windows[0].height, windows[0].width
        prompts = len(self.vocabulary.prompts)

        def score(batch: slice) -> list[tuple[int, int, int, Tensor]]:
            # the presence bound stays off: a prompt below the threshold here may lift the mean with a neighbour
            inputs = [
                self._preprocess(pixels[:, rows, cols]) for rows, cols in (window.slices for window in windows[batch])
            ]
            return list(self._engine(clock).prompt_scores(torch.cat(inputs), (height, width)))

        means = RunningMean((len(self.variants), prompts, height, pixels.shape[-1]), pixels.device)
        for batch, maps in self._work.batches(len(windows), prompts, score, at_most=self._work.images):
            for index, window in enumerate(windows[batch]):
                if window.row > means.row:
                    yield self._folded(means.take(window.row))
                means.add(
                    window, ((variant, prompt, scores) for image, variant, prompt, scores in maps if image == index)
                )
            if progress is not None:
                progress(batch.stop, len(windows))
        yield self._folded(means.take(pixels.shape[-2]))

    def _folded(self, prompt_means: Tensor) -> Tensor:
        """Class scores (K, C, rows, W0) from those of the prompts (K, P, rows, W0)."""
        shape = (len(self.variants), len(self.vocabulary), *prompt_means.shape[2:])
        class_scores = torch.zeros(shape, device=prompt_means.device)
        for scores, maps in zip(class_scores, prompt_means):
            fold_into_classes(scores, enumerate(maps), self.vocabulary.class_index)
        check_finite(class_scores)
        return class_scores

    def _preprocess(self, pixels: Tensor) -> Tensor:
        device = self.model.device
        # MPS has no antialiased resize in older versions of PyTorch
        source = pixels.cpu() if device.type == "mps" else pixels
        return preprocess(source, self.model.config.image_size).to(device)
