"""Unfinished work of a destination: a folder next to it from which an interrupted run resumes.

The folder, `.classes.tif.partial`, holds `settings.json` (what the rows depend on), the rows, see `journal`, and a
lock, so that one process at a time works on a destination.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import RasterError, RasterWarning
from ..locks import exclusive_lock
from .identity import name_differences
from .journal import ROWS_NAME, ColumnRange, Journal, Layer, as_raster_error, damage

_SETTINGS, _LOCK = "settings.json", "lock"


def partial_folder(destination: Path) -> Path:
    """Where unfinished work for a destination is kept."""
    return destination.with_name(f".{destination.name}.partial")


@contextlib.contextmanager
def open_journal(
    destination: Path,
    settings: Mapping[str, Any],
    layers: Mapping[str, Layer],
    size: tuple[int, int],
    strips: Sequence[ColumnRange],
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> Iterator[Journal]:
    """Begin or resume the records for a destination; they are removed when the block ends without an error.

    If it ends with an error they stay, unless there are none.

    Args:
        destination: The class map.
        settings: Everything that the rows depend on, in JSON types.
        layers, size, strips: As of `Journal`.
        resume: Use records that are there.
        overwrite: Drop records that are there, unless `resume` is set.

    Yields:
        The records.

    Raises:
        RasterError: There is unfinished work and neither `resume` nor `overwrite` is set; it was done with other
            settings (the message names the differences) or is damaged; another process works on it; the folder is a
            symbolic link; or it cannot be written.
    """
    folder = partial_folder(destination)
    wanted = json.loads(json.dumps(settings))
    check_unfinished(destination, resume=resume, overwrite=overwrite)
    with contextlib.ExitStack() as stack:
        with as_raster_error(folder):
            folder.mkdir(exist_ok=True)
            stack.enter_context(exclusive_lock(folder / _LOCK, str(destination), RasterError))
            found = None if overwrite and not resume else _read_settings(folder)
            if found is None:
                (folder / ROWS_NAME).unlink(missing_ok=True)
                (folder / _SETTINGS).write_text(json.dumps(wanted, ensure_ascii=False), encoding="utf-8")
            else:
                check_same_settings(found, wanted, destination)
            journal = stack.enter_context(contextlib.closing(Journal(folder, layers, size, strips)))
        if journal.warning is not None:
            warnings.warn(journal.warning, RasterWarning, stacklevel=4)
        try:
            yield journal
        except BaseException:
            if not journal.is_worth_keeping:
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


def check_unfinished(
    destination: Path, known: Mapping[str, Any] | None = None, *, resume: bool = False, overwrite: bool = False
) -> bool:
    """Find out, before any computing, whether a run can begin or resume.

    Args:
        destination: The class map.
        known: Settings that are known already; others are not compared.
        resume, overwrite: As of `open_journal`.

    Returns:
        Whether there are finished rows to resume from.

    Raises:
        RasterError: As `open_journal`.
    """
    folder = partial_folder(destination)
    linked = [
        path for path in (folder, *(folder / name for name in (_SETTINGS, ROWS_NAME, _LOCK))) if path.is_symlink()
    ]
    if linked:
        raise RasterError(f"{destination}: {linked[0]} is a symbolic link, which is not followed; remove it")
    if (folder / _LOCK).exists():
        with as_raster_error(folder), exclusive_lock(folder / _LOCK, str(destination), RasterError):
            pass  # nobody else works on it
    if overwrite and not resume:
        return False
    found = _read_settings(folder)
    if found is None:
        return False
    if not resume:
        raise RasterError(
            f"{destination}: an interrupted run left its finished rows in {folder}; continue with --resume "
            f"(resume=True), or start again with --overwrite (overwrite=True)"
        )
    known = json.loads(json.dumps(known or {}))
    check_same_settings({name: found.get(name) for name in known}, known, destination)
    return True


def drop_unfinished(destination: Path, settings: Mapping[str, Any]) -> None:
    """Remove the rows of a run whose class map is complete; rows of a run with other settings stay.

    Raises:
        RasterError: Another process works on the destination, or the rows are damaged.
    """
    folder = partial_folder(destination)
    if not check_unfinished(destination, resume=True):
        return
    with as_raster_error(folder), exclusive_lock(folder / _LOCK, str(destination), RasterError):
        found = _read_settings(folder)
        if found is not None and not name_differences(found, json.loads(json.dumps(settings))):
            shutil.rmtree(folder)


def check_same_settings(found: Mapping[str, Any], wanted: Mapping[str, Any], destination: Path) -> None:
    """Refuse to resume from rows that were made with other settings.

    Raises:
        RasterError: A setting differs; the message names each with both values.
    """
    if differences := name_differences(found, wanted):
        raise RasterError(
            f"{destination}: cannot resume, because the interrupted run had other settings: {differences}; "
            f"repeat them, or start again with --overwrite"
        )


def _read_settings(folder: Path) -> dict[str, Any] | None:
    """What the rows in a folder depend on; None where there are no rows.

    Raises:
        RasterError: There are rows, and nothing says what they depend on.
    """
    rows, path = folder / ROWS_NAME, folder / _SETTINGS
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError, RecursionError):
        settings = None
    except OSError as error:
        raise RasterError(f"cannot read {path}: {error.strerror}") from error
    if isinstance(settings, dict):
        return settings
    if rows.exists() and rows.stat().st_size:
        raise damage(path, "settings")
    return None
