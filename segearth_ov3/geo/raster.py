"""Reading of pictures: the pixels as 8-bit RGB, where they are valid, and where on the ground they lie.

Arrays are (row, col). Validity is True where a pixel carries information. Nothing is resampled or reprojected.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import rasterio
from rasterio.enums import MaskFlags
from rasterio.errors import NotGeoreferencedWarning

from ..errors import RasterError, RasterWarning
from .bands import Band, BandChoice, check_transparency, choose_bands
from .output import GDAL_ERRORS, first_cause

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.control import GroundControlPoint
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

# without these a JPEG or PNG that was cut short is filled up with grey or black
_STRICT_READING = {"GDAL_ERROR_ON_LIBJPEG_WARNING": True, "GDAL_PNG_WHOLE_IMAGE_OPTIM": False}


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


def read_profile(path: str | os.PathLike[str]) -> RasterProfile:
    """Read where a picture lies and make sure that `read_rgb` can use it, without reading the picture itself.

    Args:
        path: As in `read_rgb`.

    Returns:
        The profile.

    Raises:
        RasterError: As in `read_rgb`, except for damage that only reading all pixels reveals.
    """
    with _opened(path) as dataset:
        profile = _profile(dataset, str(path))
        _read_alpha(dataset, profile)
        return profile


def read_rgb(path: str | os.PathLike[str]) -> RgbScene:
    """Read a picture with 8-bit red, green and blue bands.

    Pixels are not valid where the transparency is 0, else where an internal or external mask says so, else where all
    three bands have their nodata value.

    Args:
        path: A file that GDAL can open: GeoTIFF, PNG, JPEG, ... or a GDAL URL. Bands are ordered by their colour
            interpretation, three bands without one are taken as red, green, blue.

    Returns:
        The picture, its validity and its profile.

    Raises:
        RasterError: The file is missing, damaged or not an image; its bands are not three of 8 bits (and a
            transparency); its fourth band claims to be a transparency but has values of a picture. One line each.

    Warns:
        RasterWarning: The nodata value is 255 and occurs, so that bright surfaces may be taken for missing.
    """
    with _opened(path) as dataset:
        profile = _profile(dataset, str(path))
        image = np.ascontiguousarray(dataset.read(list(profile.bands.rgb)).transpose(1, 2, 0))  # (H0, W0, 3)
        valid = _read_validity(dataset, profile)
    return RgbScene(image, None if valid.all() else valid, profile)


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[DatasetReader]:
    """Open a raster for reading; whatever GDAL finds wrong with it, now or while reading, becomes a RasterError."""
    name = os.fspath(path)
    if "://" not in name and not name.startswith("/vsi"):
        if not Path(name).exists():
            raise RasterError(f"cannot read {name}: no such file")
        if Path(name).is_dir():
            raise RasterError(f"cannot read {name}: expected an image file, this is a folder")
    try:
        with without_georeference_warning(), rasterio.Env(**_STRICT_READING), rasterio.open(name) as dataset:
            yield dataset
    except GDAL_ERRORS as error:
        raise RasterError(
            f"cannot read {name}: {first_cause(error)}; expected a complete GeoTIFF or another image that GDAL opens, "
            f"so if it was copied or downloaded, do that again"
        ) from error


@contextlib.contextmanager
def without_georeference_warning() -> Iterator[None]:
    """Keep rasterio from warning about pictures without georeferencing; who needs a place says so itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _profile(dataset: DatasetReader, path: str) -> RasterProfile:
    """Collect the profile of an open raster and choose its bands."""
    bands = [
        Band(dtype, interpretation.name, description)
        for dtype, interpretation, description in zip(dataset.dtypes, dataset.colorinterp, dataset.descriptions)
    ]
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
        bands=choose_bands(bands, path),
    )


def _read_alpha(dataset: DatasetReader, profile: RasterProfile) -> np.ndarray | None:
    """The transparency (H0, W0), checked, or None where there is none."""
    if profile.bands.alpha is None:
        return None
    alpha = dataset.read(profile.bands.alpha)
    check_transparency(alpha, profile.bands, profile.path)
    return alpha


def _read_validity(dataset: DatasetReader, profile: RasterProfile) -> np.ndarray:
    """Where the picture carries information (H0, W0), bool."""
    alpha = _read_alpha(dataset, profile)
    if alpha is not None:
        return alpha > 0
    first, *others = profile.bands.rgb
    valid = dataset.read_masks(first) > 0
    flags = dataset.mask_flag_enums[first - 1]
    if MaskFlags.nodata in flags and MaskFlags.per_dataset not in flags:  # one mask for each band
        for number in others:
            valid |= dataset.read_masks(number) > 0
        _warn_about_white(valid, profile)
    return valid


def _warn_about_white(valid: np.ndarray, profile: RasterProfile) -> None:
    """Warn where nodata is the value of saturated, bright surfaces."""
    if profile.nodata == 255 and not valid.all():
        warnings.warn(
            f"{profile.path}: nodata is 255, which bright roofs or sand have too; {1 - valid.mean():.2%} of the pixels "
            f"are white and get no class; if they are real, remove the mark with gdal_edit.py -unsetnodata",
            RasterWarning,
            stacklevel=4,
        )
