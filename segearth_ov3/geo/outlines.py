"""Outlines of connected components as valid polygons, from nothing but their corners.

An outline turns at lattice points, the corners of pixels. Each turn joins the end of one horizontal edge with the end
of one vertical edge. The turns of one component on a lattice row that have it on the same side are, from left to right,
the ends of its edges there, two by two; likewise on lattice columns. So edges need not be followed: sorting finds them,
over any number of rows, which is why nothing has to be cut or glued at the borders of blocks.

Where two pixels of a component touch at a point only,

    a b       the outline could pass a → a (one ring that touches itself, which is no valid polygon)
    b a       or around each b (two rings that touch each other, which is one): the second is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import shapely
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components

from .components import OUTSIDE, Runs


class _Kind(NamedTuple):
    """What can be at a lattice point: the quadrant of its owner, and on which sides of the edges that one lies.

    Quadrants are 0 upper left, 1 upper right, 2 lower left, 3 lower right: q ^ 1 lies beside q, q ^ 2 above or below
    it, q ^ 3 across.
    """

    owner: int
    is_below: bool
    is_right: bool


_ORDER = (0, 3, 1, 2)  # quadrants across from each other follow each other, so that corners that touch do
_CONVEX = [_Kind(quadrant, quadrant >= 2, quadrant % 2 == 1) for quadrant in _ORDER]
_NOTCHES = [_Kind(quadrant ^ 3, quadrant < 2, quadrant % 2 == 0) for quadrant in _ORDER]
# a vertex in a straight edge is two corners, between which lies an edge of no length across
_STRAIGHT = [_Kind(0, False, True), _Kind(2, True, False), _Kind(0, True, False), _Kind(1, False, True)]
_KINDS = np.array([*_CONVEX, *_NOTCHES, *np.repeat(_STRAIGHT, 2, axis=0)]).T  # (3, 16)


class Corners(NamedTuple):
    """Turns of outlines, by rows and columns of the lattice.

    Attributes:
        point: Lattice row * (W0 + 1) + column (K,), int64, ascending.
        is_below: Whether the component lies below (else above) the horizontal edge that ends here (K,).
        is_right: Whether it lies to the right (else left) of the vertical edge (K,).
        component: Whose outline it is (K,).
    """

    point: np.ndarray
    is_below: np.ndarray
    is_right: np.ndarray
    component: np.ndarray


def find_corners(runs: Runs, of_run: np.ndarray, *, has_nodes: bool = False) -> Corners:
    """Find the turns of all outlines on the upper edges of a block's rows (and on the last one, at the raster's end).

    Args:
        runs: The block.
        of_run: Component of each run.
        has_nodes: Whether an outline also has a vertex where it goes straight on but its neighbour changes.

    Returns:
        The turns.
    """
    cells, stride = runs.cells, runs.stride
    differs_left = np.empty(len(cells), dtype=bool)
    differs_left[0] = False
    np.not_equal(cells[1:], cells[:-1], out=differs_left[1:])
    differs_above = cells[stride:] != cells[:-stride]  # of cell k at k - stride
    has_turn = differs_left[1 + stride :] | differs_left[1:-stride]
    has_turn &= differs_above[1:] | differs_above[:-1]
    lower_right = np.flatnonzero(has_turn) + (1 + stride)  # (P,) the cell to the lower right of each such point
    offsets = np.array([-stride - 1, -stride, -1, 0])
    found, kind = np.nonzero(_classify(cells[lower_right + offsets[:, None]], has_nodes).T)
    owner, is_below, is_right = _KINDS[:, kind]
    return Corners(
        point=lower_right[found] - (1 + stride) + np.int64(runs.first_row) * stride,
        is_below=is_below.astype(bool),
        is_right=is_right.astype(bool),
        component=of_run[runs.run_of[lower_right[found] + offsets[owner]]],
    )


def _classify(around: np.ndarray, has_nodes: bool) -> np.ndarray:
    """Which of the 16 kinds (8 without nodes) are at points (P,), given the cells in their quadrants (4, P)."""
    beside, vertical, across = (around[np.arange(4) ^ flip] for flip in (1, 2, 3))
    is_inside = around != OUTSIDE
    is_convex = (around != beside) & (around != vertical) & is_inside
    is_notch = (beside == vertical) & (beside == across) & (beside != around) & (beside != OUTSIDE)
    kinds = [*is_convex[[*_ORDER]], *is_notch[[*_ORDER]]]
    if has_nodes:
        is_along = (around == beside) & (around != vertical) & (vertical != across) & (beside != across) & is_inside
        is_down = (around == vertical) & (around != beside) & (beside != across) & (vertical != across) & is_inside
        kinds += [is_along[0], is_along[0], is_along[2], is_along[2], is_down[0], is_down[0], is_down[1], is_down[1]]
    return np.stack(kinds)


def build_polygons(
    corners: Corners, stride: int, place: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Join the corners of whole components to polygons.

    Args:
        corners: All corners of components 0 to N - 1.
        stride: W0 + 1.
        place: From columns and rows of the lattice (K,) to coordinates x and y (K,).

    Returns:
        One valid polygon per component (N,), of Shapely's type; outer rings counter-clockwise.
    """
    if not len(corners.point):
        return np.empty(0, dtype=object)
    following = _following(corners, stride)
    order, ring_lengths, ring_components = _trace_rings(following, corners.component)
    ring = np.repeat(np.arange(len(ring_lengths)), ring_lengths)
    point = corners.point[order]
    is_new = (np.diff(point, prepend=-1) != 0) | (np.diff(ring, prepend=-1) != 0)
    row, col = np.divmod(point[is_new], stride)
    rings = shapely.linearrings(np.stack(place(col, row), axis=1), indices=ring[is_new])
    polygons: np.ndarray = shapely.orient_polygons(shapely.polygons(rings, indices=ring_components))
    return polygons


def _following(corners: Corners, stride: int) -> np.ndarray:
    """For each corner the next one on its outline, clockwise as the picture is seen."""
    point, is_below, is_right, component = corners
    is_right = is_right.copy()
    meets = np.flatnonzero((point[1:] == point[:-1]) & (component[1:] == component[:-1]))  # a touches a
    is_right[meets], is_right[meets + 1] = is_right[meets + 1], is_right[meets]
    row, col = np.divmod(point, stride)
    following = np.empty(len(point), dtype=np.int32 if len(point) < 2**31 else np.int64)
    horizontal = np.lexsort((point, is_below, component)).reshape(-1, 2)  # (edges, 2): left end, right end
    vertical = np.lexsort((row, col, is_right, component)).reshape(-1, 2)  # upper end, lower end
    for edges, is_forward in ((horizontal, is_below), (vertical, ~is_right)):
        first, second = edges.T
        forward = is_forward[first]
        following[first[forward]] = second[forward]
        following[second[~forward]] = first[~forward]
    return following


def _trace_rings(following: np.ndarray, component: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring corners in the order of their rings: the order (K,), and length and component of each ring.

    Rings of a component follow each other, the outer one first: it has the component's topmost corner.
    """
    count = len(following)
    each = np.arange(count, dtype=following.dtype)
    rings, ring_of = connected_components(_chain(following), directed=True, connection="weak")
    first = np.empty(rings, dtype=following.dtype)
    first[ring_of[::-1]] = each[::-1]  # of several, the last one written stays: the smallest
    ring_order = np.lexsort((first, component[first]))
    first = first[ring_order]
    preceding = np.empty_like(following)
    preceding[following] = each
    # all rings as one long ring, for which walking along it is a search in a graph
    following[preceding[first]] = np.roll(first, -1)
    order = breadth_first_order(_chain(following), first[0], directed=True, return_predecessors=False)
    return order, np.bincount(ring_of)[ring_order], component[first]


def _chain(following: np.ndarray) -> csr_array:
    """The graph with an edge from each corner to the following one."""
    count = len(following)
    ends = np.arange(count + 1, dtype=following.dtype)
    return csr_array((np.ones(count), following, ends), shape=(count, count))
