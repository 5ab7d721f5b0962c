"""Streets as a bent lattice: u- and v-lines with irregular spacing, blocks between them, zones in the blocks.

Street coordinates (u, v) are metres; the lattice is turned and gently bent into the scene, so that what does not
overlap in (u, v) does not overlap in the scene either, and everything stays parallel to the nearest street.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .plan import LANE, LOCAL, MAIN

VERTICES_PER_SIDE = 6


@dataclass(frozen=True)
class Lattice:
    """Lines of the streets and the way into the scene.

    Attributes:
        lines: Positions of the u-lines and of the v-lines, ascending, in metres.
        kinds: Road kind of each line.
        angle: Turn of the whole lattice in radians.
        centre: Scene coordinates (x, y) of u = v = 0.
        waves: Bends: amplitude in u and v, wave vector, phase (k, 5).
    """

    lines: tuple[NDArray[np.float64], NDArray[np.float64]]
    kinds: tuple[NDArray[np.int64], NDArray[np.int64]]
    angle: float
    centre: tuple[float, float]
    waves: NDArray[np.float64]

    def to_scene(self, u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
        """Scene coordinates x, y of points in street coordinates."""
        phase = u[..., None] * self.waves[:, 2] + v[..., None] * self.waves[:, 3] + self.waves[:, 4]
        wave = np.sin(phase)
        bent_u, bent_v = u + (wave * self.waves[:, 0]).sum(-1), v + (wave * self.waves[:, 1]).sum(-1)
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        x = self.centre[0] + bent_u * cos - bent_v * sin
        y = self.centre[1] + bent_u * sin + bent_v * cos
        return x, y

    def place(self, table: NDArray) -> NDArray:
        """Move a table from street to scene coordinates; angles turn with the streets."""
        placed = table.copy()
        u, v = table["x"].astype(np.float64), table["y"].astype(np.float64)
        x, y = self.to_scene(u, v)
        placed["x"], placed["y"] = x, y
        if "angle" in (table.dtype.names or ()):
            along = table["angle"].astype(np.float64)
            ahead_x, ahead_y = self.to_scene(u + np.cos(along), v + np.sin(along))
            placed["angle"] = np.arctan2(ahead_y - y, ahead_x - x)
        return placed

    def outlines(self, areas: NDArray) -> NDArray[np.float32]:
        """Polygons of rectangles given by u0, u1, v0, v1 (N,): x, y of their outlines (N, V, 2)."""
        side = np.arange(VERTICES_PER_SIDE) / VERTICES_PER_SIDE
        zero, one = np.zeros_like(side), np.ones_like(side)
        share_u = np.concatenate((side, one, 1 - side, zero))
        share_v = np.concatenate((zero, side, one, 1 - side))
        u = areas["u0"][:, None] + (areas["u1"] - areas["u0"])[:, None] * share_u
        v = areas["v0"][:, None] + (areas["v1"] - areas["v0"])[:, None] * share_v
        return np.stack(self.to_scene(u.astype(np.float64), v.astype(np.float64)), -1).astype(np.float32)


def draw_lattice(
    rng: np.random.Generator, extent_m: tuple[float, float], spacing_m: tuple[float, float], bend: float
) -> Lattice:
    """Draw the lines and bends of a scene's streets.

    Args:
        rng: Source of the random numbers.
        extent_m: Height and width of the scene.
        spacing_m: Mean distance of the u-lines and of the v-lines.
        bend: Largest slope of the bends, 0 for straight streets; above 0.3 blocks become visibly skewed.

    Returns:
        The lattice; its blocks cover the scene with a margin of 30 m.
    """
    reach = math.hypot(*extent_m) / 2 * (1 + bend) + 30
    lines, kinds = [], []
    for mean in spacing_m:
        count = math.ceil(2 * reach / mean * 1.3) + 3
        steps = mean * rng.uniform(0.75, 1.3, count)
        position = np.cumsum(steps) - steps[0] - reach - rng.uniform(0.2, 1) * steps[0]
        stop = int(np.searchsorted(position, reach)) + 1
        lines.append(position[:stop])
        drawn = rng.choice([LANE, LOCAL, MAIN], count, p=[0.1, 0.65, 0.25])
        kinds.append(drawn[:stop])
    length = rng.uniform(260, 800, 4)
    heading = rng.uniform(0, 2 * math.pi, 4)
    number = 2 * math.pi / length
    amplitude = bend / 2 / number
    turn = rng.uniform(0, 2 * math.pi, 4)
    waves = np.stack(
        (
            amplitude * np.cos(turn),
            amplitude * np.sin(turn),
            number * np.cos(heading),
            number * np.sin(heading),
            rng.uniform(0, 2 * math.pi, 4),
        ),
        -1,
    )
    angle = float(rng.uniform(-math.pi / 4, math.pi / 4))
    centre = extent_m[1] / 2, extent_m[0] / 2
    # bends move the middle of the lattice away: bring it back
    drift = Lattice((lines[0], lines[1]), (kinds[0], kinds[1]), angle, centre, waves)
    x, y = drift.to_scene(np.zeros(1), np.zeros(1))
    moved = 2 * centre[0] - float(x[0]), 2 * centre[1] - float(y[0])
    return Lattice((lines[0], lines[1]), (kinds[0], kinds[1]), angle, moved, waves)
