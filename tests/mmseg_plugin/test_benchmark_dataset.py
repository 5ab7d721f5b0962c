from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from benchmark_samples import make_loveda
from PIL import Image

from segearth_ov3.datasets import SPECS
from segearth_ov3.errors import DatasetError, OptionError, UnknownNameError
from segearth_ov3.geo.raster import read_rgb, without_georeference_warning
from segearth_ov3.mmseg_plugin.benchmark_dataset import BenchmarkDataset, LoadPicturePair
from segearth_ov3.mmseg_plugin.datasets import build_dataset

pytestmark = pytest.mark.mmseg

PREFIX = {"img_path": "img_dir/val", "seg_map_path": "ann_dir/val"}


@pytest.fixture
def loveda(tmp_path: Path) -> Path:
    return make_loveda(tmp_path / "LoveDA")


def test_items_are_ordered_by_path_with_their_labels(loveda):
    dataset = BenchmarkDataset("loveda", data_root=str(loveda), data_prefix=PREFIX)
    assert [Path(dataset[index]["img_path"]).name for index in range(len(dataset))] == ["0.png", "1.png"]
    assert dataset[1]["seg_map_path"] == str(loveda / "ann_dir/val/1.png")
    assert dataset[1]["reduce_zero_label"] is True


def test_classes_and_colours_are_those_of_the_set(loveda):
    meta = BenchmarkDataset("isaid", lazy_init=True).metainfo
    assert tuple(meta["classes"]) == SPECS["isaid"].classes
    assert [tuple(color) for color in meta["palette"]] == list(SPECS["isaid"].palette)


def test_some_classes_in_another_order_map_the_others_to_ignored():
    dataset = BenchmarkDataset("loveda", metainfo={"classes": ("water", "building")}, lazy_init=True)
    assert dataset.label_map == {0: 255, 1: 1, 2: 255, 3: 0, 4: 255, 5: 255, 6: 255}
    assert dataset.metainfo["palette"] == [[0, 0, 255], [255, 0, 0]]


def test_class_that_the_set_does_not_have_is_an_error():
    with pytest.raises(OptionError, match=r"loveda has no classes \['sea'\]"):
        BenchmarkDataset("loveda", metainfo={"classes": ("sea",)}, lazy_init=True)


def test_unknown_set_lists_the_known():
    with pytest.raises(UnknownNameError, match=r"unknown benchmark set 'lovda'.*did you mean 'loveda'"):
        BenchmarkDataset("lovda", lazy_init=True)


def test_unknown_keyword_is_an_error():
    with pytest.raises(TypeError, match="tiles"):
        BenchmarkDataset("loveda", tiles=1, lazy_init=True)


def test_suffix_of_labels_may_be_another(loveda):
    assert BenchmarkDataset("loveda", seg_map_suffix=".tif", lazy_init=True).seg_map_suffix == ".tif"


def config(name: str, root: Path, **options: object) -> dict[str, object]:
    return {"type": "mmseg.BenchmarkDataset", "benchmark": name, "data_root": str(root), **options}


def test_missing_list_of_images_is_named(tmp_path):
    spec = SPECS["wbs_si"]
    with pytest.raises(DatasetError, match=r"no list of images .*val\.txt; run tools/prepare_data/prepare\.py wbs_si"):
        build_dataset(config("wbs_si", tmp_path, ann_file="val.txt", data_prefix={"img_path": spec.image_dir}))


def test_listed_image_that_is_missing_is_named(loveda):
    (loveda / "val.txt").write_text("0\n7\n")
    with pytest.raises(DatasetError, match=r"1 of 2 image files are missing: .*7\.png"):
        build_dataset(config("loveda", loveda, ann_file="val.txt", data_prefix=PREFIX))


def test_list_selects_and_orders_images(loveda):
    (loveda / "val.txt").write_text("1\n")
    dataset = build_dataset(config("loveda", loveda, ann_file="val.txt", data_prefix=PREFIX))
    assert [Path(dataset[index]["img_path"]).stem for index in range(len(dataset))] == ["1"]


def test_missing_later_image_is_named(tmp_path):
    for folder in ("A", "label_cvt"):
        (tmp_path / folder).mkdir()
        Image.new("L", (4, 4)).save(tmp_path / folder / "1.png")
    prefix = {"img_path": "A", "img_path2": "B", "seg_map_path": "label_cvt"}
    with pytest.raises(DatasetError, match="1 of 1 later image files are missing"):
        build_dataset(config("levir_cd", tmp_path, data_prefix=prefix))


def test_images_of_a_pair_must_be_equal_in_size(tmp_path):
    for name, size in (("a.png", (4, 4)), ("b.png", (4, 5))):
        Image.fromarray(np.zeros((*size, 3), dtype=np.uint8)).save(tmp_path / name)
    paths = {"img_path": str(tmp_path / "a.png"), "img_path2": str(tmp_path / "b.png")}
    with pytest.raises(DatasetError, match="expected equal sizes"):
        LoadPicturePair(imdecode_backend="pillow")(paths)


def test_pair_of_16_bit_images_is_read_as_scenes(tmp_path):
    values = np.random.default_rng(0).integers(0, 4096, (2, 3, 20, 30)).astype("uint16")
    paths = {"img_path": str(tmp_path / "before.tif"), "img_path2": str(tmp_path / "after.tif")}
    shape = {"driver": "GTiff", "count": 3, "height": 20, "width": 30, "dtype": "uint16"}
    for path, bands in zip(paths.values(), values):
        with without_georeference_warning(), rasterio.open(path, "w", **shape) as raster:
            raster.write(bands)
    pair = LoadPicturePair(imdecode_backend="pillow")(paths)
    assert np.array_equal(pair["img"], read_rgb(paths["img_path"]).image[..., ::-1])
    assert np.array_equal(pair["img2"], read_rgb(paths["img_path2"]).image[..., ::-1])
