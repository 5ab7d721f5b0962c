"""What importing the package brings along, seen from a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys

import pytest

import segearth_ov3

HEAVY = ("torch", "torchvision", "open_clip", "rasterio", "mmseg", "mmengine", "mmcv", "PIL", "matplotlib", "numpy")


def run_python(code: str) -> str:
    """Standard output of a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    "statement",
    [
        "import segearth_ov3",
        "import segearth_ov3.cli.main",
        "from segearth_ov3 import Vocabulary",
        "from segearth_ov3.cli.main import main; main(['--help'], standalone_mode=False)",
        "from segearth_ov3.cli.main import main; main(['--version'], standalone_mode=False)",
        "from segearth_ov3.cli.main import main; main(['segment', '--help'], standalone_mode=False)",
        "from segearth_ov3.cli.main import main; main(['evaluate', '--help'], standalone_mode=False)",
    ],
)
def test_quick_start_loads_no_heavy_package(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint('loaded:', *(name for name in {HEAVY} if name in sys.modules))"
    assert run_python(code).splitlines()[-1].split() == ["loaded:"]


def test_module_is_the_command() -> None:
    shown = subprocess.run([sys.executable, "-m", "segearth_ov3", "--help"], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("Usage: segearth-ov3 [OPTIONS] COMMAND")


@pytest.mark.parametrize("name", segearth_ov3.__all__)
def test_public_names_are_there(name: str) -> None:
    assert getattr(segearth_ov3, name) is not None


def test_public_names_are_listed() -> None:
    assert set(segearth_ov3.__all__) <= set(dir(segearth_ov3))


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("Segmenter", "segearth_ov3.segmenter"),
        ("Vocabulary", "segearth_ov3.vocabulary"),
        ("Sam3Config", "segearth_ov3.sam3.config"),
        ("segment_scene", "segearth_ov3.geo.scene"),
    ],
)
def test_public_names_are_the_objects_of_their_modules(name: str, module: str) -> None:
    assert getattr(segearth_ov3, name).__module__ == module


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'segearth_ov3' has no attribute 'Segmentor'"):
        _ = segearth_ov3.Segmentor
