from __future__ import annotations

from pathlib import Path

import pytest

from segearth_ov3.datasets.pairs import common_folder, find_pairs
from segearth_ov3.errors import DatasetError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def names(root: Path, images: str, labels: str | None = None) -> list[tuple[str, str]]:
    pairs = find_pairs(root / images, None if labels is None else root / labels)
    return [(pair.image.relative_to(root).as_posix(), pair.label.relative_to(root).as_posix()) for pair in pairs]


def test_folders_are_paired_by_path_without_suffix(tmp_path):
    touch(
        tmp_path,
        "i/b.TIF",
        "i/a.jpg",
        "i/town/a.tif",
        "l/a.png",
        "l/b.png",
        "l/town/a.png",
        "i/b.TIF.aux.xml",
        "i/.x.png",
    )
    assert names(tmp_path, "i", "l") == [
        ("i/a.jpg", "l/a.png"),
        ("i/b.TIF", "l/b.png"),
        ("i/town/a.tif", "l/town/a.png"),
    ]


@pytest.mark.parametrize(
    ("images", "labels", "expected"),
    [
        ("t/*_rgb.tif", "t/*_mask.png", [("t/1_rgb.tif", "t/1_mask.png"), ("t/2_rgb.tif", "t/2_mask.png")]),
        ("t/?_rgb.*", "t/?_mask.*", [("t/1_rgb.tif", "t/1_mask.png"), ("t/2_rgb.tif", "t/2_mask.png")]),
        ("t/[12]_rgb.tif", "t/[!3]_mask.png", [("t/1_rgb.tif", "t/1_mask.png"), ("t/2_rgb.tif", "t/2_mask.png")]),
        ("d/*/image.tif", "d/*/label.png", [("d/x/image.tif", "d/x/label.png"), ("d/y/image.tif", "d/y/label.png")]),
        ("d/**/image.tif", "d/**/label.png", [("d/x/image.tif", "d/x/label.png"), ("d/y/image.tif", "d/y/label.png")]),
    ],
)
def test_patterns_are_paired_by_what_fills_the_wildcards(tmp_path, images, labels, expected):
    touch(tmp_path, *(f"t/{n}_{end}" for n in (1, 2) for end in ("rgb.tif", "mask.png")))
    touch(tmp_path, *(f"d/{folder}/{name}" for folder in "xy" for name in ("image.tif", "label.png")))
    assert names(tmp_path, images, labels) == expected


def test_two_files_are_a_pair(tmp_path):
    touch(tmp_path, "scene.tif", "truth.png")
    assert names(tmp_path, "scene.tif", "truth.png") == [("scene.tif", "truth.png")]


def test_table_gives_pairs_relative_to_its_folder_in_its_order(tmp_path):
    touch(tmp_path, "b.tif", "sub/a.tif", "m1.png", "m2.png")
    (tmp_path / "pairs.csv").write_text("\ufeffLabel, image\nm1.png, b.tif\nm2.png,sub/a.tif\n", encoding="utf-8")
    assert names(tmp_path, "pairs.csv") == [("b.tif", "m1.png"), ("sub/a.tif", "m2.png")]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["i/a.tif", "i/b.tif", "l/a.png"], r"1 of 2 images have no label in .*l: .*i/b\.tif; equal names .* CSV"),
        (["i/a.tif", "l/a.png", "l/b.png"], r"1 labels have no image in .*i: .*l/b\.png"),
        (["i/a.tif", "i/a.png", "l/a.png"], r"two images have one name, .*i/a\.png and .*i/a\.tif"),
        (["i/a.txt", "l/a.png"], r"no images in .*i; expected files that end with \.tif"),
        (["l/a.png"], r"no such folder or file of images: .*i"),
        (["i/a.tif"], r"no such folder or file of labels: .*l"),
    ],
)
def test_files_that_do_not_pair_up_are_named(tmp_path, files, message):
    touch(tmp_path, *files)
    with pytest.raises(DatasetError, match=message):
        find_pairs(tmp_path / "i", tmp_path / "l")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("picture,label\n", r"pairs\.csv: expected the columns image and label, got picture, label"),
        ("", r"expected the columns image and label, got none"),
        ("image,label\n", r"expected at least one pair, got none"),
        ("image,label\na.tif,nowhere.png\n", r"pairs\.csv, line 2: no such label: .*nowhere\.png"),
        ("image,label\na.tif\n", r"line 2: no such label"),
        ("image,label\na.tif,m.png\na.tif,m.png\n", r"a\.tif and .*a\.tif have one name"),
        ("image,label\n\xff", r"expected a CSV file in UTF-8"),
    ],
)
def test_wrong_table_is_one_line(tmp_path, text, message):
    touch(tmp_path, "a.tif", "m.png")
    (tmp_path / "pairs.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(DatasetError, match=message):
        find_pairs(tmp_path / "pairs.csv")


def test_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"cannot read the pairs in .*nowhere\.csv: No such file"):
        find_pairs(tmp_path / "nowhere.csv")


def test_common_folder_contains_all_files():
    assert common_folder([Path("/a/b/c/1.tif"), Path("/a/b/2.tif")]) == Path("/a/b")
    assert common_folder([Path("/a/bc/1.tif"), Path("/a/b/2.tif")]) == Path("/a")
