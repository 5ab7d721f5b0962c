"""Exact pixel counts of one image, from what mmseg's pipeline knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from mmseg.datasets import BaseSegDataset
from numpy.typing import NDArray

from ..errors import DatasetError
from ..metrics.confusion import IGNORE_INDEX, NO_CLASS, IntArray, confusion_matrix
from .benchmark_dataset import BenchmarkDataset


def image_confusion(
    sample: Mapping[str, Any],
    predictions: NDArray[np.integer],
    num_classes: int,
    ignore_index: int = IGNORE_INDEX,
    no_class: int | None = None,
) -> IntArray:
    """Confusion matrix of one image.

    Args:
        sample: What the pipeline knows of the image, with its label as `gt_sem_seg`.
        predictions: Predicted classes (H0, W0).
        num_classes: C.
        ignore_index: Label of pixels that do not count.
        no_class: Label of pixels of no class, see `metrics.confusion`.

    Returns:
        (C, C), rows are labels; with `no_class` (C + 1, C).

    Raises:
        DatasetError: There is no label, it has another size, or values that are no class; the message names the file.
    """
    name = sample.get("img_path", "image")
    if "gt_sem_seg" not in sample:
        raise DatasetError(f"{name}: no label; the pipeline needs LoadAnnotations or LoadColorAnnotations")
    labels = sample["gt_sem_seg"]["data"].squeeze(0).cpu().numpy()
    if labels.shape != predictions.shape:
        raise DatasetError(f"{name}: the image is {predictions.shape} pixels and its label {labels.shape}")
    try:
        return confusion_matrix(labels, predictions, num_classes, ignore_index, no_class)
    except DatasetError as error:
        raise DatasetError(f"{sample.get('seg_map_path', name)}: {error}") from error


def no_class_of(dataset: BaseSegDataset) -> int | None:
    """Return the label by which a set marks pixels of no class; None for sets without such pixels."""
    return NO_CLASS if isinstance(dataset, BenchmarkDataset) and dataset.spec.has_no_class_pixels else None
