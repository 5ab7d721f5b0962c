"""Which pixels of a raster carry information.

A pixel is valid if everything that the file says about it agrees: the transparency, the internal or external mask, and
the nodata value, by which a pixel is empty where all bands in use have theirs. Values that are not finite (NaN) in any
band in use are never valid. A nodata value given by the user takes the place of the file's.

Nodata values are compared as GDAL's masks do: floating-point values with a tolerance, because files name values such as
-3.4028230607370965e+38 for pixels of -FLT_MAX; a fraction is cut off for integers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from rasterio.enums import MaskFlags

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

# GDAL calls a and b equal if their difference is below 2 eps |a + b|, with float32's eps for float64 too
_EPS = np.finfo(np.float32).eps


@dataclasses.dataclass(frozen=True)
class Validity:
    """What says which pixels are valid.

    Attributes:
        alpha: Number of the transparency, or None.
        mask: Number of a band whose mask counts for all, or None.
        nodata: A value for each band in use, None for bands without one; empty where no value counts.
    """

    alpha: int | None
    mask: int | None
    nodata: tuple[float | None, ...]

    def of(self, dataset: DatasetReader, values: np.ndarray, window: Window) -> np.ndarray:
        """Return the validity (H, W), bool, of pixels.

        Args:
            dataset: The raster.
            values: Its bands in use (N, H, W), in ascending order of their numbers.
            window: Where they lie; they may be fewer than it has pixels.
        """
        valid = np.ones(values.shape[1:], bool)
        for statement in self.statements(dataset, values, window).values():
            valid &= statement
        if values.dtype.kind == "f":
            valid &= np.isfinite(values).all(axis=0)
        return valid

    def statements(self, dataset: DatasetReader, values: np.ndarray, window: Window) -> dict[str, np.ndarray]:
        """Return what each statement of the file calls valid (H, W), by its name; arguments as of `of`."""
        shape = values.shape[1:]
        found: dict[str, np.ndarray] = {}
        if self.alpha is not None:
            found[f"alpha (band {self.alpha})"] = dataset.read(self.alpha, window=window, out_shape=shape) > 0
        if self.mask is not None:
            found["mask"] = dataset.read_masks(self.mask, window=window, out_shape=shape) > 0
        if self.nodata:
            named = dict.fromkeys(f"{value:g}" for value in self.nodata if value is not None)
            is_nodata = [equals_nodata(band, value) for band, value in zip(values, self.nodata)]
            found[f"nodata {'/'.join(named)}"] = ~np.logical_and.reduce(is_nodata)
        return found


def validity_of(dataset: DatasetReader, numbers: Sequence[int], alpha: int | None, nodata: float | str) -> Validity:
    """Find out what says which pixels are valid.

    Args:
        dataset: The raster.
        numbers: The bands in use, ascending.
        alpha: The transparency to use, or None.
        nodata: A value given by the user, "auto" or "none".
    """
    flags = dataset.mask_flag_enums[numbers[0] - 1]
    has_mask = MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
    values: tuple[float | None, ...] = ()
    if not isinstance(nodata, str):
        values = (nodata,) * len(numbers)
    elif nodata == "auto":
        values = tuple(dataset.nodatavals[number - 1] for number in numbers)
    if all(value is None for value in values):
        values = ()
    return Validity(alpha, numbers[0] if has_mask else None, values)


def equals_nodata(band: np.ndarray, nodata: float | None) -> np.ndarray:
    """Return where GDAL's mask calls pixels empty.

    Args:
        band: Pixels, of any shape and real type.
        nodata: The nodata value; None for none.

    Returns:
        bool, of the same shape. NaN and values that the type cannot hold are equal to no pixel; pixels that are not
        finite are left out elsewhere.
    """
    nowhere = np.zeros(band.shape, bool)
    if nodata is None or not np.isfinite(nodata):
        return nowhere
    if band.dtype.kind != "f":
        info = np.iinfo(band.dtype)
        return band == int(nodata) if info.min <= nodata <= info.max else nowhere
    if abs(nodata) > np.finfo(band.dtype).max:
        return nowhere
    value = band.dtype.type(nodata)
    with np.errstate(over="ignore", invalid="ignore"):  # as in GDAL, a sum that overflows is above any difference
        return (band == value) | (np.abs(band - value) < band.dtype.type(_EPS) * np.abs(band + value) * 2)
