"""The layers of a window while it is rendered; all of them flat, pixel by pixel in row order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .fields import FloatArray, Window
from .plan import Plan


@dataclass
class Canvas:
    """What is known of each pixel of a window.

    Attributes:
        window: The window.
        broad: Random field of 45 m (h*w,), as are the next ones.
        patch: Of 9 m.
        grain: Of 2.2 m.
        hue: A second one of 45 m.
        lumps: Of 0.9 m.
        white: Independent from pixel to pixel.
        rgb: Surface colour, sRGB 0-255 (h*w, 3).
        light: Direct sun on the surface's slope, 1 on level ground (h*w,).
        height_m: Surface height (h*w,).
        labels: Class indices (h*w,).
        instances: Numbers of countable objects, 0 for none (h*w,).
    """

    window: Window
    broad: FloatArray
    patch: FloatArray
    grain: FloatArray
    hue: FloatArray
    lumps: FloatArray
    white: FloatArray
    rgb: FloatArray
    light: FloatArray
    height_m: FloatArray
    labels: NDArray[np.uint8]
    instances: NDArray[np.int32]


def blank_canvas(plan: Plan, window: Window, rng: np.random.Generator) -> Canvas:
    """A canvas with its random fields and nothing on it."""
    count = window.height * window.width
    broad, patch, grain, hue, lumps = (texture.window(window).ravel() for texture in plan.textures)
    return Canvas(
        window=window,
        broad=broad,
        patch=patch,
        grain=grain,
        hue=hue,
        lumps=lumps,
        white=rng.standard_normal(count, dtype=np.float32),
        rgb=np.zeros((count, 3), np.float32),
        light=np.ones(count, np.float32),
        height_m=np.zeros(count, np.float32),
        labels=np.zeros(count, np.uint8),
        instances=np.zeros(count, np.int32),
    )
