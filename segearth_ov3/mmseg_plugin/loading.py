"""mmseg's loading of images and labels, with errors that name the file.

Decoders say what is wrong ("image file is truncated") but not where, which is little help among thousands of files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS

from ..errors import DatasetError


@TRANSFORMS.register_module()
class LoadPicture(LoadImageFromFile):
    """mmcv's `LoadImageFromFile`; a file that cannot be read raises DatasetError with its name."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Read the file `img_path`."""
        with _naming(results["img_path"]):
            return super().transform(results)


@TRANSFORMS.register_module()
class LoadLabels(LoadAnnotations):
    """mmseg's `LoadAnnotations`; a file that cannot be read raises DatasetError with its name."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the file `seg_map_path`.

        Raises:
            DatasetError: The file cannot be read, or holds colours instead of class indices.
        """
        path = results["seg_map_path"]
        with _naming(path):
            results = super().transform(results)
        if results["gt_seg_map"].ndim != 2:
            raise DatasetError(
                f"{path}: expected one channel of class indices, got {results['gt_seg_map'].shape}; convert the "
                f"labels by tools/prepare_data/prepare.py"
            )
        return results


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Say which file an error of reading is about."""
    try:
        yield
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror or error}; get the file again") from error
