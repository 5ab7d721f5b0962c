"""Multi-class remote-sensing sets. The eight of the field's table come first, in its order."""

from __future__ import annotations

from functools import partial

from .published import RELEASED, Settings
from .spec import DatasetSpec, by_name, legend

_semantic = partial(DatasetSpec, group="semantic")

OPENEARTHMAP = _semantic(
    name="openearthmap",
    title="OpenEarthMap (val, without xBD)",
    legend=legend(
        """
        background 0 0 0
        bareland 128 0 0
        grass 0 255 36
        pavement 148 148 148
        road 255 255 255
        tree 34 97 38
        water 0 69 255
        cropland 75 181 73
        building 222 31 7
        """
    ),
    root="OpenEarthMap",
    image_dir="val/images",
    label_dir="val/labels",
    image_suffix=".tif",
    label_suffix=".tif",
    settings=RELEASED["openearthmap"],
    items=384,
    licence="labels as the source image, else CC BY-NC-SA 4.0",
    homepage="https://zenodo.org/records/7223446 (OpenEarthMap_wo_xBD)",
)

LOVEDA = _semantic(
    name="loveda",
    title="LoveDA (val)",
    legend=legend(
        """
        background 255 255 255
        building 255 0 0
        road 255 255 0
        water 0 0 255
        barren 159 129 183
        forest 0 255 0
        agricultural 255 195 128
        """
    ),
    root="LoveDA",
    image_dir="img_dir/val",
    label_dir="ann_dir/val",
    reduce_zero_label=True,
    settings=RELEASED["loveda"],
    items=1669,
    licence="CC BY-NC-SA 4.0",
    homepage="https://zenodo.org/records/5706578 (Val.zip)",
)

ISAID = _semantic(
    name="isaid",
    title="iSAID (val)",
    legend=legend(
        """
        background 0 0 0
        ship 0 0 63
        store_tank 0 63 63
        baseball_diamond 0 63 0
        tennis_court 0 63 127
        basketball_court 0 63 191
        Ground_Track_Field 0 63 255
        Bridge 0 127 63
        Large_Vehicle 0 127 127
        Small_Vehicle 0 0 127
        Helicopter 0 0 191
        Swimming_pool 0 0 255
        Roundabout 0 191 127
        Soccer_ball_field 0 127 191
        plane 0 127 255
        Harbor 0 100 155
        """
    ),
    root="iSAID",
    image_dir="img_dir/val",
    label_dir="ann_dir/val",
    label_suffix="_instance_color_RGB.png",
    settings=RELEASED["isaid"],
    items=11644,
    licence="academic use only",
    homepage="https://captain-whu.github.io/iSAID (semantic masks of val; its images come from the DOTA-v1.0 page)",
)

_ISPRS = legend(
    """
    impervious_surface 255 255 255
    building 0 0 255
    low_vegetation 0 255 255
    tree 0 255 0
    car 255 255 0
    clutter 255 0 0
    """
)

POTSDAM = _semantic(
    name="potsdam",
    title="ISPRS Potsdam (val, RGB)",
    legend=_ISPRS,
    root="Potsdam",
    image_dir="img_dir/val",
    label_dir="ann_dir/val",
    reduce_zero_label=True,
    settings=RELEASED["potsdam"],
    items=2016,
    licence="research use, see the page",
    homepage="https://www.isprs.org (2D semantic labelling, Potsdam): 2_Ortho_RGB.zip, 5_Labels_all_noBoundary.zip",
)

VAIHINGEN = _semantic(
    name="vaihingen",
    title="ISPRS Vaihingen (val, near-infrared, red, green)",
    legend=_ISPRS,
    root="Vaihingen",
    image_dir="img_dir/val",
    label_dir="ann_dir/val",
    reduce_zero_label=True,
    settings=RELEASED["vaihingen"],
    items=398,
    licence="research use, see the page",
    homepage="https://www.isprs.org (2D semantic labelling, Vaihingen): images and ground_truth_eroded_COMPLETE.zip",
)

UAVID = _semantic(
    name="uavid",
    title="UAVid (test)",
    legend=legend(
        """
        background 0 0 0
        building 128 0 0
        road 128 64 128
        car 192 0 192
        tree 0 128 0
        vegetation 128 128 0
        human 64 64 0
        """
    ),
    root="UAVid",
    image_dir="img_dir/test",
    label_dir="ann_dir/test",
    settings=RELEASED["uavid"],
    items=1020,
    licence="see the page",
    homepage="https://uavid.nl (test part with labels, test_gt)",
)

UDD5 = _semantic(
    name="udd5",
    title="UDD5 (val)",
    legend=legend(
        """
        vegetation 107 142 35
        building 102 102 156
        road 128 64 128
        vehicle 0 0 142
        other 0 0 0
        """
    ),
    root="UDD5",
    image_dir="val/src",
    label_dir="val/gt",
    image_suffix=".JPG",
    settings=RELEASED["udd5"],
    items=40,
    items_certain=False,
    licence="non-commercial use only",
    homepage="https://github.com/MarcWong/UDD (UDD-5 + UDD-6, train + val)",
)

VDD = _semantic(
    name="vdd",
    title="VDD (test)",
    legend=legend(
        """
        other 102 179 92
        wall 14 106 71
        road 188 20 102
        vegetation 121 210 214
        vehicle 74 202 87
        roof 116 99 103
        water 151 130 149
        """
    ),
    root="VDD",
    image_dir="test/src",
    label_dir="test/gt",
    image_suffix=".JPG",
    settings=RELEASED["vdd"],
    items=80,
    items_certain=False,
    licence="non-commercial, no redistribution",
    homepage="https://github.com/RussRobin/VDD (Google Drive or Baidu)",
)

GID = _semantic(
    name="gid",
    title="GID, 5 classes and unlabeled (30 images)",
    legend=legend(
        """
        unlabeled 0 0 0
        built-up 255 0 0
        farmland 0 255 0
        forest 0 255 255
        meadow 255 255 0
        water 0 0 255
        """
    ),
    root="GID",
    image_dir="images",
    label_dir="labels",
    settings=RELEASED["gid"],
    items=1680,
    licence="see the page",
    homepage="https://x-ytong.github.io/project/GID.html (large-scale classification set)",
    own_words=True,
)

DUBAI = _semantic(
    name="dubai",
    title="Dubai aerial imagery (Humans in the Loop)",
    legend=legend(
        """
        building 60 16 152
        land 132 41 246
        road 110 193 228
        vegetation 254 221 58
        water 226 169 41
        """
    ),
    root="dubai_aerial",
    image_dir="",
    label_dir="",
    image_suffix=".jpg",
    settings=Settings(0.0, 0.5, 1, window=504, stride=378),
    items=72,
    licence="CC0 1.0",
    homepage="https://www.kaggle.com/datasets/humansintheloop/semantic-segmentation-of-aerial-imagery",
    own_words=True,
)

ZURICH_SUMMER = _semantic(
    name="zurich_summer",
    title="Zurich Summer v1.0",
    legend=legend(
        """
        road 0 0 0
        building 100 100 100
        tree 0 125 0
        grass 0 255 0
        bare soil 150 80 0
        water 0 0 150
        railway 255 255 0
        swimming pool 150 150 255
        """
    ),
    root="Zurich_Summer",
    image_dir="images",
    label_dir="labels",
    settings=Settings(0.0, 0.5, None),
    items=20,
    licence="research use, see the page",
    homepage="https://sites.google.com/site/michelevolpiresearch/data/zurich-dataset",
    own_words=True,
)

SEMANTIC = by_name(
    (
        OPENEARTHMAP,
        LOVEDA,
        ISAID,
        POTSDAM,
        VAIHINGEN,
        UAVID,
        UDD5,
        VDD,
        GID,
        DUBAI,
        ZURICH_SUMMER,
    )
)
