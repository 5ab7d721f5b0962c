"""Images as users have them, brought to one form, with a remedy in one line for what cannot be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..errors import OptionError, ShapeError

ImageInput: TypeAlias = np.ndarray | Tensor | Image.Image

_GREY_OR_COLOUR = ("1", "L", "P", "RGB")  # PIL modes that become RGB without a loss


def as_chw(image: ImageInput) -> Tensor:
    """Check an image and return its pixels.

    Args:
        image: RGB (H0, W0, 3), uint8, an array or tensor, or a PIL image without transparency.

    Returns:
        (3, H0, W0), uint8.

    Raises:
        ShapeError: Not (H0, W0, 3), or without pixels.
        OptionError: Something else, or not 8 bits; the message says how to convert it.
    """
    if isinstance(image, Image.Image):
        image = _pil_pixels(image)
    if not isinstance(image, (np.ndarray, Tensor)):
        raise OptionError(f"expected the image as an array, tensor or PIL image, got {_described(image)}")
    shape = tuple(image.shape)
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ShapeError(f"expected an RGB image (H0, W0, 3), got {shape}{_shape_hint(shape)}")
    if image.dtype not in (np.uint8, torch.uint8):
        raise OptionError(
            f"expected an 8-bit image (uint8, 0 to 255), got {image.dtype}; scale it to 0 to 255, round and convert"
        )
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(np.array(image))  # a copy: the array may be read-only or run backwards
    return image.permute(2, 0, 1).contiguous()


def as_sequence(images: Any) -> Sequence[ImageInput]:
    """Return several images unchanged, or raise where one was passed in their place.

    Raises:
        ShapeError: One image.
        OptionError: No sequence.
    """
    is_array = isinstance(images, (np.ndarray, Tensor))
    if isinstance(images, Image.Image) or (is_array and images.ndim == 3 and images.shape[-1] == 3):
        raise ShapeError("expected several images, got one; pass [image]")
    if isinstance(images, (str, os.PathLike)) or not hasattr(images, "__iter__"):
        raise OptionError(f"expected a list of images, got {_described(images)}")
    return list(images)


def _pil_pixels(image: Image.Image) -> np.ndarray:
    """Pixels (H0, W0, 3), uint8, of a PIL image."""
    if image.mode in _GREY_OR_COLOUR and not image.has_transparency_data:
        return np.asarray(image.convert("RGB"))
    if image.mode.startswith(("I", "F")):
        remedy = "scale it to 0 to 255 as an array, round and convert to uint8"
    else:
        remedy = "convert it: image.convert('RGB')"
    raise OptionError(f"expected a PIL image of mode RGB, got {image.mode}; {remedy}")


def _described(value: object) -> str:
    """What was passed in place of an image, and what to do about it."""
    if isinstance(value, (str, os.PathLike)):
        return f"the path {str(value)!r}; open it: PIL.Image.open(path), or label a GeoTIFF by segment_scene(path, ...)"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__}; pass numpy.asarray(image, dtype='uint8')"
    return f"{type(value).__name__}; pass numpy.asarray(image)"


def _shape_hint(shape: tuple[int, ...]) -> str:
    """What to do about an image of the wrong shape."""
    if 0 in shape:
        return "; the image has no pixels"
    if len(shape) == 3 and shape[0] in (3, 4):
        bands = "[:3]" if shape[0] == 4 else ""
        return f"; channels come last: image{bands}.transpose(1, 2, 0), or image{bands}.permute(1, 2, 0) for a tensor"
    if len(shape) == 3 and shape[2] == 4:
        return "; leave the fourth band out: image[..., :3]"
    if len(shape) == 2:
        return "; repeat the one band three times: numpy.stack([image] * 3, axis=-1)"
    if len(shape) == 3 and shape[2] == 1:
        return "; repeat the one band three times: numpy.repeat(image, 3, axis=-1)"
    if len(shape) == 4:
        return "; pass one image at a time, or several to class_scores"
    return "; choose three bands: image[..., [R, G, B]]"
