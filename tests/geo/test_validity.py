"""Comparison with GDAL's own masks, and how statements combine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from segearth_ov3.errors import RasterWarning
from segearth_ov3.geo.options import FunctionPredictor
from segearth_ov3.geo.raster import open_scene, read_rgb
from segearth_ov3.geo.reader import ReadOptions
from segearth_ov3.geo.scene import segment_scene
from segearth_ov3.geo.validity import equals_nodata

FLOAT_NODATA = (-9999.0, 0.0, 255.5, 1e-30, 3e-39, -3.4e38, -3.4028230607370965e38, -3.4028234663852886e38, 1e38)
LARGEST = float(np.finfo("float32").max)


def near(nodata: float, dtype: str, rng: np.random.Generator) -> np.ndarray:
    """Values at relative distances of 1e-9 to 1e-5 from a nodata value, and others."""
    steps = rng.choice([-1, 1], 200) * 10 ** rng.uniform(-9, -5, 200)
    values = np.concatenate([nodata * (1 + steps), rng.normal(0, 1e4, 50), [nodata, -nodata, 0, LARGEST, -LARGEST]])
    with np.errstate(over="ignore"):
        values = values.astype(dtype)
    return values[np.isfinite(values)]


def gdal_mask(write_raster: Callable[..., Path], values: np.ndarray, nodata: float) -> tuple[np.ndarray, float]:
    """Where GDAL's mask is 0, and the nodata value as GDAL reads it."""
    path = write_raster(values[None, None], nodata=nodata)
    with rasterio.open(path) as raster:
        return raster.read_masks(1)[0] == 0, raster.nodata


@pytest.mark.parametrize("nodata", FLOAT_NODATA)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_are_empty_exactly_where_the_mask_of_gdal_is(
    write_raster: Callable[..., Path], dtype: str, nodata: float
) -> None:
    for seed in range(5):
        values = near(nodata, dtype, np.random.default_rng(seed))
        expected, read = gdal_mask(write_raster, values, nodata)
        assert np.array_equal(equals_nodata(values, read), expected)
        assert expected.any()


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"])
@pytest.mark.parametrize("nodata", [0.0, 1.0, 1.5, 2.9, 100.0])
def test_integers_are_empty_exactly_where_the_mask_of_gdal_is(
    write_raster: Callable[..., Path], dtype: str, nodata: float
) -> None:
    values = np.arange(120).astype(dtype)
    expected, read = gdal_mask(write_raster, values, nodata)
    assert np.array_equal(equals_nodata(values, read), expected)
    assert np.count_nonzero(expected) == 1


def control(rgb_like: np.ndarray, nodata: float) -> np.ndarray:
    """Bands (3, 60, 80), float64, with a collar of `nodata` at the left."""
    bands = rgb_like.astype(np.float64) * 40
    bands[:, :, :20] = nodata
    return bands


# pixels, type, and the nodata tag of files that do not hold their nodata value exactly
INEXACT = {
    "ESRI": (-LARGEST, "float32", -3.4028230607370965e38),
    "float64": (float(np.float32(-3.4e38)), "float64", -3.4e38),
    "one band one unit off": (-9999.0, "float32", -9999.0),
}


@pytest.mark.parametrize("given", [False, True], ids=["tag", "--nodata"])
@pytest.mark.parametrize("case", INEXACT)
def test_nodata_within_the_tolerance_gives_the_labels_of_the_control(
    write_raster: Callable[..., Path], tmp_path: Path, case: str, given: bool
) -> None:
    pixel, dtype, tag = INEXACT[case]
    picture = np.random.default_rng(3).integers(1, 255, (3, 60, 80))
    bands = control(picture, pixel).astype(dtype)
    if case.startswith("one band"):
        bands[1, :, :20] = np.nextafter(np.float32(pixel), np.float32(0))
    path = write_raster(bands, "inexact.tif", nodata=None if given else tag)
    exact = write_raster(control(picture, -9999).astype(dtype), "exact.tif", nodata=-9999)

    def brightness(images: np.ndarray) -> np.ndarray:
        bright = images.mean(axis=-1) / 255
        return np.stack([bright, 1 - bright], axis=1)

    predictor = FunctionPredictor(brightness, input_size=64)
    options = ReadOptions(nodata=tag) if given else ReadOptions()
    names = ("bright", "dark")
    segment_scene(path, tmp_path / "a.tif", predictor, classes=names, reading=options)
    segment_scene(exact, tmp_path / "b.tif", predictor, classes=names)
    with rasterio.open(tmp_path / "a.tif") as a, rasterio.open(tmp_path / "b.tif") as b:
        labels = a.read(1)
        assert np.array_equal(labels, b.read(1))
    assert (labels[:, :20] == 255).all()
    assert set(np.unique(labels[:, 20:])) == {0, 1}


def test_empty_pixels_of_reduced_scenes_are_not_mixed_into_validity(write_raster: Callable[..., Path]) -> None:
    """Means of a nodata value that the file does not name and of others are neither."""
    bands = np.full((3, 64, 64), 100, np.float32)
    bands[:, :, :33] = -9999
    with open_scene(write_raster(bands), ReadOptions(nodata=-9999.0)) as scene:
        assert np.array_equal(scene.read_reduced((8, 8)).valid, [[False] * 4 + [True] * 4] * 8)


def test_all_statements_have_to_agree(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    bands = np.concatenate([rgb, np.full((1, 6, 8), 255)]).astype(np.float32)
    bands[3, 0], bands[:3, 1], bands[0, 2] = 0, 7, np.nan
    path = write_raster(bands, nodata=7, interpretation=("red", "green", "blue", "alpha"))
    mask = np.full((6, 8), 255, np.uint8)
    mask[3] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as raster:
        raster.write_mask(mask)
    valid = read_rgb(path).valid
    assert valid is not None
    assert valid.all(axis=1).tolist() == [False, False, False, False, True, True]


def test_stretch_of_an_extreme_value_without_a_tag_is_warned_about(
    write_raster: Callable[..., Path], tmp_path: Path
) -> None:
    bands = np.random.default_rng(0).random((3, 40, 50)).astype(np.float32)
    bands[:, 10:20, 10:20] = -LARGEST
    path = write_raster(bands)
    with pytest.warns(RasterWarning, match=r"more than a million times as wide as the middle half.*--nodata VALUE"):
        segment_scene(
            path,
            tmp_path / "o.tif",
            FunctionPredictor(lambda x: x[..., :2].transpose(0, 3, 1, 2) / 255),
            classes=("a", "b"),
        )
