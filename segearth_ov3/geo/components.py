"""Connected components of a label raster that is seen block by block, from the top row to the last.

Pixels of one value that share an edge are connected (4-neighbours), also across blocks. A block lies flat in memory,
with the row above it on top and a column of `OUTSIDE` behind it, so that neighbours are at fixed distances:

    # a a b b #      row above            left of cell k: k - 1
      a b b c #      block                above cell k:   k - stride, stride = W0 + 1
      a a a c #                           the first # is the left neighbour of the first column

Cells are not looked at one by one: runs of equal cells in a row are the nodes of a graph, whose components SciPy finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

OUTSIDE = np.iinfo(np.int32).min  # belongs to no component: beyond the raster, without data, or not wanted


class Runs(NamedTuple):
    """A block as runs of equal cells.

    Attributes:
        cells: Values (1 + rows * stride,), int32, as drawn above; the last block has one more row of `OUTSIDE`.
        stride: Cells per row, W0 + 1.
        starts: First cell of each run (R,), ascending.
        run_of: Run of each cell, int32.
        first_row: Row of the raster that is the first row of the block, below the row above.
    """

    cells: np.ndarray
    stride: int
    starts: np.ndarray
    run_of: np.ndarray
    first_row: int

    @property
    def values(self) -> np.ndarray:
        """Value of each run (R,), int32."""
        return self.cells[self.starts]


class Totals(NamedTuple):
    """What is known of N components.

    Attributes:
        values: Their values (N,), int32.
        pixels: Numbers of pixels (N,), int64.
        sums: Sums of the M weights over their pixels (M, N), float64.
    """

    values: np.ndarray
    pixels: np.ndarray
    sums: np.ndarray

    def select(self, chosen: np.ndarray) -> Totals:
        """Those that `chosen`, indices or a mask, names."""
        return Totals(self.values[chosen], self.pixels[chosen], self.sums[:, chosen])


class Step(NamedTuple):
    """The components that are open above a block or occur in it.

    Attributes:
        runs: The block.
        of_run: Component of each run (R,), -1 where the run is `OUTSIDE`.
        of_open: Component, by its new number, of each one that was open before.
        totals: Their totals up to here.
        is_open: Whether they reach the last row, and more rows follow (N,).
    """

    runs: Runs
    of_run: np.ndarray
    of_open: np.ndarray
    totals: Totals
    is_open: np.ndarray


class ComponentTracker:
    """Numbers components while blocks come in; keeps nothing but the last row and totals of open components."""

    def __init__(self, width: int, weights: int) -> None:
        self._above = np.full(width, OUTSIDE, dtype=np.int32)
        self._above_components = np.full(width, -1)
        self._next_row = 0
        self._open = Totals(np.empty(0, np.int32), np.empty(0, np.int64), np.empty((weights, 0)))

    def add(self, labels: np.ndarray, weights: Sequence[np.ndarray], *, is_last: bool) -> Step:
        """Take the next rows.

        Args:
            labels: Values (rows, W0), int32, `OUTSIDE` where there is no component.
            weights: M maps (rows, W0) to be summed up over each component.
            is_last: Whether the raster ends here.

        Returns:
            The components. Open ones, in their order here, are those that the next step's `of_open` is about.
        """
        runs = find_runs(labels, self._above, first_row=self._next_row, is_last=is_last)
        count, of_open, of_run = connect_runs(runs, self._above_components, len(self._open.values))
        totals = self._add_up(runs, weights, count, of_open, of_run)
        is_open = np.zeros(count, dtype=bool)
        last_row = slice(1 + len(labels) * runs.stride, (1 + len(labels)) * runs.stride)
        bottom = of_run[runs.run_of[last_row]]  # (W0,)
        is_open[bottom[bottom >= 0]] = not is_last
        self._open = totals.select(is_open)
        self._above, self._next_row = labels[-1], self._next_row + len(labels)
        self._above_components = np.append(np.cumsum(is_open) - 1, -1)[bottom]  # -1 stays -1
        return Step(runs, of_run, of_open, totals, is_open)

    def _add_up(
        self, runs: Runs, weights: Sequence[np.ndarray], count: int, of_open: np.ndarray, of_run: np.ndarray
    ) -> Totals:
        """Totals of all components: what open ones had, and what the block adds."""
        first = np.searchsorted(runs.starts, runs.stride, side="right")  # the row above was counted before
        is_wanted = of_run[first:] >= 0
        owner = of_run[first:][is_wanted]
        values = np.empty(count, dtype=np.int32)
        values[of_open], values[owner] = self._open.values, runs.values[first:][is_wanted]
        lengths = np.diff(runs.starts[first:], append=len(runs.cells))[is_wanted]
        pixels = np.bincount(owner, lengths, count) + np.bincount(of_open, self._open.pixels, count)
        sums = np.empty((len(weights), count))
        for total, before, weight in zip(sums, self._open.sums, weights):
            total[:] = np.bincount(of_open, before, count)
            total += np.bincount(owner, _sum_runs(weight, runs)[is_wanted], count)
        return Totals(values, pixels.astype(np.int64), sums)


def find_runs(labels: np.ndarray, above: np.ndarray, *, first_row: int, is_last: bool) -> Runs:
    """Lay a block out flat and cut it into runs.

    Args:
        labels: Values (rows, W0), int32.
        above: The row above (W0,), int32; all `OUTSIDE` at the top of the raster.
        first_row: Row of the raster that is the first of `labels`.
        is_last: Whether a row of `OUTSIDE` follows.

    Returns:
        The runs.
    """
    rows, width = labels.shape
    stride = width + 1
    cells = np.full(1 + (1 + rows + is_last) * stride, OUTSIDE, dtype=np.int32)
    grid = cells[1:].reshape(-1, stride)
    grid[0, :width] = above
    grid[1 : 1 + rows, :width] = labels
    is_start = np.empty(len(cells), dtype=bool)
    is_start[0] = True
    np.not_equal(cells[1:], cells[:-1], out=is_start[1:])
    run_of = np.cumsum(is_start, dtype=np.int32)
    run_of -= 1
    return Runs(cells, stride, np.flatnonzero(is_start), run_of, first_row)


def connect_runs(runs: Runs, above_components: np.ndarray, open_count: int) -> tuple[int, np.ndarray, np.ndarray]:
    """Number the components that are open above a block or occur in it.

    Args:
        runs: The block.
        above_components: Open component of each pixel of the row above (W0,), -1 for none.
        open_count: How many are open.

    Returns:
        How many components there are, the number of each one that was open, and that of each run, -1 if `OUTSIDE`.
    """
    starts, stride = runs.starts, runs.stride
    # where runs above each other overlap, the overlap begins where one of them does
    overlaps = np.concatenate([starts[starts > stride], starts[starts < len(runs.cells) - stride] + stride])
    values = runs.cells[overlaps]
    overlaps = overlaps[(values == runs.cells[overlaps - stride]) & (values != OUTSIDE)]
    is_wanted = runs.values != OUTSIDE
    at_top = np.flatnonzero(is_wanted & (starts < stride))  # runs of the row above
    # nodes: open components, then runs
    one = np.concatenate([above_components[starts[at_top] - 1], open_count + runs.run_of[overlaps - stride]])
    other = np.concatenate([open_count + at_top, open_count + runs.run_of[overlaps]])
    nodes = open_count + len(starts)
    graph = coo_array((np.ones(len(one), dtype=bool), (one, other)), shape=(nodes, nodes))
    count, number = connected_components(graph, directed=False)
    is_real = np.zeros(count, dtype=bool)
    is_real[number[:open_count]] = True
    is_real[number[open_count:][is_wanted]] = True
    number = (np.cumsum(is_real) - 1)[number]
    return int(is_real.sum()), number[:open_count], np.where(is_wanted, number[open_count:], -1)


def _sum_runs(weight: np.ndarray, runs: Runs) -> np.ndarray:
    """Sum of a weight (rows, W0) over each run that starts in the block, float64."""
    padded = np.zeros((len(weight), runs.stride))
    padded[:, :-1] = weight
    first = runs.starts[runs.starts > runs.stride] - (1 + runs.stride)
    sums: np.ndarray = np.add.reduceat(padded.ravel(), first)
    return sums
