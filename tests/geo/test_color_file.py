from __future__ import annotations

from pathlib import Path

import pytest

from segearth_ov3.errors import OptionError
from segearth_ov3.geo.color_file import read_colors
from segearth_ov3.geo.palette import class_colors

CLASSES = ["building", "road", "water, deep", "道路"]


def write(folder: Path, text: str) -> Path:
    path = folder / "colors.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_classes_get_the_colors_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "# mine\n\n道路,#010203\nwater, deep , #FFeeDD\n  building,#000000\nroad,#111111\n")
    assert read_colors(path, CLASSES) == [(0, 0, 0), (17, 17, 17), (255, 238, 221), (1, 2, 3)]


def test_missing_classes_get_their_usual_colors(tmp_path: Path) -> None:
    found = read_colors(write(tmp_path, "building,#000000"), CLASSES)
    assert found[0] == (0, 0, 0)
    assert found[1:2] == class_colors(["road"])
    assert len(set(found)) == 4


def test_a_usual_color_that_the_file_gives_away_is_not_used_twice(tmp_path: Path) -> None:
    red, green, blue = class_colors(["road"])[0]
    found = read_colors(write(tmp_path, f"building,#{red:02x}{green:02x}{blue:02x}"), CLASSES)
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("building,#000000\nroad #111111", "line 2: expected class,#rrggbb, got 'road #111111'"),
        ("road,#1111", "line 1: expected class,#rrggbb, got 'road,#1111'"),
        ("road,red", "line 1: expected class,#rrggbb"),
        (",#111111", "line 1: expected class,#rrggbb"),
        ("\nbuildin,#111111", "line 2: no class is called 'buildin'; did you mean 'building'?"),
        ("xyz,#111111", "line 1: no class is called 'xyz'; expected one of: building, road, water, deep, 道路"),
        ("road,#111111\nroad,#222222", "line 2: the class 'road' has a colour already"),
    ],
)
def test_mistakes_name_file_and_line(tmp_path: Path, text: str, line: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(OptionError) as caught:
        read_colors(path, CLASSES)
    assert str(caught.value).startswith(f"{path}, {line}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"cannot read the colours .*none\.csv: No such file"):
        read_colors(tmp_path / "none.csv", CLASSES)
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match=r"a\.csv: expected a text file in UTF-8"):
        read_colors(tmp_path / "a.csv", CLASSES)
