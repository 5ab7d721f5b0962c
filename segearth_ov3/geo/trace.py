"""From labels, block by block, to one polygon per connected component.

A component is turned into a polygon once no further row can belong to it; until then only its corners are kept. Memory
is that of a block and of the components that are open. The result does not depend on the blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from .components import ComponentTracker, Step, Totals
from .outlines import Corners, build_polygons, find_corners

Place = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class Block(NamedTuple):
    """Some rows of a raster.

    Attributes:
        labels: Values (rows, W0), int32, `components.OUTSIDE` where there is no component.
        weights: M maps (rows, W0) to be summed up over each component.
        is_last: Whether the raster ends here.
    """

    labels: np.ndarray
    weights: Sequence[np.ndarray]
    is_last: bool


class Polygons(NamedTuple):
    """Complete components.

    Attributes:
        geometry: A valid Shapely polygon each (N,).
        totals: Their values, numbers of pixels and sums.
    """

    geometry: np.ndarray
    totals: Totals


class Parts(Protocol):
    """Arrays of equal length (a named tuple), of which `component` says what the rest belongs to."""

    @property
    def component(self) -> np.ndarray:
        """Component of each entry (K,)."""


class Method(Protocol):
    """How outlines are found."""

    def find(self, block: Block, step: Step) -> Any:
        """What a block adds to the outlines, as `Parts`."""

    def build(self, parts: Any, stride: int) -> np.ndarray:
        """Polygons (N,) of components 0 to N - 1, all of whose parts are given."""


class ExactOutlines(NamedTuple):
    """Outlines along the edges of pixels.

    Attributes:
        place: From columns and rows of the lattice (K,) to coordinates x and y (K,).
    """

    place: Place

    def find(self, block: Block, step: Step) -> Corners:
        """The corners of a block."""
        return find_corners(step.runs, step.of_run)

    def build(self, parts: Corners, stride: int) -> np.ndarray:
        """Polygons through the corners."""
        return build_polygons(parts, stride, self.place)


def trace_polygons(
    blocks: Iterable[Block], width: int, weights: int, keep: Callable[[Totals], np.ndarray], method: Method
) -> Iterator[Polygons]:
    """Find the polygon of every connected component.

    Args:
        blocks: The raster from top to bottom.
        width: W0.
        weights: M.
        keep: From the totals of N components to those wanted (N,), bool.
        method: How outlines are found.

    Yields:
        After each block, the components that it completed.
    """
    tracker = ComponentTracker(width, weights)
    parts: Any = None
    for block in blocks:
        step = tracker.add(block.labels, block.weights, is_last=block.is_last)
        found = method.find(block, step)
        if parts is not None:
            found = _join(parts._replace(component=step.of_open[parts.component]), found)
        is_done = ~step.is_open
        is_done[is_done] = keep(step.totals.select(is_done))
        parts = _select(found, step.is_open)
        yield Polygons(method.build(_select(found, is_done), width + 1), step.totals.select(is_done))


def _join(first: Any, second: Any) -> Any:
    """Parts one after the other."""
    return type(first)(*(np.concatenate(pair) for pair in zip(first, second)))


def _select(parts: Any, chosen: np.ndarray) -> Any:
    """Parts of the chosen components (N,), bool, which get new numbers."""
    is_chosen = chosen[parts.component]
    selected = type(parts)(*(values[is_chosen] for values in parts))
    return selected._replace(component=(np.cumsum(chosen) - 1)[selected.component])
