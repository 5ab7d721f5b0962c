"""Sets of buildings, roads and water: masks of 0 and 255 become 0 and 1."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from segearth_ov3.datasets import SPECS

from .crop_plans import grid
from .pixels import above_zero, after_jpeg, binary
from .recipe import SPLITS, Pair, Recipe, Source, list_files, locate, match, read_ids, renamed

WBS_JPEG = "masks are stored as JPEG once more, which moves their borders"


def find_whu_aerial(source: Source) -> list[Pair]:
    """Aerial dataset, cropped tiles of 512 with raster labels, unpacked (.tif or .png):

    val/image/<n>.tif    val/label/<n>.tif    0 and 255
    """
    root = locate(source, "val/image", "val/label")
    return match(_tif_or_png(root / "val/image"), _tif_or_png(root / "val/label"), source)


def find_whu_sat_ii(source: Source) -> list[Pair]:
    """Satellite dataset II, unpacked; the folder with the cropped images:

    Satellite_dataset_Ⅱ_East_Asia/1.cropped/test/image/<name>.tif    .../test/label/<name>.tif    0 and 255
    """
    root = locate(source, "test/image", "test/label")
    return match(list_files(root / "test/image", ".tif"), list_files(root / "test/label", ".tif"), source)


def find_inria(source: Source) -> list[Pair]:
    """AerialImageDataset, unpacked:

    train/images/<city><n>.tif    5000 x 5000
    train/gt/<city><n>.tif        0 and 255; the 27 tiles in splits/inria_test.txt
    """
    root = locate(source, "train/images", "train/gt")
    images, labels = (list_files(root / "train" / folder, ".tif") for folder in ("images", "gt"))
    return match(images, labels, source, ids=read_ids(SPLITS / "inria_test.txt"))


def find_xbd(source: Source) -> list[Pair]:
    """test_images_labels_targets.tar.gz, unpacked:

    test/images/<event>_<n>_pre_disaster.png
    test/targets/<event>_<n>_pre_disaster_target.png    0 and 1; files "post" are not used
    """
    root = locate(source, "test/images", "test/targets")
    images = renamed(list_files(root / "test/images", ".png"), r"(.*_pre_disaster)")
    labels = renamed(list_files(root / "test/targets", ".png"), r"(.*_pre_disaster)(?:_target)?")
    return match(images, labels, source)


def find_gf7_building(source: Source) -> list[Pair]:
    """GF-7 building, unpacked:

    Test/image/<name>.tif    Test/label/<name>.tif    0 and 255
    """
    root = locate(source, "Test/image", "Test/label")
    return match(list_files(root / "Test/image", ".tif"), list_files(root / "Test/label", ".tif"), source)


def find_chn6_cug(source: Source) -> list[Pair]:
    """CHN6-CUG, unpacked:

    val/images/<id>_sat.jpg    val/gt/<id>_mask.png    0 and 255
    """
    root = locate(source, "val/images", "val/gt")
    return match(list_files(root / "val/images", "_sat.jpg"), list_files(root / "val/gt", "_mask.png"), source)


def find_grset(source: Source, name: str) -> list[Pair]:
    """Global-scale validation set of GRSet, unpacked:

    GlobalRoadSet_Val/DeepGlobe_test_1530/img/<id>_sat.jpg     .../gt/<id>_mask.png    0 and 255
    GlobalRoadSet_Val/Massachusetts_test_49/img/<id>.jpg       .../gt/<id>.png
    GlobalRoadSet_Val/SpaceNet_test_567/img/<id>.jpg           .../gt/<id>.png
    """
    folder = Path(SPECS[name].root).name
    root = locate(source, f"{folder}/img", f"{folder}/gt") / folder
    image_end, label_end = ("_sat.jpg", "_mask.png") if name == "deepglobe_road" else (".jpg", ".png")
    return match(list_files(root / "img", image_end), list_files(root / "gt", label_end), source)


def find_gf_road(source: Source) -> list[Pair]:
    """GF_LowGradeRoadDataset.zip, unpacked:

    test/<id>_sat.png    test/<id>_mask.png    side by side; above 128 is road, as published for this set alone
    """
    folder = locate(source, "test") / "test"
    return match(list_files(folder, "_sat.png"), list_files(folder, "_mask.png"), source)


def find_wbs_si(source: Source) -> list[Pair]:
    """Kaggle archive, unpacked (the folder is doubled):

    WaterBodiesDatasetPreprocessed/WaterBodiesDatasetPreprocessed/Images/water_body_<n>.jpg
    WaterBodiesDatasetPreprocessed/WaterBodiesDatasetPreprocessed/Masks/water_body_<n>.jpg    about 0 and 255, JPEG;
                                                                          the 499 in splits/wbs-si_val.txt
    """
    root = locate(source, "Images", "Masks")
    images, labels = (list_files(root / folder, ".jpg") for folder in ("Images", "Masks"))
    return match(images, labels, source, ids=read_ids(SPLITS / "wbs-si_val.txt"))


def _tif_or_png(folder: Path) -> dict[str, Path]:
    return list_files(folder, ".tif") or list_files(folder, ".png")


EXTRACTION = {
    "whu_aerial": Recipe(find_whu_aerial, read_label=binary()),
    "whu_sat_ii": Recipe(find_whu_sat_ii, read_label=binary()),
    "inria": Recipe(find_inria, read_label=binary(), crops=grid(1000)),
    "xbd": Recipe(find_xbd, read_label=above_zero),
    "gf7_building": Recipe(find_gf7_building, read_label=binary()),
    "chn6_cug": Recipe(find_chn6_cug, read_label=binary()),
    **{
        name: Recipe(partial(find_grset, name=name), read_label=binary())
        for name in ("deepglobe_road", "massachusetts_road", "spacenet_road")
    },
    "gf_road": Recipe(find_gf_road, read_label=binary(threshold=129)),
    "wbs_si": Recipe(
        find_wbs_si,
        read_label=binary(),
        lists=True,
        published=Recipe(find_wbs_si, read_label=after_jpeg(binary()), lists=True),
        difference=WBS_JPEG,
    ),
}
