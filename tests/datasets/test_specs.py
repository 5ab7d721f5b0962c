"""Facts of the benchmark sets against the tables they were taken from."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest

from segearth_ov3.datasets import SPECS
from segearth_ov3.errors import OptionError
from segearth_ov3.vocabulary import Vocabulary

VOCABULARIES = Path(__file__).resolve().parents[2] / "configs" / "vocab"
PUBLISHED = ["loveda", "potsdam", "vaihingen"]
GENERATED = ["demo"]


@pytest.mark.parametrize("name", SPECS)
def test_entry_is_found_under_its_own_name(name):
    assert SPECS[name].name == name


@pytest.mark.parametrize("name", SPECS)
def test_vocabulary_has_one_line_per_class(name):
    spec = SPECS[name]
    words = Vocabulary.from_file(VOCABULARIES / spec.vocabulary, background=spec.background)
    assert len(words) == len(spec.classes)


@pytest.mark.parametrize("name", SPECS)
def test_colours_differ_and_are_bytes(name):
    palette = SPECS[name].palette
    assert len(set(palette)) == len(palette)
    assert all(len(color) == 3 and min(color) >= 0 and max(color) <= 255 for color in palette)


@pytest.mark.parametrize("name", SPECS)
def test_licence_and_source_are_stated(name):
    assert SPECS[name].licence
    assert SPECS[name].homepage.startswith("made on first use" if name in GENERATED else "https://")


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_words_are_unchanged(name, shared_dir):
    published = (shared_dir / "vocab" / f"{name}.txt").read_bytes()
    assert (VOCABULARIES / f"{name}.txt").read_bytes() == published


@pytest.mark.parametrize("name", PUBLISHED)
def test_classes_and_colours_are_those_of_the_palette_table(name, shared_dir):
    with (shared_dir / "palettes" / f"{name}.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [row["name"] for row in rows] == list(SPECS[name].classes)
    colors = [(int(row["red"]), int(row["green"]), int(row["blue"])) for row in rows]
    assert colors == list(SPECS[name].palette)


@pytest.mark.parametrize(
    ("name", "prob", "conf", "background"),
    [("loveda", 0.5, 0.5, 0), ("potsdam", 0.1, 0.2, 5), ("vaihingen", 0.1, 0.4, 5)],
)
def test_released_thresholds(name, prob, conf, background):
    spec = SPECS[name]
    assert (spec.prob_threshold, spec.confidence_threshold, spec.background) == (prob, conf, background)


def test_number_of_colours_must_fit_the_classes():
    with pytest.raises(OptionError, match="loveda: expected 7 colours, got 1"):
        dataclasses.replace(SPECS["loveda"], palette=((0, 0, 0),))


@pytest.mark.parametrize("background", [7, -1])
def test_background_must_be_a_class(background):
    with pytest.raises(OptionError, match="background must be 0 to 6 or None"):
        dataclasses.replace(SPECS["loveda"], background=background)
