"""Tell whether a difference in mIoU is more than chance: a paired, studentised bootstrap over images.

Simulate repeating the evaluation of I images: draw I images with replacement, add their confusion matrices, compute the
difference in mIoU of the two sides, and divide its deviation from the measured difference by its own standard error:

    t* = (difference of the draw − difference) / standard error of the draw

The interval is the difference ± q · its standard error, where |t*| ≤ q in `level` of the draws (Efron & Tibshirani, An
Introduction to the Bootstrap, 1993, chapter 12). Standard errors come from the derivative of mIoU by the counts of
each image. `benchmarks/chance.py` measures how often two sides without any difference give an interval without 0;
percentile and BCa intervals do so too often, above all for few images.

    (S, I) how often each draw has each image  @  (I, C) hits and unions of each image  =  (S, C) of each draw

The interval is about images like these that are independent of each other. Tiles of one scene are not, so their
interval is too narrow.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import OptionError, ShapeError
from .confusion import FloatArray, IntArray

_BLOCK_NUMBERS = 2**20  # 8 MiB of counts at a time
_LIMIT = 100.0  # a difference in mIoU lies between -100 and 100
_ROUNDING = 1e-9  # what differs by less, in points of per cent, is equal


@dataclasses.dataclass(frozen=True)
class Interval:
    """A difference and the interval it lies in, in points of per cent.

    Attributes:
        delta: Over all images as they are.
        low: Lower end of the interval, at least -100.
        high: Upper end, at most 100.
        p: Share of the draws that deviate from `delta` as far as `delta` from 0, in standard errors; above 0, up to 1.
    """

    delta: float
    low: float
    high: float
    p: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    baseline: IntArray, variant: IntArray, *, samples: int = 5000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Compare the mIoU of two evaluations of the same images.

    In every draw, each side's mIoU is the mean over the classes with a union above 0 on that side, as in
    `metrics.confusion`; so a rare class counts only in draws that have it. Draws without any labelled pixel are left
    out. Equal seeds, samples and numbers of images give equal draws, so that all variants are compared on the same
    ones.

    Args:
        baseline: Confusion matrix of each image (I, C, C), rows are labels.
        variant: Of the same images in the same order (I, C, C).
        samples: Draws, 1 or more; `p` is at least 1 / (samples + 1).
        seed: Of the draws.
        level: Share of the draws inside the interval, above 0 and below 1.

    Returns:
        mIoU of `variant` minus that of `baseline` in points of per cent; NaN where no pixel is labelled. Exactly 0
        with both ends 0 where the two are equal. The interval is -100 to 100 where the images say nothing about
        others, as a single one.

    Raises:
        ShapeError: Not both are (I, C, C) with one I of at least 1 and one C.
        OptionError: The labels of an image differ between the two, or `samples` or `level` is out of range.
    """
    _check(baseline, variant, samples, level)
    if np.array_equal(baseline, variant):
        return Interval(0.0, 0.0, 0.0, 1.0) if baseline.any() else Interval(*[math.nan] * 4)
    images = len(baseline)
    counted = _hits_and_unions(baseline), _hits_and_unions(variant)
    (delta,), (error,) = _deltas_and_errors(np.ones((1, images)), *counted)
    drawn = [_deltas_and_errors(counts, *counted) for counts in _resamples(images, samples, seed)]
    deviations = [_ratio(deltas - delta, errors) for deltas, errors in drawn]
    known = np.sort(np.concatenate(deviations))
    known = known[~np.isnan(known)]
    if math.isnan(delta) or not known.size:
        return Interval(*[math.nan] * 4)
    rank = math.ceil((known.size + 1) * level)  # of the draw that ends the interval
    multiple = known[rank - 1] if rank <= known.size and images > 1 else math.inf
    reach = error * multiple if math.isfinite(multiple) else math.inf
    beyond = int(np.count_nonzero(known >= _ratio(np.array(delta), np.array(error)))) if images > 1 else known.size
    p = (1 + beyond) / (1 + known.size)
    return Interval(float(delta), max(float(delta - reach), -_LIMIT), min(float(delta + reach), _LIMIT), p)


def holm(p_values: Sequence[float], rows: int | None = None) -> list[float]:
    """Correct p-values for their number, by Holm's step-down method.

    Args:
        p_values: One per comparison.
        rows: Number of comparisons, if more were made than have a p-value; None means all have one.

    Returns:
        Corrected p-values in the same order, at most 1. If those below a are called differences, the chance of any
        false one is at most a.
    """
    total = len(p_values) if rows is None else rows
    corrected, largest = [0.0] * len(p_values), 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (total - place) * p_values[index]))
        corrected[index] = largest
    return corrected


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


def _deltas_and_errors(counts: FloatArray, baseline: FloatArray, variant: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Difference in mIoU of each draw and its standard error, (S,) each, in per cent; NaN where there is no class.

    Args:
        counts: How often each draw has each image (S, I).
        baseline, variant: Hits and unions of each image (I, 2C).
    """
    before, slope_before = _miou(counts @ baseline)  # the products are exact: sums of whole numbers far below 2**53
    after, slope_after = _miou(counts @ variant)
    influence = slope_after @ variant.T - slope_before @ baseline.T  # (S, I), of one image more in the draw
    images = counts.shape[1]
    mean = (counts * influence).sum(axis=1, keepdims=True) / images
    variance = (counts * (influence - mean) ** 2).sum(axis=1) * images / max(images - 1, 1)
    return after - before, np.sqrt(variance)


def _miou(sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Per cent of mIoU (S,) and its derivative (S, 2C) from hits and unions (S, 2C); NaN where there is no class."""
    hits, unions = np.split(sums, 2, axis=1)  # (S, C) each
    is_present = unions > 0
    share = np.divide(1.0, unions, out=np.zeros_like(unions), where=is_present)
    iou = hits * share
    classes = is_present.sum(axis=1, keepdims=True)  # (S, 1)
    scale = np.divide(100.0, classes, out=np.full(classes.shape, np.nan), where=classes > 0)
    slopes = np.concatenate([share, -iou * share], axis=1) * scale
    return (iou.sum(axis=1, keepdims=True) * scale)[:, 0], slopes


def _ratio(differences: FloatArray, errors: FloatArray) -> FloatArray:
    """Sizes of differences in standard errors; 0 where there is no difference, infinite where only the error is 0."""
    sizes = np.abs(differences)
    infinite = np.where(sizes > _ROUNDING, np.inf, np.where(np.isnan(sizes), np.nan, 0.0))
    return np.divide(sizes, errors, out=infinite, where=errors > _ROUNDING)


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
