"""The snippets and commands of docs/measuring.md run as they stand."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from evaluation_tools import ROOT, load_tool, quicken_logs

from segearth_ov3.datasets.corruptions import CORRUPTIONS

pytestmark = [
    pytest.mark.mmseg,
    pytest.mark.filterwarnings("ignore:'pkgutil.find_loader' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

PAGE = (ROOT / "docs" / "measuring.md").read_text(encoding="utf-8")
CORRUPTING, READING = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [shlex.split(line) for line in re.findall(r"^    ((?:python|torchrun|srun) .*)$", PAGE, re.MULTILINE)]


def arguments_of(command: list[str]) -> tuple[str, list[str]]:
    """Name of the tool that a command runs, and its arguments."""
    place = next(index for index, word in enumerate(command) if word.startswith("tools/"))
    return Path(command[place]).stem, command[place + 1 :]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_command_of_the_page_is_understood(command):
    name, arguments = arguments_of(command)
    load_tool(name).parse_arguments(arguments)


def test_page_names_every_corruption():
    assert all(f"`{kind}`" in PAGE for kind in CORRUPTIONS)


def test_corruption_of_the_page_prints_what_stands_there(capsys):
    exec(CORRUPTING, {})
    (expected,) = re.findall(r"```\n(1 .*?)```", PAGE, re.DOTALL)
    assert capsys.readouterr().out == expected


def test_smallest_run_of_the_page_can_be_read_by_its_snippet(monkeypatch, tmp_path, capsys):
    (command,) = [command for command in COMMANDS if "--limit" in command]
    name, arguments = arguments_of(command)
    quicken_logs(monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("configs").symlink_to(ROOT / "configs")
    config = Path("few.py")  # two scenes instead of fifty have to be made
    config.write_text(
        "_base_ = 'configs/segearth-ov3_demo.py'\ntest_dataloader = dict(dataset=dict(count=3, side=168))\n"
    )
    words = f"model = dict(vocabulary='{ROOT}/configs/vocab/demo.txt', window=None, stride=None)\n"
    config.write_text(config.read_text() + words)
    arguments[0] = str(config)
    assert load_tool(name).main([*arguments, "--workers", "0"]) == 0
    Path("work_dirs/first/few").rename("work_dirs/first/segearth-ov3_demo")
    capsys.readouterr()
    exec(READING, {})
    out = capsys.readouterr().out
    assert re.match(r"\('mIoU', [\d.]+\) 2 of 50 \('2 of 50 images',\)\n", out)
    assert len(out.splitlines()) == 1 + 8
