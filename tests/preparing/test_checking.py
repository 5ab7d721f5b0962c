"""The published ways of preparing a set, and the check of what was prepared."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from fake_pixels import write
from one_line_errors import error_of
from PIL import Image
from prepare_data.command import RECIPES, main

from segearth_ov3.datasets import SPECS

COLOURS = np.arange(36 * 44 * 3, dtype=np.uint16).reshape(36, 44, 3).astype(np.uint8)


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.published])
def test_published_way_has_a_folder_of_its_own_and_is_described(download, prepare, tmp_path, capsys, name):
    download(name)
    assert prepare(name, "--published")[0] == 0
    first, *rest = SPECS[name].root.split("/")
    root = tmp_path / "data" / "/".join([f"{first}-published", *rest])
    assert (root / SPECS[name].image_dir).is_dir()
    assert not (tmp_path / "data" / first).exists()
    assert main([name, "--layout"]) == 0
    assert f"The published way: {RECIPES[name].difference}" in capsys.readouterr().out


def test_published_way_is_refused_where_it_is_the_same(download, prepare):
    download("loveda")
    assert "differ for isaid, potsdam, vaihingen, wbs_si" in error_of(prepare("loveda", "--published"))


def test_published_masks_of_water_differ_from_the_right_ones(download, prepare, tmp_path):
    download("wbs_si")
    prepare("wbs_si")
    prepare("wbs_si", "--published")
    inner = "WaterBodiesDatasetPreprocessed/Masks_binary/water_body_1074.png"
    right = np.asarray(Image.open(tmp_path / "data/WaterBodiesDatasetPreprocessed" / inner))
    published = np.asarray(Image.open(tmp_path / "data/WaterBodiesDatasetPreprocessed-published" / inner))
    assert set(np.unique(right)) == {0, 1}
    assert 0 < np.mean(right != published) < 0.2


def test_check_finds_labels_flattened_by_newer_pillow(download, prepare, tmp_path):
    download("uavid")
    prepare("uavid")
    for path in (tmp_path / "data/UAVid/ann_dir/test").iterdir():
        labels = np.asarray(Image.open(path))
        Image.frombytes("P", labels.shape[::-1], labels.tobytes()).save(path)  # no palette, as the published converter
    error = error_of(prepare("uavid", "--check"))
    assert "one bit per pixel" in error
    assert "prepare the set again" in error


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "img_dir/val/2522.png").unlink(), "1 labels in"),
        (lambda root: (root / "ann_dir/val/2522.png").unlink(), "1 of 2 labels are missing"),
        (lambda root: shutil.rmtree(root / "ann_dir"), "no folder"),
        (lambda root: write(root / "ann_dir/val/2522.png", np.full((36, 44), 8, np.uint8)), "values [8] are no class"),
        (lambda root: write(root / "ann_dir/val/2522.png", np.zeros((36, 40), np.uint8)), "(36, 44)"),
        (lambda root: write(root / "ann_dir/val/2522.png", COLOURS), "channels of colours"),
    ],
)
def test_check_finds_damage(download, prepare, tmp_path, damage, message):
    download("loveda")
    prepare("loveda")
    damage(tmp_path / "data/LoveDA")
    assert message in error_of(prepare("loveda", "--check"))


def test_check_of_a_good_set_says_what_it_found_and_what_comes_next(download, prepare):
    download("loveda")
    prepare("loveda")
    code, out, _ = prepare("loveda", "--check")
    assert code == 0
    assert "loveda: 2 images" in out
    assert "tools/test.py configs/segearth-ov3_loveda.py" in out


def test_files_that_do_not_belong_are_named(download, prepare, tmp_path):
    download("vdd")
    prepare("vdd")
    for folder, suffix in (("src", ".JPG"), ("gt", ".png")):
        path = tmp_path / f"data/VDD/test/{folder}/DJI_0001{suffix}"
        shutil.copy(path, path.with_name(f"stray{suffix}"))
    assert "1 files in" in (error := error_of(prepare("vdd")))
    assert "stray" in error


def test_check_of_raw_masks_names_the_option_that_maps_255(prepare, tmp_path):
    spec = SPECS["inria"]
    for folder in (spec.image_dir, spec.label_dir):
        write(tmp_path / "data" / spec.root / folder / "austin1_0_0_4_4.png", np.eye(4, dtype=np.uint8) * 255)
    code, out, err = prepare("inria", "--check")
    assert code == 0
    assert "pixels by stored label: 0: 75.0 %, 255: 25.0 %" in out
    assert "warning: 'building' occurs in none of 1 labels, and 25.0 % of their pixels are 255" in err
    assert "test_dataloader.dataset.label_map=255:1" in err


def test_check_of_an_absent_set_says_not_found(prepare):
    assert "LoveDA (val) not found: no folder" in error_of(prepare("loveda", "--check"))
