"""Files that are complete or absent: written next to their place and given their name in one step."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def complete_or_absent(target: Path) -> Iterator[Path]:
    """Lend a name to write to; when the block ends without an error the file takes its final name.

    The name lent lies in a temporary folder next to the target, so that files that a library writes along with it are
    removed too. Nothing else is left, whether the block succeeds or fails, and an existing target is whole at any time.

    Args:
        target: Final path, in an existing folder; replaced if it is there.

    Yields:
        The path to write to, with the same file name.

    Raises:
        OSError: The operating system reported an error.
    """
    with tempfile.TemporaryDirectory(prefix=partial_prefix(target), suffix=".partial", dir=target.parent) as folder:
        partial = Path(folder) / target.name
        yield partial
        os.replace(partial, target)


def partial_prefix(target: Path) -> str:
    """How the names of folders for unfinished copies of a file begin."""
    return f".{target.name}."


def remove_leftovers(target: Path) -> None:
    """Remove what killed processes left of unfinished copies of a file; no other process may be writing it."""
    for folder in target.parent.glob(f"{glob.escape(partial_prefix(target))}*.partial"):
        shutil.rmtree(folder, ignore_errors=True)
