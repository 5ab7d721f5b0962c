"""Multi-class sets whose images stay whole: OpenEarthMap, LoveDA, UDD5, VDD, Dubai and Zurich Summer."""

from __future__ import annotations

from pathlib import Path

from .pixels import Pixels, colored, read_bands, stretch_to_bytes
from .recipe import Pair, Recipe, Source, list_files, locate, match, read_ids

ZURICH_COLORS = {
    (0, 0, 0): 0,  # road
    (100, 100, 100): 1,  # building
    (0, 125, 0): 2,  # tree
    (0, 255, 0): 3,  # grass
    (150, 80, 0): 4,  # bare soil
    (0, 0, 150): 5,  # water
    (255, 255, 0): 6,  # railway
    (150, 150, 255): 7,  # swimming pool
    (255, 255, 255): 255,  # unlabelled
}


def find_openearthmap(source: Source) -> list[Pair]:
    """OpenEarthMap_wo_xBD, unpacked:

    val.txt                        500 names, "aachen_1.tif"; those of xBD are not in this download
    <region>/images/<name>.tif     3 bands, 8 bit
    <region>/labels/<name>.tif     values 0 to 8
    """
    root = locate(source, "val.txt")
    images = {path.stem: path for path in sorted(root.glob("*/images/*.tif"))}
    labels = {name: path.parents[1] / "labels" / path.name for name, path in images.items()}
    labels = {name: path for name, path in labels.items() if path.is_file()}
    listed = [Path(name).stem for name in read_ids(root / "val.txt")]
    return match(images, labels, source, ids=[name for name in listed if name in images])


def find_loveda(source: Source) -> list[Pair]:
    """Val.zip, unpacked:

    Val/Rural/images_png/<n>.png    Val/Rural/masks_png/<n>.png
    Val/Urban/images_png/<n>.png    Val/Urban/masks_png/<n>.png    values 0 (no data) to 7
    """
    parts = [[f"Val/{part}/{kind}_png" for kind in ("images", "masks")] for part in ("Rural", "Urban")]
    root = locate(source, parts=parts)
    (images, labels), urban = ([list_files(root / folder, ".png") for folder in part] for part in parts)
    images, labels = images | urban[0], labels | urban[1]
    return match(images, labels, source)


def find_udd5(source: Source) -> list[Pair]:
    """UDD-5 + UDD-6, train + val, unpacked; the folder UDD5 of it (UDD6 has other classes):

    UDD5/val/src/<name>.JPG    UDD5/val/gt/<name>.png    values 0 to 4
    """
    root = locate(source, "UDD5/val/src", "UDD5/val/gt") / "UDD5"
    return match(list_files(root / "val/src", ".JPG"), list_files(root / "val/gt", ".png"), source)


def find_vdd(source: Source) -> list[Pair]:
    """VDD, unpacked:

    test/src/<name>.JPG    test/gt/<name>.png    values 0 to 6
    """
    root = locate(source, "test/src", "test/gt")
    return match(list_files(root / "test/src", ".JPG"), list_files(root / "test/gt", ".png"), source)


def find_dubai(source: Source) -> list[Pair]:
    """Semantic segmentation dataset, unpacked:

    Tile <1-8>/images/image_part_00<1-9>.jpg    Tile <1-8>/masks/image_part_00<1-9>.png    RGB colours
    """
    root = locate(source, parts=[(f"Tile {tile}/images", f"Tile {tile}/masks") for tile in range(1, 9)])
    images = {path.relative_to(root).with_suffix("").as_posix(): path for path in root.glob("Tile */images/*.jpg")}
    masks = {name: path.parents[1] / "masks" / f"{path.stem}.png" for name, path in images.items()}
    return match(images, {name: path for name, path in masks.items() if path.is_file()}, source)


def find_zurich_summer(source: Source) -> list[Pair]:
    """Zurich_dataset_v1.0, unpacked:

    images_tif/zh<1-20>.tif         4 bands blue, green, red, near infrared, 16 bit
    groundtruth/zh<1-20>_GT.tif     RGB colours, white where unlabelled
    """
    root = locate(source, "images_tif", "groundtruth")
    labels = list_files(root / "groundtruth", "_GT.tif")
    return match(list_files(root / "images_tif", ".tif"), labels, source)


def read_zurich_image(path: Path) -> Pixels:
    """Bands 3, 2, 1 as 8-bit RGB, each stretched linearly from its 2nd to its 98th percentile."""
    return stretch_to_bytes(read_bands(path)[[2, 1, 0]])


WHOLE = {
    "openearthmap": Recipe(find_openearthmap),
    "loveda": Recipe(find_loveda),
    "udd5": Recipe(find_udd5),
    "vdd": Recipe(find_vdd),
    "dubai": Recipe(find_dubai),
    "zurich_summer": Recipe(
        find_zurich_summer,
        read_image=read_zurich_image,
        read_label=colored(ZURICH_COLORS, default=255, undocumented="pixels of undocumented colours are ignored"),
    ),
}
