"""Building blocks shared by the parts of the network, and the rule that decides where half precision is used.

Precision rule, the same that automatic mixed precision gives the reference: a matrix product or convolution works in
the dtype of its weight and casts its input to it; normalisations work in, and return, the dtype of their gain, which
is float32 unless the whole model was cast; residual sums therefore stay float32. Storing the weights of `Linear`,
`Conv2d`, `ConvTranspose2d` and `Attention` in bfloat16 or float16 is all it takes to switch the compute dtype.
`torch.nn.Linear` is used on purpose where a product must stay in float32.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Linear(nn.Linear):
    """Linear layer that casts its input to the dtype of its weight."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., D_in) to (..., D_out) in the compute dtype."""
        return F.linear(input.to(self.weight.dtype), self.weight, self.bias)


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
        return super().forward(input.to(self.weight.dtype))


class Mlp(nn.Module):
    """Linear layers with ReLU between them.

    Args:
        sizes: Widths from input to output, for example (256, 256, 4).
        linear: Class of the layers; `torch.nn.Linear` keeps the products in float32.
    """

    def __init__(self, sizes: tuple[int, ...], linear: type[nn.Linear] = Linear) -> None:
        super().__init__()
        self.layers = nn.ModuleList(linear(*pair) for pair in itertools.pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., sizes[0]) to (..., sizes[-1])."""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


# first third of the fused weight and number of thirds
_ROWS = {"q": (0, 1), "k": (1, 1), "v": (2, 1), "qk": (0, 2), "kv": (1, 2), "qkv": (0, 3)}


class Attention(nn.Module):
    """Multi-head attention with separate steps, so that a projection can be shared between calls.

    Parameters are named as in `torch.nn.MultiheadAttention`: the rows of `in_proj_weight` are query, key, value.

    Args:
        dim: Width of queries, keys, values and output.
        heads: Number of heads; each takes a contiguous group of channels.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def project(self, x: Tensor, parts: str) -> tuple[Tensor, ...]:
        """Project one input to several of query, key and value with a single product.

        Args:
            x: (N, n, D).
            parts: "q", "k", "v", "qk", "kv" or "qkv".

        Returns:
            One (N, heads, n, D/heads) per letter.
        """
        first, count = _ROWS[parts]
        dim = x.shape[-1]
        rows = slice(first * dim, (first + count) * dim)
        y = F.linear(x.to(self.in_proj_weight.dtype), self.in_proj_weight[rows], self.in_proj_bias[rows])
        y = y.unflatten(-1, (count, self.heads, -1))  # (N, n, count, heads, D/heads)
        return y.permute(2, 0, 3, 1, 4).unbind(0)  # count x (N, heads, n, D/heads)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend and project the result.

        Args:
            q: (N, heads, n, D/heads).
            k, v: (N, heads, m, D/heads).
            mask: True where a key may be read, or a bias added to the scaled products; broadcasts to (N, heads, n, m).

        Returns:
            (N, n, D).
        """
        if mask is not None and mask.dtype != torch.bool:
            mask = mask.to(q.dtype)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.out_proj(y.transpose(1, 2).flatten(2))  # (N, n, D)

    @staticmethod
    def weights(q: Tensor, k: Tensor, bias: Tensor) -> Tensor:
        """The weights by which `attend` averages the values without ever holding them all.

        Args:
            q: (..., heads, n, D/heads).
            k: (..., heads, m, D/heads).
            bias: Added to the scaled products; broadcasts to (..., heads, n, m).

        Returns:
            (..., heads, n, m), float32 whatever the compute dtype; sums to 1 over m.
        """
        with torch.autocast(q.device.type, enabled=False):
            products = q.float() @ k.float().transpose(-2, -1)  # (..., heads, n, m)
            return (products / q.shape[-1] ** 0.5 + bias.float()).softmax(dim=-1)


def readable(padding: Tensor) -> Tensor:
    """Attention mask of keys that are not padding.

    Args:
        padding: True = padding (P, T), bool.

    Returns:
        True = may be read (P, 1, 1, T), for `Attention.attend`.
    """
    return ~padding[:, None, None, :]


def to_corners(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) from (cx, cy, w, h) to (x0, y0, x1, y1)."""
    cx, cy, width, height = boxes.unbind(-1)
    return torch.stack((cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2), dim=-1)


def to_tokens(feature_map: Tensor) -> Tensor:
    """(B, D, H, W) to (B, H*W, D), rows of the map first; a view where possible."""
    return feature_map.flatten(2).transpose(1, 2)


def to_map(tokens: Tensor, grid: int) -> Tensor:
    """(B, g*g, D) to (B, D, g, g); the inverse of `to_tokens`."""
    return tokens.transpose(1, 2).unflatten(2, (grid, grid))
