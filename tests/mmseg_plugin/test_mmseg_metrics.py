"""`ConfusionMetric` against mmseg's `IoUMetric`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from segearth_ov3.errors import DatasetError
from segearth_ov3.metrics.confusion import compute_scores
from segearth_ov3.mmseg_plugin.metrics import ConfusionMetric

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
    for index, size in enumerate([(9, 11), (20, 7), (5, 5)]):
        labels = rng.integers(0, 3, size)
        labels[rng.random(size) < 0.1] = 255
        made.append(make_sample(labels, rng.integers(0, 3, size), predict_seconds=float(index)))
    return made


@pytest.fixture
def metric() -> ConfusionMetric:
    metric = ConfusionMetric()
    metric.dataset_meta = {"classes": CLASSES}
    return metric


def evaluated(metric: ConfusionMetric, samples: list[dict[str, object]]) -> ConfusionMetric:
    metric.process({}, samples[:2])
    metric.process({}, samples[2:])
    metric.evaluate(size=len(samples))
    return metric


def test_scores_equal_mmsegs(metric, samples):
    counts = [
        IoUMetric.intersect_and_union(s["pred_sem_seg"]["data"][0], s["gt_sem_seg"]["data"][0], len(CLASSES), 255)
        for s in samples
    ]
    sums = [sum(areas).double() for areas in zip(*counts)]
    theirs = IoUMetric.total_area_to_metrics(*sums, metrics=["mIoU", "mFscore"])
    ours = compute_scores(evaluated(metric, samples).confusion)
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


def test_missed_class_has_no_fscore_in_mmseg_either(metric):
    labels, predictions = np.array([[0, 0, 1, 1]]), np.array([[0, 0, 0, 0]])
    areas = IoUMetric.intersect_and_union(torch.from_numpy(predictions), torch.from_numpy(labels), 4, 255)
    theirs = IoUMetric.total_area_to_metrics(*areas, metrics=["mFscore"])["Fscore"]
    ours = compute_scores(evaluated(metric, [make_sample(labels, predictions)]).confusion).fscore
    assert theirs == pytest.approx(ours, nan_ok=True)


def test_times_of_all_images_are_kept(metric, samples):
    assert evaluated(metric, samples).image_seconds == [0.0, 1.0, 2.0]


def test_images_that_fill_up_the_last_batch_are_dropped(metric, samples):
    metric.process({}, [*samples, samples[0]])
    metric.evaluate(size=3)
    assert len(metric.image_seconds) == 3
    assert metric.confusion.sum() == sum(int((s["gt_sem_seg"]["data"] != 255).sum()) for s in samples)


def test_second_run_starts_from_zero(metric, samples):
    first = evaluated(metric, samples).confusion
    assert np.array_equal(evaluated(metric, samples).confusion, first)


def test_label_of_another_size_is_named(metric):
    bad = make_sample(np.zeros((2, 3), int), np.zeros((3, 2), int), img_path="x/a.png")
    with pytest.raises(DatasetError, match=r"x/a.png: the image is \(3, 2\) pixels and its label \(2, 3\)"):
        metric.process({}, [bad])


def test_label_that_is_no_class_is_named_with_its_file(metric):
    bad = make_sample(np.full((2, 2), 9), np.zeros((2, 2), int), img_path="a.png", seg_map_path="labels/a.png")
    with pytest.raises(DatasetError, match=r"labels/a.png: expected labels 0 to 3 or 255 \(ignored\), got also \[9\]"):
        metric.process({}, [bad])


def test_image_without_a_label_is_an_error(metric):
    bad = make_sample(np.zeros((2, 2), int), np.zeros((2, 2), int), img_path="a.png")
    del bad["gt_sem_seg"]
    with pytest.raises(DatasetError, match=r"a.png: no label; the pipeline needs LoadAnnotations"):
        metric.process({}, [bad])
