"""Look at labels before the weights are loaded: sizes, values, and classes that never occur."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from mmengine.dist import is_main_process
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import LoadAnnotations
from numpy.typing import NDArray

from ..datasets.label_notes import note_absent_classes, note_mask_of_255
from ..datasets.reading import read_header
from ..errors import DatasetError, DatasetWarning
from ..metrics.confusion import IGNORE_INDEX
from .datasets import LoadColorAnnotations
from .loading import LoadLabels, LoadPicture
from .metrics import no_class_of
from .own_dataset import LabelledImages
from .protocol import spread_indices

_SAMPLE = 8
_THREADS = 4
_NAMED = 5
_VALUES = IGNORE_INDEX + 1


def check_labels(dataset: BaseSegDataset) -> None:
    """Check the labels of a set: all of one's own set, a sample of a benchmark set.

    Warns where no pixel counts, where 255 seems to mark the second of two classes, and, once all labels were read,
    where a class occurs in none.

    Raises:
        DatasetError: A file cannot be read, sizes differ, or a label has values that are no class.
    """
    reads_all = isinstance(dataset, LabelledImages)
    chosen = list(range(len(dataset))) if reads_all else spread_indices(len(dataset), _SAMPLE)
    _load_picture(dataset, chosen[0])
    with ThreadPoolExecutor(_THREADS) as pool:
        counts = list(pool.map(lambda index: _count(dataset, index), chosen))
    pixels = np.sum(counts, axis=0)
    classes = dataset.metainfo["classes"]
    notes = note_mask_of_255(pixels, classes, len(chosen))
    if not notes and (reads_all or not pixels[: len(classes)].any()):
        notes = note_absent_classes(pixels, classes, len(chosen))
    if notes and is_main_process():
        warnings.warn(notes, DatasetWarning, stacklevel=2)


def _count(dataset: BaseSegDataset, index: int) -> NDArray[np.int64]:
    """Pixels of each class index (256,) in one label."""
    info = dataset.get_data_info(index)
    labels = _load_label(dataset, info)
    if labels is None:
        return np.zeros(_VALUES, dtype=np.int64)
    size = read_header(info["img_path"]).size
    if size != labels.shape:
        raise DatasetError(f"{info['img_path']} has {size} pixels and its label {info['seg_map_path']} {labels.shape}")
    counts = np.bincount(labels.ravel(), minlength=_VALUES)
    classes = len(dataset.metainfo["classes"])
    stop = no_class_of(dataset) or IGNORE_INDEX
    if odd := np.flatnonzero(counts[classes:stop])[:_NAMED].tolist():
        raise DatasetError(
            f"{info['seg_map_path']}: values {[classes + value for value in odd]} are no class; expected 0 to "
            f"{classes - 1}, or {IGNORE_INDEX} where unknown; check label_map and reduce_zero_label"
        )
    return counts


def _load_label(dataset: BaseSegDataset, info: dict) -> NDArray[np.uint8] | None:
    """Class indices of a label, by the step of the pipeline that loads them; None where there is none."""
    for step in dataset.pipeline.transforms:
        if isinstance(step, (LoadLabels, LoadColorAnnotations, LoadAnnotations)):
            labels: NDArray[np.uint8] = step.transform(dict(info))["gt_seg_map"]
            return labels
    return None


def _load_picture(dataset: BaseSegDataset, index: int) -> None:
    """Load one picture, so that ambiguous bands are an error early."""
    for step in dataset.pipeline.transforms:
        if isinstance(step, LoadPicture):
            step.transform(dict(dataset.get_data_info(index)))
