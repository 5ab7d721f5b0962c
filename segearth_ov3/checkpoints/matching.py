"""Match the tensors of a file with those of a network; every difference is an error that names it."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import CheckpointError, printable
from .files import GET_WEIGHTS, CheckpointFile
from .keys import Naming, Source, find_naming, foreign_model

_LISTED = 10
_DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


class Match(NamedTuple):
    """Places of a network's tensors in a file.

    Attributes:
        sources: Place of each of the network's tensors, by the network's names.
        ignored: Names in the file of what stays unread, by reason.
    """

    sources: dict[str, Source]
    ignored: dict[str, tuple[str, ...]]


def naming_of(file: CheckpointFile) -> Naming:
    """Return how a file names SAM 3's tensors.

    Raises:
        CheckpointError: They are those of another model.
    """
    foreign = foreign_model(file.specs)
    naming = find_naming(file.specs)
    if foreign is None and naming is not None:
        return naming
    names = f"its tensors are {_listing(list(file.specs), 5)}" if file.specs else "it holds no tensors"
    looks = f"this looks like {foreign}" if foreign else names
    raise CheckpointError(f"{file.path} is not a SAM 3 checkpoint: {looks}; {GET_WEIGHTS}")


def match_network(file: CheckpointFile, naming: Naming, shapes: Mapping[str, tuple[int, ...]]) -> Match:
    """Find every tensor of a network in a file.

    Args:
        file: The file.
        naming: How it names tensors.
        shapes: Shape of each of the network's tensors, by the network's names.

    Returns:
        The match; nothing is missing in it.

    Raises:
        CheckpointError: Tensors are missing, unexpected, of a wrong shape or not floating-point.
    """
    sources = {key: naming.source(key) for key in shapes}
    needed = {
        name: shape
        for key, source in sources.items()
        for name, shape in zip(source.keys, source.shapes(shapes[key]), strict=True)
    }
    missing = [name for name in needed if name not in file.specs]
    ignored, unexpected = split_unread(file, naming, needed)
    present = [name for name in needed if name in file.specs]
    misshapen = [
        f"{name} (expected {needed[name]}, got {reprlib.repr(file.specs[name].shape)})"
        for name in present
        if file.specs[name].shape != needed[name]
    ]
    mistyped = [f"{name} ({file.specs[name].dtype})" for name in present if file.specs[name].dtype not in _DTYPES]
    faults = [
        f"{len(names)} {what}: {_listing(names)}"
        for what, names in (
            (f"of {len(needed)} tensors missing", missing),
            ("unexpected", unexpected),
            ("of wrong shape", misshapen),
            ("not floating-point of 16 to 64 bits", mistyped),
        )
        if names
    ]
    if faults:
        raise CheckpointError(f"{file.path} does not fit the network: {'; '.join(faults)}")
    return Match(sources, ignored)


def split_unread(
    file: CheckpointFile, naming: Naming, needed: Mapping[str, object]
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Sort what the network does not ask for into what is known (by reason) and what should not be there."""
    ignored: dict[str, list[str]] = {}
    unexpected = []
    for name in file.specs:
        if name not in needed:
            reason = naming.ignored_reason(name)
            if reason is None:
                unexpected.append(name)
            else:
                ignored.setdefault(reason, []).append(name)
    return {reason: tuple(names) for reason, names in ignored.items()}, unexpected


def read_tensor(file: CheckpointFile, source: Source, target: Tensor) -> Tensor:
    """Fill one of the network's tensors from a file, converting dtype and device on the way.

    Args:
        file: The file.
        source: Where the values are.
        target: Tensor of the network's shape, in any floating-point dtype and on any device; overwritten.

    Returns:
        The target.
    """
    if source.op == "split3":
        for third, name in zip(target.chunk(3), source.keys, strict=True):
            third.copy_(file.read(name))
    elif source.op == "drop_row0":
        target[:, 0] = 0
        target[:, 1:].copy_(file.read(source.keys[0]))
    else:
        target.copy_(file.read(source.keys[0]))
    return target


def stored_dtype(file: CheckpointFile, source: Source) -> torch.dtype:
    """Return the dtype in which a file has one of the network's tensors; the widest one if it is in parts."""
    dtype = file.specs[source.keys[0]].dtype
    for name in source.keys[1:]:
        dtype = torch.promote_types(dtype, file.specs[name].dtype)
    return dtype


def _listing(names: list[str], limit: int = _LISTED) -> str:
    return ", ".join(map(printable, names[:limit])) + (", ..." if len(names) > limit else "")
