"""Sets of everyday photographs, as the method's papers report them. Formats are those of mmsegmentation."""

from __future__ import annotations

from functools import partial

from .ade20k_legend import ADE20K as ADE20K_LEGEND
from .coco_legends import COCO_OBJECT as COCO_OBJECT_LEGEND
from .coco_legends import COCO_STUFF
from .general_legends import CITYSCAPES as CITYSCAPES_LEGEND
from .general_legends import CONTEXT59 as CONTEXT59_LEGEND
from .general_legends import CONTEXT60 as CONTEXT60_LEGEND
from .general_legends import VOC20 as VOC20_LEGEND
from .general_legends import VOC21 as VOC21_LEGEND
from .published import RELEASED
from .spec import DatasetSpec, by_name

_general = partial(DatasetSpec, group="general")
_voc = partial(
    _general,
    image_suffix=".jpg",
    root="VOC2012",
    image_dir="JPEGImages",
    label_dir="SegmentationClass",
    id_list="ImageSets/Segmentation/val.txt",
    items=1449,
    items_certain=False,
    licence="see the page (Flickr terms)",
    homepage="http://host.robots.ox.ac.uk/pascal/VOC/voc2012 (VOCtrainval_11-May-2012.tar)",
)
_context = partial(
    _general,
    image_suffix=".jpg",
    root="VOC2010",
    image_dir="JPEGImages",
    label_dir="SegmentationClassContext",
    id_list="ImageSets/SegmentationContext/val.txt",
    items=5104,
    items_certain=False,
    licence="see the page (Flickr terms)",
    homepage="http://host.robots.ox.ac.uk/pascal/VOC/voc2010 (VOCtrainval_03-May-2010.tar) and trainval_merged.json",
)
_coco = partial(
    _general,
    image_dir="images/val2017",
    label_dir="annotations/val2017",
    image_suffix=".jpg",
    items=5000,
    items_certain=False,
    licence="annotations CC BY 4.0; images under Flickr terms",
    homepage="http://images.cocodataset.org (val2017.zip) and https://github.com/nightrome/cocostuff (stuffthingmaps)",
)

VOC20 = _voc(
    name="voc20",
    title="Pascal VOC 2012 without background (val)",
    legend=VOC20_LEGEND,
    reduce_zero_label=True,
    settings=RELEASED["voc20"],
)
VOC21 = _voc(
    name="voc21",
    title="Pascal VOC 2012 with background (val)",
    legend=VOC21_LEGEND,
    settings=RELEASED["voc21"],
)
CONTEXT59 = _context(
    name="context59",
    title="Pascal Context without background (val)",
    legend=CONTEXT59_LEGEND,
    reduce_zero_label=True,
    settings=RELEASED["context59"],
)
CONTEXT60 = _context(
    name="context60",
    title="Pascal Context with background (val)",
    legend=CONTEXT60_LEGEND,
    settings=RELEASED["context60"],
)
COCO_OBJECT = _coco(
    name="coco_object",
    title="COCO-Object (val2017)",
    legend=COCO_OBJECT_LEGEND,
    root="COCOObject",
    label_suffix="_instanceTrainIds.png",
    settings=RELEASED["coco_object"],
)
COCO_STUFF164K = _coco(
    name="coco_stuff164k",
    title="COCO-Stuff 164k (val2017)",
    legend=COCO_STUFF,
    root="COCOStuff",
    label_suffix="_labelTrainIds.png",
    settings=RELEASED["coco_stuff164k"],
)
CITYSCAPES = _general(
    name="cityscapes",
    title="Cityscapes (val)",
    legend=CITYSCAPES_LEGEND,
    root="CityScapes",
    image_dir="leftImg8bit/val",
    label_dir="gtFine/val",
    image_suffix="_leftImg8bit.png",
    label_suffix="_gtFine_labelTrainIds.png",
    settings=RELEASED["cityscapes"],
    items=500,
    items_certain=False,
    licence="non-commercial, see the page",
    homepage="https://www.cityscapes-dataset.com (leftImg8bit_trainvaltest.zip, gtFine_trainvaltest.zip)",
)
ADE20K = _general(
    name="ade20k",
    title="ADE20K, 150 classes (validation)",
    legend=ADE20K_LEGEND,
    root="ADE20K",
    image_dir="images/validation",
    label_dir="annotations/validation",
    image_suffix=".jpg",
    reduce_zero_label=True,
    settings=RELEASED["ade20k"],
    items=2000,
    items_certain=False,
    licence="see the page",
    homepage="http://data.csail.mit.edu/places/ADEchallenge (ADEChallengeData2016.zip)",
)

GENERAL = by_name((VOC20, VOC21, CONTEXT59, CONTEXT60, COCO_OBJECT, COCO_STUFF164K, CITYSCAPES, ADE20K))
