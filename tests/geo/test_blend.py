from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segearth_ov3.engine.scores import labels_from_scores
from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.geo.blend import BLENDINGS, RowBlender, axis_weights, decide_labels
from segearth_ov3.geo.tiles import ScenePlan, plan_scene

SIDES = st.integers(1, 30)
QUICK = settings(deadline=None, max_examples=40)


@st.composite
def scene_plans(draw: st.DrawFn) -> ScenePlan:
    return plan_scene((draw(SIDES), draw(SIDES)), draw(st.integers(1, 20)), draw(st.floats(0, 0.8)))


def summed(starts: tuple[int, ...], weights: np.ndarray) -> np.ndarray:
    """Sum of the weights at each pixel of the axis."""
    total = np.zeros(starts[-1] + weights.shape[1])
    for start, window in zip(starts, weights):
        total[start : start + len(window)] += window
    return total


@QUICK
@given(scene_plans(), st.sampled_from(BLENDINGS))
def test_blend_weights_sum_to_one(plan: ScenePlan, blending: str) -> None:
    weights = axis_weights(plan.col_starts, plan.side, blending)
    assert weights.min() >= 0
    np.testing.assert_allclose(summed(plan.col_starts, weights), 1, rtol=1e-12)


@QUICK
@given(scene_plans())
def test_centre_takes_one_window_and_it_is_the_nearest(plan: ScenePlan) -> None:
    weights = axis_weights(plan.col_starts, plan.side, "centre")
    assert set(np.unique(weights)) <= {0.0, 1.0}
    for pixel in range(plan.size[1]):
        inside = [n for n, start in enumerate(plan.col_starts) if start <= pixel < start + plan.side]
        distances = [abs(pixel + 0.5 - plan.col_starts[n] - plan.side / 2) for n in inside]
        (chosen,) = [n for n in inside if weights[n, pixel - plan.col_starts[n]] == 1]
        assert distances[inside.index(chosen)] == min(distances)


def test_cosine_falls_towards_the_border_of_a_window() -> None:
    first, second = axis_weights((0, 75), 100, "cosine")
    assert (first[:75] == 1).all()
    assert (np.diff(first[75:]) < 0).all()
    np.testing.assert_allclose(first[75:], second[:25][::-1], atol=1e-12)
    assert first[99] < 0.01


def test_uniform_is_the_mean() -> None:
    first, second = axis_weights((0, 6), 10, "uniform")
    assert first.tolist() == [1] * 6 + [0.5] * 4
    assert second.tolist() == [0.5] * 4 + [1] * 6


def test_unknown_blending_lists_the_known_ones() -> None:
    with pytest.raises(OptionError, match="unknown blending 'linear', known: cosine, uniform, centre"):
        axis_weights((0,), 4, "linear")


def scores_at(row: int, col: int, side: int) -> np.ndarray:
    """Scores (3, side, side), float64, that depend on the place in the scene and on the window."""
    rows, cols = np.arange(row, row + side)[:, None], np.arange(col, col + side)
    return np.stack([np.sin(0.3 * rows * n + 0.7 * cols) + 0.01 * np.cos(row + 3 * col + n) for n in (1, 2, 3)])


def blend_plain(plan: ScenePlan, blending: str) -> np.ndarray:
    """The weighted sum over all windows in one array: what the ring has to come to."""
    total = np.zeros((3, plan.row_starts[-1] + plan.side, plan.col_starts[-1] + plan.side))
    rows, cols = (axis_weights(starts, plan.side, blending) for starts in (plan.row_starts, plan.col_starts))
    for row, row_weights in zip(plan.row_starts, rows):
        for col, col_weights in zip(plan.col_starts, cols):
            weight = np.outer(row_weights, col_weights)
            total[:, row : row + plan.side, col : col + plan.side] += scores_at(row, col, plan.side) * weight
    return total[:, : plan.size[0], : plan.size[1]]


@QUICK
@given(scene_plans(), st.sampled_from(BLENDINGS), st.data())
def test_ring_gives_what_one_array_gives_from_any_row_and_in_any_columns(
    plan: ScenePlan, blending: str, data: st.DataObject
) -> None:
    """To the last bit: this is what makes strips and interrupted runs give the same labels."""
    height, width = plan.size
    top = data.draw(st.integers(0, height - 1))
    left = data.draw(st.integers(0, width - 1))
    right = data.draw(st.integers(left + 1, width))
    blender = RowBlender(3, plan.side + 7, (left, right), top=top, dtype=np.float64)
    rows, cols = (axis_weights(starts, plan.side, blending) for starts in (plan.row_starts, plan.col_starts))
    taken = [np.zeros((3, 0, right - left))]
    for row, row_weights in zip(plan.row_starts, rows):
        if row + plan.side > top:
            taken.append(blender.take(max(min(row, height), top)))
            for col, col_weights in zip(plan.col_starts, cols):
                blender.add(scores_at(row, col, plan.side), row, col, (row_weights, col_weights))
    taken.append(blender.take(height))
    assert np.array_equal(np.concatenate(taken, axis=1), blend_plain(plan, blending)[:, top:, left:right])


@QUICK
@given(scene_plans(), st.sampled_from(BLENDINGS), st.randoms(use_true_random=False))
def test_order_of_windows_does_not_matter(plan: ScenePlan, blending: str, random: object) -> None:
    """Up to rounding; the order is fixed to be exact."""
    blender = RowBlender(3, plan.size[0] + plan.side, (0, plan.size[1]), dtype=np.float64)
    rows, cols = (axis_weights(starts, plan.side, blending) for starts in (plan.row_starts, plan.col_starts))
    windows = [(r, c) for r in range(len(plan.row_starts)) for c in range(len(plan.col_starts))]
    random.shuffle(windows)  # type: ignore[attr-defined]
    for r, c in windows:
        row, col = plan.row_starts[r], plan.col_starts[c]
        blender.add(scores_at(row, col, plan.side), row, col, (rows[r], cols[c]))
    np.testing.assert_allclose(blender.take(plan.size[0]), blend_plain(plan, blending), rtol=0, atol=1e-12)


@QUICK
@given(scene_plans(), st.sampled_from(BLENDINGS))
def test_function_of_the_place_is_kept(plan: ScenePlan, blending: str) -> None:
    """Where all windows agree, blending changes nothing."""
    rows, cols = (axis_weights(starts, plan.side, blending) for starts in (plan.row_starts, plan.col_starts))
    field = np.random.default_rng(0).random((2, plan.row_starts[-1] + plan.side, plan.col_starts[-1] + plan.side))
    blender = RowBlender(2, plan.size[0] + plan.side, (0, plan.size[1]), dtype=np.float64)
    for row, row_weights in zip(plan.row_starts, rows):
        for col, col_weights in zip(plan.col_starts, cols):
            window = field[:, row : row + plan.side, col : col + plan.side]
            blender.add(window, row, col, (row_weights, col_weights))
    np.testing.assert_allclose(blender.take(plan.size[0]), field[:, : plan.size[0], : plan.size[1]], atol=1e-12)


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected scores \(3, 4, 4\), got \(2, 4, 4\)"):
        RowBlender(3, 8, (0, 9)).add(np.zeros((2, 4, 4)), 0, 0, (np.ones(4), np.ones(4)))


def test_rows_that_would_run_over_unfinished_ones_are_refused() -> None:
    with pytest.raises(ShapeError, match="rows up to 9 do not fit in; take out what is finished first"):
        RowBlender(1, 8, (0, 4)).add(np.zeros((1, 4, 4)), 5, 0, (np.ones(4), np.ones(4)))


@pytest.mark.parametrize("background", [None, 0, 2])
@pytest.mark.parametrize("prob_threshold", [0.0, 0.4, 1.0])
def test_labels_are_those_of_the_engine(background: int | None, prob_threshold: float) -> None:
    scores = np.random.default_rng(3).integers(0, 5, (4, 30, 30)).astype(np.float32) / 5  # many are equal
    labels, best = decide_labels(scores, prob_threshold, background)
    expected = labels_from_scores(torch.from_numpy(scores), prob_threshold, background)
    assert np.array_equal(labels, expected.numpy())
    assert np.array_equal(best, scores.max(axis=0))
