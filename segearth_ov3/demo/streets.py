"""Roads along the lattice's lines: which exist, how wide they are, and what stands and drives on them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .lattice import Lattice
from .plan import BROADLEAF, LANE, LOCAL, MAIN, PALM, TRUNK, Sketch, rows
from .stamps import expand
from .style import Style
from .terrain import BUILT_ZONES, Path
from .things import add_cars, add_trees

HALF_WIDTH_M = {LANE: (1.9, 2.6), LOCAL: (2.8, 4.0), MAIN: (5.2, 8.5)}
PIECE_M = 12.0


class Streets(NamedTuple):
    """Roads along one family of lines; axis 0 counts the lines, axis 1 the gaps between the crossing lines.

    Attributes:
        exists: Whether there is a road (lines, gaps).
        half_m: Half width of the carriageway (lines,).
        pavement_m: Width of the pavements (lines, gaps), 0 in the open country.
        is_busy: Whether there are buildings beside it (lines, gaps).
    """

    exists: NDArray[np.bool_]
    half_m: NDArray[np.float64]
    pavement_m: NDArray[np.float64]
    is_busy: NDArray[np.bool_]

    @property
    def margin_m(self) -> NDArray[np.float64]:
        """What the road takes from the block on either side (lines, gaps)."""
        return np.where(self.exists, self.half_m[:, None] + self.pavement_m, 0.0)


class Stretches(NamedTuple):
    """The existing roads of one family from crossing to crossing, one per row.

    Attributes:
        axis: 0 for roads along v at constant u, 1 for roads along u at constant v.
        position: The constant coordinate (n,).
        start: Where they begin (n,).
        stop: Where they end (n,).
        kind: LANE, LOCAL or MAIN (n,).
        half_m: Half width (n,).
        pavement_m: Width of the pavements (n,).
        is_busy: Whether there are buildings beside it (n,).
    """

    axis: int
    position: NDArray
    start: NDArray
    stop: NDArray
    kind: NDArray
    half_m: NDArray
    pavement_m: NDArray
    is_busy: NDArray

    def place(self, aside: NDArray, along: NDArray) -> tuple[NDArray, NDArray]:
        """Street coordinates u, v of points beside and along roads of this family (m,)."""
        return (aside, along) if self.axis == 0 else (along, aside)

    @property
    def angle(self) -> float:
        """Direction of the roads in street coordinates."""
        return np.pi / 2 * (1 - self.axis)


def draw_streets(rng: np.random.Generator, kinds: NDArray, zones: NDArray, arid: bool, country_roads: float) -> Streets:
    """Decide about the roads along one family of lines.

    Args:
        rng: Source of the random numbers.
        kinds: Road kind of each line (lines,).
        zones: Zones of the blocks between the lines (lines - 1, gaps).
        arid: In a desert few roads have pavements.
        country_roads: Factor on the chance of roads without buildings, 1 for the usual.

    Returns:
        The streets.
    """
    built = np.isin(zones, BUILT_ZONES)
    open_country = np.zeros((1, zones.shape[1]), bool)
    busy = np.concatenate((open_country, built)) | np.concatenate((built, open_country))
    lines, gaps = busy.shape
    through = rng.random(lines) < np.where(kinds == MAIN, 0.35, 0.1) * country_roads
    exists = np.where(busy, rng.random((lines, gaps)) < 0.96, through[:, None])
    low, high = np.array([HALF_WIDTH_M[int(kind)] for kind in kinds]).T
    half = rng.uniform(low, high)
    width = rng.choice([0.0, 1.6, 2.6], lines, p=[0.65, 0.25, 0.1] if arid else [0.3, 0.4, 0.3])
    return Streets(exists, half, np.where(busy, width[:, None], 0.0), busy)


def add_streets(
    sketch: Sketch, rng: np.random.Generator, lattice: Lattice, streets: tuple[Streets, Streets], style: Style
) -> None:
    """Add roads, crossings, street trees and cars; all in street coordinates except the road pieces."""
    sketch.begin(0.0, 0.0, 0.0, 0.0)
    for axis, family in enumerate(streets):
        line, gap = np.nonzero(family.exists)
        across = lattice.lines[1 - axis]
        stretches = Stretches(
            axis=axis,
            position=lattice.lines[axis][line],
            start=across[gap],
            stop=across[gap + 1],
            kind=lattice.kinds[axis][line],
            half_m=family.half_m[line],
            pavement_m=family.pavement_m[line, gap],
            is_busy=family.is_busy[line, gap],
        )
        if len(line):
            _add_pieces(sketch, lattice, stretches)
            _add_moving_cars(sketch, rng, stretches)
            _add_parked_cars(sketch, rng, stretches)
            _add_street_trees(sketch, rng, stretches, style)
    _add_nodes(sketch, rng, lattice, streets, style)


def _add_pieces(sketch: Sketch, lattice: Lattice, stretches: Stretches) -> None:
    """Cut each road into straight pieces and put them into the scene."""
    span = stretches.stop - stretches.start
    count = np.maximum(np.ceil(span / PIECE_M).astype(int), 1)
    owner, step = expand(count)
    length = (span / count)[owner]
    first = stretches.start[owner] + step * length
    aside = stretches.position[owner]
    begin, end = (np.stack(lattice.to_scene(*stretches.place(aside, along)), -1) for along in (first, first + length))
    pieces = road_pieces(begin, end, first + length / 2, stretches.half_m[owner], stretches.kind[owner])
    pieces["pavement_m"] = stretches.pavement_m[owner]
    sketch.parts["roads"].append(pieces)


def road_pieces(begin: NDArray, end: NDArray, along_m: NDArray, half_m: NDArray, kind: NDArray | int) -> NDArray:
    """Pieces of road between points (n, 2), a little longer so that no wedge stays open between them."""
    middle, ahead = (begin + end) / 2, end - begin
    return rows(
        "roads",
        x=middle[:, 0],
        y=middle[:, 1],
        angle=np.arctan2(ahead[:, 1], ahead[:, 0]),
        half_length=np.hypot(*ahead.T) / 2 + 0.4,
        half_width=half_m,
        along_m=along_m,
        kind=kind,
        pavement_m=0.0,
    )


def trunk_pieces(path: Path) -> NDArray:
    """Pieces of a trunk road."""
    knots, half = path.points[::8], path.half_width[::8]
    along = (np.arange(len(knots) - 1) + 0.5) * 8
    return road_pieces(knots[:-1], knots[1:], along, half[:-1], TRUNK)


def _add_moving_cars(sketch: Sketch, rng: np.random.Generator, stretches: Stretches) -> None:
    """Cars in the lanes, more on main roads."""
    is_main = stretches.kind == MAIN
    spacing = np.where(is_main, 35.0, np.where(stretches.is_busy, 70.0, 250.0))
    owner, _ = expand(rng.poisson((stretches.stop - stretches.start) / spacing))
    side = rng.choice([-1.0, 1.0], len(owner))
    lane = np.where(is_main[owner], rng.choice([0.28, 0.72], len(owner)), 0.45) * stretches.half_m[owner]
    along = rng.uniform(stretches.start[owner], stretches.stop[owner])
    x, y = stretches.place(stretches.position[owner] + side * lane, along)
    add_cars(sketch, rng, x, y, stretches.angle + np.pi * (side > 0))


def _add_parked_cars(sketch: Sketch, rng: np.random.Generator, stretches: Stretches) -> None:
    """Cars along the kerbs, in slots of six metres so that few overlap."""
    spacing = np.where(stretches.is_busy & (stretches.half_m > 2.7), 16.0, 1000.0)
    owner, _ = expand(rng.poisson((stretches.stop - stretches.start) / spacing))
    side = rng.choice([-1.0, 1.0], len(owner))
    first, last = stretches.start[owner] + 9, stretches.stop[owner] - 9
    along = np.round(rng.uniform(first, np.maximum(last, first)) / 6) * 6 + rng.normal(0, 0.2, len(owner))
    aside = stretches.position[owner] + side * (stretches.half_m[owner] - 1.2)
    x, y = stretches.place(aside, along)
    add_cars(sketch, rng, x, y, stretches.angle + np.pi * (side > 0))


def _add_street_trees(sketch: Sketch, rng: np.random.Generator, stretches: Stretches, style: Style) -> None:
    """Rows of trees on both sides of some streets."""
    roads = len(stretches.position)
    planted = (rng.random(roads) * (0.5 if style.arid else 1.0) > 0.35) & stretches.is_busy
    spacing = rng.uniform(8, 14, roads)
    per_side = np.where(planted, (stretches.stop - stretches.start - 14) / spacing, 0).astype(int).clip(0)
    owner, step = expand(2 * per_side)
    side = np.where(step % 2 == 0, -1.0, 1.0)
    along = stretches.start[owner] + 8 + (step // 2) * spacing[owner] + rng.normal(0, 0.5, len(owner))
    kerb = stretches.half_m + stretches.pavement_m * 0.5 + 0.6
    x, y = stretches.place(stretches.position[owner] + side * kerb[owner], along)
    size = (rng.uniform(1.6, 3.4, roads)[owner] * rng.normal(1, 0.12, len(owner))).clip(1.2, 4.5)
    grown = rng.random(len(owner)) < 0.8
    add_trees(sketch, rng, style, x[grown], y[grown], size[grown], PALM if style.arid else BROADLEAF)


def _add_nodes(
    sketch: Sketch, rng: np.random.Generator, lattice: Lattice, streets: tuple[Streets, Streets], style: Style
) -> None:
    """Crossings: a patch without markings, rounded corners, roundabouts and zebra crossings."""
    meets = []  # whether a road of the family touches the node (lines, nodes)
    for family in streets:
        none = np.zeros((len(family.half_m), 1), bool)
        meets.append(np.hstack((none, family.exists)) | np.hstack((family.exists, none)))
    i, j = np.nonzero(meets[0] & meets[1].T)
    if not len(i):
        return
    u, v = lattice.lines[0][i], lattice.lines[1][j]
    half_u, half_v = streets[0].half_m[i], streets[1].half_m[j]
    sketch.add("nodes", x=u, y=v, angle=0.0, half_length=half_u + 1.5, half_width=half_v + 1.5)
    is_main = (lattice.kinds[0][i] == MAIN) & (lattice.kinds[1][j] == MAIN)
    ring = is_main & (rng.random(len(i)) < (0.6 if style.arid else 0.35))
    island = np.where(ring, rng.uniform(4.5, 8, len(i)), 0.0)
    radius = np.where(ring, island + rng.uniform(6, 7.5, len(i)), np.maximum(half_u, half_v) * 1.25)
    sketch.add("circles", x=u, y=v, radius=radius, island_m=island)
    count = int(ring.sum())
    aside = rng.normal(0, 1.5, (2, count))
    palm = PALM if style.arid else BROADLEAF
    add_trees(sketch, rng, style, u[ring] + aside[0], v[ring] + aside[1], rng.uniform(1.2, 2.8, count), palm)
    if not style.arid:
        _add_zebras(sketch, rng, 0, u[~ring], v[~ring], half_u[~ring], half_v[~ring])
        _add_zebras(sketch, rng, 1, v[~ring], u[~ring], half_v[~ring], half_u[~ring])


def _add_zebras(
    sketch: Sketch, rng: np.random.Generator, axis: int, position: NDArray, node: NDArray, half: NDArray, other: NDArray
) -> None:
    """Zebra crossings over some roads just before the crossing; `other` is the crossing road's half width."""
    chosen = (rng.random(len(position)) < 0.25) & (half > 2.8)
    along = node[chosen] + rng.choice([-1.0, 1.0], int(chosen.sum())) * (other[chosen] + 4)
    x, y = (position[chosen], along) if axis == 0 else (along, position[chosen])
    sketch.add(
        "marks",
        x=x,
        y=y,
        angle=np.pi / 2 * (1 - axis),
        half_length=1.6,
        half_width=half[chosen] - 0.3,
        strength=0.8,
        stripes_m=1.0,
    )


def block_frames(lattice: Lattice, streets: tuple[Streets, Streets]) -> NDArray[np.float64]:
    """The rectangles that roads and pavements leave of the blocks: u0, u1, v0, v1 (gaps u, gaps v, 4)."""
    u_lines, v_lines = lattice.lines
    beside_u, beside_v = streets[0].margin_m, streets[1].margin_m.T  # (lines u, gaps v), (gaps u, lines v)
    u0 = u_lines[:-1, None] + beside_u[:-1]
    u1 = u_lines[1:, None] - beside_u[1:]
    v0 = v_lines[None, :-1] + beside_v[:, :-1]
    v1 = v_lines[None, 1:] - beside_v[:, 1:]
    return np.stack((u0, u1, v0, v1), -1)
