"""Tiny fakes of the remote-sensing sets as they are downloaded: folder names, suffixes and label codings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmark_samples import make_dubai, read_dubai_label
from fake_general import GENERAL
from fake_pixels import IGNORED, SIZE, Maker, Truth, classes, painted, picture, shifted, write, write_bands

ISPRS = [(255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0)]
UAVID = [(0, 0, 0), (128, 0, 0), (128, 64, 128), (192, 0, 192), (0, 128, 0), (128, 128, 0), (64, 64, 0)]
MOVING_CAR = (64, 0, 128)
ISAID = [
    *[(0, 0, 0), (0, 0, 63), (0, 63, 63), (0, 63, 0), (0, 63, 127), (0, 63, 191), (0, 63, 255), (0, 127, 63)],
    *[(0, 127, 127), (0, 0, 127), (0, 0, 191), (0, 0, 255), (0, 191, 127), (0, 127, 191), (0, 127, 255), (0, 100, 155)],
]
ZURICH = [
    (0, 0, 0),
    (100, 100, 100),
    (0, 125, 0),
    (0, 255, 0),
    (150, 80, 0),
    (0, 0, 150),
    (255, 255, 0),
    (150, 150, 255),
]


def openearthmap(root: Path) -> Truth:
    truth = {name: classes(name, 9) for name in ("aachen_1", "lima_12")}
    for name, labels in truth.items():
        folder = root / "OpenEarthMap_wo_xBD" / name.split("_")[0]
        write(folder / f"images/{name}.tif", picture(name))
        write(folder / f"labels/{name}.tif", labels)
    (root / "OpenEarthMap_wo_xBD/val.txt").write_text("aachen_1.tif\nlima_12.tif\nmexico-city_3.tif\n")
    write(root / "OpenEarthMap_wo_xBD/aachen/images/aachen_2.tif", picture("train"))  # not in the list
    return truth


def loveda(root: Path) -> Truth:
    truth = {}
    for part, name in (("Rural", "2522"), ("Urban", "3514")):
        truth[name] = classes(name, 7, ignored=True)
        write(root / f"Val/{part}/images_png/{name}.png", picture(name))
        write(root / f"Val/{part}/masks_png/{name}.png", shifted(truth[name]))
    return truth


def isaid(root: Path) -> Truth:
    truth = {"P0003": classes("P0003", 16, (700, 900)), "P0004": classes("P0004", 16)}
    for name, labels in truth.items():
        write(root / f"val/images/images/{name}.png", picture(name, labels.shape))
        write(root / f"val/Semantic_masks/images/{name}_instance_color_RGB.png", painted(labels, ISAID, (0, 0, 0)))
    return truth


def potsdam(root: Path) -> Truth:
    truth = {"2_13": classes("2_13", 6, (512, 520), ignored=True)}
    write(root / "2_Ortho_RGB/top_potsdam_2_13_RGB.tif", picture("2_13", (512, 520)))
    write(root / "2_Ortho_RGB/top_potsdam_7_7_RGB.tif", picture("train"))
    labels = painted(truth["2_13"], ISPRS, ignored=(0, 0, 0))
    write(root / "5_Labels_all_noBoundary/top_potsdam_2_13_label_noBoundary.tif", labels)
    return truth


def vaihingen(root: Path) -> Truth:
    truth = {"area38": classes("area38", 6, (520, 512), ignored=True)}
    write(root / "ISPRS_semantic_labeling_Vaihingen/top/top_mosaic_09cm_area38.tif", picture("area38", (520, 512)))
    folder = root / "ISPRS_semantic_labeling_Vaihingen_ground_truth_eroded_COMPLETE"
    write(folder / "top_mosaic_09cm_area38_noBoundary.tif", painted(truth["area38"], ISPRS, ignored=(0, 0, 0)))
    write(folder / "top_mosaic_09cm_area9_noBoundary.tif", painted(truth["area38"], ISPRS, ignored=(0, 0, 0)))
    return truth


def uavid(root: Path) -> Truth:
    truth = {"seq21_000000": classes("seq21", 7, (1090, 1280))}
    colors = painted(truth["seq21_000000"], UAVID, (0, 0, 0))
    colors[:540][truth["seq21_000000"][:540] == 3] = MOVING_CAR
    write(root / "uavid_test/test_gt/seq21/Images/000000.png", picture("seq21", (1090, 1280)), compress_level=1)
    write(root / "uavid_test/test_gt/seq21/Labels/000000.png", colors)
    return truth


def _photographs(folder: Path, part: str, count: int) -> Truth:
    truth = {name: classes(name, count) for name in ("DJI_0001", "DJI_0002")}
    for name, labels in truth.items():
        write(folder / part / f"src/{name}.JPG", picture(name))
        write(folder / part / f"gt/{name}.png", labels)
    return truth


def udd5(root: Path) -> Truth:
    _photographs(root / "UDD/UDD/UDD6", "val", 6)
    return _photographs(root / "UDD/UDD/UDD5", "val", 5)


def vdd(root: Path) -> Truth:
    return _photographs(root / "VDD", "test", 7)


def gid(root: Path) -> Truth:
    name = "GF2_PMS1__L1A0001064454-MSS1"
    truth = {name: classes(name, 6, (1024, 1030))}
    write_bands(root / f"Image__8bit_NirRGB/{name}.tif", picture(name, (1024, 1030), 4).transpose(2, 0, 1))
    write(root / f"Annotation__index/{name}_5label.png", truth[name])
    return truth


def dubai(root: Path) -> Truth:
    folder = make_dubai(root / "Semantic segmentation dataset")
    masks = {path: read_dubai_label(path) for path in folder.glob("Tile */masks/*.png")}
    return {
        f"{path.parents[1].name}/images/{path.stem}": np.where(labels < 0, IGNORED, labels).astype(np.uint8)
        for path, labels in masks.items()
    }


def zurich_summer(root: Path) -> Truth:
    truth = {name: classes(name, 8, ignored=True) for name in ("zh1", "zh20")}
    for name, labels in truth.items():
        bands = picture(name, channels=4).transpose(2, 0, 1).astype(np.uint16) * 11
        write_bands(root / f"Zurich_dataset_v1.0/images_tif/{name}.tif", bands)
        write(root / f"Zurich_dataset_v1.0/groundtruth/{name}_GT.tif", painted(labels, ZURICH, (255, 255, 255)))
    return truth


def _masks(
    root: Path, image: str, label: str, names: Sequence[str] = ("101", "102"), size: tuple[int, int] = SIZE
) -> Truth:
    """Pairs of pictures and masks of 0 and 255; the file names have {} where the name goes."""
    truth = {name: classes(name, 2, size) for name in names}
    for name, labels in truth.items():
        write(root / image.format(name), picture(name, size))
        write(root / label.format(name), labels * 255)
    return truth


def whu_aerial(root: Path) -> Truth:
    return _masks(root / "WHU", "val/image/{}.tif", "val/label/{}.tif")


def whu_sat_ii(root: Path) -> Truth:
    folder = root / "Satellite_dataset_Ⅱ_East_Asia/1.cropped"
    truth = _masks(folder, "test/image/{}.tif", "test/label/{}.tif")
    for name, labels in truth.items():  # three equal channels
        write(folder / f"test/label/{name}.tif", np.repeat(labels[..., None] * 255, 3, axis=-1))
    return truth


def inria(root: Path) -> Truth:
    folder = root / "AerialImageDataset"
    _masks(folder, "train/images/{}.tif", "train/gt/{}.tif", ("austin2",))  # not in the split
    return _masks(folder, "train/images/{}.tif", "train/gt/{}.tif", ("austin1",), (1000, 1010))


def xbd(root: Path) -> Truth:
    names = ("guatemala-volcano_00000003_pre_disaster", "socal-fire_00000041_pre_disaster")
    truth = _masks(root, "test/images/{}.png", "test/targets/{}_target.png", names)
    for name, labels in truth.items():
        write(root / f"test/targets/{name}_target.png", labels)
        write(root / f"test/images/{name.replace('_pre_', '_post_')}.png", picture("after"))
        write(root / f"test/targets/{name.replace('_pre_', '_post_')}_target.png", labels * 4)
    return truth


def gf7_building(root: Path) -> Truth:
    return _masks(root, "Test/image/{}.tif", "Test/label/{}.tif")


def chn6_cug(root: Path) -> Truth:
    return _masks(root / "CHN6-CUG", "val/images/{}_sat.jpg", "val/gt/{}_mask.png")


def deepglobe_road(root: Path) -> Truth:
    return _masks(root / "GlobalRoadSet_Val/DeepGlobe_test_1530", "img/{}_sat.jpg", "gt/{}_mask.png")


def massachusetts_road(root: Path) -> Truth:
    return _masks(root / "GlobalRoadSet_Val/Massachusetts_test_49", "img/{}.jpg", "gt/{}.png")


def spacenet_road(root: Path) -> Truth:
    return _masks(root / "GlobalRoadSet_Val/SpaceNet_test_567", "img/{}.jpg", "gt/{}.png")


def gf_road(root: Path) -> Truth:
    truth = _masks(root / "GF_LowGradeRoadDataset", "test/{}_sat.png", "test/{}_mask.png")
    for name, labels in truth.items():
        write(root / f"GF_LowGradeRoadDataset/test/{name}_mask.png", np.where(labels, 129, 128).astype(np.uint8))
    return truth


def wbs_si(root: Path) -> Truth:
    folder = root / "WaterBodiesDatasetPreprocessed/WaterBodiesDatasetPreprocessed"
    _masks(folder, "Images/{}.jpg", "Masks/{}.jpg", ("water_body_1",))  # not in the list
    return _masks(folder, "Images/{}.jpg", "Masks/{}.jpg", ("water_body_2396", "water_body_1074"))


def _pairs(folder: Path, before: str, after: str, names: Sequence[str], size: tuple[int, int]) -> Truth:
    truth = {name: classes(name, 2, size) for name in names}
    for name, labels in truth.items():
        write(folder / before / f"{name}.png", picture(f"{name} before", size), compress_level=1)
        write(folder / after / f"{name}.png", picture(f"{name} after", size), compress_level=1)
        write(folder / "label" / f"{name}.png", labels * 255)
    return truth


def levir_cd(root: Path) -> Truth:
    return _pairs(root / "test", "A", "B", ("test_1",), (1024, 1024))


def whu_cd(root: Path) -> Truth:
    folder, size = root / "1. The two-period image data", (513, 1030)
    truth = {"test": classes("test", 2, size)}
    for year in (2012, 2016):
        write(folder / f"{year}/whole_image/test/image/{year}_test.tif", picture(str(year), size))
    write(folder / "change_label/test/change_label.tif", truth["test"])
    return truth


def s2looking(root: Path) -> Truth:
    truth = _pairs(root / "S2Looking/test", "Image1", "Image2", ("1", "2"), SIZE)
    for name, labels in truth.items():  # three channels, changed where any is bright
        colors = np.array([(0, 0, 0), (0, 0, 255)], dtype=np.uint8)[labels]
        write(root / f"S2Looking/test/label/{name}.png", colors)
    return truth


MAKERS: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (
        *(openearthmap, loveda, isaid, potsdam, vaihingen, uavid, udd5, vdd, gid, dubai, zurich_summer),
        *(whu_aerial, whu_sat_ii, inria, xbd, gf7_building),
        *(chn6_cug, deepglobe_road, massachusetts_road, spacenet_road, gf_road, wbs_si),
        *(levir_cd, whu_cd, s2looking),
    )
} | GENERAL
