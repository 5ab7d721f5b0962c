"""The windows of a scene, worked off from top to bottom: read, score, blend, label, put aside.

Three things happen at once, each in one thread: the next row of windows is read, the present windows are scored, and
the scores before are blended and labelled. Memory is that of two rows of windows of 8-bit pixels, a few windows of
scores, and the sums of one row of windows and 255 rows of pixels; it does not depend on the height of the scene.

Rows are put aside in bands of 256, once no window to come reaches into them. A strip that was interrupted begins again
with the windows that reach below its last finished row.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeError
from ..finite import check_finite
from .blend import RowBlender, axis_weights, decide_labels
from .journal import BAND_ROWS, Journal
from .progress import ProgressOption, windows_progress
from .reader import SceneReader, Tile
from .tiles import ScenePlan, Strip

if TYPE_CHECKING:
    from torch import Tensor

SCORE_LEVELS = 254  # of a score from 0 to 1 in 8 bits
SCORE_NODATA = 255
_LABELLED_ROWS = 32
_BLENDS_IN_FLIGHT = 2


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be done with a scene.

    Attributes:
        reader: The scene.
        plan: Its windows.
        strips: Its strips.
        predict: From windows (B, S, S, 3), uint8, to class scores (B, C, S, S), 0 to 1.
        classes: C.
        blending: See `geo.blend`.
        batch: Windows that are scored together, at most.
        prob_threshold, background: See `geo.blend.decide_labels`.
        nodata: Label of pixels that are not valid.
    """

    reader: SceneReader
    plan: ScenePlan
    strips: Sequence[Strip]
    predict: Callable[[np.ndarray], np.ndarray | Tensor]
    classes: int
    blending: str
    batch: int
    prob_threshold: float
    background: int | None
    nodata: int

    @property
    def windows(self) -> int:
        """Windows of all strips."""
        return len(self.plan.row_starts) * sum(strip.last - strip.first for strip in self.strips)


def run_job(job: Job, journal: Journal, progress: ProgressOption = None) -> None:
    """Label what the journal does not have yet.

    Args:
        job: What to do.
        journal: Takes the finished rows; its layers say what is kept.
        progress: Called with the windows done and their total; windows without a valid pixel count as well. Or "bar",
            see `geo.progress`.

    Raises:
        RasterError: The scene is damaged, or the journal cannot be written.
        ShapeError: `predict` returned scores of another shape.
        ScoreError: `predict` returned scores that are not finite.
    """
    done = 0
    with windows_progress(progress) as show:
        for index in range(len(job.strips)):
            worker = _StripWorker(job, journal, index)
            for windows in worker.run(start=journal.finished_rows(index)):
                done += windows
                if show is not None:
                    show(done, job.windows)


class _StripWorker:
    """Works off one strip."""

    def __init__(self, job: Job, journal: Journal, index: int) -> None:
        self._job, self._journal, self._index = job, journal, index
        self._strip = job.strips[index]
        plan = job.plan
        self._cols = plan.col_starts[self._strip.first : self._strip.last]
        self._row_weights = axis_weights(plan.row_starts, plan.side, job.blending)
        self._col_weights = axis_weights(plan.col_starts, plan.side, job.blending)[self._strip.first : self._strip.last]
        self._ring_rows = plan.side + BAND_ROWS - 1
        self._valid = np.zeros((self._ring_rows, self._strip.stop - self._strip.start), bool)
        self._blender: RowBlender | None = None
        self._top = 0

    def run(self, start: int) -> Iterator[int]:
        """Work from row `start` on; yields how many windows were done, again and again."""
        starts, side = self._job.plan.row_starts, self._job.plan.side
        self._top = start
        # windows that end above the first unfinished row are done; if none is left, so is the strip
        first = bisect.bisect_right(starts, start - side) if start < self._job.plan.size[0] else len(starts)
        yield first * len(self._cols)
        with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as blending:
            ahead = reading.submit(self._read, starts[first]) if first < len(starts) else None
            pending: deque[Future[None]] = deque()
            for index in range(first, len(starts)):
                assert ahead is not None
                tile = ahead.result()
                if index + 1 < len(starts):
                    ahead = reading.submit(self._read, starts[index + 1])
                pending.append(blending.submit(self._note_validity, starts[index], tile.valid))
                yield from self._score(index, tile, blending, pending)
                stop = starts[index + 1] if index + 1 < len(starts) else self._job.plan.size[0]
                pending.append(blending.submit(self._put_aside, stop))
            _wait(pending, 0)

    def _read(self, row: int) -> Tile:
        """All pixels of a row of windows."""
        side = self._job.plan.side
        return self._job.reader.read(row, self._cols[0], side, self._cols[-1] + side - self._cols[0])

    def _score(
        self, row_index: int, tile: Tile, blending: ThreadPoolExecutor, pending: deque[Future[None]]
    ) -> Iterator[int]:
        """Score the windows of a row and hand the scores on."""
        side = self._job.plan.side
        offsets = [col - self._cols[0] for col in self._cols]
        useful = [n for n, offset in enumerate(offsets) if tile.valid[:, offset : offset + side].any()]
        if len(useful) < len(offsets):
            yield len(offsets) - len(useful)
        batches = iter(useful)
        while batch := list(itertools.islice(batches, self._job.batch)):
            images = np.stack([_filled(tile, slice(offsets[n], offsets[n] + side)) for n in batch])  # (B, S, S, 3)
            scores = self._checked(self._job.predict(images), len(batch))
            pending.append(blending.submit(self._blend, row_index, batch, scores))
            _wait(pending, _BLENDS_IN_FLIGHT)
            yield len(batch)

    def _checked(self, scores: np.ndarray | Tensor, count: int) -> np.ndarray:
        """Scores as an array (B, C, S, S) of float32 or float64."""
        expected = count, self._job.classes, self._job.plan.side, self._job.plan.side
        if not hasattr(scores, "shape"):
            raise ShapeError(f"expected scores as an array or a tensor from predict, got {type(scores).__name__}")
        if tuple(scores.shape) != expected:
            raise ShapeError(
                f"expected scores {expected} (windows, classes, height, width) from predict, got {tuple(scores.shape)}"
            )
        array: Any = scores
        if not isinstance(scores, np.ndarray):
            array = scores.detach().cpu()
            array = (array if array.dtype.itemsize == 8 else array.float()).numpy()
        checked = np.asarray(array, np.float64 if array.dtype.itemsize == 8 else np.float32)
        check_finite(checked)
        return checked

    def _blend(self, row_index: int, batch: Sequence[int], scores: np.ndarray) -> None:
        if self._blender is None:
            cols = self._strip.start, self._strip.stop
            self._blender = RowBlender(self._job.classes, self._ring_rows, cols, top=self._top, dtype=scores.dtype)
        row = self._job.plan.row_starts[row_index]
        for n, window_scores in zip(batch, scores):
            weights = self._row_weights[row_index], self._col_weights[n]
            self._blender.add(window_scores, row, self._cols[n], weights)

    def _note_validity(self, row: int, valid: np.ndarray) -> None:
        """Keep the validity of the rows of a row of windows, those that are not finished yet."""
        left = self._strip.start - self._cols[0]
        first = max(row, self._top)
        rows = np.arange(first, row + len(valid)) % self._ring_rows
        self._valid[rows] = valid[first - row :, left : left + self._valid.shape[1]]

    def _put_aside(self, stop: int) -> None:
        """Label the rows above `stop` and put them aside, in whole bands."""
        height = self._job.plan.size[0]
        while self._top < height and (end := min(self._top + BAND_ROWS, height)) <= stop:
            valid = self._valid[np.arange(self._top, end) % self._ring_rows]
            self._journal.add(self._index, self._top // BAND_ROWS, self._finish(end, valid))
            self._top = end

    def _finish(self, end: int, valid: np.ndarray) -> dict[str, np.ndarray]:
        """The layers of the rows from the top to `end`."""
        empty: Mapping[str, Any] = {"labels": self._job.nodata, "confidence": np.nan, "scores": SCORE_NODATA}
        shape = valid.shape
        layers = {name: np.empty((layer.bands, *shape), layer.dtype) for name, layer in self._journal.layers.items()}
        for start in range(0, shape[0], _LABELLED_ROWS):
            rows = slice(start, min(start + _LABELLED_ROWS, shape[0]))
            scores = None if self._blender is None else self._blender.take(self._top + rows.stop)
            # large parts of many scenes are empty, and without any valid pixel so far there is no blender
            found = self._layers_of(scores, valid[rows]) if scores is not None and valid[rows].any() else empty
            for name, values in layers.items():
                values[:, rows] = found[name]
        return layers

    def _layers_of(self, scores: np.ndarray, valid: np.ndarray) -> Mapping[str, Any]:
        """The layers that are wanted, from the blended scores (C, H, W)."""
        labels, best = decide_labels(scores, self._job.prob_threshold, self._job.background)
        labels[~valid] = self._job.nodata
        layers: dict[str, Any] = {"labels": labels}
        if "confidence" in self._journal.layers:
            layers["confidence"] = np.where(valid, best, np.nan)
        if "scores" in self._journal.layers:
            layers["scores"] = np.where(valid, np.rint(scores * SCORE_LEVELS), SCORE_NODATA)
        return layers


def _filled(tile: Tile, cols: slice) -> np.ndarray:
    """A window (S, S, 3) whose pixels without information have the mean colour of the others.

    That is what a network looks past: black or white would be an edge, and next to what is normalised, a strong one.
    """
    image, valid = tile.image[:, cols], tile.valid[:, cols]
    if valid.all():
        return image
    filled = image.copy()
    filled[~valid] = np.rint(image[valid].mean(axis=0))
    return filled


def _wait(pending: deque[Future[None]], allowed: int) -> None:
    """Wait until at most so many tasks are unfinished; an error in one is raised here."""
    while len(pending) > allowed:
        pending.popleft().result()
