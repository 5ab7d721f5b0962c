"""Load pictures and labels of any depth in mmseg's pipelines, with errors that name the file.

8-bit pictures have the pixels that mmcv's loader gives; other depths become 8 bits as scenes do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmseg.registry import TRANSFORMS
from numpy.typing import NDArray

from ..datasets.reading import decoder_message, read_header, read_labels, read_picture, without_pixel_limit
from ..errors import DatasetError
from ..geo.reader import ReadOptions
from ..metrics.confusion import IGNORE_INDEX

_SHOWN = 10


@TRANSFORMS.register_module()
class LoadPicture(LoadImageFromFile):
    """Load a picture as mmcv's `LoadImageFromFile` does, or as a scene where it has more than 8 bits.

    Args:
        reading: Fields of `geo.reader.ReadOptions`, such as dict(bands=(4, 3, 2)); every picture is then read as a
            scene. None reads only pictures so that Pillow cannot decode completely.
        **kwargs: As in mmcv's `LoadImageFromFile`.

    Raises:
        OptionError: A reading option is not admissible.
    """

    def __init__(self, *, reading: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in (reading or {}).items()
        }
        self.reading = ReadOptions(**fields) if fields else None

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Read the file `img_path` as (H0, W0, 3) uint8; the channels are blue, green, red.

        Raises:
            DatasetError: The file cannot be read, is too large, or its bands are ambiguous.
        """
        path = results["img_path"]
        if self.reading is None and read_header(path).for_pillow:
            try:
                with without_pixel_limit():
                    return super().transform(results)
            except (OSError, SyntaxError) as error:
                raise DatasetError(f"cannot read {path}: {decoder_message(error)}; get the file again") from error
        image = np.ascontiguousarray(read_picture(path, self.reading)[..., ::-1])
        return {**results, "img": image, "img_shape": image.shape[:2], "ori_shape": image.shape[:2]}


@TRANSFORMS.register_module()
class LoadLabels(BaseTransform):
    """Load a label of class indices, of any integer type, as `gt_seg_map` (H0, W0) uint8.

    Of the results it uses `value_map` (stored value to class index), `reduce_zero_label` and `label_map` (class index
    to class index); a value in `value_map` is not reduced.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the file `seg_map_path`.

        Raises:
            DatasetError: The file cannot be read, is too large, holds colours, or values that are no class.
        """
        path = results["seg_map_path"]
        labels = class_indices(
            read_labels(path), path, results.get("value_map"), reduce_zero=bool(results.get("reduce_zero_label"))
        )
        subset = np.arange(IGNORE_INDEX + 1, dtype=np.uint8)
        for old, new in (results.get("label_map") or {}).items():
            subset[old] = new
        results["gt_seg_map"] = subset[labels]
        results.setdefault("seg_fields", []).append("gt_seg_map")
        return results


def class_indices(
    stored: NDArray[np.integer], path: str, value_map: Mapping[int, int] | None = None, *, reduce_zero: bool = False
) -> NDArray[np.uint8]:
    """Turn stored label values into class indices.

    Args:
        stored: Values of any integer type (H0, W0).
        path: The file, for messages.
        value_map: Class index, or 255 to ignore, of stored values; other values stay.
        reduce_zero: Whether stored values are one more than the class index and 0 is ignored.

    Returns:
        Class indices (H0, W0), 255 where ignored.

    Raises:
        DatasetError: A value is neither mapped nor within 0 to 255.
    """
    is_byte = stored.dtype == np.uint8
    values = np.arange(IGNORE_INDEX + 1) if is_byte else np.unique(stored)
    mapped = values.astype(np.int64)
    if reduce_zero:
        mapped = np.where((values == 0) | (values == IGNORE_INDEX), IGNORE_INDEX, mapped - 1)
    known = (values >= 0) & (values <= IGNORE_INDEX)
    for old, new in (value_map or {}).items():
        mapped[values == old], known[values == old] = new, True
    if not known.all():
        raise DatasetError(
            f"{path}: values {values[~known][:_SHOWN].tolist()} are no class; expected class indices from 0, or "
            f"{IGNORE_INDEX} where unknown; map other values by label_map (VALUE:INDEX or VALUE:ignore)"
        )
    return mapped.astype(np.uint8)[stored if is_byte else np.searchsorted(values, stored)]
