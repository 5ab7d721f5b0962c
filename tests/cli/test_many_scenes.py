"""Many scenes in one call: which they are, where their results go, and what becomes of those that fail."""

from __future__ import annotations

import csv
import os
import re
import sys
from pathlib import Path
from typing import Any

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
        ("{stem:>999999999}.tif", r"expected a name with {stem} or {parent}"),  # would fill the memory
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
    assert run("tiles/[ab].tif", "--out-dir", "maps").stdout == "2 done, 0 skipped, 0 failed; table maps/summary.csv\n"
    before = table()
    first = (folder / "maps" / "a_classes.tif").stat().st_mtime_ns
    result = run("tiles", "--out-dir", "maps")
    assert (result.exit_code, result.stdout) == (0, "1 done, 2 skipped, 0 failed; table maps/summary.csv\n")
    assert (folder / "maps" / "a_classes.tif").stat().st_mtime_ns == first
    rows = table()
    assert {name: rows[name] for name in before} == before
    assert rows["tiles/c.tif"]["status"] == "done"


def test_rows_are_rebuilt_from_the_maps(folder: Path, loads: list[str]) -> None:
    run("tiles", "--out-dir", "maps")
    before = table()
    (folder / "maps" / "summary.csv").unlink()
    run("tiles", "--out-dir", "maps")
    assert table() == {name: {**row, "seconds": ""} for name, row in before.items()}


def test_weights_are_loaded_once_to_compare_finished_scenes(folder: Path, loads: list[str]) -> None:
    run("tiles", "--out-dir", "maps")
    assert run("tiles", "--out-dir", "maps").exit_code == 0
    assert len(loads) == 2


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        (["--window", "4"], "window px was 8, is 4"),
        (["--range", "0,200"], "stretch was null, is"),
        (["--cog"], "cog was false, is true"),
    ],
)
def test_maps_of_other_settings_are_refused_by_name(
    folder: Path, loads: list[str], changed: list[str], difference: str
) -> None:
    run("tiles/a.tif", "--out-dir", "maps")
    before = (folder / "maps" / "a_classes.tif").read_bytes()
    result = run("tiles", "--out-dir", "maps", "--quiet", *changed)
    assert (result.exit_code, result.stdout) == (1, "2 done, 0 skipped, 1 failed; table maps/summary.csv\n")
    assert f"  tiles/a.tif: maps/a_classes.tif was made with other settings: {difference}" in result.stderr
    assert "choose another name or folder, or replace it with --overwrite" in result.stderr
    assert (folder / "maps" / "a_classes.tif").read_bytes() == before
    assert [row["status"] for row in table().values()] == ["failed", "done", "done"]


def test_maps_of_other_weights_and_classes_are_refused(
    folder: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the demo's weights, then the real ones, by the same command."""
    run("tiles/a.tif", "--out-dir", "maps")
    monkeypatch.setattr(segearth_ov3.segmenter.Segmenter, "describe", lambda self: {"weights_sha256": "real"})
    more = [*MORE, "--classes", "roof; water"]
    result = CliRunner().invoke(main, ["segment", "tiles/a.tif", "--out-dir", "maps", *more])
    assert 'weights sha256 was not stored, is "real"' in result.stderr
    assert 'CLASS_NAMES was ["building", "water"], is ["roof", "water"]' in result.stderr


def test_changed_scene_is_no_finished_scene(folder: Path, loads: list[str]) -> None:
    run("tiles/a.tif", "--out-dir", "maps")
    write_scene(folder / "tiles" / "a.tif", 1)
    result = run("tiles/a.tif", "--out-dir", "maps")
    assert result.exit_code == 1
    assert "source sha256 was" in result.stderr


def test_missing_outputs_are_made_from_the_maps(folder: Path, loads: list[str]) -> None:
    more = ("--overlay", "{stem}.png", "--vector", "{stem}.gpkg")
    run("tiles/a.tif", "--out-dir", "maps")
    first = (folder / "maps" / "a_classes.tif").stat().st_mtime_ns
    (folder / "maps" / "a_classes.qml").unlink()
    result = run("tiles/a.tif", "--out-dir", "maps", *more)
    assert result.stdout == "1 done, 0 skipped, 0 failed; table maps/summary.csv\n"
    assert (folder / "maps" / "a_classes.tif").stat().st_mtime_ns == first
    run("tiles/a.tif", "--out-dir", "other", *more)
    for name in ("a.png", "a_classes.qml"):
        assert (folder / "maps" / name).read_bytes() == (folder / "other" / name).read_bytes()
    assert (folder / "maps" / "a.gpkg").exists()


def test_missing_scores_are_segmented_again_with_a_reason(folder: Path, loads: list[str]) -> None:
    run("tiles", "--out-dir", "maps")
    result = run("tiles", "--out-dir", "maps", "--quiet", "--confidence", "{stem}-sure.tif")
    assert (result.exit_code, result.stdout) == (0, "3 done, 0 skipped, 0 failed; table maps/summary.csv\n")
    reason = "the class map does not say the confidence, so the scene is segmented again"
    assert result.stderr.splitlines() == [f"Warning: tiles/a.tif: {reason}", f"Warning: 2 more scenes: {reason}"]
    assert all((folder / "maps" / f"{name}-sure.tif").exists() for name in "abc")


def test_finished_scenes_are_done_again_with_overwrite(folder: Path, loads: list[str]) -> None:
    run("tiles", "--out-dir", "maps")
    first = (folder / "maps" / "a_classes.tif").stat()
    assert run("tiles", "--out-dir", "maps", "--overwrite").exit_code == 0
    again = (folder / "maps" / "a_classes.tif").stat()
    assert (again.st_ino, again.st_mtime_ns) != (first.st_ino, first.st_mtime_ns)


def test_shard_does_its_part_with_a_summary_of_its_own(folder: Path, loads: list[str]) -> None:
    run("tiles", "--out-dir", "maps", "--shard", "2/2")
    assert sorted(path.name for path in (folder / "maps").iterdir() if not path.name.startswith(".")) == [
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


def test_shards_share_a_summary(folder: Path, loads: list[str]) -> None:
    for shard in ("1/2", "2/2"):
        run("tiles", "--out-dir", "maps", "--shard", shard, "--summary", "maps/all.csv")
    assert sorted(table("maps/all.csv")) == ["tiles/a.tif", "tiles/b.tif", "tiles/c.tif"]


def test_warnings_of_many_scenes_are_shown_once_with_a_count(folder: Path, loads: list[str]) -> None:
    for name in "abc":
        with rasterio.open(folder / "tiles" / f"{name}.tif") as scene:
            bands, profile = scene.read(), {**scene.profile, "crs": None}
        with rasterio.open(folder / "tiles" / f"{name}.tif", "w", **profile) as scene:
            scene.write(bands)
    lines = run("tiles", "--out-dir", "maps", "--quiet").stderr.splitlines()
    no_areas = "no areas: the image has a transform but no coordinate reference system"
    assert lines == [f"Warning: tiles/a.tif: {no_areas}", f"Warning: 2 more scenes: {no_areas}"]
    assert [row["warnings"] for row in table().values()] == [no_areas] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_bad_names_fail_alone(folder: Path, loads: list[str]) -> None:
    good = (folder / "tiles" / "a.tif").read_bytes()
    for name in (b"not-utf8-\xff.tif", b"new\nline.tif", b"x" * 250 + b".tif"):
        (folder / "tiles" / os.fsdecode(name)).write_bytes(good)
    result = run("tiles", "--out-dir", "maps", "--quiet")
    assert result.exit_code == 1
    assert result.stdout == "4 done, 0 skipped, 2 failed; table maps/summary.csv\n"
    first, *failed = result.stderr.splitlines()
    assert first == "Error: 2 of 6 scenes failed:"
    assert sorted(line.split(":")[0] for line in failed) == [r"  tiles/not-utf8-\udcff.tif", f"  tiles/{'x' * 250}.tif"]
    assert len(list((folder / "maps").glob("*_classes.tif"))) == 4
    assert len(table()) == 6


def test_error_that_nobody_expected_ends_one_scene(
    folder: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = segearth_ov3.segmenter.Segmenter.class_scores

    def fail(self: Any, images: np.ndarray) -> torch.Tensor:
        if images.max() == 1:
            raise KeyError("surprise")
        return whole(self, images)

    monkeypatch.setattr(segearth_ov3.segmenter.Segmenter, "class_scores", fail)
    result = run("tiles", "--out-dir", "maps", "--quiet")
    assert result.stdout == "2 done, 0 skipped, 1 failed; table maps/summary.csv\n"
    assert "  tiles/b.tif: KeyError: 'surprise'" in result.stderr


SIGNED = "https://host/data/{}.tif?sv=1&sig=yD/tz98Mu%3D"


def test_signed_urls_are_scenes_and_give_names_without_their_token() -> None:
    given = [SIGNED.format("town"), f"/vsicurl/{SIGNED.format('village')}", "/vsizip/tiles[1].zip/a?.tif"]
    assert expand_sources(given) == given
    tasks = plan_tasks(given, "maps", "{parent}-{stem}_classes.tif", Outputs(overlay="{stem}.png"))
    assert [Path(task.dst).name for task in tasks][:2] == ["data-town_classes.tif", "data-village_classes.tif"]
    assert [Path(str(task.outputs.overlay)).name for task in tasks][:2] == ["town.png", "village.png"]


def test_token_of_a_url_is_nowhere(folder: Path, loads: list[str]) -> None:
    """Nothing answers at the address, so the scene fails."""
    url = SIGNED.format("town").replace("https://host", "http://127.0.0.1:9")
    result = run(url, "--out-dir", "maps")
    assert result.exit_code == 1
    assert "http://127.0.0.1:9/data/town.tif: cannot read" in result.stderr
    assert list(table()) == ["http://127.0.0.1:9/data/town.tif"]
    written = "".join(path.read_text() for path in (folder / "maps").iterdir() if path.is_file())
    for text in (result.output, result.stderr, written, *map(str, (folder / "maps").iterdir())):
        assert "sig" not in text


def test_list_may_name_files_that_are_not_utf8(folder: Path) -> None:
    (folder / "list.txt").write_bytes(b"\xef\xbb\xbftiles/a.tif\r\ntiles/\xff.tif\r\n")
    assert expand_sources(["list.txt"]) == ["tiles/a.tif", os.fsdecode(b"tiles/\xff.tif")]


def test_interrupted_batch_says_what_is_left(folder: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Any, images: np.ndarray) -> torch.Tensor:
        raise KeyboardInterrupt

    run("tiles/a.tif", "--out-dir", "maps")
    monkeypatch.setattr(segearth_ov3.segmenter.Segmenter, "class_scores", stop)
    result = run("tiles", "--out-dir", "maps")
    assert (result.exit_code, result.stdout) == (130, "0 done, 1 skipped, 0 failed, 2 left; table maps/summary.csv\n")


def test_dry_run_writes_nothing_and_says_what_would_be_done(folder: Path, loads: list[str]) -> None:
    before = sorted(folder.rglob("*"))
    result = run("tiles", "--out-dir", "maps", "--dry-run", "--confidence", "{stem}-sure.tif")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[:2] == ["tiles/a.tif: 6 x 8 pixels, bands 1,2,3", "  windows: 1 of 8 x 8 pixels"]
    assert re.fullmatch(r"  time: about 0 seconds \(\S+ s per window\)", lines[2])
    assert lines[3:6] == [
        "  output: maps/a_classes.tif, about 4 bytes",
        "  output: maps/a-sure.tif, about 192 bytes",
        "  output: maps/a_classes.qml, about 4.0 kB",
    ]
    assert len(lines) == 18
    assert sorted(folder.rglob("*")) == before


def test_dry_run_lists_what_would_fail(folder: Path, loads: list[str]) -> None:
    result = run("tiles/a.tif", "nowhere.tif", "--out-dir", "maps", "--dry-run", "--quiet")
    assert result.exit_code == 1
    assert result.stdout.startswith("tiles/a.tif: 6 x 8 pixels")
    assert result.stderr.splitlines() == [
        "Error: 1 of 2 scenes would fail:",
        "  nowhere.tif: cannot read nowhere.tif: no such file",
    ]


def test_scenes_are_done_even_if_the_table_cannot_be_written(
    folder: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, *arguments: object) -> None:
        raise RasterError("cannot write the table maps/summary.csv: No space left on device")

    monkeypatch.setattr("segearth_ov3.cli.summary.Summary._write", full)
    result = run("tiles", "--out-dir", "maps", "--quiet")
    assert (result.exit_code, result.stdout) == (1, "3 done, 0 skipped, 0 failed; table maps/summary.csv\n")
    assert result.stderr.splitlines() == [
        "Error: the table is not complete:",
        "  cannot write the table maps/summary.csv: No space left on device",
    ]


def test_table_that_is_none_is_kept_under_another_name(folder: Path, loads: list[str]) -> None:
    (folder / "maps").mkdir()
    (folder / "maps" / "summary.csv").write_text("my,own,table\n")
    result = run("tiles", "--out-dir", "maps", "--quiet")
    assert result.exit_code == 0
    assert "maps/summary.csv was no table of this command; it is maps/summary.csv.1 now" in result.stderr
    assert (folder / "maps" / "summary.csv.1").read_text() == "my,own,table\n"


def test_the_table_takes_the_place_of_no_scene(folder: Path, loads: list[str]) -> None:
    scene = next(Path("tiles").glob("*.tif"))
    before = scene.read_bytes()
    result = run("tiles", "--out-dir", "maps", "--summary", str(scene))
    assert result.exit_code == 1
    assert f"cannot write the table {scene}: expected a name that ends with .csv" in result.stderr
    assert scene.read_bytes() == before
    assert loads == []


def test_notes_of_many_scenes_are_shown_once_with_a_count(folder: Path, loads: list[str]) -> None:
    """Scene b fails, and the count comes all the same."""
    for name, kind in (("a", np.uint16), ("b", np.complex64), ("c", np.uint16)):
        with rasterio.open(folder / "tiles" / f"{name}.tif") as scene:
            bands = np.arange(scene.width * scene.height * 3).reshape(3, scene.height, scene.width)
            profile = {**scene.profile, "dtype": kind}
        with rasterio.open(folder / "tiles" / f"{name}.tif", "w", **profile) as scene:
            scene.write(bands.astype(kind))
    result = run("tiles", "--out-dir", "maps")
    notes = [line for line in result.stderr.splitlines() if "one stretch for the whole scene" in line]
    assert [line.partition("values")[0] for line in notes] == ["Note: tiles/a.tif: ", "Note: 1 more scene: "]
