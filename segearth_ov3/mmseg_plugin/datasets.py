"""The Dubai set, colour masks, and checks that hold for all datasets.

The Dubai set is read as published; the others, see `benchmark_dataset`, hold class indices:

    dubai_aerial/
        Tile 1/images/image_part_001.jpg ... image_part_009.jpg
        Tile 1/masks/image_part_001.png  ...                       RGB colours, some files with a palette
        Tile 2/...
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, TRANSFORMS
from numpy.typing import NDArray

from ..datasets import SPECS, DatasetSpec
from ..datasets.reading import read_colors
from ..errors import DatasetError, OptionError

logger = logging.getLogger(__name__)

_MISSING_NAMED = 3


@DATASETS.register_module()
class DubaiAerialDataset(BaseSegDataset):
    """Semantic segmentation of aerial imagery of Dubai: satellite RGB, five classes, colour masks.

    Use `LoadColorAnnotations` in the pipeline; the masks hold colours, not indices.

    Args:
        tiles: Number or numbers of the tiles to take; None takes all that are there.
        parts: Number or numbers of the images per tile to take, 1 to 9; None takes all.
        **kwargs: As in mmseg's `BaseSegDataset`.

    Raises:
        DatasetError: There is no image, a tile that is asked for is not there, or no image has such a part number.
    """

    METAINFO: ClassVar[dict[str, Any]] = {
        "classes": SPECS["dubai"].classes,
        "palette": [list(color) for color in SPECS["dubai"].palette],
    }

    def __init__(
        self, tiles: int | Sequence[int] | None = None, parts: int | Sequence[int] | None = None, **kwargs: Any
    ) -> None:
        self.tiles = _numbers(tiles)
        self.parts = _numbers(parts)
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """List images and masks, ordered by tile and part."""
        root = Path(self.data_prefix["img_path"])
        found = {
            (int(match["tile"]), int(match["part"])): path
            for path in root.glob("Tile */images/image_part_*.jpg")
            if (match := re.search(r"Tile (?P<tile>\d+)/images/image_part_(?P<part>\d+)\.jpg$", path.as_posix()))
        }
        if not found:
            raise DatasetError(f"no images 'Tile N/images/image_part_00K.jpg' in {root}")
        present = {tile for tile, _ in found}
        if self.tiles is not None and not self.tiles <= present:
            raise DatasetError(f"{root}: expected tiles {sorted(self.tiles)}, found {sorted(present)}")
        pairs = [
            (path, path.parents[1] / "masks" / f"{path.stem}.png")
            for (tile, part), path in sorted(found.items())
            if (self.tiles is None or tile in self.tiles) and (self.parts is None or part in self.parts)
        ]
        if not pairs:
            raise DatasetError(f"{root}: no image has a part number of {sorted(self.parts or ())}")
        return [
            {
                "img_path": str(image),
                "seg_map_path": str(mask),
                "label_map": self.label_map,
                "reduce_zero_label": self.reduce_zero_label,
                "seg_fields": [],
            }
            for image, mask in pairs
        ]


@TRANSFORMS.register_module()
class LoadColorAnnotations(BaseTransform):
    """Reads a label image whose colours are the classes; palette files are expanded to their colours first.

    Adds `gt_seg_map` (H0, W0) uint8 to the results. Colours are matched exactly.

    Args:
        colors: RGB colours, in label order.
        indices: Class of each colour, `ignore_index` for none; None means 0, 1, 2, ...
        ignore_colors: Documented colours without a class; their pixels get `ignore_index`.
        unknown: What to do about any other colour: "warn" counts and reports it and ignores its pixels, "error" stops.
        ignore_index: Label of pixels that do not count.

    Raises:
        OptionError: A colour occurs twice, `unknown` is neither of the two, or not every colour has an index.
    """

    def __init__(
        self,
        colors: Sequence[Sequence[int]],
        ignore_colors: Sequence[Sequence[int]] = (),
        unknown: str = "error",
        ignore_index: int = 255,
        indices: Sequence[int] | None = None,
    ) -> None:
        codes = [_color_code(color) for color in (*colors, *ignore_colors)]
        if len(set(codes)) != len(codes):
            raise OptionError(f"expected every colour once, got {list(colors)} and to ignore {list(ignore_colors)}")
        if unknown not in ("warn", "error"):
            raise OptionError(f"expected unknown 'warn' or 'error', got {unknown!r}")
        values = [*(range(len(colors)) if indices is None else indices), *[ignore_index] * len(ignore_colors)]
        if len(values) != len(codes):
            raise OptionError(f"expected an index for each of {len(colors)} colours, got {len(indices or ())}")
        order = np.argsort(codes)
        self.codes = np.array(codes, dtype=np.int64)[order]
        self.values = np.array(values, dtype=np.uint8)[order]
        self.unknown = unknown
        self.ignore_index = ignore_index

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the file `seg_map_path`.

        Raises:
            DatasetError: The file cannot be read, or holds an undocumented colour and `unknown` is "error".
        """
        path = results["seg_map_path"]
        new_labels = np.arange(256, dtype=np.uint8)
        for old, new in (results.get("label_map") or {}).items():  # where a configuration takes some of the classes
            new_labels[old] = new
        results["gt_seg_map"] = new_labels[self.decode(read_colors(path), source=path)]
        results.setdefault("seg_fields", []).append("gt_seg_map")
        return results

    def decode(self, colors: NDArray[np.uint8], source: str) -> NDArray[np.uint8]:
        """Turn colours (H0, W0, 3) into labels (H0, W0), uint8; `source` names the image in messages."""
        codes = colors.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])  # (H0, W0)
        places = np.searchsorted(self.codes, codes).clip(max=len(self.codes) - 1)
        known = self.codes[places] == codes
        if not known.all():
            self._report(codes[~known], source)
        return np.where(known, self.values[places], self.ignore_index).astype(np.uint8)

    def _report(self, codes: NDArray[np.int64], source: str) -> None:
        """Say which undocumented colours an image holds, by warning or error."""
        unique, counts = np.unique(codes, return_counts=True)
        names = ", ".join(f"#{code:06X}" for code in unique[np.argsort(-counts)][:_MISSING_NAMED])
        message = f"{source}: {len(codes)} pixels of {len(unique)} undocumented colours, most often {names}"
        if self.unknown == "error":
            raise DatasetError(f"{message}; list them in colors or ignore_colors, or set unknown='warn'")
        logger.warning("%s are ignored", message)


def build_dataset(config: Mapping[str, Any], spec: DatasetSpec | None = None) -> BaseSegDataset:
    """Build the dataset of a configuration and make sure that it can be evaluated.

    Args:
        config: What stands under `test_dataloader.dataset`.
        spec: Facts of the set, for messages.

    Returns:
        The dataset, with at least one image and all files present.

    Raises:
        DatasetError: The folder is missing, it has no images, or some image or label files are missing.
    """
    where = "; pass --data-root"
    if spec and spec.group != "generated":
        where += f", or run tools/prepare_data/prepare.py {spec.name} (get the set from {spec.homepage})"
    try:
        dataset = DATASETS.build({**config, "serialize_data": False})  # mmengine cannot serialise an empty list
        dataset.full_init()
    except FileNotFoundError as error:
        raise DatasetError(f"no such folder or file: {error.filename}{where}") from error
    except DatasetError as error:
        raise DatasetError(f"{error}{where if spec else ''}") from error
    if len(dataset) == 0:
        raise DatasetError(
            f"no images *{dataset.img_suffix} in {dataset.data_prefix.get('img_path')}; check folder, suffix and its "
            f"letter case{where}"
        )
    for key, what in (("img_path", "image"), ("img_path2", "later image"), ("seg_map_path", "label")):
        paths = [path for index in range(len(dataset)) if (path := dataset.get_data_info(index).get(key))]
        if missing := [path for path in paths if not Path(path).is_file()]:
            raise DatasetError(f"{len(missing)} of {len(dataset)} {what} files are missing: {_first(missing)}{where}")
    return dataset


def check_class_count(prompted_classes: int, dataset_classes: Sequence[str]) -> None:
    """Compare the number of classes in the vocabulary with those of the dataset.

    Raises:
        OptionError: They differ.
    """
    if prompted_classes != len(dataset_classes):
        raise OptionError(
            f"the vocabulary has {prompted_classes} classes and the dataset {len(dataset_classes)} "
            f"({', '.join(dataset_classes)}); line n of the vocabulary stands for class n of the dataset"
        )


def _numbers(values: int | Sequence[int] | None) -> set[int] | None:
    """One number or several as a set; None stays None."""
    return {values} if isinstance(values, int) else None if values is None else set(values)


def _color_code(color: Sequence[int]) -> int:
    """One integer per colour, 0xRRGGBB."""
    if len(color) != 3 or not all(0 <= value <= 255 for value in color):
        raise OptionError(f"expected colours (red, green, blue), 0 to 255, got {color!r}")
    red, green, blue = color
    return (red << 16) | (green << 8) | blue


def _first(paths: Sequence[str]) -> str:
    return ", ".join(paths[:_MISSING_NAMED]) + ", ..." * (len(paths) > _MISSING_NAMED)
