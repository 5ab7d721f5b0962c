from __future__ import annotations

import dataclasses
import importlib.metadata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from segearth_ov3.cli.main import main
from segearth_ov3.refiners import REFINERS


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["refiners", *arguments])


def points(*values: str) -> importlib.metadata.EntryPoints:
    group = "segearth_ov3.refiners"
    made = (importlib.metadata.EntryPoint(*value.split(" = "), group=group) for value in values)
    return importlib.metadata.EntryPoints(made)


@pytest.mark.parametrize("name", REFINERS)
def test_every_refiner_is_listed_with_purpose_and_defaults(name: str) -> None:
    lines = run().stdout.splitlines()
    place = lines.index(name)
    assert lines[place + 1].strip() == REFINERS[name].__doc__.splitlines()[0]
    for field in dataclasses.fields(REFINERS[name]):
        assert (f"{field.name}={field.default}" in lines[place + 2]) == field.repr


def test_refiner_of_the_working_directory_is_shown_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shown_refiner.py").write_text("def invert(tokens, context):\n    '''Negate.'''\n    return -tokens\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert run("shown_refiner.invert").stdout == "shown_refiner.invert\n    Negate.\n    at='memory', needs=()\n"


def test_entry_points_are_listed_and_a_broken_one_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = points(
        "apart = nowhere:X", "sharpening = segearth_ov3.refiners.smoothing:Smoothing", "smoothing = nowhere:X"
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: offered)
    result = run()
    assert result.exit_code == 0
    assert "apart\n    unusable: refiner 'apart' of an installed package: no module 'nowhere'" in result.stdout
    assert "sharpening\n    Add the mean of the window around each token.\n    weight=0.2" in result.stdout
    assert "smoothing\n    unusable: never used: a refiner of this package has the name" in result.stdout


def test_unknown_name_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("smothing")
    assert result.exit_code == 1
    assert "did you mean 'smoothing'?" in result.stderr
    assert result.stderr.count("\n") == 1
