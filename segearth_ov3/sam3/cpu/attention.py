"""Attention on a CPU: by compiled code where the installation has it, otherwise in blocks.

PyTorch's fused attention on a CPU computes half precision no faster than float32, and needs a dense bias. In blocks, as
many queries at a time are processed as have their scores fit into the processor's cache.

A softmax first subtracts the largest score, so that nothing overflows. Where the lengths of queries and keys prove that
nothing can overflow (|q . k| is at most |q| |k|), the scores go directly into a power of two, and the sum divides the
few results instead of the many weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .flash_attention import flash_attention, handles

_BLOCK_BYTES = 3 * 2**19  # scores of one block, per thread: measured best between half and all of a 1 to 2 MiB cache
_EXPONENT_LIMIT = 100.0  # 2**100, summed over a million keys, is far from the largest float32 and bfloat16

# terms of a bias to the tokens of a map by row and by column (N or 1, heads, n, g), as in `ops.MapBias`
Bias = tuple[Tensor, Tensor]


def attention(q: Tensor, k: Tensor, v: Tensor, bias: Bias | None = None) -> Tensor | None:
    """Return `ops.attention` of the same arguments, or None where PyTorch's own form is as fast."""
    if handles(q):
        return flash_attention(q, k, v, bias)
    if q.dtype != torch.float32 or bias is not None:
        return blockwise_attention(q, k, v, bias)
    return None


def blockwise_attention(q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> Tensor:
    """Compute attention without gradients, one block of scores at a time."""
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
                    _write_bias(bias, sample, some_heads, some, scores)
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


def _write_bias(bias: Bias, sample: int, heads: slice, queries: slice, out: Tensor) -> None:
    """Write the bias of some heads and queries of one sample into (heads, queries, g*g)."""
    sample = min(sample, len(bias[0]) - 1)
    by_row, by_col = (term[sample, heads, queries].to(out.dtype) for term in bias)
    torch.add(by_row.unsqueeze(-1), by_col.unsqueeze(-2), out=out.unflatten(-1, (-1, by_col.shape[-1])))


def _largest_exponent(q: Tensor, k: Tensor) -> float:
    """Return a bound of the scaled scores as exponents of two."""
    longest = (torch.linalg.vector_norm(x, dim=-1, dtype=torch.float32).amax().item() for x in (q, k))
    return math.prod(longest) * q.shape[-1] ** -0.5 * math.log2(math.e)


def _slices(length: int, size: int) -> list[slice]:
    """Return consecutive slices of at most `size`."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]
