"""Which pixels of a raster carry information.

What says so, in this order: a transparency; an internal or external mask; the nodata value, where all bands in use
have theirs. A value given by the user counts in addition to a transparency or a mask. Values that are not finite (NaN)
in any band in use never carry information.
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
        """Validity (H, W), bool, of pixels.

        Args:
            dataset: The raster.
            values: Its bands in use (N, H, W), in ascending order of their numbers.
            window: Where they lie; they may be fewer than it has pixels.
        """
        shape = values.shape[1:]
        valid = np.ones(shape, bool)
        if self.alpha is not None:
            valid &= dataset.read(self.alpha, window=window, out_shape=shape) > 0
        if self.mask is not None:
            valid &= dataset.read_masks(self.mask, window=window, out_shape=shape) > 0
        if self.nodata:
            valid &= np.logical_or.reduce([_differs(band, value) for band, value in zip(values, self.nodata)])
        if values.dtype.kind == "f":
            valid &= np.isfinite(values).all(axis=0)
        return valid


def validity_of(dataset: DatasetReader, numbers: Sequence[int], alpha: int | None, nodata: float | str) -> Validity:
    """Find out what says which pixels are valid.

    Args:
        dataset: The raster.
        numbers: The bands in use, ascending.
        alpha: The transparency to use, or None.
        nodata: A value given by the user, "auto" or "none".
    """
    flags = dataset.mask_flag_enums[numbers[0] - 1]
    has_mask = alpha is None and MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags
    values: tuple[float | None, ...] = ()
    if not isinstance(nodata, str):
        values = (nodata,) * len(numbers)
    elif nodata == "auto" and alpha is None and not has_mask:
        values = tuple(dataset.nodatavals[number - 1] for number in numbers)
    if all(value is None for value in values):
        values = ()
    return Validity(alpha, numbers[0] if has_mask else None, values)


def _differs(band: np.ndarray, nodata: float | None) -> np.ndarray:
    """Where a band (H, W) does not have its nodata value."""
    if nodata is None or np.isnan(nodata):  # what is not finite is left out anyway
        return np.ones(band.shape, bool)
    if band.dtype.kind == "f":
        return band != band.dtype.type(nodata)
    info = np.iinfo(band.dtype)
    if not info.min <= nodata <= info.max or nodata != int(nodata):
        return np.ones(band.shape, bool)
    return band != int(nodata)
