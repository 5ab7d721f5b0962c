"""Writing of polygons with attributes, piece by piece, in formats that GIS programs open.

    .gpkg            GeoPackage
    .fgb             FlatGeobuf
    .geojson, .json  GeoJSON of RFC 7946: WGS 84, longitude and latitude
    .parquet         GeoParquet, where GDAL has the driver (that of pyogrio's packages on PyPI has not)

GDAL appends to GeoPackage only; files of other formats are made from one.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import shapely
from pyogrio import raw
from pyogrio.errors import DataLayerError, DataSourceError

from ..errors import RasterError
from .geojson import check_longitudes, geojson_options, keep_only_polygons
from .output import check_destination, disk_full_hint, explain, replace_when_complete, with_final_name
from .ownership import Overwrite

if TYPE_CHECKING:
    from rasterio.crs import CRS

    from .raster import RasterProfile

DRIVERS = {
    ".gpkg": "GPKG",
    ".fgb": "FlatGeobuf",
    ".geojson": "GeoJSON",
    ".json": "GeoJSON",
    ".parquet": "Parquet",
}

_STORE_LAYER = "polygons"
_COLLECTED_COORDINATES = 2**20

Append = Callable[[np.ndarray, Mapping[str, np.ndarray]], None]


def check_vector_destination(
    path: str | os.PathLike[str],
    profile: RasterProfile,
    *,
    sources: Sequence[str | os.PathLike[str]] = (),
    overwrite: Overwrite = False,
) -> Path:
    """Make sure that polygons of a raster can be written, before any computing.

    Args:
        path: The file to be written; its ending chooses the format.
        profile: The raster. None of its files may be replaced.
        sources: More files that must not be replaced.
        overwrite: As in `output.check_destination`.

    Returns:
        `path`.

    Raises:
        RasterError: As in `output.check_destination`; pyogrio would write another file; GDAL has no driver for the
            format; GeoJSON is wanted of a raster without longitudes and latitudes; another program has the file open.
    """
    _check_plain(Path(path))
    target = check_destination(path, (*profile.files, *sources), overwrite=overwrite, suffixes=tuple(DRIVERS))
    driver = DRIVERS[target.suffix.lower()]
    drivers = pyogrio.list_drivers(write=True)
    for needed in dict.fromkeys((driver, "GPKG")):  # all files are made from a GeoPackage
        if "w" not in drivers.get(needed, ""):
            raise RasterError(
                f"cannot write {target}: GDAL {pyogrio.__gdal_version_string__} of the installed pyogrio has no driver "
                f"{needed}; choose .gpkg, .fgb or .geojson, or install pyogrio from conda-forge"
            )
    if driver == "GeoJSON":
        check_longitudes(target, profile)
    journal = target.with_name(target.name + "-wal")
    if journal.exists():  # SQLite would mix it into the new file
        raise RasterError(f"cannot write {target}: another program has it open ({journal} exists); close it there")
    return target


def _check_plain(target: Path) -> None:
    """Refuse a path that pyogrio takes for a URL, because it would write another file.

    pyogrio parses every path: it takes what precedes a "!" for an archive, and drops line breaks, tabs and what follows
    a ";".
    """
    if re.search(r"[!\t\r\n]|;[^/]*$", os.fspath(target)):
        raise RasterError(
            f"cannot write {str(target)!a}: paths of polygons must not contain !, line breaks or tabs, nor file names "
            f"a semicolon; choose another"
        )


@contextlib.contextmanager
def write_polygons(target: Path, crs: CRS | None, pixel_degrees: float) -> Iterator[Append]:
    """Write polygons to a file that appears when it is complete.

    Args:
        target: The file, as `check_vector_destination` returned it.
        crs: Coordinate reference system of the coordinates, or None.
        pixel_degrees: About the side of a pixel in degrees; GeoJSON is rounded to a tenth of it or finer.

    Yields:
        A function that appends N polygons (N,) with columns of attributes (N,); NaN becomes null. To be called at least
        once, also if there are none, so that the columns are known.

    Raises:
        RasterError: Writing failed; nothing is left.
    """
    driver = DRIVERS[target.suffix.lower()]
    with replace_when_complete(target) as partial, _write_errors(target, partial):
        if driver == "GPKG":
            store = _GeoPackage(partial, layer_name(target), crs, has_index=True)
        else:
            store = _GeoPackage(partial.with_name("store.gpkg"), _STORE_LAYER, crs, has_index=False)
        yield store.append
        store.flush()
        if driver != "GPKG":
            _convert(store.path, partial, driver, pixel_degrees)
        if pyogrio.read_info(partial, force_feature_count=True)["features"] != store.polygons:
            hint = disk_full_hint(target.parent)
            raise RasterError(f"cannot write {target}: polygons are missing when it is read back{hint}")


def layer_name(target: Path) -> str:
    """Name the layer of a file: as the file, without what GeoPackage and SQLite reserve or refuse at its beginning."""
    return re.sub(r"^((gpkg|sqlite_|rtree_|ogr_)_*|\W)+", "", target.stem, flags=re.IGNORECASE) or _STORE_LAYER


class _GeoPackage:
    """A GeoPackage that grows; opening it takes long, so polygons are collected before each write."""

    def __init__(self, path: Path, layer: str, crs: CRS | None, has_index: bool) -> None:
        self.path, self.polygons = path, 0
        self._options: dict[str, Any] = {"layer": layer, "crs": crs.to_wkt() if crs else None}
        self._creation = {"SPATIAL_INDEX": "YES" if has_index else "NO"}
        self._batches: list[tuple[np.ndarray, Mapping[str, np.ndarray]]] = []
        self._coordinates = 0

    def append(self, polygons: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
        """Take polygons (N,) and their attributes (N,)."""
        self._batches.append((polygons, columns))
        self._coordinates += int(shapely.get_num_coordinates(polygons).sum())
        if self._coordinates >= _COLLECTED_COORDINATES:
            self.flush()

    def flush(self) -> None:
        """Write what was collected."""
        if not self._batches:
            return
        polygons = np.concatenate([batch for batch, _ in self._batches])
        names = list(self._batches[0][1])
        columns = [np.concatenate([columns[name] for _, columns in self._batches]) for name in names]
        is_new = not self.path.exists()
        with _without_crs_warning():
            raw.write(
                self.path,
                shapely.to_wkb(polygons),
                columns,
                names,
                driver="GPKG",
                geometry_type="Polygon",
                append=not is_new,
                **self._options,
                **(self._creation if is_new else {}),
            )
        self.polygons += len(polygons)
        self._batches, self._coordinates = [], 0


def _convert(store: Path, partial: Path, driver: str, pixel_degrees: float) -> None:
    """Copy a GeoPackage to another format, some polygons at a time."""
    options = geojson_options(pixel_degrees) if driver == "GeoJSON" else {}
    with raw.open_arrow(store) as (meta, stream), _without_crs_warning():
        raw.write_arrow(
            stream,
            partial,
            driver=driver,
            layer=partial.stem,
            geometry_name=meta["geometry_name"],
            geometry_type="Polygon",
            crs=meta["crs"],
            **options,
        )
    if driver == "GeoJSON":
        keep_only_polygons(partial)


@contextlib.contextmanager
def _write_errors(target: Path, partial: Path) -> Iterator[None]:
    """Turn what pyogrio raises into an error of this package, with the final name."""
    try:
        yield
    except (DataSourceError, DataLayerError) as error:
        raise RasterError(
            with_final_name(f"cannot write {target}: {explain(error, target.parent)}", partial)
        ) from error


@contextlib.contextmanager
def _without_crs_warning() -> Iterator[None]:
    """Keep pyogrio from warning about a missing coordinate reference system, which the report names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        yield
