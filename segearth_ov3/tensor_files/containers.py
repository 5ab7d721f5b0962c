"""Open a file of named tensors: safetensors or PyTorch's, recognised by the first bytes and not by the name.

Files are mapped into memory, so opening one reads only its table of contents.
"""

from __future__ import annotations

import io
import pickle
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import CheckpointError, printable
from .archives import MOST_PICKLE_BYTES, check_archive
from .pickles import PickleCheck, RefusedPickle

MOST_TENSORS = 50_000  # SAM 3.1's file has 1623
_MOST_HEADER_BYTES = 8 << 20  # about 160 bytes for each tensor

_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_MAGIC = b"\x80"
_OLD_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # first entry of files from before PyTorch 1.6
_TEXTS = (
    (b"version https://git-lfs", "a Git LFS pointer, not the weights; run `git lfs pull` in its folder"),
    (b"<", "a web page (HTML or XML), not the weights: the server sent an error or login page; fetch it again"),
    (b"{", "a JSON text, not the weights: probably an error message of the server; fetch it again"),
)
# entries under which training programs store the weights
_WRAPPERS = ("model", "state_dict", "model_state_dict", "module")
# what a damaged file can make the readers raise
_DAMAGES = (RuntimeError, OSError, EOFError, LookupError, ValueError, AttributeError, TypeError, struct.error)


class TensorContent(NamedTuple):
    """Content of a file that was checked.

    Attributes:
        open_mapping: Maps the file into memory and returns its tensors by name, not read yet.
        metadata: Texts that a safetensors file carries.
    """

    open_mapping: Callable[[], dict[str, Tensor]]
    metadata: dict[str, str]


def open_tensor_file(path: Path) -> TensorContent:
    """Check a file's table of contents; no tensor is read.

    Args:
        path: Regular file. Tensors under an entry `model`, `state_dict`, `model_state_dict` or `module` are found.

    Returns:
        The content.

    Raises:
        CheckpointError: The file is damaged, of another kind, contains code, or states sizes that no checkpoint has.
    """
    head = _read_head(path)
    try:
        # safetensors first: the length of its header, in the eight bytes before it, may look like any magic number
        if head[8:9] == b"{":
            return _open_safetensors(path, int.from_bytes(head[:8], "little"))
        for start, description in _TEXTS:
            if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(start):
                raise CheckpointError(f"checkpoint {path} is {description}")
        if head.startswith(_ZIP_MAGIC):
            check_archive(path)
            return TensorContent(lambda: _named_tensors(_load_torch(path, mmap=True), path), {})
        if head.startswith(_PICKLE_MAGIC):
            return _open_old_torch(path)
    except RefusedPickle as error:
        raise CheckpointError(
            f"checkpoint {path} contains {printable(str(error))}{_looks(error)} and was refused"
        ) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, OverflowError) as error:
        raise _damaged(path, error) from error
    if path.suffix == ".safetensors":
        raise _damaged(path, ValueError("it does not start like a safetensors file"))
    raise CheckpointError(f"{path} is neither a safetensors nor a PyTorch file (it starts with {head[:12]!r})")


def _read_head(path: Path) -> bytes:
    if not path.is_file():
        raise CheckpointError(f"checkpoint {path} is not a regular file")
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise _unreadable(path, error) from error
    if not head:
        raise CheckpointError(f"checkpoint {path} is empty; fetch it again")
    return head


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}")


def _damaged(path: Path, error: BaseException) -> CheckpointError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return CheckpointError(f"checkpoint {path} is truncated or damaged: {printable(reason, 300)}; fetch it again")


def _looks(error: RefusedPickle) -> str:
    return "; this looks like a YOLO/Ultralytics checkpoint;" if "(ultralytics" in str(error) else ""


def _open_safetensors(path: Path, header_bytes: int) -> TensorContent:
    if _MOST_HEADER_BYTES < header_bytes <= path.stat().st_size:
        raise CheckpointError(
            f"checkpoint {path} was refused: its table of contents has {header_bytes / 1e6:.0f} MB, that of SAM 3 less "
            f"than 1 MB"
        )

    def open_mapping() -> dict[str, Tensor]:
        try:
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
        except (SafetensorError, *_DAMAGES) as error:
            raise _damaged(path, error) from error

    try:
        with safe_open(path, framework="pt") as file:
            count, metadata = len(file.keys()), file.metadata() or {}
    except SafetensorError as error:
        raise _damaged(path, error) from error
    check_count(count, path)
    return TensorContent(open_mapping, metadata)


def _open_old_torch(path: Path) -> TensorContent:
    """Open a file from before PyTorch 1.6, which cannot be mapped and is read at once: five pickles, then values."""
    with path.open("rb") as file:
        stream = io.BytesIO(file.read(MOST_PICKLE_BYTES))
    check = PickleCheck()
    if check.check(stream) != _OLD_MAGIC_NUMBER:
        raise ValueError("it is a pickle that torch.save did not write")
    for _ in ("version", "system", "content", "storages"):
        check.check(stream)
    if sum(check.storages.values()) > path.stat().st_size:
        raise ValueError("it is shorter than the tensors it names")
    tensors = _named_tensors(_load_torch(path, mmap=False), path)
    return TensorContent(lambda: tensors, {})


def _load_torch(path: Path, *, mmap: bool) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except (pickle.UnpicklingError, *_DAMAGES) as error:
        raise _damaged(path, error) from error


def _named_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the tensors by name, also where they lie in wrappers."""
    for _ in _WRAPPERS:  # a wrapper may lie in another, or in itself
        if isinstance(content, dict):
            content = next((content[name] for name in _WRAPPERS if isinstance(content.get(name), dict)), content)
    if not isinstance(content, dict):
        raise CheckpointError(f"checkpoint {path} holds a {type(content).__name__}, expected tensors by name")
    others = [printable(str(key)) for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        listed = ", ".join(others[:10])
        raise CheckpointError(
            f"checkpoint {path}: expected tensors by name, got entries that are not tensors ({listed})"
        )
    check_count(len(content), path)
    return {str(key): value for key, value in content.items()}


def check_count(count: int, path: Path) -> None:
    """Refuse more tensors than any checkpoint has.

    Raises:
        CheckpointError: There are more than `MOST_TENSORS`.
    """
    if count > MOST_TENSORS:
        raise CheckpointError(
            f"checkpoint {path} was refused: it holds {count} tensors, more than {MOST_TENSORS}; SAM 3's holds "
            f"fewer than 2000"
        )
