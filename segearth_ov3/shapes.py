"""The symbols used in every docstring and shape comment of this package.

    B     images in a batch               Q     object queries of the decoder (200)
    P     prompts (text, one per row)     L     text tokens per prompt (32)
    C     classes of a vocabulary         T     prompt tokens: text and geometry (33 without boxes)
    D     channels                        K     kept object queries, over all prompts
    g     side of the token grid (72)     H W   height and width of a feature map
    N     tiles, or any leading axis      H0 W0 height and width of the original image, in pixels

Arrays are (row, col); sizes are (height, width); boxes are (cx, cy, w, h) in [0, 1] unless a name says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor


def check_shape(name: str, tensor: Tensor, pattern: str, hint: str = "") -> dict[str, int]:
    """Compare a tensor with a shape pattern and return the sizes of its named axes.

    Args:
        name: What the tensor is called in the message.
        tensor: The tensor to check.
        pattern: Axes separated by blanks: a number must match exactly, a name matches any size but
            the same size wherever it occurs ("B 3 R R"), "_" matches any size.
        hint: What the caller should do instead; added to the message.

    Returns:
        Size of every named axis.

    Raises:
        ShapeError: The number of axes or a size differs.
    """
    axes = pattern.split()
    sizes: dict[str, int] = {}
    fits = tensor.ndim == len(axes)
    for axis, size in zip(axes, tensor.shape):
        if axis == "_":
            continue
        expected = int(axis) if axis.isdigit() else sizes.setdefault(axis, size)
        fits = fits and expected == size
    if not fits:
        message = f"expected {name} ({', '.join(axes)}), got {tuple(tensor.shape)}"
        raise ShapeError(f"{message}; {hint}" if hint else message)
    return sizes
