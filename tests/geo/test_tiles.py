from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.geo.tiles import ScenePlan, Window, plan_scene, plan_strips, plan_windows

SIDES = st.integers(1, 60)


@st.composite
def plans(draw: st.DrawFn) -> tuple[tuple[int, int], int, int]:
    window = draw(st.integers(1, 40))
    return (draw(SIDES), draw(SIDES)), window, draw(st.integers(1, window))


def coverage(size: tuple[int, int], windows: list[Window]) -> np.ndarray:
    counts = np.zeros(size, int)
    for window in windows:
        counts[window.slices] += 1
    return counts


@given(plans())
def test_every_pixel_is_covered(plan: tuple[tuple[int, int], int, int]) -> None:
    assert coverage(plan[0], plan_windows(*plan)).min() >= 1


@given(plans())
def test_no_window_leaves_the_image(plan: tuple[tuple[int, int], int, int]) -> None:
    (height, width), *_ = plan
    for window in plan_windows(*plan):
        assert 0 <= window.row <= window.row + window.height <= height
        assert 0 <= window.col <= window.col + window.width <= width


@given(plans())
def test_windows_are_equal_in_size_and_no_larger_than_the_image(plan: tuple[tuple[int, int], int, int]) -> None:
    (height, width), side, _ = plan
    sizes = {(window.height, window.width) for window in plan_windows(*plan)}
    assert sizes == {(min(side, height), min(side, width))}


@given(plans())
def test_no_window_occurs_twice(plan: tuple[tuple[int, int], int, int]) -> None:
    windows = plan_windows(*plan)
    assert len(set(windows)) == len(windows)


@given(plans())
def test_no_window_can_be_left_out_of_a_row(plan: tuple[tuple[int, int], int, int]) -> None:
    (_, width), side, stride = plan
    cols = sorted({window.col for window in plan_windows(*plan)})
    assert len(cols) == -(-max(width - side, 0) // stride) + 1


@given(plans())
def test_all_windows_but_the_last_start_at_multiples_of_the_stride(plan: tuple[tuple[int, int], int, int]) -> None:
    rows = sorted({window.row for window in plan_windows(*plan)})
    assert rows[:-1] == [index * plan[2] for index in range(len(rows) - 1)]


@given(plans())
def test_windows_come_row_by_row(plan: tuple[tuple[int, int], int, int]) -> None:
    windows = plan_windows(*plan)
    assert windows == sorted(windows)


@pytest.mark.parametrize(
    ("size", "window", "stride", "expected"),
    [
        ((4, 10), 4, 3, [(0, 0), (0, 3), (0, 6)]),
        ((4, 11), 4, 3, [(0, 0), (0, 3), (0, 6), (0, 7)]),
        ((1024, 1024), 512, 512, [(0, 0), (0, 512), (512, 0), (512, 512)]),
        ((1000, 512), 512, 512, [(0, 0), (488, 0)]),
        ((3, 3), 4, 4, [(0, 0)]),
    ],
)
def test_last_window_moves_back_to_the_border(
    size: tuple[int, int], window: int, stride: int, expected: list[tuple[int, int]]
) -> None:
    assert [(plan.row, plan.col) for plan in plan_windows(size, window, stride)] == expected


def test_slices_cut_the_window_out_of_an_array() -> None:
    rows, cols = Window(2, 3, 4, 5).slices
    assert np.arange(100).reshape(10, 10)[rows, cols].tolist() == [
        [10 * r + c for c in range(3, 8)] for r in range(2, 6)
    ]


@pytest.mark.parametrize("stride", [0, -1, 9])
def test_stride_that_leaves_pixels_out_is_refused(stride: int) -> None:
    with pytest.raises(OptionError, match=f"stride must be 1 to 8, the window, .* got {stride}"):
        plan_windows((20, 20), 8, stride)


@pytest.mark.parametrize("window", [0, -4])
def test_window_without_pixels_is_refused(window: int) -> None:
    with pytest.raises(OptionError, match=f"window must be at least 1 pixel, got {window}"):
        plan_windows((20, 20), window, 1)


@pytest.mark.parametrize(("window", "stride"), [(8.0, 4), (8, 4.0), ((8, 8), 4)])
def test_window_and_stride_must_be_whole_numbers(window: int, stride: int) -> None:
    with pytest.raises(OptionError, match="whole numbers of pixels"):
        plan_windows((20, 20), window, stride)


@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_image_without_pixels_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ShapeError, match="at least one pixel"):
        plan_windows(size, 8, 4)


@st.composite
def scene_plans(draw: st.DrawFn) -> ScenePlan:
    return plan_scene((draw(SIDES), draw(SIDES)), draw(st.integers(1, 40)), draw(st.floats(0, 0.9)))


@given(scene_plans())
def test_windows_of_a_scene_are_square_and_cover_it(plan: ScenePlan) -> None:
    for length, starts in zip(plan.size, (plan.row_starts, plan.col_starts)):
        covered = np.zeros(max(length, plan.side), int)
        for start in starts:
            covered[start : start + plan.side] += 1
        assert covered.min() >= 1
        assert starts[-1] + plan.side == len(covered)
        assert list(starts) == sorted(set(starts))


@given(SIDES, SIDES, st.integers(1, 100))
def test_windows_of_a_scene_are_no_larger_than_its_longer_side(height: int, width: int, window: int) -> None:
    assert plan_scene((height, width), window, 0.25).side == min(window, max(height, width))


def test_overlap_is_a_share_of_the_window() -> None:
    plan = plan_scene((100, 3000), 1000, 0.25)
    assert (plan.side, plan.row_starts, plan.col_starts) == (1000, (0,), (0, 750, 1500, 2000))


@pytest.mark.parametrize("overlap", [-0.1, 0.91, 1, float("nan")])
def test_overlap_out_of_range_is_refused(overlap: float) -> None:
    with pytest.raises(OptionError, match=r"overlap must be a share of the window, 0 to 0\.9"):
        plan_scene((10, 10), 5, overlap)


@given(scene_plans(), st.integers(1, 80))
def test_strips_divide_the_columns(plan: ScenePlan, strip_px: int) -> None:
    strips = plan_strips(plan, strip_px)
    assert [strip.start for strip in strips] == [0, *(strip.stop for strip in strips[:-1])]
    assert strips[-1].stop == plan.size[1]
    assert all(0 < strip.stop - strip.start <= strip_px for strip in strips)


@given(scene_plans(), st.integers(1, 80))
def test_strip_has_all_windows_that_reach_into_it_and_no_other(plan: ScenePlan, strip_px: int) -> None:
    for strip in plan_strips(plan, strip_px):
        reaching = [
            index
            for index, start in enumerate(plan.col_starts)
            if start < strip.stop and start + plan.side > strip.start
        ]
        assert list(range(strip.first, strip.last)) == reaching


def test_cuts_lie_at_starts_of_windows_where_one_window_is_shared() -> None:
    plan = plan_scene((10, 10000), 1000, 0.25)
    strips = plan_strips(plan, 4000)
    assert [strip.start for strip in strips] == [0, 3750, 7500]
    assert sum(strip.last - strip.first for strip in strips) == len(plan.col_starts) + 2


def test_strip_without_columns_is_refused() -> None:
    with pytest.raises(OptionError, match="a strip must be at least 1 pixel wide, got 0"):
        plan_strips(plan_scene((10, 10), 5, 0), 0)
