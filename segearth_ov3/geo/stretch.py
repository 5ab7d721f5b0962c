"""From the values of a raster to 8 bits, the same way everywhere in the scene.

A window that is stretched by its own percentiles makes every water body a landscape. So low and high are found once,
from a sample of the whole scene, for each of the three bands.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ..errors import OptionError

DEFAULT_PERCENTILES = (2.0, 98.0)
_CONSTANT_LEVEL = 127


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Linear stretch of three bands: low becomes 0, high becomes 255, what is beyond is cut.

    Attributes:
        lows, highs: One number per band. Where high is not above low, everything becomes 127.
    """

    lows: tuple[float, ...]
    highs: tuple[float, ...]

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Stretch values (3, H, W) of any real type to (3, H, W), uint8; what is not finite becomes 0 or 255."""
        working = np.float32 if values.dtype.itemsize <= 2 or values.dtype == np.float32 else np.float64
        stretched = np.empty(values.shape, np.uint8)
        for target, band, low, high in zip(stretched, values, self.lows, self.highs):
            if not high > low:
                target[...] = _CONSTANT_LEVEL
                continue
            with np.errstate(over="ignore"):  # nodata values may be the largest of their type
                scaled = (band.astype(working) - working(low)) * working(255 / (high - low))
            np.clip(np.nan_to_num(scaled, copy=False), 0, 255, out=scaled)
            target[...] = np.rint(scaled, out=scaled)
        return stretched


def percentile_stretch(sample: np.ndarray, percentiles: tuple[float, float] = DEFAULT_PERCENTILES) -> Stretch:
    """Find the stretch of each band from some of its pixels.

    Args:
        sample: Valid pixels (3, N) of any real type.
        percentiles: Shares in percent of the values that become black and white, ascending.

    Returns:
        The stretch; without any pixel, that of 0 to 1.

    Raises:
        OptionError: The percentiles are not 0 to 100 and ascending.
    """
    low, high = percentiles
    if not 0 <= low < high <= 100:
        raise OptionError(f"expected two percentiles, 0 to 100, the smaller one first, got {low:g},{high:g}")
    if sample.shape[1] == 0:
        return Stretch((0.0,) * 3, (1.0,) * 3)
    limits = np.percentile(sample.astype(np.float64), percentiles, axis=1)  # (2, 3)
    return Stretch(tuple(limits[0].tolist()), tuple(limits[1].tolist()))


def range_stretch(value_range: tuple[float, float]) -> Stretch:
    """The same stretch for all three bands.

    Args:
        value_range: The values that become black and white, ascending and finite.

    Returns:
        The stretch.

    Raises:
        OptionError: Not so.
    """
    low, high = value_range
    if not (np.isfinite([low, high]).all() and low < high):
        raise OptionError(f"expected a range of two values, the smaller one first, got {low:g},{high:g}")
    return Stretch((low,) * 3, (high,) * 3)
