"""What was found in a scene: pixels, shares and areas of the classes, added up while the map is written."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import RasterError
from ..table import format_table, html_table
from .area import PixelAreas, measure_pixels, sum_by_class
from .raster import RasterProfile


@dataclasses.dataclass(frozen=True)
class ClassArea:
    """How much of a scene a class covers.

    Attributes:
        name: Name of the class.
        pixels: Valid pixels of the class.
        share: Part of all valid pixels, 0 to 1.
        hectares: Area on the ground; None where the scene has none.
    """

    name: str
    pixels: int
    share: float
    hectares: float | None


@dataclasses.dataclass(frozen=True)
class SceneReport:
    """What was found in a scene; prints as a table, in a notebook too.

    Attributes:
        classes: One entry per class, in label order.
        valid_pixels: Pixels with a class.
        invalid_pixels: Pixels without information, which have none.
        no_area_reason: Why there are no hectares, or None where there are.
        notes: What was decided while reading the scene.
        warnings: What limits the meaning of the result; each was given as a RasterWarning too.
        written: Files that were written; none where the map and all outputs were complete before.
    """

    classes: tuple[ClassArea, ...]
    valid_pixels: int
    invalid_pixels: int
    no_area_reason: str | None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    written: tuple[Path, ...] = ()

    def rows(self) -> list[tuple[str, ...]]:
        """Return heading and classes as text: name, pixels, share of the valid pixels, hectares; "-" for no area."""
        rows: list[tuple[str, ...]] = [("class", "pixels", "share", "hectares")]
        for entry in self.classes:
            hectares = "-" if entry.hectares is None else f"{entry.hectares:.4f}"
            rows.append((entry.name, str(entry.pixels), f"{entry.share:.2%}", hectares))
        if self.invalid_pixels:
            rows.append(("(no data)", str(self.invalid_pixels), "-", "-"))
        return rows

    def __str__(self) -> str:
        return format_table(self.rows())

    def _repr_html_(self) -> str:
        remarks = [f"Note: {note}" for note in self.notes] + [f"Warning: {warning}" for warning in self.warnings]
        return html_table(self.rows()) + "".join(f"<p>{html.escape(remark)}</p>" for remark in remarks)


class ClassCounter:
    """Adds up pixels and areas of classes.

    Args:
        profile: Where the scene lies.
        classes: Names of the C classes.
    """

    def __init__(self, profile: RasterProfile, classes: Sequence[str]) -> None:
        self._classes = tuple(classes)
        self._total = profile.height * profile.width
        self._pixels = np.zeros(len(classes), np.int64)
        self._square_metres = np.zeros(len(classes))
        self._areas: PixelAreas | None = None
        self.no_area_reason: str | None = None
        try:
            self._areas = measure_pixels(profile)
        except RasterError as error:
            self.no_area_reason = str(error)

    @property
    def valid_pixels(self) -> int:
        """Pixels with a class so far."""
        return int(self._pixels.sum())

    def add(self, start: int, labels: np.ndarray) -> None:
        """Count rows of labels (n, W0), the first of which is row `start`; what is no class is not valid."""
        self._pixels += np.bincount(labels.ravel(), minlength=len(self._classes))[: len(self._classes)]
        if self._areas is not None and self._areas.uniform_m2 is None:
            valid = labels < len(self._classes)
            self._square_metres += sum_by_class(labels, valid, len(self._classes), self._areas, start)

    def report(self, notes: Sequence[str], warnings: Sequence[str], written: Sequence[Path] = ()) -> SceneReport:
        """Everything so far."""
        hectares: list[float | None] = [None] * len(self._classes)
        if self._areas is not None:
            uniform = self._areas.uniform_m2
            square_metres = self._square_metres if uniform is None else self._pixels * uniform
            hectares = list((square_metres / 1e4).tolist())
        total = self.valid_pixels
        rows = zip(self._classes, self._pixels.tolist(), hectares)
        return SceneReport(
            classes=tuple(ClassArea(name, count, count / max(total, 1), area) for name, count, area in rows),
            valid_pixels=total,
            invalid_pixels=self._total - total,
            no_area_reason=self.no_area_reason,
            notes=tuple(notes),
            warnings=tuple(warnings),
            written=tuple(written),
        )
