"""Tiny fakes of the sets of everyday photographs as they are downloaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from fake_pixels import IGNORED, SIZE, Maker, Truth, classes, encode_runs, picture, write, write_palette

CITYSCAPES = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
COCO_UNUSED = {11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90}
COCO = [raw for raw in range(182) if raw not in COCO_UNUSED]


def _voc(root: Path, count: int, *, background: bool) -> Truth:
    folder = root / "VOCdevkit/VOC2012"
    truth = {}
    for name in ("2007_000033", "2007_000042"):
        stored = classes(name, count)
        stored[0] = IGNORED
        write(folder / f"JPEGImages/{name}.jpg", picture(name))
        write_palette(folder / f"SegmentationClass/{name}.png", stored)
        truth[name] = stored if background else np.where(stored % 255 == 0, IGNORED, stored - 1).astype(np.uint8)
    write(folder / "JPEGImages/2007_000001.jpg", picture("train"))
    (folder / "ImageSets/Segmentation").mkdir(parents=True)
    (folder / "ImageSets/Segmentation/val.txt").write_text("2007_000033\n2007_000042\n")
    return truth


def voc20(root: Path) -> Truth:
    return _voc(root, 21, background=False)


def voc21(root: Path) -> Truth:
    return _voc(root, 21, background=True)


def _context(root: Path, raw_ids: Mapping[int, int], *, background: bool) -> Truth:
    """Pascal Context with the raw class ids of some of its classes."""
    folder = root / "VOCdevkit/VOC2010"
    truth, images, objects = {}, [], []
    for number, (name, phase) in enumerate((("2008_000002", "val"), ("2008_000003", "val"), ("2008_000004", "train"))):
        write(folder / f"JPEGImages/{name}.jpg", picture(name))
        images.append(
            {"file_name": f"{name}.jpg", "image_id": number, "phase": phase, "height": SIZE[0], "width": SIZE[1]}
        )
        places = classes(name, 1 + len(raw_ids))
        stored = np.zeros_like(places)
        for place, (raw, index) in enumerate(raw_ids.items(), start=1):
            stored[places == place] = index
            runs = {"size": list(SIZE), "counts": encode_runs(places == place)}
            objects.append({"image_id": number, "category_id": raw, "segmentation": runs})
        if phase == "val":
            truth[name] = stored if background else np.where(stored == 0, IGNORED, stored - 1).astype(np.uint8)
    content = {"images": images, "annos_segmentation": objects}
    (root / "trainval_merged.json").write_text(json.dumps(content))
    return truth


RAW_CONTEXT = {2: 1, 9: 2, 45: 12, 258: 34, 458: 59}


def context59(root: Path) -> Truth:
    return _context(root, RAW_CONTEXT, background=False)


def context60(root: Path) -> Truth:
    return _context(root, RAW_CONTEXT, background=True)


def _coco(root: Path) -> dict[str, np.ndarray]:
    """Photographs and raw ids of COCO's stuff and things."""
    raw = {}
    for name in ("000000000139", "000000000285"):
        raw[name] = np.array([*COCO, IGNORED], dtype=np.uint8)[classes(name, len(COCO) + 1)]
        raw[name][1, :5] = (0, 89, 91, 181, 255)
        write(root / f"val2017/{name}.jpg", picture(name))
        write(root / f"stuffthingmaps_trainval2017/val2017/{name}.png", raw[name])
    return raw


def coco_object(root: Path) -> Truth:
    table = np.zeros(256, dtype=np.uint8)
    table[COCO[:80]] = np.arange(1, 81)
    return {name: table[raw] for name, raw in _coco(root).items()}


def coco_stuff164k(root: Path) -> Truth:
    table = np.full(256, IGNORED, dtype=np.uint8)
    table[COCO] = np.arange(171)
    return {name: table[raw] for name, raw in _coco(root).items()}


def cityscapes(root: Path) -> Truth:
    table = np.full(256, IGNORED, dtype=np.uint8)
    table[CITYSCAPES] = np.arange(19)
    truth = {}
    for city, number in (("frankfurt", "000000_000294"), ("lindau", "000001_000019")):
        name = f"{city}/{city}_{number}"
        raw = classes(name, 34)
        truth[name] = table[raw]
        write(root / f"leftImg8bit/val/{name}_leftImg8bit.png", picture(name))
        write(root / f"gtFine/val/{name}_gtFine_labelIds.png", raw)
        write(root / f"gtFine/val/{name}_gtFine_color.png", picture("color"))
    return truth


def ade20k(root: Path) -> Truth:
    folder = root / "ADEChallengeData2016"
    truth = {}
    for name in ("ADE_val_00000001", "ADE_val_00000002"):
        stored = classes(name, 151)
        truth[name] = np.where(stored == 0, IGNORED, stored - 1).astype(np.uint8)
        write(folder / f"images/validation/{name}.jpg", picture(name))
        write(folder / f"annotations/validation/{name}.png", stored)
    return truth


GENERAL: dict[str, Maker] = {
    maker.__name__: maker
    for maker in (voc20, voc21, context59, context60, coco_object, coco_stuff164k, cityscapes, ade20k)
}
