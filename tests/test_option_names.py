"""Every option that a message, a docstring or a page names exists in some program of this repository."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from segearth_ov3.cli.main import main

ROOT = Path(__file__).resolve().parents[1]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9_-]*[a-z0-9]")
PROGRAMS = sorted([*ROOT.glob("tools/**/*.py"), *ROOT.glob("benchmarks/*.py")])
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])
SOURCES = sorted([*ROOT.glob("segearth_ov3/**/*.py"), *PROGRAMS, *ROOT.glob("configs/**/*.py")])
# of torchrun and srun, and of git
OTHERS = {
    *("--nproc_per_node", "--ntasks", "--gres", "--ntasks-per-node"),
    *("--always", "--abbrev", "--exclude", "--dirty"),
}


def options_of(command: click.Command) -> Iterator[str]:
    """Options of a command and of the commands in it."""
    with click.Context(command) as context:
        for param in command.get_params(context):
            yield from (*param.opts, *param.secondary_opts)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                yield from options_of(command.get_command(context, name))


@pytest.fixture(scope="module")
def known() -> set[str]:
    """Options of all commands and scripts."""
    names = set(options_of(main)) | OTHERS
    for path in PROGRAMS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("add_argument", "option"):
                texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
                names |= {name for text in texts for name in text.split("/") if name.startswith("--")}
    return names | {"--help", "--version"}


def texts_of(path: Path) -> str:
    """All texts in a source file, messages and docstrings; declarations of options are among them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return "\n".join(
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_options_in_texts_of_a_source_file_exist(path: Path, known: set[str]) -> None:
    assert set(OPTION.findall(texts_of(path))) - known == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_options_in_a_page_exist(path: Path, known: set[str]) -> None:
    assert set(OPTION.findall(path.read_text(encoding="utf-8"))) - known == set()


def test_options_are_found(known: set[str]) -> None:
    assert {"--prob-threshold", "--sha256", "--variants", "--data-dir", "--layout", "--absent", "--no-absent"} <= known
