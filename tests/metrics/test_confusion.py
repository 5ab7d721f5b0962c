"""Confusion matrices and scores against definitions spelled out pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segearth_ov3.errors import DatasetError, OptionError, ShapeError
from segearth_ov3.metrics.confusion import IGNORE_INDEX, NO_CLASS, compute_scores, confusion_matrix, nan_mean

NAN = float("nan")


@pytest.fixture
def maps() -> tuple[np.ndarray, np.ndarray]:
    """Labels with ignored pixels and predictions of four classes, of which class 3 occurs in neither."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, (17, 23))
    labels[rng.random(labels.shape) < 0.2] = 255
    return labels, rng.integers(0, 3, (17, 23))


def test_any_ignored_value_gives_the_same_counts(maps):
    labels, predictions = maps
    expected = confusion_matrix(labels, predictions, 4)
    for value in (-1, 4, 65535):
        other = np.where(labels == 255, value, labels)
        assert np.array_equal(confusion_matrix(other, predictions, 4, value), expected)
    narrow = confusion_matrix(labels.astype(np.uint8), predictions.astype(np.uint8), 4)
    assert np.array_equal(narrow, expected)


def test_matrix_counts_each_pair_of_label_and_prediction(maps):
    labels, predictions = maps
    expected = np.zeros((4, 4), dtype=int)
    for label, prediction in zip(labels.ravel(), predictions.ravel()):
        if label != 255:
            expected[label, prediction] += 1
    assert np.array_equal(confusion_matrix(labels, predictions, 4), expected)


def test_rows_are_labels():
    matrix = confusion_matrix(np.array([0, 0, 1]), np.array([1, 1, 1]), 2)
    assert matrix.tolist() == [[0, 2], [0, 1]]


def test_ignored_pixels_do_not_count(maps):
    labels, predictions = maps
    changed = np.where(labels == 255, 99, predictions)
    assert np.array_equal(confusion_matrix(labels, changed, 4), confusion_matrix(labels, predictions, 4))


def test_another_ignore_index_is_respected():
    assert confusion_matrix(np.array([7, 1]), np.array([0, 1]), 2, ignore_index=7).tolist() == [[0, 0], [0, 1]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_small_integer_types_do_not_overflow(dtype):
    values = np.full(3, 170, dtype=dtype)
    assert confusion_matrix(values, values, 171)[170, 170] == 3


def test_matrices_of_parts_add_up_to_the_matrix_of_the_whole(maps):
    labels, predictions = maps
    parts = confusion_matrix(labels[:5], predictions[:5], 4) + confusion_matrix(labels[5:], predictions[5:], 4)
    assert np.array_equal(parts, confusion_matrix(labels, predictions, 4))


@pytest.mark.parametrize("label", [4, 254, -1])
def test_label_that_is_no_class_is_a_dataset_error(label):
    with pytest.raises(DatasetError, match=f"labels 0 to 3 or 255.*got also \\[{label}\\]"):
        confusion_matrix(np.array([0, label]), np.array([0, 0]), 4)


@pytest.mark.parametrize("prediction", [4, 255, -1])
def test_prediction_that_is_no_class_is_an_option_error(prediction):
    with pytest.raises(OptionError, match=f"predictions 0 to 3, got also \\[{prediction}\\]"):
        confusion_matrix(np.array([0, 1]), np.array([0, prediction]), 4)


def test_different_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"one shape, got \(2, 3\) and \(3, 2\)"):
        confusion_matrix(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)


def test_scores_of_a_matrix_computed_by_hand():
    scores = compute_scores(np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]]))
    assert scores.iou == pytest.approx([6 / 9, 3 / 6, NAN], nan_ok=True)
    assert scores.acc == pytest.approx([6 / 8, 3 / 4, NAN], nan_ok=True)
    assert scores.precision == pytest.approx([6 / 7, 3 / 5, NAN], nan_ok=True)
    assert scores.fscore == pytest.approx([12 / 15, 6 / 9, NAN], nan_ok=True)
    assert scores.aacc == pytest.approx(9 / 12)


def test_means_leave_out_classes_that_do_not_occur():
    scores = compute_scores(np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]]))
    assert scores.miou == pytest.approx((6 / 9 + 3 / 6) / 2)
    assert scores.macc == pytest.approx((6 / 8 + 3 / 4) / 2)


def test_class_that_is_only_predicted_counts_zero_in_miou():
    scores = compute_scores(np.array([[3, 1], [0, 0]]))
    assert scores.iou == pytest.approx([3 / 4, 0])
    assert scores.miou == pytest.approx(3 / 8)


def test_missed_class_is_left_out_of_mfscore_and_zero_in_the_other_mean():
    scores = compute_scores(np.array([[4, 0], [4, 0]]))
    assert scores.mfscore == pytest.approx(2 / 3)
    assert scores.mfscore_missed_as_zero == pytest.approx(1 / 3)


def test_empty_matrix_gives_nan_without_a_warning():
    scores = compute_scores(np.zeros((2, 2), dtype=np.int64))
    assert np.isnan([scores.miou, scores.aacc, scores.macc, scores.mfscore]).all()


def test_mean_of_nothing_is_nan():
    assert np.isnan(nan_mean(np.array([NAN])))


def test_counts_beyond_float32_stay_exact():
    large = 2**24 + 1
    assert compute_scores(np.array([[large, 1], [0, 1]])).acc[0] == pytest.approx(large / (large + 1), rel=1e-15)


@pytest.mark.parametrize("shape", [(2, 3), (4, 2), (4,)])
def test_matrix_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"\(C, C\) or \(C \+ 1, C\), got \("):
        compute_scores(np.zeros(shape, dtype=np.int64))


@pytest.mark.mmseg
def test_pixels_of_no_class_count_as_in_mmseg() -> None:
    """mmseg leaves label values beyond the classes out of the labels, but counts what is predicted there."""
    from mmseg.evaluation import IoUMetric

    generator = np.random.default_rng(0)
    labels, predictions = generator.integers(0, 3, (40, 50)), generator.integers(0, 2, (40, 50))
    labels[:3] = IGNORE_INDEX
    hits, unions, predicted, labelled = IoUMetric.intersect_and_union(
        torch.from_numpy(predictions), torch.from_numpy(labels), 2, IGNORE_INDEX
    )
    stored = np.where(labels == 2, NO_CLASS, labels).astype(np.uint8)
    scores = compute_scores(confusion_matrix(stored, predictions, 2, no_class=NO_CLASS))
    np.testing.assert_allclose(scores.iou, (hits / unions).numpy(), rtol=1e-6)
    np.testing.assert_allclose(scores.acc, (hits / labelled).numpy(), rtol=1e-6)
    np.testing.assert_allclose(scores.precision, (hits / predicted).numpy(), rtol=1e-6)
    assert scores.aacc == pytest.approx(float(hits.sum() / labelled.sum()))
    ignored = compute_scores(confusion_matrix(np.where(labels == 2, IGNORE_INDEX, labels), predictions, 2))
    assert (scores.iou < ignored.iou).all()
