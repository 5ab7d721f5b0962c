"""Corrupted images in mmseg's pipelines."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ..datasets.corruptions import Corruption


@TRANSFORMS.register_module()
class CorruptPicture(BaseTransform):
    """Corrupts the image that was loaded, see `datasets.corruptions`; the label stays as it is.

    What is drawn depends on the names of the image and its folder ("val/a.png"), not on where the set lies, the batch
    or the process.

    Args:
        kind: Of corruption.
        severity: 1 to 5.

    Raises:
        UnknownNameError: There is no such kind.
        OptionError: Another severity.
    """

    def __init__(self, kind: str, severity: int) -> None:
        self.corruption = Corruption(kind, severity)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change `img` (H0, W0, 3) uint8, whose channels are blue, green, red as mmcv loads them."""
        name = "/".join(PurePath(results["img_path"]).parts[-2:])
        rgb = self.corruption.apply(results["img"][..., ::-1], name)
        results["img"] = np.ascontiguousarray(rgb[..., ::-1])
        return results
