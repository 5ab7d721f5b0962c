"""Blocks without buildings: fields, woods, parks, meadows and bare ground, each drawn in the block's frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .materials import CROPS, CROWN_RGB, Ground
from .plan import BROADLEAF, CONIFER, FLAT, PALM, SHRUB, Sketch
from .roofs import Footprints, Roofs, add_wings
from .style import Style
from .things import add_trees, plant


def fill_field(sketch: Sketch, rng: np.random.Generator, style: Style, res_m: float) -> None:
    """One to four fields side by side; rows follow the long side and are never finer than three pixels."""
    a_end, b_end = sketch.length_m, sketch.breadth_m
    verge = Ground.EARTH if style.arid or rng.random() < 0.25 else Ground.MEADOW
    sketch.add_area(0, a_end, 0, b_end, verge, rng.integers(-8, 8))
    count = int(rng.choice([1, 2, 3, 4], p=[0.4, 0.3, 0.2, 0.1]))
    cuts = np.sort(rng.uniform(0.15, 0.85, count - 1))
    edges = np.concatenate(([0.0], cuts, [1.0]))
    gap, rim = rng.uniform(0.0, 1.6), rng.uniform(0.2, 1.5)
    lengthwise = rng.random() < 0.6
    for k in range(count):
        low, high = edges[k], edges[k + 1]
        if lengthwise:
            box = (rim, a_end - rim, b_end * low + gap, b_end * high - gap)
        else:
            box = (a_end * low + gap, a_end * high - gap, rim, b_end - rim)
        if box[1] - box[0] < 4 or box[3] - box[2] < 4:
            continue
        crop = CROPS[rng.integers(len(CROPS))]
        along_a = (box[1] - box[0] > box[3] - box[2]) ^ (rng.random() < 0.12)
        tone = rng.normal(1, 0.07)
        period = max(rng.uniform(*crop.period_m), 3.0 * res_m)
        sketch.add(
            "fields",
            x=(box[0] + box[1]) / 2,
            y=(box[2] + box[3]) / 2,
            angle=0.0 if along_a else np.pi / 2,
            period_m=period,
            contrast=crop.contrast,
            tracks=crop.tracks * (rng.random() < 0.7),
            rgb=np.array(crop.rgb) * tone,
            row_rgb=np.array(crop.row_rgb) * tone,
        )
        sketch.add_area(*box, Ground.CROP, 0, sketch.field_count)
        sketch.field_count += 1
    if rng.random() < 0.35 * (0.3 if style.arid else 1.0):
        _add_hedgerow(sketch, rng, style, rng.random() < 0.5)


def _add_hedgerow(sketch: Sketch, rng: np.random.Generator, style: Style, is_near: bool) -> None:
    """Bushes and trees along one edge of the block."""
    a = np.arange(3, sketch.length_m - 3, rng.uniform(2.0, 5.0))
    a = a[rng.random(len(a)) < 0.85]
    b = np.full(len(a), 1.5 if is_near else sketch.breadth_m - 1.5) + rng.normal(0, 0.6, len(a))
    add_trees(sketch, rng, style, a, b, np.clip(rng.gamma(4, 0.5, len(a)), 0.9, 4.5), BROADLEAF)


def _scatter(rng: np.random.Generator, a_end: float, b_end: float, step_m: float) -> tuple[NDArray, NDArray]:
    """Points on a staggered, jittered grid (n,), roughly `step_m` apart."""
    a = np.arange(step_m / 2, a_end, step_m)
    b = np.arange(step_m / 2, b_end, step_m * 0.9)
    grid_a, grid_b = np.meshgrid(a, b)
    grid_a = grid_a + (np.arange(len(b)) % 2)[:, None] * step_m / 2
    noise = rng.uniform(-0.38, 0.38, (2, *grid_a.shape)) * step_m
    return np.clip(grid_a + noise[0], 0, a_end).ravel(), np.clip(grid_b + noise[1], 0, b_end).ravel()


def fill_forest(sketch: Sketch, rng: np.random.Generator, style: Style) -> None:
    """Closed wood of one mixture, or a palm grove in a desert."""
    a_end, b_end = sketch.length_m, sketch.breadth_m
    if style.arid:
        sketch.add_area(0, a_end, 0, b_end, Ground.SAND, -20)
        a, b = _scatter(rng, a_end, b_end, rng.uniform(6, 9))
        rgb = style.crown_rgb[rng.integers(len(style.crown_rgb), size=len(a))]
        plant(sketch, rng, a, b, rng.uniform(2.2, 3.6, len(a)), PALM, rgb)
        return
    sketch.add_area(0, a_end, 0, b_end, Ground.FOREST, rng.integers(-8, 4))
    step = rng.uniform(4.2, 6.5)
    a, b = _scatter(rng, a_end, b_end, step)
    conifer = rng.random(len(a)) < style.conifer_share * rng.uniform(0.6, 1.2)
    radius = np.where(conifer, 0.52, 0.72) * step * rng.gamma(22, 1 / 22, len(a))
    palette = style.crown_rgb * rng.normal(0.95, 0.06)
    dark = np.array(CROWN_RGB["conifer"], np.float32)
    rgb = np.where(
        conifer[:, None], dark[rng.integers(len(dark), size=len(a))], palette[rng.integers(len(palette), size=len(a))]
    )
    plant(sketch, rng, a, b, radius, np.where(conifer, CONIFER, BROADLEAF), rgb)


def fill_park(sketch: Sketch, rng: np.random.Generator, style: Style) -> None:
    """Lawn with paths and groups of trees, sometimes a playing field."""
    a_end, b_end = sketch.length_m, sketch.breadth_m
    sketch.add_area(0, a_end, 0, b_end, Ground.LAWN, rng.integers(-8, 12))
    count = int(rng.integers(0, 3))
    lean = rng.uniform(-0.35, 0.35, count)
    sketch.add(
        "patches",
        x=a_end * rng.uniform(0.3, 0.7, count),
        y=b_end / 2,
        angle=np.pi / 2 + lean,
        half_length=b_end / 2 / np.cos(lean) - 0.5,
        half_width=rng.uniform(0.8, 1.6),
        ground=Ground.PAVING,
        tone=0,
    )
    pitch = None
    if a_end > 70 and b_end > 45 and rng.random() < 0.4:
        pitch = _add_playing_field(sketch, rng, a_end / 2, b_end / 2)
    a, b = _scatter(rng, a_end, b_end, rng.uniform(8, 13))
    dense = np.sin(a / rng.uniform(8, 20) + rng.uniform(0, 6)) + np.sin(b / rng.uniform(8, 20) + rng.uniform(0, 6))
    chosen = dense > rng.uniform(-0.8, 0.8)
    if pitch is not None:
        chosen &= (np.abs(a - a_end / 2) > pitch[0] + 3) | (np.abs(b - b_end / 2) > pitch[1] + 3)
    a, b = a[chosen], b[chosen]
    add_trees(sketch, rng, style, a, b, np.clip(rng.gamma(8, 0.4, len(a)), 1.3, 5.5), PALM if style.arid else BROADLEAF)


def _add_playing_field(sketch: Sketch, rng: np.random.Generator, a: float, b: float) -> tuple[float, float]:
    """White lines of a football field; returns its half length and half width."""
    half = rng.uniform(27, 32), rng.uniform(17, 20)
    sketch.add(
        "patches", x=a, y=b, angle=0.0, half_length=half[0] + 2, half_width=half[1] + 2, ground=Ground.LAWN, tone=14
    )
    for da, db, length, turn in (
        (0, -half[1], half[0], 0.0),
        (0, half[1], half[0], 0.0),
        (-half[0], 0, half[1], np.pi / 2),
        (half[0], 0, half[1], np.pi / 2),
        (0, 0, half[1], np.pi / 2),
    ):
        sketch.add(
            "marks", x=a + da, y=b + db, angle=turn, half_length=length, half_width=0.08, strength=0.8, stripes_m=0.0
        )
    return half


def fill_meadow(sketch: Sketch, rng: np.random.Generator, style: Style) -> None:
    """Rough grass with single bushes."""
    a_end, b_end = sketch.length_m, sketch.breadth_m
    sketch.add_area(0, a_end, 0, b_end, Ground.SAND if style.arid else Ground.MEADOW, rng.integers(-8, 8))
    n = rng.poisson(a_end * b_end / 500 * (0.3 + style.lushness))
    # bushes grow in groups: walk from one to the next
    group = rng.uniform(0, 1, (2, max(n // 4, 1)))
    which = rng.integers(group.shape[1], size=n)
    a = np.clip(group[0, which] * a_end + rng.normal(0, 7, n), 0, a_end)
    b = np.clip(group[1, which] * b_end + rng.normal(0, 7, n), 0, b_end)
    add_trees(sketch, rng, style, a, b, np.clip(rng.gamma(3, 0.6, n), 0.7, 4.5), SHRUB if style.arid else BROADLEAF)


def fill_bare(sketch: Sketch, rng: np.random.Generator, style: Style) -> None:
    """Sand or earth: tracks, heaps, a few huts and containers on building land."""
    a_end, b_end = sketch.length_m, sketch.breadth_m
    usual = Ground.SAND if style.arid else Ground.EARTH
    ground = usual if rng.random() < 0.8 else Ground.RUBBLE
    sketch.add_area(0, a_end, 0, b_end, ground, rng.integers(-3, 4))
    for _ in range(rng.poisson(0.7)):
        middle, half = rng.uniform(0, 1, 2) * (a_end, b_end), rng.uniform(8, 25, 2)
        low, high = np.maximum(middle - half, 1), np.minimum(middle + half, (a_end - 1, b_end - 1))
        other = Ground.RUBBLE if ground != Ground.RUBBLE else Ground.EARTH
        if (high > low).all():
            sketch.add_area(low[0], high[0], low[1], high[1], rng.choice([other, ground]), rng.integers(-18, 14))
    for _ in range(rng.poisson(3.5)):
        _add_track(sketch, rng, ground)
    if rng.random() < 0.4:
        n = int(rng.integers(1, 6))
        hut_a, hut_b = rng.uniform(3, max(a_end - 3, 4), n), rng.uniform(3, max(b_end - 3, 4), n)
        footprints = Footprints(hut_a, hut_b, rng.uniform(4, 9, n), np.full(n, 2.5), rng.uniform(0, 3, n))
        add_wings(sketch, rng, footprints, Roofs(FLAT, "metal"), 2.6)
    n = rng.poisson(a_end * b_end / 700 * (0.5 if style.arid else 0.3 + style.lushness))
    a, b = rng.uniform(0, a_end, n), rng.uniform(0, b_end, n)
    add_trees(sketch, rng, style, a, b, np.clip(rng.gamma(3, 0.35, n), 0.5, 2.5), SHRUB)


def _add_track(sketch: Sketch, rng: np.random.Generator, ground: int) -> None:
    """A winding wheel track, paler or darker than the bare ground it runs over."""
    reach = 0.75 * np.hypot(sketch.length_m, sketch.breadth_m)
    s = np.arange(0, reach, 4.0)
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.05, len(s)) + rng.normal(0, 0.03))
    start = rng.uniform(0.1, 0.9, 2) * (sketch.length_m, sketch.breadth_m)
    a, b = start[0] + np.cumsum(4 * np.cos(heading)), start[1] + np.cumsum(4 * np.sin(heading))
    inside = (a > 2) & (a < sketch.length_m - 2) & (b > 2) & (b < sketch.breadth_m - 2)
    inside &= np.cumsum(~inside) == 0  # a track does not come back from outside
    if inside.any():
        sketch.add(
            "patches",
            x=a[inside],
            y=b[inside],
            angle=heading[inside],
            half_length=2.3,
            half_width=rng.uniform(0.5, 1.6),
            ground=ground,
            tone=rng.choice([-10, -6, 5, 8]),
        )
