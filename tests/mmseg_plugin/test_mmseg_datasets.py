"""The Dubai set, its colour masks, and the checks for all sets."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from benchmark_samples import DUBAI_COLORS, make_dubai, make_loveda, read_dubai_label, save
from PIL import Image

from segearth_ov3.datasets import SPECS
from segearth_ov3.errors import DatasetError, OptionError
from segearth_ov3.mmseg_plugin.datasets import (
    DubaiAerialDataset,
    LoadColorAnnotations,
    build_dataset,
    check_class_count,
)

pytestmark = pytest.mark.mmseg

LOADER = {"colors": [list(color) for color in DUBAI_COLORS], "ignore_colors": [[155, 155, 155], [0, 0, 0]]}


@pytest.fixture
def dubai(tmp_path: Path) -> Path:
    """Tiles 1 and 2 of two images each; the masks of tile 2 have a palette."""
    return make_dubai(tmp_path / "dubai_aerial")


def names(dataset: DubaiAerialDataset) -> list[str]:
    root = Path(dataset.data_prefix["img_path"])
    return [str(Path(dataset[index]["img_path"]).relative_to(root)) for index in range(len(dataset))]


def load(root: Path, **options: object) -> DubaiAerialDataset:
    return DubaiAerialDataset(data_root=str(root), data_prefix={"img_path": ""}, **options)


def labels_of(loader: LoadColorAnnotations, path: Path, **results: object) -> np.ndarray:
    return loader.transform({"seg_map_path": str(path), **results})["gt_seg_map"]


def test_dubai_lists_all_images_in_order(dubai):
    assert names(load(dubai)) == [
        "Tile 1/images/image_part_001.jpg",
        "Tile 1/images/image_part_002.jpg",
        "Tile 2/images/image_part_001.jpg",
        "Tile 2/images/image_part_002.jpg",
    ]


def test_dubai_orders_tiles_by_number(tmp_path):
    assert [name[:7] for name in names(load(make_dubai(tmp_path / "d", tiles=(10, 2))))] == ["Tile 2/"] * 2 + [
        "Tile 10"
    ] * 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"tiles": 2}, ["Tile 2/images/image_part_001.jpg", "Tile 2/images/image_part_002.jpg"]),
        ({"parts": [2]}, ["Tile 1/images/image_part_002.jpg", "Tile 2/images/image_part_002.jpg"]),
        ({"tiles": [1], "parts": 1}, ["Tile 1/images/image_part_001.jpg"]),
    ],
)
def test_dubai_takes_the_tiles_and_parts_asked_for(dubai, options, expected):
    assert names(load(dubai, **options)) == expected


def test_dubai_masks_belong_to_their_images(dubai):
    for info in (load(dubai)[index] for index in range(4)):
        assert Path(info["seg_map_path"]).stem == Path(info["img_path"]).stem
        assert Path(info["seg_map_path"]).parents[1] == Path(info["img_path"]).parents[1]


def test_dubai_classes_and_colours_are_those_of_the_facts(dubai):
    meta = load(dubai).metainfo
    assert tuple(meta["classes"]) == SPECS["dubai"].classes
    assert [tuple(color) for color in meta["palette"]] == list(SPECS["dubai"].palette)


def test_dubai_without_images_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"no images 'Tile N/images/image_part_00K.jpg' in"):
        load(tmp_path)


def test_dubai_tile_that_is_not_there_is_an_error(dubai):
    with pytest.raises(DatasetError, match=r"expected tiles \[1, 3\], found \[1, 2\]"):
        load(dubai, tiles=[1, 3])


def test_dubai_part_that_is_not_there_is_an_error(dubai):
    with pytest.raises(DatasetError, match=r"no image has a part number of \[9\]"):
        load(dubai, parts=9)


def test_dubai_unknown_keyword_is_an_error(dubai):
    with pytest.raises(TypeError, match="tile"):
        load(dubai, tile=1)


@pytest.mark.parametrize("tile", [1, 2])
def test_masks_are_decoded_by_colour_with_or_without_palette(dubai, tile):
    path = dubai / f"Tile {tile}" / "masks" / "image_part_001.png"
    with Image.open(path) as image:
        assert image.mode == ("P" if tile == 2 else "RGB")
    expected = read_dubai_label(path)
    assert np.array_equal(labels_of(LoadColorAnnotations(**LOADER), path), np.where(expected < 0, 255, expected))


def test_unlabelled_and_black_pixels_are_ignored(dubai):
    labels = labels_of(LoadColorAnnotations(**LOADER), dubai / "Tile 1" / "masks" / "image_part_001.png")
    assert (labels[0, 0], labels[1, 1]) == (255, 255)
    assert (labels == 255).sum() == 2


@pytest.mark.parametrize("color", [(60, 16, 153), (61, 16, 152), (60, 17, 152), (255, 255, 255), (0, 0, 1)])
def test_colours_are_matched_exactly(tmp_path, color):
    save(np.full((2, 3, 3), color, dtype=np.uint8), tmp_path / "mask.png")
    with pytest.raises(DatasetError, match=r"mask\.png: 6 pixels of 1 undocumented colours, most often #"):
        labels_of(LoadColorAnnotations(**LOADER), tmp_path / "mask.png")


def test_undocumented_colours_are_counted_and_ignored_on_request(tmp_path, caplog):
    mask = np.full((2, 3, 3), (60, 16, 152), dtype=np.uint8)
    mask[0, 0], mask[0, 1], mask[1, 1] = (1, 2, 3), (4, 5, 6), (4, 5, 6)
    save(mask, tmp_path / "mask.png")
    with caplog.at_level(logging.WARNING):
        labels = labels_of(LoadColorAnnotations(**LOADER, unknown="warn"), tmp_path / "mask.png")
    assert labels.tolist() == [[255, 255, 0], [0, 255, 0]]
    assert "mask.png: 3 pixels of 2 undocumented colours, most often #040506, #010203 are ignored" in caplog.text


def test_documented_colours_give_no_warning(dubai, caplog):
    labels_of(LoadColorAnnotations(**LOADER, unknown="warn"), dubai / "Tile 1" / "masks" / "image_part_001.png")
    assert caplog.text == ""


def test_classes_left_out_by_a_configuration_are_ignored(dubai):
    dataset = load(dubai, metainfo={"classes": ("water", "building")})
    path = dubai / "Tile 1" / "masks" / "image_part_001.png"
    labels = labels_of(LoadColorAnnotations(**LOADER), path, label_map=dataset[0]["label_map"])
    expected = read_dubai_label(path)
    assert np.array_equal(labels, np.select([expected == 4, expected == 0], [0, 1], 255))


def test_colour_that_stands_for_two_things_is_refused():
    with pytest.raises(OptionError, match="every colour once"):
        LoadColorAnnotations(colors=[[1, 2, 3]], ignore_colors=[[1, 2, 3]])


@pytest.mark.parametrize("color", [[1, 2], [1, 2, 256], [-1, 0, 0]])
def test_malformed_colour_is_refused(color):
    with pytest.raises(OptionError, match="0 to 255"):
        LoadColorAnnotations(colors=[color])


def test_unknown_handling_of_undocumented_colours_is_refused():
    with pytest.raises(OptionError, match="unknown 'warn' or 'error', got 'ignore'"):
        LoadColorAnnotations(**LOADER, unknown="ignore")


def test_damaged_mask_is_a_dataset_error(tmp_path):
    (tmp_path / "mask.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"cannot read .*mask\.png"):
        labels_of(LoadColorAnnotations(**LOADER), tmp_path / "mask.png")


def loveda_config(root: Path) -> dict[str, object]:
    prefix = {"img_path": "img_dir/val", "seg_map_path": "ann_dir/val"}
    return {"type": "mmseg.LoveDADataset", "data_root": str(root), "data_prefix": prefix, "pipeline": []}


def test_built_dataset_has_all_images(tmp_path):
    assert len(build_dataset(loveda_config(make_loveda(tmp_path / "LoveDA")))) == 2


def test_missing_folder_is_named_with_the_source_of_the_set(tmp_path):
    with pytest.raises(
        DatasetError,
        match=r"no such folder.*img_dir/val; pass --data-root, or run tools/prepare_data/prepare.py loveda",
    ):
        build_dataset(loveda_config(tmp_path), SPECS["loveda"])


def test_folder_without_images_is_never_an_empty_run(tmp_path):
    root = make_loveda(tmp_path / "LoveDA")
    for path in (root / "img_dir/val").glob("*.png"):
        path.rename(path.with_suffix(".PNG"))
    with pytest.raises(DatasetError, match=r"no images \*\.png in .*check folder, suffix and its letter case"):
        build_dataset(loveda_config(root))


def test_missing_labels_are_named(tmp_path):
    root = make_loveda(tmp_path / "LoveDA")
    (root / "ann_dir/val/1.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 2 label files are missing: .*ann_dir/val/1\.png"):
        build_dataset(loveda_config(root))


def test_missing_dubai_mask_is_named(dubai):
    shutil.rmtree(dubai / "Tile 2" / "masks")
    config = {"type": "mmseg.DubaiAerialDataset", "data_root": str(dubai), "data_prefix": {"img_path": ""}}
    with pytest.raises(DatasetError, match=r"2 of 4 label files are missing: .*Tile 2/masks/image_part_001\.png"):
        build_dataset(config, SPECS["dubai"])


def test_vocabulary_of_another_length_is_refused():
    with pytest.raises(OptionError, match=r"vocabulary has 2 classes and the dataset 3 \(a, b, c\)"):
        check_class_count(2, ("a", "b", "c"))


def test_real_dubai_masks_hold_documented_colours_only(shared_data):
    dataset = load(shared_data / "dubai_aerial")
    assert len(dataset) == 36
    loader = LoadColorAnnotations(**LOADER)
    for index in range(0, 36, 6):
        assert labels_of(loader, Path(dataset[index]["seg_map_path"])).max() <= 255
