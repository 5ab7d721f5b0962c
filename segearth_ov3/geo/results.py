"""The results of a scene, made of its finished rows in one pass: maps, picture, style, report."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import remove_leftovers
from ..errors import RasterError
from .access import DEFAULT_ACCESS, Access
from .journal import Journal, Layer
from .maps import MapKind, confidence_map, label_map, open_map, score_map
from .options import Outputs, PathLike
from .output import GEOTIFF_SUFFIXES, PICTURE_SUFFIXES, check_destination, replace_when_complete
from .overlay import bounded_size, render_overlay
from .ownership import Overwrite, picture_metadata
from .palette import Color
from .raster import open_raster
from .reader import SceneReader
from .report import ClassCounter
from .sources import source_files
from .style import STYLE_SUFFIX, style_path, write_style
from .unfinished import partial_folder
from .vectors import DRIVERS


class Results:
    """What is written for a scene.

    Args:
        src: The scene.
        dst: The class map.
        outputs: What else.
        access: What the scene may refer to, see `geo.access`.
        overwrite: As in `output.check_destination`.
        resume: Replace what an interrupted run has left besides its class map, which it would have written last.

    Raises:
        RasterError: The scene cannot be opened, a file cannot be written, or two of them have one name.
    """

    def __init__(
        self,
        src: PathLike,
        dst: PathLike,
        outputs: Outputs,
        *,
        access: Access = DEFAULT_ACCESS,
        overwrite: Overwrite = False,
        resume: bool = False,
    ) -> None:
        wanted: dict[str, tuple[PathLike | None, Sequence[str]]] = {
            "labels": (dst, GEOTIFF_SUFFIXES),
            "confidence": (outputs.confidence, GEOTIFF_SUFFIXES),
            "scores": (outputs.scores, GEOTIFF_SUFFIXES),
            "overlay": (outputs.overlay, PICTURE_SUFFIXES),
            "vector": (outputs.vector, tuple(DRIVERS)),
            "style": (style_path(Path(dst)) if outputs.style else None, (STYLE_SUFFIX,)),
        }
        with open_raster(src, access) as dataset:
            files = source_files(dataset)
        self.paths: dict[str, Path] = {}
        for name, (path, suffixes) in wanted.items():
            if path is None:
                continue
            is_left_over = resume and name != "labels" and partial_folder(Path(dst)).exists()
            target = check_destination(path, files, overwrite=overwrite or is_left_over, suffixes=suffixes)
            if target.resolve() in {other.resolve() for other in self.paths.values()}:
                raise RasterError(f"cannot write {path} twice: the outputs of a scene need different names")
            self.paths[name] = target
        self._cog = outputs.cog

    def kinds(
        self, classes: Sequence[str], colors: Sequence[Color] | None, tags: Mapping[str, Any]
    ) -> dict[str, MapKind]:
        """The maps among the results, by name."""
        kinds = {
            "labels": label_map(classes, colors, tags),
            "confidence": confidence_map(tags),
            "scores": score_map(classes, tags),
        }
        return {name: kind for name, kind in kinds.items() if name in self.paths}

    def write(
        self,
        journal: Journal,
        reader: SceneReader,
        kinds: Mapping[str, MapKind],
        classes: Sequence[str],
        colors: Sequence[Color] | None,
        then: Callable[[Path], object] | None = None,
    ) -> ClassCounter:
        """Write everything; the class map gets its name last.

        Args:
            journal: All rows.
            reader: The scene.
            kinds: As `kinds` returns them.
            classes: Names of the C classes.
            colors: A colour per class, or None where nothing needs them.
            then: Called with the complete class map before it has its name, when all other maps have theirs.

        Returns:
            What was counted.

        Raises:
            RasterError: Something cannot be written.
        """
        for path in self.paths.values():
            remove_leftovers(path)
        counter = ClassCounter(reader.profile, classes)
        reduced = _Reduced(reader.profile.size)

        def finish(labels: Path) -> None:
            """Write what needs the complete class map, or must not be there without it."""
            if then is not None:
                then(labels)
            if colors is not None and "style" in self.paths:
                write_style(self.paths["style"], classes, colors)

        with contextlib.ExitStack() as stack:
            # entered first, left last
            writers = {
                name: stack.enter_context(
                    open_map(
                        self.paths[name],
                        kind,
                        reader.profile,
                        cog=self._cog,
                        overwrite="force",
                        then=finish if name == "labels" else None,
                    )
                )
                for name, kind in kinds.items()
            }
            for start, layers in _bands(journal):
                for name, writer in writers.items():
                    writer.write(start, layers[name])
                counter.add(start, layers["labels"][0])
                reduced.take(start, layers["labels"][0])
            if colors is not None and "overlay" in self.paths:
                self._draw(reader, reduced.labels, classes, colors)
        return counter

    def _draw(self, reader: SceneReader, labels: np.ndarray, classes: Sequence[str], colors: Sequence[Color]) -> None:
        tile = reader.read_reduced((labels.shape[0], labels.shape[1]))
        picture = render_overlay(tile.image, labels, classes, colors)
        with replace_when_complete(self.paths["overlay"]) as partial:
            picture.save(partial, exif=picture_metadata())


def layers_of(kinds: Mapping[str, MapKind]) -> dict[str, Layer]:
    """What has to be kept of every row for these maps."""
    return {name: Layer(kind.dtype, len(kind.names)) for name, kind in kinds.items()}


def _bands(journal: Journal) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
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
