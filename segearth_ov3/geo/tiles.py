"""Sliding windows over an image, as integers only.

A window is (row, col, height, width) in pixels, the upper left corner first. Windows start at 0, stride, 2 stride, ...;
the last one of a row or column moves back so that it ends at the border:

    size 10, window 4, stride 3         0 1 2 3 4 5 6 7 8 9
                                        └─────┘
                                              └─────┘
                                                    └─────┘

Two plans are made of that. `plan_windows` cuts an image of the benchmarks: along an axis that is shorter than the
window, one window of the image's own length. `plan_scene` cuts a scene: its windows are always square, and a scene that
is shorter along an axis is to be padded there, so that nothing is ever stretched. A wide scene is worked off in strips,
from top to bottom; each strip needs all windows that reach into its columns.
"""

from __future__ import annotations

import bisect
import itertools
from typing import NamedTuple

from ..errors import OptionError, ShapeError

MAX_OVERLAP = 0.9


class Window(NamedTuple):
    """A rectangle of pixels.

    Attributes:
        row, col: Its upper left pixel.
        height, width: Its size.
    """

    row: int
    col: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index the last two axes of an array."""
        return slice(self.row, self.row + self.height), slice(self.col, self.col + self.width)


def plan_windows(size: tuple[int, int], window: int, stride: int) -> list[Window]:
    """Cover an image with windows of equal size.

    Args:
        size: Height and width of the image, each at least 1.
        window: Side of a window in pixels, at least 1.
        stride: Step from one window to the next in pixels, 1 to `window`; smaller means more overlap.

    Returns:
        The windows, row by row.

    Raises:
        ShapeError: The image has no pixels.
        OptionError: `window` or `stride` is not a positive whole number, or `stride` exceeds `window`, which would
            leave pixels out.
    """
    height, width = size
    _check_plan(size, window, stride)
    starts = itertools.product(_starts(height, window, stride), _starts(width, window, stride))
    return [Window(row, col, min(window, height), min(window, width)) for row, col in starts]


class ScenePlan(NamedTuple):
    """The windows of a scene: every start of a row with every start of a column.

    Attributes:
        size: Height and width of the scene.
        side: Height and width of every window.
        row_starts: First rows of the windows (R,), ascending.
        col_starts: First columns of the windows (S,), ascending.
    """

    size: tuple[int, int]
    side: int
    row_starts: tuple[int, ...]
    col_starts: tuple[int, ...]


class Strip(NamedTuple):
    """Columns of a scene that are worked off together.

    Attributes:
        start, stop: First column, and the one after the last.
        first, last: Indices into `ScenePlan.col_starts` of the first window that reaches into it, and after the last.
    """

    start: int
    stop: int
    first: int
    last: int


def plan_scene(size: tuple[int, int], window: int, overlap: float) -> ScenePlan:
    """Cover a scene with square windows.

    Args:
        size: Height and width of the scene, each at least 1.
        window: Side of a window in pixels, at least 1; windows get no larger than the longer side of the scene.
        overlap: Share of a window that its neighbour covers too, 0 to 0.9; more means smoother and slower.

    Returns:
        The windows. Those at the end of an axis move back so that they end at the border.

    Raises:
        ShapeError: The scene has no pixels.
        OptionError: `window` or `overlap` is out of range.
    """
    if not 0 <= overlap <= MAX_OVERLAP:  # also false for NaN
        raise OptionError(f"overlap must be a share of the window, 0 to {MAX_OVERLAP}, got {overlap}")
    height, width = size
    _check_plan(size, window, 1)
    side = min(window, max(size))
    stride = max(round(side * (1 - overlap)), 1)
    return ScenePlan(size, side, tuple(_starts(height, side, stride)), tuple(_starts(width, side, stride)))


def plan_strips(plan: ScenePlan, strip_px: int) -> list[Strip]:
    """Cut the columns of a scene into strips.

    Args:
        plan: The windows.
        strip_px: Width of a strip in pixels, at least 1. A cut that is not too far away is moved to the start of a
            window, where only one window has to be computed on both sides (of windows that overlap by half at most).

    Returns:
        The strips from left to right.

    Raises:
        OptionError: `strip_px` is not positive.
    """
    if strip_px < 1:
        raise OptionError(f"a strip must be at least 1 pixel wide, got {strip_px}")
    width, starts = plan.size[1], plan.col_starts
    strips = []
    start = 0
    while start < width:
        stop = min(start + strip_px, width)
        snapped = starts[bisect.bisect_right(starts, stop) - 1]
        if stop < width and snapped > start:
            stop = snapped
        first = bisect.bisect_right(starts, start - plan.side)
        strips.append(Strip(start, stop, first, bisect.bisect_left(starts, stop)))
        start = stop
    return strips


def _check_plan(size: tuple[int, int], window: int, stride: int) -> None:
    height, width = size
    if height < 1 or width < 1:
        raise ShapeError(f"expected an image of at least one pixel, got {height} x {width}")
    if not isinstance(window, int) or not isinstance(stride, int):
        raise OptionError(f"window and stride must be whole numbers of pixels, got {window!r} and {stride!r}")
    if window < 1:
        raise OptionError(f"window must be at least 1 pixel, got {window}")
    if not 1 <= stride <= window:
        raise OptionError(f"stride must be 1 to {window}, the window, so that every pixel is covered; got {stride}")


def _starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows along one axis."""
    last = max(length - window, 0)
    return [*range(0, last, stride), last]
