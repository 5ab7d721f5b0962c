"""Many scenes in one call: which they are, where their results go, and what becomes of those that fail."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from click.testing import CliRunner, Result
from rasterio.transform import Affine

import segearth_ov3.checkpoints
import segearth_ov3.segmenter
from segearth_ov3.cli.main import main
from segearth_ov3.cli.scenes import SceneTask, expand_sources, plan_tasks
from segearth_ov3.errors import RasterError
from segearth_ov3.geo.options import Outputs

MORE = ("--classes", "building; water", "--checkpoint", "sam3.pt", "--device", "cpu", "--background", "none")


def write_scene(path: Path, value: int = 0) -> None:
    profile = {"driver": "GTiff", "count": 3, "height": 6, "width": 8, "dtype": "uint8", "crs": "EPSG:25832"}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", transform=Affine(10, 0, 356000, 0, -10, 5645000), **profile) as scene:
        scene.write(np.full((3, 6, 8), value, np.uint8))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with tiles a.tif (all building), b.tif (all water), c.tif, and what is no scene."""
    monkeypatch.chdir(tmp_path)
    for name, value in (("a", 0), ("b", 1), ("c", 0)):
        write_scene(tmp_path / "tiles" / f"{name}.tif", value)
    (tmp_path / "tiles" / "notes.md").write_text("not a scene")
    (tmp_path / "tiles" / ".hidden.tif").touch()
    return tmp_path


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces network and segmenter by one that labels by the red band; lists the weights that were loaded."""
    loaded: list[str] = []

    class Segmenter:
        prob_threshold, background, input_size = 0.0, None, 8

        def __init__(self, *arguments: object, **options: object) -> None:
            pass

        def class_scores(self, images: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.stack([images[..., 0] == 0, images[..., 0] == 1], axis=1).astype(np.float32))

        def describe(self) -> dict[str, object]:
            return {}

    monkeypatch.setattr(segearth_ov3.checkpoints, "load_sam3", lambda path, **options: loaded.append(path))
    monkeypatch.setattr(segearth_ov3.segmenter, "Segmenter", Segmenter)
    return loaded


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["segment", *arguments, *MORE])


def table(path: str = "maps/summary.csv") -> dict[str, dict[str, str]]:
    """Rows of the summary by scene."""
    with open(path, encoding="utf-8", newline="") as file:
        return {row["scene"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["tiles"], ["tiles/a.tif", "tiles/b.tif", "tiles/c.tif"]),
        (["tiles/[bc].tif"], ["tiles/b.tif", "tiles/c.tif"]),
        (["**/*.tif"], ["tiles/a.tif", "tiles/b.tif", "tiles/c.tif"]),
        (["list.txt"], ["tiles/c.tif", "nowhere.tif"]),
        (["tiles/b.tif", "tiles"], ["tiles/b.tif", "tiles/a.tif", "tiles/c.tif"]),
        (["nowhere.tif", "/vsizip/a.zip/b.tif"], ["nowhere.tif", "/vsizip/a.zip/b.tif"]),
    ],
)
def test_arguments_mean_scenes(folder: Path, given: list[str], expected: list[str]) -> None:
    (folder / "list.txt").write_text("# tiles\n\ntiles/c.tif\n  nowhere.tif\n")
    assert expand_sources(given) == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("*.jp2", r"no file fits \*\.jp2"),
        ("empty", r"the folder empty has no rasters \(\.tif, "),
        ("empty.txt", r"the list empty\.txt names no scenes"),
        ("nowhere.txt", r"cannot read the list nowhere\.txt: No such file"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(folder: Path, given: str, message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "empty.txt").touch()
    with pytest.raises(RasterError, match=message):
        expand_sources([given])


def test_names_are_made_of_stem_and_parent() -> None:
    outputs = Outputs(confidence="sure/{stem}.tif", vector="{parent}-{stem}.gpkg", cog=True)
    (task,) = plan_tasks(["/data/x/a.b.tif"], "maps", "{parent}_{stem}.tif", outputs)
    expected = Outputs(confidence="maps/sure/a.b.tif", vector="maps/x-a.b.gpkg", cog=True)
    assert task == SceneTask("/data/x/a.b.tif", "maps/x_a.b.tif", expected)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classes.tif", r"x/a\.tif and y/a\.tif would both be written to maps/classes\.tif"),
        ("{stem}.tif", r"would both be written to maps/a\.tif; use names with {parent} or {stem}"),
        ("{name}.tif", r"expected a name with {stem} or {parent}, got '{name}\.tif'"),
        ("{.tif", r"expected a name with {stem} or {parent}"),
    ],
)
def test_names_that_do_not_tell_scenes_apart_are_refused(name: str, message: str) -> None:
    with pytest.raises(RasterError, match=message):
        plan_tasks(["x/a.tif", "y/a.tif"], "maps", name, Outputs())


@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_shards_divide_the_scenes(parts: int) -> None:
    sources = [f"{index}.tif" for index in range(7)]
    shards = [plan_tasks(sources, "maps", "{stem}.tif", Outputs(), (part, parts)) for part in range(1, parts + 1)]
    assert sorted(task.src for shard in shards for task in shard) == sources
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_results_of_an_earlier_run_are_no_scenes() -> None:
    sources = ["tiles/a.tif", "tiles/a_classes.tif", "tiles/b.tif"]
    tasks = plan_tasks(sources, "tiles", "{stem}_classes.tif", Outputs())
    assert [task.src for task in tasks] == ["tiles/a.tif", "tiles/b.tif"]


def test_every_scene_gets_its_map(folder: Path, loads: list[str]) -> None:
    result = run("tiles", "--out-dir", "maps", "--overlay", "pictures/{stem}.png")
    assert (result.exit_code, result.exception) == (0, None)
    for name, label in (("a", 0), ("b", 1), ("c", 0)):
        with rasterio.open(folder / "maps" / f"{name}_classes.tif") as classes:
            assert (classes.read(1) == label).all()
        assert (folder / "maps" / "pictures" / f"{name}.png").exists()
    assert len(loads) == 1
    assert "2/3 b.tif" in result.stderr


def test_summary_has_a_row_per_scene(folder: Path, loads: list[str]) -> None:
    run("tiles", "--out-dir", "maps")
    rows = table()
    assert list(rows) == ["tiles/a.tif", "tiles/b.tif", "tiles/c.tif"]
    row = rows["tiles/b.tif"]
    assert (row["output"], row["status"], row["km2"]) == ("maps/b_classes.tif", "done", "0.0048")
    assert (row["share building"], row["share water"], row["valid_share"]) == ("0.0000", "1.0000", "1.0000")
    assert float(row["seconds"]) >= 0


def test_failed_scene_is_told_at_the_end_and_others_go_on(folder: Path, loads: list[str]) -> None:
    (folder / "tiles" / "b.tif").write_bytes((folder / "tiles" / "b.tif").read_bytes()[:300])
    result = run("tiles", "nowhere.tif", "--out-dir", "maps", "--quiet")
    assert result.exit_code == 1
    lines = result.stderr.strip().splitlines()
    assert lines[0] == "Error: 2 of 4 scenes failed:"
    assert lines[1].startswith("  tiles/b.tif: cannot read tiles/b.tif: ")
    assert lines[2] == "  nowhere.tif: cannot read nowhere.tif: no such file"
    assert len(lines) == 3
    assert (folder / "maps" / "c_classes.tif").exists()
    assert not (folder / "maps" / "b_classes.tif").exists()
    assert [row["status"] for row in table().values()] == ["done", "failed", "done", "failed"]
    assert table()["nowhere.tif"]["error"] == "cannot read nowhere.tif: no such file"


def test_finished_scenes_are_skipped_and_their_rows_stay(folder: Path, loads: list[str]) -> None:
    run("tiles/[ab].tif", "--out-dir", "maps")
    before = table()
    (folder / "maps" / "a_classes.tif").write_text("finished")
    assert run("tiles", "--out-dir", "maps").exit_code == 0
    assert (folder / "maps" / "a_classes.tif").read_text() == "finished"
    rows = table()
    assert {name: rows[name] for name in before} == before
    assert rows["tiles/c.tif"]["status"] == "done"


def test_nothing_is_loaded_if_all_is_finished(folder: Path, loads: list[str]) -> None:
    run("tiles", "--out-dir", "maps")
    assert run("tiles", "--out-dir", "maps").exit_code == 0
    assert len(loads) == 1


def test_finished_scenes_are_done_again_with_overwrite(folder: Path, loads: list[str]) -> None:
    run("tiles", "--out-dir", "maps")
    first = (folder / "maps" / "a_classes.tif").stat()
    assert run("tiles", "--out-dir", "maps", "--overwrite").exit_code == 0
    again = (folder / "maps" / "a_classes.tif").stat()
    assert (again.st_ino, again.st_mtime_ns) != (first.st_ino, first.st_mtime_ns)


def test_shard_does_its_part_with_a_summary_of_its_own(folder: Path, loads: list[str]) -> None:
    run("tiles", "--out-dir", "maps", "--shard", "2/2")
    assert sorted(path.name for path in (folder / "maps").iterdir()) == [
        "b_classes.qml",
        "b_classes.tif",
        "summary-2-of-2.csv",
    ]
    assert list(table("maps/summary-2-of-2.csv")) == ["tiles/b.tif"]


def test_missing_weights_end_the_run_at_once(folder: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: str, **options: object) -> None:
        raise segearth_ov3.errors.CheckpointError("checkpoint sam3.pt does not exist")

    monkeypatch.setattr(segearth_ov3.checkpoints, "load_sam3", fail)
    result = run("tiles", "--out-dir", "maps", "--quiet")
    assert (result.exit_code, result.stderr) == (1, "Error: checkpoint sam3.pt does not exist\n")


def test_folder_for_results_that_cannot_be_made_is_one_line(folder: Path, loads: list[str]) -> None:
    (folder / "maps").touch()
    result = run("tiles", "--out-dir", "maps")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: cannot make the folder maps")
