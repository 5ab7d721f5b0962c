"""`segearth-ov3 polygonize`: a label raster in, polygons out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from ..messages import progress_function
from ..table import format_table
from .options import overwrite_option
from .scene_options import access_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..geo.access import Access
    from ..geo.ownership import Overwrite
    from ..geo.polygonize import ClassPolygons


@click.command()
@click.argument("labels")
@click.argument("dst")
@click.option("--confidence", metavar="FILE", help="Raster on the same grid, averaged over each polygon.")
@click.option("--classes", metavar="TEXT", help='Classes to keep, by name or number: "building; road" or "1,2".')
@click.option("--no-background", is_flag=True, help="Leave out the class that is background in LABELS.")
@click.option(
    "--min-area-m2", type=click.FloatRange(min=0), metavar="M2", default=0, help="Leave out polygons that are smaller."
)
@click.option(
    "--simplify",
    type=click.FloatRange(min=0),
    metavar="PX",
    default=0,
    help="Remove corners that stand out by less than about PX pixels; neighbours keep their common border.",
)
@access_options
@overwrite_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
def polygonize(
    labels: str,
    dst: str,
    confidence: str | None,
    classes: str | None,
    no_background: bool,
    min_area_m2: float,
    simplify: float,
    access: Access,
    overwrite: Overwrite,
    quiet: bool,
) -> None:
    """Turn the label raster LABELS into polygons and write them to DST.

    LABELS is a map made by `segearth-ov3 segment`, or any raster with one band of whole numbers. DST ends with .gpkg
    (GeoPackage), .fgb (FlatGeobuf), .geojson (longitude and latitude of WGS 84), or .parquet where GDAL can write it.
    Each connected area is one polygon with its class, area in square metres and, with --confidence, mean confidence.
    The command prints a table of classes, numbers of polygons and areas.

    \b
    Examples:
      segearth-ov3 polygonize classes.tif classes.gpkg
      segearth-ov3 polygonize classes.tif buildings.geojson --classes building --min-area-m2 10 --simplify 1
      segearth-ov3 polygonize classes.tif classes.fgb --no-background --confidence sure.tif --overwrite
    """
    from ..geo.polygonize import polygonize as write_polygons

    with progress_function("polygonizing", "row", quiet=quiet) as show:
        written = write_polygons(
            labels,
            dst,
            confidence=confidence,
            classes=None if classes is None else [name for name in re.split(r"\s*[;,]\s*", classes.strip()) if name],
            keep_background=not no_background,
            min_area_m2=min_area_m2,
            simplify=simplify,
            access=access,
            overwrite=overwrite,
            progress=show,
        )
    click.echo(format_polygons(written))


def format_polygons(written: Sequence[ClassPolygons]) -> str:
    """A table of text: class, number of polygons, hectares."""
    rows = [("class", "polygons", "hectares")]
    for entry in written:
        hectares = "-" if entry.area_m2 is None else f"{entry.area_m2 / 1e4:.4f}"
        rows.append((entry.name, str(entry.polygons), hectares))
    return format_table(rows)
