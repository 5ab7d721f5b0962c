"""Trees and cars, which stand in every kind of block."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .materials import CAR_RGB
from .plan import Sketch
from .style import Style


def add_cars(sketch: Sketch, rng: np.random.Generator, x: NDArray, y: NDArray, angle: NDArray | float) -> None:
    """Add cars and a few vans at places (n,) of the current frame, heading along the angle."""
    count = len(x)
    is_van = rng.random(count) < 0.1
    painted = CAR_RGB[rng.integers(len(CAR_RGB), size=count)]
    sketch.add(
        "cars",
        x=x,
        y=y,
        angle=angle + rng.normal(0, 0.025, count),
        half_length=np.where(is_van, rng.uniform(2.5, 3.3, count), rng.uniform(1.95, 2.4, count)),
        half_width=np.where(is_van, 1.0, rng.uniform(0.84, 0.94, count)),
        top_m=np.where(is_van, 2.3, 1.5),
        rgb=np.where(is_van[:, None], (225, 225, 222), painted) * rng.uniform(0.9, 1.05, (count, 1)),
    )


def add_lorries(sketch: Sketch, rng: np.random.Generator, a0: float, a1: float, b: float) -> None:
    """Add trailers side by side between a0 and a1, with gaps."""
    slots = np.arange(a0 + 3, a1 - 3, 3.6)
    taken = slots[rng.random(len(slots)) < rng.uniform(0.0, 0.6)]
    count = len(taken)
    sketch.add(
        "cars",
        x=taken,
        y=b + rng.normal(0, 0.4, count),
        angle=np.pi / 2,
        half_length=rng.choice([4.0, 6.5], count),
        half_width=1.25,
        top_m=3.6,
        rgb=rng.uniform(0.85, 1.05, (count, 1)) * (226, 227, 226),
    )


def add_trees(
    sketch: Sketch,
    rng: np.random.Generator,
    style: Style,
    x: NDArray,
    y: NDArray,
    radius: NDArray,
    kind: int,
) -> None:
    """Add trees at places (n,) of the current frame; some scenes have fewer trees than planned, or none."""
    kept = rng.random(len(x)) < style.tree_share
    colours = style.crown_rgb[rng.integers(len(style.crown_rgb), size=int(kept.sum()))]
    plant(sketch, rng, x[kept], y[kept], radius[kept], kind, colours)


def plant(
    sketch: Sketch,
    rng: np.random.Generator,
    x: NDArray,
    y: NDArray,
    radius: NDArray,
    kind: NDArray | int,
    rgb: NDArray,
) -> None:
    """Add trees of given colours (n, 3), in every scene."""
    count = len(x)
    sketch.add(
        "trees",
        x=x,
        y=y,
        radius=radius,
        top_m=radius * rng.uniform(1.6, 2.6, count) + 0.5,
        rgb=rgb * rng.normal(1, 0.07, (count, 1)),
        kind=kind,
    )


def clear_of(a: NDArray, b: NDArray, rects: NDArray, margin_m: NDArray | float) -> NDArray[np.bool_]:
    """Whether points (n,) lie outside all rectangles by a margin; everything in the same frame."""
    dx, dy = a[:, None] - rects["x"], b[:, None] - rects["y"]  # (n, rects)
    cos, sin = np.cos(rects["angle"]), np.sin(rects["angle"])
    margin = np.broadcast_to(margin_m, a.shape)[:, None]
    inside_u = np.abs(dx * cos + dy * sin) < rects["half_length"] + margin
    inside_v = np.abs(dy * cos - dx * sin) < rects["half_width"] + margin
    return ~(inside_u & inside_v).any(1)
