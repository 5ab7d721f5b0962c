"""Depths, palettes, masks and windows; plain 8-bit RGB is in test_raster.py."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import Resampling

from segearth_ov3.errors import OptionError, RasterError
from segearth_ov3.geo import raster
from segearth_ov3.geo.raster import open_scene, read_rgb
from segearth_ov3.geo.reader import ReadOptions

RGBA = ("red", "green", "blue", "alpha")


def deep(dtype: str, size: tuple[int, int] = (40, 50)) -> np.ndarray:
    """Bands (3, *size) whose values spread over much of the type."""
    values = np.random.default_rng(5).random((3, *size))
    return (values * 1e4 if np.dtype(dtype).kind != "f" else values).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_other_depths_are_stretched_by_percentiles_of_the_scene(write_raster: Callable[..., Path], dtype: str) -> None:
    bands = deep(dtype)
    image = read_rgb(write_raster(bands)).image
    low, high = np.percentile(bands.reshape(3, -1).astype(float), (2, 98), axis=1)[:, :, None, None]
    expected = np.clip((bands - low) / (high - low), 0, 1) * 255
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image.transpose(2, 0, 1), expected, atol=0.51)


def test_stretch_is_the_same_in_every_window(write_raster: Callable[..., Path]) -> None:
    """Dark in the left half, bright in the right: windows stretched one by one would look alike."""
    bands = deep("uint16", (60, 60))
    bands[:, :, 30:] += 20000
    path = write_raster(bands)
    whole = read_rgb(path).image
    with open_scene(path) as scene:
        for row, col in ((0, 0), (0, 30), (45, 20)):
            tile = scene.read(row, col, 15, 30)
            assert np.array_equal(tile.image, whole[row : row + 15, col : col + 30])


def test_only_valid_pixels_decide_the_stretch(write_raster: Callable[..., Path]) -> None:
    bands = deep("uint16")
    bands[:, :20] = 65535
    with open_scene(write_raster(bands, nodata=65535)) as scene:
        assert scene.stretch is not None
        assert max(scene.stretch.highs) <= 10000


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        (ReadOptions(percentiles=(0, 100)), None),
        (ReadOptions(value_range=(100, 900)), (100.0, 900.0)),
    ],
    ids=["--stretch", "--range"],
)
def test_stretch_can_be_chosen(
    write_raster: Callable[..., Path], options: ReadOptions, limits: tuple[float, float] | None
) -> None:
    bands = deep("uint16")
    low, high = limits or (bands[0].min(), bands[0].max())
    with open_scene(write_raster(bands), options) as scene:
        assert scene.stretch is not None
        assert (scene.stretch.lows[0], scene.stretch.highs[0]) == (low, high)


def test_8_bit_values_are_stretched_only_if_wanted(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    path = write_raster(rgb)
    with open_scene(path) as plain, open_scene(path, ReadOptions(percentiles=(2, 98))) as stretched:
        assert plain.stretch is None
        assert stretched.stretch is not None


def test_sample_of_a_large_scene_is_the_same_every_time_and_close_to_the_whole(
    write_raster: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("segearth_ov3.geo.sampling._ENOUGH_VALID", 20_000)
    bands = (np.random.default_rng(1).gamma(4, 500, (3, 400, 400)) + np.arange(400) * 3).astype(np.uint16)
    path = write_raster(bands, tiled=True, blockxsize=64, blockysize=64)
    with open_scene(path) as first, open_scene(path) as second:
        assert first.stretch == second.stretch
        assert first.stretch is not None
        exact = np.percentile(bands.reshape(3, -1), (2, 98), axis=1)
        span = exact[1] - exact[0]
        assert np.all(abs(np.array([first.stretch.lows, first.stretch.highs]) - exact) < 0.05 * span)


def test_overviews_are_sampled_where_there_are(
    write_raster: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The overviews are made to differ from the pixels, to see which are read."""
    monkeypatch.setattr("segearth_ov3.geo.sampling._ENOUGH_VALID", 1000)
    monkeypatch.setattr("segearth_ov3.geo.sampling._REDUCED_SIDE", 32)
    path = write_raster(deep("uint16", (128, 128)), tiled=True, blockxsize=64, blockysize=64)
    with rasterio.open(path, "r+") as dataset:
        dataset.write(np.full((3, 128, 128), 7, np.uint16))
        dataset.build_overviews([2, 4], Resampling.nearest)
    with rasterio.open(path, "r+") as dataset:
        dataset.write(deep("uint16", (128, 128)))
    with open_scene(path) as scene:
        assert scene.stretch is not None
        assert scene.stretch.highs == (7.0,) * 3


def test_bands_may_be_chosen_and_repeated(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    path = write_raster(rgb)
    assert np.array_equal(read_rgb(path, ReadOptions(bands=(3, 1, 1))).image, rgb[[2, 0, 0]].transpose(1, 2, 0))


def test_palette_becomes_its_colors_and_transparent_entries_are_not_valid(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50, 0, 0, 0])
    picture.putdata([0, 1, 2, 1])
    picture.save(tmp_path / "map.png", transparency=2)
    scene = read_rgb(tmp_path / "map.png")
    assert scene.image[0, :2].tolist() == [[10, 20, 30], [200, 100, 50]]
    assert scene.valid is not None
    assert scene.valid.tolist() == [[True, True, False, True]]


def test_nan_and_infinity_are_not_valid(write_raster: Callable[..., Path]) -> None:
    bands = deep("float32", (6, 8))
    bands[1, 0, 0], bands[2, 3, 4], bands[:, 5, 5] = np.nan, np.inf, -9999
    valid = read_rgb(write_raster(bands, nodata=-9999)).valid
    assert valid is not None
    assert np.argwhere(~valid).tolist() == [[0, 0], [3, 4], [5, 5]]


def test_nan_as_nodata(write_raster: Callable[..., Path]) -> None:
    bands = deep("float32", (6, 8))
    bands[:, 2, 2] = np.nan
    valid = read_rgb(write_raster(bands, nodata=np.nan)).valid
    assert valid is not None
    assert np.argwhere(~valid).tolist() == [[2, 2]]


@pytest.mark.parametrize("nodata", [-3.4028234663852886e38, 1e-30, 255.5])
def test_nodata_that_a_type_rounds_or_cannot_hold(write_raster: Callable[..., Path], nodata: float) -> None:
    bands = deep("float32", (6, 8))
    bands[:, 1, 1] = nodata
    with open_scene(write_raster(bands, nodata=nodata)) as scene:
        assert np.argwhere(~scene.read(0, 0, 6, 8).valid).tolist() == [[1, 1]]


def test_nodata_beyond_an_integer_type_marks_nothing(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    assert read_rgb(write_raster(rgb), ReadOptions(nodata=-9999.0)).valid is None
    assert read_rgb(write_raster(rgb), ReadOptions(nodata=1.5)).valid is None


def test_nodata_can_be_given_and_taken_away(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    rgb[:, 4, 4], rgb[:, 5, 5] = 0, 255
    path = write_raster(rgb, nodata=255)
    given = read_rgb(path, ReadOptions(nodata=0.0)).valid
    assert given is not None
    assert np.argwhere(~given).tolist() == [[4, 4]]
    assert read_rgb(path, ReadOptions(nodata="none")).valid is None


def with_alpha(rgb: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.concatenate([rgb, values.astype(np.uint8)[None]])


def test_near_infrared_tagged_as_alpha_is_no_mask_unless_wanted(
    write_raster: Callable[..., Path], rgb: np.ndarray
) -> None:
    infrared = rgb[0].copy()
    infrared[2, 3] = 0
    path = write_raster(with_alpha(rgb, infrared), interpretation=RGBA)
    with open_scene(path) as scene:
        assert scene.read(0, 0, 6, 8).valid.all()
        (message,) = scene.warnings
    assert "band 4 is tagged as alpha but holds values" in message
    assert message.endswith("if it is one, say --alpha use")
    with open_scene(path, ReadOptions(alpha="use")) as scene:
        assert np.argwhere(~scene.read(0, 0, 6, 8).valid).tolist() == [[2, 3]]
        assert scene.warnings == []


def test_transparency_can_be_ignored(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    path = write_raster(with_alpha(rgb, np.zeros((6, 8))), interpretation=RGBA)
    assert read_rgb(path, ReadOptions(alpha="ignore")).valid is None
    valid = read_rgb(path).valid
    assert valid is not None
    assert not valid.any()


def test_transparency_that_is_not_there_cannot_be_used(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    with pytest.raises(RasterError, match=r"scene\.tif: expected a transparency besides the bands in use, found none"):
        read_rgb(write_raster(rgb), ReadOptions(alpha="use"))


def test_untagged_band_of_0_and_255_is_a_mask_and_this_is_noted(
    write_raster: Callable[..., Path], rgb: np.ndarray
) -> None:
    mask = np.full((6, 8), 255)
    mask[0, 7] = 0
    names = ("red", "green", "blue", "undefined")
    path = write_raster(with_alpha(rgb, mask), interpretation=names, photometric="rgb", alpha="unspecified")
    with open_scene(path) as scene:
        assert np.argwhere(~scene.read(0, 0, 6, 8).valid).tolist() == [[0, 7]]
        assert "band 4 is 0 or 255 everywhere" in scene.notes[0]


def test_uint16_with_a_mask_keeps_the_mask(write_raster: Callable[..., Path]) -> None:
    path = write_raster(deep("uint16", (6, 8)))
    mask = np.full((6, 8), 255, np.uint8)
    mask[3] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    valid = read_rgb(path).valid
    assert valid is not None
    assert np.array_equal(valid, mask > 0)


def test_windows_beyond_the_scene_are_black_and_not_valid(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    with open_scene(write_raster(rgb)) as scene:
        tile = scene.read(2, 3, 10, 10)
    assert np.array_equal(tile.image[:4, :5], rgb[:, 2:, 3:].transpose(1, 2, 0))
    assert tile.valid[:4, :5].all()
    assert not tile.valid[4:].any()
    assert not tile.valid[:, 5:].any()
    assert not tile.image[4:].any()


def test_reduced_scene_has_mean_colors(write_raster: Callable[..., Path]) -> None:
    bands = np.random.default_rng(2).integers(0, 256, (3, 64, 96), dtype=np.uint8)
    with open_scene(write_raster(bands)) as scene:
        tile = scene.read_reduced((16, 24))
    means = bands.reshape(3, 16, 4, 24, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(tile.image.transpose(2, 0, 1), means, atol=1.01)
    assert tile.valid.all()


def test_raster_inside_a_file_can_be_named(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    path = write_raster(rgb)
    assert np.array_equal(read_rgb(f"GTIFF_DIR:1:{path}").image, rgb.transpose(1, 2, 0))


def test_file_without_bands_lists_the_rasters_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    container = types.SimpleNamespace(count=0, subdatasets=["NETCDF:a.nc:red", "NETCDF:a.nc:green"])
    monkeypatch.setattr(raster, "open_raster", lambda path, access: contextlib.nullcontext(container))
    with pytest.raises(RasterError, match=r"holds no bands itself; give one .* inside: NETCDF:a\.nc:red, NETCDF:a"):
        read_rgb("a.nc")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"percentiles": (2, 98), "value_range": (0, 1)}, "percentiles or a range of values for the stretch, got both"),
        ({"percentiles": (98, 2)}, "expected two percentiles"),
        ({"value_range": (5, 5)}, "expected a range of two values"),
        ({"nodata": "nan"}, "expected nodata as a number, auto or none, got 'nan'"),
        ({"alpha": "maybe"}, "expected alpha as auto, use or ignore, got 'maybe'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ReadOptions(**options)
