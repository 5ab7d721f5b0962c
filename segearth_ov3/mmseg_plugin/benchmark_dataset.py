"""`BenchmarkDataset`: any set of `SPECS` whose labels are images of class indices, as mmseg reads datasets.

A configuration names the set; classes, colours, suffixes and the handling of zero come from the facts:

    dataset=dict(type='BenchmarkDataset', benchmark='isaid', data_root='data/iSAID',
                 data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmcv.transforms import BaseTransform
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, TRANSFORMS

from ..datasets import SPECS
from ..datasets.label_values import LabelMap, parse_label_map
from ..errors import DatasetError, OptionError
from ..registry import lookup
from .loading import LoadPicture


@DATASETS.register_module()
class BenchmarkDataset(BaseSegDataset):
    """A benchmark set by its name.

    Every image in the folder and its sub-folders is an item, ordered by path; or those in the list `ann_file`. Pairs
    for change detection have the later image's folder as `data_prefix.img_path2`, and its path as `img_path2`.

    Args:
        benchmark: Name of the set in `SPECS`.
        metainfo: `classes`: some of the set's, in any order; pixels of the others are ignored.
        img_suffix, seg_map_suffix, reduce_zero_label: Instead of those of the set.
        label_map: Class index, or 255 to ignore, by stored label value, see `datasets.label_values`; others stay.
        **kwargs: As in mmseg's `BaseSegDataset`.

    Raises:
        UnknownNameError: There is no such set.
        OptionError: A class is none of the set's, or the label map is not admissible.
        DatasetError: The list of images is not there.
    """

    def __init__(
        self,
        benchmark: str,
        *,
        metainfo: dict[str, Any] | None = None,
        img_suffix: str | None = None,
        seg_map_suffix: str | None = None,
        reduce_zero_label: bool | None = None,
        label_map: LabelMap | None = None,
        **kwargs: Any,
    ) -> None:
        self.spec = spec = lookup(SPECS, benchmark, "benchmark set")
        self.value_map = parse_label_map(label_map, len(spec.classes)) if label_map else {}
        own = {"classes": spec.classes, "palette": [list(color) for color in spec.palette]}
        super().__init__(
            metainfo={**own, **(metainfo or {})},
            img_suffix=spec.image_suffix if img_suffix is None else img_suffix,
            seg_map_suffix=spec.label_suffix if seg_map_suffix is None else seg_map_suffix,
            reduce_zero_label=spec.reduce_zero_label if reduce_zero_label is None else reduce_zero_label,
            ignore_index=spec.ignore_index,
            **kwargs,
        )

    def get_label_map(self, new_classes: Sequence[str] | None = None) -> dict[int, int] | None:
        """New index of every class of the set, where a configuration takes some of them."""
        known = self.spec.classes
        if new_classes is None or tuple(new_classes) == known:
            return None
        if unknown := set(new_classes) - set(known):
            raise OptionError(f"{self.spec.name} has no classes {sorted(unknown)}; it has {', '.join(known)}")
        chosen = list(new_classes)
        return {old: chosen.index(name) if name in chosen else 255 for old, name in enumerate(known)}

    def load_data_list(self) -> list[dict[str, Any]]:
        """List images and labels."""
        if self.ann_file and not Path(self.ann_file).is_file():
            raise DatasetError(f"no list of images {self.ann_file}; run tools/prepare_data/prepare.py {self.spec.name}")
        infos: list[dict[str, Any]] = super().load_data_list()
        for info in infos:
            info["value_map"] = self.value_map
        if later := self.data_prefix.get("img_path2"):
            for info in infos:
                info["img_path2"] = str(Path(later) / Path(info["img_path"]).relative_to(self.data_prefix["img_path"]))
        return infos


@TRANSFORMS.register_module()
class LoadPicturePair(BaseTransform):
    """Reads the two images of a pair, equal in size, as `LoadPicture` reads one; gives `img` and `img2`.

    Args:
        **kwargs: As in `LoadPicture`.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.load = LoadPicture(**kwargs)

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Read the files `img_path` and `img_path2`.

        Raises:
            DatasetError: A file cannot be read, or the sizes differ.
        """
        later = self.load.transform({"img_path": results["img_path2"]})
        pair = self.load.transform(results)
        if later is None or pair is None:  # with ignore_empty, as in mmcv
            return None
        if pair["img"].shape != later["img"].shape:
            raise DatasetError(
                f"{results['img_path']}: {pair['img'].shape[:2]} pixels, and {results['img_path2']}: "
                f"{later['img'].shape[:2]}; expected equal sizes"
            )
        return {**pair, "img2": later["img"]}
