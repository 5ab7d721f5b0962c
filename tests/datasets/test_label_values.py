from __future__ import annotations

import pytest

from segearth_ov3.datasets.label_values import parse_label_map, read_color_table, read_label_map
from segearth_ov3.errors import OptionError

CLASSES = ("background", "building", "road")


@pytest.mark.parametrize(
    "entries",
    [
        {255: 1, -1: 255, 0: 0},
        {"255": "1", "-1": "ignore", "0": 0},
        "255:1,-1:ignore,0:0",
        ["255: 1", "-1: ignore", "0: 0"],
    ],
)
def test_label_map_is_read_from_every_form(entries):
    assert parse_label_map(entries, 2) == {255: 1, -1: 255, 0: 0}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ("255", r"expected VALUE: INDEX or VALUE: ignore, got '255'"),
        ("255:building", r"expected VALUE: INDEX"),
        ("1.5:1", r"expected VALUE: INDEX"),
        ("255:3", r"'255:3': expected the index of a class, 0 to 2, or ignore"),
        ("1:1,1:2", r"the value 1 occurs twice"),
    ],
)
def test_wrong_label_map_is_one_line(entries, message):
    with pytest.raises(OptionError, match=message):
        parse_label_map(entries, 3)


def test_label_map_file_may_have_comments(tmp_path):
    (tmp_path / "map.txt").write_text("# masks\n255: 1 # roofs\n\n7: ignore\n")
    assert read_label_map(str(tmp_path / "map.txt"), 2) == {255: 1, 7: 255}
    assert read_label_map("255: 1", 2) == {255: 1}


def test_wrong_label_map_file_is_named(tmp_path):
    (tmp_path / "map.txt").write_text("255 = 1\n")
    with pytest.raises(OptionError, match=r"map\.txt: label map: expected VALUE: INDEX"):
        read_label_map(str(tmp_path / "map.txt"), 2)
    with pytest.raises(OptionError, match=r"cannot read .*nowhere\.txt: No such file"):
        read_label_map(str(tmp_path / "nowhere.txt"), 2)


def test_colours_belong_to_classes_by_name_index_or_ignore(tmp_path):
    lines = ["# Town", "Building,#FF0000", "0,0,0,0", "road, 1, 2, 3", "road,#040506 # paths", "ignore,255,255,255"]
    (tmp_path / "colors.txt").write_text("\n".join(lines))
    table = read_color_table(tmp_path / "colors.txt", CLASSES)
    assert table.colors == ((255, 0, 0), (0, 0, 0), (1, 2, 3), (4, 5, 6), (255, 255, 255))
    assert table.indices == (1, 0, 2, 2, 255)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("building #FF0000", r"colors\.txt: expected CLASS,#rrggbb or CLASS,r,g,b, got 'building #FF0000'"),
        ("house,#FF0000", r"'house' is no class; expected one of background, building, road, or ignore"),
        ("building,#FF00", r"expected CLASS,#rrggbb or CLASS,r,g,b, got 'building,#FF00'"),
        ("building,1,2,256", r"expected CLASS,#rrggbb or CLASS,r,g,b"),
        ("building,1,2,3\nroad,#010203", r"the colour of 'road,#010203' occurs twice"),
        ("building,1,2,3", r"no colour for background, road; each class needs one"),
        ("", r"expected at least one line, got none"),
    ],
)
def test_wrong_colours_are_one_line(tmp_path, text, message):
    (tmp_path / "colors.txt").write_text(text)
    with pytest.raises(OptionError, match=message):
        read_color_table(tmp_path / "colors.txt", CLASSES)


def test_colours_for_maps_are_colours_of_labels_too(tmp_path):
    """One file serves `segment --colors` and `evaluate --colors`."""
    from segearth_ov3.geo.color_file import read_colors

    (tmp_path / "colors.txt").write_text("# Town\nroad,#040506\nbackground,#000000\nbuilding,#FF0000\n")
    table = read_color_table(tmp_path / "colors.txt", CLASSES)
    by_class = [table.colors[table.indices.index(index)] for index in range(3)]
    assert by_class == read_colors(tmp_path / "colors.txt", CLASSES)
