"""Writing of maps: GeoTIFFs that lie exactly where their source lies.

What ties a raster to the ground (CRS, transform, ground control points) goes from the source to every output as it is.

    labels      uint8, nodata 255, colour table           (uint16, nodata 65535, no colour table beyond 254 classes)
    confidence  float32, 0 to 1, nodata NaN

Class names are stored as dataset tags: `CLASS_NAMES`, a JSON list in label order, and `CLASS_0`, `CLASS_1`, ... (GDAL's
category names and attribute tables would need a second file beside the raster and cannot be written by rasterio.)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from rasterio.windows import Window

from ..errors import OptionError, RasterError, ShapeError
from .output import check_destination, replace_when_complete
from .palette import Color
from .raster import RasterProfile, without_georeference_warning

LABEL_NODATA = 255
WIDE_LABEL_NODATA = 65535
MAX_BYTE_CLASSES = 254


def write_labels(
    path: str | os.PathLike[str],
    labels: np.ndarray,
    profile: RasterProfile,
    classes: Sequence[str],
    colors: Sequence[Color] | None,
    *,
    valid: np.ndarray | None = None,
    tags: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a class map as a tiled, compressed GeoTIFF that lies exactly where its source lies.

    Args:
        path: The file to write; it appears when it is complete.
        labels: Class of each pixel (H0, W0), an integer type, 0 to C - 1.
        profile: Profile of the source.
        classes: Names of the C classes.
        colors: A colour per class; unused beyond 254 classes, where it may be None.
        valid: (H0, W0), bool; pixels that are not valid get the nodata value. None means all are.
        tags: More dataset tags; what is not text is stored as JSON.
        overwrite: Replace an existing file.

    Raises:
        ShapeError: `labels` or `valid` is not of the source's size.
        OptionError: A label has no class, or there is not one colour per class.
        RasterError: The file exists, its folder does not, or writing failed.
    """
    _check_size("labels", labels, profile)
    check_labels(labels, len(classes))
    is_wide = len(classes) > MAX_BYTE_CLASSES
    if not is_wide and (colors is None or len(colors) != len(classes)):
        raise OptionError(
            f"expected one colour for each of {len(classes)} classes, got {len(colors) if colors else 'none'}"
        )
    nodata = WIDE_LABEL_NODATA if is_wide else LABEL_NODATA
    values = labels.astype(np.uint16 if is_wide else np.uint8)
    if valid is not None:
        _check_size("valid", valid, profile)
        values[~valid] = nodata
    table = None
    if colors is not None and not is_wide:
        table = {**{index: (*color, 255) for index, color in enumerate(colors)}, nodata: (0, 0, 0, 0)}
    all_tags = {**_class_tags(classes), **_as_text(tags or {})}
    _write(path, _Map(values, "class", nodata, all_tags, table), profile, overwrite)


def check_labels(labels: np.ndarray, classes: int) -> None:
    """Make sure that every label has a class.

    Args:
        labels: Class of each pixel (H0, W0), an integer type.
        classes: C.

    Raises:
        OptionError: A label is not 0 to C - 1.
    """
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise OptionError(f"expected labels 0 to {classes - 1}, got {labels.min()} to {labels.max()}")


def write_confidence(
    path: str | os.PathLike[str],
    confidence: np.ndarray,
    profile: RasterProfile,
    *,
    valid: np.ndarray | None = None,
    tags: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a map of confidences as a tiled, compressed float32 GeoTIFF with nodata NaN.

    Args:
        path, profile, valid, tags, overwrite: As in `write_labels`.
        confidence: (H0, W0), a floating type, 0 to 1.

    Raises:
        ShapeError: `confidence` or `valid` is not of the source's size.
        RasterError: The file exists, its folder does not, or writing failed.
    """
    _check_size("confidence", confidence, profile)
    values = confidence.astype(np.float32)
    if valid is not None:
        _check_size("valid", valid, profile)
        values[~valid] = np.nan
    _write(path, _Map(values, "confidence", np.nan, _as_text(tags or {}), predictor=3), profile, overwrite)


class _Map(NamedTuple):
    """Pixels of a map (H0, W0) and what is stored with them; predictor 3 is deflate's for floating point."""

    values: np.ndarray
    description: str
    nodata: float
    tags: dict[str, str]
    color_table: dict[int, tuple[int, int, int, int]] | None = None
    predictor: int = 1


def _write(path: str | os.PathLike[str], layer: _Map, profile: RasterProfile, overwrite: bool) -> None:
    """Write a one-band GeoTIFF on the source's grid under a temporary name, read it back, and give it its name."""
    place: dict[str, Any] = {"crs": profile.crs, "transform": profile.transform}
    if profile.transform is None and profile.gcps:
        place = {"crs": profile.gcp_crs, "gcps": list(profile.gcps)}
    options: dict[str, Any] = {
        "driver": "GTiff",
        "height": profile.height,
        "width": profile.width,
        "count": 1,
        "dtype": layer.values.dtype,
        "nodata": layer.nodata,
        "tiled": True,
        "blockxsize": 256,
        "blockysize": 256,
        "compress": "deflate",
        "predictor": layer.predictor,
        "bigtiff": "if_safer",
    }
    target = check_destination(path, profile.path, overwrite=overwrite)
    with replace_when_complete(target) as partial, without_georeference_warning():
        with rasterio.open(partial, "w", **options, **place) as dataset:
            dataset.update_tags(**layer.tags)
            dataset.set_band_description(1, layer.description)
            if layer.color_table is not None:  # before the pixels, or GDAL refuses to store it in the file
                dataset.write_colormap(1, layer.color_table)
            dataset.write(layer.values, 1)
        _check_written(partial, layer.values, target)


def _check_written(partial: Path, values: np.ndarray, target: Path) -> None:
    """Read a file back, because GDAL keeps quiet about a disk that is full when the last blocks are written."""
    is_equal = True
    with rasterio.open(partial) as dataset:
        for start in range(0, len(values), 256):
            rows = values[start : start + 256]
            written = dataset.read(1, window=Window(0, start, rows.shape[1], rows.shape[0]))
            is_equal &= np.array_equal(written, rows, equal_nan=rows.dtype.kind == "f")
    if not is_equal:
        raise RasterError(f"cannot write {target}: what was written differs from what is read back; is the disk full?")


def _check_size(name: str, array: np.ndarray, profile: RasterProfile) -> None:
    if array.shape != profile.size:
        raise ShapeError(f"expected {name} {profile.size} like {profile.path}, got {array.shape}")


def _class_tags(classes: Sequence[str]) -> dict[str, str]:
    """The class names as one JSON list and one by one."""
    names = json.dumps(list(classes), ensure_ascii=False)
    return {"CLASS_NAMES": names, **{f"CLASS_{index}": name for index, name in enumerate(classes)}}


def _as_text(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags as GDAL stores them."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in tags.items()
    }
