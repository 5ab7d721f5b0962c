"""Real labelled images in `shared/data`, prepared and evaluated for real with the demo model.

What the demo model finds in them is measured and not judged; the score is computed again from the saved predictions.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from benchmark_samples import independent_iou, read_dubai_label, read_reduced_label
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from prepare_data import cropped, pixels
from prepare_data.command import main
from prepare_data.pixels import Notes

import segearth_ov3.mmseg_plugin  # noqa: F401  (registers the classes)
from segearth_ov3.datasets import SPECS
from segearth_ov3.datasets.reading import read_picture

pytestmark = [
    pytest.mark.mmseg,
    pytest.mark.filterwarnings("ignore::segearth_ov3.errors.DatasetWarning"),  # sets of few images lack classes
    pytest.mark.filterwarnings("ignore:'pkgutil.find_loader' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning"),  # of mmseg, where no class is hit
]

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ZURICH = [
    (0, 0, 0),
    (100, 100, 100),
    (0, 125, 0),
    (0, 255, 0),
    (150, 80, 0),
    (0, 0, 150),
    (255, 255, 0),
    (150, 150, 255),
]
ISPRS = [(255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)]


def read_colors(path: Path, colors: list[tuple[int, int, int]]) -> np.ndarray:
    """Colours as class indices, -1 where they are none."""
    rgb = np.asarray(Image.open(path).convert("RGB"))
    labels = np.full(rgb.shape[:2], -1)
    for index, color in enumerate(colors):
        labels[(rgb == color).all(axis=-1)] = index
    return labels


def read_white(path: Path) -> np.ndarray:
    """1 where a picture is white in its first channel."""
    return (np.asarray(Image.open(path))[..., 0] > 127).astype(int)


def assert_scores(results: dict, iou: np.ndarray, images: int) -> None:
    reported = [np.nan if entry["IoU"] is None else entry["IoU"] for entry in results["per_class"]]
    np.testing.assert_allclose(reported, iou, atol=1e-9)
    assert results["mIoU"] == pytest.approx(np.nanmean(iou))
    assert results["images"] == images


@pytest.mark.parametrize("name", ["loveda", "potsdam", "vaihingen"])
def test_crops_of_the_field(evaluate, shared_data, tmp_path, name):
    source = shared_data / "mmseg_fixtures" / f"pseudo_{name}_dataset"
    root = tmp_path / SPECS[name].root
    for folder in ("img_dir", "ann_dir"):
        shutil.copytree(source / folder, root / folder / "val")
    results, predictions = evaluate(name, root)
    pairs = [(path, predictions / path.name) for path in sorted((source / "ann_dir").iterdir())]
    assert_scores(results, independent_iou(pairs, len(SPECS[name].classes), read_reduced_label), len(pairs))


def test_dubai_images(evaluate, shared_data, tmp_path):
    for kind, suffix in (("images", "jpg"), ("masks", "png")):
        for tile, part in ((1, 1), (2, 1)):
            inner = Path(f"Tile {tile}/{kind}/image_part_{part:03}.{suffix}")
            target = tmp_path / "download/Semantic segmentation dataset" / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(shared_data / "dubai_aerial" / inner, target)
    assert main(["dubai", "--src", str(tmp_path / "download"), "--out", str(tmp_path), "--partial"]) == 0
    results, predictions = evaluate("dubai", tmp_path / "dubai_aerial")
    masks = [shared_data / f"dubai_aerial/Tile {tile}/masks/image_part_001.png" for tile in (1, 2)]
    pairs = [(path, predictions / path.parents[1].name / "images" / path.name) for path in masks]
    assert_scores(results, independent_iou(pairs, 5, read_dubai_label), 2)


def test_zurich_scene(evaluate, shared_data, tmp_path):
    folder = tmp_path / "download/Zurich_dataset_v1.0"
    for source, target in (("sat_14_north.tif", "images_tif/zh14.tif"), ("gt_14_north.tif", "groundtruth/zh14_GT.tif")):
        (folder / target).parent.mkdir(parents=True)
        shutil.copy(shared_data / "zurich_summer" / source, folder / target)
    assert main(["zurich_summer", "--src", str(folder), "--out", str(tmp_path), "--partial"]) == 0
    picture = np.asarray(Image.open(tmp_path / "Zurich_Summer/images/zh14.png"))
    with rasterio.open(folder / "images_tif/zh14.tif") as raster:
        red = raster.read(3).astype(float)
    assert np.corrcoef(picture[..., 0].ravel(), red.ravel())[0, 1] > 0.95
    results, predictions = evaluate("zurich_summer", tmp_path / "Zurich_Summer")
    pairs = [(folder / "groundtruth/zh14_GT.tif", predictions / "zh14.png")]
    assert_scores(results, independent_iou(pairs, 8, lambda path: read_colors(path, ZURICH)), 1)


def test_potsdam_colour_labels(evaluate, shared_data, tmp_path):
    """Two whole tiles at low resolution, with the colours of the original labels, which are read as the recipe does."""
    source = shared_data / "potsdam_lowres_rgb_labels"
    read = cropped.CROPPED["potsdam"].read_label
    notes = Notes()
    for path in sorted((source / "labels").iterdir()):
        pixels.write_picture(read(path, notes), tmp_path / "Potsdam/ann_dir/val" / path.name)
        pixels.write_picture(read_picture(source / "images" / path.name), tmp_path / "Potsdam/img_dir/val" / path.name)
    results, predictions = evaluate("potsdam", tmp_path / "Potsdam")
    pairs = [(path, predictions / path.name) for path in sorted((source / "labels").iterdir())]
    assert_scores(results, independent_iou(pairs, 6, lambda path: read_colors(path, ISPRS)), 2)


def test_whu_aerial_tiles_from_their_download(evaluate, shared_data, tmp_path):
    source = shared_data / "buildings_binary/whu_aerial_nz"
    shutil.copytree(source / "images", tmp_path / "download/val/image")
    shutil.copytree(source / "labels", tmp_path / "download/val/label")
    assert main(["whu_aerial", "--src", str(tmp_path / "download"), "--out", str(tmp_path)]) == 0
    results, predictions = evaluate("whu_aerial", tmp_path / "WHU-BD")
    pairs = [(path, predictions / path.name) for path in sorted((source / "labels").iterdir())]
    assert_scores(results, independent_iou(pairs, 2, read_white), 2)


@pytest.mark.parametrize(("name", "folder"), [("inria", "inria"), ("whu_sat_ii", "whu_satellite_east_asia")])
def test_building_crops(evaluate, shared_data, tmp_path, name, folder):
    """Crops that match no official tile, put where the configuration reads."""
    source, spec = shared_data / "buildings_binary" / folder, SPECS[name]
    stems = sorted(path.stem for path in (source / "labels").iterdir())
    for stem in stems:
        labels = pixels.binary()(source / f"labels/{stem}.png", Notes())
        pixels.write_picture(labels, tmp_path / "set" / spec.label_dir / f"{stem}{spec.label_suffix}")
        picture = read_picture(source / f"images/{stem}.png")
        pixels.write_picture(picture, tmp_path / "set" / spec.image_dir / f"{stem}{spec.image_suffix}")
    results, predictions = evaluate(name, tmp_path / "set")
    pairs = [(source / f"labels/{stem}.png", predictions / f"{stem}.png") for stem in stems]
    assert_scores(results, independent_iou(pairs, 2, read_white), len(stems))


def test_change_pairs_are_loaded(shared_data, tmp_path):
    source, root = shared_data / "change_detection/levir_cd", tmp_path / "LEVIR-CD/test_512"
    for folder in ("A", "B"):
        shutil.copytree(source / folder, root / folder)
    for path in sorted((source / "label").iterdir()):
        pixels.write_picture(pixels.any_channel(path, Notes()), root / "label_cvt" / path.name)
    config = Config.fromfile(CONFIGS / "_base_/levir_cd.py")
    config.test_dataloader.dataset.data_root, config.test_dataloader.num_workers = str(root), 0
    changed = {}
    for batch in Runner.build_dataloader(config.test_dataloader):
        (sample,), (inputs,) = batch["data_samples"], batch["inputs"]
        name = Path(sample.img_path).name
        labels = sample.gt_sem_seg.data[0].numpy()
        assert np.array_equal(labels, np.asarray(Image.open(source / "label" / name)) == 255)
        for part, folder in ((inputs[:3], "A"), (inputs[3:], "B")):
            rgb = np.asarray(Image.open(source / folder / name).convert("RGB"))
            assert np.array_equal(part.flip(0).permute(1, 2, 0).numpy(), rgb)
        changed[name] = int(labels.sum())
    assert len(changed) == 6
    assert changed["train_386_0512_0768.png"] == 0
