"""Refiners by dotted path and by entry point."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from segearth_ov3.errors import OptionError, UnknownNameError
from segearth_ov3.refiners import build_refiners, describe_refiner
from segearth_ov3.refiners.base import CustomRefiner

MODULE = '''
import dataclasses

@dataclasses.dataclass(frozen=True, kw_only=True)
class Centring:
    """Subtract a share of the mean."""
    weight: float = 0.1
    at: str = "memory"
    needs = frozenset()
    def __call__(self, tokens, context):
        return tokens - self.weight * tokens.mean(dim=(2, 3), keepdim=True)

STRONG = Centring(weight=1.0)
ANSWER = 42

def invert(tokens, context):
    return -tokens
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a module of refiners, which is on no import path; forgotten afterwards."""
    (tmp_path / "own_refiners.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(tmp_path))])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def offer(folder: Path, line: str, package: str = "sharpener") -> None:
    """Install a package that consists of metadata with one entry point."""
    info = folder / "site" / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[segearth_ov3.refiners]\n{line}\n")
    if str(folder / "site") not in sys.path:
        sys.path.append(str(folder / "site"))


def test_dotted_path_builds_a_class_of_the_working_directory() -> None:
    (refiner,) = build_refiners(["own_refiners.Centring:weight=0.2,at=trunk"])
    assert describe_refiner(refiner) == {"type": "own_refiners.Centring", "weight": 0.2, "at": "trunk"}


def test_description_builds_it_again() -> None:
    (refiner,) = build_refiners([{"type": "own_refiners.Centring", "weight": 0.2}])
    assert build_refiners([describe_refiner(refiner)]) == (refiner,)


def test_module_may_lie_in_a_package(folder: Path) -> None:
    (folder / "lab").mkdir()
    (folder / "own_refiners.py").rename(folder / "lab" / "first.py")
    assert describe_refiner(*build_refiners(["lab.first.Centring"]))["type"] == "lab.first.Centring"


def test_dotted_path_of_a_function_becomes_a_refiner_at_its_place() -> None:
    (refiner,) = build_refiners(["own_refiners.invert:at=pyramid"])
    assert isinstance(refiner, CustomRefiner)
    assert describe_refiner(refiner) == {"type": "own_refiners.invert", "at": "pyramid"}


def test_dotted_path_of_a_finished_refiner_is_taken_as_it_is() -> None:
    assert describe_refiner(*build_refiners(["own_refiners.STRONG"]))["weight"] == 1.0
    with pytest.raises(OptionError, match=r"own_refiners\.STRONG is a finished refiner and takes no parameters"):
        build_refiners(["own_refiners.STRONG:weight=2"])


def test_working_directory_is_not_searched_for_names_without_a_dot(folder: Path) -> None:
    build_refiners(["smoothing"])
    with pytest.raises(UnknownNameError, match=r"a refiner of your own is named by FILE\.CLASS"):
        build_refiners(["own_refiners"])
    assert str(folder) not in sys.path


def test_installed_module_wins_over_a_file_of_its_name(folder: Path) -> None:
    (folder / "colorsys.py").write_text(MODULE)
    with pytest.raises(OptionError, match=r"colorsys\.py has no 'Centring'"):
        build_refiners(["colorsys.Centring"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own_refinrs.Centring", r"no module 'own_refinrs' for a refiner, neither in .*; did you mean own_refiners\?"),
        ("own_refiners.deep.Centring", r"no module 'own_refiners\.deep' for a refiner"),
        ("own_refiners.Centering", r"own_refiners\.py has no 'Centering'; did you mean 'Centring'\?"),
        ("own_refiners.ANSWER", "expected a refiner's class or a function .*, got 'own_refiners.ANSWER': 42"),
        ("own_refiners.dataclasses", "expected a refiner's class or a function"),
        (
            "own_refiners.Centring:wieght=2",
            "has no parameter wieght; it has weight, at; did you mean 'weight'",
        ),
        ("own_refiners.Centring:at=neck", "at must be one of trunk, pyramid, memory, got 'neck'"),
    ],
)
def test_wrong_path_or_parameter_is_one_line(name: str, message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        build_refiners([name])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\nimport scipyy", r"importing broken failed \(.*broken\.py, line 2\): ModuleNotFoundError: No module named"),
        ("1 +", r"importing broken failed \(.*broken\.py, line 1\): SyntaxError"),
        ("x = 1\nint('a')", r"importing broken failed \(.*broken\.py, line 2\): ValueError: invalid literal"),
        ("import json\njson.loads('{')", r"importing broken failed \(.*broken\.py, line 2\): JSONDecodeError"),
        ("import sys\nsys.exit('done')", r"importing broken failed \(.*broken\.py, line 2\): SystemExit: done"),
    ],
)
def test_failure_while_importing_names_file_line_and_cause(folder: Path, content: str, message: str) -> None:
    (folder / "broken.py").write_text(content)
    with pytest.raises(OptionError, match=message):
        build_refiners(["broken.Centring"])


def test_entry_point_is_found_by_its_name(folder: Path) -> None:
    offer(folder, "centring = own_refiners:Centring")
    (refiner,) = build_refiners(["centring:weight=0.3"])
    assert describe_refiner(refiner) == {"type": "own_refiners.Centring", "weight": 0.3, "at": "memory"}


def test_unknown_name_lists_entry_points_too(folder: Path) -> None:
    offer(folder, "centring = own_refiners:Centring")
    with pytest.raises(UnknownNameError, match=r"known: centring, clip_similarity, .*; did you mean 'centring'"):
        build_refiners(["centering"])


def test_broken_entry_point_names_its_package(folder: Path) -> None:
    offer(folder, "centring = nowhere:Centring")
    with pytest.raises(OptionError, match="refiner 'centring' of the package sharpener: no module 'nowhere'"):
        build_refiners(["centring"])


def test_name_that_two_packages_offer_is_refused(folder: Path) -> None:
    offer(folder, "centring = own_refiners:Centring")
    offer(folder, "centring = other:Centring", "blunter")
    with pytest.raises(OptionError, match=r"several packages .* name one of other\.Centring, own_refiners\.Centring"):
        build_refiners(["centring"])


def test_name_of_this_package_cannot_be_taken(folder: Path) -> None:
    offer(folder, "smoothing = own_refiners:Centring")
    assert describe_refiner(*build_refiners(["smoothing"]))["type"] == "smoothing"
