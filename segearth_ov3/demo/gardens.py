"""Blocks of single houses: rows of lots with a house, a drive and a garden, drawn in the block's frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .materials import POOL_RGB, Ground
from .plan import BROADLEAF, FLAT, GABLE, HIP, PALM, SHRUB, TABLES, Sketch
from .roofs import Footprints, Roofs, add_chimneys, add_roof_plant, add_upper_floors, add_wings, roof_colours
from .style import Style
from .things import add_cars, add_trees, clear_of


@dataclass(frozen=True)
class Lots:
    """Lots in one or two rows; the second row faces the street on the far side.

        b ^  +----+-----+----+   back row, front at the top
          |  +----+-----+----+
          0  +----+-----+----+   front row, front at the bottom

    Attributes:
        left: Left edges (n,).
        right: Right edges (n,).
        is_back: Whether a lot lies in the second row (n,).
        depth_m: Depth of all lots.
        block_m: Breadth of the block.
    """

    left: NDArray
    right: NDArray
    is_back: NDArray
    depth_m: float
    block_m: float

    @property
    def middle(self) -> NDArray:
        """Middle along the street (n,)."""
        return (self.left + self.right) / 2

    @property
    def width_m(self) -> NDArray:
        """Width along the street (n,)."""
        return self.right - self.left

    def pick(self, chosen: NDArray) -> Lots:
        """Some of the lots, by mask or by index."""
        return Lots(self.left[chosen], self.right[chosen], self.is_back[chosen], self.depth_m, self.block_m)

    def place(self, from_street_m: NDArray | float) -> NDArray:
        """The block's b at a distance from the street (n,)."""
        return np.where(self.is_back, self.block_m - from_street_m, from_street_m)

    def __len__(self) -> int:
        """Number of lots."""
        return len(self.left)


def fill_suburb(sketch: Sketch, rng: np.random.Generator, style: Style, village: bool = False) -> None:
    """Houses with gardens on both sides of the block; larger lots and more trees in a village."""
    lots = _divide(sketch, rng, village)
    _add_lawns(sketch, rng, style, lots)
    lots = lots.pick(rng.random(len(lots)) < (0.78 if village else 0.95))
    if not len(lots):
        return
    houses, end = _add_houses(sketch, rng, style, lots)
    _add_drives(sketch, rng, lots, end)
    clear = [houses, _add_pools(sketch, rng, lots, end, style.pool_share * (0.6 if village else 1.0))]
    _add_sheds(sketch, rng, style, lots, end)
    _add_clutter(sketch, rng, lots, end)
    _add_fences(sketch, rng, style, lots)
    _add_garden_trees(sketch, rng, style, lots, np.concatenate([_rects(table) for table in clear]), village)


def _rects(table: NDArray) -> NDArray:
    """The columns x, y, angle, half_length, half_width of a table, packed (n,)."""
    packed = np.empty(len(table), TABLES["nodes"])
    for name in packed.dtype.names or ():
        packed[name] = table[name]
    return packed


def _divide(sketch: Sketch, rng: np.random.Generator, village: bool) -> Lots:
    """Cut the block into lots of about equal width."""
    row_count = 2 if sketch.breadth_m > 30 else 1
    width = rng.uniform(20, 34) if village else rng.uniform(14.5, 22)
    per_row = max(1, round(sketch.length_m / width))
    edges = np.linspace(0, sketch.length_m, per_row + 1)
    edges[1:-1] += rng.uniform(-1.5, 1.5, per_row - 1)
    return Lots(
        np.tile(edges[:-1], row_count),
        np.tile(edges[1:], row_count),
        np.repeat(np.arange(row_count), per_row) == 1,
        sketch.breadth_m / row_count,
        sketch.breadth_m,
    )


def _add_lawns(sketch: Sketch, rng: np.random.Generator, style: Style, lots: Lots) -> None:
    """The ground of each lot, a little different from its neighbour's."""
    if style.arid:
        ground = rng.choice([Ground.SAND, Ground.PAVING, Ground.LAWN], len(lots), p=[0.58, 0.15, 0.27])
    else:
        ground = rng.choice([Ground.LAWN, Ground.MEADOW, Ground.EARTH], len(lots), p=[0.83, 0.12, 0.05])
    near, far = lots.place(0.0), lots.place(lots.depth_m)
    tone = rng.integers(-14, 14, len(lots))
    sketch.add_area(lots.left, lots.right, np.minimum(near, far), np.maximum(near, far), ground, tone)


def _add_houses(sketch: Sketch, rng: np.random.Generator, style: Style, lots: Lots) -> tuple[NDArray, NDArray]:
    """A house on each lot, half of them with a second wing; returns the main wings and where their gardens begin."""
    count = len(lots)
    long = np.clip(lots.width_m - rng.uniform(3, 6.5, count), 7, 17)
    deep = np.minimum(rng.uniform(7, 11.5, count), lots.depth_m * 0.5)
    setback = np.minimum(rng.uniform(2.5, 7.5, count), lots.depth_m * 0.25)
    choices = ["plaster", "white", "tile"] if style.arid else ["tile", "slate", "metal"]
    usual = rng.choice(len(choices), p=[0.6, 0.25, 0.15] if style.arid else [0.5, 0.38, 0.12])
    mixed = rng.random(count) < rng.choice([0.0, 0.1, 0.5])
    covering = np.array(choices)[np.where(mixed, rng.integers(3, size=count), usual)]
    flat = np.isin(covering, ("plaster", "white"))
    roof = np.where(flat, FLAT, rng.choice([GABLE, HIP], count, p=[0.55, 0.45]))
    rgb = roof_colours(rng, covering)
    x = lots.middle + rng.uniform(-0.4, 0.4, count) * (lots.width_m - long)
    tilt = rng.normal(0, 0.1 if lots.width_m.mean() > 22 else 0.025, count)
    footprints = Footprints(x, lots.place(setback + deep / 2), long, deep, tilt)
    main = add_wings(sketch, rng, footprints, Roofs(roof, covering, rgb), rng.choice([3.0, 3.4, 5.6, 6.2], count))
    add_roof_plant(sketch, rng, main, 2.0)
    add_chimneys(sketch, rng, main)
    add_upper_floors(sketch, rng, main)
    if lots.depth_m > 24:
        _add_side_wings(sketch, rng, main, lots.is_back, covering)
    return main, setback + deep


def _add_side_wings(
    sketch: Sketch, rng: np.random.Generator, main: NDArray, is_back: NDArray, covering: NDArray
) -> None:
    """A wing at right angles on the garden side, which makes an L or a T."""
    chosen = rng.random(len(main)) < 0.55
    count = int(chosen.sum())
    base, inward = main[chosen], np.where(is_back[chosen], -1.0, 1.0)
    width, length = rng.uniform(4.5, 6.5, count), rng.uniform(4, 7, count)
    along_a = np.abs(np.cos(base["angle"])) > 0.7
    half_a = np.where(along_a, base["half_length"], base["half_width"])
    half_b = np.where(along_a, base["half_width"], base["half_length"])
    tilt = np.where(along_a, base["angle"], base["angle"] - np.pi / 2)
    shift = rng.choice([-1.0, 0.0, 1.0], count, p=[0.4, 0.2, 0.4]) * np.maximum(half_a - width / 2, 0)
    reach = inward * (half_b + length / 2 - 1.5)
    cos, sin = np.cos(tilt), np.sin(tilt)
    a, b = base["x"] + shift * cos - reach * sin, base["y"] + shift * sin + reach * cos
    footprints, roofs = Footprints(a, b, width, length + 3, tilt), Roofs(base["roof"], covering[chosen], base["rgb"])
    add_wings(sketch, rng, footprints, roofs, base["eave_m"], base["house"])


def _add_drives(sketch: Sketch, rng: np.random.Generator, lots: Lots, house_end: NDArray) -> None:
    """A paved drive at one side of most houses, some with a garage at its end, some with a car on it."""
    chosen = rng.random(len(lots)) < 0.8
    lots, length = lots.pick(chosen), (house_end * rng.uniform(0.6, 0.9, len(chosen)))[chosen]
    count = len(lots)
    a = np.where(rng.random(count) < 0.5, lots.left + 2.0, lots.right - 2.0)
    sketch.add(
        "patches",
        x=a,
        y=lots.place(length / 2 - 0.3),
        angle=np.pi / 2,
        half_length=length / 2,
        half_width=rng.uniform(1.3, 1.9, count),
        ground=rng.choice([Ground.PAVING, Ground.STREET]),
        tone=rng.integers(-10, 10, count),
    )
    parked = (rng.random(count) < 0.5) & (length > 5)
    add_cars(sketch, rng, a[parked], lots.place(length - 2.7)[parked], np.full(int(parked.sum()), np.pi / 2))
    garage = rng.random(count) < 0.25
    n = int(garage.sum())
    footprints = Footprints(a[garage], lots.place(length + 2.8)[garage], np.full(n, 3.2), np.full(n, 6.0))
    add_wings(sketch, rng, footprints, Roofs(FLAT, "membrane"), 2.6)


def _add_pools(sketch: Sketch, rng: np.random.Generator, lots: Lots, house_end: NDArray, share: float) -> NDArray:
    """Pools behind some houses, with a paved rim; returns their rows."""
    room = lots.depth_m - house_end - 1.5
    chosen = (rng.random(len(lots)) < share) & (room > 7.5) & (lots.width_m > 11)
    lots, room, house_end = lots.pick(chosen), room[chosen], house_end[chosen]
    count = len(lots)
    half_length = np.minimum(rng.uniform(2.8, 5.2, count), lots.width_m / 2 - 2)
    half_width = np.minimum(rng.uniform(1.6, 2.6, count), half_length)
    across = (rng.random(count) < 0.3) & (room > 2 * half_length + 4)
    x = lots.middle + rng.uniform(-1, 1, count) * np.maximum(lots.width_m / 2 - half_length - 1.8, 0)
    y = lots.place(house_end + np.clip(rng.uniform(0.45, 0.7, count) * room, 4, room - 2.5))
    angle, rim = np.where(across, np.pi / 2, 0.0), rng.uniform(0.6, 1.8, count)
    sketch.add(
        "patches",
        x=x,
        y=y,
        angle=angle,
        half_length=half_length + rim,
        half_width=half_width + rim,
        ground=Ground.PAVING,
        tone=rng.integers(0, 22, count),
    )
    return sketch.add(
        "pools",
        x=x,
        y=y,
        angle=angle,
        half_length=half_length,
        half_width=half_width,
        round_share=rng.choice([0.0, 0.0, 0.6, 1.0], count),
        rgb=POOL_RGB[rng.integers(len(POOL_RGB), size=count)],
    )


def _add_sheds(sketch: Sketch, rng: np.random.Generator, style: Style, lots: Lots, house_end: NDArray) -> None:
    """A shed in a back corner of some gardens."""
    chosen = (rng.random(len(lots)) < 0.3) & (lots.depth_m - house_end > 7.5)
    lots = lots.pick(chosen)
    n = len(lots)
    a = np.where(rng.random(n) < 0.5, lots.left + 2.2, lots.right - 2.2)
    footprints = Footprints(a, lots.place(lots.depth_m - 2.3), rng.uniform(2.2, 3.4, n), rng.uniform(2.2, 4, n))
    add_wings(sketch, rng, footprints, Roofs(FLAT, "plaster") if style.arid else Roofs(GABLE, "slate"), 2.3)


def _add_clutter(sketch: Sketch, rng: np.random.Generator, lots: Lots, house_end: NDArray) -> None:
    """Terraces behind the houses; garden furniture, beds and bins anywhere behind them."""
    n = len(lots)
    terrace = rng.random(n) < 0.6
    behind = lots.pick(terrace)
    count = len(behind)
    sketch.add(
        "patches",
        x=behind.middle + rng.uniform(-0.2, 0.2, count) * behind.width_m,
        y=behind.place(house_end[terrace] + 1.2),
        angle=0.0,
        half_length=rng.uniform(1.5, 4, count),
        half_width=rng.uniform(1.2, 2.2, count),
        ground=Ground.PAVING,
        tone=rng.integers(-12, 12, count),
    )
    owner = np.repeat(np.arange(n), rng.poisson(1.6, n))
    behind = lots.pick(owner)
    count = len(owner)
    front = house_end[owner] + 1 + rng.random(count) * np.maximum(lots.depth_m - house_end[owner] - 2, 0)
    colours = np.array([(214, 212, 208), (120, 96, 72), (66, 70, 76), (158, 128, 98), (120, 136, 150)], np.float32)
    sketch.add(
        "boxes",
        x=rng.uniform(behind.left + 1, behind.right - 1),
        y=behind.place(front),
        angle=rng.uniform(0, 3, count),
        half_length=rng.uniform(0.4, 1.3, count),
        half_width=rng.uniform(0.3, 0.9, count),
        top_m=rng.uniform(0.3, 1.2, count),
        rgb=colours[rng.integers(len(colours), size=count)],
    )


def _add_fences(sketch: Sketch, rng: np.random.Generator, style: Style, lots: Lots) -> None:
    """Hedges between some gardens; walls in a desert."""
    inner = lots.pick(lots.left > 0.5)
    if style.arid:
        sketch.add(
            "boxes",
            x=inner.left,
            y=inner.place(lots.depth_m / 2),
            angle=np.pi / 2,
            half_length=lots.depth_m / 2,
            half_width=0.2,
            top_m=2.2,
            rgb=(206, 196, 178),
        )
        return
    steps = np.arange(5, lots.depth_m, 1.3)
    hedged = inner.pick(np.repeat(np.flatnonzero(rng.random(len(inner)) < 0.45), len(steps)))
    x = hedged.left + rng.normal(0, 0.12, len(hedged))
    y = hedged.place(np.tile(steps, len(hedged) // max(len(steps), 1)))
    add_trees(sketch, rng, style, x, y, rng.uniform(0.7, 1.15, len(x)), SHRUB)


def _add_garden_trees(
    sketch: Sketch, rng: np.random.Generator, style: Style, lots: Lots, clear: NDArray, village: bool
) -> None:
    """Trees and bushes, most of them at the back of the gardens; never in houses and pools."""
    mean = (1.0 if style.arid else 2.2 + 3.5 * style.lushness) * (1.7 if village else 1.0)
    owner = np.repeat(np.arange(len(lots)), rng.poisson(mean * rng.uniform(0.3, 1.7, len(lots))))
    behind, count = lots.pick(owner), len(owner)
    a = rng.uniform(behind.left + 0.5, behind.right - 0.5)
    in_front = rng.random(count) < 0.25
    b = behind.place(np.where(in_front, rng.uniform(1, 4, count), rng.uniform(0.35, 1.0, count) * lots.depth_m))
    radius = np.clip(rng.gamma(3.2, 0.75, count), 0.7, 5.5)
    free = clear_of(a, b, clear, 0.4 * radius)
    add_trees(sketch, rng, style, a[free], b[free], radius[free], PALM if style.arid else BROADLEAF)
