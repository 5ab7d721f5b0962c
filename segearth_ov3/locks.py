"""Locks between processes: one process at a time works on an output folder or file.

The operating system holds the lock, so it disappears with its process, however that process ends. Lock files stay on
disk and mean nothing by themselves. Network shares honour the lock only if their file system supports `flock`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from .errors import SegEarthError


@contextlib.contextmanager
def exclusive_lock(
    path: Path, subject: str, error_class: type[SegEarthError], *, wait_s: float = 0.0
) -> Iterator[None]:
    """Hold a lock while the block runs.

    Args:
        path: Lock file, in an existing folder. It is created if missing.
        subject: What the lock protects, for the message: usually the output file or folder.
        error_class: Class of the error to raise.
        wait_s: Seconds to wait for a process that holds the lock; 0: do not wait.

    Raises:
        SegEarthError: Of `error_class`: another process holds the lock, or the file system has no locks.
        OSError: The lock file cannot be created.
    """
    try:
        held = FileLock(path).acquire(timeout=wait_s)
    except Timeout as error:
        raise error_class(
            f"{subject}: another process is working on it; wait for it to end, or choose another output"
        ) from error
    except NotImplementedError as error:
        raise error_class(
            f"{subject}: the file system of {path.parent} has no locks, so two processes could mix their results; "
            f"write to a local folder and copy the results"
        ) from error
    with held:
        yield
