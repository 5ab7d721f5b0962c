"""Area of pixels on the ground, in square metres.

A pixel of a projected map has the area that the map gives it, as in every GIS, as long as the projection keeps areas
to within 0.5 %: UTM, national grids and equal-area maps do. Elsewhere the map is not to be trusted (Web Mercator shows
60° north four times too large, degrees are no measure at all), and each pixel's area on the ellipsoid is taken instead.
It is found by projecting the pixel's corners to a cylindrical equal-area map of WGS 84, for a grid of pixels; areas
change smoothly, so those in between are interpolated.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from rasterio.crs import CRS
from rasterio.warp import transform as transform_points

from ..errors import RasterError
from .output import GDAL_ERRORS, first_cause
from .raster import RasterProfile

_EQUAL_AREA = "+proj=cea +lon_0=0 +lat_ts=0 +ellps=WGS84 +units=m +no_defs"
_WORLD_WIDTH_M = 2 * np.pi * 6378137.0  # of that map
_MAX_DISTORTION = 0.005
_MAX_NODES = (257, 33)  # rows and columns of the grid
_OFF_THE_EARTH = "no areas: parts of the image cannot be placed on the Earth"


@dataclasses.dataclass(frozen=True)
class PixelAreas:
    """Area of every pixel of a raster, known at a grid of nodes.

    Attributes:
        rows: Pixel rows of the nodes (R,), ascending.
        cols: Pixel columns of the nodes (S,), ascending.
        nodes_m2: Areas there (R, S), float64.
        width: Columns of the raster.
    """

    rows: np.ndarray
    cols: np.ndarray
    nodes_m2: np.ndarray
    width: int

    @property
    def uniform_m2(self) -> float | None:
        """The area of every pixel, if all have the same."""
        return float(self.nodes_m2[0, 0]) if self.nodes_m2.min() == self.nodes_m2.max() else None

    def block(self, start: int, stop: int) -> np.ndarray:
        """Areas of the pixels in rows `start` to `stop` - 1, (stop - start, width), float64, in square metres."""
        if self.uniform_m2 is not None:
            return np.broadcast_to(self.uniform_m2, (stop - start, self.width))
        wanted_rows = np.arange(start, stop)
        by_row = np.stack([np.interp(wanted_rows, self.rows, column) for column in self.nodes_m2.T])  # (S, rows)
        wanted_cols = np.arange(self.width)
        return np.stack([np.interp(wanted_cols, self.cols, row) for row in by_row.T])  # (rows, width)


def measure_pixels(profile: RasterProfile) -> PixelAreas:
    """Find the area of every pixel of a raster.

    Args:
        profile: Where the raster lies. Any transform (rotated, south up) and any CRS that is geographic or projected.

    Returns:
        The areas.

    Raises:
        RasterError: The raster has no area on the ground: no CRS, no transform, control points only, a local system,
            or pixels outside of the Earth. The message is the reason.
    """
    if profile.transform is None:
        raise RasterError(f"no areas: the image is {_georeference(profile)}")
    if profile.crs is None:
        raise RasterError("no areas: the image has a transform but no coordinate reference system")
    if not (profile.crs.is_geographic or profile.crs.is_projected):
        raise RasterError("no areas: the coordinate reference system is neither geographic nor projected")
    rows, cols = (
        np.unique(np.linspace(0, length - 1, min(length, most)).round())
        for length, most in zip(profile.size, _MAX_NODES)
    )
    true_m2 = _true_areas(profile, rows, cols)
    if profile.crs.is_projected:
        map_m2 = abs(profile.transform.determinant) * profile.crs.linear_units_factor[1] ** 2
        if np.abs(map_m2 / true_m2 - 1).max() < _MAX_DISTORTION:
            true_m2 = np.full_like(true_m2, map_m2)
    return PixelAreas(rows, cols, true_m2, profile.width)


def sum_by_class(
    labels: np.ndarray, valid: np.ndarray | None, classes: int, areas: PixelAreas, first_row: int = 0
) -> np.ndarray:
    """Add up the area of each class.

    Args:
        labels: Class of each pixel (n, W0), an integer type, 0 to C - 1; any value where not valid.
        valid: (n, W0), bool, pixels to count; None counts all.
        classes: C.
        areas: Areas of the pixels.
        first_row: Row of the raster that `labels` begins with.

    Returns:
        (C,), float64, in square metres.
    """
    sums = np.zeros(classes)
    for start in range(0, len(labels), 256):
        block = slice(start, min(start + 256, len(labels)))
        counted = slice(None) if valid is None else valid[block]
        weights = areas.block(first_row + block.start, first_row + block.stop)[counted].ravel()
        sums += np.bincount(labels[block][counted].ravel(), weights=weights, minlength=classes)
    return sums


def _georeference(profile: RasterProfile) -> str:
    """Describe how an image without a transform is placed on the ground."""
    if profile.gcps:
        return "georeferenced by control points only"
    if profile.rpcs is not None:
        return "georeferenced by RPCs only (orthorectify it to get areas)"
    return "not georeferenced"


def _true_areas(profile: RasterProfile, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """Area on the ellipsoid of the pixels at every crossing of `rows` and `cols`, (R, S), in square metres."""
    assert profile.transform is not None
    corners = np.array([(0, 0), (1, 1), (1, 0), (0, 1)])  # (4, 2) as (row, col): two diagonals
    corner_rows = rows[:, None, None] + corners[:, 0]  # (R, 1, 4)
    corner_cols = cols[None, :, None] + corners[:, 1]  # (1, S, 4)
    grid = profile.transform
    x = grid.a * corner_cols + grid.b * corner_rows + grid.c  # (R, S, 4)
    y = grid.d * corner_cols + grid.e * corner_rows + grid.f
    try:
        equal_x, equal_y = transform_points(profile.crs, CRS.from_string(_EQUAL_AREA), x.ravel(), y.ravel())
    except GDAL_ERRORS as error:
        if "coordinate operations" in first_cause(error):
            raise RasterError(
                "no areas: the coordinate reference system cannot be placed on the Earth (is it of another planet?)"
            ) from error
        raise RasterError(_OFF_THE_EARTH) from error
    flat = np.array([equal_x, equal_y]).reshape(2, *x.shape)  # (2, R, S, 4)
    if not np.isfinite(flat).all():
        raise RasterError(_OFF_THE_EARTH)
    first, second = flat[..., 1] - flat[..., 0], flat[..., 3] - flat[..., 2]  # (2, R, S) each
    for diagonal in (first, second):  # across the date line one end may lie on the other side of the map
        diagonal[0] = (diagonal[0] + _WORLD_WIDTH_M / 2) % _WORLD_WIDTH_M - _WORLD_WIDTH_M / 2
    areas = np.abs(first[0] * second[1] - first[1] * second[0]) / 2  # (R, S)
    if not (areas > 0).all():
        raise RasterError(_OFF_THE_EARTH)
    return areas
