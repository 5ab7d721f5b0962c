"""Every configuration of a benchmark set: it loads, agrees with the facts, and its header says what it must."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

import segearth_ov3.mmseg_plugin  # noqa: F401  (registers the classes)
from segearth_ov3.datasets import SPECS
from segearth_ov3.vocabulary import Vocabulary

pytestmark = pytest.mark.mmseg

FOLDER = Path(__file__).resolve().parents[2] / "configs"
CONFIGS = sorted(FOLDER.glob("segearth-ov3_*.py"))


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    """A configuration file."""
    return request.param


@pytest.fixture
def config(path: Path) -> Config:
    return Config.fromfile(path)


def test_every_set_has_a_configuration():
    assert {path.stem.removeprefix("segearth-ov3_") for path in CONFIGS} == set(SPECS)


def test_configuration_is_named_after_its_set(path, config):
    assert path.stem == f"segearth-ov3_{config.dataset_name}"


def test_settings_are_those_of_the_facts(config):
    spec, model = SPECS[config.dataset_name], config.model
    assert (model.prob_threshold, model.confidence_threshold) == (spec.prob_threshold, spec.confidence_threshold)
    assert model.background == spec.background


def test_vocabulary_is_found_from_any_folder_and_fits_the_classes(config, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    spec = SPECS[config.dataset_name]
    assert os.path.samefile(config.model.vocabulary, FOLDER / "vocab" / spec.vocabulary)
    assert len(Vocabulary.from_file(config.model.vocabulary, background=spec.background)) == len(spec.classes)


def test_folders_and_suffixes_are_those_of_the_facts(config):
    spec, section = SPECS[config.dataset_name], config.test_dataloader.dataset
    dataset = mmseg_dataset(config)
    assert section.data_root == f"data/{spec.root}"
    assert (section.data_prefix.img_path, section.data_prefix.get("seg_map_path", "")) == (
        spec.image_dir,
        spec.label_dir,
    )
    assert (dataset.img_suffix, dataset.seg_map_suffix) == (spec.image_suffix, spec.label_suffix)
    assert dataset.reduce_zero_label == spec.reduce_zero_label
    assert dataset.ignore_index == spec.ignore_index


def test_classes_and_colours_are_those_of_the_facts(config):
    spec, meta = SPECS[config.dataset_name], mmseg_dataset(config).metainfo
    assert tuple(meta["classes"]) == spec.classes
    assert [tuple(color) for color in meta["palette"]] == list(spec.palette)


def test_header_has_command_data_score_thresholds_and_comparability(path, config):
    spec = SPECS[config.dataset_name]
    header = path.read_text(encoding="utf-8").split("_base_")[0]
    assert f"python tools/test.py configs/{path.name} --checkpoint" in header
    assert f"data/{spec.root}" in header
    published = re.search(r"Published: +(.*)", header)[1]
    assert published.startswith(f"SegEarth-OV3 {spec.published[0].miou}" if spec.published else "none")
    assert re.search(rf"Thresholds: +prob {spec.prob_threshold:g}\b.* conf {spec.confidence_threshold:g}\b", header)
    assert "Comparable:" in header
    assert str(spec.items) in header


def test_images_are_loaded_without_scaling_and_orientation_tags(config):
    steps = config.test_dataloader.dataset.pipeline
    assert steps[0] == {
        "type": "LoadPicture",
        "color_type": "color_ignore_orientation",
        "imdecode_backend": "pillow",
    }
    assert [step.type for step in steps[1:]] in (
        ["LoadLabels", "PackSegInputs"],
        ["LoadColorAnnotations", "PackSegInputs"],
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_images_are_decoded_as_pillow_converts_them_to_rgb(tmp_path, mode):
    from segearth_ov3.mmseg_plugin.loading import LoadPicture

    step = Config.fromfile(CONFIGS[0]).test_dataloader.dataset.pipeline[0].to_dict()
    pixels = np.random.default_rng(2).integers(0, 256, (6, 9, 4), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees, which labels do not
    Image.fromarray(pixels if mode == "RGBA" else pixels[..., :3]).convert(mode).save(tmp_path / "image.png", exif=exif)
    loaded = LoadPicture(**{name: value for name, value in step.items() if name != "type"})(
        {"img_path": str(tmp_path / "image.png")}
    )["img"]
    with Image.open(tmp_path / "image.png") as image:
        assert image.getexif()[0x0112] == 6
        assert np.array_equal(loaded[..., ::-1], np.asarray(image.convert("RGB")))


def test_dubai_colours_are_those_of_the_facts():
    config = Config.fromfile(FOLDER / "segearth-ov3_dubai.py")
    colors = config.test_dataloader.dataset.pipeline[1].colors
    assert [tuple(color) for color in colors] == list(SPECS["dubai"].palette)


def test_both_metrics_are_taken(config):
    assert config.test_evaluator == [
        {"type": "ConfusionMetric"},
        {"type": "IoUMetric", "iou_metrics": ["mIoU", "mFscore"]},
    ]


def mmseg_dataset(config: Config) -> object:
    """The dataset of a configuration without its files."""
    from mmseg.registry import DATASETS

    section = {**config.test_dataloader.dataset, "lazy_init": True, "pipeline": []}
    return DATASETS.build({**section, "type": f"mmseg.{section['type']}"})
