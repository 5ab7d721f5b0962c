"""Sets of image pairs for change detection. Labels of 0 and 1, and of 0 and 255, both become 0 and 1."""

from __future__ import annotations

from .crop_plans import padded_grid, quarters
from .pixels import any_channel
from .recipe import Pair, Recipe, Source, list_files, locate, match

_WHU = "1. The two-period image data"


def find_levir_cd(source: Source) -> list[Pair]:
    """test.zip of LEVIR-CD (not LEVIR-CD+), unpacked; 1024 x 1024, cut into quarters:

    test/A/test_<n>.png    before    test/B/test_<n>.png    after    test/label/test_<n>.png    255 changed
    """
    root = locate(source, "test/A", "test/B", "test/label") / "test"
    before, after, labels = (list_files(root / folder, ".png") for folder in ("A", "B", "label"))
    return match(before, labels, source, later=after)


def find_whu_cd(source: Source) -> list[Pair]:
    """Building change detection dataset_add.zip, unpacked; the mosaics of the test part:

    1. The two-period image data/2012/whole_image/test/image/2012_test.tif    before
    1. The two-period image data/2016/whole_image/test/image/2016_test.tif    after
    1. The two-period image data/change_label/test/change_label.tif           0 and 1

    They are cut on the grid of the 690 official tiles of 512 x 512 (23 rows, 30 columns; padding at the bottom and
    right is ignored). How the published `test_512` arose is not known: name the number of pairs in every report.
    """
    images = [f"{year}/whole_image/test/image/{year}_test.tif" for year in (2012, 2016)]
    files = [f"{_WHU}/{name}" for name in (*images, "change_label/test/change_label.tif")]
    root = locate(source, *files)
    return [Pair("test", root / files[0], root / files[2], root / files[1])]


def find_s2looking(source: Source) -> list[Pair]:
    """S2Looking, unpacked; whole images of 1024 x 1024:

    S2Looking/test/Image1/<n>.png    before    .../Image2/<n>.png    after    .../label/<n>.png    changed where bright
    """
    root = locate(source, "test/Image1", "test/Image2", "test/label") / "test"
    before, after, labels = (list_files(root / folder, ".png") for folder in ("Image1", "Image2", "label"))
    return match(before, labels, source, later=after)


CHANGE = {
    "levir_cd": Recipe(find_levir_cd, read_label=any_channel, crops=quarters(512)),
    "whu_cd": Recipe(find_whu_cd, read_label=any_channel, crops=padded_grid(512)),
    "s2looking": Recipe(find_s2looking, read_label=any_channel),
}
