"""Windows of a scene and smooth random fields that have the same values in every window.

Scene coordinates are metres, x to the east (columns), y to the south (rows), from the upper left corner.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FloatArray = NDArray[np.floating]


class Window(NamedTuple):
    """A rectangle of pixels of a scene; row and col may be negative, where a border is rendered along."""

    row: int
    col: int
    height: int
    width: int
    res_m: float

    @property
    def bounds_m(self) -> tuple[float, float, float, float]:
        """Left, upper, right and lower edge (x0, y0, x1, y1) in metres."""
        x0, y0 = self.col * self.res_m, self.row * self.res_m
        return x0, y0, x0 + self.width * self.res_m, y0 + self.height * self.res_m


class Field:
    """A smooth field, stored on a coarse grid that reaches `margin_m` beyond the scene on every side."""

    def __init__(self, grid: FloatArray, cell_m: float, margin_m: float) -> None:
        """Keep the grid (rows, cols); the centre of its first cell lies at -margin_m + cell_m / 2."""
        self.grid, self.cell_m, self.margin_m = grid, cell_m, margin_m
        self._image = Image.fromarray(grid)

    def window(self, window: Window) -> FloatArray:
        """Values at the pixel centres of a window (h, w), by cubic interpolation."""
        x0, y0, x1, y1 = ((edge + self.margin_m) / self.cell_m for edge in window.bounds_m)
        size = (window.width, window.height)
        return np.array(self._image.resize(size, Image.Resampling.BICUBIC, box=(x0, y0, x1, y1)))

    def at(self, x: NDArray, y: NDArray) -> FloatArray:
        """Values at points given in metres, by linear interpolation; points outside take the nearest value."""
        rows, cols = self.grid.shape
        col = np.clip((x + self.margin_m) / self.cell_m - 0.5, 0, cols - 1.001)
        row = np.clip((y + self.margin_m) / self.cell_m - 0.5, 0, rows - 1.001)
        c, r = col.astype(np.intp), row.astype(np.intp)
        fc, fr = col - c, row - r
        upper = self.grid[r, c] * (1 - fc) + self.grid[r, c + 1] * fc
        lower = self.grid[r + 1, c] * (1 - fc) + self.grid[r + 1, c + 1] * fc
        return (upper * (1 - fr) + lower * fr).astype(np.float32)


def grid_shape(extent_m: tuple[float, float], cell_m: float, margin_m: float) -> tuple[int, int]:
    """Rows and columns of a grid that covers (height, width) metres and the margin around."""
    rows, cols = (math.ceil((side + 2 * margin_m) / cell_m) + 2 for side in extent_m)
    return rows, cols


def random_field(
    rng: np.random.Generator, extent_m: tuple[float, float], wavelength_m: float, margin_m: float
) -> Field:
    """Field of zero mean and about unit deviation whose bumps are `wavelength_m` apart.

    Args:
        rng: Source of the random numbers.
        extent_m: Height and width of the scene.
        wavelength_m: Distance of the random values that are interpolated.
        margin_m: How far beyond the scene the field must reach.

    Returns:
        The field.
    """
    shape = grid_shape(extent_m, wavelength_m, margin_m)
    return Field(1.3 * rng.standard_normal(shape, dtype=np.float32), wavelength_m, margin_m)
