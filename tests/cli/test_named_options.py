"""Options that messages, docstrings and pages of this package name exist in a command or a tool."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from segearth_ov3.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = {"--abbrev", "--always", "--dirty", "--exclude", "--match"}  # of git
FOREIGN |= {"--nproc", "--nproc-per-node", "--gres", "--ntasks", "--ntasks-per-node"}  # of torchrun and Slurm
NAMED = r"(?<![\w-])--[a-z](?:[a-z0-9-]*[a-z0-9])?"
PLACES = [*(ROOT / "segearth_ov3").rglob("*.py"), ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]


def options_of(command: click.Command) -> Iterator[str]:
    yield from command.get_help_option_names(click.Context(command))
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            yield from options_of(command.get_command(click.Context(command), name) or command)


@functools.cache
def known_options() -> set[str]:
    """All options of the commands, and every text in the tools and benchmarks that looks like the name of one."""
    scripts = [path for folder in ("tools", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    declared = {name for path in scripts for name in re.findall(rf"[\"'/]({NAMED})(?=[\"'/])", path.read_text("utf-8"))}
    return {*options_of(main), *declared, *FOREIGN}


@pytest.mark.parametrize("path", PLACES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_named_options_exist(path: Path) -> None:
    assert set(re.findall(NAMED, path.read_text(encoding="utf-8"))) <= known_options()
