"""Linear layers on a CPU: one oneDNN call for product, bias and activation, with weights in oneDNN's own layout.

PyTorch hands float32 products of a CPU to BLAS, and half-precision weights are rearranged at every call. Where nothing
else watches a product (no gradient, no autocast, no tracing), oneDNN is called directly, which on the processors
measured is 10 to 15 % faster in either precision and takes the activation along for nothing. Everywhere else, and on
every other device, the same product is PyTorch's own; results differ by rounding only.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

PIECE = 1296  # tokens whose hidden layer stays in a processor's cache

Activation = Literal["none", "relu", "gelu"]

_PLAIN: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}
_HALF = (torch.bfloat16, torch.float16)


class PackedWeight:
    """A half-precision weight in the layout that suits the processor, made at first use and after every change.

    It takes as much memory again as the weight. Copies and pickles of a module come without it.
    """

    def __init__(self) -> None:
        self._state: tuple[int, int, torch.dtype] | None = None
        self._packed: Tensor | None = None

    def of(self, weight: Tensor) -> Tensor:
        """The packed form of (D_out, D_in), which must always be the same weight or rows of it."""
        version = 0 if weight.is_inference() else weight._version
        state = (weight.data_ptr(), version, weight.dtype)
        if self._packed is None or self._state != state:
            self._packed, self._state = torch.ops.mkldnn._reorder_linear_weight(weight.detach()), state
        return self._packed

    def __reduce__(self) -> tuple[type[PackedWeight], tuple[()]]:
        return PackedWeight, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedWeight:
        return PackedWeight()


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation = "none", packed: PackedWeight | None = None
) -> Tensor:
    """Linear layer and activation.

    Args:
        x: (..., D_in), in the weight's dtype.
        weight: (D_out, D_in).
        bias: (D_out,).
        activation: What is applied to the result; GELU is the exact one.
        packed: Keeps the packed form of this weight; without it half-precision weights are used as they are.

    Returns:
        (..., D_out).
    """
    if not is_direct(x, weight):
        return _PLAIN[activation](F.linear(x, weight, bias))
    if packed is not None and weight.dtype in _HALF:
        weight = packed.of(weight)
    algorithm = "none" if activation == "gelu" else ""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], algorithm)


def is_direct(*factors: Tensor) -> bool:
    """Whether a product may bypass PyTorch's own operators: on a CPU that oneDNN knows, and nothing watches it."""
    if _is_traced(*factors) or any(x.device.type != "cpu" or x.numel() == 0 for x in factors):
        return False
    if torch.is_autocast_enabled("cpu") or (torch.is_grad_enabled() and any(x.requires_grad for x in factors)):
        return False
    return _supports(factors[0].dtype)


def _is_traced(*tensors: Tensor) -> bool:
    """Whether what is done is recorded, or done to something else than numbers in memory."""
    plain = all(type(x) in (Tensor, torch.nn.Parameter) for x in tensors)
    return not plain or torch.compiler.is_compiling() or torch.jit.is_tracing()


@functools.cache
def _supports(dtype: torch.dtype) -> bool:
    """Whether oneDNN and this processor have fast kernels for a dtype."""
    if not torch.backends.mkldnn.is_available() or not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return dtype == torch.float32


def piecewise(function: Callable[[Tensor], Tensor], x: Tensor, dim: int, size: int) -> Tensor:
    """Apply a function that treats the entries along one axis independently; on a CPU to pieces that stay in its cache.

    Args:
        function: Keeps the number of entries along `dim`.
        x: Any tensor.
        dim: The axis.
        size: Entries per piece.

    Returns:
        `function(x)`.
    """
    if _is_traced(x) or x.device.type != "cpu" or x.shape[dim] <= size:
        return function(x)
    return torch.cat([function(piece) for piece in x.split(size, dim)], dim)


def residual(function: Callable[[Tensor], Tensor], x: Tensor, dim: int, size: int, *, in_place: bool = False) -> Tensor:
    """Add to a tensor what a function makes of it, on a CPU in pieces as by `piecewise`.

    Args:
        function: As for `piecewise`; keeps the shape.
        x: Any tensor.
        dim: The axis.
        size: Entries per piece.
        in_place: The sum may take the place of `x`. With gradients it never does.

    Returns:
        `x + function(x)`.
    """
    if torch.is_grad_enabled() or _is_traced(x):
        return x + piecewise(function, x, dim, size)
    if x.device.type != "cpu":
        size = x.shape[dim]
    out = x if in_place else torch.empty_like(x)
    for piece, place in zip(x.split(size, dim), out.split(size, dim)):
        torch.add(piece, function(piece), out=place)
    return out
