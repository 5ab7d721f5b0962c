"""Wings of buildings with their roofs, and what stands on flat ones."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .materials import COVERINGS, ROOF_RGB
from .plan import FLAT, Sketch


class Footprints(NamedTuple):
    """Rectangles in the block's frame: centres, extent along the angle and across, angle in radians (n,)."""

    a: NDArray
    b: NDArray
    length_m: NDArray
    width_m: NDArray
    angle: NDArray | float = 0.0


class Roofs(NamedTuple):
    """Kind (FLAT, GABLE, HIP) and covering (key of ROOF_RGB) of all roofs or of each (n,), and colours (n, 3)."""

    kind: NDArray | int
    covering: str | NDArray
    rgb: NDArray | None = None


def add_wings(
    sketch: Sketch,
    rng: np.random.Generator,
    footprints: Footprints,
    roofs: Roofs,
    eave_m: NDArray | float,
    house: NDArray | None = None,
) -> NDArray:
    """Add rectangular wings; the ridge runs along the longer side.

    Args:
        sketch: Where to add them.
        rng: Source of the random numbers.
        footprints: Where they stand.
        roofs: What covers them; colours are drawn from the covering's if not given.
        eave_m: Height of the walls.
        house: Number of the house each belongs to (n,); each is a house of its own if not given.

    Returns:
        The rows in the block's frame.
    """
    count = len(footprints.a)
    turned = footprints.width_m > footprints.length_m
    long = np.maximum(footprints.width_m, footprints.length_m)
    short = np.minimum(footprints.width_m, footprints.length_m)
    names = np.broadcast_to(roofs.covering, count)
    steep = np.isin(names, ("tile", "slate"))
    pitch = np.where(steep, rng.uniform(0.4, 0.8, count), rng.uniform(0.12, 0.3, count))
    return sketch.add(
        "wings",
        x=footprints.a,
        y=footprints.b,
        angle=np.where(turned, footprints.angle + np.pi / 2, footprints.angle),
        half_length=long / 2,
        half_width=short / 2,
        eave_m=eave_m,
        rise_m=np.where(np.asarray(roofs.kind) == FLAT, 0.0, pitch * short / 2),
        roof=roofs.kind,
        covering=[COVERINGS.index(name) for name in names],
        rgb=roof_colours(rng, names) if roofs.rgb is None else roofs.rgb,
        house=sketch.new_houses(count) if house is None else house,
    )


def roof_colours(rng: np.random.Generator, coverings: NDArray) -> NDArray[np.float32]:
    """Colours (n, 3) for coverings (n,); half of them are one of two colours that dominate the block."""
    count = len(coverings)
    colours = np.empty((count, 3), np.float32)
    for name in np.unique(coverings):
        palette = np.array(ROOF_RGB[str(name)], np.float32)
        favourites = palette[rng.integers(len(palette), size=2)]
        usual = rng.random((count, 1)) < 0.5
        drawn = np.where(
            usual, favourites[rng.integers(2, size=count)], palette[rng.integers(len(palette), size=count)]
        )
        colours[coverings == name] = drawn[coverings == name]
    return colours * rng.normal(1, 0.07, (count, 1)).astype(np.float32)


def on_roof(wings: NDArray, u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    """Block coordinates a, b of points u along and v across their wings (n,)."""
    cos, sin = np.cos(wings["angle"]), np.sin(wings["angle"])
    return wings["x"] + u * cos - v * sin, wings["y"] + u * sin + v * cos


def add_roof_plant(sketch: Sketch, rng: np.random.Generator, wings: NDArray, per_100m2: float) -> None:
    """Stairheads, ventilators and hatches on flat roofs, more on larger ones."""
    flat = wings[wings["roof"] == FLAT]
    area = 4 * flat["half_length"] * flat["half_width"]
    owner = np.repeat(np.arange(len(flat)), np.minimum(rng.poisson(area / 100 * per_100m2), 60))
    on = flat[owner]
    size = np.minimum(rng.gamma(3, 0.22, (2, len(owner))), 0.35 * on["half_width"])
    u = rng.uniform(-0.85, 0.85, len(owner)) * (on["half_length"] - size[0] - 0.5)
    v = rng.uniform(-0.85, 0.85, len(owner)) * (on["half_width"] - size[1] - 0.5)
    x, y = on_roof(on, u, v)
    shade = rng.choice([235, 200, 150, 90], len(owner)) * rng.uniform(0.9, 1.05, len(owner))
    sketch.add(
        "boxes",
        x=x,
        y=y,
        angle=on["angle"],
        half_length=size[0],
        half_width=size[1],
        top_m=on["eave_m"] + rng.uniform(0.4, 2.4, len(owner)),
        rgb=shade[:, None] * np.array((1.0, 0.995, 0.985)),
    )


def add_chimneys(sketch: Sketch, rng: np.random.Generator, wings: NDArray) -> None:
    """A chimney or a roof window on most pitched roofs."""
    pitched = wings[(wings["roof"] != FLAT) & (wings["half_width"] > 2.8)]
    chosen = pitched[rng.random(len(pitched)) < 0.7]
    count = len(chosen)
    window = rng.random(count) < 0.4
    v = np.where(window, 0.5, 0.1) * chosen["half_width"] * rng.choice([-1.0, 1.0], count)
    x, y = on_roof(chosen, rng.uniform(-0.5, 0.5, count) * chosen["half_length"], v)
    ridge = chosen["eave_m"] + chosen["rise_m"]
    sketch.add(
        "boxes",
        x=x,
        y=y,
        angle=chosen["angle"],
        half_length=np.where(window, 0.6, 0.35),
        half_width=np.where(window, 0.45, 0.35),
        top_m=np.where(window, ridge - 0.35 * chosen["rise_m"], ridge + 0.9),
        rgb=np.where(window[:, None], (70, 78, 92), (132, 98, 86)),
    )


def add_upper_floors(sketch: Sketch, rng: np.random.Generator, wings: NDArray) -> None:
    """A smaller storey on part of some flat roofs, as houses that grew have."""
    chosen = wings[(rng.random(len(wings)) < 0.45) & (wings["roof"] == FLAT)]
    count = len(chosen)
    share = rng.uniform(0.35, 0.65, count)
    x, y = on_roof(chosen, rng.choice([-1.0, 1.0], count) * (1 - share) * chosen["half_length"], np.zeros(count))
    sketch.add(
        "wings",
        x=x,
        y=y,
        angle=chosen["angle"],
        half_length=share * chosen["half_length"],
        half_width=chosen["half_width"] * 0.92,
        eave_m=chosen["eave_m"] + rng.uniform(2.5, 3.5, count),
        rise_m=0.0,
        roof=FLAT,
        covering=chosen["covering"],
        rgb=chosen["rgb"] * rng.normal(1, 0.05, (count, 1)),
        house=chosen["house"],
    )


def add_skylights(sketch: Sketch, rng: np.random.Generator, wings: NDArray) -> None:
    """A regular grid of bright skylights, or rows of dark solar panels, on flat roofs."""
    solar = rng.random() < 0.35
    for wing in wings:
        step = (3.6, 2.4) if solar else (rng.uniform(6, 12), rng.uniform(5, 10))
        u = np.arange(-wing["half_length"] + 3, wing["half_length"] - 3, step[0])
        v = np.arange(-wing["half_width"] + 2.5, wing["half_width"] - 2.5, step[1])
        if not len(u) or not len(v):
            continue
        u, v = (grid.ravel() for grid in np.meshgrid(u, v))
        present = rng.random(len(u)) < 0.97
        x, y = on_roof(wing, u[present], v[present])
        half = (1.65, 0.8) if solar else (rng.uniform(0.6, 1.6), rng.uniform(0.5, 0.9))
        sketch.add(
            "boxes",
            x=x,
            y=y,
            angle=wing["angle"],
            half_length=half[0],
            half_width=half[1],
            top_m=wing["eave_m"] + 0.35,
            rgb=(58, 66, 92) if solar else (238, 240, 242),
        )
