"""The pages on evaluation: their tables are those made from the facts, their commands and links exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from prepare_data.command import RECIPES, parse_arguments

from segearth_ov3.datasets import SPECS, DatasetSpec
from segearth_ov3.metrics.report import markdown_table

ROOT = Path(__file__).resolve().parents[1]
INDEX = ROOT / "docs" / "evaluation.md"
PAGES = [INDEX, *sorted((ROOT / "docs" / "evaluation").glob("*.md"))]
REAL = {
    "loveda": "mmseg_fixtures",
    "potsdam": "mmseg_fixtures, potsdam_lowres_rgb_labels",
    "vaihingen": "mmseg_fixtures",
    "dubai": "dubai_aerial",
    "zurich_summer": "zurich_summer",
    "whu_aerial": "buildings_binary",
    "whu_sat_ii": "buildings_binary",
    "inria": "buildings_binary",
    "levir_cd": "change_detection",
}


def row(spec: DatasetSpec) -> tuple[str, ...]:
    number = "?" if spec.items is None else f"{'' if spec.items_certain else 'about '}{spec.items}"
    pairs = spec.group == "change"
    config = f"_base_/{spec.name}.py" if pairs else f"segearth-ov3_{spec.name}.py"
    test = "test_pairs_are_loaded_with_their_label" if pairs else "test_score_equals_an_independent_computation"
    return (config, spec.title, number, str(len(spec.classes)), f"{test}[{spec.name}]", REAL.get(spec.name, ""))


def expected_table() -> str:
    """The table of all sets, as it should stand in the page."""
    rows = [("configuration", "set", "images", "classes", "test in test_every_set.py", "real images")]
    return markdown_table(rows + [row(spec) for spec in SPECS.values() if spec.group != "generated"])


def test_table_of_sets_is_made_from_the_facts():
    text = INDEX.read_text(encoding="utf-8").split("test_docs_evaluation.py -->\n\n")[1]
    assert text.strip() == expected_table()


def test_real_samples_named_in_the_table_are_tested():
    source = (ROOT / "tests/preparing/test_real_samples.py").read_text(encoding="utf-8")
    assert all(folder in source for folders in REAL.values() for folder in folders.split(", "))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).is_file(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_accepted_and_name_files_that_exist(page):
    text = re.sub(r" \\\n +", " ", page.read_text(encoding="utf-8"))
    for line in re.findall(r"^ {4,6}(python tools/.*)$", text, re.MULTILINE):
        _, script, *arguments = shlex.split(line.split("  #")[0])
        assert (ROOT / script).is_file()
        if script.endswith("prepare.py"):
            assert parse_arguments(arguments).set in RECIPES
        for argument in arguments:
            assert not argument.startswith("configs/") or (ROOT / argument).is_file(), argument


def test_every_set_stands_in_the_page_of_its_group():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES[1:])
    for name, recipe in RECIPES.items():
        assert f"`{name}`" in text, name
        assert not recipe.difference or recipe.difference in " ".join(text.split()), name
