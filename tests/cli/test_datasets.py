from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from segearth_ov3.cli.main import main
from segearth_ov3.datasets import SPECS


def run(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["datasets", *arguments], env=env)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """LoveDA with two images and labels, Potsdam without labels, WBS-SI with one of two listed, all files empty."""
    for name in ("loveda", "potsdam", "wbs_si"):
        spec = SPECS[name]
        for folder, suffix in ((spec.image_dir, spec.image_suffix), (spec.label_dir, spec.label_suffix)):
            (tmp_path / spec.root / folder).mkdir(parents=True)
            for stem in ("1", "2"):
                if name != "potsdam" or folder == spec.image_dir:
                    (tmp_path / spec.root / folder / f"{stem}{suffix}").touch()
    (tmp_path / SPECS["wbs_si"].root / "val.txt").write_text("2\n3\n")
    return tmp_path


def line_of(result: Result, name: str) -> str:
    return next(line for line in result.stdout.splitlines() if line.strip().startswith(f"{name} "))


@pytest.mark.parametrize("name", SPECS)
def test_every_set_is_listed_with_licence_and_source(name, tmp_path):
    result = run("--root", str(tmp_path))
    assert result.exit_code == 0
    assert SPECS[name].licence in line_of(result, name)
    assert SPECS[name].homepage in result.stdout


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("loveda", "incomplete: 2 of 1669 images"),
        ("potsdam", "incomplete: 2 images, 0 labels"),
        ("wbs_si", "incomplete: 1 of 499 images"),
        ("vdd", "not found"),
        ("demo", "made on first use"),
    ],
)
def test_what_is_there_is_counted(root, name, status):
    assert status in line_of(run("--root", str(root)), name)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("udd5", "found, 1 images; the whole set is believed to have 40"),
        ("gf_road", "found, 1 images; how many the whole set has is not known"),
    ],
)
def test_found_images_are_not_taken_for_the_whole_set(root, name, status):
    spec = SPECS[name]
    for folder, suffix in ((spec.image_dir, spec.image_suffix), (spec.label_dir, spec.label_suffix)):
        (root / spec.root / folder).mkdir(parents=True)
        (root / spec.root / folder / f"1{suffix}").touch()
    assert status in line_of(run("--root", str(root)), name)


def test_root_is_taken_from_the_variable(root):
    assert "incomplete" in line_of(run(env={"SEGEARTH_OV3_DATA": str(root)}), "loveda")


def test_missing_root_is_said(tmp_path):
    result = run("--root", str(tmp_path / "nowhere"))
    assert result.exit_code == 0
    assert "No folder" in result.stderr
    assert "SEGEARTH_OV3_DATA" in result.stderr


def test_only_found_sets_are_listed_on_request(root):
    names = [line.split()[0] for line in run("--root", str(root), "--found").stdout.splitlines() if "licence" in line]
    assert names == ["loveda", "potsdam", "wbs_si"]


def test_nothing_found_is_said(tmp_path):
    assert "no benchmark set in" in run("--root", str(tmp_path), "--found").stdout


@pytest.mark.parametrize("name", SPECS)
def test_details_of_a_set_name_classes_and_published_scores(name, tmp_path):
    result = run(name, "--root", str(tmp_path))
    assert result.exit_code == 0
    for text in (*SPECS[name].classes, *map(str, SPECS[name].published)):
        assert text in result.stdout


def test_unknown_set_is_one_line_with_the_closest_name(tmp_path):
    result = run("lovda", "--root", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: unknown benchmark set 'lovda'")
    assert "did you mean 'loveda'?" in result.stderr
    assert result.stderr.count("\n") == 1
