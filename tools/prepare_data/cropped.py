"""Multi-class sets whose images are cut: iSAID, Potsdam, Vaihingen, UAVid and GID."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segearth_ov3.datasets import SPECS
from segearth_ov3.errors import DatasetError

from .crop_plans import corner, grid, sliding, sliding_as_published
from .pixels import Pixels, colored, colored_by_sum, read_bands
from .recipe import SPLITS, Pair, Recipe, Source, list_files, locate, match, read_ids, renamed

ISPRS_COLORS = {
    (0, 0, 0): 0,  # eroded boundary
    (255, 255, 255): 1,  # impervious surface
    (0, 0, 255): 2,  # building
    (0, 255, 255): 3,  # low vegetation
    (0, 255, 0): 4,  # tree
    (255, 255, 0): 5,  # car
    (255, 0, 0): 6,  # clutter
}
UAVID_COLORS = {
    (0, 0, 0): 0,  # background clutter
    (128, 0, 0): 1,  # building
    (128, 64, 128): 2,  # road
    (192, 0, 192): 3,  # static car
    (64, 0, 128): 3,  # moving car
    (0, 128, 0): 4,  # tree
    (128, 128, 0): 5,  # low vegetation
    (64, 64, 0): 6,  # human
}
ISAID_COLORS = {color: index for index, color in enumerate(SPECS["isaid"].palette)}

ISPRS_SUM = "colours are matched by 4 red + 3 green + 2 blue instead of exactly"
ISAID_PADDING = (
    "images with one side of exactly 896 pixels and a shorter one are not padded but cut at a negative start"
)


def find_isaid(source: Source) -> list[Pair]:
    """Images of DOTA-v1.0 and semantic masks of iSAID, part val, both archives unpacked where they lie:

    val/images/part1.zip           ->  val/images/images/P<nnnn>.png
    val/Semantic_masks/images.zip  ->  val/Semantic_masks/images/P<nnnn>_instance_color_RGB.png    RGB colours
    """
    root = locate(source, "val/images", "val/Semantic_masks")
    images = renamed(list_files(root / "val/images", ".png"), r"(?:.*/)?(P\d+)")
    labels = list_files(root / "val/Semantic_masks", "_instance_color_RGB.png")
    return match(images, renamed(labels, r"(?:.*/)?(P\d+)"), source)


def find_potsdam(source: Source) -> list[Pair]:
    """2_Ortho_RGB.zip and 5_Labels_all_noBoundary.zip, unpacked into the source or folders of it:

    top_potsdam_<i>_<j>_RGB.tif                 6000 x 6000
    top_potsdam_<i>_<j>_label_noBoundary.tif    RGB colours; the 14 tiles in splits/potsdam_val.txt
    """
    locate(source)
    images = renamed(list_files(source.folder, "_RGB.tif"), r"(?:.*/)?top_potsdam_(\d+_\d+)")
    labels = list_files(source.folder, "_label_noBoundary.tif")
    labels = renamed(labels, r"(?:.*/)?top_potsdam_(\d+_\d+)")
    return match(images, labels, source, ids=read_ids(SPLITS / "potsdam_val.txt"))


def find_vaihingen(source: Source) -> list[Pair]:
    """ISPRS_semantic_labeling_Vaihingen.zip and ..._ground_truth_eroded_COMPLETE.zip, unpacked:

    .../top/top_mosaic_09cm_area<n>.tif            near infrared, red, green
    .../top_mosaic_09cm_area<n>_noBoundary.tif     RGB colours; the 17 areas in splits/vaihingen_val.txt
    """
    locate(source)
    images = renamed(list_files(source.folder, ".tif"), r"(?:.*/)?top/top_mosaic_09cm_(area\d+)")
    labels = renamed(list_files(source.folder, "_noBoundary.tif"), r"(?:.*/)?top_mosaic_09cm_(area\d+)")
    return match(images, labels, source, ids=read_ids(SPLITS / "vaihingen_val.txt"))


def find_uavid(source: Source) -> list[Pair]:
    """Test part with labels, unpacked:

    test_gt/seq<nn>/Images/<frame>.png    3840 x 2160 or 4096 x 2160
    test_gt/seq<nn>/Labels/<frame>.png    RGB colours
    """
    root = locate(source, "test_gt") / "test_gt"
    files = list_files(root, ".png")
    images, labels = (renamed(files, rf"(seq\d+)/{kind}/([^/]+)") for kind in ("Images", "Labels"))
    return match(images, labels, source)


def find_gid(source: Source) -> list[Pair]:
    """Large-scale classification set, 5 classes, unpacked:

    Image__8bit_NirRGB/<id>.tif         4 bands near infrared, red, green, blue; 7200 x 6800
    Annotation__index/<id>_5label.png   values 0 to 5; the 30 scenes in splits/gid_test.txt
    """
    root = locate(source, "Image__8bit_NirRGB", "Annotation__index")
    labels = list_files(root / "Annotation__index", "_5label.png")
    ids = read_ids(SPLITS / "gid_test.txt")
    return match(list_files(root / "Image__8bit_NirRGB", ".tif"), labels, source, ids=ids)


def read_gid_image(path: Path) -> Pixels:
    """Bands 2, 3, 4 as RGB.

    Raises:
        DatasetError: There are not exactly four 8-bit bands, so their order is not the documented one.
    """
    bands = read_bands(path)
    if bands.shape[0] != 4 or bands.dtype != np.uint8:
        raise DatasetError(
            f"{path}: expected 4 bands of 8 bit (near infrared, R, G, B), got {len(bands)} {bands.dtype}"
        )
    return np.ascontiguousarray(bands[1:].transpose(1, 2, 0))


_ISPRS_PUBLISHED = colored_by_sum(ISPRS_COLORS, weights=(4, 3, 2))

CROPPED = {
    "isaid": Recipe(
        find_isaid,
        read_label=colored(ISAID_COLORS),
        crops=sliding(896, 896, overlap_px=384),
        published=Recipe(find_isaid, read_label=colored(ISAID_COLORS), crops=sliding_as_published(896, 384)),
        difference=ISAID_PADDING,
    ),
    "potsdam": Recipe(
        find_potsdam,
        read_label=colored(ISPRS_COLORS),
        crops=grid(512),
        published=Recipe(find_potsdam, read_label=_ISPRS_PUBLISHED, crops=grid(512)),
        difference=ISPRS_SUM,
    ),
    "vaihingen": Recipe(
        find_vaihingen,
        read_label=colored(ISPRS_COLORS),
        crops=grid(512),
        published=Recipe(find_vaihingen, read_label=_ISPRS_PUBLISHED, crops=grid(512)),
        difference=ISPRS_SUM,
    ),
    "uavid": Recipe(find_uavid, read_label=colored(UAVID_COLORS), crops=sliding(1280, 1080)),
    "gid": Recipe(find_gid, read_image=read_gid_image, crops=corner(1024)),
}
