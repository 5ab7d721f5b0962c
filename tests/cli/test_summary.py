"""The table of many scenes: read, merged and kept, whoever edited it."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from segearth_ov3.cli.summary import Summary
from segearth_ov3.errors import RasterError
from segearth_ov3.geo.report import ClassArea, SceneReport
from segearth_ov3.locks import exclusive_lock

REPORT = SceneReport((ClassArea("road", 3, 0.75, 1.5), ClassArea("water", 1, 0.25, 0.5)), 4, 4, None)
HEADER = "scene,output,status,seconds,km2,valid_share,share road,share water,warnings,error"


def summary(path: Path, classes: tuple[str, ...] = ("road", "water")) -> Summary:
    return Summary(path, classes)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "summary.csv"


def test_row_has_the_facts_of_the_report(path: Path) -> None:
    summary(path).note_complete("a.tif", "a_classes.tif", REPORT, 1.25)
    assert path.read_text() == f"{HEADER}\na.tif,a_classes.tif,done,1.2,0.02,0.5000,0.7500,0.2500,,\n"


def test_rows_of_another_process_stay(path: Path) -> None:
    first, second = summary(path), summary(path)
    first.note_complete("a.tif", "a_classes.tif", REPORT, 1)
    second.note_complete("b.tif", "b_classes.tif", REPORT, 1)
    first.note_failed("c.tif", "c_classes.tif", "no such file")
    assert [row["scene"] for row in rows(path)] == ["a.tif", "b.tif", "c.tif"]


SHARD = """
import sys
from pathlib import Path
from segearth_ov3.cli.summary import Summary
table = Summary(Path(sys.argv[1]), ["road"])
for number in range(40):
    table.note_failed(f"{sys.argv[2]}-{number}.tif", "out.tif", "reason")
"""


def test_shards_that_write_at_the_same_time_lose_no_row(path: Path) -> None:
    command = [sys.executable, "-c", SHARD, str(path)]
    shards = [subprocess.Popen([*command, name]) for name in ("a", "b", "c")]
    assert [shard.wait() for shard in shards] == [0, 0, 0]
    assert len(rows(path)) == 120


def test_table_that_another_process_keeps_is_one_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segearth_ov3.cli.summary._LOCK_WAIT_S", 0.1)
    with (
        exclusive_lock(path.with_name(".summary.csv.lock"), "table", RasterError),
        pytest.raises(RasterError, match=r"summary\.csv: another process is working on it"),
    ):
        summary(path)


def test_time_of_a_map_that_is_kept_stays(path: Path) -> None:
    summary(path).note_complete("a.tif", "a_classes.tif", REPORT, 90)
    summary(path).note_complete("a.tif", "a_classes.tif", REPORT, None)
    assert rows(path)[0]["seconds"] == "90.0"


def test_columns_that_somebody_added_stay(path: Path) -> None:
    path.write_text(f"{HEADER},comment\na.tif,a_classes.tif,failed,,,,,,,no such file,call Ann\n")
    summary(path).note_complete("a.tif", "a_classes.tif", REPORT, 1)
    summary(path).note_complete("b.tif", "b_classes.tif", REPORT, 1)
    assert [(row["scene"], row["status"], row["error"], row["comment"]) for row in rows(path)] == [
        ("a.tif", "done", "", "call Ann"),
        ("b.tif", "done", "", ""),
    ]


def test_shares_of_other_classes_stay_with_other_scenes_only(path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        summary(path).note_complete(name, "out.tif", REPORT, 1)
    other = SceneReport((ClassArea("tree", 4, 1.0, 1.0),), 4, 4, None)
    summary(path, ("tree",)).note_complete("a.tif", "out.tif", other, 1)
    found = [(row["scene"], row["share tree"], row["share road"]) for row in rows(path)]
    assert found == [("a.tif", "1.0000", ""), ("b.tif", "", "0.7500")]


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\na.tif,out.tif,done,1,1,1,1,1,,,one,two\n".encode(),
        b"name,value\na,1\n",
        b"scene,scene\na,b\n",
        b"\xff\xfe\x00",
        b'scene,output\n"' + b"x" * 200_000 + b'",1\n',
    ],
    ids=["extra cells", "other table", "twice", "binary", "huge cell"],
)
def test_what_is_no_such_table_is_set_aside(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.with_name("summary.csv.1").write_text("taken")
    table = summary(path)
    table.note_complete("b.tif", "out.tif", REPORT, 1)
    assert table.set_aside == path.with_name("summary.csv.2")
    assert table.set_aside.read_bytes() == content
    assert [row["scene"] for row in rows(path)] == ["b.tif"]


def test_short_rows_and_empty_lines_are_read(path: Path) -> None:
    path.write_text(f"\ufeff{HEADER}\r\n\r\na.tif,out.tif\r\n", encoding="utf-8")
    summary(path).note_failed("b.tif", "out.tif", "reason")
    assert [(row["scene"], row["error"]) for row in rows(path)] == [("a.tif", ""), ("b.tif", "reason")]


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0.tif", "+1.tif", "-1.tif", "@SUM(A1).tif"])
def test_cells_are_no_formulas_and_are_found_again(path: Path, name: str) -> None:
    summary(path).note_failed(name, "out.tif", "=1+1")
    summary(path).note_complete(name, "out.tif", REPORT, 1)
    (row,) = rows(path)
    assert row["scene"] == f"'{name}"
    assert row["status"] == "done"


@pytest.mark.parametrize(("name", "shown"), [("a\nb.tif", r"a\nb.tif"), ("a\udcff.tif", r"a\udcff.tif")])
def test_odd_names_are_escaped(path: Path, name: str, shown: str) -> None:
    summary(path).note_failed(name, name, "reason")
    summary(path).note_failed(name, name, "reason")
    (row,) = rows(path)
    assert (row["scene"], row["output"]) == (shown, shown)


def test_folder_in_the_place_of_the_table_is_one_line(path: Path) -> None:
    path.mkdir()
    with pytest.raises(RasterError, match=r"cannot read the table .*summary\.csv: Is a directory"):
        summary(path)
