"""Attention on a CPU with 512-bit vectors, by compiled code (`flash_attention.cpp`) that an installation may lack.

Installing the package compiles it where there is a compiler that can (GCC from version 10). Where there was none, or
the processor is another one, `handles` says no, and attention goes the ways that PyTorch offers.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import math
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import StaleBuildWarning

_BUILD = 1  # of `flash_attention.cpp`, where it goes up with every change
_GROUP = 64  # keys are filled up to a multiple of it
_THREAD_SCORES = 2**18  # scores from which it is worth waking the other threads


class _Call(ctypes.Structure):
    """`Call` of `flash_attention.cpp`, which explains the fields."""

    _fields_ = (
        ("half", ctypes.c_int64),
        *((name, ctypes.c_int64) for name in ("heads", "n", "m", "dim")),
        *((name, ctypes.c_void_p) for name in ("q", "k", "v")),
        *((name, ctypes.c_int64 * 2) for name in ("q_strides", "k_strides", "v_strides")),
        *((name, ctypes.c_void_p) for name in ("packed_k", "packed_v", "out", "by_row", "by_col")),
        *((name, ctypes.c_int64) for name in ("height", "width")),
        ("scale", ctypes.c_float),
        *((name, ctypes.c_int64) for name in ("next_head", "next_task")),
    )


@functools.cache
def _library() -> ctypes.CDLL | None:
    """The compiled code, or None where there is none that fits."""
    found = importlib.util.find_spec(f"{__package__}._flash_attention")
    if found is None or found.origin is None or _parallel() is None:
        return None
    try:
        library = ctypes.CDLL(found.origin)
        if library.segearth_build() == _BUILD:
            return library
    except (OSError, AttributeError):
        pass  # made for another machine, or something else by its name
    message = f"{found.origin} was compiled from other sources or for another machine: install the package again"
    warnings.warn(message, StaleBuildWarning, stacklevel=2)
    return None


@functools.cache
def _parallel() -> Any:
    """OpenMP's call of a function in all threads, from PyTorch's own OpenMP: a second one would compete with it.

    Its arguments are the function, its argument, the number of threads, and 0.
    """
    try:
        return ctypes.CDLL(str(Path(torch.__file__).with_name("lib") / "libtorch_cpu.so")).GOMP_parallel
    except (OSError, AttributeError):
        return None


@functools.cache
def _supports(dtype: torch.dtype) -> bool:
    library = _library()
    if library is None or dtype not in (torch.float32, torch.bfloat16):
        return False
    return bool(library.segearth_supports(int(dtype == torch.bfloat16)))


def handles(q: Tensor) -> bool:
    """Whether `flash_attention` takes queries (N, heads, n, D/heads) of this device, dtype and width."""
    return q.device.type == "cpu" and q.shape[-1] in (32, 64) and _supports(q.dtype)


def flash_attention(q: Tensor, k: Tensor, v: Tensor, bias: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Softmax attention of all heads, joined; without gradient, and only for what `handles` admits.

    Scores and sums are float32 in either dtype; weights are rounded to the dtype.

    Args:
        q: (N, heads, n, D/heads).
        k, v: (N, heads, m, D/heads), in the dtype of `q`; m is at least 1.
        bias: Added to the scaled products, where keys are the tokens of a map: one term for the token's row
            (N or 1, heads, n, rows) and one for its column (N or 1, heads, n, cols), with m = rows * cols; finite.

    Returns:
        (N, n, D).

    Raises:
        ValueError: Shapes or dtypes do not fit, or `handles` says no.
    """
    library = _library()
    (samples, heads, n, dim), m = q.shape, k.shape[2]
    sizes = [] if bias is None else [term.shape[-1] for term in bias]
    fits = [term.shape[:-1] in ((1, heads, n), (samples, heads, n)) for term in bias or ()]
    if k.shape != (samples, heads, m, dim) or v.shape != k.shape or m < 1 or {k.dtype, v.dtype} != {q.dtype}:
        raise ValueError(f"expected keys and values that fit queries {tuple(q.shape)}, got {k.shape}, {v.shape}")
    if bias is not None and (not all(fits) or math.prod(sizes) != m):
        raise ValueError(f"expected a bias that fits {(samples, heads, n, m)}, got {[tuple(x.shape) for x in bias]}")
    if library is None or not handles(q):
        raise ValueError(f"no compiled attention for {q.dtype} with heads of {dim} on {q.device} here")
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
    packed_k, packed_v = q.new_empty(2, heads, -(-m // _GROUP) * _GROUP, dim)
    out = q.new_empty(samples, n, heads, dim)
    call = _Call(half=q.dtype == torch.bfloat16, heads=heads, n=n, m=m, dim=dim)
    call.q_strides, call.k_strides, call.v_strides = (x.stride()[1:3] for x in (q, k, v))
    call.packed_k, call.packed_v = packed_k.data_ptr(), packed_v.data_ptr()
    call.scale = dim**-0.5 * math.log2(math.e)
    terms = [term.float().contiguous().expand(samples, -1, -1, -1) for term in bias or ()]
    if terms:
        call.height, call.width = sizes
    threads = torch.get_num_threads() if heads * n * m >= _THREAD_SCORES else 1
    for sample in range(samples):  # one after another, so that packed keys and values stay in the cache
        call.q, call.k, call.v, call.out = (x[sample].data_ptr() for x in (q, k, v, out))
        if terms:
            call.by_row, call.by_col = (term[sample].data_ptr() for term in terms)
        call.next_head = call.next_task = 0
        for step in (library.segearth_pack, library.segearth_attend):
            _parallel()(step, ctypes.byref(call), threads, 0)
    return out.flatten(2)
