"""Style files of QGIS: with `classes.qml` next to it, `classes.tif` opens with names and colours in the legend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from ..version import SOFTWARE
from .output import replace_when_complete
from .palette import Color

_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"
_OLDEST_QGIS = "3.4"
STYLE_SUFFIX = ".qml"


def style_path(class_map: Path) -> Path:
    """Where QGIS looks for the style of a raster."""
    return class_map.with_suffix(STYLE_SUFFIX)


def render_style(classes: Sequence[str], colors: Sequence[Color]) -> str:
    """The style of a class map as XML: a palette with an entry for each class.

    Args:
        classes: Names of the C classes.
        colors: A colour per class.
    """
    qgis = Xml.Element("qgis", version=_OLDEST_QGIS, styleCategories="Symbology")
    qgis.append(Xml.Comment(SOFTWARE))  # see `ownership.is_own_output`
    pipe = Xml.SubElement(qgis, "pipe")
    renderer = Xml.SubElement(pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1")
    Xml.SubElement(renderer, "rasterTransparency")
    palette = Xml.SubElement(renderer, "colorPalette")
    for index, (name, (red, green, blue)) in enumerate(zip(classes, colors)):
        color = f"#{red:02x}{green:02x}{blue:02x}"
        Xml.SubElement(palette, "paletteEntry", value=str(index), color=color, alpha="255", label=name)
    Xml.SubElement(pipe, "brightnesscontrast", brightness="0", contrast="0")
    Xml.SubElement(pipe, "huesaturation", saturation="0", grayscaleMode="0", colorizeOn="0")
    # between the pixels of a class map there is nothing
    Xml.SubElement(pipe, "rasterresampler", maxOversampling="2", zoomedInResampler="nearestneighbour")
    Xml.SubElement(qgis, "blendMode").text = "0"
    Xml.indent(qgis)
    return _DOCTYPE + Xml.tostring(qgis, encoding="unicode") + "\n"


def write_style(path: Path, classes: Sequence[str], colors: Sequence[Color]) -> None:
    """Write the style file `path`; arguments as in `render_style`.

    Raises:
        RasterError: It cannot be written.
    """
    with replace_when_complete(path) as partial:
        partial.write_text(render_style(classes, colors), encoding="utf-8")
