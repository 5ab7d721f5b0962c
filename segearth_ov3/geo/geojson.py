"""GeoJSON of RFC 7946: longitudes and latitudes of WGS 84, polygons cut where they cross 180 degrees.

GDAL transforms and cuts. Not every raster has longitudes and latitudes, so some of its pixels are tried first.
"""

from __future__ import annotations

import io
import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from affine import Affine
from pyogrio import raw
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError

from ..errors import RasterError

if TYPE_CHECKING:
    from .raster import RasterProfile

_MIN_DIGITS = 7  # of degrees: 1 cm
_MAX_DIGITS = 12
_COLLECTION = '"GeometryCollection"'
_TRIED_NODES = 33  # pixels per row and per column that are tried
_OTHER_FORMATS = "choose .gpkg or .fgb, which keep the coordinates of the raster"


def check_longitudes(target: Path, profile: RasterProfile) -> None:
    """Make sure that the pixels of a raster have longitudes and latitudes: write a grid of them to memory.

    Args:
        target: The GeoJSON file to be written, for messages.
        profile: The raster.

    Raises:
        RasterError: The raster has no coordinate reference system, none that can be transformed to WGS 84, or pixels
            that lie outside of the Earth.
    """
    if profile.crs is None or profile.transform is None:
        raise RasterError(
            f"cannot write {target}: GeoJSON has longitudes and latitudes, and {profile.shown} has no coordinate "
            f"reference system; choose .gpkg or .fgb"
        )
    no_way = RasterError(
        f"cannot write {target}: GeoJSON has longitudes and latitudes of WGS 84, and the coordinate reference system "
        f"of {profile.shown} cannot be transformed to it; {_OTHER_FORMATS}"
    )
    outside = RasterError(
        f"cannot write {target}: GeoJSON has longitudes and latitudes, and parts of {profile.shown} lie outside of the "
        f"Earth; {_OTHER_FORMATS}"
    )
    try:
        written = _write_and_read(_some_pixels(profile.transform, profile.size), profile.crs.to_wkt())
    except FeatureError as error:
        raise outside from error
    except (DataSourceError, DataLayerError) as error:
        raise no_way from error
    if (shapely.get_dimensions(written) == 1).any():  # lines, of coordinates from the Earth's centre
        raise no_way
    if shapely.is_empty(written).any() or not shapely.box(-180, -90, 180, 90).covers(written).all():
        raise outside


def _write_and_read(polygons: np.ndarray, crs: str) -> np.ndarray:
    """Write polygons (N,) as GeoJSON to memory and return what was written (N,)."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an error follows
        raw.write(
            file,
            shapely.to_wkb(polygons),
            [],
            [],
            driver="GeoJSON",
            layer="tried",
            geometry_type="Polygon",
            crs=crs,
            **geojson_options(10.0**-_MAX_DIGITS),
        )
    geometries = [json.dumps(feature["geometry"]) for feature in json.loads(file.getvalue())["features"]]
    written: np.ndarray = shapely.from_geojson(geometries)
    return written


def _some_pixels(grid: Affine, size: tuple[int, int]) -> np.ndarray:
    """Outlines (N,) of pixels at a grid of nodes that includes all borders of the raster, in map coordinates."""
    rows, cols = (np.unique(np.linspace(0, length - 1, min(length, _TRIED_NODES)).round()) for length in size)
    row, col = (nodes.ravel() for nodes in np.meshgrid(rows, cols, indexing="ij"))
    corners = np.array([(0, 0), (0, 1), (1, 1), (1, 0)])  # (4, 2) as (row, col)
    corner_rows, corner_cols = row[:, None] + corners[:, 0], col[:, None] + corners[:, 1]  # (N, 4)
    x = grid.a * corner_cols + grid.b * corner_rows + grid.c
    y = grid.d * corner_cols + grid.e * corner_rows + grid.f
    outlines: np.ndarray = shapely.polygons(np.stack([x, y], axis=-1))
    return outlines


def geojson_options(pixel_degrees: float) -> dict[str, str]:
    """Options of GDAL's driver: RFC 7946, coordinates rounded to a tenth of a pixel of `pixel_degrees` or finer."""
    digits = int(np.ceil(-np.log10(pixel_degrees / 10)))
    return {"RFC7946": "YES", "COORDINATE_PRECISION": str(np.clip(digits, _MIN_DIGITS, _MAX_DIGITS))}


def keep_only_polygons(file: Path) -> None:
    """Remove the points and lines that GDAL leaves where a polygon touches the cut, in place.

    Args:
        file: GeoJSON as GDAL writes it: a feature per line.
    """
    with file.open(encoding="utf-8") as lines:
        if not any(_COLLECTION in line for line in lines):
            return
    kept = file.with_name(f"kept-{file.name}")
    with file.open(encoding="utf-8") as lines, kept.open("w", encoding="utf-8", newline="\n") as target:
        for line in lines:
            target.write(_with_polygons(line) if _COLLECTION in line else line)
    os.replace(kept, file)


def _with_polygons(line: str) -> str:
    """A line of the file, whose feature has a Polygon or a MultiPolygon in place of a collection."""
    content = line.rstrip("\n")
    comma = "," if content.endswith(",") else ""
    feature: dict[str, Any] = json.loads(content.removesuffix(","))
    geometry = feature["geometry"]
    if geometry["type"] == "GeometryCollection":  # else a class has this name
        parts: list[Any] = []
        for part in geometry["geometries"]:
            if part["type"] == "Polygon":
                parts.append(part["coordinates"])
            elif part["type"] == "MultiPolygon":
                parts += part["coordinates"]
        is_one = len(parts) == 1
        feature["geometry"] = {
            "type": "Polygon" if is_one else "MultiPolygon",
            "coordinates": parts[0] if is_one else parts,
        }
    return json.dumps(feature, ensure_ascii=False) + comma + "\n"
