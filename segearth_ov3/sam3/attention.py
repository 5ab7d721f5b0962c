"""Multi-head attention.

On a CPU, PyTorch's fused attention computes half precision no faster than float32, and wants a bias in full. There,
attention goes through compiled code where that is to be had (`flash_attention`), else block by block: as many queries
at a time as have their scores fit into the processor's cache.

In blocks, a softmax first subtracts the largest score, so that nothing overflows. Where lengths of queries and keys say
that nothing can (|q . k| is at most |q| |k|), the scores go into a power of two as they are, and the sum is divided out
of the few results instead of the many weights.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .flash_attention import flash_attention, handles
from .layers import Linear
from .products import PackedWeight, is_direct, linear

_BLOCK_BYTES = 3 * 2**19  # scores of one block, per thread: measured best between half and all of a 1 to 2 MiB cache
_EXPONENT_LIMIT = 100.0  # 2**100, summed over a million keys, is far from the largest float32 and bfloat16


class MapBias(NamedTuple):
    """Bias to the tokens of a map, as the sum of one term for the token's row and one for its column.

    Attributes:
        by_row, by_col: (N or 1, heads, n, g).
    """

    by_row: Tensor
    by_col: Tensor

    def dense(self) -> Tensor:
        """(N or 1, heads, n, g*g)."""
        return (self.by_row.unsqueeze(-1) + self.by_col.unsqueeze(-2)).flatten(-2)

    def block(self, sample: int, heads: slice, queries: slice, out: Tensor) -> None:
        """Write the bias of some heads and queries of one sample into (heads, queries, g*g)."""
        sample = min(sample, len(self.by_row) - 1)
        by_row, by_col = (x[sample, heads, queries].to(out.dtype) for x in self)
        torch.add(by_row.unsqueeze(-1), by_col.unsqueeze(-2), out=out.unflatten(-1, (-1, by_col.shape[-1])))


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | MapBias | None = None) -> Tensor:
    """Softmax attention of all heads, joined.

    Args:
        q: (N, heads, n, D/heads).
        k, v: (N, heads, m, D/heads).
        mask: As for `Attention.attend`.

    Returns:
        (N, n, D).
    """
    if not isinstance(mask, Tensor) and is_direct(q, k, v, *(mask or ())):
        if handles(q):
            return flash_attention(q, k, v, mask)
        if q.dtype != torch.float32 or mask is not None:
            return _blockwise(q, k, v, mask)
    if isinstance(mask, MapBias):
        mask = mask.dense().to(q.dtype)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return y.transpose(1, 2).flatten(2)  # (N, n, D)


def _blockwise(q: Tensor, k: Tensor, v: Tensor, bias: MapBias | None) -> Tensor:
    """`attention` without gradient, one block of scores at a time."""
    (samples, heads, n, width), m = q.shape, k.shape[2]
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    wide = q.dtype != torch.float16  # whose largest number is 2**16
    bounded = bias is None and wide and _largest_exponent(q, k) < _EXPONENT_LIMIT
    scale = width**-0.5 * (math.log2(math.e) if bounded else 1)
    block = _BLOCK_BYTES * torch.get_num_threads() // q.element_size()  # scores
    rows = max(1, min(n, block // m))
    group = max(1, min(heads, block // (rows * m)))
    buffer = q.new_empty(group * rows * m)
    read, sums = torch.empty_like(q), q.new_empty(samples, heads, n, 1)
    for sample in range(samples):
        for some_heads in _slices(heads, group):
            keys, values = k[sample, some_heads].mT, v[sample, some_heads]  # (group, D/heads, m), (group, m, D/heads)
            for some in _slices(n, rows):
                queries, place = q[sample, some_heads, some], read[sample, some_heads, some]  # (group, rows, D/heads)
                scores = buffer[: len(queries) * queries.shape[1] * m].view(len(queries), -1, m)
                if bias is not None:
                    bias.block(sample, some_heads, some, scores)
                beta = 0 if bias is None else 1
                torch.baddbmm(scores, queries, keys, beta=beta, alpha=scale, out=scores)
                if bounded:
                    torch.exp2(scores, out=scores)
                    torch.sum(scores, -1, keepdim=True, out=sums[sample, some_heads, some])
                else:
                    torch.softmax(scores, -1, out=scores)
                torch.bmm(scores, values, out=place)
    read = read.transpose(1, 2)  # (N, n, heads, D/heads)
    return (torch.div(read, sums.transpose(1, 2)) if bounded else read).flatten(2)


def _largest_exponent(q: Tensor, k: Tensor) -> float:
    """Bound of the scaled scores as exponents of two."""
    longest = (torch.linalg.vector_norm(x, dim=-1, dtype=torch.float32).amax().item() for x in (q, k))
    return math.prod(longest) * q.shape[-1] ** -0.5 * math.log2(math.e)


def _slices(length: int, size: int) -> list[slice]:
    """Consecutive slices of at most `size`."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


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
        self._packed = {parts: PackedWeight() for parts in _ROWS}
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
        weight, bias = self.in_proj_weight[rows], self.in_proj_bias[rows]
        y = linear(x.to(weight.dtype), weight, bias, packed=self._packed[parts])
        y = y.unflatten(-1, (count, self.heads, -1))  # (N, n, count, heads, D/heads)
        return y.permute(2, 0, 3, 1, 4).unbind(0)  # count x (N, heads, n, D/heads)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | MapBias | None = None) -> Tensor:
        """Attend and project the result.

        Args:
            q: (N, heads, n, D/heads).
            k, v: (N, heads, m, D/heads).
            mask: True where a key may be read, broadcasts to (N, heads, n, m); or a bias added to the scaled products.

        Returns:
            (N, n, D).
        """
        return self.out_proj(attention(q, k, v, mask))  # (N, n, D)

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
