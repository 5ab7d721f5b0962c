"""Operators of the network that have more than one form: the plain one, and a faster one of the same result.

The network calls the functions of this module and never asks what it runs on. Each function has a plain form in
PyTorch's own operators, which is the reference. On a CPU `sam3.cpu` replaces it where nothing observes single
operators (no gradient, autocast or tracing); results differ by rounding only.

`plain_operators()` and the environment variable SEGEARTH_OV3_PLAIN=1 switch to the plain forms everywhere.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import cpu
from .cpu import attention as cpu_attention
from .cpu import difference_conv, onednn
from .cpu.onednn import Activation
from .upsampled_conv import conv3x3_by_phases

CHUNK_TOKENS = 1296  # their hidden layer stays in a processor's cache

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}
_plain = contextvars.ContextVar("plain operators", default=os.environ.get("SEGEARTH_OV3_PLAIN", "0") not in ("", "0"))


class MapBias(NamedTuple):
    """Attention bias to the tokens of a map, as the sum of one term for the token's row and one for its column.

    Attributes:
        by_row, by_col: (N or 1, heads, n, g).
    """

    by_row: Tensor
    by_col: Tensor

    def dense(self, dtype: torch.dtype) -> Tensor:
        """Return the sum of both terms (N or 1, heads, n, g*g), contiguous: fused attention takes no other layout."""
        by_row, by_col = (term.to(dtype).contiguous() for term in self)
        return (by_row.unsqueeze(-1) + by_col.unsqueeze(-2)).flatten(-2)


@contextlib.contextmanager
def plain_operators() -> Iterator[None]:
    """Use the plain forms of all operators while the block runs, in this thread."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation = "none", rows: slice | None = None
) -> Tensor:
    """Apply a linear layer and an activation.

    Args:
        x: (..., D_in), in the weight's dtype.
        weight: (D_out, D_in), the parameter itself, because a CPU keeps another layout of it.
        bias: (D_out,).
        activation: Function of the result; GELU is the exact one.
        rows: Rows of the weight and entries of the bias to use; None uses all.

    Returns:
        (..., D_out), or as many channels as there are rows.
    """
    if _use_cpu(x, weight):
        return onednn.linear(x, weight, bias, activation, rows)
    if rows is not None:
        weight, bias = weight[rows], bias if bias is None else bias[rows]
    if activation == "relu" and bias is not None and _is_eager_cuda(x):
        return torch._addmm_activation(bias, x.flatten(0, -2), weight.T).unflatten(0, x.shape[:-1])
    return _ACTIVATIONS[activation](F.linear(x, weight, bias))


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | MapBias | None = None) -> Tensor:
    """Compute softmax attention of all heads and join the heads.

    Args:
        q: (N, heads, n, D/heads).
        k, v: (N, heads, m, D/heads).
        mask: True where a key may be read, broadcasts to (N, heads, n, m); or a bias added to the scaled products.

    Returns:
        (N, n, D).
    """
    if not isinstance(mask, Tensor) and _use_cpu(q, k, v, *(mask or ())):
        faster = cpu_attention.attention(q, k, v, mask)
        if faster is not None:
            return faster
    if isinstance(mask, MapBias):
        mask = mask.dense(q.dtype)
    y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    return y.transpose(1, 2).flatten(2)  # (N, n, D)


def group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Normalise (B, D, H, W) over channel groups and space, in the dtype of the gain.

    On a CPU and in half precision on CUDA the result is rounded to the input's dtype, which the next product would do
    anyway. On CUDA the layout of the input is kept, where PyTorch's own form would copy maps with channels last.
    """
    if _is_eager_cuda(x):
        return channels_last_group_norm(x, groups, weight, bias, eps)
    if not _use_cpu(x):
        x = x.to(weight.dtype)
    return F.group_norm(x, groups, weight, bias, eps)


def channels_last_group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Compute `group_norm` in the dtype and layout of the input, with statistics in float32."""
    grouped = x.unflatten(1, (groups, -1))  # (B, groups, D/groups, H, W)
    if x.dtype == torch.float32:
        var, mean = torch.var_mean(grouped, (2, 3, 4), correction=0)  # (B, groups)
    else:
        mean = grouped.mean((2, 3, 4), dtype=torch.float32)
        square = torch.linalg.vector_norm(grouped, dim=(2, 3, 4), dtype=torch.float32).square() / grouped[0, 0].numel()
        var = (square - mean.square()).clamp(min=0)
    scale = weight.unflatten(0, (groups, -1)) * torch.rsqrt(var + eps).unsqueeze(-1)  # (B, groups, D/groups)
    shift = bias.unflatten(0, (groups, -1)) - mean.unsqueeze(-1) * scale
    scale, shift = (term.flatten(1)[..., None, None] for term in (scale, shift))  # (B, D, 1, 1)
    return torch.addcmul(shift, x, scale, out=torch.empty_like(x))


def conv3x3_of_upsampled(x: Tensor, kernel: Tensor) -> Tensor:
    """Return `conv2d(nearest_2x(x), kernel, padding=1)`, without upsampling first.

    Args:
        x: (N, D_in, H, W).
        kernel: (D_out, D_in, 3, 3).

    Returns:
        (N, D_out, 2H, 2W), channels last in memory if `x` is.
    """
    x = x.to(kernel.dtype)
    if not torch.compiler.is_compiling() and _plain.get():
        return F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), kernel, padding=1)
    if kernel.dtype == torch.float32 and _use_cpu(x, kernel):
        return difference_conv.conv3x3_by_differences(x, kernel)
    return conv3x3_by_phases(x, kernel)


def in_chunks(function: Callable[[Tensor], Tensor], x: Tensor, dim: int, size: int = CHUNK_TOKENS) -> Tensor:
    """Apply a function that treats the entries along one axis independently, on a CPU to chunks that fit its cache.

    Args:
        function: Keeps the number of entries along `dim`.
        x: Any tensor.
        dim: The axis.
        size: Entries per chunk.

    Returns:
        `function(x)`.
    """
    if x.shape[dim] <= size or not _may_split(x):
        return function(x)
    return torch.cat([function(chunk) for chunk in x.split(size, dim)], dim)


def row_groups(tokens: Tensor, rows: int) -> list[slice]:
    """Decide which rows to compute together: all, or on a CPU one at a time if the tokens of each fill its cache.

    Args:
        tokens: (1 or rows, n, D).
        rows: Number of rows.

    Returns:
        Consecutive slices that cover all rows.
    """
    if tokens.shape[1] < CHUNK_TOKENS or not _use_cpu(tokens):
        return [slice(0, rows)]
    return [slice(row, row + 1) for row in range(rows)]


def _use_cpu(*tensors: Tensor) -> bool:
    """Return whether the forms in `sam3.cpu` apply. While tracing, the answer does not read the context variable."""
    return cpu.is_usable(*tensors) and not _plain.get()


def _is_eager_cuda(x: Tensor) -> bool:
    """Return whether a tensor lies on CUDA, and nothing observes single operators."""
    if not x.is_cuda or cpu.is_traced(x) or torch.is_grad_enabled() or torch.is_autocast_enabled("cuda"):
        return False
    return not _plain.get()


def _may_split(x: Tensor) -> bool:
    """Return whether a tensor lies on a CPU and nothing records operations on it; gradients do not matter."""
    return x.device.type == "cpu" and not cpu.is_traced(x) and not _plain.get()
