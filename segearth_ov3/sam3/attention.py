"""Multi-head attention with separate steps, so that calls can share a projection."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from . import ops
from .layers import Linear

_ALIGNMENT = 8  # of a row of a bias

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
        y = ops.linear(x.to(self.in_proj_weight.dtype), self.in_proj_weight, self.in_proj_bias, rows=rows)
        y = y.unflatten(-1, (count, self.heads, -1))  # (N, n, count, heads, D/heads)
        return y.permute(2, 0, 3, 1, 4).unbind(0)  # count x (N, heads, n, D/heads)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | ops.MapBias | None = None) -> Tensor:
        """Attend and project the result.

        Args:
            q: (N, heads, n, D/heads).
            k, v: (N, heads, m, D/heads).
            mask: Bias added to the scaled products, broadcasts to (N, heads, n, m); or True where a key may be read.

        Returns:
            (N, n, D).
        """
        return self.out_proj(ops.attention(q, k, v, mask))  # (N, n, D)

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


def padding_bias(padding: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the attention bias that hides padding.

    Args:
        padding: True = padding (P, T), bool; at least one entry per row is False.
        dtype: Of the queries.

    Returns:
        0 or negative infinity (P, 1, 1, T), for `Attention.attend`.
    """
    count, length = padding.shape
    aligned = -(-length // _ALIGNMENT) * _ALIGNMENT  # otherwise fused attention copies the bias at every call
    bias = torch.zeros(count, 1, 1, aligned, dtype=dtype, device=padding.device)[..., :length]
    return bias.masked_fill_(padding[:, None, None], -torch.inf)
