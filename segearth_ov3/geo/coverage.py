"""Simplified outlines that neighbours share: no gaps, no overlaps, no invalid polygons.

Each block is simplified as a coverage (Visvalingam-Whyatt, corners of the smallest triangles first, shared edges once
for both sides, without crossings). What lies on the border of the block stays as it is: so pieces of a component in
blocks above each other meet exactly, and are united.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely

from .components import OUTSIDE, Step, connect_runs, find_runs
from .outlines import build_polygons, find_corners
from .trace import Block, Place

FILL = OUTSIDE + 1  # what is not wanted, in a coverage, which must not have holes


class Pieces(NamedTuple):
    """Parts of polygons.

    Attributes:
        geometry: Shapely polygons (K,), by columns and rows of the lattice.
        component: Component of each (K,).
    """

    geometry: np.ndarray
    component: np.ndarray


class SimplifiedOutlines(NamedTuple):
    """Outlines with fewer corners.

    Attributes:
        tolerance: Square root of the area, in pixels, of triangles that may be cut off or added; staircases of single
            pixels vanish from 0.75 on.
        place: From columns and rows of the lattice (K,) to coordinates x and y (K,).
    """

    tolerance: float
    place: Place

    def find(self, block: Block, step: Step) -> Pieces:
        """The simplified pieces of a block, which must have no `OUTSIDE` but may have `FILL`."""
        above = np.full(block.labels.shape[1], OUTSIDE, dtype=np.int32)
        alone = find_runs(block.labels, above, first_row=step.runs.first_row, is_last=True)
        _, _, of_run = connect_runs(alone, np.full(len(above), -1), 0)
        # neighbours need the same vertices on what they share
        corners = find_corners(alone, of_run, has_nodes=True)
        pieces = build_polygons(corners, alone.stride, lambda col, row: (col, row))
        pieces = shapely.coverage_simplify(pieces, self.tolerance, simplify_boundary=False)
        first_runs = np.unique(of_run, return_index=True)[1][1:]  # of each piece; what comes first is OUTSIDE
        first_cells = alone.starts[first_runs]
        is_wanted = alone.cells[first_cells] != FILL
        component = step.of_run[step.runs.run_of[first_cells]]
        return Pieces(pieces[is_wanted], component[is_wanted])

    def build(self, parts: Pieces, stride: int) -> np.ndarray:
        """Polygons of the pieces."""
        if not len(parts.component):
            return np.empty(0, dtype=object)
        order = np.argsort(parts.component, kind="stable")
        groups = np.split(parts.geometry[order], np.flatnonzero(np.diff(parts.component[order])) + 1)
        polygons = np.array([group[0] for group in groups])
        is_cut = np.array([len(group) > 1 for group in groups])
        if is_cut.any():
            united = np.array([shapely.union_all(group) for group in groups if len(group) > 1])
            polygons[is_cut] = _without_seams(united, np.unique(shapely.bounds(parts.geometry)[:, [1, 3]]))
        placed = shapely.transform(polygons, lambda xy: np.stack(self.place(xy[:, 0], xy[:, 1]), axis=1))
        oriented: np.ndarray = shapely.orient_polygons(placed)
        return oriented


def _without_seams(polygons: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Polygons (N,) without vertices in straight edges on some rows, except where a polygon touches itself."""
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    is_closing = np.diff(ring, append=-1) != 0
    xy, ring = xy[~is_closing], ring[~is_closing]
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    last = np.append(first[1:], len(ring)) - 1
    before, after = np.arange(len(ring)) - 1, np.arange(len(ring)) + 1
    before[first], after[last] = last, first
    (x1, y1), (x2, y2) = (xy - xy[before]).T, (xy[after] - xy).T
    on_seam = np.flatnonzero(np.isin(xy[:, 1], rows))
    vertices = np.column_stack([polygon[ring[on_seam]], xy[on_seam]])
    _, vertex, visits = np.unique(vertices, axis=0, return_inverse=True, return_counts=True)
    is_dropped = on_seam[(visits[vertex] == 1) & ((x1 * y2 == x2 * y1)[on_seam])]
    rings = shapely.linearrings(np.delete(xy, is_dropped, axis=0), indices=np.delete(ring, is_dropped))
    cleaned: np.ndarray = shapely.polygons(rings, indices=polygon)
    return cleaned
