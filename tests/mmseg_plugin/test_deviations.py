"""What keeps a result from being compared with published ones: every change is named, and only changes are."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluation_tools import ROOT, config_of
from mmengine.config import Config

from segearth_ov3.datasets import SPECS
from segearth_ov3.datasets.corruptions import Corruption
from segearth_ov3.datasets.words import SHIPPED_WORDS, words_digest
from segearth_ov3.mmseg_plugin.configuration import load_config
from segearth_ov3.mmseg_plugin.deviations import deviations
from segearth_ov3.mmseg_plugin.protocol import Protocol
from segearth_ov3.mmseg_plugin.segmentor import read_vocabulary

pytestmark = pytest.mark.mmseg

EVALUATED = [name for name, spec in SPECS.items() if spec.group != "change"]
OWN = {"gid", "gf7_building", "gf_road"}


def words_of(name: str) -> list[list[str]]:
    words = read_vocabulary(str(ROOT / "configs" / "vocab" / SPECS[name].vocabulary), SPECS[name].settings.background)
    return [list(synonyms) for synonyms in words.classes]


def of(name: str, images: int = 9, total: int | None = 9, **changes: object) -> list[str]:
    """Deviations of a configuration of the toolkit with changes of its dataset."""
    config = load_config(config_of(name), checkpoint="sam3.pt")
    config.test_dataloader.dataset.update(changes)
    return deviations(config, words_of(name), images, total)


@pytest.mark.parametrize("name", [name for name in EVALUATED if name not in OWN | {"wbs_si"}])
def test_complete_set_as_published_deviates_in_nothing(name):
    assert of(name) == []


@pytest.mark.parametrize("name", sorted(OWN))
def test_words_of_our_own_are_named_where_scores_were_published(name):
    assert of(name) == ["words of our own, as the published ones are not known"]


def test_exact_masks_of_wbs_si_are_named_and_published_ones_are_not():
    assert of("wbs_si") == ["exact masks, where the published ones were stored as JPEG"]
    assert of("wbs_si", data_root="data/WaterBodiesDatasetPreprocessed-published/WaterBodiesDatasetPreprocessed") == []


@pytest.mark.parametrize(
    ("name", "images", "total", "said"),
    [
        ("loveda", 3, 1669, ["3 of 1669 images"]),
        ("chn6_cug", 5, None, ["5 images, where the whole set is believed to have 903"]),
        ("vdd", 80, 80, []),
        ("vdd", 3, 80, ["3 of 80 images"]),
    ],
)
def test_number_of_images_is_judged_by_the_set_not_by_what_was_found(name, images, total, said):
    assert of(name, images, total) == said


def test_unknown_number_of_images_is_never_taken_for_complete():
    assert "40 images, and it is not known how many the whole set has" in of("gf_road", 40, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reduce_zero_label": False}, "reduce_zero_label False (published True)"),
        (
            {"data_prefix": {"img_path": "img_dir/train", "seg_map_path": "ann_dir/val"}},
            "images of the folder img_dir/",
        ),
        ({"data_prefix": {"img_path": "img_dir/val", "seg_map_path": "labels"}}, "labels of the folder labels (here"),
        ({"ann_file": "mine.txt"}, "images listed in mine.txt (published all of the folder)"),
        ({"benchmark": "potsdam"}, "read as potsdam"),
        ({"metainfo": {"classes": ["building", "road"]}}, "only or other classes: building, road"),
        ({"value_map": {255: 1}}, "labels changed by value_map"),
        ({"pipeline": [{"type": "LoadPicture"}, {"type": "Resize"}]}, "the pipeline has Resize"),
        (
            {"pipeline": [{"type": "LoadAnnotations", "reduce_zero_label": True}]},
            "labels loaded with reduce_zero_label",
        ),
        ({"pipeline": [{"type": "LoadPicture", "reading": {"bands": [4, 3, 2]}}]}, "pictures read with options"),
    ],
    ids=str,
)
def test_changed_data_are_named(changes, said):
    (found,) = of("loveda", **changes)
    assert found.startswith(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prob_threshold": 0.3}, "prob_threshold 0.3 (published 0.5)"),
        ({"confidence_threshold": 0.3}, "confidence_threshold 0.3 (published 0.5)"),
        ({"background": None}, "background None (published 0)"),
        ({"window": 64, "stride": 8}, "window 64 (published None)"),
        ({"presence": "gate_only"}, "presence gate_only"),
        ({"use_semantic": False}, "use_semantic off"),
        ({"refiners": ["smoothing"]}, "with token refiners"),
        ({"checkpoint": "demo"}, "the demo model, which is for trying out"),
    ],
    ids=str,
)
def test_changed_settings_are_named(change, said):
    config = load_config(config_of("loveda"), checkpoint="sam3.pt")
    config.model.update(change)
    assert said in deviations(config, words_of("loveda"), 9, 9)


def test_corruption_is_named():
    config = load_config(config_of("loveda"), checkpoint="sam3.pt")
    Protocol(corrupt=Corruption("haze", 4)).apply(config)
    assert deviations(config, words_of("loveda"), 3, 1669) == ["3 of 1669 images", "corrupted by haze:4"]


def test_other_words_under_the_same_file_name_are_named(tmp_path: Path):
    lines = (ROOT / "configs" / "vocab" / "loveda.txt").read_text(encoding="utf-8").splitlines()
    changed = tmp_path / "loveda.txt"
    changed.write_text("\n".join([lines[0], "house", *lines[2:]]) + "\n", encoding="utf-8")
    config = load_config(config_of("loveda"), checkpoint="sam3.pt")
    config.model.vocabulary = str(changed)
    words = [list(synonyms) for synonyms in read_vocabulary(str(changed), 0).classes]
    (found,) = deviations(config, words, 9, 9)
    assert found.startswith("other words than the published ones in loveda.txt (digest ")


def test_equal_words_from_another_file_are_no_deviation(tmp_path: Path):
    config: Config = load_config(config_of("loveda"), checkpoint="sam3.pt")
    config.model.vocabulary = str(tmp_path / "copy.txt")
    assert deviations(config, words_of("loveda"), 9, 9) == []


@pytest.mark.parametrize("name", SPECS)
def test_digests_are_those_of_the_vocabularies(name):
    assert SHIPPED_WORDS[name] == words_digest(words_of(name))
