"""Confusion matrices and the scores of semantic segmentation computed from them, in exact integers and numpy.

A matrix M is (C, C) int64: M[label, prediction] counts pixels. For class c with i = M[c, c]:

    labelled l = sum of row c         predicted p = sum of column c        union u = l + p - i
    IoU = i / u     Acc = recall = i / l     precision = i / p     F = 2 · precision · recall / (precision + recall)

A ratio whose denominator is 0 is NaN, and means leave NaN out. So mIoU leaves out classes that neither occur nor are
predicted, and mFscore follows mmseg: a class that is in the labels but never hit has no F-score and is left out,
which flatters the mean. `fscore_missed_as_zero` counts such a class with 0.

A matrix may have one more row, for pixels whose label is no class. Only what is predicted there counts, as it does in
mmseg for label values beyond the classes.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError, OptionError, ShapeError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

IGNORE_INDEX = 255
NO_CLASS = 254  # label of pixels of no class, where sets whose published labels have such pixels store it
_BYTE = 256  # values of 8 bits


def confusion_matrix(
    labels: NDArray[np.integer],
    predictions: NDArray[np.integer],
    num_classes: int,
    ignore_index: int = IGNORE_INDEX,
    no_class: int | None = None,
) -> IntArray:
    """Count the pixels of every pair of true and predicted class.

    Args:
        labels: True classes, any shape, integers; `ignore_index` where unknown.
        predictions: Predicted classes, same shape; what is predicted where the label is ignored does not matter.
        num_classes: C.
        ignore_index: Label of pixels that do not count.
        no_class: Label of pixels of no class, whose predictions count; None: the set has none.

    Returns:
        (C, C), rows are labels, columns predictions; with `no_class` (C + 1, C). Matrices of several images are added.

    Raises:
        ShapeError: The shapes differ.
        DatasetError: A label is neither a class nor `ignore_index`.
        OptionError: A prediction is not a class.
    """
    if labels.shape != predictions.shape:
        raise ShapeError(f"expected labels and predictions of one shape, got {labels.shape} and {predictions.shape}")
    if no_class is not None:
        strays = labels == no_class
        counted = confusion_matrix(np.where(strays, ignore_index, labels), predictions, num_classes, ignore_index)
        return np.vstack((counted, np.bincount(predictions[strays], minlength=num_classes)))
    small = num_classes <= _BYTE and _all_below(labels, _BYTE)
    if small and _all_below(predictions, num_classes):  # no masks, several times quicker
        pairs = labels.astype(np.int64) * num_classes + predictions
        table = np.bincount(pairs.ravel(), minlength=_BYTE * num_classes).reshape(_BYTE, num_classes)
        if 0 <= ignore_index < _BYTE:
            table[ignore_index] = 0
        if not table[num_classes:].any():
            return table[:num_classes].astype(np.int64)
    counted = labels != ignore_index
    true_classes = labels[counted].astype(np.int64)
    predicted_classes = predictions[counted].astype(np.int64)
    odd = _values_outside(true_classes, num_classes)
    if odd:
        raise DatasetError(
            f"expected labels 0 to {num_classes - 1} or {ignore_index} (ignored), got also {odd}; "
            f"check the label files and reduce_zero_label"
        )
    odd = _values_outside(predicted_classes, num_classes)
    if odd:
        raise OptionError(f"expected predictions 0 to {num_classes - 1}, got also {odd}; check the vocabulary's length")
    pairs = true_classes * num_classes + predicted_classes
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores from a confusion matrix, as fractions; NaN where a ratio is 0 / 0.

    Attributes:
        iou, acc, precision, fscore: Per class (C,); acc is the recall too.
        fscore_missed_as_zero: Per class (C,): 2i / (l + p), so 0 where a class occurs and is never hit.
        aacc: Share of all counted pixels that are right.
    """

    iou: FloatArray
    acc: FloatArray
    precision: FloatArray
    fscore: FloatArray
    fscore_missed_as_zero: FloatArray
    aacc: float

    @property
    def miou(self) -> float:
        """Mean IoU over the classes that occur in labels or predictions."""
        return nan_mean(self.iou)

    @property
    def macc(self) -> float:
        """Mean accuracy over the classes that occur in labels."""
        return nan_mean(self.acc)

    @property
    def mfscore(self) -> float:
        """Mean F-score as mmseg takes it: over the classes with at least one hit."""
        return nan_mean(self.fscore)

    @property
    def mfscore_missed_as_zero(self) -> float:
        """Mean F-score over the classes that occur in labels or predictions."""
        return nan_mean(self.fscore_missed_as_zero)


def compute_scores(confusion: IntArray) -> Scores:
    """Compute all scores.

    Args:
        confusion: (C, C) or (C + 1, C) counts, rows are labels.

    Returns:
        The scores.

    Raises:
        ShapeError: The matrix has another shape.
    """
    if confusion.ndim != 2 or confusion.shape[0] - confusion.shape[1] not in (0, 1):
        raise ShapeError(f"expected a confusion matrix (C, C) or (C + 1, C), got {confusion.shape}")
    hits = np.diagonal(confusion).astype(np.float64)
    labelled = confusion[: confusion.shape[1]].sum(axis=1).astype(np.float64)
    predicted = confusion.sum(axis=0).astype(np.float64)
    recall = _ratio(hits, labelled)
    precision = _ratio(hits, predicted)
    return Scores(
        iou=_ratio(hits, labelled + predicted - hits),
        acc=recall,
        precision=precision,
        fscore=_ratio(2 * precision * recall, precision + recall),
        fscore_missed_as_zero=_ratio(2 * hits, labelled + predicted),
        aacc=float(_ratio(hits.sum(), labelled.sum())),
    )


def nan_mean(values: FloatArray) -> float:
    """Mean of what is not NaN; NaN, without a warning, where nothing is left."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _ratio(numerator: FloatArray | np.floating, denominator: FloatArray | np.floating) -> FloatArray:
    """Numerator / denominator, NaN for 0 / 0; a numerator here is never above 0 where the denominator is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(numerator / denominator, dtype=np.float64)


def _all_below(values: NDArray[np.integer], bound: int) -> bool:
    """Whether all values lie in 0 to bound - 1."""
    return values.size > 0 and bool(values.min() >= 0 and values.max() < bound)


def _values_outside(values: IntArray, num_classes: int) -> list[int]:
    """Up to ten different values that are not a class."""
    outside = values[(values < 0) | (values >= num_classes)]
    return [int(value) for value in np.unique(outside)[:10]]
