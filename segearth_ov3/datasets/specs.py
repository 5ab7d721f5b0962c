"""The benchmark sets. A set is added by one entry here, a vocabulary and a configuration.

Published scores of SegEarth-OV3 and ProC-SAM3 are mIoU over all classes; the thresholds are those SegEarth-OV3
released with its settings, one pair per set.
"""

from __future__ import annotations

from ..demo.materials import SCENE_CLASSES, SCENE_COLORS
from .spec import DatasetSpec, PublishedScore

_OV3 = "SegEarth-OV3"
_OV3_TABLE = "arXiv 2512.08730 Table 2, quoted in FasterThanAi/FreeTraining-OVSS BASELINE_NUMBERS.md"
_PROC_TABLE = "YanghuiSong/ProC-SAM3 assets/results.png (Table I)"
_FASTER = "FasterThanAi/FreeTraining-OVSS"
_CAPSTONE = "qhdusrla08/capstone-project"
_EITHER = f"{_FASTER} or {_CAPSTONE}"  # both report it, which number is whose was not recorded

LOVEDA = DatasetSpec(
    name="loveda",
    title="LoveDA (val)",
    classes=("background", "building", "road", "water", "barren", "forest", "agricultural"),
    palette=(
        (255, 255, 255),
        (255, 0, 0),
        (255, 255, 0),
        (0, 0, 255),
        (159, 129, 183),
        (0, 255, 0),
        (255, 195, 128),
    ),
    root="LoveDA",
    image_dir="img_dir/val",
    label_dir="ann_dir/val",
    image_suffix=".png",
    label_suffix=".png",
    reduce_zero_label=True,
    background=0,
    vocabulary="loveda.txt",
    prob_threshold=0.5,
    confidence_threshold=0.5,
    items=1669,
    licence="CC BY-NC-SA 4.0",
    homepage="https://zenodo.org/records/5706578 (Val.zip)",
    published=(
        PublishedScore(_OV3, 47.4, "quoted", _OV3_TABLE),
        PublishedScore(_OV3, 47.38, "rerun", _FASTER),
        PublishedScore(_OV3, 47.38, "rerun", _CAPSTONE),
        PublishedScore(_OV3, 41.6, "rerun", _PROC_TABLE),
        PublishedScore("ProC-SAM3", 46.1, "author", _PROC_TABLE),
    ),
)

_ISPRS_CLASSES = ("impervious_surface", "building", "low_vegetation", "tree", "car", "clutter")
_ISPRS_PALETTE = ((255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0))

POTSDAM = DatasetSpec(
    name="potsdam",
    title="ISPRS Potsdam (val, RGB)",
    classes=_ISPRS_CLASSES,
    palette=_ISPRS_PALETTE,
    root="Potsdam",
    image_dir="img_dir/val",
    label_dir="ann_dir/val",
    image_suffix=".png",
    label_suffix=".png",
    reduce_zero_label=True,
    background=5,
    vocabulary="potsdam.txt",
    prob_threshold=0.1,
    confidence_threshold=0.2,
    items=2016,
    licence="research use, see the page",
    homepage="https://www.isprs.org (2D semantic labelling, Potsdam): 2_Ortho_RGB.zip, 5_Labels_all_noBoundary.zip",
    published=(
        PublishedScore(_OV3, 57.8, "quoted", _OV3_TABLE),
        PublishedScore(_OV3, 57.83, "rerun", _EITHER),
        PublishedScore(_OV3, 57.80, "rerun", _EITHER),
        PublishedScore(_OV3, 57.2, "rerun", _PROC_TABLE),
        PublishedScore("ProC-SAM3", 58.8, "author", _PROC_TABLE),
    ),
)

VAIHINGEN = DatasetSpec(
    name="vaihingen",
    title="ISPRS Vaihingen (val, near-infrared, red, green)",
    classes=_ISPRS_CLASSES,
    palette=_ISPRS_PALETTE,
    root="Vaihingen",
    image_dir="img_dir/val",
    label_dir="ann_dir/val",
    image_suffix=".png",
    label_suffix=".png",
    reduce_zero_label=True,
    background=5,
    vocabulary="vaihingen.txt",
    prob_threshold=0.1,
    confidence_threshold=0.4,
    items=398,
    licence="research use, see the page",
    homepage="https://www.isprs.org (2D semantic labelling, Vaihingen): images and ground_truth_eroded_COMPLETE.zip",
    published=(
        PublishedScore(_OV3, 60.8, "quoted", _OV3_TABLE),
        PublishedScore(_OV3, 60.80, "rerun", _EITHER),
        PublishedScore(_OV3, 60.8, "rerun", _PROC_TABLE),
        PublishedScore("ProC-SAM3", 64.5, "author", _PROC_TABLE),
    ),
)

DUBAI = DatasetSpec(
    name="dubai",
    title="Dubai aerial imagery (Humans in the Loop)",
    classes=("building", "land", "road", "vegetation", "water"),
    palette=((60, 16, 152), (132, 41, 246), (110, 193, 228), (254, 221, 58), (226, 169, 41)),
    root="dubai_aerial",
    image_dir="",
    label_dir="",
    image_suffix=".jpg",
    label_suffix=".png",
    reduce_zero_label=False,
    background=1,
    vocabulary="dubai.txt",
    prob_threshold=0.0,
    confidence_threshold=0.5,
    items=72,
    licence="CC0 1.0",
    homepage="https://www.kaggle.com/datasets/humansintheloop/semantic-segmentation-of-aerial-imagery",
)

DEMO = DatasetSpec(
    name="demo",
    title="Generated scenes",
    classes=SCENE_CLASSES,
    palette=SCENE_COLORS,
    root="demo_scenes",
    image_dir="images",
    label_dir="labels",
    image_suffix=".png",
    label_suffix=".png",
    reduce_zero_label=False,
    background=None,
    vocabulary="demo.txt",
    prob_threshold=0.0,
    confidence_threshold=0.3,
    items=50,
    licence="Apache-2.0",
    homepage="made on first use by segearth_ov3.demo.scenes",
)

SPECS: dict[str, DatasetSpec] = {spec.name: spec for spec in (LOVEDA, POTSDAM, VAIHINGEN, DUBAI, DEMO)}
