from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import click
import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.shutil
from click.testing import CliRunner, Result
from rasterio.transform import Affine

from segearth_ov3.cli.main import main
from segearth_ov3.cli.polygonize import polygonize

TABLE = """\
class       polygons  hectares
background         1    1.0000
building           2    1.0000
water              1    0.5000
"""
EXPECTED = "expected one band of whole numbers (uint8, int16, uint16 or int32)"
KNOWN = "expected one of: 0 background, 1 building, 2 water"
ENDINGS = "expected a name that ends with .gpkg or .fgb or .geojson or .json or .parquet"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with classes.tif and sure.tif of 3 x 4 pixels, 50 m, and a picture."""
    monkeypatch.chdir(tmp_path)
    place = {
        "driver": "GTiff",
        "height": 3,
        "width": 4,
        "crs": "EPSG:25832",
        "transform": Affine(50, 0, 4e5, 0, -50, 5e6),
    }
    labels = np.array([[1, 0, 0, 2], [1, 0, 0, 2], [255, 255, 1, 1]], dtype=np.uint8)
    with rasterio.open("classes.tif", "w", count=1, dtype="uint8", nodata=255, **place) as dataset:
        dataset.write(labels, 1)
        dataset.update_tags(CLASS_NAMES='["background", "building", "water"]', SEGEARTH_OV3_BACKGROUND="0")
    with rasterio.open("sure.tif", "w", count=1, dtype="float32", **place) as dataset:
        dataset.write(np.full((3, 4), 0.5, dtype=np.float32), 1)
    with rasterio.open("picture.tif", "w", count=3, dtype="uint8", **place) as dataset:
        dataset.write(np.zeros((3, 3, 4), dtype=np.uint8))
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["polygonize", *arguments])


def test_table_goes_to_standard_output_and_polygons_to_the_file(folder: Path) -> None:
    result = run("classes.tif", "classes.gpkg", "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, TABLE, "")
    assert pyogrio.read_info("classes.gpkg")["features"] == 4


def test_vrt_of_other_folders_needs_the_option(folder: Path) -> None:
    (folder / "maps").mkdir()
    with rasterio.open("classes.tif") as labels:
        rasterio.shutil.copy(labels, "maps/classes.vrt", driver="VRT")
    result = run("maps/classes.vrt", "classes.gpkg")
    assert result.exit_code == 1
    assert "which lies outside of its folder; if you trust it, use --allow-outside" in result.stderr
    assert run("maps/classes.vrt", "classes.gpkg", "--allow-outside", "--quiet").stdout == TABLE


def test_progress_goes_to_standard_error(folder: Path) -> None:
    result = run("classes.tif", "classes.gpkg")
    assert result.stdout == TABLE
    assert "polygonizing: 100%" in result.stderr
    assert "3/3" in result.stderr


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--classes", "building; water"], ["building", "water"]),
        (["--classes", " 2,background "], ["background", "water"]),
        (["--no-background"], ["building", "water"]),
        (["--min-area-m2", "7500"], ["background"]),
    ],
)
def test_options_choose_polygons(folder: Path, options: list[str], names: list[str]) -> None:
    result = run("classes.tif", "classes.gpkg", "--quiet", *options)
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == names


def test_examples_of_the_help_run_as_printed(folder: Path) -> None:
    examples = re.findall(r"^ +segearth-ov3 (polygonize .*)$", polygonize.help or "", re.MULTILINE)
    assert len(examples) == 3
    for example in examples:
        result = CliRunner().invoke(main, shlex.split(example))
        assert result.exit_code == 0, result.stderr


def test_help_names_every_option(folder: Path) -> None:
    result = run("--help")
    assert all(
        name in result.stdout
        for option in polygonize.params
        if isinstance(option, click.Option)
        for name in option.opts
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("nowhere.tif a.gpkg", "cannot read nowhere.tif: no such file"),
        (". a.gpkg", "cannot read .: expected an image file, this is a folder"),
        ("broken.tif a.gpkg", "cannot read broken.tif: "),
        ("sure.tif a.gpkg", f"sure.tif is no label raster: {EXPECTED}, found 1 of float32; "),
        ("picture.tif a.gpkg", f"picture.tif is no label raster: {EXPECTED}, found 3 of uint8; "),
        ("classes.tif a.gpkg --classes tree", f"classes.tif has no class 'tree'; {KNOWN}"),
        ("classes.tif a.gpkg --classes 3", f"classes.tif has no class '3'; {KNOWN}"),
        ("classes.tif a.gpkg --classes ';'", "no class is wanted; name at least one"),
        ("classes.tif none/a.gpkg", "cannot write none/a.gpkg: the folder none does not exist; create it first"),
        ("classes.tif .", f"cannot write .: {ENDINGS}"),
        ("classes.tif a.shp", f"cannot write a.shp: {ENDINGS}"),
        ("classes.tif taken.gpkg", "cannot write taken.gpkg: taken.gpkg exists; use --overwrite"),
        ("classes.tif a.gpkg --confidence nowhere.tif", "cannot read nowhere.tif: no such file"),
        ("classes.tif a.gpkg --confidence small.tif", "small.tif does not fit classes.tif: expected 3 x 4 pixels "),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(folder: Path, arguments: str, line: str) -> None:
    Path("broken.tif").write_bytes(Path("classes.tif").read_bytes()[:100])
    Path("taken.gpkg").write_text("kept")
    place = {"crs": "EPSG:25832", "transform": Affine(50, 0, 4e5, 0, -50, 5e6)}
    with rasterio.open("small.tif", "w", driver="GTiff", height=2, width=2, count=1, dtype="uint8", **place):
        pass
    before = sorted(os.listdir())
    result = run(*shlex.split(arguments), "--quiet")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {line}")
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""
    assert sorted(os.listdir()) == before
    assert Path("taken.gpkg").read_text() == "kept"


@pytest.mark.parametrize("option", ["--min-area-m2", "--simplify"])
@pytest.mark.parametrize("value", ["-1", "many"])
def test_impossible_numbers_are_usage_errors(folder: Path, option: str, value: str) -> None:
    result = run("classes.tif", "a.gpkg", option, value)
    assert result.exit_code == 2
    assert option in result.stderr.splitlines()[-1]


def test_a_folder_that_cannot_be_written_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access = os.access
    (folder / "locked").mkdir()
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path).name != "locked" and access(path, mode)
    )  # root may all
    result = run("classes.tif", "locked/a.gpkg")
    assert result.exit_code == 1
    assert result.stderr.endswith("Error: cannot write locked/a.gpkg: no permission to write in the folder locked\n")


@pytest.mark.parametrize("damaged", ["whole.tif", "other.tif"])
def test_a_file_that_ends_early_is_named_and_leaves_nothing(folder: Path, damaged: str) -> None:
    noise = np.random.default_rng(0).integers(0, 3, (600, 600), dtype=np.uint8)
    place = {"crs": "EPSG:25832", "transform": Affine(50, 0, 4e5, 0, -50, 5e6)}
    for name in ("whole.tif", "other.tif"):
        with rasterio.open(
            name, "w", driver="GTiff", height=600, width=600, count=1, dtype="uint8", **place
        ) as dataset:
            dataset.write(noise, 1)
    os.truncate(damaged, 200_000)
    before = sorted(os.listdir())
    result = run("whole.tif", "a.gpkg", "--confidence", "other.tif", "--quiet")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: cannot read {damaged}: ")
    assert len(result.stderr.splitlines()) == 1
    assert sorted(os.listdir()) == before
