"""Sets with one kind of object: buildings, roads, water. Two classes; the field reports the IoU of the second."""

from __future__ import annotations

from functools import partial

from .published import RELEASED
from .spec import ClassColor, DatasetSpec, by_name

_BACKGROUND = ClassColor("background", (0, 0, 0))
_BUILDING = (_BACKGROUND, ClassColor("building", (255, 255, 255)))
_ROAD = (_BACKGROUND, ClassColor("road", (255, 255, 255)))
_WATER = (_BACKGROUND, ClassColor("water", (0, 235, 255)))

_building = partial(DatasetSpec, group="building", legend=_BUILDING)
_road = partial(DatasetSpec, group="road", legend=_ROAD)
_grset = partial(
    _road,
    image_suffix=".jpg",
    label_dir="label_cvt",
    licence="academic use only, CC BY-NC-SA 4.0; images under Google Earth terms",
    homepage="https://github.com/xiaoyan07/GRNet_GRSet (global-scale validation set, Baidu)",
)

WHU_AERIAL = _building(
    name="whu_aerial",
    title="WHU Building, aerial (val)",
    root="WHU-BD",
    image_dir="val/image",
    label_dir="val/label_binary",
    settings=RELEASED["whu_aerial"],
    items=1036,
    items_certain=False,
    licence="see the page",
    homepage="https://gpcv.whu.edu.cn/data/building_dataset.html (aerial, cropped tiles of 512 with raster labels)",
)

WHU_SAT_II = _building(
    name="whu_sat_ii",
    title="WHU Building, satellite II, East Asia (test)",
    root="WHU_Sat_II/Satellite_dataset_Ⅱ_East_Asia/1.cropped",
    image_dir="test/image",
    label_dir="test/label_binary",
    image_suffix=".tif",
    label_suffix=".tif",
    settings=RELEASED["whu_sat_ii"],
    items=3726,
    items_certain=False,
    licence="see the page",
    homepage="https://gpcv.whu.edu.cn/data/building_dataset.html (satellite dataset II)",
)

INRIA = _building(
    name="inria",
    title="Inria Aerial Image Labeling (27 tiles of the train part)",
    root="Inria/AerialImageDataset",
    image_dir="train/img_dir/split_test",
    label_dir="train/ann_dir/split_test",
    settings=RELEASED["inria"],
    items=675,
    licence="none stated, see the page",
    homepage="https://project.inria.fr/aerialimagelabeling (registration)",
)

XBD = _building(
    name="xbd",
    title="xBD, before the disaster (test)",
    root="xBD",
    image_dir="test/images_pre",
    label_dir="test/targets_binary_pre",
    settings=RELEASED["xbd"],
    items=933,  # as the 2799 pairs of train leave of 3732 in all, which torchgeo counts
    licence="CC BY-NC-SA 4.0",
    homepage="https://xview2.org (registration): test_images_labels_targets.tar.gz",
)

GF7_BUILDING = _building(
    name="gf7_building",
    title="GF-7 building (test)",
    root="GF7-building",
    image_dir="Test/image",
    label_dir="Test/label_cvt",
    image_suffix=".tif",
    label_suffix=".tif",
    settings=RELEASED["gf7_building"],
    items=None,
    licence="see the page",
    homepage="https://figshare.com/articles/dataset/24305557",
    own_words=True,
)

CHN6_CUG = _road(
    name="chn6_cug",
    title="CHN6-CUG roads (val)",
    root="CHN6-CUG",
    image_dir="val/image_cvt",
    label_dir="val/label_cvt",
    image_suffix=".jpg",
    settings=RELEASED["chn6_cug"],
    items=903,
    items_certain=False,
    licence="see the page",
    homepage="https://grzy.cug.edu.cn/zhuqiqi (page CHN6-CUG)",
)

DEEPGLOBE_ROAD = _grset(
    name="deepglobe_road",
    title="DeepGlobe roads (GRSet validation)",
    root="GlobalRoadSet_Val/DeepGlobe_test_1530",
    image_dir="image_cvt",
    settings=RELEASED["deepglobe_road"],
    items=1530,
)

MASSACHUSETTS_ROAD = _grset(
    name="massachusetts_road",
    title="Massachusetts roads (GRSet validation)",
    root="GlobalRoadSet_Val/Massachusetts_test_49",
    image_dir="img",
    settings=RELEASED["massachusetts_road"],
    items=49,
)

SPACENET_ROAD = _grset(
    name="spacenet_road",
    title="SpaceNet roads (GRSet validation)",
    root="GlobalRoadSet_Val/SpaceNet_test_567",
    image_dir="img",
    settings=RELEASED["spacenet_road"],
    items=567,
)

GF_ROAD = _road(
    name="gf_road",
    title="GF low-grade roads (test)",
    root="GF_LowGradeRoadDataset",
    image_dir="test/image",
    label_dir="test/label",
    settings=RELEASED["gf_road"],
    items=None,
    licence="see the page",
    homepage="https://figshare.com/articles/dataset/24457369 (GF_LowGradeRoadDataset.zip)",
    own_words=True,
)

WBS_SI = DatasetSpec(
    name="wbs_si",
    title="WBS-SI water bodies (499 images)",
    group="water",
    legend=_WATER,
    root="WaterBodiesDatasetPreprocessed/WaterBodiesDatasetPreprocessed",
    image_dir="Images",
    label_dir="Masks_binary",
    image_suffix=".jpg",
    settings=RELEASED["wbs_si"],
    items=499,
    licence="see the page",
    homepage="https://www.kaggle.com/datasets/shirshmall/water-body-segmentation-in-satellite-images",
    id_list="val.txt",
    has_no_class_pixels=True,
)

EXTRACTION = by_name(
    (
        WHU_AERIAL,
        WHU_SAT_II,
        INRIA,
        XBD,
        GF7_BUILDING,
        CHN6_CUG,
        DEEPGLOBE_ROAD,
        MASSACHUSETTS_ROAD,
        SPACENET_ROAD,
        GF_ROAD,
        WBS_SI,
    )
)
