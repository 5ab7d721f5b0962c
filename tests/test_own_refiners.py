"""A refiner in a file of the user works from each door, in a folder that is on no import path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import rasterio

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "configs" / "segearth-ov3_demo.py"
SMALL = ["test_dataloader.dataset.side=64", "test_dataloader.dataset.indices=1"]
EXPECTED = {"type": "my_refiner.Centring", "weight": 0.2, "at": "memory"}
MODULE = """
import dataclasses

@dataclasses.dataclass(frozen=True, kw_only=True)
class Centring:
    weight: float = 0.1
    at: str = "memory"
    needs = frozenset()

    def __call__(self, tokens, context):
        return tokens - self.weight * tokens.mean(dim=(2, 3), keepdim=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder but for the refiner."""
    (tmp_path / "my_refiner.py").write_text(MODULE)
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder; the package is on the import path, and the folder is not, as for installed scripts."""
    is_file = not command[0].startswith("-")  # whose own folder is on the path
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "" if is_file else "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_from_the_command_line(folder: Path) -> None:
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 32, "width": 32, "crs": "EPSG:25832"}
    with rasterio.open(folder / "scene.tif", "w", transform=rasterio.Affine(1, 0, 346000, 0, -1, 5648000), **profile):
        pass
    options = ["--classes", "road; tree", "--background", "none", "--checkpoint", "demo", "--nodata", "none"]
    refiner = ["--refiner", "my_refiner.Centring:weight=0.2"]
    run(folder, "-m", "segearth_ov3", "segment", "scene.tif", "map.tif", *options, *refiner)
    with rasterio.open(folder / "map.tif") as labels:
        assert json.loads(labels.tags()["SEGEARTH_OV3_REFINERS"]) == [EXPECTED]


def test_from_python(folder: Path) -> None:
    code = "from segearth_ov3.refiners import *; print(describe_refiner(*build_refiners(['my_refiner.Centring'])))"
    assert run(folder, "-c", code).stdout == f"{ {**EXPECTED, 'weight': 0.1} }\n"


@pytest.mark.mmseg
def test_from_a_configuration(folder: Path) -> None:
    model = "dict(refiners=[dict(type='my_refiner.Centring', weight=0.2)])"
    (folder / "own.py").write_text(f"_base_ = '{CONFIG}'\nmodel = {model}\n")
    arguments = ["own.py", "--checkpoint", "demo", "--out", "out", "--cfg-options", *SMALL]
    run(folder, str(ROOT / "tools" / "test.py"), *arguments)
    assert json.loads((folder / "out" / "results.json").read_text())["configuration"]["refiners"] == [EXPECTED]


@pytest.mark.mmseg
def test_from_a_file_of_variants(folder: Path) -> None:
    (folder / "variants.py").write_text(
        "variants = [dict(name='centring', refiners=[dict(type='my_refiner.Centring', weight=0.2)])]\n"
        "sweeps = [dict(name='sweep', refiners=['my_refiner.Centring'], grid={'my_refiner.Centring.weight': [0.3]})]\n"
    )
    arguments = [str(CONFIG), "--variants", "variants.py", "--checkpoint", "demo", "--out", "out", "--pictures", "0"]
    run(folder, str(ROOT / "tools" / "ablate.py"), *arguments, "--cfg-options", *SMALL)
    variants = json.loads((folder / "out" / "ablation.json").read_text())["variants"]
    assert [each["refiners"] for each in variants] == [[], [EXPECTED], [{**EXPECTED, "weight": 0.3}]]
