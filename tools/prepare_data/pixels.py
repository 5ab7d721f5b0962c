"""Reading pictures and labels of the many codings that sets come in; writing them as 8-bit files.

Label readers take a path and return stored values (H0, W0) uint8. What they could not interpret but the protocol lets
pass is counted in `Notes`.
"""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import DatasetReader

from segearth_ov3.atomic import complete_or_absent
from segearth_ov3.datasets.reading import open_picture, read_colors, read_header, read_labels
from segearth_ov3.errors import DatasetError
from segearth_ov3.geo.access import PLAIN_DRIVERS
from segearth_ov3.geo.gdal import without_georeference_warning
from segearth_ov3.metrics.confusion import NO_CLASS

Pixels = NDArray[np.uint8]
LabelReader = Callable[[Path, "Notes"], Pixels]
Rgb = tuple[int, int, int]

_OPENING = threading.Lock()

UNDOCUMENTED = "pixels of undocumented colours became class 0"


class Notes:
    """Counts of what a reader of the results should know, from several threads."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, text: str, count: int) -> None:
        """Add to the count of a text; nothing for 0."""
        if count:
            with self._lock:
                self.counts[text] += count


def read_size(path: Path) -> tuple[int, int]:
    """Width and height, without decoding.

    Raises:
        DatasetError: It is no picture.
    """
    height, width = read_header(path).size
    return width, height


def read_bands(path: Path) -> NDArray:
    """All bands of a raster (bands, H0, W0), in its own data type.

    Raises:
        DatasetError: It cannot be read.
    """
    try:
        with _open_raster(path) as raster:
            return raster.read()
    except rasterio.errors.RasterioError as error:
        raise _unreadable(path, error) from error


def _open_raster(path: Path) -> DatasetReader:
    """Open a raster of a format that refers to no other files, whether it has a place or not.

    One thread at a time, as filters of warnings belong to all.
    """
    with _OPENING, without_georeference_warning():
        return DatasetReader(path, driver=list(PLAIN_DRIVERS))


def read_indices(path: Path, notes: Notes | None = None) -> Pixels:
    """Read the stored values of a label with one channel: palette indices or grey values.

    Raises:
        DatasetError: It cannot be read, or holds colours or values above 255.
    """
    values = read_labels(path)
    if odd := np.unique(values[(values < 0) | (values > 255)])[:5].tolist():
        raise DatasetError(f"{path}: expected class values 0 to 255, got also {odd}")
    return values.astype(np.uint8)


def mapped(table: Mapping[int, int]) -> LabelReader:
    """A reader that replaces every stored value by that of a table; other values are an error."""
    lookup = np.full(256, -1)
    lookup[list(table)] = list(table.values())

    def read(path: Path, notes: Notes) -> Pixels:
        new = lookup[read_indices(path)]
        if new.min() < 0:
            strange = np.unique(read_indices(path)[new < 0])[:5].tolist()
            raise DatasetError(f"{path}: undocumented values {strange}; is this the right archive?")
        return new.astype(np.uint8)

    return read


def colored(colors: Mapping[Rgb, int], default: int = 0, undocumented: str = UNDOCUMENTED) -> LabelReader:
    """A reader of colours, matched exactly; others become `default` and are counted under `undocumented`."""

    def read(path: Path, notes: Notes) -> Pixels:
        codes = _color_codes(read_colors(path))
        labels = np.full(codes.shape, default, dtype=np.uint8)
        unknown = np.ones(codes.shape, dtype=bool)
        for color, value in colors.items():
            here = codes == _color_codes(np.array(color, dtype=np.uint8))
            labels[here] = value
            unknown[here] = False
        notes.add(undocumented, int(unknown.sum()))
        return labels

    return read


def colored_by_sum(colors: Mapping[Rgb, int], weights: Rgb) -> LabelReader:
    """A reader as the published ISPRS converter: colours whose weighted sums are equal are taken for equal."""
    weight = np.array(weights)
    sums = {int(np.array(color) @ weight): value for color, value in colors.items()}
    lookup = np.zeros(255 * sum(weights) + 1, dtype=np.uint8)
    lookup[list(sums)] = list(sums.values())

    def read(path: Path, notes: Notes) -> Pixels:
        return lookup[read_colors(path).astype(np.int64) @ weight]

    return read


def binary(threshold: int = 128) -> LabelReader:
    """A reader of masks: 1 where the grey value reaches the threshold; masks of 0 and 1 stay as they are."""

    def read(path: Path, notes: Notes) -> Pixels:
        grey = _grey(path)
        is_coded = grey.max() == 1 and path.suffix.lower() not in (".jpg", ".jpeg")
        return grey.copy() if is_coded else (grey >= threshold).astype(np.uint8)

    return read


def any_channel(path: Path, notes: Notes) -> Pixels:
    """1 where any channel is above 127, or where a mask that holds only 0 and 1 is 1."""
    brightest = read_colors(path).max(axis=-1)
    return (brightest > (0 if brightest.max() == 1 else 127)).astype(np.uint8)


def above_zero(path: Path, notes: Notes) -> Pixels:
    """1 where a label is above 0."""
    return (read_indices(path) > 0).astype(np.uint8)


def after_jpeg(read_mask: LabelReader, quality: int = 95) -> LabelReader:
    """What is left of a mask of 0 and 1 that was stored as JPEG, as the published masks of WBS-SI were.

    The quality is OpenCV's default, since none is stated. Values of 2 and more are no class: they become `NO_CLASS`,
    where only predictions count, as in mmseg.
    """

    def read(path: Path, notes: Notes) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(read_mask(path, notes)).save(buffer, format="JPEG", quality=quality)
        values = np.asarray(Image.open(buffer)).copy()
        notes.add("pixels of masks stored as JPEG are above 1, where only predictions count", int((values > 1).sum()))
        values[values > 1] = NO_CLASS
        return values

    return read


def stretch_to_bytes(bands: NDArray, percentiles: tuple[float, float] = (2, 98)) -> Pixels:
    """Bands (3, H0, W0) as 8-bit RGB (H0, W0, 3): each band linearly between two percentiles of its values above 0."""
    picture = np.zeros((*bands.shape[1:], 3), dtype=np.uint8)
    for index, band in enumerate(bands.astype(np.float64)):
        valid = band[band > 0]
        low, high = np.percentile(valid, percentiles) if valid.size else (0.0, 1.0)
        picture[..., index] = np.clip(255 * (band - low) / max(high - low, 1e-9), 0, 255).round()
    return picture


def write_picture(pixels: Pixels, target: Path) -> None:
    """Write RGB or grey values as PNG or TIFF, complete or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    options = {"compression": "tiff_deflate"} if target.suffix == ".tif" else {}
    with complete_or_absent(target) as partial:
        Image.fromarray(pixels).save(partial, **options)


def cut(pixels: Pixels, window: Sequence[int], fill: int) -> Pixels:
    """The part x0, y0, x1, y1 of (H0, W0) or (H0, W0, 3), filled where it reaches past the bottom or right."""
    x0, y0, x1, y1 = window
    part = pixels[y0:y1, x0:x1]
    missing = [(0, y1 - y0 - part.shape[0]), (0, x1 - x0 - part.shape[1])] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(part, missing, constant_values=fill)


def _grey(path: Path) -> NDArray[np.integer]:
    """Grey values of a mask, as stored where it has more than 8 bits."""
    return np.asarray(open_picture(path).convert("L")) if read_header(path).for_pillow else read_labels(path)


def _unreadable(path: Path, error: Exception) -> DatasetError:
    return DatasetError(f"cannot read {path}: {error}; is the download complete?")


def _color_codes(colors: Pixels) -> NDArray[np.uint32]:
    """One number per colour (..., 3), 0xRRGGBB."""
    red, green, blue = (colors[..., channel].astype(np.uint32) for channel in range(3))
    return (red << 16) | (green << 8) | blue
