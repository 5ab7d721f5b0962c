"""The outputs of a scene, made in one pass over its rows: of a journal, or of a class map that is complete already."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import remove_leftovers
from ..errors import RasterError, RasterWarning
from .finished import check_same_map, rows_of_map
from .journal import Journal
from .maps import MapKind, open_map
from .output import replace_when_complete
from .overlay import bounded_size, render_overlay
from .ownership import picture_metadata
from .palette import Color
from .polygonize import polygonize
from .reader import SceneReader
from .report import ClassCounter
from .results import Results
from .style import write_style
from .unfinished import check_unfinished, drop_unfinished

_FROM_SCORES = ("confidence", "scores")

Rows = Iterator[tuple[int, Mapping[str, np.ndarray]]]


class SceneOutputs:
    """Writes the outputs of a scene.

    Args:
        results: Where they go.
        reader: The scene.
        classes: Names of the C classes.
        colors: A colour per class, or None where nothing needs them.
        kinds: The maps among the outputs, as `results.kinds` returns them.

    Attributes:
        written: Files that were written.
    """

    def __init__(
        self,
        results: Results,
        reader: SceneReader,
        classes: Sequence[str],
        colors: Sequence[Color] | None,
        kinds: Mapping[str, MapKind],
    ) -> None:
        self.results, self.reader, self.kinds = results, reader, kinds
        self.written: list[Path] = []
        self._classes, self._colors = classes, colors

    def complete(self, settings: Mapping[str, Any]) -> ClassCounter | None:
        """Keep a class map that is complete, and make from it the outputs that are missing.

        Args:
            settings: Of unfinished work, which may be left of the same run.

        Returns:
            What was counted; None if the scene has to be segmented: rows of a later run are unfinished, or an output is
            missing that needs scores.

        Raises:
            RasterError: The map, or another one among the outputs, was made with other settings.

        Warns:
            RasterWarning: The scene has to be segmented again, and why.
        """
        paths = self.results.paths
        missing = [name for name in paths if not paths[name].exists()]
        try:
            for name, kind in self.kinds.items():
                if name not in missing:
                    check_same_map(paths[name], kind, self.reader.profile, cog=self.results.cog)
        except RasterError:
            if check_unfinished(paths["labels"], resume=True):  # the map is of an earlier run, which is being replaced
                return None
            raise
        needed = [name for name in _FROM_SCORES if name in missing]
        if needed:
            message = f"the class map does not say the {' and '.join(needed)}, so the scene is segmented again"
            warnings.warn(f"{self.reader.profile.shown}: {message}", RasterWarning, stacklevel=4)
            return None
        labels = paths["labels"]
        rows = ((start, {"labels": part[None]}) for start, part in rows_of_map(labels))
        counter = self._write(rows, {}, missing, lambda: None)
        self._finish(labels, missing)
        drop_unfinished(labels, settings)
        return counter

    def write(self, journal: Journal, check: Callable[[], None]) -> ClassCounter:
        """Write everything; the class map gets its name last.

        Args:
            journal: All rows.
            check: Called when all pixels were read, before any file has its name.

        Returns:
            What was counted.

        Raises:
            RasterError: Something cannot be written.
        """
        return self._write(_bands(journal), self.kinds, list(self.results.paths), check)

    def _write(
        self, rows: Rows, kinds: Mapping[str, MapKind], names: Sequence[str], check: Callable[[], None]
    ) -> ClassCounter:
        """Count rows, and write some outputs from them."""
        paths = self.results.paths
        for name in names:
            remove_leftovers(paths[name])
        counter = ClassCounter(self.reader.profile, self._classes)
        reduced = _Reduced(self.reader.profile.size)
        with contextlib.ExitStack() as stack:
            # entered first, left last
            writers = {
                name: stack.enter_context(
                    open_map(
                        paths[name],
                        kind,
                        self.reader.profile,
                        cog=self.results.cog,
                        overwrite="force",
                        then=(lambda labels: self._finish(labels, names)) if name == "labels" else None,
                    )
                )
                for name, kind in kinds.items()
            }
            for start, layers in rows:
                for name, writer in writers.items():
                    writer.write(start, layers[name])
                counter.add(start, layers["labels"][0])
                reduced.take(start, layers["labels"][0])
            if self._colors is not None and "overlay" in names:
                image = self.reader.read_reduced((reduced.labels.shape[0], reduced.labels.shape[1])).image
            check()
            if self._colors is not None and "overlay" in names:
                self._draw(image, reduced.labels, self._colors)
        self.written += [paths[name] for name in kinds]
        return counter

    def _finish(self, labels: Path, names: Sequence[str]) -> None:
        """Write what needs the complete class map, or must not be there without it."""
        paths = self.results.paths
        if "vector" in names:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RasterWarning)  # the report says the same under the final name
                polygonize(labels, paths["vector"], confidence=paths.get("confidence"), overwrite="force")
            self.written.append(paths["vector"])
        if self._colors is not None and "style" in names:
            write_style(paths["style"], self._classes, self._colors)
            self.written.append(paths["style"])

    def _draw(self, image: np.ndarray, labels: np.ndarray, colors: Sequence[Color]) -> None:
        path = self.results.paths["overlay"]
        picture = render_overlay(image, labels, self._classes, colors)
        with replace_when_complete(path) as partial:
            picture.save(partial, exif=picture_metadata())
        self.written.append(path)


def _bands(journal: Journal) -> Rows:
    """First row and layers of each band, from top to bottom."""
    for band in range(journal.bands):
        yield journal.rows_of(band)[0], journal.read(band)


class _Reduced:
    """Labels of a scene in as few pixels as a picture needs: of each one, the pixel at its centre."""

    def __init__(self, size: tuple[int, int]) -> None:
        rows, cols = bounded_size(size)
        self._rows = ((np.arange(rows) + 0.5) * size[0] / rows).astype(int)
        self._cols = ((np.arange(cols) + 0.5) * size[1] / cols).astype(int)
        self.labels = np.zeros((rows, cols), np.int32)

    def take(self, start: int, labels: np.ndarray) -> None:
        """Take what is needed of some rows (n, W0), the first of which is row `start`."""
        inside = (self._rows >= start) & (self._rows < start + len(labels))
        self.labels[inside] = labels[self._rows[inside] - start][:, self._cols]
