"""Exact pixel counts of one image, from what mmseg's pipeline knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from ..metrics.confusion import IGNORE_INDEX, IntArray, confusion_matrix


def image_confusion(
    sample: Mapping[str, Any],
    predictions: NDArray[np.integer],
    num_classes: int,
    ignore_index: int = IGNORE_INDEX,
) -> IntArray:
    """Confusion matrix of one image.

    Args:
        sample: What the pipeline knows of the image, with its label as `gt_sem_seg`.
        predictions: Predicted classes (H0, W0).
        num_classes: C.
        ignore_index: Label of pixels that do not count.

    Returns:
        (C, C), rows are labels.

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
        return confusion_matrix(labels, predictions, num_classes, ignore_index)
    except DatasetError as error:
        raise DatasetError(f"{sample.get('seg_map_path', name)}: {error}") from error
