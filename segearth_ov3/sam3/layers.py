"""Building blocks shared by the parts of the network, and the rule that decides where half precision is used.

Precision rule, the same that automatic mixed precision gives the reference: a matrix product or convolution works in
the dtype of its weight and casts its input to it; normalisations work in, and return, the dtype of their gain, which
is float32 unless the whole model was cast; residual sums therefore stay float32. Storing the weights of `Linear`,
`Conv2d`, `ConvTranspose2d` and `Attention` in bfloat16 or float16 is all it takes to switch the compute dtype.
`SingleLinear` is used where a product must stay in float32.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from . import ops
from .cpu.onednn import Activation


class SingleLinear(nn.Linear):
    """Linear layer that stays in float32 whatever the compute dtype."""

    def forward(self, input: Tensor, activation: Activation = "none") -> Tensor:
        """Map (..., D_in) to (..., D_out); an activation may be applied to the result."""
        return ops.linear(input, self.weight, self.bias, activation)


class Linear(SingleLinear):
    """Linear layer that casts its input to the dtype of its weight, the compute dtype."""

    def forward(self, input: Tensor, activation: Activation = "none") -> Tensor:
        """Map (..., D_in) to (..., D_out) in the compute dtype; an activation may be applied to the result."""
        return super().forward(input.to(self.weight.dtype), activation)


class Conv2d(nn.Conv2d):
    """Convolution that casts its input to the dtype of its weight."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (B, D_in, H, W) to (B, D_out, H', W') in the compute dtype."""
        return super().forward(input.to(self.weight.dtype))


class ConvTranspose2d(nn.ConvTranspose2d):
    """Transposed convolution that casts its input to the dtype of its weight."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map (B, D_in, H, W) to (B, D_out, H', W') in the compute dtype."""
        return super().forward(input.to(self.weight.dtype), output_size)


class LayerNorm(nn.LayerNorm):
    """LayerNorm in the dtype of its gain (float32), eps 1e-5 as everywhere in SAM 3."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise the last axis of (..., D)."""
        return super().forward(input.to(self.weight.dtype))


class GroupNorm(nn.GroupNorm):
    """GroupNorm in the dtype of its gain (float32), eps 1e-5."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, D, H, W) over channel groups and space."""
        return ops.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class Mlp(nn.Module):
    """Linear layers with ReLU between them.

    Args:
        sizes: Widths from input to output, for example (256, 256, 4).
        linear: Class of the layers; `SingleLinear` keeps the products in float32.
    """

    def __init__(self, sizes: tuple[int, ...], linear: type[SingleLinear] = Linear) -> None:
        super().__init__()
        self.layers = nn.ModuleList(linear(*pair) for pair in itertools.pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., sizes[0]) to (..., sizes[-1])."""
        for layer in self.layers[:-1]:
            x = layer(x, "relu")
        return self.layers[-1](x)


def to_corners(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) from (cx, cy, w, h) to (x0, y0, x1, y1)."""
    cx, cy, width, height = boxes.unbind(-1)
    return torch.stack((cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2), dim=-1)


def to_tokens(feature_map: Tensor) -> Tensor:
    """(B, D, H, W) to (B, H*W, D), rows of the map first; a view where possible."""
    return feature_map.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, grid: int) -> Tensor:
    """(B, g*g, D) to (B, D, g, g), channels last in memory if tokens are contiguous; the inverse of `to_tokens`."""
    # in this order the stride of a batch of one stays what convolutions know channels last by
    return tokens.unflatten(1, (grid, grid)).permute(0, 3, 1, 2)
