"""A table of many scenes as CSV, complete at any time, which later runs go on with."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import complete_or_absent
from ..errors import RasterError

if TYPE_CHECKING:
    from ..geo.report import SceneReport

DONE, SKIPPED, FAILED = "done", "skipped", "failed"
_FIRST_COLUMNS = ("scene", "output", "status", "seconds", "km2", "valid_share")
_LAST_COLUMNS = ("warnings", "error")


class Summary:
    """The table.

    Args:
        path: Where it is; rows of an earlier run are kept if its columns are the same.
        classes: Names of the classes: each has a column with its share of the valid pixels.
    """

    def __init__(self, path: Path, classes: Sequence[str]) -> None:
        self._path = path
        self._classes = tuple(classes)
        self._columns = (*_FIRST_COLUMNS, *(f"share {name}" for name in classes), *_LAST_COLUMNS)
        self._rows = self._earlier_rows()

    def note_done(self, src: str, dst: str, seconds: float, report: SceneReport) -> None:
        """Add a finished scene."""
        pixels = report.valid_pixels + report.invalid_pixels
        hectares = [entry.hectares for entry in report.classes if entry.hectares is not None]
        facts = {
            "seconds": f"{seconds:.1f}",
            "km2": f"{sum(hectares) / 100:.6g}" if hectares else "",
            "valid_share": f"{report.valid_pixels / pixels:.4f}",
            **{f"share {entry.name}": f"{entry.share:.4f}" for entry in report.classes},
            "warnings": "; ".join(report.warnings),
        }
        self._note(src, dst, DONE, facts)

    def note_skipped(self, src: str, dst: str) -> None:
        """Note a scene that was finished before; what an earlier run said about it stays."""
        if self._rows.get(src, {}).get("status") not in (DONE, SKIPPED):
            self._note(src, dst, SKIPPED, {})

    def note_failed(self, src: str, dst: str, error: str) -> None:
        """Add a scene that failed."""
        self._note(src, dst, FAILED, {"error": error})

    def _note(self, src: str, dst: str, status: str, facts: Mapping[str, Any]) -> None:
        self._rows[src] = {"scene": src, "output": dst, "status": status, **facts}
        text = io.StringIO()
        table = csv.DictWriter(text, self._columns, restval="", lineterminator="\n")
        table.writeheader()
        table.writerows(self._rows.values())
        try:
            with complete_or_absent(self._path) as partial:
                partial.write_text(text.getvalue(), encoding="utf-8")
        except OSError as error:
            raise RasterError(f"cannot write the summary {self._path}: {error.strerror}") from error

    def _earlier_rows(self) -> dict[str, dict[str, str]]:
        """Rows by scene."""
        try:
            with self._path.open(encoding="utf-8", newline="") as file:
                table = csv.DictReader(file)
                fits = tuple(table.fieldnames or ()) == self._columns
                return {row["scene"]: row for row in table} if fits else {}
        except (OSError, UnicodeDecodeError, csv.Error):
            return {}
