"""What is the same all over one scene: climate, season, sun and camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .fields import FloatArray
from .materials import CROWN_RGB, Ground, jitter_palette


@dataclass(frozen=True)
class Sun:
    """Where the light comes from.

    Attributes:
        azimuth_deg: Clockwise from north.
        elevation_deg: Above the horizon; 20 gives long shadows, 70 short ones.
        strength: Direct light on level ground, sky light being 1 - strength.
    """

    azimuth_deg: float
    elevation_deg: float
    strength: float = 0.72

    @property
    def towards(self) -> tuple[float, float]:
        """Unit vector (x, y) on the ground towards the sun; y points south."""
        azimuth = math.radians(self.azimuth_deg)
        return math.sin(azimuth), -math.cos(azimuth)

    @property
    def slope(self) -> float:
        """Height a shadow's edge loses per metre."""
        return math.tan(math.radians(self.elevation_deg))


@dataclass(frozen=True)
class Camera:
    """How light becomes 8-bit values.

    Attributes:
        gains: Factor per channel (3,), exposure and colour cast in one.
        saturation: 0 is grey, 1 unchanged.
        contrast: Slope of the tone curve at middle grey, 1 unchanged.
        haze: Share of the light scattered in from the air.
        haze_rgb: Its colour (3,), 0-1.
        blur_px: Deviation of the point spread function.
        noise: Deviation of the sensor's noise, 0-1 of full scale.
        jpeg_quality: Quality of a pass through JPEG, 0 for none.
    """

    gains: FloatArray
    saturation: float
    contrast: float
    haze: float
    haze_rgb: FloatArray
    blur_px: float
    noise: float
    jpeg_quality: int


@dataclass(frozen=True)
class Style:
    """All of a scene's choices that do not depend on the place.

    Attributes:
        arid: Desert: sand instead of grass, pale flat roofs, few trees.
        ground_rgb: Colours of the grounds (M, 3).
        crown_rgb: Colours of broad-leaved trees (n, 3).
        conifer_share: Share of conifers in woods.
        tree_share: Share of the usual trees that stand outside woods.
        pool_share: Share of gardens with a swimming pool.
        lushness: 0 dry to 1 wet; share of trees and bare patches follow it.
        sun: The sun.
        camera: The camera.
    """

    arid: bool
    ground_rgb: FloatArray
    crown_rgb: FloatArray
    conifer_share: float
    tree_share: float
    pool_share: float
    lushness: float
    sun: Sun
    camera: Camera


def draw_style(rng: np.random.Generator, arid: bool, sun_deg: tuple[float, float] | None = None) -> Style:
    """Draw climate, season, sun and camera.

    Args:
        rng: Source of the random numbers; equally many are used whatever the other arguments.
        arid: Whether the scene lies in a desert.
        sun_deg: Azimuth and elevation to use instead of the drawn ones.

    Returns:
        The style.
    """
    season = "arid" if arid else str(rng.choice(["summer", "summer", "summer", "spring", "autumn"]))
    ground_rgb = jitter_palette(rng)
    dryness = rng.uniform(0.5, 1.0) if arid else rng.beta(1.2, 2.5)
    for ground in (Ground.LAWN, Ground.MEADOW):
        straw = np.array((158, 146, 104), np.float32)
        share = dryness * (0.45 if ground == Ground.LAWN else 0.9) * (0.5 if arid else 1.0)
        ground_rgb[ground] += share * (straw - ground_rgb[ground])
    if arid:
        ground_rgb[Ground.EARTH] = 0.5 * (ground_rgb[Ground.EARTH] + ground_rgb[Ground.SAND])
    waters = ((40, 58, 64), (54, 72, 60), (26, 34, 36), (30, 46, 40), (62, 92, 104), (74, 88, 74), (44, 80, 92))
    ground_rgb[Ground.WATER] = np.array(waters[rng.integers(len(waters))]) * rng.uniform(0.8, 1.2)
    crowns = np.array(CROWN_RGB[season], np.float32)
    sun = Sun(float(rng.uniform(95, 265)), float(rng.uniform(28, 66)), float(rng.uniform(0.66, 0.8)))
    if sun_deg is not None:
        sun = Sun(*sun_deg, strength=sun.strength)
    return Style(
        arid=arid,
        ground_rgb=ground_rgb,
        crown_rgb=crowns * rng.normal(1, 0.08),
        conifer_share=float(rng.choice([0.0, 0.15, 0.8], p=[0.4, 0.4, 0.2])),
        tree_share=float(rng.choice([0.0, 0.6, 1.0], p=[0.15, 0.15, 0.7])),
        pool_share=float(rng.choice([0.15, 0.4, 0.75])),
        lushness=float(1 - dryness),
        sun=sun,
        camera=_draw_camera(rng),
    )


def _draw_camera(rng: np.random.Generator) -> Camera:
    """Exposure, cast, haze, sharpness, noise and compression of one flight."""
    warmth, green = rng.normal(0, 0.06), rng.normal(0, 0.025)
    gains = rng.uniform(0.85, 1.3) * np.array((1 + warmth, 1 + green, 1 - warmth))
    return Camera(
        gains=gains.astype(np.float32),
        saturation=float(rng.uniform(0.6, 1.1)),
        contrast=float(rng.uniform(0.9, 1.25)),
        haze=float(rng.beta(1.2, 8) * 0.5),
        haze_rgb=np.array((0.60, 0.66, 0.72), np.float32) * np.float32(rng.uniform(0.8, 1.1)),
        blur_px=float(rng.uniform(0.4, 0.95)),
        noise=float(rng.uniform(0.003, 0.02)),
        jpeg_quality=int(rng.integers(70, 96)) if rng.random() < 0.5 else 0,
    )
