"""Reading tensors out of checkpoint files, one at a time, without ever holding a second copy of the file.

Two containers are understood, told apart by their first bytes and not by their names: safetensors (one file, or several
with an index) and what `torch.save` writes. Nothing in a file is ever executed.

Both are mapped into memory, so opening one reads only its table of contents. What has been read through a mapping
counts as this process's memory until the mapping is closed, and every tensor is copied out once; therefore mappings are
closed and opened anew each time a sixteenth of the checkpoint has passed through them.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import CheckpointError

GET_WEIGHTS = "get the official weights with `segearth-ov3 checkpoint download`"
INDEX_SUFFIX = ".safetensors.index.json"

_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_MAGIC = b"\x80"
_LFS_MAGIC = b"version https://git-lfs"
_SMALLEST_RELEASE = 8 << 20  # bytes
# what a damaged file can make the (safe) unpickler stumble over
_DAMAGES = (RuntimeError, OSError, EOFError, LookupError, ValueError, AttributeError, TypeError, struct.error)


class TensorSpec(NamedTuple):
    """What a file says about a tensor without reading it."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class TensorFile:
    """The tensors of one file.

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
        """One tensor, backed by the file."""
        if self._mapping is None:
            self._mapping = self._open_mapping()
        return self._mapping[key]

    def release(self) -> None:
        """Close the mapping; tensors that are still in use keep theirs."""
        self._mapping = None


class CheckpointFile:
    """The tensors of a checkpoint, which may consist of several files.

    Attributes:
        path: What was asked for: a file, or the index of several.
        files: All files that hold tensors.
        specs: Shape and dtype of every tensor, by the file's own names.
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
        """One tensor, backed by the file: copy it out before reading the next, and keep no reference."""
        tensor = self._part_of[key].read(key)
        self._bytes_read += tensor.nbytes
        if self._bytes_read >= self._release_after:
            self._bytes_read = 0
            for part in self._part_of.values():
                part.release()
        return tensor


def find_checkpoint_file(path: Path) -> Path:
    """The file, or the index of several, that a path means.

    Args:
        path: A file, or a folder that holds one checkpoint.

    Returns:
        A file that exists.

    Raises:
        CheckpointError: There is none, or a folder holds several.
    """
    if path.is_file():
        return path
    if not path.is_dir():
        raise CheckpointError(f"checkpoint {path} does not exist; {GET_WEIGHTS}")
    for pattern in (f"*{INDEX_SUFFIX}", "model.safetensors", "*.safetensors", "sam3.pt", "*.pt"):
        found = sorted(path.glob(pattern))
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
        CheckpointError: The file is damaged, of an unknown kind, or contains code.
    """
    if path.name.endswith(INDEX_SUFFIX):
        parts = [_open_safetensors(shard) for shard in _shards(path)]
        return CheckpointFile(path, parts, {})
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    if not head:
        raise CheckpointError(f"checkpoint {path} is empty; {GET_WEIGHTS}")
    if head.startswith(_LFS_MAGIC):
        raise CheckpointError(f"checkpoint {path} is a Git LFS pointer, not the weights; run `git lfs pull` beside it")
    # first of all, as the length of a safetensors header, in the eight bytes before it, may look like any magic number
    if head[8:9] == b"{" or path.suffix == ".safetensors":
        part = _open_safetensors(path)
        with safe_open(path, framework="pt") as file:
            return CheckpointFile(path, [part], file.metadata() or {})
    if head.startswith((_ZIP_MAGIC, _PICKLE_MAGIC)):
        return CheckpointFile(path, [_open_torch(path, mapped=head.startswith(_ZIP_MAGIC))], {})
    raise CheckpointError(f"{path} is neither a safetensors nor a PyTorch file (it starts with {head[:12]!r})")


def _shards(index: Path) -> list[Path]:
    """The files that an index names."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except OSError as error:
        raise CheckpointError(f"cannot read {index}: {error.strerror}") from error
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise CheckpointError(f"index {index} is damaged: expected JSON with a weight_map of file names") from error
    outside = [name for name in names if Path(str(name)).name != name]
    if outside:
        raise CheckpointError(f"index {index} names files outside its folder: {outside[0]!r}")
    missing = [name for name in names if not (index.parent / name).is_file()]
    if missing:
        listed = ", ".join(missing[:10])
        raise CheckpointError(f"{len(missing)} of the {len(names)} files that {index} names are missing: {listed}")
    return [index.parent / name for name in names]


def _open_safetensors(path: Path) -> TensorFile:
    def open_mapping() -> dict[str, Tensor]:
        try:
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, not a dict
        except OSError as error:
            raise CheckpointError(f"cannot read checkpoint {path}: {error}") from error
        except SafetensorError as error:
            raise CheckpointError(f"checkpoint {path} is truncated or damaged: {error}; fetch it again") from error

    return TensorFile(path, open_mapping)


def _open_torch(path: Path, *, mapped: bool) -> TensorFile:
    """A file of `torch.save`; those of before PyTorch 1.6 (no zip archive) cannot be mapped and are read at once."""
    if mapped:
        _refuse_torchscript(path)
        return TensorFile(path, lambda: _state_dict(_unpickle(path, mmap=True), path))
    tensors = _state_dict(_unpickle(path, mmap=False), path)
    return TensorFile(path, lambda: tensors)


def _refuse_torchscript(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise CheckpointError(f"checkpoint {path} is truncated or damaged: {error}; fetch it again") from error
    if any(name.endswith("/constants.pkl") for name in names):
        raise CheckpointError(f"checkpoint {path} is a TorchScript archive, which contains code, and was refused")


def _unpickle(path: Path, *, mmap: bool) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"checkpoint {path} contains {_refused(str(error))} and was refused") from error
    except _DAMAGES as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"checkpoint {path} is truncated or damaged: {reason}; fetch it again") from error


def _refused(message: str) -> str:
    """What the unpickler would not load, from its message, whose advice to load it nevertheless is left out."""
    code = re.search(r"GLOBAL ([\w.]+)", message)
    if code is None:
        return "code or other Python objects"
    looks = "; this looks like a YOLO/Ultralytics checkpoint;" if code[1].startswith("ultralytics") else ""
    return f"code ({code[1]}){looks}"


def _state_dict(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by name, directly or under "model"."""
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict):
        raise CheckpointError(f"checkpoint {path} holds a {type(content).__name__}, expected tensors by name")
    others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        listed = ", ".join(others[:10])
        raise CheckpointError(f"checkpoint {path} is not a SAM 3 checkpoint: not all entries are tensors ({listed})")
    return {str(key): value for key, value in content.items()}
