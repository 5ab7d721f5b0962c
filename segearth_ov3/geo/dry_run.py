"""What segmenting a scene would do: bands, windows, outputs and time, without writing anything."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from .options import Outputs, PathLike, Predictor, WindowOptions
from .planning import plan_job
from .raster import open_scene
from .reader import ReadOptions
from .results import output_paths
from .space import likely_bytes


@dataclasses.dataclass(frozen=True)
class DryRun:
    """What segmenting a scene would do.

    Attributes:
        size: Height and width of the scene in pixels.
        bands: Numbers of the bands that are red, green and blue.
        notes: What else was decided about the scene.
        window: Side of the windows in pixels.
        windows: How many there are; those without a valid pixel are skipped.
        strips: Strips of columns that are done one after the other.
        outputs: Each file with its size in bytes, roughly.
        seconds_per_window: Measured on one window, after one to warm up.
    """

    size: tuple[int, int]
    bands: tuple[int, ...]
    notes: tuple[str, ...]
    window: int
    windows: int
    strips: int
    outputs: tuple[tuple[Path, int], ...]
    seconds_per_window: float

    @property
    def seconds(self) -> float:
        """Return the time for all windows, roughly."""
        return self.seconds_per_window * self.windows


def dry_run(
    src: PathLike,
    dst: PathLike,
    predictor: Predictor,
    *,
    classes: Sequence[str],
    reading: ReadOptions,
    windows: WindowOptions,
    outputs: Outputs,
) -> DryRun:
    """Plan a scene and score one window of its middle twice.

    Args:
        src, dst, predictor, classes, reading, windows, outputs: As in `segment_scene`.

    Returns:
        What would be done.

    Raises:
        RasterError: The scene cannot be read.
    """
    with open_scene(src, reading) as reader:
        job = plan_job(reader, predictor, len(classes), windows)
        rows, cols, side = job.plan.row_starts, job.plan.col_starts, job.plan.side
        tile = reader.read(rows[len(rows) // 2], cols[len(cols) // 2], side, side)
        for _ in range(2):
            started = time.perf_counter()
            float(job.predict(tile.image[None])[0, 0, 0, 0])  # waits for the device
            seconds = time.perf_counter() - started
        paths = output_paths(dst, outputs)
        sizes = likely_bytes(paths, reader.profile.size, len(classes))
        return DryRun(
            size=reader.profile.size,
            bands=tuple(reader.profile.bands.rgb),
            notes=tuple(reader.notes + reader.warnings),
            window=side,
            windows=job.windows,
            strips=len(job.strips),
            outputs=tuple((paths[name], sizes[name]) for name in paths),
            seconds_per_window=seconds,
        )
