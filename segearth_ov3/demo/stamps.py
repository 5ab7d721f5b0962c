"""Rotated rectangles and discs to pixels: all objects of a kind at once, exactly the pixel centres inside.

A table is a structured array with the columns x, y (metres), angle (radians, from x towards y), half_length (along
the angle) and half_width; discs have x, y and radius. Pixels are flat indices into the window.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .fields import FloatArray, Window

RECT = "x y angle half_length half_width"


class Stamps(NamedTuple):
    """The pixels under the objects of a table; a pixel occurs once for each object over it.

    Attributes:
        pixel: Flat index into the window (n,).
        owner: Row of the table (n,).
        u: Metres from the centre along the object's length (n,); for discs towards the east.
        v: Metres from the centre across (n,); for discs towards the south.
    """

    pixel: NDArray[np.intp]
    owner: NDArray[np.intp]
    u: FloatArray
    v: FloatArray

    def keep(self, mask: NDArray[np.bool_]) -> Stamps:
        """The stamps where the mask (n,) is true."""
        return Stamps(self.pixel[mask], self.owner[mask], self.u[mask], self.v[mask])


def expand(counts: NDArray) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Repeat each index i counts[i] times: (owner, position among the owner's repeats)."""
    counts = np.maximum(counts, 0).astype(np.intp)
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def rect_stamps(rects: NDArray, window: Window) -> Stamps:
    """Pixels whose centre lies in the rectangles.

    Args:
        rects: Table with the columns of `RECT` (N,).
        window: Where to draw.

    Returns:
        The stamps, rectangles in the order of the table.
    """
    res = window.res_m
    near = _near(rects, rects["half_length"] + rects["half_width"], window)
    rects = rects[near]
    cx, cy = rects["x"] / res - window.col - 0.5, rects["y"] / res - window.row - 0.5
    length, width = rects["half_length"] / res, rects["half_width"] / res
    cos, sin = np.cos(rects["angle"]), np.sin(rects["angle"])
    cos = np.where(np.abs(cos) < 1e-6, np.float32(1e-6), cos)
    sin = np.where(np.abs(sin) < 1e-6, np.float32(1e-6), sin)
    i, row = _rows(cy, np.abs(length * sin) + np.abs(width * cos), window)
    dy = row - cy[i]
    # the columns of a row that satisfy |u| <= length and those that satisfy |v| <= width are two intervals
    middle_u, half_u = -dy * sin[i] / cos[i], np.abs(length / cos)[i]
    middle_v, half_v = dy * cos[i] / sin[i], np.abs(width / sin)[i]
    left = np.maximum(middle_u - half_u, middle_v - half_v)
    right = np.minimum(middle_u + half_u, middle_v + half_v)
    pixel, span, dx = _fill_rows(cx[i], row, left, right, window)
    owner = i[span]
    dy = dy[span]
    u = (dx * cos[owner] + dy * sin[owner]) * res
    v = (dy * cos[owner] - dx * sin[owner]) * res
    return Stamps(pixel, near[owner], u.astype(np.float32), v.astype(np.float32))


def disc_stamps(discs: NDArray, window: Window) -> Stamps:
    """Pixels whose centre lies in the discs of a table with the columns x, y and radius (N,)."""
    res = window.res_m
    near = _near(discs, discs["radius"], window)
    discs = discs[near]
    cx, cy = discs["x"] / res - window.col - 0.5, discs["y"] / res - window.row - 0.5
    radius = discs["radius"] / res
    i, row = _rows(cy, radius, window)
    dy = row - cy[i]
    half = np.sqrt(np.maximum(radius[i] ** 2 - dy**2, 0))
    pixel, span, dx = _fill_rows(cx[i], row, -half, half, window)
    return Stamps(pixel, near[i[span]], (dx * res).astype(np.float32), (dy[span] * res).astype(np.float32))


def _near(table: NDArray, reach_m: NDArray, window: Window) -> NDArray[np.intp]:
    """Rows of a table whose objects may touch the window."""
    x0, y0, x1, y1 = window.bounds_m
    x, y = table["x"], table["y"]
    inside = (x + reach_m >= x0) & (x - reach_m <= x1) & (y + reach_m >= y0) & (y - reach_m <= y1)
    return np.flatnonzero(inside)


def _rows(cy: NDArray, reach: NDArray, window: Window) -> tuple[NDArray[np.intp], NDArray]:
    """Pixel rows between cy - reach and cy + reach: (object, row)."""
    first = np.maximum(np.ceil(cy - reach), 0)
    last = np.minimum(np.floor(cy + reach), window.height - 1)
    owner, step = expand(last - first + 1)
    return owner, first[owner] + step


def _fill_rows(
    cx: NDArray, row: NDArray, left: NDArray, right: NDArray, window: Window
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray]:
    """Pixels of spans [cx + left, cx + right], one per row: (flat index, span, column offset from cx)."""
    start = np.maximum(np.ceil(cx + left), 0)
    stop = np.minimum(np.floor(cx + right), window.width - 1)
    span, step = expand(stop - start + 1)
    col = start[span] + step
    pixel = row[span].astype(np.intp) * window.width + col.astype(np.intp)
    return pixel, span, col - cx[span]


def highest(pixel: NDArray[np.intp], height: FloatArray, surface: FloatArray) -> NDArray[np.bool_]:
    """Raise a surface to the stamps that stand above it, and tell which stamps are now on top.

    Args:
        pixel: Flat indices (n,), repeated where stamps overlap.
        height: Height of each stamp (n,).
        surface: Flat surface (h*w,), raised in place.

    Returns:
        True for the stamps that are on top and above what was there (n,).
    """
    height = height.astype(np.float32, copy=False)  # else equality with the surface fails
    before = surface[pixel]
    np.maximum.at(surface, pixel, height)
    return (height == surface[pixel]) & (height > before)
