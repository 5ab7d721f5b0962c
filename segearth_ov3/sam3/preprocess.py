"""From an 8-bit image to network input, bit by bit as the reference does it.

The image is resized to a square without regard to its aspect ratio, bilinear with antialiasing, from 8 bit to 8 bit.
On a CPU this is torchvision's fixed-point kernel; on a GPU torchvision resizes in float and rounds, which differs by
at most one level, as the reference does between devices.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

from ..errors import ShapeError
from ..shapes import check_shape


def preprocess(image: Tensor, size: int = 1008) -> Tensor:
    """Resize and normalise one image.

    Args:
        image: RGB (3, H0, W0), uint8.
        size: Side of the network input R.

    Returns:
        (1, 3, R, R), float32 in [-1, 1], on the image's device.

    Raises:
        ShapeError: Not (3, H0, W0), not uint8, or without pixels.
    """
    check_shape("image", image, "3 H0 W0", hint="RGB, channels first")
    if image.dtype != torch.uint8 or image.numel() == 0:
        raise ShapeError(f"expected a non-empty uint8 image, got {image.dtype} {tuple(image.shape)}")
    resized = tvf.resize(image, [size, size], interpolation=InterpolationMode.BILINEAR, antialias=True)
    scaled = tvf.to_dtype(resized, torch.float32, scale=True)  # times 1/255, which rounds otherwise than by 255
    return scaled.sub_(0.5).div_(0.5)[None]
