"""Town blocks, slabs of flats and halls, each drawn in the block's frame."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from .materials import COVERINGS, Ground
from .plan import BROADLEAF, FLAT, GABLE, PALM, Sketch
from .roofs import Footprints, Roofs, add_roof_plant, add_skylights, add_upper_floors, add_wings, roof_colours
from .style import Style
from .things import add_cars, add_lorries, add_trees, clear_of


def fill_city(sketch: Sketch, rng: np.random.Generator, style: Style) -> None:
    """A town block: closed along its edge, or packed with houses, or a few high buildings."""
    sketch.add_area(0, sketch.length_m, 0, sketch.breadth_m, Ground.PAVING, rng.integers(-40, -5))
    form = rng.choice(["edge", "packed", "towers"], p=[0.15, 0.65, 0.2] if style.arid else [0.45, 0.3, 0.25])
    if form == "edge" and sketch.breadth_m > 38:
        _fill_edge(sketch, rng, style)
    elif form == "towers" and sketch.breadth_m > 36:
        _fill_towers(sketch, rng, style)
    else:
        _fill_packed(sketch, rng, style)


def _fill_edge(sketch: Sketch, rng: np.random.Generator, style: Style) -> None:
    """Houses wall to wall around a court."""
    a_end, b_end = sketch.length_m, sketch.breadth_m
    deep = rng.uniform(10.5, 14)
    covering = str(rng.choice(["tile", "slate", "membrane"], p=[0.4, 0.25, 0.35]))
    roof, base = (FLAT if covering == "membrane" else GABLE), rng.uniform(8, 19)
    pieces = []
    for begin, end, along_a, other in (
        (0.0, a_end, True, deep / 2),
        (0.0, a_end, True, b_end - deep / 2),
        (deep, b_end - deep, False, deep / 2),
        (deep, b_end - deep, False, a_end - deep / 2),
    ):
        count = max(1, round((end - begin) / rng.uniform(13, 26)))
        edges = np.linspace(begin, end, count + 1)
        middle, length = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
        built = rng.random(count) < 0.93
        other_b = np.full(count, other)
        x, y = (middle, other_b) if along_a else (other_b, middle)
        pieces.append(np.stack((x, y, length, np.full(count, 0.0 if along_a else np.pi / 2)), -1)[built])
    x, y, length, angle = np.concatenate(pieces).T
    n = len(x)
    eave = base + rng.normal(0, 1.2, n)
    wings = sketch.add(
        "wings",
        x=x,
        y=y,
        angle=angle,
        half_length=length / 2 + 0.05,
        half_width=deep / 2 * rng.uniform(0.92, 1.0, n),
        eave_m=np.maximum(eave, 5),
        rise_m=0.0 if roof == FLAT else 0.55 * deep / 2,
        roof=roof,
        covering=COVERINGS.index(covering),
        rgb=roof_colours(rng, np.full(n, covering)),
        house=sketch.new_houses(n),
    )
    add_roof_plant(sketch, rng, wings, 1.6)
    _fill_court(sketch, rng, style, (deep + 1, a_end - deep - 1), (deep + 1, b_end - deep - 1))


def _fill_court(
    sketch: Sketch, rng: np.random.Generator, style: Style, a: tuple[float, float], b: tuple[float, float]
) -> None:
    """Lawn or paving with trees and a few low buildings."""
    if rng.random() < 0.6:
        sketch.add_area(*a, *b, Ground.SAND if style.arid else Ground.LAWN, rng.integers(-12, 12))
    huts = rng.poisson(1.5)
    hut_a = rng.uniform(a[0] + 6, max(a[1] - 6, a[0] + 7), huts)
    hut_b = rng.uniform(b[0] + 4, max(b[1] - 4, b[0] + 5), huts)
    footprints = Footprints(hut_a, hut_b, rng.uniform(6, 14, huts), rng.uniform(5, 9, huts))
    wings = add_wings(sketch, rng, footprints, Roofs(FLAT, "membrane"), 4.0)
    count = rng.poisson((a[1] - a[0]) * (b[1] - b[0]) / 120 * (0.3 + style.lushness))
    tree_a, tree_b = rng.uniform(*a, count), rng.uniform(*b, count)
    free = clear_of(tree_a, tree_b, wings, 1.0)
    add_trees(sketch, rng, style, tree_a[free], tree_b[free], rng.uniform(1.8, 4, int(free.sum())), BROADLEAF)


def _fill_packed(sketch: Sketch, rng: np.random.Generator, style: Style) -> None:
    """A dense grid of flat-roofed houses with alleys and a few gaps."""
    a_end, b_end = sketch.length_m, sketch.breadth_m
    cell_a, cell_b = rng.uniform(12, 20, 2)
    columns, lines = max(1, round(a_end / cell_a)), max(1, round(b_end / cell_b))
    a, b = np.meshgrid((np.arange(columns) + 0.5) * a_end / columns, (np.arange(lines) + 0.5) * b_end / lines)
    a, b = a.ravel(), b.ravel()
    gap = rng.uniform(1.0, 4.5)
    built = rng.random(len(a)) < 0.9
    n = int(built.sum())
    length = a_end / columns - gap * rng.uniform(0.6, 1.4, n)
    width = b_end / lines - gap * rng.uniform(0.6, 1.4, n)
    covering = str(rng.choice(["plaster", "white"] if style.arid else ["membrane", "plaster"], p=[0.75, 0.25]))
    eave = rng.uniform(5, 13) + rng.normal(0, 2, n)
    wings = add_wings(
        sketch, rng, Footprints(a[built], b[built], length, width), Roofs(FLAT, covering), np.maximum(eave, 3.5)
    )
    add_roof_plant(sketch, rng, wings, 2.5)
    add_upper_floors(sketch, rng, wings)
    ga, gb = a[~built], b[~built]
    if len(ga):
        ground = Ground.SAND if style.arid else rng.choice([Ground.PARKING, Ground.LAWN, Ground.RUBBLE])
        half_a, half_b = a_end / columns / 2, b_end / lines / 2
        sketch.add_area(ga - half_a, ga + half_a, gb - half_b, gb + half_b, ground, 0)
        spread = rng.uniform(-0.6, 0.6, (2, 3, len(ga)))
        ta, tb = (ga + spread[0] * half_a).ravel(), (gb + spread[1] * half_b).ravel()
        add_trees(sketch, rng, style, ta, tb, rng.uniform(1.5, 3.5, len(ta)), PALM if style.arid else BROADLEAF)


def _fill_towers(sketch: Sketch, rng: np.random.Generator, style: Style) -> None:
    """Large buildings with courts cut out, on a paved plot with a car park."""
    a_end, b_end = sketch.length_m, sketch.breadth_m
    count = max(1, round(a_end / rng.uniform(38, 55)))
    edges = np.linspace(0, a_end, count + 1)
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    for k in range(count):
        if rng.random() < 0.25 and count > 1:
            add_car_park(sketch, rng, (edges[k] + 1, edges[k + 1] - 1), (1, b_end - 1), style)
            continue
        house = sketch.new_houses(1).repeat(3)
        length, deep = width[k] - rng.uniform(3, 9), b_end - rng.uniform(4, 14)
        bar = min(rng.uniform(13, 18), deep / 2.2)
        eave = rng.uniform(12, 38)
        x = middle[k] + np.array((0.0, -(length - bar) / 2, (length - bar) / 2))
        y = np.array((bar / 2 + 2, b_end / 2, b_end / 2))
        sides = np.array((length, bar, bar)), np.array((bar, deep, deep))
        form = rng.integers(3)  # U, L or a single block
        used = slice(0, 3 if form == 0 else 2) if form < 2 else slice(0, 1)
        if form == 2:
            y[0], sides[1][0] = b_end / 2, deep
        covering = str(rng.choice(["membrane", "white", "plaster"]))
        rgb = roof_colours(rng, np.array([covering])).repeat(3, 0)
        footprints = Footprints(x[used], y[used], sides[0][used], sides[1][used])
        wings = add_wings(sketch, rng, footprints, Roofs(FLAT, covering, rgb[used]), eave, house[used])
        add_roof_plant(sketch, rng, wings, 1.2)


def add_car_park(
    sketch: Sketch, rng: np.random.Generator, a: tuple[float, float], b: tuple[float, float], style: Style
) -> None:
    """Rows of slots along a with lines between them, most taken, and a few trees."""
    sketch.add_area(a[0], a[1], b[0], b[1], Ground.PARKING, rng.integers(-12, 12))
    if a[1] - a[0] < 8 or b[1] - b[0] < 11:
        return
    module = 16.0  # two rows of 5 m and an aisle of 6 m
    row_b = []
    for start in np.arange(b[0] + 0.3, b[1] - 5, module):
        row_b += [start + 2.5] + ([start + 13.3] if start + 16 < b[1] else [])
    slot_a = np.arange(a[0] + 1.5, a[1] - 1.5, 2.5)
    if len(slot_a) < 2:
        return
    x, y = (grid.ravel() for grid in np.meshgrid(slot_a, row_b))
    sketch.add("marks", x=x, y=y, angle=np.pi / 2, half_length=2.4, half_width=0.06, strength=0.7, stripes_m=0.0)
    taken = rng.random(len(x)) < rng.uniform(0.2, 0.85)
    taken &= x < a[1] - 3.0
    facing = np.pi / 2 + math.pi * rng.integers(0, 2, int(taken.sum()))
    add_cars(sketch, rng, x[taken] + 1.25, y[taken] + rng.normal(0, 0.2, int(taken.sum())), facing)
    green = rng.random(len(row_b)) < (0.2 if style.arid else 0.4)
    tree_a = np.arange(a[0] + 5, a[1] - 4, rng.uniform(10, 18))
    ta, tb = (grid.ravel() for grid in np.meshgrid(tree_a, np.array(row_b)[green] + 2.6))
    add_trees(sketch, rng, style, ta, tb, rng.uniform(1.2, 2.4, len(ta)), PALM if style.arid else BROADLEAF)


def fill_apartments(sketch: Sketch, rng: np.random.Generator, style: Style) -> None:
    """Parallel slabs with lawns, car parks and trees between them."""
    a_end, b_end = sketch.length_m, sketch.breadth_m
    sketch.add_area(0, a_end, 0, b_end, Ground.SAND if style.arid else Ground.LAWN, rng.integers(-10, 10))
    pitch, deep = rng.uniform(24, 36), rng.uniform(10, 14)
    starts = np.arange(rng.uniform(2, 8), max(a_end - deep, 3), pitch)
    count = len(starts)
    length = np.clip(b_end - rng.uniform(6, 16, count), 10, 75)
    x, y = starts + deep / 2, np.full(count, b_end / 2) + rng.uniform(-0.3, 0.3, count) * (b_end - length)
    covering = str(rng.choice(["membrane", "white", "plaster"] if style.arid else ["membrane", "slate", "tile"]))
    roof = FLAT if covering in ("membrane", "white", "plaster") else GABLE
    footprints = Footprints(x, y, np.full(count, deep), length)
    wings = add_wings(sketch, rng, footprints, Roofs(roof, covering), rng.uniform(9, 24))
    add_roof_plant(sketch, rng, wings, 1.5)
    for start in starts[rng.random(count) < 0.55]:
        a0, a1 = start + deep + 3, start + pitch - 4
        if a1 < a_end:
            add_car_park(sketch, rng, (a0, a1), (1, b_end - 1), style)
    n = rng.poisson(a_end * b_end / 260 * (0.25 if style.arid else 0.5 + style.lushness))
    a, b, radius = rng.uniform(1, a_end - 1, n), rng.uniform(1, b_end - 1, n), np.clip(rng.gamma(6, 0.5, n), 1.2, 5)
    free = clear_of(a, b, wings, 0.5 * radius)
    add_trees(sketch, rng, style, a[free], b[free], radius[free], PALM if style.arid else BROADLEAF)
    sketch.add(
        "patches",
        x=(starts - 2.0)[rng.random(count) < 0.7],
        y=b_end / 2,
        angle=np.pi / 2,
        half_length=b_end / 2,
        half_width=0.9,
        ground=Ground.PAVING,
        tone=0,
    )


def fill_industry(sketch: Sketch, rng: np.random.Generator, style: Style) -> None:
    """Plots with a hall, a yard with lorries and a car park."""
    a_end, b_end = sketch.length_m, sketch.breadth_m
    count = max(1, round(a_end / rng.uniform(45, 90)))
    edges = np.linspace(0, a_end, count + 1)
    for left, right in pairwise(edges):
        yard = rng.choice([Ground.PARKING, Ground.STREET, Ground.PAVING, Ground.RUBBLE], p=[0.4, 0.25, 0.2, 0.15])
        sketch.add_area(
            left, right, 0, b_end, Ground.SAND if style.arid and rng.random() < 0.4 else yard, rng.integers(-15, 15)
        )
        if rng.random() < 0.1:
            add_car_park(sketch, rng, (left + 1, right - 1), (1, b_end - 1), style)
            continue
        side, depth_share = rng.uniform(0.6, 0.85), rng.uniform(0.55, 0.85)
        length, deep = (right - left - 4) * side, (b_end - 4) * depth_share
        at_left, at_top = rng.random() < 0.5, rng.random() < 0.5
        x = left + 2 + length / 2 if at_left else right - 2 - length / 2
        y = 2 + deep / 2 if at_top else b_end - 2 - deep / 2
        _add_hall(sketch, rng, x, y, length, deep)
        strip = (left + length + 5, right - 1) if at_left else (left + 1, right - length - 5)
        if strip[1] - strip[0] > 11 and rng.random() < 0.8:
            add_car_park(sketch, rng, strip, (2, b_end - 2), style)
        apron = (deep + 4, b_end - 1) if at_top else (1, b_end - deep - 4)
        if apron[1] - apron[0] > 9:
            add_lorries(sketch, rng, x - length / 2, x + length / 2, (apron[0] + apron[1]) / 2)
    n = rng.poisson(a_end / 22 * (0.2 + style.lushness))
    a, b = rng.uniform(0, a_end, n), rng.choice([0.8, b_end - 0.8], n)
    add_trees(sketch, rng, style, a, b, rng.uniform(1.2, 3, n), PALM if style.arid else BROADLEAF)


def _add_hall(sketch: Sketch, rng: np.random.Generator, x: float, y: float, length: float, deep: float) -> None:
    """One hall of one to three bays side by side, with skylights or plant."""
    bays = int(rng.integers(1, 4)) if max(length, deep) > 30 else 1
    house = sketch.new_houses(1).repeat(bays)
    covering = str(rng.choice(["metal", "membrane", "white"], p=[0.45, 0.35, 0.2]))
    roof = int(rng.choice([FLAT, GABLE], p=[0.6, 0.4]))
    rgb = roof_colours(rng, np.array([covering]))[0] * rng.normal(1, 0.02, (bays, 1))
    offset = (np.arange(bays) - (bays - 1) / 2) * length / bays
    short = 1 - rng.uniform(0, 0.3, bays) * (rng.random(bays) < 0.4)
    eave = rng.uniform(6, 12) + rng.choice([0.0, 1.5], bays)
    b = y - (1 - short) * deep / 2
    footprints = Footprints(x + offset, b, np.full(bays, length / bays + 0.1), deep * short)
    wings = add_wings(sketch, rng, footprints, Roofs(roof, covering, rgb), eave, house)
    if roof == FLAT and rng.random() < 0.6:
        add_skylights(sketch, rng, wings)
    else:
        add_roof_plant(sketch, rng, wings, 0.6)
