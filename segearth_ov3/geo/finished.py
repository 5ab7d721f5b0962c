"""Class maps that are complete already: whether one is the map that is wanted, and its rows."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.windows import Window

from ..errors import RasterError
from .identity import name_differences
from .journal import BAND_ROWS
from .maps import MapKind
from .ownership import TAG_PREFIX, is_own_output
from .raster import RasterProfile, open_raster
from .reader import reading

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

# what changes results by rounding at most, and names of what is compared by content
_NOT_COMPARED = re.compile(
    rf"{TAG_PREFIX}(VERSION|SOURCE_NAME|CHECKPOINT|DEVICE|PROMPT_CHUNK|WINDOW_BATCH|COMPILE)|TIFFTAG_SOFTWARE|CLASS_\d+"
)


def check_same_map(path: Path, kind: MapKind, profile: RasterProfile, *, cog: bool = False) -> None:
    """Make sure that an existing map is the one that would be written.

    Scene, weights, classes, thresholds and all other settings have to be the same; device, version and speed options
    need not.

    Args:
        path: The existing file.
        kind: The map that is wanted, with its tags.
        profile: Profile of the scene.
        cog: Whether it has to be a cloud-optimised GeoTIFF.

    Raises:
        RasterError: The file is no map of this tool, or differs; the message names each difference with both values.
    """
    if not is_own_output(path):
        raise RasterError(
            f"cannot write {path}: it exists and is no map of segearth-ov3; choose another name, or replace it with "
            f"--force"
        )
    table = kind.color_table or {}
    colors = {value: list(color[:3]) for value, color in table.items()}
    wanted = {**_compared(kind.tags, kind.tags), "colors": colors, "size": list(profile.size), "cog": cog}
    with open_raster(path) as dataset:
        is_cog = dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG"
        found = {
            **_compared(dataset.tags(), kind.tags),
            "colors": _colors_of(dataset, table),
            "size": list(dataset.shape),
            "cog": is_cog and cog,  # nobody minds one that was not asked for
        }
    if differences := name_differences(found, wanted):
        raise RasterError(
            f"{path} was made with other settings: {differences}; choose another name or folder, or replace it with "
            f"--overwrite"
        )


def rows_of_map(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yield first row and labels (n, W0) of each band of rows of a class map, from top to bottom.

    Raises:
        RasterError: It cannot be read.
    """
    with open_raster(path) as dataset:
        for start in range(0, dataset.height, BAND_ROWS):
            rows = Window(0, start, dataset.width, min(BAND_ROWS, dataset.height - start))
            with reading(str(path)):
                labels = dataset.read(1, window=rows)
            yield start, labels


def _compared(tags: Mapping[str, str], wanted: Container[str]) -> dict[str, Any]:
    """Tags of a map that have to be the same, as values: those of this package, and those that the caller wants."""
    return {
        name: _value(text)
        for name, text in tags.items()
        if (name in wanted or name.startswith(TAG_PREFIX)) and not _NOT_COMPARED.fullmatch(name)
    }


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _colors_of(dataset: DatasetReader, values: Iterable[int]) -> dict[int, list[int]]:
    """Colours of some values."""
    try:
        table = dataset.colormap(1)
    except ValueError:  # it has none
        return {}
    return {value: list(table[value][:3]) for value in values if value in table}
