"""The ground of a window: which material lies where, and its colour."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .canvas import Canvas
from .fields import FloatArray, Window
from .materials import LABEL_OF, ROAD, Ground, texture_table, tint_table
from .plan import LOCAL, MAIN, TRUNK, Plan
from .stamps import Stamps, disc_stamps, highest, rect_stamps

LANE_M = 3.4


class Cover(NamedTuple):
    """Material, brightness in per cent off nominal, and field number of each pixel (h*w,)."""

    ground: NDArray[np.uint8]
    tone: NDArray[np.int16]
    field: NDArray[np.int32]


def paint_ground(canvas: Canvas, plan: Plan) -> None:
    """Fill the canvas with the ground: areas, water, roads and their markings."""
    window = canvas.window
    cover = _draw_areas(plan, window)
    patches = plan.tables["patches"]
    stamps = rect_stamps(patches, window)
    cover.ground[stamps.pixel] = patches["ground"][stamps.owner]
    cover.tone[stamps.pixel] = patches["tone"][stamps.owner]
    _weather(cover, canvas, plan)
    depth = _flood(cover, canvas, plan)
    roads = _lay_roads(cover, plan, window)
    canvas.rgb[:] = _colours(cover, canvas, plan)
    _tint_water(canvas, cover, depth)
    _wear_roads(canvas, plan.tables["roads"], roads)
    canvas.labels[:] = LABEL_OF[cover.ground]
    _paint_lines(canvas, plan, roads)
    _paint_marks(canvas, plan)


def _draw_areas(plan: Plan, window: Window) -> Cover:
    """Polygons of the areas, later ones over earlier ones."""
    size = window.width, window.height
    base = Ground.SAND if plan.style.arid else Ground.MEADOW
    ground, tone = Image.new("L", size, int(base)), Image.new("L", size, 128)
    field = Image.new("I", size, -1)
    brushes = [ImageDraw.Draw(image) for image in (ground, tone, field)]
    origin = np.array((window.col, window.row), np.float32) + np.float32(0.5)
    x0, y0, x1, y1 = window.bounds_m
    left, upper, right, lower = plan.outline_bounds.T
    seen = np.flatnonzero((right >= x0) & (lower >= y0) & (left <= x1) & (upper <= y1))
    outlines = plan.outlines[seen] / np.float32(window.res_m) - origin
    areas = plan.tables["areas"][seen]
    has_fields = bool((areas["field"] >= 0).any())
    for outline, area in zip(outlines, areas):
        corners = outline.ravel().tolist()
        brushes[0].polygon(corners, fill=int(area["ground"]))
        brushes[1].polygon(corners, fill=128 + int(area["tone"]))
        if has_fields:
            brushes[2].polygon(corners, fill=int(area["field"]))
    layers = [np.array(image).ravel() for image in (ground, tone, field)]
    return Cover(layers[0], layers[1].astype(np.int16) - 128, layers[2])


def _weather(cover: Cover, canvas: Canvas, plan: Plan) -> None:
    """Bare patches in rough grass, grass on bare earth; in place."""
    mottle = 0.55 * canvas.patch + 0.75 * canvas.broad + 0.2 * canvas.grain
    ground = cover.ground
    dry = 2.1 + plan.style.lushness
    bare = (ground == Ground.MEADOW) & (mottle > dry)
    green = np.isin(ground, (Ground.EARTH, Ground.RUBBLE)) & (mottle < -1.35)
    ground[bare] = Ground.SAND if plan.style.arid else Ground.EARTH
    if not plan.style.arid:
        ground[green] = Ground.MEADOW


def _flood(cover: Cover, canvas: Canvas, plan: Plan) -> FloatArray:
    """Put in water and its banks; returns the distance from the shore (h*w,), negative in the water."""
    distance = plan.water.window(canvas.window).ravel()
    if distance.min() > 8:
        return distance
    bank = Ground.SAND if plan.style.arid else (Ground.EARTH, Ground.MEADOW, Ground.RUBBLE)[plan.seed % 3]
    beside = (distance >= 0) & (distance < (1.5 + plan.seed % 4) * (0.8 + 0.6 * canvas.patch))
    cover.ground[beside], cover.tone[beside] = bank, -6
    wet = distance < 0
    cover.ground[wet], cover.tone[wet] = Ground.WATER, 0
    return distance


def _lay_roads(cover: Cover, plan: Plan, window: Window) -> Stamps:
    """Pavements, crossings and carriageways; returns the visible road pixels with u along and v across."""
    roads, circles = plan.tables["roads"], plan.tables["circles"]
    wide = roads[roads["pavement_m"] > 0].copy()
    wide["half_width"] += wide["pavement_m"]
    pavement = rect_stamps(wide, window).pixel
    cover.ground[pavement], cover.tone[pavement] = Ground.PAVING, 0
    ring = disc_stamps(circles, window)
    cover.ground[ring.pixel], cover.tone[ring.pixel] = Ground.STREET, 0
    stamps = rect_stamps(roads, window)
    # of several pieces over a pixel the higher road wins, then the one whose middle is nearer
    kind, half = roads["kind"][stamps.owner], roads["half_width"][stamps.owner]
    rank = kind.astype(np.float32) + 0.9 * (1 - np.abs(stamps.v) / half)
    top = np.full(len(cover.ground), -1, np.float32)
    stamps = stamps.keep(highest(stamps.pixel, rank, top))
    kind = roads["kind"][stamps.owner]
    cover.ground[stamps.pixel] = np.where(kind >= MAIN, Ground.ASPHALT, Ground.STREET)
    cover.tone[stamps.pixel] = 0
    median = (kind == TRUNK) & (np.abs(stamps.v) < 1.3)
    grass = Ground.SAND if plan.style.arid else Ground.MEADOW
    cover.ground[stamps.pixel[median]] = grass
    around = circles[circles["island_m"] > 0].copy()
    _round_island(cover, around, window, grass)
    return stamps


def _round_island(cover: Cover, circles: NDArray, window: Window, grass: Ground) -> None:
    """The ring of roundabouts over the roads that meet there, and the green island in it."""
    ring = disc_stamps(circles, window).pixel
    cover.ground[ring] = Ground.ASPHALT
    circles["radius"] = circles["island_m"]
    island = disc_stamps(circles, window).pixel
    cover.ground[island], cover.tone[island] = grass, 5


def _colours(cover: Cover, canvas: Canvas, plan: Plan) -> FloatArray:
    """Colours of the ground (h*w, 3)."""
    ground = cover.ground
    broad, patch, grain, pixel = texture_table().T  # (M,) each
    factor = 1 + broad[ground] * canvas.broad + patch[ground] * canvas.patch
    factor += grain[ground] * canvas.grain + pixel[ground] * canvas.white
    factor += cover.tone * np.float32(0.01)
    rgb = plan.style.ground_rgb[ground]
    crop = np.flatnonzero((ground == Ground.CROP) & (cover.field >= 0))
    if len(crop):
        rgb[crop] = _crop_colours(crop, cover, canvas, plan.tables["fields"])
    for channel, tint in enumerate(tint_table().T):
        rgb[:, channel] = rgb[:, channel] * factor + tint[ground] * canvas.hue
    return rgb


def _crop_colours(pixel: NDArray, cover: Cover, canvas: Canvas, fields: NDArray) -> FloatArray:
    """Colours of field pixels (n, 3): rows, and wheel tracks every 18 m."""
    window = canvas.window
    owner = cover.field[pixel]
    row, col = np.divmod(pixel, window.width)
    x = (col + (window.col + 0.5)).astype(np.float32) * np.float32(window.res_m) - fields["x"][owner]
    y = (row + (window.row + 0.5)).astype(np.float32) * np.float32(window.res_m) - fields["y"][owner]
    angle = fields["angle"].astype(np.float32)
    across = y * np.cos(angle)[owner] - x * np.sin(angle)[owner]
    across += np.float32(0.25) * canvas.patch[pixel]  # rows are not drawn with a ruler
    phase = across * (2 * math.pi / fields["period_m"])[owner].astype(np.float32)
    share = fields["contrast"][owner] * (0.5 + 0.5 * np.sin(phase) * (1 + 0.25 * canvas.grain[pixel]))
    beside = np.abs(np.abs(np.mod(across, 18.0) - 9.0) - 0.9)
    reach = np.float32(0.3 + 0.4 * window.res_m)
    track = np.clip((reach - beside) / np.float32(window.res_m) + 0.5, 0, 1) * fields["tracks"][owner]
    rgb = fields["rgb"][owner]
    rgb = rgb + share[:, None] * (fields["row_rgb"][owner] - rgb)
    track = 0.45 * track[:, None] * min(1.0, 0.7 / window.res_m)
    return rgb + track * (np.array((150, 128, 100), np.float32) - rgb)


def _tint_water(canvas: Canvas, cover: Cover, distance: FloatArray) -> None:
    """Shallow water is lighter and greener."""
    wet = np.flatnonzero(cover.ground == Ground.WATER)
    if not len(wet):
        return
    shallow = np.exp(np.minimum(distance[wet], 0) / 5 + 0.15 * canvas.patch[wet])[:, None]
    canvas.rgb[wet] += np.minimum(shallow, 1) * np.array((26, 30, 16), np.float32)


def _wear_roads(canvas: Canvas, roads: NDArray, stamps: Stamps) -> None:
    """Dark oil in the middle of lanes, pale edges."""
    half = roads["half_width"][stamps.owner]
    lane = np.cos(stamps.v * np.float32(2 * math.pi / LANE_M))
    edge = np.clip(np.abs(stamps.v) - half + 0.8, 0, 0.8)
    canvas.rgb[stamps.pixel] *= (1 + 0.025 * lane + 0.12 * edge)[:, None]


def _paint_lines(canvas: Canvas, plan: Plan, stamps: Stamps) -> None:
    """Edge lines, dashed lane lines and double centre lines of the wider roads."""
    roads = plan.tables["roads"]
    covered = np.zeros(len(canvas.labels), bool)
    covered[rect_stamps(plan.tables["nodes"], canvas.window).pixel] = True
    circles = plan.tables["circles"]
    covered[disc_stamps(circles[circles["island_m"] > 0], canvas.window).pixel] = True
    kind = roads["kind"][stamps.owner]
    stamps = stamps.keep((kind >= LOCAL) & (~covered[stamps.pixel] | (kind == TRUNK)))
    kind, half = roads["kind"][stamps.owner], roads["half_width"][stamps.owner]
    side = np.abs(stamps.v)
    along = stamps.u + roads["along_m"][stamps.owner]
    dashed = np.mod(along, 9.0) < 3.5
    res = canvas.window.res_m

    def line(distance: FloatArray, width_m: float) -> FloatArray:
        """Coverage of a line at a distance from it, softened over one pixel."""
        return np.clip((width_m / 2 + res / 2 - np.abs(distance)) / res, 0, 1) * min(1.0, width_m / res)

    four_lanes = half > 6.6
    paint = np.where(kind == LOCAL, dashed * line(side, 0.15) * (half > 3.2), 0.0)
    main = (kind >= MAIN) & (kind < TRUNK)
    paint = np.where(main & ~four_lanes, dashed * line(side, 0.18), paint)
    paint = np.where(main & four_lanes, line(side - 0.2, 0.18) + dashed * line(side - half / 2, 0.18), paint)
    middle = (half + 1.3) / 2
    paint = np.where(kind == TRUNK, dashed * line(side - middle, 0.2) + line(side - 1.8, 0.2), paint)
    paint = np.where(kind >= MAIN, np.maximum(paint, line(side - half + 0.45, 0.2)), paint)
    paint = np.clip(paint * (0.75 + 0.12 * canvas.grain[stamps.pixel]), 0, 1)[:, None].astype(np.float32)
    canvas.rgb[stamps.pixel] += paint * (np.float32(228) - canvas.rgb[stamps.pixel])


def _paint_marks(canvas: Canvas, plan: Plan) -> None:
    """Slots of car parks, zebra crossings and lines of playing fields; thin ones fade instead of breaking up."""
    marks = plan.tables["marks"].copy()
    thin = 0.55 * canvas.window.res_m
    strength = marks["strength"] * np.minimum(1, marks["half_width"] / thin)
    marks["half_width"] = np.maximum(marks["half_width"], thin)
    stamps = rect_stamps(marks, canvas.window)
    period = marks["stripes_m"][stamps.owner]
    striped = period > 0
    wave = np.sin(2 * np.pi * stamps.v / np.where(striped, period, 1)) > 0
    wave &= canvas.labels[stamps.pixel] == ROAD  # the road may have given way to water
    alpha = strength[stamps.owner] * np.where(striped, wave * min(1.0, 0.6 / canvas.window.res_m), 1)
    canvas.rgb[stamps.pixel] += alpha[:, None].astype(np.float32) * (np.float32(228) - canvas.rgb[stamps.pixel])
