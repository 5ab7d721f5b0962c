"""Read tensors out of checkpoint files, one at a time, without ever holding a second copy of the file.

A checkpoint is one file, or several safetensors files with an index; `tensor_files` opens them. They are mapped into
memory. What has been read through a mapping counts as this process's memory until the mapping is closed, and every
tensor is copied out once; therefore mappings are closed and opened again each time a sixteenth of the checkpoint has
passed through them.
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import CheckpointError, printable
from ..tensor_files import check_count, open_tensor_file

GET_WEIGHTS = "get the official weights with `segearth-ov3 checkpoint download`"
INDEX_SUFFIX = ".safetensors.index.json"

_OTHER_RELEASE = "sam3.1_multiplex.pt"
_SMALLEST_RELEASE = 8 << 20  # bytes
_MOST_INDEX_BYTES = 8 << 20
_MOST_SHARDS = 1000


class TensorSpec(NamedTuple):
    """Shape and dtype of a tensor, as the table of contents states them."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class TensorFile:
    """Tensors of one file.

    Args:
        path: The file.
        open_mapping: Opens the file and returns its tensors by name, mapped and not read.
    """

    def __init__(self, path: Path, open_mapping: Callable[[], Mapping[str, Tensor]]) -> None:
        self.path = path
        self._open_mapping = open_mapping
        self._mapping: Mapping[str, Tensor] | None = None
        self.specs = {key: TensorSpec(tuple(value.shape), value.dtype) for key, value in open_mapping().items()}

    def read(self, key: str) -> Tensor:
        """Return one tensor, backed by the file."""
        if self._mapping is None:
            self._mapping = self._open_mapping()
        return self._mapping[key]

    def release(self) -> None:
        """Close the mapping; tensors that are still in use keep theirs."""
        self._mapping = None


class CheckpointFile:
    """Tensors of a checkpoint, which may consist of several files.

    Attributes:
        path: What was asked for: a file, or the index of several.
        files: All files that hold tensors.
        specs: Shape and dtype of every tensor, by its name in the file.
        metadata: Text entries that a safetensors file carries.
    """

    def __init__(self, path: Path, parts: Sequence[TensorFile], metadata: Mapping[str, str]) -> None:
        self.path = path
        self.metadata = dict(metadata)
        self.files = tuple(part.path for part in parts)
        self._part_of = {key: part for part in parts for key in part.specs}
        self.specs = {key: part.specs[key] for key, part in self._part_of.items()}
        size = sum(math.prod(spec.shape) * spec.dtype.itemsize for spec in self.specs.values())
        self._release_after = max(_SMALLEST_RELEASE, size // 16)
        self._bytes_read = 0

    def read(self, key: str) -> Tensor:
        """Return one tensor, backed by the file: copy it out before reading the next, and keep no reference."""
        tensor = self._part_of[key].read(key)
        self._bytes_read += tensor.nbytes
        if self._bytes_read >= self._release_after:
            self._bytes_read = 0
            for part in self._part_of.values():
                part.release()
        return tensor


def find_checkpoint_file(path: Path) -> Path:
    """Return the file, or the index of several, that a path means.

    Args:
        path: A file, or a folder that holds one checkpoint.

    Returns:
        A regular file.

    Raises:
        CheckpointError: There is none, a folder holds several, or the path is a device or a pipe.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise CheckpointError(f"checkpoint {path} does not exist; {GET_WEIGHTS}") from error
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"cannot read checkpoint {printable(str(path))}: {error}") from error
    if stat.S_ISREG(mode):
        return path
    if not stat.S_ISDIR(mode):
        raise CheckpointError(f"checkpoint {path} is a device or a pipe; expected a file or a folder")
    for pattern in (f"*{INDEX_SUFFIX}", "model.safetensors", "*.safetensors", "sam3.pt", "*.pt"):
        found = sorted(file for file in path.glob(pattern) if file.is_file())
        if found and (path / _OTHER_RELEASE).is_file():  # not the same weights in another format
            found = sorted({*found, path / _OTHER_RELEASE})
        if len(found) > 1:
            names = ", ".join(file.name for file in found[:5])
            raise CheckpointError(f"folder {path} holds several checkpoints ({names}); name one of them")
        if found:
            return found[0]
    raise CheckpointError(f"folder {path} holds no weights (*.safetensors or *.pt); {GET_WEIGHTS}")


def open_checkpoint_file(path: Path) -> CheckpointFile:
    """Read the table of contents of a checkpoint.

    Args:
        path: A file as `find_checkpoint_file` returns it.

    Returns:
        The tensors, not read yet.

    Raises:
        CheckpointError: The file is damaged, of an unknown kind, contains code, or states sizes that no checkpoint has.
    """
    if not path.name.endswith(INDEX_SUFFIX):
        content = open_tensor_file(path)
        return CheckpointFile(path, [TensorFile(path, content.open_mapping)], content.metadata)
    parts: list[TensorFile] = []
    for shard in _shards(path):
        parts.append(TensorFile(shard, open_tensor_file(shard).open_mapping))
        check_count(sum(len(part.specs) for part in parts), path)
    return CheckpointFile(path, parts, {})


def read_json(path: Path, most_bytes: int = 1 << 20) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: The file.
        most_bytes: A larger file is refused.

    Returns:
        The object.

    Raises:
        CheckpointError: The file cannot be read, or holds something else.
    """
    try:
        if not path.is_file() or path.stat().st_size > most_bytes:
            raise CheckpointError(f"cannot read {path}: expected a file of at most {most_bytes} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {path} as JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"expected a JSON object in {path}, got {type(content).__name__}")
    return content


def _shards(index: Path) -> list[Path]:
    """Return the files that an index names."""
    table = read_json(index, _MOST_INDEX_BYTES).get("weight_map")
    if not isinstance(table, dict) or not all(isinstance(name, str) for name in table.values()):
        raise CheckpointError(f"index {index} is damaged: expected JSON with a weight_map of file names")
    names = sorted(set(table.values()))
    outside = [name for name in names if Path(name).name != name or "\0" in name]
    if outside:
        raise CheckpointError(f"index {index} names files outside its folder: {printable(outside[0])!r}")
    if len(names) > _MOST_SHARDS:
        raise CheckpointError(f"index {index} names {len(names)} files, more than {_MOST_SHARDS}")
    missing = [name for name in names if not _is_file(index.parent / name)]
    if missing:
        listed = ", ".join(map(printable, missing[:10]))
        raise CheckpointError(f"{len(missing)} of the {len(names)} files that {index} names are missing: {listed}")
    return [index.parent / name for name in names]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that the file system does not allow
        return False
