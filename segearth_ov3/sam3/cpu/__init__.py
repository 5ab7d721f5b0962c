"""Faster forms of the network's operators for CPUs; `sam3.ops` calls them and holds the plain forms.

onednn            linear layers by oneDNN with packed weights
attention         attention in blocks that fit the cache
flash_attention   attention by compiled code, where an installation has it
difference_conv   convolution of an upsampled map with nine products in place of sixteen
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor


def is_usable(*tensors: Tensor) -> bool:
    """Return whether the forms of this package may replace PyTorch's own for these operands.

    They need a CPU that oneDNN supports, and nothing that observes single operators: no gradient, autocast or tracing.
    """
    if is_traced(*tensors) or any(x.device.type != "cpu" or x.numel() == 0 for x in tensors):
        return False
    if torch.is_autocast_enabled("cpu") or (torch.is_grad_enabled() and any(x.requires_grad for x in tensors)):
        return False
    return supports(tensors[0].dtype)


def is_traced(*tensors: Tensor) -> bool:
    """Return whether operations are being recorded, or the operands are not plain numbers in memory."""
    plain = all(type(x) in (Tensor, torch.nn.Parameter) for x in tensors)
    return not plain or torch.compiler.is_compiling() or torch.jit.is_tracing()


@functools.cache
def supports(dtype: torch.dtype) -> bool:
    """Return whether oneDNN and this processor have fast kernels for a dtype."""
    if not torch.backends.mkldnn.is_available() or not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return dtype == torch.float32
