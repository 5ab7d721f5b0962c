from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from mmcv.transforms import LoadImageFromFile
from PIL import Image

from segearth_ov3.errors import DatasetError
from segearth_ov3.geo.raster import read_rgb, without_georeference_warning
from segearth_ov3.mmseg_plugin.loading import LoadLabels, LoadPicture

pytestmark = pytest.mark.mmseg


@pytest.fixture
def cut_short(tmp_path: Path) -> Path:
    """A PNG of noise of which the second half is missing."""
    path = tmp_path / "tile_7.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def test_damaged_picture_is_named(cut_short: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot read .*tile_7\.png: .*truncated.*; get the file again"):
        LoadPicture(imdecode_backend="pillow")({"img_path": str(cut_short)})


def test_damaged_label_is_named(cut_short: Path) -> None:
    results = {"seg_map_path": str(cut_short), "reduce_zero_label": False, "label_map": None, "seg_fields": []}
    with pytest.raises(DatasetError, match=r"cannot read .*tile_7\.png: .*truncated"):
        LoadLabels()(results)


def test_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot read .*nowhere\.png: No such file"):
        LoadPicture(imdecode_backend="pillow")({"img_path": str(tmp_path / "nowhere.png")})


def test_label_of_colours_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3)).save(tmp_path / "colours.png")
    with pytest.raises(DatasetError, match=r"colours\.png: expected one channel of class indices, got 3 channels"):
        labels_of(tmp_path / "colours.png")


def labels_of(path: Path, **facts: object) -> np.ndarray:
    """Load a label as the pipeline does, with what a dataset says about it."""
    return LoadLabels()({"seg_map_path": str(path), **facts})["gt_seg_map"]


def save(path: Path, values: object, dtype: str = "uint8") -> Path:
    Image.fromarray(np.array(values, dtype=dtype)).save(path)
    return path


def test_labels_of_16_bits_do_not_wrap(tmp_path):
    path = save(tmp_path / "label.png", [[0, 1, 256, 259]], "uint16")
    with pytest.raises(DatasetError, match=r"label\.png: values \[256, 259\] are no class; .* label_map"):
        labels_of(path)


def test_label_256_does_not_become_ignored_where_zero_is_reduced(tmp_path):
    path = save(tmp_path / "label.png", [[0, 1, 256]], "uint16")
    with pytest.raises(DatasetError, match=r"values \[256\] are no class"):
        labels_of(path, reduce_zero_label=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_labels_are_the_same_whatever_the_depth(tmp_path, dtype):
    path = save(tmp_path / "label.tif", [[0, 1, 2, 255]], dtype)
    assert labels_of(path).tolist() == [[0, 1, 2, 255]]
    assert labels_of(path, reduce_zero_label=True).tolist() == [[255, 0, 1, 255]]
    assert labels_of(path, label_map={0: 1, 1: 0, 2: 255}).tolist() == [[1, 0, 255, 255]]
    assert labels_of(path).dtype == np.uint8


def test_stored_values_are_mapped_before_they_are_checked(tmp_path):
    path = save(tmp_path / "label.tif", [[0, 255, -1, 700]], "int32")
    assert labels_of(path, value_map={255: 1, -1: 255, 700: 2}).tolist() == [[0, 1, 255, 2]]


def test_mapped_values_are_class_indices_where_zero_is_reduced(tmp_path):
    path = save(tmp_path / "label.png", [[0, 1, 255]])
    assert labels_of(path, value_map={255: 1}, reduce_zero_label=True).tolist() == [[255, 0, 1]]


def test_8_bit_picture_has_the_pixels_of_mmcvs_loader(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), dtype=np.uint8)
    for name, mode in (("a.png", "RGBA"), ("b.png", "LA"), ("c.jpg", "RGB"), ("d.png", "L"), ("e.tif", "RGB")):
        Image.fromarray(pixels).convert(mode).save(tmp_path / name)
        options = {"color_type": "color_ignore_orientation", "imdecode_backend": "pillow"}
        ours, theirs = (
            loader(**options).transform({"img_path": str(tmp_path / name)})["img"]
            for loader in (LoadPicture, LoadImageFromFile)
        )
        assert np.array_equal(ours, theirs), name


def test_16_bit_picture_is_read_as_a_scene(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (3, 20, 30)).astype("uint16")
    path = tmp_path / "scene.tif"
    shape = {"count": 3, "height": 20, "width": 30, "dtype": "uint16"}
    with without_georeference_warning(), rasterio.open(path, "w", driver="GTiff", **shape) as raster:
        raster.write(values)
    results = LoadPicture(imdecode_backend="pillow")({"img_path": str(path)})
    assert np.array_equal(results["img"], read_rgb(path).image[..., ::-1])
    assert results["ori_shape"] == (20, 30)
    reversed_bands = LoadPicture(reading={"bands": [3, 2, 1]})({"img_path": str(path)})["img"]
    assert np.array_equal(reversed_bands, results["img"][..., ::-1])


def test_zero_byte_picture_is_named(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(DatasetError, match=r"cannot read .*empty\.png: the file is empty"):
        LoadPicture(imdecode_backend="pillow")({"img_path": str(tmp_path / "empty.png")})
