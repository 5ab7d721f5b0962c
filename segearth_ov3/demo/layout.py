"""From a seed to the plan of a scene: terrain, streets, zones, blocks, and what of them the terrain leaves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from . import countryside, gardens, townblocks
from .fields import random_field
from .lattice import Lattice, draw_lattice
from .plan import MAIN, TABLES, Plan, Sketch
from .streets import add_streets, block_frames, draw_streets, trunk_pieces
from .style import Style, draw_style
from .terrain import THEMES, ZONES, Terrain, draw_terrain, draw_zones
from .things import add_cars

MARGIN_M = 140.0  # fields reach this far beyond the scene: the longest shadow and a block
ARID_SHARE = 0.22


def generator(seed: int, stream: int) -> np.random.Generator:
    """Random numbers of one purpose: the same seed and stream give the same numbers everywhere."""
    return np.random.Generator(np.random.PCG64([seed, stream]))


def draw_plan(
    size: tuple[int, int],
    seed: int,
    res_m: float | None,
    theme: str | None,
    arid: bool | None,
    sun_deg: tuple[float, float] | None,
) -> Plan:
    """Draw the plan of a scene; the arguments are those of `generate_scene`."""
    rng = generator(seed, 0)
    drawn_res = float(np.exp(rng.uniform(math.log(0.2), math.log(1.0))))
    drawn_theme = str(rng.choice(list(THEMES), p=[item.share for item in THEMES.values()]))
    drawn_arid = bool(rng.random() < ARID_SHARE)
    res_m = drawn_res if res_m is None else res_m
    theme = drawn_theme if theme is None else theme
    style = draw_style(rng, drawn_arid if arid is None else arid, sun_deg)
    extent_m = size[0] * res_m, size[1] * res_m
    terrain = draw_terrain(generator(seed, 1), extent_m, MARGIN_M, 0.8 if style.arid else 1.0)
    lattice = _draw_streets_and_blocks(generator(seed, 2), extent_m, theme)
    sketch = Sketch()
    _fill_blocks(sketch, generator(seed, 3), lattice, extent_m, theme, style, res_m)
    tables = {name: sketch.table(name) for name in TABLES}
    for name in tables:
        if name not in ("areas", "roads"):  # roads are placed already
            tables[name] = lattice.place(tables[name])
    tables = _give_way(tables, terrain)
    _add_trunk(tables, generator(seed, 4), terrain)
    texture_rng = generator(seed, 5)
    wavelengths = (45.0, 9.0, max(2.2, 2.5 * res_m), 45.0, max(0.9, 2.0 * res_m))
    textures = tuple(random_field(texture_rng, extent_m, length, MARGIN_M) for length in wavelengths)
    outlines = lattice.outlines(tables["areas"])
    bounds = np.concatenate((outlines.min(1), outlines.max(1)), 1)
    return Plan(size, res_m, seed, style, tables, outlines, bounds, terrain.water, textures)


def _draw_streets_and_blocks(rng: np.random.Generator, extent_m: tuple[float, float], theme: str) -> Lattice:
    """The lattice that suits the theme, turned by a quarter in half of the scenes."""
    spacing = THEMES[theme].spacing_m
    if rng.random() < 0.5:
        spacing = spacing[::-1]
    return draw_lattice(rng, extent_m, spacing, rng.uniform(*THEMES[theme].bend))


def _fill_blocks(
    sketch: Sketch,
    rng: np.random.Generator,
    lattice: Lattice,
    extent_m: tuple[float, float],
    theme: str,
    style: Style,
    res_m: float,
) -> None:
    """Choose zones, add streets, and fill each block that can be seen."""
    centres = [(line[1:] + line[:-1]) / 2 for line in lattice.lines]
    u, v = (grid.ravel() for grid in np.meshgrid(*centres, indexing="ij"))
    x, y = lattice.to_scene(u, v)
    middle = extent_m[1] / 2, extent_m[0] / 2
    shape = len(centres[0]), len(centres[1])
    zones = draw_zones(rng, x, y, theme, style.arid, middle).reshape(shape)
    wild = 0.25 if theme == "wilderness" else 1.0
    streets = (
        draw_streets(rng, lattice.kinds[0], zones, style.arid, wild),
        draw_streets(rng, lattice.kinds[1], zones.T, style.arid, wild),
    )
    frames = block_frames(lattice, streets)
    reach = np.hypot(frames[..., 1] - frames[..., 0], frames[..., 3] - frames[..., 2]).ravel() / 2 + 20
    seen = (x > -reach) & (x < extent_m[1] + reach) & (y > -reach) & (y < extent_m[0] + reach)
    for block in np.flatnonzero(seen):
        u0, u1, v0, v1 = frames.reshape(-1, 4)[block]
        if u1 - u0 > 8 and v1 - v0 > 8:
            sketch.begin(u0, u1, v0, v1)
            fill_block(sketch, rng, style, ZONES[zones.flat[block]], res_m)
    add_streets(sketch, rng, lattice, streets, style)


def fill_block(sketch: Sketch, rng: np.random.Generator, style: Style, zone: str, res_m: float) -> None:
    """Fill the sketch's current block as its zone asks."""
    if zone == "city":
        townblocks.fill_city(sketch, rng, style)
    elif zone == "apartments":
        townblocks.fill_apartments(sketch, rng, style)
    elif zone in ("suburb", "village"):
        gardens.fill_suburb(sketch, rng, style, village=zone == "village")
    elif zone == "industry":
        townblocks.fill_industry(sketch, rng, style)
    elif zone == "field":
        countryside.fill_field(sketch, rng, style, res_m)
    elif zone == "forest":
        countryside.fill_forest(sketch, rng, style)
    elif zone == "park":
        countryside.fill_park(sketch, rng, style)
    elif zone == "meadow":
        countryside.fill_meadow(sketch, rng, style)
    else:
        countryside.fill_bare(sketch, rng, style)


def _give_way(tables: dict[str, NDArray], terrain: Terrain) -> dict[str, NDArray]:
    """Remove what stands in the water, on the trunk road or on a roundabout."""
    kept = dict(tables)
    wings = tables["wings"]
    corners = _corners(wings)
    blocked = _blocked(corners, tables["circles"], terrain, 2.0, 13.0).any(1)
    lost = np.unique(wings["house"][blocked])
    kept["wings"] = np.sort(wings[~np.isin(wings["house"], lost)], order="house", kind="stable")
    for name, shore_m, trunk_m in (
        ("pools", 3.0, 16.0),
        ("trees", 0.8, 12.0),
        ("cars", 0.5, 13.0),
        ("marks", 1.0, 12.0),
        ("boxes", 1.0, 12.0),
    ):
        points = np.stack((tables[name]["x"], tables[name]["y"]), -1)[:, None]
        circles = tables["circles"][:0] if name in ("trees", "cars") else tables["circles"]
        kept[name] = tables[name][~_blocked(points, circles, terrain, shore_m, trunk_m)[:, 0]]
    roads = tables["roads"]
    dry = terrain.water.at(roads["x"], roads["y"]) > 1.5
    kept["roads"] = roads[dry | (roads["kind"] == MAIN)]  # main roads cross on bridges
    for name in ("nodes", "circles"):
        kept[name] = tables[name][terrain.water.at(tables[name]["x"], tables[name]["y"]) > 4.0]
    return kept


def _corners(rects: NDArray) -> NDArray[np.float32]:
    """Corners and centre of rectangles (n, 5, 2) as x, y."""
    u = rects["half_length"][:, None] * np.array((-1, -1, 1, 1, 0))
    v = rects["half_width"][:, None] * np.array((-1, 1, 1, -1, 0))
    cos, sin = np.cos(rects["angle"])[:, None], np.sin(rects["angle"])[:, None]
    x, y = rects["x"][:, None] + u * cos - v * sin, rects["y"][:, None] + u * sin + v * cos
    return np.stack((x, y), -1).astype(np.float32)


def _blocked(points: NDArray, circles: NDArray, terrain: Terrain, shore_m: float, trunk_m: float) -> NDArray[np.bool_]:
    """Whether points (n, k, 2) are nearer to water, trunk road or roundabout than allowed (n, k)."""
    x, y = points[..., 0], points[..., 1]
    blocked = terrain.water.at(x, y) < shore_m
    if terrain.trunk_m is not None:
        blocked |= terrain.trunk_m.at(x, y) < trunk_m
    for ring in circles[circles["island_m"] > 0]:
        blocked |= np.hypot(x - ring["x"], y - ring["y"]) < ring["radius"] + 1.5
    return blocked


def _add_trunk(tables: dict[str, NDArray], rng: np.random.Generator, terrain: Terrain) -> None:
    """Add the trunk road with its cars, in place."""
    if terrain.trunk is None:
        return
    pieces = trunk_pieces(terrain.trunk)
    tables["roads"] = np.concatenate((tables["roads"], pieces))
    on = pieces[rng.random(len(pieces)) < 0.3]
    lane = on["half_width"] * rng.choice([-0.78, -0.42, 0.42, 0.78], len(on))
    sketch = Sketch()
    sketch.begin(0.0, 0.0, 0.0, 0.0)
    x, y = on["x"] - lane * np.sin(on["angle"]), on["y"] + lane * np.cos(on["angle"])
    add_cars(sketch, rng, x, y, on["angle"] + np.where(lane > 0, 0.0, math.pi))
    tables["cars"] = np.concatenate((tables["cars"], sketch.table("cars")))
