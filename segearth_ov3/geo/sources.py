"""The files a raster is made of, so that none of them is replaced and a change in any of them is noticed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import rasterio

if TYPE_CHECKING:
    from rasterio.io import DatasetReader


def source_files(dataset: DatasetReader) -> tuple[str, ...]:
    """List the files of an open raster.

    Args:
        dataset: The raster.

    Returns:
        Names as GDAL knows them, each once: the raster itself, its sidecars (masks, overviews, metadata) and, for a
        virtual raster, the files of its sources, also of sources that are virtual themselves.

    Raises:
        rasterio.errors.RasterioIOError: A virtual source cannot be opened.
    """
    found = dict.fromkeys(dataset.files or [dataset.name])
    pending = [name for name in found if _is_virtual(name) and name != dataset.name]
    while pending:
        with rasterio.open(pending.pop()) as source:
            new = [name for name in source.files if name not in found]
        found.update(dict.fromkeys(new))
        pending += [name for name in new if _is_virtual(name)]
    return tuple(found)


def _is_virtual(name: str) -> bool:
    return os.path.splitext(name)[1].lower() == ".vrt"
