"""`LabelledImages`: images and labels of your own as an mmseg dataset.

dataset=dict(type='LabelledImages', data_root='/data/town', images='images', labels='labels',
             classes=['background', 'building'], label_map={255: 1})
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..datasets.label_values import LabelMap, parse_label_map
from ..datasets.pairs import common_folder, find_pairs
from ..geo.palette import class_colors


@DATASETS.register_module()
class LabelledImages(BaseSegDataset):
    """Images and labels in folders, patterns or a CSV file, see `datasets.pairs`.

    Args:
        images: Folder, pattern or file; or a CSV file with the columns image and label.
        labels: Folder, pattern or file; None with a CSV file.
        classes: Names of the classes, in the order of the labels.
        palette: Colour of each class in pictures; None chooses.
        label_map: Class index, or 255 to ignore, by stored value; other values stay. Also texts, see
            `datasets.label_values`.
        data_root: Folder that relative paths start from; None means the working directory.
        **kwargs: As in mmseg's `BaseSegDataset`.

    Raises:
        DatasetError: Images and labels do not pair up.
        OptionError: The label map is not admissible.
    """

    def __init__(
        self,
        images: str,
        labels: str | None = None,
        *,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]] | None = None,
        label_map: LabelMap | None = None,
        data_root: str | None = None,
        **kwargs: Any,
    ) -> None:
        root = Path(data_root or "")
        self.pairs = find_pairs(root / images, None if labels is None else root / labels)
        self.value_map = parse_label_map(label_map, len(classes)) if label_map else {}
        colors = class_colors(classes) if palette is None else palette
        super().__init__(
            metainfo={"classes": tuple(classes), "palette": [list(color) for color in colors]},
            data_prefix={"img_path": str(common_folder(pair.image for pair in self.pairs))},
            **kwargs,
        )

    def load_data_list(self) -> list[dict[str, Any]]:
        """List images and labels."""
        return [
            {
                "img_path": str(image.absolute()),
                "seg_map_path": str(label.absolute()),
                "value_map": self.value_map,
                "label_map": None,
                "reduce_zero_label": False,
                "seg_fields": [],
            }
            for image, label in self.pairs
        ]
