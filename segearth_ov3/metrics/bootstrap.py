"""Whether a difference in mIoU is more than the luck of the images: a paired bootstrap over images.

An evaluation of I images is repeated in thought: I images are drawn from them with replacement, their confusion
matrices added, and the mIoU of both sides computed from the same draw. The middle `level` of the differences over many
draws is the percentile interval (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).

    (S, I) how often each draw has each image  @  (I, C) hits and unions of each image  =  (S, C) of each draw

The interval is about images like these that are independent of each other. Tiles of one scene are not, and fewer than
about 20 images say little about others: in both cases it is too narrow. From one image it has no width at all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from ..errors import OptionError, ShapeError
from .confusion import FloatArray, IntArray

_BLOCK_NUMBERS = 2**20  # 8 MiB of counts at a time


@dataclasses.dataclass(frozen=True)
class Interval:
    """A difference and the interval it lies in, in points of per cent.

    Attributes:
        delta: Over all images as they are.
        low: Lower end of the interval.
        high: Upper end.
    """

    delta: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    baseline: IntArray, variant: IntArray, *, samples: int = 2000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Compare the mIoU of two evaluations of the same images.

    In every draw, each side's mIoU is the mean over the classes with a union above 0 on that side, as in
    `metrics.confusion`; so a rare class counts only in draws that have it. Draws without any labelled pixel are left
    out. Equal seeds, samples and numbers of images give equal draws, so that all variants are compared on the same
    ones.

    Args:
        baseline: Confusion matrix of each image (I, C, C), rows are labels.
        variant: Of the same images in the same order (I, C, C).
        samples: Draws, 1 or more; the ends of the interval get steadier with the square root of it.
        seed: Of the draws.
        level: Share of the draws inside the interval, above 0 and below 1.

    Returns:
        mIoU of `variant` minus that of `baseline` in points of per cent; NaN where no pixel is labelled. Exactly 0
        with both ends 0 where the two are equal.

    Raises:
        ShapeError: Not both are (I, C, C) with one I of at least 1 and one C.
        OptionError: The labels of an image differ between the two, or `samples` or `level` is out of range.
    """
    _check(baseline, variant, samples, level)
    images = len(baseline)
    counted = (_hits_and_unions(baseline), _hits_and_unions(variant))
    delta = _deltas(np.ones((1, images)), *counted)[0]
    draws = [_deltas(counts, *counted) for counts in _resamples(images, samples, seed)]
    known = np.concatenate(draws)
    known = known[~np.isnan(known)]
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2]) if known.size else (np.nan, np.nan)
    return Interval(float(delta), float(low), float(high))


def _resamples(images: int, samples: int, seed: int) -> Iterator[FloatArray]:
    """How often each draw has each image (S, I), in blocks.

    The counts are multinomial. Drawing the images one by one, as `scipy.stats.bootstrap` does with the same generator,
    is faster than `Generator.multinomial`.
    """
    generator = np.random.default_rng(seed)
    rows = max(_BLOCK_NUMBERS // images, 1)
    for start in range(0, samples, rows):
        size = min(rows, samples - start)
        drawn = generator.integers(0, images, size=(size, images))
        cells = drawn + images * np.arange(size)[:, None]  # each draw counts in cells of its own
        counts = np.bincount(cells.ravel(), minlength=size * images)
        yield counts.reshape(size, images).astype(np.float64)


def _hits_and_unions(confusions: IntArray) -> FloatArray:
    """Numerators and denominators of the IoU of each image, side by side (I, 2C)."""
    hits = np.diagonal(confusions, axis1=1, axis2=2)  # (I, C)
    unions = confusions.sum(axis=2) + confusions.sum(axis=1) - hits  # (I, C)
    return np.concatenate([hits, unions], axis=1).astype(np.float64)


def _deltas(counts: FloatArray, baseline: FloatArray, variant: FloatArray) -> FloatArray:
    """Differences of each draw (S,); the products are exact, being sums of whole numbers far below 2**53."""
    return _miou(counts @ variant) - _miou(counts @ baseline)


def _miou(sums: FloatArray) -> FloatArray:
    """Per cent of mIoU (S,) from hits and unions (S, 2C); NaN where there is no class."""
    hits, unions = np.split(sums, 2, axis=1)  # (S, C) each
    is_present = unions > 0
    iou = np.divide(hits, unions, out=np.zeros_like(hits), where=is_present)
    classes = is_present.sum(axis=1)  # (S,)
    return 100 * np.divide(iou.sum(axis=1), classes, out=np.full(len(sums), np.nan), where=classes > 0)


def _check(baseline: IntArray, variant: IntArray, samples: int, level: float) -> None:
    shape = baseline.shape
    if variant.shape != shape or len(shape) != 3 or shape[1] != shape[2] or shape[0] == 0:
        raise ShapeError(
            f"expected twice confusion matrices (I, C, C) with I of at least 1, got {shape} and {variant.shape}"
        )
    if samples < 1:
        raise OptionError(f"samples must be 1 or more, got {samples}")
    if not 0 < level < 1:
        raise OptionError(f"level must lie between 0 and 1, got {level}")
    differs = (baseline.sum(axis=2) != variant.sum(axis=2)).any(axis=1)
    if differs.any():
        raise OptionError(
            f"expected equal labels on both sides, but those of image {int(differs.argmax())} differ; "
            f"pass the same images in the same order"
        )
