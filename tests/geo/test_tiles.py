from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.geo.tiles import Window, plan_windows

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
