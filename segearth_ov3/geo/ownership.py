"""Which existing files an output may replace: those that this tool wrote.

Recognised are rasters by their tags, vector files by their fields, pictures by their Software entry and style files by
a comment. An empty file holds nothing and may be replaced too.
"""

from __future__ import annotations

import warnings
import xml.etree.ElementTree as Xml
from pathlib import Path
from typing import Literal

import pyogrio
import rasterio
from PIL import ExifTags, Image
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from ..errors import RasterError
from ..version import DEMO_SOFTWARE, SOFTWARE

Overwrite = bool | Literal["force"]

TAG_PREFIX = "SEGEARTH_OV3_"

_RASTERS = (".tif", ".tiff")
_PICTURES = (".png", ".jpg", ".jpeg")
_STYLES = (".qml",)
_POLYGON_FIELDS = {"class", "class_id", "area_m2"}


def check_replaceable(target: Path, overwrite: Overwrite) -> None:
    """Refuse to replace a file that this tool did not write.

    Args:
        target: Output file, which may exist.
        overwrite: "force" replaces any file.

    Raises:
        RasterError: The file exists and is no output of this tool.
    """
    if overwrite == "force" or not target.exists() or target.stat().st_size == 0 or is_own_output(target):
        return
    raise RasterError(
        f"cannot write {target}: it exists and is no output of {SOFTWARE}, and --overwrite replaces only those; choose "
        f"another name, or use --force (overwrite='force') to replace it"
    )


def is_own_output(path: Path) -> bool:
    """Whether this tool wrote a file, as far as the file says so."""
    suffix = path.suffix.lower()
    if suffix in _RASTERS:
        return _is_own_raster(path)
    if suffix in _PICTURES:
        return _is_own_picture(path)
    if suffix in _STYLES:
        return _is_own_style(path)
    return _has_polygon_fields(path)


def picture_metadata() -> Image.Exif:
    """Metadata that marks a picture as an output of this tool, for the argument `exif` of `Image.save`."""
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = SOFTWARE
    return exif


def is_generated_scene(path: Path) -> bool:
    """Whether `segearth-ov3 demo` wrote a raster; to all other commands it is a scene, not an output."""
    return _tags_of(path).get("TIFFTAG_SOFTWARE") == DEMO_SOFTWARE


def _is_own_raster(path: Path) -> bool:
    return any(name.startswith(TAG_PREFIX) for name in _tags_of(path))


def _tags_of(path: Path) -> dict[str, str]:
    """Tags of a raster; none of what is no raster."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver="GTiff") as dataset:  # the only format of own rasters
                return dict(dataset.tags())
    except (RasterioError, UnicodeError):
        return {}


def _is_own_picture(path: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path)
        with picture:
            return SOFTWARE in str(picture.getexif().get(ExifTags.Base.Software, ""))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # Pillow's errors for damaged pictures
        return False


def _is_own_style(path: Path) -> bool:
    """Whether the style has our comment, which QGIS drops when a user saves an edited style."""
    parser = Xml.XMLParser(target=Xml.TreeBuilder(insert_comments=True))
    try:
        root = Xml.parse(path, parser).getroot()
    except (OSError, Xml.ParseError):
        return False
    return any(element.tag is Xml.Comment and element.text == SOFTWARE for element in root)


def _has_polygon_fields(path: Path) -> bool:
    try:
        return set(pyogrio.read_info(path)["fields"]) >= _POLYGON_FIELDS
    except (DataSourceError, DataLayerError, UnicodeError):
        return False
