from __future__ import annotations

import numpy as np
import pytest

from segearth_ov3.errors import OptionError
from segearth_ov3.geo.stretch import Stretch, percentile_stretch, range_stretch

DTYPES = ["uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_range_becomes_black_to_white_and_the_rest_is_cut(dtype: str) -> None:
    values = np.array([0, 10, 50, 110, 120], dtype)
    stretched = range_stretch((10, 110)).apply(np.broadcast_to(values, (3, 1, 5)))
    assert stretched.dtype == np.uint8
    assert stretched.tolist() == [[[0, 0, 102, 255, 255]]] * 3


def test_bands_have_limits_of_their_own() -> None:
    values = np.full((3, 1, 1), 50, np.uint16)
    assert Stretch((0, 50, 0), (50, 100, 100)).apply(values).ravel().tolist() == [255, 0, 128]


@pytest.mark.parametrize("high", [5.0, 4.0])
def test_constant_band_is_grey(high: float) -> None:
    assert Stretch((5.0,) * 3, (high,) * 3).apply(np.full((3, 2, 2), 5, np.int16)).tolist() == [[[127] * 2] * 2] * 3


def test_values_that_are_not_finite_do_not_disturb() -> None:
    values = np.broadcast_to(np.float32([np.nan, np.inf, -np.inf, 0.5]), (3, 1, 4))
    assert range_stretch((0, 1)).apply(values)[0].tolist() == [[0, 255, 0, 128]]


def test_large_values_keep_their_small_differences() -> None:
    """Differences of 1 near 2^31 are lost in float32."""
    values = np.broadcast_to(np.uint32([2**31, 2**31 + 1, 2**31 + 2]), (3, 1, 3))
    assert range_stretch((2**31, 2**31 + 2)).apply(values)[0].tolist() == [[0, 128, 255]]


def test_percentiles_are_those_of_numpy() -> None:
    sample = np.random.default_rng(0).normal(1000, 300, (3, 5000))
    stretch = percentile_stretch(sample, (5, 90))
    np.testing.assert_allclose([stretch.lows, stretch.highs], np.percentile(sample, (5, 90), axis=1))


def test_empty_sample_has_a_stretch() -> None:
    assert percentile_stretch(np.zeros((3, 0))) == range_stretch((0, 1))


@pytest.mark.parametrize("percentiles", [(98, 2), (2, 2), (-1, 50), (50, 101), (np.nan, 50)])
def test_wrong_percentiles_are_refused(percentiles: tuple[float, float]) -> None:
    with pytest.raises(OptionError, match="expected two percentiles, 0 to 100, the smaller one first"):
        percentile_stretch(np.zeros((3, 4)), percentiles)


@pytest.mark.parametrize("value_range", [(2, 1), (1, 1), (0, np.inf), (np.nan, 1)])
def test_wrong_ranges_are_refused(value_range: tuple[float, float]) -> None:
    with pytest.raises(OptionError, match="expected a range of two values, the smaller one first"):
        range_stretch(value_range)
