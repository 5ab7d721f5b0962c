"""Small text files that people write: vocabularies, colours, label maps, lists of scenes."""

from __future__ import annotations

import os

MAX_BYTES = 2**24


def read_small_file(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file or pipe, of at most 16 MiB.

    Raises:
        OSError: The file cannot be read or is larger; `strerror` says why.
    """
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(None, f"it has more than {MAX_BYTES // 2**20} MiB; expected a text file", os.fspath(path))
    return content
