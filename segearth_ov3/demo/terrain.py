"""What lies under the streets: rivers, lakes and coasts, trunk roads across the lattice, and which zone is where."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .fields import Field, FloatArray, Window, grid_shape, random_field

ZONES = ("city", "apartments", "suburb", "village", "industry", "field", "forest", "park", "meadow", "bare")
BUILT_ZONES = tuple(ZONES.index(name) for name in ("city", "apartments", "suburb", "village", "industry"))


class Theme(NamedTuple):
    """A kind of region: weights of its zones and how its streets run.

    Attributes:
        zones: Weight of each zone, others 0.
        spacing_m: Mean distance of the u- and v-lines.
        bend: Range of the street's bends.
        share: How often a scene is of this theme.
    """

    zones: dict[str, float]
    spacing_m: tuple[float, float]
    bend: tuple[float, float]
    share: float


THEMES: dict[str, Theme] = {
    "town": Theme(
        zones={"city": 0.55, "apartments": 0.2, "park": 0.12, "suburb": 0.05, "industry": 0.04, "bare": 0.04},
        spacing_m=(76, 105),
        bend=(0.0, 0.12),
        share=0.16,
    ),
    "suburb": Theme(
        zones={"suburb": 0.74, "apartments": 0.08, "park": 0.1, "forest": 0.04, "bare": 0.04},
        spacing_m=(64, 140),
        bend=(0.05, 0.28),
        share=0.21,
    ),
    "village": Theme(
        zones={"village": 0.42, "field": 0.3, "meadow": 0.12, "forest": 0.1, "suburb": 0.06},
        spacing_m=(80, 130),
        bend=(0.1, 0.3),
        share=0.12,
    ),
    "farmland": Theme(
        zones={"field": 0.72, "meadow": 0.1, "forest": 0.1, "village": 0.05, "bare": 0.03},
        spacing_m=(95, 170),
        bend=(0.05, 0.2),
        share=0.12,
    ),
    "woodland": Theme(
        zones={"forest": 0.55, "meadow": 0.25, "field": 0.1, "suburb": 0.05, "bare": 0.05},
        spacing_m=(95, 160),
        bend=(0.15, 0.3),
        share=0.09,
    ),
    "industry": Theme(
        zones={"industry": 0.65, "bare": 0.15, "apartments": 0.05, "meadow": 0.1, "city": 0.05},
        spacing_m=(95, 140),
        bend=(0.0, 0.12),
        share=0.09,
    ),
    "wasteland": Theme(
        zones={"bare": 0.6, "meadow": 0.2, "industry": 0.08, "park": 0.06, "village": 0.06},
        spacing_m=(90, 150),
        bend=(0.0, 0.3),
        share=0.08,
    ),
    "wilderness": Theme(
        zones={"forest": 0.32, "meadow": 0.26, "field": 0.2, "bare": 0.22},
        spacing_m=(80, 170),
        bend=(0.15, 0.3),
        share=0.13,
    ),
}
WATER_SHARE = {"river": 0.22, "lake": 0.15, "sea": 0.07}
LARGEST_WET_SHARE = (0.35, 0.75)
TRUNK_SHARE = 0.2
# in a desert these zones turn into bare ground with the given probability
DRIED_OUT = {"meadow": 0.85, "forest": 0.8, "park": 0.3, "field": 0.4}


class Path(NamedTuple):
    """A winding line through the scene: points (n, 2) as x, y about a metre apart and half widths (n,)."""

    points: FloatArray
    half_width: FloatArray


class Terrain(NamedTuple):
    """Water and trunk road of a scene.

    Attributes:
        water: Distance to the shore in metres, negative in the water.
        trunk: Course of the trunk road, None without one.
        trunk_m: Distance to the trunk road's centre line, None without one.
    """

    water: Field
    trunk: Path | None
    trunk_m: Field | None


def draw_path(
    rng: np.random.Generator,
    extent_m: tuple[float, float],
    margin_m: float,
    winding: float,
    half_width_m: tuple[float, float],
) -> Path:
    """Draw a line that enters the scene on one side and leaves it on the other.

    Args:
        rng: Source of the random numbers.
        extent_m: Height and width of the scene.
        margin_m: How far it continues outside.
        winding: Largest slope against its main direction.
        half_width_m: Least and largest half width; it varies slowly between both.

    Returns:
        The path.
    """
    heading = rng.uniform(0, 2 * math.pi)
    reach = math.hypot(*extent_m) / 2 + margin_m
    s = np.arange(-reach, reach, 1.0)
    side = np.full_like(s, rng.uniform(-0.3, 0.3) * min(extent_m))
    for length in rng.uniform(90, 500, 3):
        number = 2 * math.pi / length
        side += winding / 2 / number * np.sin(number * s + rng.uniform(0, 2 * math.pi))
    x = extent_m[1] / 2 + s * math.cos(heading) - side * math.sin(heading)
    y = extent_m[0] / 2 + s * math.sin(heading) + side * math.cos(heading)
    low, high = half_width_m
    wave = np.sin(s * 2 * math.pi / rng.uniform(80, 300) + rng.uniform(0, 2 * math.pi))
    width = (low + high) / 2 + (high - low) / 2 * wave
    return Path(np.stack((x, y), -1).astype(np.float32), width.astype(np.float32))


def distance_field(path: Path, extent_m: tuple[float, float], cell_m: float, margin_m: float) -> Field:
    """Distance to the edge of a path in metres, negative inside (less than 0 only where it has a width)."""
    shape = grid_shape(extent_m, cell_m, margin_m)
    col, row = ((path.points + margin_m) / cell_m).astype(np.intp).T
    inside = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
    away = np.ones(shape, bool)
    width = np.zeros(shape, np.float32)
    away[row[inside], col[inside]] = False
    width[row[inside], col[inside]] = path.half_width[inside]
    if away.all():  # the path misses the scene
        return Field(np.full(shape, 1e4, np.float32), cell_m, margin_m)
    distance, (near_row, near_col) = ndimage.distance_transform_edt(away, sampling=cell_m, return_indices=True)
    return Field((distance - width[near_row, near_col]).astype(np.float32), cell_m, margin_m)


def draw_terrain(rng: np.random.Generator, extent_m: tuple[float, float], margin_m: float, wet: float) -> Terrain:
    """Draw water and trunk road.

    Args:
        rng: Source of the random numbers.
        extent_m: Height and width of the scene.
        margin_m: Margin around the scene that the fields cover.
        wet: Factor on the chance of water, 1 for the usual.

    Returns:
        The terrain.
    """
    cell_m = 2.0 if max(extent_m) < 3000 else 5.0
    water = _draw_water(rng, extent_m, cell_m, margin_m, wet)
    if rng.random() >= TRUNK_SHARE:
        return Terrain(water, None, None)
    trunk = draw_path(rng, extent_m, margin_m, rng.uniform(0.05, 0.35), (rng.uniform(8.5, 11),) * 2)
    line = trunk._replace(half_width=np.zeros_like(trunk.half_width))
    return Terrain(water, trunk, distance_field(line, extent_m, cell_m, margin_m))


def _draw_water(
    rng: np.random.Generator, extent_m: tuple[float, float], cell_m: float, margin_m: float, wet: float
) -> Field:
    """Distance to the shore of a river, lakes or the sea, with a ragged shore; far away without water."""
    shape = grid_shape(extent_m, cell_m, margin_m)
    chance = np.array(list(WATER_SHARE.values())) * wet
    body = rng.choice(["none", *WATER_SHARE], p=[1 - chance.sum(), *chance])
    if body == "none":
        return Field(np.full(shape, 1e4, np.float32), cell_m, margin_m)
    if body == "river":
        low = rng.uniform(3, 14)
        river = draw_path(rng, extent_m, margin_m, rng.uniform(0.3, 0.9), (low, low * rng.uniform(1.2, 2.2)))
        water = distance_field(river, extent_m, cell_m, margin_m).grid
    elif body == "lake":
        size_m = rng.uniform(45, 130) + 0.05 * max(extent_m)
        bumps = _sample(random_field(rng, extent_m, size_m, margin_m), shape, cell_m, margin_m)
        water = (bumps - bumps.min() - rng.uniform(0.6, 1.5)) * size_m * 0.35
    else:
        heading = rng.uniform(0, 2 * math.pi)
        x = (np.arange(shape[1]) + 0.5) * cell_m - margin_m - extent_m[1] / 2
        y = (np.arange(shape[0]) + 0.5) * cell_m - margin_m - extent_m[0] / 2
        bays = _sample(random_field(rng, extent_m, rng.uniform(60, 200), margin_m), shape, cell_m, margin_m)
        offset = rng.uniform(-0.3, 0.2) * min(extent_m)
        water = x * math.cos(heading) + y[:, None] * math.sin(heading) - offset + 12 * bays
    for ripple_m in (14.0, max(6.0, 2 * cell_m)):
        shore = _sample(random_field(rng, extent_m, ripple_m, margin_m), shape, cell_m, margin_m)
        water = water + 0.1 * ripple_m * shore
    # no more than part of the scene is wet: the shore moves outwards
    edge = int(margin_m / cell_m)
    inner = water[edge : edge + int(extent_m[0] / cell_m) + 1, edge : edge + int(extent_m[1] / cell_m) + 1]
    water = water - min(float(np.quantile(inner, rng.uniform(*LARGEST_WET_SHARE))), 0.0)
    return Field(np.ascontiguousarray(water, np.float32), cell_m, margin_m)


def _sample(field: Field, shape: tuple[int, int], cell_m: float, margin_m: float) -> FloatArray:
    """Values of a field on a finer grid with the same margin."""
    border = round(margin_m / cell_m)
    return field.window(Window(-border, -border, *shape, cell_m))


class WaveNoise:
    """Smooth noise at any point of the plane, as a sum of cosines; one value per name."""

    def __init__(self, rng: np.random.Generator, channels: int, wavelength_m: float) -> None:
        """Draw eight waves per channel of 0.6 to 1.6 times the wavelength."""
        number = 2 * math.pi / (wavelength_m * rng.uniform(0.6, 1.6, (channels, 8)))
        heading = rng.uniform(0, 2 * math.pi, (channels, 8))
        self._kx, self._ky = number * np.cos(heading), number * np.sin(heading)
        self._phase = rng.uniform(0, 2 * math.pi, (channels, 8))

    def at(self, x: NDArray, y: NDArray) -> NDArray[np.float64]:
        """Values of unit deviation at points (n,): (n, channels)."""
        phase = x[:, None, None] * self._kx + y[:, None, None] * self._ky + self._phase
        return np.cos(phase).sum(-1) / 2


def draw_zones(
    rng: np.random.Generator, x: NDArray, y: NDArray, theme: str, arid: bool, middle: tuple[float, float]
) -> NDArray[np.int64]:
    """Choose the zone of each block so that neighbours tend to agree and the theme changes over kilometres.

    Args:
        rng: Source of the random numbers.
        x: Centres of the blocks in metres (n,).
        y: The same, towards south (n,).
        theme: Theme in the middle of the scene.
        arid: Whether meadows and woods dry out.
        middle: Scene coordinates (x, y) of the middle.

    Returns:
        Index into `ZONES` of each block (n,).
    """
    weights = np.array([[item.zones.get(zone, 0.0) for zone in ZONES] for item in THEMES.values()])
    region = WaveNoise(rng, len(THEMES), 1500.0)
    logits = region.at(x, y) - region.at(*np.array(middle)[:, None])  # 0 in the middle
    logits[:, list(THEMES).index(theme)] += 1.5
    shares = np.exp(3 * logits)
    shares /= shares.sum(1, keepdims=True)
    zone_logits = np.log((shares[:, :, None] * weights).sum(1) + 1e-9) + WaveNoise(rng, len(ZONES), 260.0).at(x, y)
    zones = np.argmax(zone_logits + 0.7 * rng.gumbel(size=zone_logits.shape), 1)
    chance = rng.random(len(zones))
    if arid:
        for name, probability in DRIED_OUT.items():
            zones[(zones == ZONES.index(name)) & (chance < probability)] = ZONES.index("bare")
    return zones
