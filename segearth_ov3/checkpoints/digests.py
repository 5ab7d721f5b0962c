"""SHA-256 digests of checkpoint files, and those of published ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..errors import CheckpointError

# of SAM 3.1 as the model card of a public copy states it; no public statement about SAM 3's files is known
PUBLISHED = {
    "0567debeec80ba4ac6369540c6c248025283cb3ff2b92827509e57e2b3541cb6": "sam3.1_multiplex.pt of facebook/sam3.1",
    "0bc2ba9eaf823f06fe11b764be73ba27c0c323f6525fd875647cc0bb7a679563": "demo.safetensors of this package",
}

_SHORT_DIGITS = 16
_CHUNK_BYTES = 1 << 22


def content_digest(files: Iterable[Path]) -> str:
    """Return the first 16 hexadecimal digits of SHA-256; of several files, over one after the other by name."""
    digest = hashlib.sha256()
    for path in sorted(files):
        _update(digest, path)
    return digest.hexdigest()[:_SHORT_DIGITS]


def file_digests(files: Iterable[Path]) -> tuple[str, ...]:
    """Return the SHA-256 of each file, 64 hexadecimal digits."""
    digests = []
    for path in files:
        digest = hashlib.sha256()
        _update(digest, path)
        digests.append(digest.hexdigest())
    return tuple(digests)


def _update(digest: hashlib._Hash, path: Path) -> None:
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
    except OSError as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
