"""Options of commands that work on scenes: how these are read, cut into windows, and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from .choice import Choice
from .options import CommandT, grouped

if TYPE_CHECKING:
    from ..geo.access import Access
    from ..geo.options import Outputs, WindowOptions
    from ..geo.reader import ReadOptions


class NumbersType(click.ParamType):
    """Numbers separated by commas.

    Args:
        names: What each is called in the help ("LO,HI").
        kind: `int` or `float`.
    """

    def __init__(self, names: str, kind: type) -> None:
        self.name = names
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Return as many numbers as there are names."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self._kind(part) for part in str(value).split(","))
        except ValueError:
            numbers = ()
        if len(numbers) != len(self.name.split(",")):
            self.fail(f"expected {self.name}, got {value!r}", param, ctx)
        return numbers


class NodataType(click.ParamType):
    """A number, "auto" or "none"."""

    name = "VALUE|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        """Return the number or the word."""
        if value in ("auto", "none") or isinstance(value, float):
            return value
        try:
            return float(value)
        except ValueError:
            self.fail(f"expected a number, auto or none, got {value!r}", param, ctx)


def reading_options(command: CommandT) -> CommandT:
    """Add the options of `ReadOptions` as the argument `reading`."""
    options = {
        "bands": click.option(
            "--bands",
            type=NumbersType("R,G,B", int),
            help="Numbers of red, green and blue, from 1; a grey photograph: 1,1,1  [default: by what the file says]",
        ),
        "percentiles": click.option(
            "--stretch",
            "percentiles",
            type=NumbersType("LO,HI", float),
            help="Percentiles of the scene that become black and white  [default: 2,98; 8-bit values stay]",
        ),
        "value_range": click.option(
            "--range", "value_range", type=NumbersType("LO,HI", float), help="Values that become black and white."
        ),
        "nodata": click.option(
            "--nodata",
            type=NodataType(),
            default="auto",
            help="Value of pixels without data, besides masks; none: no value  [default: the file's]",
        ),
        "alpha": click.option(
            "--alpha",
            type=Choice(("auto", "use", "ignore")),
            default="auto",
            show_default=True,
            help="A band tagged as transparency is a mask (use) or not (ignore); auto looks at its values.",
        ),
        **_access_options(),
    }
    return grouped(command, "reading", _reading_from, options)


def access_options(command: CommandT) -> CommandT:
    """Add --allow-outside and --allow-network as the argument `access`."""
    return grouped(command, "access", _access_from, _access_options())


def _access_options() -> dict[str, Callable[[Any], Any]]:
    return {
        "allow_outside": click.option(
            "--allow-outside",
            is_flag=True,
            help="Trust rasters that refer to files outside of their folder (VRT, netCDF): see docs/security.md.",
        ),
        "allow_network": click.option(
            "--allow-network", is_flag=True, help="Trust rasters that refer to servers (VRT, WMS)."
        ),
    }


def window_options(command: CommandT) -> CommandT:
    """Add --window, --window-m, --overlap, --blending, --batch and --strip as the argument `windows`."""
    options = {
        "window": click.option(
            "--window",
            type=click.IntRange(min=1),
            metavar="PX",
            help="Side of the windows  [default: the network's input, 1008]",
        ),
        "window_m": click.option(
            "--window-m",
            type=click.FloatRange(min=0, min_open=True),
            metavar="M",
            help="Side of the windows in metres on the ground.",
        ),
        "overlap": click.option(
            "--overlap",
            type=click.FloatRange(0, 0.9),
            metavar="SHARE",
            default=0.25,
            show_default=True,
            help="Share of a window that its neighbour covers too.",
        ),
        "blending": click.option(
            "--blending",
            type=Choice(("cosine", "uniform", "centre")),
            default="cosine",
            show_default=True,
            help="How windows count where they overlap.",
        ),
        "batch": click.option(
            "--batch",
            type=click.IntRange(min=1),
            metavar="N",
            default=1,
            show_default=True,
            help="Windows that go through the network together.",
        ),
        "strip_px": click.option(
            "--strip",
            "strip_px",
            type=click.IntRange(min=1),
            metavar="PX",
            help="Width of the strips of wide scenes; less needs less memory  [default: for about 1 GiB]",
        ),
    }
    return grouped(command, "windows", _windows_from, options)


def output_options(command: CommandT) -> CommandT:
    """Add --confidence, --scores, --overlay, --vector, --cog and --no-style as the argument `outputs`."""
    options = {
        "confidence": click.option(
            "--confidence", metavar="FILE", help="Also write the best class score, 0 to 1, as a float32 GeoTIFF."
        ),
        "score_map": click.option(
            "--scores",
            "score_map",
            metavar="FILE",
            help="Also write all class scores as a uint8 GeoTIFF, a band each.",
        ),
        "overlay": click.option(
            "--overlay", metavar="FILE", help="Also write a picture (PNG, JPEG) of the classes with a legend."
        ),
        "vector": click.option(
            "--vector",
            metavar="FILE",
            help="Also write polygons: .gpkg, .fgb, .geojson; more: segearth-ov3 polygonize.",
        ),
        "cog": click.option("--cog", is_flag=True, help="Write cloud-optimised GeoTIFFs."),
        "no_style": click.option("--no-style", is_flag=True, help="No style file for QGIS next to the map."),
    }
    return grouped(command, "outputs", _outputs_from, options)


colors_option = click.option(
    "--colors",
    "colors_file",
    metavar="FILE",
    help="Colours of classes, a line each: building,#dc364c  [default: by their names]",
)


def _reading_from(values: Mapping[str, Any]) -> ReadOptions:
    from ..geo.reader import ReadOptions

    return ReadOptions(**values)


def _access_from(values: Mapping[str, Any]) -> Access:
    from ..geo.access import Access

    return Access(values["allow_outside"], values["allow_network"])


def _windows_from(values: Mapping[str, Any]) -> WindowOptions:
    from ..geo.options import WindowOptions

    return WindowOptions(**values)


def _outputs_from(values: Mapping[str, Any]) -> Outputs:
    from ..geo.options import Outputs

    return Outputs(
        confidence=values["confidence"],
        scores=values["score_map"],
        overlay=values["overlay"],
        vector=values["vector"],
        style=not values["no_style"],
        cog=values["cog"],
    )
