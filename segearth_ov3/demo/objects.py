"""Everything that stands on the ground: pools, buildings, plant on roofs, walls, cars and trees."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .canvas import Canvas
from .fields import FloatArray
from .light import slope_light
from .materials import BUILDING, COVERINGS, POOL, TREE
from .plan import CONIFER, FLAT, HIP, PALM, SHRUB, Plan
from .stamps import disc_stamps, highest, rect_stamps
from .style import Sun

PARAPET_M = 0.45


def put_pools(canvas: Canvas, pools: NDArray, first_id: int) -> None:
    """Swimming pools, some of them with round ends; numbered from `first_id`."""
    stamps = rect_stamps(pools, canvas.window)
    half_u, half_v = pools["half_length"][stamps.owner], pools["half_width"][stamps.owner]
    radius = pools["round_share"][stamps.owner] * half_v
    corner_u = np.maximum(np.abs(stamps.u) - half_u + radius, 0)
    corner_v = np.maximum(np.abs(stamps.v) - half_v + radius, 0)
    stamps = stamps.keep(np.hypot(corner_u, corner_v) <= np.maximum(radius, 1e-3))
    pixel = stamps.pixel
    texture = 1 + 0.03 * canvas.patch[pixel] + 0.04 * canvas.lumps[pixel]
    canvas.rgb[pixel] = pools["rgb"][stamps.owner] * texture[:, None]
    canvas.labels[pixel] = POOL
    canvas.instances[pixel] = first_id + stamps.owner


def put_buildings(canvas: Canvas, wings: NDArray, sun: Sun, first_id: int) -> None:
    """Roofs with their slopes, parapets and coverings; houses are numbered from `first_id` by their first wing."""
    stamps = rect_stamps(wings, canvas.window)
    owner = stamps.owner
    half_u, half_v = wings["half_length"][owner], wings["half_width"][owner]
    roof = wings["roof"][owner]
    in_u, in_v = half_u - np.abs(stamps.u), half_v - np.abs(stamps.v)
    inset = np.where(roof == HIP, np.minimum(in_u, in_v), in_v)
    slope = wings["rise_m"][owner] / half_v
    parapet = (roof == FLAT) & (np.minimum(in_u, in_v) < PARAPET_M) & (half_v > 2.5)
    height = wings["eave_m"][owner] + slope * inset + 0.6 * parapet
    top = highest(stamps.pixel, height, canvas.height_m)
    stamps, owner, slope, roof, parapet = stamps.keep(top), owner[top], slope[top], roof[top], parapet[top]
    in_u, in_v = in_u[top], in_v[top]
    pixel = stamps.pixel
    cos, sin = np.cos(wings["angle"])[owner], np.sin(wings["angle"])[owner]
    end = (roof == HIP) & (in_u < in_v)
    side = np.where(end, np.sign(stamps.u), np.sign(stamps.v))
    fall_x, fall_y = np.where(end, cos, -sin) * side, np.where(end, sin, cos) * side
    canvas.light[pixel] = slope_light(sun, fall_x, fall_y, slope)
    ridge = (roof != FLAT) & (np.abs(stamps.v) < max(0.2, 0.5 * canvas.window.res_m))
    texture = _roof_texture(canvas, wings, stamps.u, stamps.v, owner, pixel)
    texture *= 1 + 0.1 * parapet + 0.08 * (ridge & ~end)
    canvas.rgb[pixel] = wings["rgb"][owner] * texture[:, None]
    canvas.labels[pixel] = BUILDING
    canvas.instances[pixel] = first_id + wings["house"][owner]


def _roof_texture(
    canvas: Canvas, wings: NDArray, u: FloatArray, v: FloatArray, owner: NDArray, pixel: NDArray
) -> FloatArray:
    """Brightness of roof pixels (n,): stains everywhere, rows of tiles, ribs of sheet metal, lengths of felt."""
    res = canvas.window.res_m
    covering = wings["covering"][owner]
    texture = 1 + 0.05 * canvas.patch[pixel] + 0.035 * canvas.grain[pixel] + 0.03 * canvas.white[pixel]
    tiles = np.isin(covering, (COVERINGS.index("tile"), COVERINGS.index("slate")))
    texture += 0.035 * tiles * np.sin(v * np.float32(2 * math.pi / max(0.6, 3 * res)))
    metal = covering == COVERINGS.index("metal")
    texture += 0.03 * metal * np.sin(u * np.float32(2 * math.pi / max(1.0, 3 * res)))
    sheet = np.floor(u / np.where(metal, 6, 4)).astype(np.int64) * 7919 + owner * 104729
    wide = ~tiles
    texture += 0.035 * wide * (((sheet * 2654435761) >> 8) % 256 / 128.0 - 1).astype(np.float32)
    return texture.astype(np.float32)


def put_boxes(canvas: Canvas, boxes: NDArray) -> None:
    """Plant on roofs and garden walls; those higher than a wall need a roof under them."""
    boxes = boxes.copy()
    boxes["half_width"] = np.maximum(boxes["half_width"], 0.5 * canvas.window.res_m)
    stamps = rect_stamps(boxes, canvas.window)
    top = boxes["top_m"][stamps.owner]
    on_roof = canvas.labels[stamps.pixel] == BUILDING
    stamps = stamps.keep(on_roof | (top < 2.5))
    stamps = stamps.keep(highest(stamps.pixel, boxes["top_m"][stamps.owner], canvas.height_m))
    texture = 1 + 0.04 * canvas.white[stamps.pixel]
    canvas.rgb[stamps.pixel] = boxes["rgb"][stamps.owner] * texture[:, None]
    canvas.light[stamps.pixel] = 1


def put_cars(canvas: Canvas, cars: NDArray, first_id: int) -> None:
    """Cars and lorries with dark windows; they keep the label of the ground and get an instance number."""
    stamps = rect_stamps(cars, canvas.window)
    stamps = stamps.keep(canvas.height_m[stamps.pixel] < 1)
    owner = stamps.owner
    top = cars["top_m"][owner]
    stamps_top = highest(stamps.pixel, top, canvas.height_m)
    stamps, owner = stamps.keep(stamps_top), owner[stamps_top]
    half_u, half_v = cars["half_length"][owner], cars["half_width"][owner]
    forward = stamps.u / half_u
    low = (cars["top_m"] < 2)[owner]
    window = low & (((forward > 0.05) & (forward < 0.38)) | ((forward < -0.5) & (forward > -0.78)))
    side = low & (np.abs(stamps.v) > half_v - 0.18) & (np.abs(forward) < 0.6)
    rgb = cars["rgb"][owner] * (1 + 0.06 * ((forward > -0.5) & (forward < 0.05)))[:, None]
    glass = np.array((42, 47, 54), np.float32)
    canvas.rgb[stamps.pixel] = np.where((window | side)[:, None], 0.75 * glass + 0.25 * rgb, rgb)
    canvas.light[stamps.pixel] = 1
    canvas.instances[stamps.pixel] = first_id + owner


def put_trees(canvas: Canvas, trees: NDArray, sun: Sun, first_id: int) -> None:
    """Crowns with lumpy outlines; where they overlap the higher part is seen."""
    grown = trees.copy()
    grown["radius"] *= 1.25
    stamps = disc_stamps(grown, canvas.window)
    owner, pixel = stamps.owner, stamps.pixel
    radius, kind = trees["radius"][owner], trees["kind"][owner]
    distance = np.hypot(stamps.u, stamps.v) / radius
    bearing = np.arctan2(stamps.v, stamps.u) if (trees["kind"] == PALM).any() else np.float32(0)
    lobes = 0.1 * canvas.lumps[pixel] + 0.07 * canvas.grain[pixel]
    fronds = np.where(kind == PALM, 0.22 + 0.3 * np.cos(7 * bearing + owner), 0)
    reach = distance + np.where(kind == PALM, fronds, lobes * np.where(kind == CONIFER, 0.6, 1))
    crown = np.where(kind == CONIFER, 1 - 0.85 * reach, 1 - 0.5 * reach * reach)
    height = trees["top_m"][owner] * crown + 0.25 * canvas.lumps[pixel]
    inside = reach < 1
    stamps, height, distance = stamps.keep(inside), height[inside], distance[inside]
    top = highest(stamps.pixel, height, canvas.height_m)
    stamps, distance = stamps.keep(top), distance[top]
    owner, pixel = stamps.owner, stamps.pixel
    radius, kind = trees["radius"][owner], trees["kind"][owner]
    steep = np.where(kind == CONIFER, 1.1, np.where(kind == SHRUB, 0.5, 0.75)) * distance
    bend = np.maximum(distance * radius, 1e-3)
    light = slope_light(sun, stamps.u / bend, stamps.v / bend, steep.astype(np.float32))
    leaves = 0.95 + 0.17 * canvas.lumps[pixel] + 0.06 * canvas.grain[pixel] + 0.09 * canvas.white[pixel]
    leaves *= 1.03 - 0.35 * distance**3
    canvas.rgb[pixel] = trees["rgb"][owner] * np.maximum(leaves, 0.3)[:, None]
    canvas.light[pixel] = light
    canvas.labels[pixel] = TREE
    canvas.instances[pixel] = first_id + owner


def first_ids(plan: Plan) -> dict[str, int]:
    """First instance number of each kind of object; 0 stays free for none."""
    houses = int(plan.tables["wings"]["house"].max(initial=-1)) + 1
    pools, trees = len(plan.tables["pools"]), len(plan.tables["trees"])
    return {"wings": 1, "pools": 1 + houses, "trees": 1 + houses + pools, "cars": 1 + houses + pools + trees}
