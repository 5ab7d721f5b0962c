"""Opening of rasters: where on the ground they lie, and a reader of their pixels.

Arrays are (row, col). Validity is True where a pixel carries information. Nothing is resampled or reprojected.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from ..errors import RasterError
from .bands import Band, BandChoice, choose_bands
from .reader import ReadOptions, SceneReader, reading
from .sources import source_files

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader
    from rasterio.rpc import RPC


@dataclasses.dataclass(frozen=True)
class RasterProfile:
    """What a raster is and where it lies, without its pixels.

    Attributes:
        path: The file, as given.
        height, width: Size in pixels.
        crs: Coordinate reference system of `transform`; None if the file has none.
        transform: From (col, row) to map coordinates; None if the file has none.
        gcps: Ground control points; empty if there are none.
        gcp_crs: Coordinate reference system of the control points, or None.
        nodata: The value that marks pixels without information, or None.
        bands: Numbers of the bands used.
        rpcs: Rational polynomial coefficients of a raw satellite image, or None.
        files: All files it is made of, see `sources.source_files`.
    """

    path: str
    height: int
    width: int
    crs: CRS | None
    transform: Affine | None
    gcps: tuple[GroundControlPoint, ...]
    gcp_crs: CRS | None
    nodata: float | None
    bands: BandChoice
    rpcs: RPC | None = None
    files: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width


class RgbScene(NamedTuple):
    """A picture in memory.

    Attributes:
        image: (H0, W0, 3), uint8, RGB.
        valid: (H0, W0), bool, True where the picture carries information; None where it does everywhere.
        profile: Where the picture lies.
    """

    image: np.ndarray
    valid: np.ndarray | None
    profile: RasterProfile


@contextlib.contextmanager
def open_scene(path: str | os.PathLike[str], options: ReadOptions | None = None) -> Iterator[SceneReader]:
    """Open a raster for reading.

    Args:
        path: A file that GDAL can open (GeoTIFF, JPEG 2000, PNG, VRT, ...) or a GDAL URL.
        options: How it becomes 8-bit RGB.

    Yields:
        The reader.

    Raises:
        RasterError: Not a readable raster, or its bands cannot be told apart. One line each.
    """
    options = options or ReadOptions()
    with open_raster(path) as dataset:
        bands = choose_bands(_list_bands(dataset, str(path)), str(path), options.bands)
        profile = describe_raster(dataset, str(path), bands)
        with reading(profile.path):
            reader = SceneReader(dataset, profile, options)
        yield reader


def read_rgb(path: str | os.PathLike[str], options: ReadOptions | None = None) -> RgbScene:
    """Read a whole picture into memory; arguments and errors as of `open_scene`."""
    with open_scene(path, options) as scene:
        tile = scene.read(0, 0, *scene.profile.size)
        return RgbScene(tile.image, None if tile.valid.all() else tile.valid, scene.profile)


def read_profile(path: str | os.PathLike[str], options: ReadOptions | None = None) -> RasterProfile:
    """Where a raster lies; raises what `open_scene` raises, so that bad input is told before any computing."""
    with open_scene(path, options) as scene:
        return scene.profile


@contextlib.contextmanager
def open_raster(path: str | os.PathLike[str]) -> Iterator[DatasetReader]:
    """Open a raster for reading.

    Args:
        path: A file that GDAL can open, or a GDAL URL.

    Yields:
        The open raster.

    Raises:
        RasterError: The file is missing or a folder, or GDAL cannot open it.
    """
    name = os.fspath(path)
    if not re.match(r"/vsi|\w{2,}:", name):  # what has a prefix is no file to us, but may be one to GDAL
        if not Path(name).exists():
            raise RasterError(f"cannot read {name}: no such file")
        if Path(name).is_dir():
            raise RasterError(f"cannot read {name}: expected an image file, this is a folder")
    with without_georeference_warning():
        with reading(name):
            opened = rasterio.open(name)
        with opened as dataset:
            yield dataset


@contextlib.contextmanager
def without_georeference_warning() -> Iterator[None]:
    """Keep rasterio from warning about pictures without georeferencing; who needs a place says so itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def describe_raster(dataset: DatasetReader, path: str, bands: BandChoice) -> RasterProfile:
    """Collect the profile of an open raster.

    Args:
        dataset: The raster.
        path: Its name, as given.
        bands: The bands to be used.

    Returns:
        The profile.
    """
    with reading(path):
        gcps, gcp_crs = dataset.gcps
        return RasterProfile(
            path=path,
            height=dataset.height,
            width=dataset.width,
            crs=dataset.crs,
            transform=None if dataset.transform.is_identity else dataset.transform,
            gcps=tuple(gcps),
            gcp_crs=gcp_crs,
            nodata=dataset.nodata,
            bands=bands,
            rpcs=dataset.rpcs,
            files=source_files(dataset),
        )


def _list_bands(dataset: DatasetReader, path: str) -> list[Band]:
    """What an open raster says about its bands."""
    if dataset.count == 0:
        inside = ", ".join(dataset.subdatasets[:5]) or "none"
        raise RasterError(f"{path}: holds no bands itself; give one of the rasters inside: {inside}")
    return [
        Band(dtype, interpretation.name, description)
        for dtype, interpretation, description in zip(dataset.dtypes, dataset.colorinterp, dataset.descriptions)
    ]
