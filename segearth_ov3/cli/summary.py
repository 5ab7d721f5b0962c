"""A table of many scenes as CSV, complete at any time, which later runs and other shards continue."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..atomic import complete_or_absent
from ..errors import RasterError
from ..locks import exclusive_lock
from .scene_messages import printable

if TYPE_CHECKING:
    from ..geo.report import SceneReport

DONE, FAILED = "done", "failed"
_FIRST_COLUMNS = ("scene", "output", "status", "seconds", "km2", "valid_share")
_LAST_COLUMNS = ("warnings", "error")
_SHARE = "share "
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # spreadsheets run cells that begin so
_LOCK_WAIT_S = 60.0

Rows = dict[str, dict[str, str]]


class Summary:
    """The table. Every change reads the rows of other processes and keeps them.

    Args:
        path: Where it is, in an existing folder; the rows and columns of an earlier table are kept.
        classes: Names of the classes: each has a column with its share of the valid pixels.

    Attributes:
        set_aside: Where an earlier file was moved that is no such table, or None.

    Raises:
        RasterError: The table cannot be read or moved, or another process keeps its lock.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self._path = path
        self._columns = (*_FIRST_COLUMNS, *(f"{_SHARE}{name}" for name in classes), *_LAST_COLUMNS)
        self._own: Rows = {}
        self.set_aside: Path | None = None
        with self._locked():
            self._earlier_table()

    def note_complete(self, src: str, dst: str, report: SceneReport, seconds: float | None) -> None:
        """Add a scene whose map is complete; without `seconds`, those of an earlier run stay."""
        pixels = report.valid_pixels + report.invalid_pixels
        hectares = [entry.hectares for entry in report.classes if entry.hectares is not None]
        facts = {
            **({} if seconds is None else {"seconds": f"{seconds:.1f}"}),
            "km2": f"{sum(hectares) / 100:.6g}" if hectares else "",
            "valid_share": f"{report.valid_pixels / pixels:.4f}",
            **{f"{_SHARE}{entry.name}": f"{entry.share:.4f}" for entry in report.classes},
            "warnings": "; ".join(report.warnings),
            "error": "",
        }
        self._note(src, dst, DONE, facts)

    def note_failed(self, src: str, dst: str, error: str) -> None:
        """Add a scene that failed."""
        self._note(src, dst, FAILED, {"error": error})

    def _note(self, src: str, dst: str, status: str, facts: Mapping[str, str]) -> None:
        """Replace the row of a scene and write the table."""
        scene = printable(src)
        self._own[scene] = {"scene": scene, "output": printable(dst), "status": status, **facts}
        with self._locked():
            rows, columns = self._earlier_table()
            for name, row in self._own.items():
                rows[name] = {**self._kept(rows.get(name, {}), row), **row}
            self._write(rows, [*self._columns, *(name for name in columns if name not in self._columns)])

    def _kept(self, earlier: Mapping[str, str], row: Mapping[str, str]) -> dict[str, str]:
        """Cells of an earlier row that stay: columns that somebody added, and the time of a map that was kept."""
        kept = {
            name: text for name, text in earlier.items() if name not in self._columns and not name.startswith(_SHARE)
        }
        if row["status"] == DONE and earlier.get("status") == DONE:
            kept["seconds"] = earlier.get("seconds", "")
        return kept

    def _write(self, rows: Rows, columns: Sequence[str]) -> None:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow([_escaped(name) for name in columns])
        table.writerows([_escaped(printable(row.get(name, ""))) for name in columns] for row in rows.values())
        try:
            with complete_or_absent(self._path) as partial:
                partial.write_text(text.getvalue(), encoding="utf-8", newline="")
        except OSError as error:
            raise RasterError(f"cannot write the table {self._path}: {error.strerror}") from error

    def _earlier_table(self) -> tuple[Rows, list[str]]:
        """Rows by scene, and the columns, of the file that is there; a file that is no such table is set aside."""
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                lines = [line for line in csv.reader(file) if line]
        except FileNotFoundError:
            return {}, []
        except (UnicodeDecodeError, csv.Error):
            lines = [["not a table"]]
        except OSError as error:
            raise RasterError(f"cannot read the table {self._path}: {error.strerror}") from error
        if not lines:
            return {}, []
        columns = [_unescaped(name) for name in lines[0]]
        is_table = "scene" in columns and len(set(columns)) == len(columns)
        if not is_table or any(len(line) > len(columns) for line in lines):
            self._set_aside()
            return {}, []
        rows = [dict(zip(columns, map(_unescaped, line))) for line in lines[1:]]
        return {row["scene"]: row for row in rows if "scene" in row}, columns

    def _set_aside(self) -> None:
        numbers = (self._path.with_name(f"{self._path.name}.{number}") for number in range(1, 10_000))
        self.set_aside = next(path for path in numbers if not path.exists())
        try:
            self._path.rename(self.set_aside)
        except OSError as error:
            raise RasterError(f"cannot move the old table {self._path}: {error.strerror}") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from the table, and wait for one that writes it."""
        lock = self._path.with_name(f".{self._path.name}.lock")
        try:
            with exclusive_lock(lock, str(self._path), RasterError, wait_s=_LOCK_WAIT_S):
                yield
        except OSError as error:
            raise RasterError(f"cannot write the table {self._path}: {error.strerror}") from error


def _escaped(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _unescaped(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text
