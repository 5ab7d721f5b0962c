"""The snippets of docs/scenes.md run as they stand, and the page names what there is."""

from __future__ import annotations

import re
from pathlib import Path

import click
import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from segearth_ov3.cli.segment import segment

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "scenes.md").read_text(encoding="utf-8")
WITH_SEGMENTER, WITH_FUNCTION = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with scene.tif, half of it green."""
    monkeypatch.chdir(tmp_path)
    bands = np.full((3, 200, 300), 90, np.uint8)
    bands[1, :, 150:] = 220
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 200, "width": 300, "crs": "EPSG:25832"}
    with rasterio.open("scene.tif", "w", transform=Affine(0.3, 0, 346000, 0, -0.3, 5648000), **profile) as scene:
        scene.write(bands)
    return tmp_path


def test_segmenter_of_the_page_labels_a_scene(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(WITH_SEGMENTER, {})
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["building", "road", "tree"]
    assert {"classes.tif", "classes.qml", "sure.tif", "classes.png"} <= {path.name for path in folder.iterdir()}


def test_function_of_the_page_labels_a_scene(folder: Path) -> None:
    exec(WITH_FUNCTION, {})
    with rasterio.open("green.tif") as written:
        labels = written.read(1)
    assert (labels[:, :150] == 0).all()
    assert (labels[:, 150:] == 1).all()


def test_options_of_the_page_exist() -> None:
    known = {name for parameter in segment.params for name in parameter.opts}
    assert isinstance(segment, click.Command)
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE.partition("## What it costs")[0])) <= known


def test_picture_of_the_page_is_small() -> None:
    (picture,) = re.findall(r"!\[.*?\]\((.*?)\)", PAGE)
    assert (DOCS / picture).stat().st_size <= 150_000
