"""Linear layers on a CPU: one oneDNN call for product, bias and activation, with weights in oneDNN's own layout.

PyTorch hands float32 products on a CPU to BLAS, and rearranges half-precision weights at every call. Calling oneDNN
directly is 10 to 15 % faster in either precision on the processors measured, and applies the activation at no cost.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

Activation = Literal["none", "relu", "gelu"]

_HALF = (torch.bfloat16, torch.float16)


class _Packed(NamedTuple):
    """A weight in oneDNN's layout, and the state of the weight it was made from."""

    state: tuple[int, int, torch.dtype]
    weight: Tensor


# by parameter, then by rows; an entry disappears with its parameter
_packed: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation, rows: slice | None = None) -> Tensor:
    """Apply a linear layer and an activation; arguments as of `ops.linear`."""
    algorithm = "none" if activation == "gelu" else ""
    if weight.dtype in _HALF:
        used = pack(weight, rows)
    else:
        used = weight if rows is None else weight[rows]
    if bias is not None and rows is not None:
        bias = bias[rows]
    return torch.ops.mkldnn._linear_pointwise(x, used, bias, activation, [], algorithm)


def pack(weight: Tensor, rows: slice | None = None) -> Tensor:
    """Return a half-precision weight in oneDNN's layout, packed at first use and after every change.

    The packed form takes as much memory as the weight, and lives as long as the weight.

    Args:
        weight: (D_out, D_in), the parameter itself, not a view of it.
        rows: Rows of the weight to use; None uses all.
    """
    version = 0 if weight.is_inference() else weight._version
    state = (weight.data_ptr(), version, weight.dtype)
    forms = _packed.setdefault(weight, {})
    key = None if rows is None else (rows.start, rows.stop)
    kept = forms.get(key)
    if kept is None or kept.state != state:
        part = (weight if rows is None else weight[rows]).detach()
        kept = forms[key] = _Packed(state, torch.ops.mkldnn._reorder_linear_weight(part))
    return kept.weight
