"""Facts of the benchmark sets against the tables they were taken from."""

from __future__ import annotations

import csv
import dataclasses
import re
from collections import Counter
from pathlib import Path

import pytest

from segearth_ov3.datasets import AVERAGES, PUBLISHED, SPECS, Settings
from segearth_ov3.datasets.published import GENERAL_EIGHT, SEMANTIC_EIGHT
from segearth_ov3.datasets.spec import ClassColor, legend
from segearth_ov3.errors import OptionError
from segearth_ov3.vocabulary import Vocabulary

VOCABULARIES = Path(__file__).resolve().parents[2] / "configs" / "vocab"
GENERATED = [name for name, spec in SPECS.items() if spec.group == "generated"]
WITH_WORDS = [name for name, spec in SPECS.items() if not spec.own_words]
SAME_COLORS = {"coco_object", "coco_stuff164k", "ade20k", "context59", "context60"}  # as mmsegmentation has them


@pytest.mark.parametrize("name", SPECS)
def test_entry_is_found_under_its_own_name(name):
    assert SPECS[name].name == name


def test_every_set_of_the_benchmark_is_there():
    groups = Counter(spec.group for spec in SPECS.values())
    expected = {"semantic": 11, "building": 5, "road": 5, "water": 1, "general": 8, "change": 3, "generated": 1}
    assert groups == expected


@pytest.mark.parametrize("name", SPECS)
def test_vocabulary_has_one_line_per_class(name):
    spec = SPECS[name]
    words = Vocabulary.from_file(VOCABULARIES / spec.vocabulary, background=spec.settings.background)
    assert len(words) == len(spec.classes)


def test_every_vocabulary_belongs_to_a_set():
    assert {path.name for path in VOCABULARIES.glob("*.txt")} == {spec.vocabulary for spec in SPECS.values()}


@pytest.mark.parametrize("name", [name for name in SPECS if name not in SAME_COLORS])
def test_colours_differ(name):
    palette = SPECS[name].palette
    assert len(set(palette)) == len(palette)


@pytest.mark.parametrize("name", SPECS)
def test_colours_are_bytes(name):
    assert all(len(color) == 3 and min(color) >= 0 and max(color) <= 255 for color in SPECS[name].palette)


@pytest.mark.parametrize("name", SPECS)
def test_licence_and_source_are_stated(name):
    assert SPECS[name].licence
    assert SPECS[name].homepage.startswith("made on first use" if name in GENERATED else ("https://", "http://"))


def test_sets_without_published_words_are_known():
    assert {name for name in SPECS if name not in WITH_WORDS} == {
        "gid",
        "gf7_building",
        "gf_road",
        "dubai",
        "zurich_summer",
        "demo",
    }


@pytest.mark.parametrize("name", WITH_WORDS)
def test_published_words_are_unchanged(name, shared_dir):
    published = (shared_dir / "vocab" / f"{name}.txt").read_bytes()
    assert (VOCABULARIES / f"{name}.txt").read_bytes() == published


def test_no_published_words_are_left_out(shared_dir):
    assert {path.stem for path in (shared_dir / "vocab").glob("*.txt")} == set(WITH_WORDS)


@pytest.mark.parametrize("name", [name for name in SPECS if name not in ("dubai", "zurich_summer", "demo")])
def test_classes_and_colours_are_those_of_the_palette_table(name, shared_dir):
    with (shared_dir / "palettes" / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["name"] for row in rows] == list(SPECS[name].classes)
    colors = [(int(row["red"]), int(row["green"]), int(row["blue"])) for row in rows]
    assert colors == list(SPECS[name].palette)


def overview(shared_dir: Path) -> dict[str, list[str]]:
    """Rows of the overview table in the notes on the sets, by the title in their first column."""
    text = (shared_dir / "DATASETS.md").read_text(encoding="utf-8")
    lines = text.split("| set | root (OV3)")[1].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


OVERVIEW_NAMES = {
    "openearthmap": "OpenEarthMap",
    "loveda": "LoveDA",
    "isaid": "iSAID",
    "potsdam": "Potsdam",
    "vaihingen": "Vaihingen",
    "uavid": "UAVid",
    "udd5": "UDD5",
    "vdd": "VDD",
    "whu_aerial": "WHU aerial",
    "whu_sat_ii": "WHU satellite II",
    "inria": "Inria",
    "xbd": "xBD (pre)",
    "gf7_building": "GF-7 building",
    "chn6_cug": "CHN6-CUG",
    "deepglobe_road": "DeepGlobe road",
    "massachusetts_road": "Massachusetts roads",
    "spacenet_road": "SpaceNet roads",
    "gf_road": "GF low-grade road",
    "wbs_si": "WBS-SI",
    "gid": "GID-5",
    "levir_cd": "LEVIR-CD",
    "whu_cd": "WHU-CD",
    "s2looking": "S2Looking",
    "voc20": "VOC20",
    "voc21": "VOC21",
    "context59": "Context59",
    "context60": "Context60",
    "coco_object": "COCO-Object",
    "coco_stuff164k": "COCO-Stuff164k",
    "cityscapes": "Cityscapes",
    "ade20k": "ADE20K",
}


@pytest.mark.parametrize("name", OVERVIEW_NAMES)
def test_facts_are_those_of_the_overview(name, shared_dir):
    """Folders, suffixes, zero, classes and prompts, fallback, thresholds and number of images, from the table."""
    spec = SPECS[name]
    row = overview(shared_dir)[OVERVIEW_NAMES[name]]
    root, images, labels, suffix, reduced, classes, fallback, prob, conf, _, items = row
    suffixes = suffix.split(" / ")
    if not root.startswith("(double"):
        assert spec.root == root
    assert (f"{spec.image_dir} and {spec.after_dir}" if spec.after_dir else spec.image_dir) == images
    assert spec.label_dir == labels
    assert spec.image_suffix == suffixes[0]
    if name != "wbs_si":  # where the masks are PNG here, on purpose
        assert spec.label_suffix == suffixes[-1]
    assert spec.reduce_zero_label == (reduced == "yes")
    assert len(spec.classes) == int(classes.split("/")[0])
    if not spec.own_words:
        words = Vocabulary.from_file(VOCABULARIES / spec.vocabulary, background=spec.settings.background)
        assert len(words.prompts) == int(classes.split("/")[1])
    assert spec.settings.background == (None if fallback == "off" else int(fallback))
    assert spec.settings.prob_threshold == float(prob)
    assert spec.settings.confidence_threshold == float(conf.split()[0])
    number = re.search(r"\d+", items)
    if items == "as Context59":
        assert spec.items == SPECS["context59"].items
    else:
        assert spec.items == (int(number[0]) if number else None)
        # of xBD, other numbers of DATASETS.md confirm the count
        assert spec.items_certain == ("[r]" not in items or spec.name == "xbd")


@pytest.mark.parametrize(
    ("name", "metric", "foreground"), [("loveda", "mIoU", None), ("inria", "IoU", 1), ("wbs_si", "IoU", 1)]
)
def test_headline_score_is_the_foreground_where_there_is_one(name, metric, foreground):
    assert (SPECS[name].metric, SPECS[name].foreground) == (metric, foreground)


def test_published_scores_are_taken_with_the_metric_that_the_set_reports():
    for name, scores in PUBLISHED.items():
        metrics = {score.metric for score in scores}
        assert SPECS[name].metric in metrics
        assert metrics <= {SPECS[name].metric, "F1"}


@pytest.mark.parametrize("group", ["semantic", "general"])
def test_stated_averages_are_those_of_the_columns(group):
    names = {"semantic": SEMANTIC_EIGHT, "general": GENERAL_EIGHT}[group]
    for average in AVERAGES[group]:
        columns = [
            entry.score
            for name in names
            for entry in PUBLISHED[name]
            if dataclasses.replace(entry, score=average.score) == average
        ]
        if len(columns) == 8:
            assert average.score == pytest.approx(sum(columns) / 8, abs=0.051)


def test_grades_are_letters():
    assert {score.grade for scores in PUBLISHED.values() for score in scores} == {"P", "Q", "M"}


def test_score_is_cited_with_grade_source_and_who_ran_it():
    paper, rerun = SPECS["loveda"].published[:2]
    assert (
        str(paper)
        == "SegEarth-OV3 47.4 mIoU [Q] (arXiv 2512.08730 Table 2, as quoted by FasterThanAi/FreeTraining-OVSS)"
    )
    assert str(rerun) == "SegEarth-OV3, rerun by FasterThanAi/FreeTraining-OVSS, 47.38 mIoU [M]"


@pytest.mark.parametrize("background", [7, -1])
def test_background_must_be_a_class(background):
    with pytest.raises(OptionError, match="background must be 0 to 6 or None"):
        dataclasses.replace(SPECS["loveda"], settings=Settings(0.5, 0.5, background))


def test_names_of_classes_may_hold_blanks():
    assert legend(" traffic light 250 170 30\n road 1 2 3 ") == (
        ClassColor("traffic light", (250, 170, 30)),
        ClassColor("road", (1, 2, 3)),
    )
