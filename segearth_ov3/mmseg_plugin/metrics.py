"""`ConfusionMetric`: exact pixel counts of an evaluation, beside mmseg's `IoUMetric`.

`IoUMetric` prints the table of the field, rounded, and sums its counts in float32. This metric collects the whole
confusion matrix in integers, and the time of each image; `ResultsHook` writes both to a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS
from numpy.typing import NDArray

from ..errors import DatasetError
from ..metrics.confusion import IGNORE_INDEX, IntArray, confusion_matrix

# of one image: positions in the flattened matrix, pixels there, seconds. Vocabularies may have 171 classes, an image
# has few of them, and the results of all images are kept until the end
ImageCounts = tuple[NDArray[np.int64], NDArray[np.int64], float | None]


@METRICS.register_module()
class ConfusionMetric(BaseMetric):
    """Collects the confusion matrix over all images.

    Args:
        ignore_index: Label of pixels that do not count.
        collect_device: Where the counts of several processes are exchanged.

    Attributes:
        confusion: (C, C) counts, rows are labels; None before the end of a run and in processes but the first.
        image_seconds: Time of each image's prediction, None where not measured.
    """

    def __init__(self, ignore_index: int = IGNORE_INDEX, collect_device: Literal["cpu", "gpu"] = "cpu") -> None:
        super().__init__(collect_device=collect_device, prefix="confusion")
        self.ignore_index = ignore_index
        self.confusion: IntArray | None = None
        self.image_seconds: list[float | None] = []

    def process(self, data_batch: Mapping[str, Any], data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Count the pixels of a batch.

        Raises:
            DatasetError: An image has no label, a label of another size, or values that are no class.
        """
        self.results.extend(self._count(sample) for sample in data_samples)

    def compute_metrics(self, results: Sequence[ImageCounts]) -> dict[str, float]:
        """Sum the counts of all images into `confusion`; nothing is printed."""
        total = np.zeros(self._num_classes**2, dtype=np.int64)
        for positions, counts, _ in results:
            total[positions] += counts
        self.confusion = total.reshape(self._num_classes, self._num_classes)
        self.image_seconds = [seconds for *_, seconds in results]
        return {}

    @property
    def _num_classes(self) -> int:
        return len(self.dataset_meta["classes"])

    def _count(self, sample: Mapping[str, Any]) -> ImageCounts:
        predictions = sample["pred_sem_seg"]["data"].squeeze(0).cpu().numpy()
        matrix = image_confusion(sample, predictions, self._num_classes, self.ignore_index)
        positions = np.flatnonzero(matrix)
        return positions, matrix.ravel()[positions], sample.get("predict_seconds")


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
