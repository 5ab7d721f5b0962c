"""Opening of rasters: where on the ground they lie, and a reader of their pixels.

Arrays are (row, col). Validity is True where a pixel carries information. Nothing is resampled or reprojected.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rasterio.enums import Interleaving
from rasterio.io import DatasetReader

from ..errors import RasterError
from .access import DEFAULT_ACCESS, Access, check_opened, choose_drivers, explain_format
from .bands import Band, BandChoice, choose_bands
from .gdal import gdal_settings, reading, without_georeference_warning
from .names import is_gdal_name, local_path, shown_name
from .reader import ReadOptions, SceneReader
from .sources import source_files

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS
    from rasterio.rpc import RPC

_MAX_SIDE = 2**24  # the Earth's circumference in steps of 2.4 m
_MAX_PIXELS = 2**40
_MAX_BANDS = 2**12
_MAX_BLOCK_BYTES = 2**30


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
    def shown(self) -> str:
        """The name for messages, without the secrets of a signed URL."""
        return shown_name(self.path)

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
        RasterError: Not a readable raster, or its red, green and blue cannot be identified. One line each.
    """
    options = options or ReadOptions()
    with open_raster(path, options.access) as dataset:
        bands = choose_bands(_list_bands(dataset, shown_name(path)), shown_name(path), options.bands)
        yield SceneReader(dataset, describe_raster(dataset, str(path), bands), options)


def read_rgb(path: str | os.PathLike[str], options: ReadOptions | None = None) -> RgbScene:
    """Read a whole picture into memory; arguments and errors as of `open_scene`."""
    with open_scene(path, options) as scene:
        tile = scene.read(0, 0, *scene.profile.size)
        return RgbScene(tile.image, None if tile.valid.all() else tile.valid, scene.profile)


def read_profile(path: str | os.PathLike[str], options: ReadOptions | None = None) -> RasterProfile:
    """Read where a raster lies; raises what `open_scene` raises, so that bad input fails before any computing."""
    with open_scene(path, options) as scene:
        return scene.profile


@contextlib.contextmanager
def open_raster(path: str | os.PathLike[str], access: Access = DEFAULT_ACCESS) -> Iterator[DatasetReader]:
    """Open a raster for reading, with GDAL's settings for reading.

    Errors that the caller's block raises pass unchanged, GDAL's too: wrap reading of pixels by `geo.gdal.reading`.

    Args:
        path: A file that GDAL can open, or a GDAL URL.
        access: What the raster may refer to, see `geo.access`.

    Yields:
        The open raster.

    Raises:
        RasterError: The file is missing, a folder, damaged, too large to be true, or refers to what it may not.
    """
    name = local_path(path)
    if not is_gdal_name(name):
        _check_file(name)
    drivers = choose_drivers(name, access)
    with gdal_settings(), without_georeference_warning():
        with reading(name, explain_format(name)):
            # rasterio.open takes one format only
            dataset = DatasetReader(name, driver=drivers)
        with dataset:
            check_opened(dataset, name, access)
            check_extent(dataset, name)
            yield dataset


def _check_file(name: str) -> None:
    """Make sure that a path is that of a regular file that can be opened."""
    try:
        name.encode()
        mode = os.stat(name).st_mode
        if stat.S_ISDIR(mode):
            raise RasterError(f"cannot read {name}: expected an image file, this is a folder")
        if not stat.S_ISREG(mode):
            raise RasterError(f"cannot read {name}: expected an image file, this is a device or a pipe")
        open(name, "rb").close()
    except UnicodeEncodeError as error:
        raise RasterError(f"cannot read {name!a}: expected a name in UTF-8; rename the file") from error
    except FileNotFoundError as error:
        raise RasterError(f"cannot read {name}: no such file") from error
    except OSError as error:
        raise RasterError(f"cannot read {name[:200]}: {error.strerror}") from error


def check_extent(dataset: DatasetReader, name: str) -> None:
    """Refuse a raster that is too large to be true, before memory is allocated for it.

    Args:
        dataset: The raster.
        name: Its name, as the user gives it.

    Raises:
        RasterError: A side, the number of bands, or a block exceeds what this package reads.
    """
    height, width = dataset.shape
    advice = "cut it into parts, for example by gdal_translate -srcwin, or check whether the file is damaged"
    if max(height, width) > _MAX_SIDE or height * width > _MAX_PIXELS:
        raise RasterError(
            f"cannot read {shown_name(name)}: expected at most {_MAX_SIDE} pixels a side and {_MAX_PIXELS:.0e} in all, "
            f"found {height} x {width}; {advice}"
        )
    if dataset.count > _MAX_BANDS:
        raise RasterError(
            f"cannot read {shown_name(name)}: expected at most {_MAX_BANDS} bands, found {dataset.count}; select some, "
            f"for example by gdal_translate -b"
        )
    rows, cols = dataset.block_shapes[0] if dataset.count else (0, 0)
    # GDAL decodes all bands of a block together where they are interleaved by pixel
    bands = dataset.count if dataset.interleaving is Interleaving.pixel else 1
    block_bytes = rows * cols * bands * np.dtype(dataset.dtypes[0]).itemsize if dataset.count else 0
    if block_bytes > _MAX_BLOCK_BYTES:
        raise RasterError(
            f"cannot read {shown_name(name)}: it is stored in blocks of {rows} x {cols} pixels, which take "
            f"{block_bytes / 2**30:.1f} GiB each; rewrite it in tiles: gdal_translate -co TILED=YES"
        )


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
