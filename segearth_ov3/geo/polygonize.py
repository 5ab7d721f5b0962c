"""From a label raster to polygons with attributes, in a file for GIS programs."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from affine import Affine
from rasterio.windows import Window

from ..errors import OptionError, RasterError, RasterWarning
from .access import DEFAULT_ACCESS, Access
from .area import PixelAreas, measure_pixels
from .components import OUTSIDE, Totals
from .coverage import FILL, SimplifiedOutlines
from .gdal import reading
from .labels import LabelRaster, open_labels
from .ownership import Overwrite
from .raster import RasterProfile, open_raster
from .sources import source_files
from .trace import Block, ExactOutlines, Method, Place, trace_polygons
from .vectors import check_vector_destination, write_polygons

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

PathLike = str | os.PathLike[str]

_BLOCK_PIXELS = 2**20
_SIMPLIFY_BLOCK_PIXELS = 2**23  # outlines keep a corner where they leave a block
_METRES_PER_DEGREE = 111_320


class ClassPolygons(NamedTuple):
    """What was written of a class.

    Attributes:
        value: Number of the class.
        name: Its name.
        polygons: How many there are.
        area_m2: Their area on the ground; None where the raster has none.
    """

    value: int
    name: str
    polygons: int
    area_m2: float | None


def polygonize(
    labels: PathLike,
    dst: PathLike,
    *,
    confidence: PathLike | None = None,
    classes: Sequence[str | int] | None = None,
    keep_background: bool = True,
    min_area_m2: float = 0,
    simplify: float = 0,
    access: Access = DEFAULT_ACCESS,
    overwrite: Overwrite = False,
    progress: Callable[[int, int], None] | None = None,
    block_rows: int | None = None,
) -> tuple[ClassPolygons, ...]:
    """Write one polygon for every connected area of a class.

    Pixels are connected over their edges; those without data belong to no polygon. Polygons have the attributes `class`
    (name), `class_id`, `area_m2` and, with a raster of confidences, `confidence`, the mean. `area_m2` is that of the
    pixels by the rule of `geo.area`, whatever is simplified; null where the raster has no area.

    Args:
        labels: Label raster of one band, see `geo.labels.open_labels`. Without a transform, or with control points
            only, coordinates are x = column, y = -row.
        dst: File to write, format by its ending, see `geo.vectors`.
        confidence: Raster on the same grid, whose first band is averaged; None for none.
        classes: Names or numbers of the classes to keep; None keeps all.
        keep_background: False leaves out the background class, as the raster's metadata name it.
        min_area_m2: Smaller polygons are left out; what surrounds them keeps its hole.
        simplify: 0 keeps the edges of pixels. Else corners are removed as long as the triangle that is cut off or added
            has an area, in pixels, below the square of it: 1 straightens staircases. Neighbours keep common borders.
        access: Files and servers that the rasters may refer to, see `geo.access`.
        overwrite: Replace an existing output of this tool; "force": any file.
        progress: Called with finished rows and all rows.
        block_rows: Rows in memory at a time; None chooses. The result depends on it only with `simplify`, as outlines
            keep a corner where they pass from a block to the next.

    Returns:
        Number and area of the polygons of each class that has any, by class number.

    Raises:
        RasterError: A raster cannot be used, `min_area_m2` is given and the raster has no area, or writing failed.
        OptionError: The raster has no such class, none is named, or a number is negative or not finite.

    Warns:
        RasterWarning: There are no areas, or no polygons.

    Example:
        >>> polygonize("classes.tif", "classes.gpkg", keep_background=False, min_area_m2=10)
    """
    for name, value in (("min_area_m2", min_area_m2), ("simplify", simplify)):
        if not 0 <= value < np.inf:
            raise OptionError(f"{name} must be a number of at least 0, got {value}")
    if block_rows is not None and block_rows < 1:
        raise OptionError(f"block_rows must be at least 1, got {block_rows}")
    if classes is not None and not classes:
        raise OptionError("no class is wanted; name at least one in --classes (classes=)")
    with open_labels(labels, access) as source, _open_confidence(confidence, source.profile, access) as sureness:
        profile = source.profile
        crs = profile.crs if profile.transform is not None else None
        more = () if sureness is None else source_files(sureness)
        target = check_vector_destination(dst, profile, sources=more, overwrite=overwrite)
        wanted = None if classes is None else source.find_classes(classes)
        dropped = None if keep_background else _background(source)
        replacement = FILL if simplify else OUTSIDE
        maps = _Maps(source, _measure(profile, min_area_m2), sureness, wanted, dropped, replacement)
        rows = block_rows or max(16, (_SIMPLIFY_BLOCK_PIXELS if simplify else _BLOCK_PIXELS) // profile.width)
        place = _place(profile)
        method: Method = SimplifiedOutlines(simplify, place) if simplify else ExactOutlines(place)

        def keep(totals: Totals) -> np.ndarray:
            # sums in another order differ in their last digits, which must not decide
            return (totals.values != FILL) & (
                maps.areas_of(totals) >= min_area_m2 * (1 - 1e-9) if min_area_m2 else True
            )

        report: dict[int, ClassPolygons] = {}
        with write_polygons(target, crs, _pixel_degrees(profile)) as append:
            for found in trace_polygons(maps.read(rows, progress), profile.width, maps.weights, keep, method):
                append(found.geometry, maps.attributes(found.totals))
                maps.add_to(report, found.totals)
    if not report:
        _warn(f"{labels}: no polygons: no pixel has a wanted class, or all are smaller than the smallest area wanted")
    return tuple(report[value] for value in sorted(report))


class _Maps(NamedTuple):
    """The rasters that are read together, and what their sums over polygons mean.

    Attributes:
        labels: Labels.
        areas: Areas of pixels, or None.
        confidence: Open raster of confidences, or None.
        wanted: Numbers of the classes to keep; None keeps all.
        dropped: Number of a class to leave out, or None.
        replacement: Value of pixels of other classes and without data.
    """

    labels: LabelRaster
    areas: PixelAreas | None
    confidence: DatasetReader | None
    wanted: Sequence[int] | None
    dropped: int | None
    replacement: int

    @property
    def weights(self) -> int:
        """How many maps are summed up: areas, confidences, number of pixels with a confidence."""
        return (self.areas is not None) + 2 * (self.confidence is not None)

    def read(self, rows: int, progress: Callable[[int, int], None] | None) -> Iterator[Block]:
        """The raster in blocks of rows."""
        height, width = self.labels.profile.size
        for start in range(0, height, rows):
            stop = min(start + rows, height)
            labels = self.labels.read_rows(start, stop, self.replacement)
            if self.wanted is not None:
                labels[~np.isin(labels, self.wanted)] = self.replacement
            if self.dropped is not None:
                labels[labels == self.dropped] = self.replacement
            weights = [] if self.areas is None else [self.areas.block(start, stop)]
            if self.confidence is not None:
                with reading(self.confidence.name):
                    values = self.confidence.read(1, window=Window(0, start, width, stop - start), masked=True)
                values = np.ma.masked_invalid(values.astype(np.float64), copy=False)
                weights += [values.filled(0), ~np.ma.getmaskarray(values)]
            yield Block(labels, weights, is_last=stop == height)
            if progress is not None:
                progress(stop, height)

    def areas_of(self, totals: Totals) -> np.ndarray:
        """Areas of components (N,) in square metres, NaN where there are none."""
        return totals.sums[0] if self.areas is not None else np.full(len(totals.values), np.nan)

    def attributes(self, totals: Totals) -> dict[str, np.ndarray]:
        """Columns (N,) of the file."""
        values, inverse = np.unique(totals.values, return_inverse=True)
        names = np.array([self.labels.name_of(int(value)) for value in values], dtype=object)
        columns = {"class": names[inverse], "class_id": totals.values, "area_m2": self.areas_of(totals)}
        if self.confidence is not None:
            total, pixels = totals.sums[-2:]
            columns["confidence"] = np.divide(total, pixels, out=np.full(len(total), np.nan), where=pixels > 0)
        return columns

    def add_to(self, report: dict[int, ClassPolygons], totals: Totals) -> None:
        """Add components to a report."""
        values, inverse, polygons = np.unique(totals.values, return_inverse=True, return_counts=True)
        areas = np.bincount(inverse, self.areas_of(totals), len(values))
        for value, number, area in zip(values.tolist(), polygons.tolist(), areas.tolist()):
            before = report.get(value, ClassPolygons(value, self.labels.name_of(value), 0, 0.0))
            total = None if self.areas is None else (before.area_m2 or 0) + area
            report[value] = before._replace(polygons=before.polygons + number, area_m2=total)


@contextlib.contextmanager
def _open_confidence(path: PathLike | None, profile: RasterProfile, access: Access) -> Iterator[DatasetReader | None]:
    """Open the raster of confidences and make sure that it lies where the labels lie."""
    if path is None:
        yield None
        return
    with open_raster(path, access) as dataset:
        transform = profile.transform or Affine.identity()
        if dataset.shape != profile.size or not dataset.transform.almost_equals(transform, 1e-9):
            raise RasterError(
                f"{path} does not fit {profile.shown}: expected {profile.height} x {profile.width} pixels at the same "
                f"place, found {dataset.height} x {dataset.width}"
                + ("" if dataset.shape != profile.size else " at another one")
            )
        yield dataset


def _background(source: LabelRaster) -> int:
    """Number of the background class."""
    if source.background is None:
        raise OptionError(
            f"{source.profile.shown} does not say which class is background; instead of --no-background "
            f"(keep_background=False) name all others in --classes (classes=)"
        )
    return source.background


def _measure(profile: RasterProfile, min_area_m2: float) -> PixelAreas | None:
    """Areas of the pixels; None, with a warning, if they have none."""
    try:
        return measure_pixels(profile)
    except RasterError as error:
        if min_area_m2:
            raise RasterError(f"{profile.shown}: {error}, so there is no --min-area-m2 (min_area_m2=)") from error
        where = "" if profile.transform is not None else "; coordinates are x = column, y = -row"
        _warn(f"{profile.shown}: {error}{where}")
        return None


def _place(profile: RasterProfile) -> Place:
    """From columns and rows of the lattice to map coordinates."""
    grid = profile.transform or Affine.scale(1, -1)  # as GIS programs show a picture that has no place
    return lambda col, row: (grid.a * col + grid.b * row + grid.c, grid.d * col + grid.e * row + grid.f)


def _pixel_degrees(profile: RasterProfile) -> float:
    """About the shorter side of a pixel in degrees; 1 where map units are no lengths on the Earth."""
    grid, crs = profile.transform, profile.crs
    if grid is None or crs is None or not (crs.is_geographic or crs.is_projected):
        return 1.0
    side = min(np.hypot(grid.a, grid.d), np.hypot(grid.b, grid.e))
    if not crs.is_geographic:
        side *= crs.linear_units_factor[1] / _METRES_PER_DEGREE
    return float(side)


def _warn(message: str) -> None:
    warnings.warn(message, RasterWarning, stacklevel=4)
