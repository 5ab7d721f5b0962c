"""The README's Python does what stands below it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from golden import load_tiny
from safetensors.torch import save_file

from segearth_ov3.checkpoints.sizes import config_metadata

README = Path(__file__).resolve().parents[1] / "README.md"


def test_python_example_prints_what_the_readme_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, output = re.findall(r"```(?:python)?\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)[:2]
    monkeypatch.chdir(tmp_path)
    model = load_tiny()
    save_file(dict(model.state_dict()), "sam3.pt", metadata=config_metadata(model.config))
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 100, "width": 100, "crs": "EPSG:25832"}
    with rasterio.open("scene.tif", "w", transform=Affine(5, 0, 346000, 0, -5, 5648000), **profile) as scene:
        scene.write(np.full((3, 100, 100), 90, dtype=np.uint8))
    exec(code, {})
    assert capsys.readouterr().out == output
    with rasterio.open("classes.tif") as classes:
        assert (classes.crs.to_epsg(), classes.transform.a) == (25832, 5)


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#]+)\)", README.read_text(encoding="utf-8")))
def test_files_that_the_readme_names_exist(target: str) -> None:
    assert (README.parent / target).is_file()


@pytest.mark.parametrize("page", ["README.md", "docs/scenes.md"])
def test_commands_do_not_write_the_files_of_the_python_example(page: str) -> None:
    """Both are tried in one folder; nothing may say that a file exists."""
    text = (README.parent / page).read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    command = re.findall(r"^    segearth-ov3 segment scene\.tif (?:.*\\\n)*.*$", text, re.MULTILINE)[0]
    python, shell = (set(re.findall(r"\w+\.(?:tif|png|gpkg)", part)) for part in (code, command))
    assert len(python) > 1
    assert len(shell) > 1
    assert python & shell == {"scene.tif"}
