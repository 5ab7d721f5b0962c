"""Labels of Pascal Context out of `trainval_merged.json`.

The file lists images and, per object, a raw class id and a mask as run lengths in COCO's compressed form: runs of 0
and 1 in turn, column by column; each run length (from the third on, its difference to the one before last) in groups
of five bits, the lowest first, a sixth bit telling that more follow, every group plus 48 as a letter.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from segearth_ov3.errors import DatasetError

from .pixels import Pixels

# the raw ids of the 60 classes, background first
RAW_IDS = (
    *(0, 2, 9, 18, 19, 22, 23, 25, 31, 33, 34, 44, 45, 46, 59, 65, 68, 72, 80, 85),
    *(98, 104, 105, 113, 115, 144, 158, 159, 162, 187, 189, 207, 220, 232, 258, 259, 260, 284, 295, 296),
    *(308, 324, 326, 347, 349, 354, 355, 360, 366, 368, 397, 415, 416, 420, 424, 427, 440, 445, 454, 458),
)
_INDEX = {raw: index for index, raw in enumerate(RAW_IDS)}


class ContextLabels:
    """Labels by image id, decoded when asked for.

    Args:
        path: `trainval_merged.json`.

    Raises:
        DatasetError: It is not what it should be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            self._images = {Path(image["file_name"]).stem: image for image in content["images"]}
            self._objects: dict[Any, list[dict[str, Any]]] = defaultdict(list)
            for entry in content["annos_segmentation"]:
                self._objects[entry["image_id"]].append(entry)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"cannot read {path}: {error!r}; is the download complete?") from error

    def val_ids(self) -> list[str]:
        """Ids of the images of the validation part."""
        return sorted(name for name, image in self._images.items() if image["phase"] == "val")

    def read(self, name: str) -> Pixels:
        """Label (H0, W0) of an image: 0 background, 1 to 59.

        Raises:
            DatasetError: There is an undocumented class id, or a mask does not fit the image.
        """
        image = self._images[name]
        labels = np.zeros((image["height"], image["width"]), dtype=np.uint8)
        for entry in self._objects[image["image_id"]]:
            if entry["category_id"] not in _INDEX:
                raise DatasetError(f"{self.path}, image {name}: undocumented class id {entry['category_id']}")
            mask = decode_runs(entry["segmentation"]["counts"], *entry["segmentation"]["size"])
            if mask.shape != labels.shape:
                raise DatasetError(f"{self.path}, image {name}: a mask {mask.shape} in an image {labels.shape}")
            labels[mask] = _INDEX[entry["category_id"]]
        return labels


def decode_runs(counts: str, height: int, width: int) -> np.ndarray:
    """A mask (height, width), bool, from compressed run lengths.

    Raises:
        DatasetError: The runs do not add up to the mask's size.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in counts:
        group = ord(letter) - 48
        value |= (group & 31) << shift
        shift += 5
        if not group & 32:
            if group & 16:  # negative
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if sum(runs) != height * width or min(runs, default=0) < 0:
        raise DatasetError(f"run lengths of {sum(runs)} pixels for a mask of {height} x {width}; the file is damaged")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T
