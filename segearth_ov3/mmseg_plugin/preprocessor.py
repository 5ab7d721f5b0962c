"""From a batch of loaded images to RGB images for the segmentor."""

from __future__ import annotations

from typing import Any, Literal

import torch
from mmengine.model import BaseDataPreprocessor
from mmseg.registry import MODELS
from torch import Tensor

from ..errors import OptionError, ShapeError


@MODELS.register_module()
class SegEarthOV3DataPreprocessor(BaseDataPreprocessor):
    """Turns a batch of loaded images into a list of RGB images, and changes nothing else.

    Args:
        channel_order: Of the images the pipeline loads; mmcv's loaders give "bgr".

    Raises:
        OptionError: Unknown channel order.
    """

    def __init__(self, channel_order: Literal["bgr", "rgb"] = "bgr") -> None:
        super().__init__()
        if channel_order not in ("bgr", "rgb"):
            raise OptionError(f"expected channel_order 'bgr' or 'rgb', got {channel_order!r}")
        self.channel_order = channel_order

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Check and reorder the channels of every image.

        Args:
            data: `inputs`, a list of images (3, H0, W0) uint8 or a stack of them, and `data_samples`.
            training: Not used; there is no training.

        Returns:
            `inputs`, a list of RGB images (3, H0, W0) uint8, and `data_samples`.

        Raises:
            ShapeError: An image has not three channels.
            OptionError: An image is not uint8.
        """
        return {"inputs": [self.to_rgb(image) for image in data["inputs"]], "data_samples": data.get("data_samples")}

    def to_rgb(self, image: Tensor) -> Tensor:
        """Give one loaded image (3, H0, W0) its channels in the order red, green, blue."""
        if image.ndim != 3 or image.shape[0] != 3:
            raise ShapeError(f"expected loaded images (3, H0, W0), got {tuple(image.shape)}; load them as colour")
        if image.dtype != torch.uint8:
            raise OptionError(
                f"expected loaded images in uint8, got {image.dtype}; leave to_float32 and normalisation out of the "
                f"pipeline"
            )
        return image.flip(0) if self.channel_order == "bgr" else image
