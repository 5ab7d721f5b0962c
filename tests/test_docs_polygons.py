"""The snippet of docs/polygons.md prints what stands below it, and the page says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import shapely
from pyogrio import raw

from segearth_ov3.cli.polygonize import polygonize
from segearth_ov3.geo import polygonize as module
from segearth_ov3.geo.vectors import DRIVERS

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "polygons.md").read_text(encoding="utf-8")


def test_snippet_prints_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output = re.findall(r"```(?:python)?\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert capsys.readouterr().out == output
    assert shapely.is_valid(shapely.from_wkb(raw.read("truth.gpkg")[2])).all()


def test_page_names_every_format_and_option_of_its_own() -> None:
    assert all(f"`{ending}`" in PAGE for ending in DRIVERS)
    shared = {"--overwrite", "--force", "--quiet", "--allow-outside", "--allow-network"}
    options = {name for parameter in polygonize.params for name in parameter.opts if name.startswith("--")}
    assert all(f"`{name}" in PAGE for name in options - shared)


def test_page_says_how_high_blocks_are() -> None:
    assert f"every {module._SIMPLIFY_BLOCK_PIXELS // 10_000} rows" in PAGE


def test_pictures_of_the_page_exist() -> None:
    assert all((DOCS / name).is_file() for name in re.findall(r"!\[.*?\]\((.*?)\)", PAGE))
