"""Blending of overlapping windows into one map of scores, a band of rows at a time.

Along each axis, a window has a weight for each of its pixels, and the weights of all windows at a pixel sum to one; the
weight of a window at a pixel is the product of both. So nothing has to be divided at the end, and what a pixel gets
depends on the plan alone: not on how the scene is cut into strips, nor on where work was interrupted. The windows of a
pixel are added in the order of the plan, from the top left to the bottom right, which makes that exact to the last bit.

    cosine    a raised cosine: smooth from one window to the next
    uniform   every window counts the same
    centre    only the window whose centre is nearest counts
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import numpy as np

from ..errors import OptionError, ShapeError

Blending = Literal["cosine", "uniform", "centre"]
BLENDINGS: tuple[str, ...] = get_args(Blending)


def axis_weights(starts: Sequence[int], side: int, blending: str) -> np.ndarray:
    """Weights of the windows along one axis.

    Args:
        starts: First pixels of the windows (N,), ascending and without gaps between windows.
        side: Length of a window in pixels.
        blending: One of `BLENDINGS`.

    Returns:
        (N, side), float64, 0 to 1. Wherever a window lies, the weights of all windows there sum to one.

    Raises:
        OptionError: There is no such blending.
    """
    if blending not in BLENDINGS:
        raise OptionError(f"unknown blending {blending!r}, known: {', '.join(BLENDINGS)}")
    positions = np.asarray(starts)[:, None] + np.arange(side)  # (N, side)
    if blending == "centre":
        return _nearest(positions, side)
    taper = np.ones(side)
    if blending == "cosine":
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(side) + 0.5) / side)
    total = np.zeros(positions[-1, -1] + 1)
    for window in positions:
        total[window] += taper
    return taper / total[positions]


def _nearest(positions: np.ndarray, side: int) -> np.ndarray:
    """1 where the centre of a window is the nearest one, the first of two; else 0: (N, side)."""
    best = np.full(positions[-1, -1] + 1, np.inf)
    owner = np.zeros(len(best), dtype=int)
    distance = np.abs(np.arange(side) + 0.5 - side / 2)
    for index, window in enumerate(positions):
        nearer = distance < best[window]
        best[window[nearer]] = distance[nearer]
        owner[window[nearer]] = index
    return (owner[positions] == np.arange(len(positions))[:, None]).astype(np.float64)


class RowBlender:
    """Sums of weighted scores for the rows that are being worked on.

    Rows lie in a ring, so that memory depends on `rows` only: as soon as rows are taken out, their place is free again.

    Args:
        classes: C.
        rows: Rows that may be in work at the same time.
        cols: First column, and the one after the last.
        top: First row; what windows have above it is left out.
        dtype: Of the sums.
    """

    def __init__(
        self, classes: int, rows: int, cols: tuple[int, int], *, top: int = 0, dtype: np.typing.DTypeLike = np.float32
    ) -> None:
        self.top = top
        self._cols = cols
        self._sums = np.zeros((classes, rows, cols[1] - cols[0]), dtype)

    def add(self, scores: np.ndarray, row: int, col: int, weights: tuple[np.ndarray, np.ndarray]) -> None:
        """Add the scores of a window.

        Args:
            scores: (C, h, w), a floating type.
            row, col: Its upper left pixel.
            weights: Weights of its rows (h,) and of its columns (w,).

        Raises:
            ShapeError: The scores are of another number of classes or another size, or of rows that do not fit in.
        """
        height, width = len(weights[0]), len(weights[1])
        if scores.shape != (len(self._sums), height, width):
            raise ShapeError(f"expected scores {(len(self._sums), height, width)}, got {scores.shape}")
        if row + height > self.top + self._sums.shape[1]:
            raise ShapeError(f"rows up to {row + height} do not fit in; take out what is finished first")
        left, right = max(self._cols[0], col), min(self._cols[1], col + width)
        if left >= right:
            return
        weight = np.outer(weights[0], weights[1][left - col : right - col]).astype(self._sums.dtype)
        target = slice(left - self._cols[0], right - self._cols[0])
        for rows, place in self._places(max(row, self.top), row + height):
            part = slice(rows.start - row, rows.stop - row)
            for sums, values in zip(self._sums[:, place, target], scores[:, part, left - col : right - col]):
                sums += values * weight[part]  # class by class: three times faster, as products stay in the cache

    def take(self, stop: int) -> np.ndarray:
        """Take out the finished rows from `top` to `stop` - 1: (C, stop - top, width); `top` becomes `stop`."""
        taken = np.empty((len(self._sums), stop - self.top, self._sums.shape[2]), self._sums.dtype)
        for rows, place in self._places(self.top, stop):
            taken[:, rows.start - self.top : rows.stop - self.top] = self._sums[:, place]
            self._sums[:, place] = 0
        self.top = stop
        return taken

    def _places(self, start: int, stop: int) -> Iterator[tuple[slice, slice]]:
        """Rows of the scene and where in the ring they are, in at most two pieces."""
        length = self._sums.shape[1]
        while start < stop:
            place = start % length
            end = min(stop, start + length - place)
            yield slice(start, end), slice(place, place + end - start)
            start = end


def decide_labels(scores: np.ndarray, prob_threshold: float, background: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Label every pixel with its best class, as `engine.scores.labels_from_scores` does.

    Args:
        scores: Class scores (C, H, W), 0 to 1.
        prob_threshold: Pixels whose best score is below it become `background`.
        background: Index of the class of such pixels; None gives every pixel its best class.

    Returns:
        Labels (H, W), uint16, the lowest index where scores are equal, and the best score (H, W).
    """
    best = scores[0].copy()
    labels = np.zeros(best.shape, np.uint16)
    for index, candidate in enumerate(scores[1:], start=1):  # several times faster than argmax over the first axis
        np.copyto(labels, np.uint16(index), where=candidate > best)
        np.maximum(best, candidate, out=best)
    if background is not None:
        labels[best < prob_threshold] = background
    return labels, best
