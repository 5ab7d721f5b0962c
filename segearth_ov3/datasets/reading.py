"""Read pictures and labels of any depth: 8-bit RGB pictures, and labels as the integers that the file stores.

Pillow decodes what has 8 bits per channel. GDAL decodes the rest, which Pillow refuses, clips or truncates.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DatasetError, RasterError
from ..geo.gdal import reading as reading_pixels
from ..geo.raster import open_raster, read_rgb
from ..geo.reader import ReadOptions

MAX_PIXELS = 2**29  # of a picture: 1.5 GiB as RGB

_EIGHT_BIT_MODES = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}
_ALWAYS_EIGHT_BIT = ("JPEG", "MPO")  # as Pillow opens them
_EXACT = 2**53  # float64 holds every integer up to here
_SHOWN = 5
_ONE_AT_A_TIME = threading.Lock()  # Pillow's limit and the filters of warnings belong to the whole process


class Header(NamedTuple):
    """Facts of an image file, read without its pixels.

    Attributes:
        size: (height, width) in pixels.
        for_pillow: Whether Pillow decodes the stored values; GDAL decodes the others.
        is_grey: Whether there is one band of grey values.
        is_jpeg: Whether Pillow opens it as JPEG, which it decodes completely.
        is_packed: Whether its grey values have 2 or 4 bits, which Pillow scales to 0 to 255.
    """

    size: tuple[int, int]
    for_pillow: bool
    is_grey: bool
    is_jpeg: bool = False
    is_packed: bool = False


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read the size of a picture or label, and who can decode it.

    Raises:
        DatasetError: The file is missing, empty, no image, or has more than `MAX_PIXELS` pixels.
    """
    try:
        header = _pillow_header(path)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {decoder_message(error)}; get the file again") from error
    if header is None or not header.is_jpeg:
        header = _gdal_header(path, header)
    if header is None:
        cause = "the file is empty" if Path(path).stat().st_size == 0 else "not an image"
        raise DatasetError(f"cannot read {path}: {cause}; get the file again")
    height, width = header.size
    if height * width > MAX_PIXELS:
        raise DatasetError(
            f"{path}: {height} x {width} pixels are too many to read at once (limit {MAX_PIXELS}); cut the image and "
            f"its label into tiles"
        )
    return header


def read_picture(path: str | os.PathLike[str], reading: ReadOptions | None = None) -> NDArray[np.uint8]:
    """Read a picture as 8-bit RGB (H0, W0, 3); orientation tags are not applied.

    Args:
        path: Any file that Pillow or GDAL opens.
        reading: Bands and stretch as for a scene; None takes 8-bit pictures as they are, repeats a single band, and
            stretches other depths from their 2nd to their 98th percentile.

    Raises:
        DatasetError: The file cannot be read, or its bands are ambiguous.
    """
    header = read_header(path)
    if header.for_pillow and reading is None:
        return np.asarray(open_picture(path).convert("RGB"))
    if reading is None and header.is_grey:
        reading = ReadOptions(bands=(1, 1, 1))
    try:
        with _ONE_AT_A_TIME:
            return read_rgb(path, reading).image
    except RasterError as error:
        raise DatasetError(f"{error} (in a configuration: reading=dict(bands=...) of LoadPicture)") from error


def read_labels(path: str | os.PathLike[str]) -> NDArray[np.integer]:
    """Read a label as stored (H0, W0): indices of a palette, grey values, or the integers of a raster band.

    Channels that are equal at every pixel count as one.

    Raises:
        DatasetError: The file cannot be read, holds colours, or values that are not whole numbers.
    """
    header = read_header(path)
    if header.for_pillow and not header.is_packed:
        values = np.asarray(open_picture(path))
    else:
        try:
            with _ONE_AT_A_TIME, open_raster(path) as raster, reading_pixels(str(path)):
                values = raster.read(1) if raster.count == 1 else np.moveaxis(raster.read(), 0, -1)
        except RasterError as error:
            raise DatasetError(str(error)) from error
    if values.ndim == 3:
        values = _one_channel(values, path)
    return _whole_numbers(values, path)


def read_colors(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """Read a label of colours as RGB (H0, W0, 3); a palette is expanded.

    Raises:
        DatasetError: The file cannot be read, or has more than 8 bits per channel.
    """
    if not read_header(path).for_pillow:
        raise DatasetError(f"{path}: expected RGB colours of 8 bits per channel, got another depth")
    return np.asarray(open_picture(path).convert("RGB"))


def open_picture(path: str | os.PathLike[str]) -> Image.Image:
    """Decode a file with Pillow.

    Raises:
        DatasetError: Pillow cannot decode it.
    """
    try:
        with without_pixel_limit():
            image = Image.open(path)
        with image:
            image.load()
            return image
    except (OSError, SyntaxError) as error:
        raise DatasetError(f"cannot read {path}: {decoder_message(error)}; get the file again") from error


@contextlib.contextmanager
def without_pixel_limit() -> Iterator[None]:
    """Lift Pillow's own limit on pixels, which lies below the size of an aerial picture; `MAX_PIXELS` holds instead."""
    with _ONE_AT_A_TIME:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def decoder_message(error: Exception) -> str:
    """Say what Pillow or the operating system found wrong, without the names of objects in memory."""
    text = getattr(error, "strerror", None) or str(error)
    return "not an image" if "identify image file" in text else text


def _pillow_header(path: str | os.PathLike[str]) -> Header | None:
    """Read what Pillow says about a file; None where Pillow cannot open it, or opens it with more than 8 bits."""
    try:
        with without_pixel_limit(), Image.open(path) as image:
            if image.mode not in _EIGHT_BIT_MODES:
                return None
            return Header((image.height, image.width), True, image.mode == "L", image.format in _ALWAYS_EIGHT_BIT)
    except (Image.UnidentifiedImageError, SyntaxError, ValueError):
        return None


def _gdal_header(path: str | os.PathLike[str], by_pillow: Header | None) -> Header | None:
    """Read what GDAL says about a file; return `by_pillow` where Pillow decodes all bits or GDAL cannot open it."""
    try:
        with _ONE_AT_A_TIME, open_raster(path) as raster:
            is_deep = any(dtype != "uint8" for dtype in raster.dtypes)
            is_packed = "NBITS" in raster.tags(1, ns="IMAGE_STRUCTURE")
            if by_pillow is None or is_deep:
                return Header((raster.height, raster.width), False, raster.count == 1)
            return by_pillow._replace(is_packed=is_packed and by_pillow.is_grey)
    except RasterError:
        pass
    return by_pillow


def _one_channel(values: NDArray, path: str | os.PathLike[str]) -> NDArray:
    """Reduce equal channels (H0, W0, N) to (H0, W0); a last channel that is opaque everywhere does not count."""
    channels = values.shape[-1]
    if channels in (2, 4) and (values[..., -1] == np.iinfo(np.uint8).max).all():
        values = values[..., :-1]
    if (values == values[..., :1]).all():
        return values[..., 0]
    raise DatasetError(
        f"{path}: expected one channel of class indices, got {channels} channels of colours; for your own data, list "
        f"the colours of the classes (--colors FILE); for a benchmark set, run tools/prepare_data/prepare.py"
    )


def _whole_numbers(values: NDArray, path: str | os.PathLike[str]) -> NDArray[np.integer]:
    """Return labels as integers, or raise where one of them is not."""
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind in "iu":
        return values
    if values.dtype.kind == "f":
        whole = np.abs(values) < _EXACT  # not NaN either
        whole &= np.rint(values) == values
        if whole.all():
            return values.astype(np.int64)
        odd = np.unique(values[~whole])[:_SHOWN].tolist()
        raise DatasetError(f"{path}: expected whole numbers as labels, got also {odd}; store class indices")
    raise DatasetError(f"{path}: expected whole numbers as labels, got {values.dtype}; store class indices")
