"""The page on own data: its files are written and its commands run, on small images under the names it uses."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from evaluation_tools import ROOT, load_tool, quicken_logs, report_of, save_tiny_weights
from PIL import Image

from segearth_ov3.cli.main import main

pytestmark = [
    pytest.mark.mmseg,
    # from Python 3.12 on, both from mmengine's way of working: how it looks for mmcv's operators, and loader processes
    pytest.mark.filterwarnings("ignore:'pkgutil.find_loader' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

PAGE = (ROOT / "docs" / "own_data.md").read_text(encoding="utf-8")
COLORS = np.array([(0, 255, 0), (255, 0, 0), (90, 90, 90), (255, 255, 255)], dtype=np.uint8)


def commands() -> list[list[str]]:
    """Commands of the page, continued lines joined."""
    text = re.sub(r" \\\n +", " ", PAGE)
    return [shlex.split(line) for line in re.findall(r"^ {4}((?:segearth-ov3|python) .*)$", text, re.MULTILINE)]


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the images, labels and text files that the page names."""
    rng = np.random.default_rng(3)
    for folder in ("town/images", "town/masks", "town/colours", "tiles"):
        (tmp_path / folder).mkdir(parents=True)
    for number in (1, 2, 3):
        picture = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        classes = np.kron(rng.integers(0, 4, (3, 4)), np.ones((8, 8), int))
        mask = Image.fromarray(np.where(classes == 1, 255, 0).astype(np.uint8))
        for path in (f"town/images/tile_{number}.tif", f"tiles/{number}_rgb.tif"):
            picture.save(tmp_path / path)
        for path in (f"town/masks/tile_{number}.png", f"tiles/{number}_mask.png"):
            mask.save(tmp_path / path)
        Image.fromarray(COLORS[classes]).save(tmp_path / f"town/colours/tile_{number}.png")
    for name, content in re.findall(r"```text (\S+)\n(.*?)```", PAGE, re.DOTALL):
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGEARTH_OV3_CHECKPOINT", str(save_tiny_weights(tmp_path / "tiny.safetensors")))
    return tmp_path


def test_commands_of_the_page_run_in_their_order(town, monkeypatch):
    quicken_logs(monkeypatch)
    for program, *arguments in commands():
        if program == "segearth-ov3":
            result = CliRunner().invoke(main, [*arguments, "--workers", "0"])
            assert result.exit_code == 0, (arguments, result.output)
        else:
            assert load_tool(Path(arguments[0]).stem).main([*arguments[1:], "--workers", "0"]) == 0
    assert report_of(town / "work_dirs/town").headline[0] == "IoU building"
    assert report_of(town / "first").images == 1
    assert report_of(town / "saved").confusion == report_of(town / "saved_again").confusion
    assert len(list((town / "pictures").iterdir())) == 3


def test_messages_of_the_page_are_those_of_the_package():
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "segearth_ov3").rglob("*.py"))
    joined = re.sub(r'"\s*\n\s*f?"', "", source)
    for message in re.findall(r"^\| `([^`]*)` \|", PAGE.split("## When something is wrong")[1], re.MULTILINE):
        for part in message.split("..."):
            words = part.strip(" []")
            assert words in joined or re.sub(r"\b\d+\b", "{", words).split("{")[0].strip() in joined, message
