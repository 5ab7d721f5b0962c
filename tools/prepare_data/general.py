"""Sets of everyday photographs: VOC, Pascal Context, COCO, Cityscapes, ADE20K. Photographs stay as they are."""

from __future__ import annotations

import functools
from pathlib import Path

from .context_labels import ContextLabels
from .pixels import Notes, Pixels, mapped
from .recipe import Pair, Recipe, Source, list_files, locate, match, read_ids, renamed

_COCO_UNUSED = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)  # of the raw ids 0 to 181
_COCO_USED = [raw for raw in range(182) if raw not in _COCO_UNUSED]
COCO_STUFF_TABLE = {raw: index for index, raw in enumerate(_COCO_USED)} | {255: 255}
# things are the first 80; background is 0, so they move up by one
COCO_OBJECT_TABLE = {raw: index + 1 if index < 80 else 0 for raw, index in COCO_STUFF_TABLE.items()}

_CITYSCAPES_EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
CITYSCAPES_TABLE = dict.fromkeys(range(34), 255) | {raw: index for index, raw in enumerate(_CITYSCAPES_EVALUATED)}


def find_voc(source: Source) -> list[Pair]:
    """VOCtrainval_11-May-2012.tar, unpacked:

    VOCdevkit/VOC2012/JPEGImages/<id>.jpg
    VOCdevkit/VOC2012/SegmentationClass/<id>.png             palette: 0 background, 1 to 20, 255 border
    VOCdevkit/VOC2012/ImageSets/Segmentation/val.txt         1449 ids
    """
    root = locate(source, "JPEGImages", "SegmentationClass", "ImageSets/Segmentation/val.txt")
    images, labels = list_files(root / "JPEGImages", ".jpg"), list_files(root / "SegmentationClass", ".png")
    return match(images, labels, source, ids=read_ids(root / "ImageSets/Segmentation/val.txt"))


def find_context(source: Source) -> list[Pair]:
    """VOCtrainval_03-May-2010.tar, unpacked, and trainval_merged.json anywhere beside it:

    VOCdevkit/VOC2010/JPEGImages/<id>.jpg
    trainval_merged.json                       masks as run lengths, with raw class ids
    """
    root = locate(source, "JPEGImages")
    annotations = locate(source, "trainval_merged.json") / "trainval_merged.json"
    ids = _context(annotations).val_ids()
    labels = dict.fromkeys(ids, annotations)
    return [
        pair._replace(label=annotations.with_name(pair.name))  # the reader needs the id as well
        for pair in match(list_files(root / "JPEGImages", ".jpg"), labels, source, ids=ids)
    ]


def find_coco(source: Source) -> list[Pair]:
    """val2017.zip and stuffthingmaps_trainval2017.zip, unpacked into one folder or two:

    .../val2017/<id>.jpg
    .../val2017/<id>.png    raw ids 0 to 181, 255
    """
    locate(source)
    images, labels = (
        renamed(list_files(source.folder, suffix), r"(?:.*/)?val2017/(\d+)") for suffix in (".jpg", ".png")
    )
    return match(images, labels, source)


def find_cityscapes(source: Source) -> list[Pair]:
    """leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip, unpacked:

    leftImg8bit/val/<city>/<name>_leftImg8bit.png
    gtFine/val/<city>/<name>_gtFine_labelIds.png    ids 0 to 33
    """
    root = locate(source, "leftImg8bit/val", "gtFine/val")
    images = list_files(root / "leftImg8bit/val", "_leftImg8bit.png")
    return match(images, list_files(root / "gtFine/val", "_gtFine_labelIds.png"), source)


def find_ade20k(source: Source) -> list[Pair]:
    """ADEChallengeData2016.zip, unpacked:

    ADEChallengeData2016/images/validation/<name>.jpg
    ADEChallengeData2016/annotations/validation/<name>.png    0 other, 1 to 150
    """
    root = locate(source, "images/validation", "annotations/validation")
    images = list_files(root / "images/validation", ".jpg")
    return match(images, list_files(root / "annotations/validation", ".png"), source)


def read_context_label(path: Path, notes: Notes) -> Pixels:
    """Label of an image of Pascal Context; the path is that of the annotations with the id as its name."""
    return _context(path.with_name("trainval_merged.json")).read(path.name)


@functools.lru_cache(maxsize=1)
def _context(path: Path) -> ContextLabels:
    return ContextLabels(path)


_VOC = Recipe(find_voc, lists=True)
_CONTEXT = Recipe(find_context, read_label=read_context_label, lists=True)

GENERAL = {
    "voc20": _VOC,
    "voc21": _VOC,
    "context59": _CONTEXT,
    "context60": _CONTEXT,
    "coco_object": Recipe(find_coco, read_label=mapped(COCO_OBJECT_TABLE)),
    "coco_stuff164k": Recipe(find_coco, read_label=mapped(COCO_STUFF_TABLE)),
    "cityscapes": Recipe(find_cityscapes, read_label=mapped(CITYSCAPES_TABLE)),
    "ade20k": Recipe(find_ade20k),
}
