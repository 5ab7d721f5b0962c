"""Generated aerial scenes with exact labels: any size, any ground resolution, the same for the same seed.

A scene is planned in metres (`layout`): terrain and water, streets as a bent lattice, and blocks of one zone each
with their houses, halls, fields or woods. The plan is rendered (`rendering`): materials, roofs, crowns, shadows of a
height map, haze, blur, noise. Labels come from the same stamps as the colours, so they are exact to the pixel.

What counts as what:

- `road` is all paved ground: carriageways, pavements, drives, car parks, yards, paths and terraces.
- `tree` is what crowns and hedges cover, and the floor of closed woods.
- Shadows change no label, and neither do cars, walls, roof plant or other small things: they carry the label of what
  they stand on. Cars are told apart in `instances` only.
- Paths in bare ground are `bare soil`; banks are what they are made of.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import OptionError
from ..registry import lookup
from .layout import draw_plan
from .materials import INSTANCE_CLASSES, SCENE_CLASSES, SCENE_COLORS
from .objects import first_ids
from .plan import Plan
from .rendering import render
from .scene_files import write_scene
from .terrain import THEMES

SCENE_THEMES = tuple(THEMES)
MIN_SIDE_PX, MAX_SIDE_PX = 32, 10_000
RES_RANGE_M = (0.1, 2.0)
DEMO_RES_RANGE_M = (0.15, 0.35)  # what the demo model is trained and measured at

__all__ = [
    "DEMO_RES_RANGE_M",
    "INSTANCE_CLASSES",
    "SCENE_CLASSES",
    "SCENE_COLORS",
    "SCENE_THEMES",
    "Scene",
    "demo_resolution",
    "generate_scene",
    "write_scene",
]


class Scene(NamedTuple):
    """An image and everything that is known about it.

    Attributes:
        image: RGB (H0, W0, 3), uint8.
        labels: Index into `SCENE_CLASSES` (H0, W0), uint8; there is no unlabelled pixel.
        instances: Number of the building, pool, tree or car that is seen (H0, W0), int32; 0 where there is none.
            Numbers run from 1 without gaps. What a crown hides of an object is not counted to it.
        instance_classes: Index into `INSTANCE_CLASSES` of each number (n + 1,), uint8; entry 0 is "none".
        res_m: Metres per pixel.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    instances: NDArray[np.int32]
    instance_classes: NDArray[np.uint8]
    res_m: float

    def instance_ids(self, name: str) -> NDArray[np.intp]:
        """Numbers of all instances of a class of `INSTANCE_CLASSES` (k,), ascending."""
        index = lookup({known: k for k, known in enumerate(INSTANCE_CLASSES)}, name, "instance class")
        return np.flatnonzero(self.instance_classes == index)


def generate_scene(
    size: tuple[int, int],
    seed: int,
    *,
    res_m: float | None = None,
    theme: str | None = None,
    arid: bool | None = None,
    sun_deg: tuple[float, float] | None = None,
) -> Scene:
    """Generate a scene; the same arguments give the same arrays, and another size another scene.

    Args:
        size: Height and width in pixels, 32 to 10 000. Cost grows linearly, memory with 12 bytes per pixel.
        seed: Any number from 0; it decides about everything that is not given.
        res_m: Metres per pixel, 0.1 to 2; drawn between 0.2 and 1 if not given. Objects keep their size in metres.
        theme: What the middle of the scene is, one of `SCENE_THEMES`; the surroundings change over kilometres.
        arid: Whether the scene lies in a desert: sand, pale flat roofs, few trees.
        sun_deg: Azimuth (clockwise from north) and elevation of the sun, 10 to 90. It changes no label.

    Returns:
        The scene.

    Raises:
        OptionError: A size, seed, resolution or sun is out of range.
        UnknownNameError: There is no such theme.

    Example:
        scene = generate_scene((512, 512), seed=7, res_m=0.4)
        buildings = scene.labels == SCENE_CLASSES.index("building")
    """
    height, width = size
    if not all(MIN_SIDE_PX <= side <= MAX_SIDE_PX for side in (height, width)):
        raise OptionError(f"expected a size of {MIN_SIDE_PX} to {MAX_SIDE_PX} pixels, got {height} x {width}")
    if seed < 0:
        raise OptionError(f"expected a seed of 0 or more, got {seed}")
    if res_m is not None and not RES_RANGE_M[0] <= res_m <= RES_RANGE_M[1]:
        raise OptionError(f"expected res_m between {RES_RANGE_M[0]} and {RES_RANGE_M[1]} metres, got {res_m}")
    if sun_deg is not None and not 10 <= sun_deg[1] <= 90:
        raise OptionError(f"expected a sun elevation of 10 to 90 degrees, got {sun_deg[1]}")
    if theme is not None:
        lookup(THEMES, theme, "theme")
    plan = draw_plan((height, width), seed, res_m, theme, arid, sun_deg)
    image, labels, instances = render(plan)
    classes = _number_visible(instances, plan)
    return Scene(image, labels, instances, classes, plan.res_m)


def demo_resolution(seed: int) -> float:
    """Metres per pixel of the scenes that the demo model is trained and measured on; depends on the seed alone."""
    rng = np.random.default_rng([seed, 99])
    return float(np.exp(rng.uniform(*np.log(DEMO_RES_RANGE_M))))


def _number_visible(numbers: NDArray[np.int32], plan: Plan) -> NDArray[np.uint8]:
    """Renumber the instances that can be seen from 1, in place; returns the class of each number (n + 1,)."""
    first = first_ids(plan)
    starts = np.array([0, first["wings"], first["pools"], first["trees"], first["cars"]])
    bands = [numbers[row : row + 512] for row in range(0, len(numbers), 512)]  # indexing copies to 8 bytes per pixel
    is_visible = np.zeros(int(numbers.max()) + 1, bool)
    is_visible[0] = True
    for band in bands:
        is_visible[band] = True
    visible = np.flatnonzero(is_visible)
    renumbered = (np.cumsum(is_visible) - 1).astype(np.int32)
    for band in bands:
        band[:] = renumbered[band]
    return (np.searchsorted(starts, visible, side="right") - 1).astype(np.uint8)
