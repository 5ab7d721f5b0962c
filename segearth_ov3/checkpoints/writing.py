"""Write safetensors files tensor by tensor, so that memory holds one tensor and not the whole file.

The format is eight bytes with the length of a JSON header, the header, and the raw values in the header's order.
Wider dtypes come first, so that every tensor starts at a multiple of its item size.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..atomic import complete_or_absent
from ..errors import CheckpointError
from .files import TensorSpec

Progress = Callable[[int, int], None]

_DTYPE_NAMES = {torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def write_safetensors(
    path: Path,
    specs: Mapping[str, TensorSpec],
    make: Callable[[str], Tensor],
    *,
    metadata: Mapping[str, str],
    overwrite: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write a file; under its name it appears only when it is complete.

    Args:
        path: Where to write.
        specs: Shape and dtype of every tensor, by name; floating-point dtypes of 16 to 64 bits.
        make: Returns a tensor by name, on the CPU, with that shape and dtype; called once for each.
        metadata: Text entries for the header.
        overwrite: Replace an existing file.
        progress: Called after each tensor with the number of finished and of all tensors.

    Raises:
        CheckpointError: The file exists and may not be replaced, cannot be written, or the disk has no room for it.
    """
    names = sorted(specs, key=lambda name: -specs[name].dtype.itemsize)
    header = _header(names, specs, metadata)
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path} exists and is not a regular file; choose another name")
    if path.exists() and not overwrite:
        raise CheckpointError(f"{path} exists; choose another name or pass overwrite=True (--overwrite)")
    _check_space(path, len(header) + sum(math.prod(spec.shape) * spec.dtype.itemsize for spec in specs.values()))
    with contextlib.ExitStack() as stack:
        with _write_errors(path):
            partial = stack.enter_context(complete_or_absent(path))
            file = stack.enter_context(partial.open("wb"))
            file.write(header)
        for done, name in enumerate(names, start=1):
            values = make(name).contiguous().reshape(-1).view(torch.uint8)
            with _write_errors(path):
                file.write(values.numpy().data)
            if progress is not None:
                progress(done, len(names))
        with _write_errors(path):
            stack.close()  # the file takes its name


def _header(names: list[str], specs: Mapping[str, TensorSpec], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": dict(metadata)}
    start = 0
    for name in names:
        shape, dtype = specs[name]
        stop = start + math.prod(shape) * dtype.itemsize
        entries[name] = {"dtype": _DTYPE_NAMES[dtype], "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(entries, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _check_space(path: Path, size: int) -> None:
    """Refuse a file for which the disk has no room, before anything is computed."""
    with _write_errors(path):
        free = shutil.disk_usage(path.parent).free
    if size > free:
        raise CheckpointError(
            f"cannot write {path}: it takes {size / 1e9:.2f} GB, and {free / 1e9:.2f} GB are free in {path.parent}"
        )


@contextlib.contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system into this package's."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from error
