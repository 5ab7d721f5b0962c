"""Sliding windows over an image, as integers only.

A window is (row, col, height, width) in pixels, the upper left corner first. Windows start at 0, stride, 2 stride, ...;
the last one of a row or column moves back so that it ends at the border:

    size 10, window 4, stride 3         0 1 2 3 4 5 6 7 8 9
                                        └─────┘
                                              └─────┘
                                                    └─────┘

An image that is smaller than the window along an axis is covered by one window of its own length there.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from ..errors import OptionError, ShapeError


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
    if height < 1 or width < 1:
        raise ShapeError(f"expected an image of at least one pixel, got {height} x {width}")
    if not isinstance(window, int) or not isinstance(stride, int):
        raise OptionError(f"window and stride must be whole numbers of pixels, got {window!r} and {stride!r}")
    if window < 1:
        raise OptionError(f"window must be at least 1 pixel, got {window}")
    if not 1 <= stride <= window:
        raise OptionError(f"stride must be 1 to {window}, the window, so that every pixel is covered; got {stride}")
    starts = itertools.product(_starts(height, window, stride), _starts(width, window, stride))
    return [Window(row, col, min(window, height), min(window, width)) for row, col in starts]


def _starts(length: int, window: int, stride: int) -> list[int]:
    """First pixels of the windows along one axis."""
    last = max(length - window, 0)
    return [*range(0, last, stride), last]
