from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from segearth_ov3.errors import OptionError, RasterError
from segearth_ov3.geo.labels import open_labels
from segearth_ov3.geo.maps import label_map, open_map
from segearth_ov3.geo.raster import read_rgb

WriteRaster = Callable[..., Path]


@pytest.fixture
def plain(write_raster: WriteRaster) -> Path:
    """A label raster (2, 3) without any names."""
    return write_raster(np.array([[[0, 1, 2], [3, 255, 0]]], dtype=np.uint8), "labels.tif", nodata=255)


def with_tags(path: Path, **tags: str) -> Path:
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**tags)
    return path


def test_names_are_those_that_were_written(write_raster: WriteRaster, rgb: np.ndarray, tmp_path: Path) -> None:
    profile = read_rgb(write_raster(rgb)).profile
    names = ("building", "Straße, breit", "water")
    with open_map(tmp_path / "classes.tif", label_map(names, [(0, 0, 0)] * 3), profile) as writer:
        writer.write(0, np.zeros((1, 6, 8), dtype=int))
    with open_labels(tmp_path / "classes.tif") as labels:
        assert labels.names == names


@pytest.mark.parametrize(
    ("tags", "names"),
    [
        ({}, ()),
        ({"CLASS_0": "sky", "CLASS_1": "sea", "CLASS_3": "lost"}, ("sky", "sea")),
        ({"CLASS_NAMES": "not JSON", "CLASS_0": "sky"}, ("sky",)),
        ({"CLASS_NAMES": '{"a": 1}'}, ()),
        ({"CLASS_NAMES": "[1, 2]"}, ()),
    ],
)
def test_names_come_from_tags(plain: Path, tags: dict[str, str], names: tuple[str, ...]) -> None:
    with open_labels(with_tags(plain, **tags)) as labels:
        assert labels.names == names


@pytest.mark.parametrize(
    ("tags", "background"),
    [
        ({}, None),
        ({"CLASS_NAMES": '["road", "background"]'}, 1),
        ({"CLASS_NAMES": '["road", "other"]', "SEGEARTH_OV3_BACKGROUND": "0"}, 0),
        ({"CLASS_NAMES": '["road", "other"]', "SEGEARTH_OV3_BACKGROUND": "null"}, None),
    ],
)
def test_background_is_what_the_metadata_say(plain: Path, tags: dict[str, str], background: int | None) -> None:
    with open_labels(with_tags(plain, **tags)) as labels:
        assert labels.background == background


def test_classes_without_a_name_are_numbered(plain: Path) -> None:
    with open_labels(with_tags(plain, CLASS_NAMES='["road"]')) as labels:
        assert [labels.name_of(value) for value in (0, 1, -3)] == ["road", "class_1", "class_-3"]


def test_classes_are_found_by_name_and_number(plain: Path) -> None:
    with open_labels(with_tags(plain, CLASS_NAMES='["road", "water", "0"]')) as labels:
        assert labels.find_classes(["water", " road ", 1, "1", "class_1", "0"]) == [1, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("wanted", ["tree", 7, "-1", "class_x"])
def test_unknown_class_lists_known(plain: Path, wanted: str | int) -> None:
    with (
        open_labels(with_tags(plain, CLASS_NAMES='["road", "water"]')) as labels,
        pytest.raises(OptionError, match=rf"has no class '{wanted}'; expected one of: 0 road, 1 water"),
    ):
        labels.find_classes([wanted])


def test_a_misspelt_class_names_the_one_meant(plain: Path) -> None:
    with (
        open_labels(with_tags(plain, CLASS_NAMES='["road", "water"]')) as labels,
        pytest.raises(OptionError, match=r"no class 'Roads'; did you mean 'road'. expected one of: 0 road, 1 water"),
    ):
        labels.find_classes(["Roads"])


def test_names_are_refused_where_the_raster_has_none(plain: Path) -> None:
    with open_labels(plain) as labels:
        assert labels.find_classes(["7", "class_3"]) == [7, 3]
        with pytest.raises(OptionError, match="no class 'road'; it has no names of classes, give their numbers"):
            labels.find_classes(["road"])


def test_pixels_without_data_are_replaced(plain: Path) -> None:
    with open_labels(plain) as labels:
        np.testing.assert_array_equal(labels.read_rows(0, 2, -9), [[0, 1, 2], [3, -9, 0]])
        np.testing.assert_array_equal(labels.read_rows(1, 2, -9), [[3, -9, 0]])


def test_a_mask_is_respected(write_raster: WriteRaster) -> None:
    path = write_raster(np.array([[[0, 1, 2], [3, 4, 5]]], dtype=np.uint16), "labels.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.array([[True, False, True], [True, True, False]]))
    with open_labels(path) as labels:
        np.testing.assert_array_equal(labels.read_rows(0, 2, -9), [[0, -9, 2], [3, 4, -9]])


def test_a_mask_does_not_silence_nodata(plain: Path) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(plain, "r+") as dataset:
        dataset.write_mask(np.array([[True, False, True], [True, True, True]]))
    with open_labels(plain) as labels:
        assert labels.read_rows(0, 2, missing=-1).tolist() == [[0, -1, 2], [3, -1, 0]]


@pytest.mark.parametrize(
    ("bands", "found"),
    [
        (np.zeros((1, 2, 2), dtype=np.float32), "found 1 of float32"),
        (np.zeros((3, 2, 2), dtype=np.uint8), "found 3 of uint8"),
        (np.zeros((1, 2, 2), dtype=np.uint32), "found 1 of uint32"),
    ],
)
def test_what_is_no_label_raster_is_refused(write_raster: WriteRaster, bands: np.ndarray, found: str) -> None:
    path = write_raster(bands)
    with pytest.raises(RasterError, match=f"is no label raster: expected one band of whole numbers.*{found}"):
        open_labels(path).__enter__()
