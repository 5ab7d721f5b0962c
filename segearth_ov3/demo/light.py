"""Sun and camera: shadows over a height map, light on surfaces, and the way to 8-bit values."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from .fields import FloatArray
from .style import Camera, Sun

SUNLIGHT_RGB = np.array((1.03, 1.0, 0.94), np.float32)
SKYLIGHT_RGB = np.array((0.80, 0.96, 1.24), np.float32)
MIDDLE_GREY = np.float32(0.45)


def cast_shadows(height_m: FloatArray, sun: Sun, res_m: float) -> FloatArray:
    """Share of direct sun that is blocked at each pixel.

    The highest obstacle towards the sun, lowered by the sun's slope, is found by doubling: the maximum over 2n steps
    is that over n steps and its own copy n steps further. So the cost grows with the logarithm of the shadow's length.

    Args:
        height_m: Surface height (h, w), 0 on the ground.
        sun: The sun.
        res_m: Metres per pixel.

    Returns:
        0 in the sun to 1 in the shadow (h, w), with edges about a pixel soft.
    """
    x, y = sun.towards
    obstacle = np.full_like(height_m, -np.inf)
    steps = float(height_m.max(initial=0.0)) / sun.slope / res_m

    def raise_to(source: FloatArray, pixels: int) -> None:
        """Raise the obstacles to what stands that many pixels further towards the sun."""
        rows, cols = round(pixels * y), round(pixels * x)
        drop = np.float32(math.hypot(rows, cols) * res_m * sun.slope)
        here, there = _overlap(height_m.shape, rows, cols)
        obstacle[here] = np.maximum(obstacle[here], source[there] - drop)

    raise_to(height_m, 1)
    reach = 1  # pixels that the obstacles account for
    while reach < steps:
        raise_to(obstacle, reach)
        reach *= 2
    # an obstacle k pixels away shades the pixel up to its far edge while it is not lower than the ray there
    shaded = (obstacle - height_m - 0.05) / np.float32(res_m * sun.slope) + 1
    return ndimage.gaussian_filter(np.clip(shaded, 0, 1), 0.55)


def _overlap(shape: tuple[int, ...], rows: int, cols: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of an image and of its copy shifted by (rows, cols) where both exist."""
    inner, outer = [], []
    for size, shift in zip(shape, (rows, cols)):
        inner.append(slice(max(0, -shift), max(0, size - max(0, shift))))
        outer.append(slice(max(0, shift), max(0, size + min(0, shift))))
    return (inner[0], inner[1]), (outer[0], outer[1])


def slope_light(sun: Sun, dir_x: FloatArray, dir_y: FloatArray, slope: FloatArray) -> FloatArray:
    """Direct light on a plane relative to level ground.

    Args:
        sun: The sun.
        dir_x: Unit vector on the ground in which the plane falls, east part (n,).
        dir_y: The same, south part (n,).
        slope: Fall per metre (n,), 0 for level.

    Returns:
        Factor of at least 0 (n,); 1 for level planes.
    """
    x, y = sun.towards
    facing = slope * (dir_x * x + dir_y * y) / np.float32(sun.slope)
    return np.maximum((1 + facing) / np.sqrt(1 + slope * slope), 0).astype(np.float32)


def expose(rgb: FloatArray, light: FloatArray, shadow: FloatArray, sun: Sun, camera: Camera) -> FloatArray:
    """Light that reaches the sensor.

    Args:
        rgb: Surface colours as sRGB 0-255 (h, w, 3).
        light: Direct light relative to level ground (h, w).
        shadow: Share of it that is blocked (h, w).
        sun: The sun.
        camera: The camera.

    Returns:
        Linear values, 1 for white in full sun (3, h, w).
    """
    direct = np.float32(sun.strength) * light * (1 - shadow)
    linear = np.empty((3, *light.shape), np.float32)
    for channel, plane in enumerate(linear):
        np.square(rgb[..., channel] * np.float32(1 / 255), out=plane)  # gamma 2 is close enough to sRGB
        plane *= direct * np.float32(SUNLIGHT_RGB[channel]) + np.float32((1 - sun.strength) * SKYLIGHT_RGB[channel])
        plane *= np.float32((1 - camera.haze) * camera.gains[channel])
        plane += np.float32(camera.haze * camera.haze_rgb[channel] ** 2 * camera.gains[channel])
    return linear


def develop(linear: FloatArray, camera: Camera, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur, tone curve, saturation, noise and compression: (3, h, w) linear to (h, w, 3) uint8."""
    tone = np.empty_like(linear)
    for channel, plane in enumerate(linear):
        ndimage.gaussian_filter(plane, camera.blur_px, output=tone[channel], truncate=2.5)
    np.sqrt(np.maximum(tone, 0, out=tone), out=tone)
    grey = np.float32(0.3) * tone[0] + np.float32(0.59) * tone[1] + np.float32(0.11) * tone[2]
    noise = np.float32(camera.noise) * rng.standard_normal(grey.shape, dtype=np.float32)
    image = np.empty((*grey.shape, 3), np.uint8)
    for channel, plane in enumerate(tone):
        plane = grey + np.float32(camera.saturation) * (plane - grey)
        plane = (plane - MIDDLE_GREY) * np.float32(camera.contrast) + MIDDLE_GREY
        plane += noise + np.float32(0.5 * camera.noise) * rng.standard_normal(grey.shape, dtype=np.float32)
        image[..., channel] = np.clip(plane, 0, 1) * 255 + np.float32(0.5)
    if camera.jpeg_quality:
        packed = io.BytesIO()
        Image.fromarray(image).save(packed, "JPEG", quality=camera.jpeg_quality)
        image = np.array(Image.open(packed))
    return image
