from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from label_rasters import label_arrays
from scipy import ndimage

from segearth_ov3.geo.components import OUTSIDE, ComponentTracker


def components(labels: np.ndarray, rows: int, weight: np.ndarray) -> list[tuple[int, int, float]]:
    """Value, pixels and weight of each component."""
    tracker = ComponentTracker(labels.shape[1], 1)
    found = []
    for start in range(0, len(labels), rows):
        part = slice(start, start + rows)
        step = tracker.add(labels[part], [weight[part]], is_last=start + rows >= len(labels))
        done = step.totals.select(~step.is_open)
        found += list(zip(done.values.tolist(), done.pixels.tolist(), done.sums[0].tolist()))
    return sorted(found)


@settings(deadline=None, max_examples=60)
@given(label_arrays())
def test_components_are_those_of_scipy(drawn: tuple[np.ndarray, int]) -> None:
    labels, rows = drawn
    weight = np.arange(labels.size, dtype=np.float64).reshape(labels.shape)
    expected = []
    for value in np.unique(labels):
        numbers, count = ndimage.label(labels == value)
        pixels = np.bincount(numbers.ravel())[1:]
        sums = ndimage.sum_labels(weight, numbers, range(1, count + 1))
        expected += [(int(value), int(size), float(total)) for size, total in zip(pixels, sums)]
    assert components(labels, rows, weight) == sorted(expected)


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_a_component_that_closes_below_is_one(rows: int) -> None:
    labels = np.array([[1, 0, 1], [1, 0, 1], [1, 0, 1], [1, 1, 1]], dtype=np.int32)
    assert components(labels, rows, np.ones_like(labels)) == [(0, 3, 3.0), (1, 9, 9.0)]


@pytest.mark.parametrize("rows", [1, 3])
def test_what_is_outside_belongs_to_nothing(rows: int) -> None:
    labels = np.array([[OUTSIDE, 5, OUTSIDE], [OUTSIDE, OUTSIDE, 5], [5, OUTSIDE, 5]], dtype=np.int32)
    assert components(labels, rows, np.ones_like(labels)) == [(5, 1, 1.0), (5, 1, 1.0), (5, 2, 2.0)]


def test_nothing_is_kept_of_complete_components() -> None:
    tracker = ComponentTracker(4, 0)
    for _ in range(3):
        tracker.add(np.array([[1, 2, 1, 2]], dtype=np.int32), [], is_last=False)
        step = tracker.add(np.full((1, 4), OUTSIDE, dtype=np.int32), [], is_last=False)
        assert (len(step.of_open), step.is_open.any()) == (4, False)
