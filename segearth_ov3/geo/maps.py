"""Writing of maps, a band of rows at a time: GeoTIFFs that lie exactly where their source lies.

What ties a raster to the ground (CRS, transform, ground control points, RPCs) goes from the source to every output as
it is.

    labels      uint8, nodata 255, colour table           (uint16, nodata 65535, no colour table beyond 254 classes)
    confidence  float32, 0 to 1, nodata NaN
    scores      uint8, a band per class, 0 to 254 for 0 to 1 (the scale is stored), nodata 255

Class names are stored as dataset tags: `CLASS_NAMES`, a JSON list in label order, and `CLASS_0`, `CLASS_1`, ... (GDAL's
category names and attribute tables would need a second file next to the raster and cannot be written by rasterio.)
Overviews take the nearest pixel, as means of labels are no labels.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rasterio.env import GDALVersion
from rasterio.windows import Window

from ..errors import OptionError, RasterError, ShapeError
from .output import check_destination, disk_full_hint, replace_when_complete
from .ownership import Overwrite
from .palette import Color
from .raster import RasterProfile, without_georeference_warning
from .stream import SCORE_LEVELS, SCORE_NODATA

LABEL_NODATA = 255
WIDE_LABEL_NODATA = 65535
MAX_BYTE_CLASSES = 254

_BLOCK_PX = 256
_SMALLEST_OVERVIEW_PX = 128
_WRITING = {"GDAL_CACHEMAX": 256 * 2**20, "SPARSE_OK_OVERVIEW": True}


class MapKind(NamedTuple):
    """What a map holds, in addition to its pixels.

    Attributes:
        dtype: Of the pixels.
        nodata: Value of pixels without information.
        names: A description for each band.
        tags: Dataset tags.
        color_table: Colours with opacity by value, or None.
        predictor: Of the compression: 1 for none, 3 for floating point.
        scale: What to multiply values by.
    """

    dtype: str
    nodata: float
    names: Sequence[str]
    tags: Mapping[str, str]
    color_table: Mapping[int, tuple[int, int, int, int]] | None = None
    predictor: int = 1
    scale: float = 1.0


def label_map(classes: Sequence[str], colors: Sequence[Color] | None, tags: Mapping[str, Any] | None = None) -> MapKind:
    """A class map.

    Args:
        classes: Names of the C classes.
        colors: A colour per class; unused beyond 254 classes, where it may be None.
        tags: More dataset tags; what is not text is stored as JSON.

    Raises:
        OptionError: There is not one colour per class, or a name has a control character.
    """
    if len(classes) > WIDE_LABEL_NODATA:
        raise OptionError(f"expected at most {WIDE_LABEL_NODATA} classes in a map, got {len(classes)}")
    all_tags = {**_class_tags(classes), **_as_text(tags or {})}
    if len(classes) > MAX_BYTE_CLASSES:
        return MapKind("uint16", WIDE_LABEL_NODATA, ["class"], all_tags)
    if colors is None or len(colors) != len(classes):
        raise OptionError(
            f"expected one colour for each of {len(classes)} classes, got {len(colors) if colors else 'none'}"
        )
    table = {**{index: (*color, 255) for index, color in enumerate(colors)}, LABEL_NODATA: (0, 0, 0, 0)}
    return MapKind("uint8", LABEL_NODATA, ["class"], all_tags, table)


def confidence_map(tags: Mapping[str, Any] | None = None) -> MapKind:
    """A map of the best class score; `tags` as in `label_map`."""
    return MapKind("float32", np.nan, ["confidence"], _as_text(tags or {}), predictor=3)


def score_map(classes: Sequence[str], tags: Mapping[str, Any] | None = None) -> MapKind:
    """A map of the scores of all classes, a band for each; arguments as in `label_map`."""
    all_tags = {**_class_tags(classes), **_as_text(tags or {})}
    return MapKind("uint8", SCORE_NODATA, list(classes), all_tags, scale=1 / SCORE_LEVELS)


class MapWriter:
    """Takes the rows of a map from top to bottom.

    Args:
        dataset: An open raster to write to.
    """

    def __init__(self, dataset: rasterio.io.DatasetWriter) -> None:
        self._dataset = dataset
        self.checksums: list[tuple[int, int, int]] = []  # first row, rows, checksum

    def write(self, start: int, values: np.ndarray) -> None:
        """Write rows (bands, rows, W0), the first of which is row `start` of the map.

        Raises:
            ShapeError: Not as many bands or columns as the map has, or too many rows.
        """
        dataset = self._dataset
        fits = values.ndim == 3 and (values.shape[0], values.shape[2]) == (dataset.count, dataset.width)
        if not fits or start + values.shape[1] > dataset.height:
            raise ShapeError(
                f"expected rows ({dataset.count}, n, {dataset.width}) of {dataset.height}, "
                f"got {values.shape} at {start}"
            )
        values = np.ascontiguousarray(values, dataset.dtypes[0])
        dataset.write(values, window=Window(0, start, values.shape[2], values.shape[1]))
        self.checksums.append((start, values.shape[1], _checksum(values)))

    def check_complete(self) -> None:
        """Raise a ShapeError unless all rows of the map were written."""
        rows = sum(rows for _, rows, _ in self.checksums)
        if rows != self._dataset.height:
            raise ShapeError(f"expected {self._dataset.height} rows, got {rows}")


@contextlib.contextmanager
def open_map(
    path: str | os.PathLike[str],
    kind: MapKind,
    profile: RasterProfile,
    *,
    cog: bool = False,
    overwrite: Overwrite = False,
    then: Callable[[Path], object] | None = None,
) -> Iterator[MapWriter]:
    """Write a tiled, compressed GeoTIFF on the source's grid; it has its name only once it is complete.

    Args:
        path: The file to write.
        kind: What it holds.
        profile: Profile of the source.
        cog: Arrange the file as a cloud-optimised GeoTIFF.
        overwrite: As in `output.check_destination`.
        then: Called with the complete file before it has its name.

    Yields:
        What takes the rows.

    Raises:
        RasterError: The file exists, its folder does not, or writing failed.
    """
    target = check_destination(path, profile.files, overwrite=overwrite)
    with replace_when_complete(target) as partial, rasterio.Env(**_WRITING), without_georeference_warning():
        draft = partial.with_name(f"draft-{partial.name}") if cog else partial
        with rasterio.open(draft, "w", **_creation_options(kind, profile)) as dataset:
            _describe(dataset, kind, profile)
            writer = MapWriter(dataset)
            yield writer
            writer.check_complete()
        with rasterio.open(draft, "r+") as dataset:
            dataset.build_overviews(_overview_factors(profile), Resampling.nearest)
        if cog:
            rasterio.shutil.copy(draft, partial, driver="COG", **_cog_options(kind))
        _check_written(partial, writer.checksums, target)
        if then is not None:
            then(partial)


def _creation_options(kind: MapKind, profile: RasterProfile) -> dict[str, Any]:
    """How GDAL creates the file."""
    place: dict[str, Any] = {"crs": profile.crs, "transform": profile.transform}
    if profile.transform is None and profile.gcps:
        place = {"crs": profile.gcp_crs, "gcps": list(profile.gcps)}
    return {
        "driver": "GTiff",
        "height": profile.height,
        "width": profile.width,
        "count": len(kind.names),
        "dtype": kind.dtype,
        "nodata": kind.nodata,
        "interleave": "band",
        "tiled": True,
        "blockxsize": _BLOCK_PX,
        "blockysize": _BLOCK_PX,
        "compress": "deflate",
        "predictor": kind.predictor,
        "bigtiff": "if_safer",
        "sparse_ok": True,  # blocks without data take no room
        **place,
    }


def _cog_options(kind: MapKind) -> dict[str, Any]:
    predictor = {1: "NO", 3: "FLOATING_POINT"}[kind.predictor]
    # earlier drivers have no choice, and warn of the option
    interleave = {"INTERLEAVE": "BAND"} if GDALVersion.runtime().at_least("3.11") else {}
    return {
        "COMPRESS": "DEFLATE",
        "PREDICTOR": predictor,
        "OVERVIEW_RESAMPLING": "NEAREST",
        "BIGTIFF": "IF_SAFER",
        "SPARSE_OK": "TRUE",
        **interleave,
    }


def _describe(dataset: rasterio.io.DatasetWriter, kind: MapKind, profile: RasterProfile) -> None:
    """Store all that is not pixels; before these, or GDAL refuses to store the colour table in the file."""
    dataset.update_tags(**kind.tags)
    if profile.rpcs is not None:
        dataset.rpcs = profile.rpcs
    for number, name in enumerate(kind.names, start=1):
        dataset.set_band_description(number, name)
    if kind.scale != 1.0:
        dataset.scales = [kind.scale] * dataset.count
    if kind.color_table is not None:
        dataset.write_colormap(1, kind.color_table)


def _overview_factors(profile: RasterProfile) -> list[int]:
    """2, 4, 8, ... as long as the reduced map is not tiny."""
    factors = []
    factor = 2
    while max(profile.size) / factor >= _SMALLEST_OVERVIEW_PX:
        factors.append(factor)
        factor *= 2
    return factors


def _check_written(partial: Path, checksums: Sequence[tuple[int, int, int]], target: Path) -> None:
    """Read a file back, because GDAL keeps quiet about a disk that is full when the last blocks are written."""
    with rasterio.open(partial) as dataset:
        for start, rows, checksum in checksums:
            written = dataset.read(window=Window(0, start, dataset.width, rows))
            if _checksum(written) != checksum:
                hint = disk_full_hint(target.parent)
                raise RasterError(f"cannot write {target}: what was written differs from what is read back{hint}")


def _checksum(values: np.ndarray) -> int:
    """A checksum of values, not of bits: NaN has many forms, and GDAL gives another one back for empty blocks."""
    if values.dtype.kind == "f":
        values = np.where(np.isnan(values), values.dtype.type(np.nan), values)
    return zlib.crc32(np.ascontiguousarray(values).data)


def _class_tags(classes: Sequence[str]) -> dict[str, str]:
    """The class names as one JSON list and one by one.

    Raises:
        OptionError: A name has a control character, which neither tags nor style files can hold.
    """
    for index, name in enumerate(classes):
        if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in name):
            raise OptionError(f"class {index}: expected a name without control characters, got {name!a}")
    names = json.dumps(list(classes), ensure_ascii=False)
    return {"CLASS_NAMES": names, **{f"CLASS_{index}": name for index, name in enumerate(classes)}}


def _as_text(tags: Mapping[str, Any]) -> dict[str, str]:
    """Tags as GDAL stores them: it loses empty texts and spaces at their beginning, so those become JSON."""
    is_kept = re.compile(r"\S.*", re.DOTALL)
    return {
        key: value if isinstance(value, str) and is_kept.fullmatch(value) else json.dumps(value, ensure_ascii=False)
        for key, value in tags.items()
    }
