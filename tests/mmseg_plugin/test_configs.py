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
from segearth_ov3.datasets import RELEASED, SPECS, DatasetSpec
from segearth_ov3.datasets.published import SAM3_METHODS
from segearth_ov3.vocabulary import Vocabulary

pytestmark = pytest.mark.mmseg

FOLDER = Path(__file__).resolve().parents[2] / "configs"
CONFIGS = sorted(FOLDER.glob("segearth-ov3_*.py"))


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    """A configuration file."""
    return request.param


@pytest.fixture(scope="module")
def config(path: Path) -> Config:
    return Config.fromfile(path)


def test_every_set_but_pairs_has_a_configuration():
    single = {name for name, spec in SPECS.items() if spec.group != "change"}
    assert {path.stem.removeprefix("segearth-ov3_") for path in CONFIGS} == single


def test_configuration_is_named_after_its_set(path, config):
    assert path.stem == f"segearth-ov3_{config.dataset_name}"


def test_settings_are_those_of_the_facts(config):
    settings, model = SPECS[config.dataset_name].settings, config.model
    assert (model.prob_threshold, model.confidence_threshold) == (
        settings.prob_threshold,
        settings.confidence_threshold,
    )
    assert (model.background, model.get("window"), model.get("stride")) == (
        settings.background,
        settings.window,
        settings.stride,
    )


def test_vocabulary_is_found_from_any_folder_and_fits_the_classes(config):
    assert Path(config.model.vocabulary).is_absolute()
    spec = SPECS[config.dataset_name]
    assert os.path.samefile(config.model.vocabulary, FOLDER / "vocab" / spec.vocabulary)
    background = spec.settings.background
    assert len(Vocabulary.from_file(config.model.vocabulary, background=background)) == len(spec.classes)


def test_folders_and_suffixes_are_those_of_the_facts(config):
    spec, section = SPECS[config.dataset_name], config.test_dataloader.dataset
    dataset = mmseg_dataset(config)
    assert section.data_root == f"data/{spec.root}"
    assert section.data_prefix.img_path == spec.image_dir
    assert section.data_prefix.get("seg_map_path", "") == spec.label_dir
    assert section.data_prefix.get("img_path2", "") == spec.after_dir
    assert section.get("ann_file", "") == spec.id_list
    assert (dataset.img_suffix, dataset.seg_map_suffix) == (spec.image_suffix, spec.label_suffix)
    assert dataset.reduce_zero_label == spec.reduce_zero_label
    assert dataset.ignore_index == spec.ignore_index


def test_folder_of_all_sets_can_be_named_by_a_variable(monkeypatch):
    monkeypatch.setenv("SEGEARTH_OV3_DATA", "/disk/all sets")
    config = Config.fromfile(FOLDER / "segearth-ov3_loveda.py")
    assert config.test_dataloader.dataset.data_root == "/disk/all sets/LoveDA"


def test_folder_of_all_sets_is_data_where_the_variable_is_not_set(path):
    base = FOLDER / "_base_" / path.name.removeprefix("segearth-ov3_")
    assert "data_root='{{$SEGEARTH_OV3_DATA:data}}/" in base.read_text(encoding="utf-8")


def test_classes_and_colours_are_those_of_the_facts(config):
    spec, meta = SPECS[config.dataset_name], mmseg_dataset(config).metainfo
    assert tuple(meta["classes"]) == spec.classes
    assert [tuple(color) for color in meta["palette"]] == list(spec.palette)


def header_of(path: Path) -> dict[str, list[str]]:
    """Fields of a configuration's header: name and its lines."""
    fields: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").split("_base_")[0].splitlines():
        if match := re.match(r"# (?P<name>[A-Z][a-z]+): +(?P<text>.*)", line):
            fields[match["name"]] = [match["text"]]
        elif fields and line.startswith("#  "):
            list(fields.values())[-1].append(line.removeprefix("#").strip())
    return fields


def test_header_has_command_data_and_comparability(path, config):
    spec, header = SPECS[config.dataset_name], header_of(path)
    assert header["Command"] == [f"python tools/test.py configs/{path.name} --checkpoint {checkpoint_of(spec)}"]
    assert f"data/{spec.root}" in " ".join(header["Data"])
    assert "SEGEARTH_OV3_DATA" in " ".join(header["Data"])
    assert header["Comparable"]
    if spec.group != "generated":
        assert header["Prepare"] == [f"python tools/prepare_data/prepare.py {spec.name} --src DIR"]
    if spec.own_words:
        assert "of our own" in " ".join(header["Comparable"]) or spec.group == "generated"


def test_header_cites_the_published_scores_of_sam3_methods_with_grade_and_source(path, config):
    spec = SPECS[config.dataset_name]
    cited = [str(score) for score in spec.published if score.method in SAM3_METHODS]
    if cited:
        assert header_of(path)["Published"] == cited
    else:
        assert header_of(path)["Published"][0].startswith("none")


def test_header_states_thresholds_and_number_of_images(path, config):
    spec, text = SPECS[config.dataset_name], " ".join(header_of(path)["Thresholds"])
    settings = spec.settings
    assert re.match(rf"prob {settings.prob_threshold:g}\b.* conf {settings.confidence_threshold:g}\b", text)
    assert ("as released" in text) == (spec.name in RELEASED)
    if settings.window:
        assert f"window {settings.window}, stride {settings.stride}" in text
    if spec.items:
        assert str(spec.items) in path.read_text(encoding="utf-8").split("#\n")[0]


def checkpoint_of(spec: DatasetSpec) -> str:
    return "demo" if spec.group == "generated" else "sam3.pt"


@pytest.mark.parametrize("name", [name for name, spec in SPECS.items() if spec.group == "change"])
def test_pairs_are_loaded_as_the_facts_say(name):
    test_folders_and_suffixes_are_those_of_the_facts(Config.fromfile(FOLDER / "_base_" / f"{name}.py"))


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


def mmseg_dataset(config: Config) -> object:
    """The dataset of a configuration without its files."""
    from mmseg.registry import DATASETS

    section = {**config.test_dataloader.dataset, "lazy_init": True, "pipeline": []}
    return DATASETS.build({**section, "type": f"mmseg.{section['type']}"})
