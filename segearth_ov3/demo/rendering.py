"""From a plan to pixels: ground, buildings, cars and trees are put on a canvas, lit and photographed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .canvas import blank_canvas
from .fields import Window
from .ground import paint_ground
from .layout import generator
from .light import cast_shadows, develop, expose
from .materials import TREE
from .objects import first_ids, put_boxes, put_buildings, put_cars, put_pools, put_trees
from .plan import Plan

TILE_PX = 1024
BORDER_PX = 12  # rendered around a window that stands alone


class Picture(NamedTuple):
    """A rendered window: image (h, w, 3), labels (h, w) and instance numbers (h, w)."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    instances: NDArray[np.int32]


def render(plan: Plan) -> Picture:
    """Render a whole scene; larger ones in tiles, with a border as wide as the longest shadow."""
    height, width = plan.size
    if max(height, width) <= TILE_PX * 5 // 4:
        return render_window(plan, Window(0, 0, height, width, plan.res_m), BORDER_PX, 0)
    wings = plan.tables["wings"]
    tallest = max(float((wings["eave_m"] + wings["rise_m"]).max(initial=0.0)) + 2, 15.0)  # 15 m: the highest trees
    # a low sun over high buildings would make the border larger than the tile
    border = min(math.ceil(tallest / plan.style.sun.slope / plan.res_m) + BORDER_PX, 512)
    image = np.empty((height, width, 3), np.uint8)
    labels, instances = np.empty((height, width), np.uint8), np.empty((height, width), np.int32)
    number = 0
    for row in range(0, height, TILE_PX):
        for col in range(0, width, TILE_PX):
            window = Window(row, col, min(TILE_PX, height - row), min(TILE_PX, width - col), plan.res_m)
            part = render_window(plan, window, border, number)
            place = slice(row, row + window.height), slice(col, col + window.width)
            image[place], labels[place], instances[place] = part
            number += 1
    return Picture(image, labels, instances)


def render_window(plan: Plan, window: Window, border_px: int, number: int) -> Picture:
    """Render a window of the scene.

    Args:
        plan: The scene.
        window: What to render.
        border_px: Pixels rendered around it, whose shadows and blur reach in.
        number: Stream of the random numbers; another one for each window of a scene.

    Returns:
        The picture, without the border.
    """
    row, col, height, width, res_m = window
    outer = Window(row - border_px, col - border_px, height + 2 * border_px, width + 2 * border_px, res_m)
    rng = generator(plan.seed, 1000 + number)
    canvas = blank_canvas(plan, outer, rng)
    sun, tables, first = plan.style.sun, plan.tables, first_ids(plan)
    paint_ground(canvas, plan)
    put_pools(canvas, tables["pools"], first["pools"])
    put_buildings(canvas, tables["wings"], sun, first["wings"])
    put_boxes(canvas, tables["boxes"])
    put_cars(canvas, tables["cars"], first["cars"])
    put_trees(canvas, tables["trees"], sun, first["trees"])
    shape = outer.height, outer.width
    shadow = cast_shadows(canvas.height_m.reshape(shape), sun, res_m)
    shadow[canvas.labels.reshape(shape) == TREE] *= 0.7  # light passes through crowns
    linear = expose(canvas.rgb.reshape(*shape, 3), canvas.light.reshape(shape), shadow, sun, plan.style.camera)
    inner = slice(border_px, border_px + height), slice(border_px, border_px + width)
    image = develop(linear, plan.style.camera, rng)
    return Picture(
        np.ascontiguousarray(image[inner]),
        np.ascontiguousarray(canvas.labels.reshape(shape)[inner]),
        np.ascontiguousarray(canvas.instances.reshape(shape)[inner]),
    )
