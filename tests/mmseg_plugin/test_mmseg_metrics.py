"""Pixel counts of images against mmseg's `IoUMetric`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from segearth_ov3.errors import DatasetError
from segearth_ov3.metrics.confusion import compute_scores
from segearth_ov3.mmseg_plugin.metrics import image_confusion

pytestmark = pytest.mark.mmseg

CLASSES = ("a", "b", "c", "d")


def make_sample(labels: np.ndarray, predictions: np.ndarray, **meta: object) -> dict[str, object]:
    """A data sample as mmengine hands it to a metric."""
    return {
        "gt_sem_seg": {"data": torch.from_numpy(labels)[None]},
        "pred_sem_seg": {"data": torch.from_numpy(predictions)[None]},
        **meta,
    }


@pytest.fixture
def samples() -> list[dict[str, object]]:
    """Three images of different sizes; class 3 does not occur, 255 does."""
    rng = np.random.default_rng(5)
    made = []
    for size in [(9, 11), (20, 7), (5, 5)]:
        labels = rng.integers(0, 3, size)
        labels[rng.random(size) < 0.1] = 255
        made.append(make_sample(labels, rng.integers(0, 3, size)))
    return made


def confusion_of(*samples: dict[str, object]) -> np.ndarray:
    """Sum over images."""
    return sum(image_confusion(s, s["pred_sem_seg"]["data"][0].numpy(), len(CLASSES)) for s in samples)


def test_scores_equal_mmsegs(samples):
    counts = [
        IoUMetric.intersect_and_union(s["pred_sem_seg"]["data"][0], s["gt_sem_seg"]["data"][0], len(CLASSES), 255)
        for s in samples
    ]
    sums = [sum(areas).double() for areas in zip(*counts)]
    theirs = IoUMetric.total_area_to_metrics(*sums, metrics=["mIoU", "mFscore"])
    ours = compute_scores(confusion_of(*samples))
    for name, values in (
        ("IoU", ours.iou),
        ("Acc", ours.acc),
        ("Recall", ours.acc),
        ("Precision", ours.precision),
        ("Fscore", ours.fscore),
        ("aAcc", ours.aacc),
    ):
        assert theirs[name] == pytest.approx(values, abs=1e-9, nan_ok=True), name
    assert ours.miou == pytest.approx(np.nanmean(theirs["IoU"]), abs=1e-9)


def test_missed_class_has_no_fscore_in_mmseg_either():
    labels, predictions = np.array([[0, 0, 1, 1]]), np.array([[0, 0, 0, 0]])
    areas = IoUMetric.intersect_and_union(torch.from_numpy(predictions), torch.from_numpy(labels), 4, 255)
    theirs = IoUMetric.total_area_to_metrics(*areas, metrics=["mFscore"])["Fscore"]
    ours = compute_scores(confusion_of(make_sample(labels, predictions))).fscore
    assert theirs == pytest.approx(ours, nan_ok=True)


def test_label_of_another_size_is_named():
    bad = make_sample(np.zeros((2, 3), int), np.zeros((3, 2), int), img_path="x/a.png")
    with pytest.raises(DatasetError, match=r"x/a.png: the image is \(3, 2\) pixels and its label \(2, 3\)"):
        confusion_of(bad)


def test_label_that_is_no_class_is_named_with_its_file():
    bad = make_sample(np.full((2, 2), 9), np.zeros((2, 2), int), img_path="a.png", seg_map_path="labels/a.png")
    with pytest.raises(DatasetError, match=r"labels/a.png: expected labels 0 to 3 or 255 \(ignored\), got also \[9\]"):
        confusion_of(bad)


def test_image_without_a_label_is_an_error():
    bad = make_sample(np.zeros((2, 2), int), np.zeros((2, 2), int), img_path="a.png")
    del bad["gt_sem_seg"]
    with pytest.raises(DatasetError, match=r"a.png: no label; the pipeline needs LoadAnnotations"):
        confusion_of(bad)
