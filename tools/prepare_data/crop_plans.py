"""Where large images are cut: pure functions of sizes. Windows are x0, y0, x1, y1 in pixels, x1 and y1 excluded.

    grid       starts 0, c, 2c, ...; the last one moved back to end at the border.      <x0>_<y0>_<x1>_<y1>
    sliding    starts 0, step, 2 step, ... while inside; those past the border moved    <y0>_<y1>_<x0>_<x1>
               back; smaller images padded at the bottom and right
    corner     the grid, named by start and size                                        <x0>_<y0>_<c>_<c>
    padded     multiples of c; the last ones padded at the bottom and right             <row>_<column>
    quarters   four parts                                                               <row>_<column>

The published converters for the grid announce a stride, which only sets how many windows fall on the same file name:
there is no such option here, and no overlap but for the last row and column.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from segearth_ov3.errors import DatasetError


class Crop(NamedTuple):
    """A part of an image, and what its file name says about it; it may reach past the image, which means padding."""

    name: str
    x0: int
    y0: int
    x1: int
    y1: int


CropPlan = Callable[[int, int], list[Crop]]


def grid_starts(length: int, side: int) -> list[int]:
    """Starts along one axis: multiples of `side`, and one that ends at the border if there is a rest.

    Raises:
        DatasetError: The image is smaller than a crop.
    """
    if length < side:
        raise DatasetError(f"an image side of {length} pixels is less than a crop's {side}; is this the original file?")
    return sorted({*range(0, length - side + 1, side), length - side})


def sliding_starts(length: int, side: int, step: int) -> list[int]:
    """Starts along one axis of at least `side` pixels: multiples of `step`, those past the border moved back."""
    return sorted({min(start, length - side) for start in range(0, length, step)})


def grid(side: int) -> CropPlan:
    """Square crops without overlap, named by their corners."""

    def plan(width: int, height: int) -> list[Crop]:
        return [Crop(f"{x}_{y}_{x + side}_{y + side}", x, y, x + side, y + side) for x, y in _grid(width, height, side)]

    return plan


def corner(side: int) -> CropPlan:
    """Square crops without overlap, named by start and size."""

    def plan(width: int, height: int) -> list[Crop]:
        return [Crop(f"{x}_{y}_{side}_{side}", x, y, x + side, y + side) for x, y in _grid(width, height, side)]

    return plan


def sliding(width_px: int, height_px: int, overlap_px: int = 0) -> CropPlan:
    """Crops every size - overlap pixels, named rows first; each axis that is too short is padded."""

    def plan(width: int, height: int) -> list[Crop]:
        rows = sliding_starts(max(height, height_px), height_px, height_px - overlap_px)
        columns = sliding_starts(max(width, width_px), width_px, width_px - overlap_px)
        return [
            Crop(f"{y}_{y + height_px}_{x}_{x + width_px}", x, y, x + width_px, y + height_px)
            for y in rows
            for x in columns
        ]

    return plan


def sliding_as_published(side: int, overlap_px: int) -> CropPlan:
    """As `sliding`, with the published converter's fault: an image with one short side and the other exactly `side`
    is not padded, so that its start is negative, which takes the last pixels only."""
    right = sliding(side, side, overlap_px)

    def plan(width: int, height: int) -> list[Crop]:
        if max(width, height) != side or min(width, height) == side:
            return right(width, height)
        x, y = width - side, height - side  # one of them is negative, the other 0
        return [Crop(f"{y}_{height}_{x}_{width}", _from_end(x, width), _from_end(y, height), width, height)]

    return plan


def padded_grid(side: int) -> CropPlan:
    """Square crops without any overlap, named by row and column; the last ones are padded."""

    def plan(width: int, height: int) -> list[Crop]:
        return [
            Crop(f"{y // side}_{x // side}", x, y, x + side, y + side)
            for y in range(0, height, side)
            for x in range(0, width, side)
        ]

    return plan


def quarters(side: int) -> CropPlan:
    """The four quarters of a square of 2 · side pixels."""

    def plan(width: int, height: int) -> list[Crop]:
        if (width, height) != (2 * side, 2 * side):
            raise DatasetError(f"expected images of {2 * side} x {2 * side} pixels, got {width} x {height}")
        return [
            Crop(f"{row}_{column}", column * side, row * side, (column + 1) * side, (row + 1) * side)
            for row in (0, 1)
            for column in (0, 1)
        ]

    return plan


def _from_end(start: int, length: int) -> int:
    """Where a slice with a negative start begins."""
    return max(length + start, 0) if start < 0 else start


def _grid(width: int, height: int, side: int) -> list[tuple[int, int]]:
    """Corners x, y of a grid, row by row."""
    return [(x, y) for y in grid_starts(height, side) for x in grid_starts(width, side)]
