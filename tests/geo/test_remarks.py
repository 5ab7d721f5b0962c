from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segearth_ov3.geo.raster import open_scene
from segearth_ov3.geo.reader import ReadOptions
from segearth_ov3.geo.remarks import (
    describe_clipping,
    describe_enlargement,
    describe_statements,
    find_collar,
    warn_of_stretch,
)
from segearth_ov3.geo.stretch import Stretch, percentile_stretch, range_stretch


def border(share: float, value: int = 0) -> np.ndarray:
    """Values of a border (3, 1000), of which a share is constant and the rest all different."""
    values = np.stack([np.arange(1000) + 10_000 * band for band in range(1, 4)])
    values[:, : round(1000 * share)] = value
    return values


@pytest.mark.parametrize(("share", "found"), [(0.05, False), (0.1, False), (0.11, True), (1.0, True)])
def test_collar_is_more_than_a_tenth_of_the_border(share: float, found: bool) -> None:
    collar = find_collar(border(share, 7), np.ones(1000, bool))
    assert (collar is not None) is found
    if collar is not None:
        assert collar.tolist() == [7, 7, 7]


def test_pixels_without_data_are_no_collar() -> None:
    assert find_collar(border(0.5), border(0.5)[0] > 0) is None
    assert find_collar(border(0.5), np.zeros(1000, bool)) is None


def collared(value: float, dtype: str) -> np.ndarray:
    bands = np.random.default_rng(0).integers(1000, 2000, (3, 60, 80)).astype(dtype)
    bands[:, :, :20] = value
    return bands


@pytest.mark.parametrize(("dtype", "value"), [("uint16", 0), ("float32", -9999.5), ("int16", -32768)])
def test_collar_is_noted_and_left_out_of_the_percentiles(
    write_raster: Callable[..., Path], dtype: str, value: float
) -> None:
    bands = collared(value, dtype)
    with open_scene(write_raster(bands)) as scene:
        assert scene.stretch == percentile_stretch(bands[:, :, 20:].reshape(3, -1))
        assert scene.notes[-1] == (
            f"more than a tenth of the border has the constant value {value:g}, which is left out of the percentiles; "
            f"if it marks no data, use --nodata {value:g}"
        )
    with open_scene(write_raster(bands), ReadOptions(nodata=value)) as scene:
        assert not any("border" in note for note in scene.notes)


def test_collar_of_8_bit_pictures_is_noted(write_raster: Callable[..., Path]) -> None:
    bands = np.random.default_rng(0).integers(1, 255, (3, 60, 80)).astype(np.uint8)
    bands[:, :20] = np.array([255, 255, 254])[:, None, None]
    with open_scene(write_raster(bands)) as scene:
        assert scene.notes == ["more than a tenth of the border has the constant value 255/254"]


def test_collar_of_a_tall_and_of_a_wide_scene_is_found(write_raster: Callable[..., Path]) -> None:
    for shape in ((3, 20_000, 4), (3, 4, 20_000)):
        bands = np.random.default_rng(0).integers(1, 255, shape).astype(np.uint8)
        bands[:, : shape[1] // 4 + 1, : shape[2] // 2] = 0
        with open_scene(write_raster(bands)) as scene:
            assert "border has the constant value 0" in scene.notes[0]


def test_constant_picture_keeps_its_values(write_raster: Callable[..., Path]) -> None:
    with open_scene(write_raster(np.full((3, 20, 20), 500, np.uint16))) as scene:
        assert scene.stretch == Stretch((500.0,) * 3, (500.0,) * 3)
        assert "same value nearly everywhere" in scene.warnings[0]
        assert not any("left out" in note for note in scene.notes)


def test_statements_are_described_with_their_shares() -> None:
    assert describe_statements({"nodata 0": 0.5}) is None
    assert describe_statements({"mask": 0.0, "nodata 0": 0.0}) is None
    assert describe_statements({"mask": 0.0, "nodata 0": 0.125}) == (
        "pixels have no data where any of these says so: mask (marks none), nodata 0 (marks 12.5%); "
        "to drop one, use --nodata none or --alpha ignore"
    )


def test_stretch_far_wider_than_the_values_is_warned_about() -> None:
    sample = np.random.default_rng(0).random((3, 1000))
    assert warn_of_stretch(sample, percentile_stretch(sample)) is None
    sample[1, :50] = -3.4e38
    warning = warn_of_stretch(sample, percentile_stretch(sample))
    assert warning is not None
    assert "stretch from -3.4e+38 to 0.97" in warning
    assert "if an extreme value marks no data, use --nodata VALUE" in warning


@pytest.mark.parametrize(("limits", "level"), [((0, 1), "white"), ((5000, 9000), "black")])
def test_range_that_whitens_or_blackens_is_noted(limits: tuple[float, float], level: str) -> None:
    sample = np.random.default_rng(0).integers(100, 3000, (3, 1000))
    note = describe_clipping(sample, range_stretch(limits))
    assert note is not None
    assert f"makes 100% of the picture {level}; most values lie between 1" in note
    assert describe_clipping(sample, range_stretch((0, 3000))) is None


def test_range_is_checked_against_the_scene(write_raster: Callable[..., Path]) -> None:
    bands = np.random.default_rng(0).integers(100, 3000, (3, 20, 20)).astype(np.uint16)
    with open_scene(write_raster(bands), ReadOptions(value_range=(0, 1))) as scene:
        assert any("makes 100% of the picture white" in note for note in scene.notes)


@pytest.mark.parametrize(("window", "noted"), [(25, True), (126, True), (127, False), (1008, False)])
def test_windows_enlarged_eightfold_are_noted(window: int, noted: bool) -> None:
    note = describe_enlargement(window, 1008)
    assert (note is not None) is noted
    if window == 25:
        assert note is not None
        assert "windows of 25 x 25 pixels are enlarged 40-fold to the network's input of 1008" in note
