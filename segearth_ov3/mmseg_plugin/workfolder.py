"""Folders in which evaluations keep their work: one run at a time, and nothing replaced without being asked for.

with hold_folder(folder):               # creates the folder and locks it; a second run is refused
    check_leftovers(folder, ...)        # refuses an earlier run unless it is to be resumed or replaced
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import OptionError
from ..locks import exclusive_lock

LOCK = ".lock"
GO_ON = "repeat the command with --resume to continue"


@contextlib.contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Create a folder if needed and lock it while the block runs.

    Raises:
        OptionError: The folder cannot be created or written to, or another process is working in it.
    """
    make_folder(folder)
    with exclusive_lock(folder / LOCK, str(folder), OptionError):
        yield


def make_folder(folder: Path) -> None:
    """Create a folder, with those above it.

    Raises:
        OptionError: It cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OptionError(f"cannot write results to {folder}: {error.strerror}") from error
    if not os.access(folder, os.W_OK):
        raise OptionError(f"cannot write results to {folder}: no permission")


def check_leftovers(
    folder: Path, records: Sequence[Path], results: Sequence[Path], *, resume: bool, overwrite: bool
) -> None:
    """Refuse a folder that holds an earlier run, unless the run is to be resumed or replaced.

    Args:
        folder: The folder, for the message.
        records: Record files in it; a run can be resumed from them.
        results: Finished results in it.
        resume: Whether the run is to be resumed; a folder without any run is accepted too.
        overwrite: Whether the run is to be replaced.

    Raises:
        OptionError: There is a run and neither is wanted, or results without the records to resume from.
    """
    if overwrite:
        return
    if records and not resume:
        raise OptionError(
            f"{folder} holds an earlier run; --resume continues it, --overwrite replaces it, or give another --out"
        )
    if results and not records:
        raise OptionError(f"{folder} holds results without records; --overwrite replaces them, or give another --out")
