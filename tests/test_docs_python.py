"""The snippets of docs/python.md run in order, as in a notebook, and print what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine

from segearth_ov3.demo.scenes import generate_scene

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
ONE_IMAGE, PICTURE, BACKGROUND, SCENE, PRECISION = (text for language, text in BLOCKS if language == "python")
SHAPES, TABLE = (text for language, text in BLOCKS if not language)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with photo.png and scene.tif."""
    monkeypatch.chdir(tmp_path)
    pixels = generate_scene((240, 320), 1, res_m=0.5).image
    Image.fromarray(pixels).convert("RGBA").save("photo.png")
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 240, "width": 320, "crs": "EPSG:25832"}
    with rasterio.open("scene.tif", "w", transform=Affine(0.5, 0, 346000, 0, -0.5, 5648000), **profile) as scene:
        scene.write(pixels.transpose(2, 0, 1))
    return tmp_path


def test_snippets_run_in_order_and_print_what_the_page_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notebook: dict[str, Any] = {"np": np}
    exec(ONE_IMAGE, notebook)
    assert capsys.readouterr().out == SHAPES
    exec(PICTURE, notebook)
    with Image.open("overlay.png") as picture:
        assert picture.width >= 320
    exec(BACKGROUND, notebook)
    assert notebook["buildings"].shape == (240, 320)
    exec(SCENE, notebook)
    printed, shown = ([row.split() for row in text.splitlines()] for text in (capsys.readouterr().out, TABLE))
    assert printed[0] == shown[0]
    assert [row[0] for row in printed] == [row[0] for row in shown]
    exec(PRECISION, notebook)
    assert notebook["model"].dtype == notebook["segmenter"].model.dtype


def test_readme_links_the_page() -> None:
    assert "(docs/python.md)" in (DOCS.parent / "README.md").read_text(encoding="utf-8")
