"""What grounds and roofs look like: one row of numbers per material, and the palettes roofs, cars and crops draw from.

Colours are sRGB (0-255) as a camera sees them in full sun. A pixel's colour is

    rgb * (1 + broad * n_45m + patch * n_9m + grain * n_2m + pixel * n_1px) + tint * n_45m'

with n_* random fields of unit deviation.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SCENE_CLASSES = ("building", "road", "water", "tree", "grass", "bare soil", "field", "swimming pool")
SCENE_COLORS = (
    (211, 67, 61),
    (110, 112, 118),
    (52, 118, 196),
    (29, 104, 51),
    (145, 199, 82),
    (201, 162, 121),
    (240, 205, 70),
    (60, 222, 220),
)
INSTANCE_CLASSES = ("none", "building", "swimming pool", "tree", "car")

BUILDING, ROAD, WATER, TREE, GRASS, SOIL, FIELD, POOL = range(8)


class Ground(IntEnum):
    """Materials that cover the ground."""

    LAWN = 0
    MEADOW = 1
    FOREST = 2
    EARTH = 3
    SAND = 4
    RUBBLE = 5
    CROP = 6
    ASPHALT = 7
    STREET = 8
    PARKING = 9
    PAVING = 10
    WATER = 11
    POOL = 12


class Material(NamedTuple):
    """Label, colour and texture of a ground; see the module's formula."""

    label: int
    rgb: tuple[int, int, int]
    tint: tuple[int, int, int]
    broad: float
    patch: float
    grain: float
    pixel: float


MATERIALS: dict[Ground, Material] = {
    Ground.LAWN: Material(GRASS, (106, 122, 76), (6, 2, 1), 0.035, 0.035, 0.04, 0.035),
    Ground.MEADOW: Material(GRASS, (118, 125, 84), (12, 5, 4), 0.045, 0.05, 0.06, 0.055),
    Ground.FOREST: Material(TREE, (50, 57, 38), (5, 2, 2), 0.06, 0.08, 0.14, 0.08),
    Ground.EARTH: Material(SOIL, (156, 133, 107), (6, 3, -1), 0.05, 0.05, 0.05, 0.045),
    Ground.SAND: Material(SOIL, (206, 192, 170), (5, 2, -4), 0.045, 0.04, 0.03, 0.025),
    Ground.RUBBLE: Material(SOIL, (176, 164, 146), (6, 3, 0), 0.05, 0.05, 0.05, 0.055),
    Ground.CROP: Material(FIELD, (128, 128, 128), (3, 1, -1), 0.04, 0.045, 0.035, 0.03),
    Ground.ASPHALT: Material(ROAD, (104, 104, 106), (3, 2, 1), 0.05, 0.03, 0.03, 0.025),
    Ground.STREET: Material(ROAD, (126, 124, 122), (3, 2, 1), 0.05, 0.05, 0.04, 0.03),
    Ground.PARKING: Material(ROAD, (118, 118, 120), (3, 2, 1), 0.06, 0.05, 0.04, 0.03),
    Ground.PAVING: Material(ROAD, (172, 167, 160), (4, 2, 0), 0.05, 0.05, 0.05, 0.04),
    Ground.WATER: Material(WATER, (46, 62, 62), (2, 5, 3), 0.05, 0.03, 0.02, 0.02),
    Ground.POOL: Material(POOL, (82, 186, 206), (0, 3, 3), 0.02, 0.05, 0.04, 0.02),
}
LABEL_OF = np.array([MATERIALS[ground].label for ground in Ground], np.uint8)

# roof coverings: name -> colours to choose from
ROOF_RGB: dict[str, tuple[tuple[int, int, int], ...]] = {
    "tile": (
        (158, 98, 78),
        (174, 112, 88),
        (142, 88, 74),
        (188, 130, 104),
        (146, 104, 90),
        (126, 84, 74),
        (150, 78, 62),
    ),
    "slate": ((112, 112, 116), (92, 92, 98), (132, 130, 128), (78, 78, 84), (120, 104, 96)),
    "metal": ((222, 222, 220), (198, 202, 204), (170, 176, 182), (110, 140, 168), (150, 70, 60), (120, 148, 132)),
    "membrane": ((178, 176, 170), (150, 148, 144), (206, 203, 196), (120, 118, 116), (92, 92, 94), (228, 226, 222)),
    "plaster": ((214, 204, 186), (196, 182, 160), (228, 222, 208), (184, 168, 144), (206, 198, 188), (170, 154, 134)),
    "white": ((236, 236, 234), (224, 226, 228), (244, 243, 240)),
}
COVERINGS = tuple(ROOF_RGB)

CAR_RGB = np.array(
    [(236, 236, 234)] * 4
    + [(36, 37, 40)] * 3
    + [(112, 114, 118)] * 3
    + [(186, 188, 190)] * 3
    + [(64, 68, 76), (150, 36, 34), (34, 62, 120), (180, 46, 38), (70, 96, 128), (120, 110, 92), (52, 84, 64)],
    np.float32,
)

POOL_RGB = np.array([(82, 190, 208), (98, 204, 214), (64, 168, 198), (112, 206, 204), (74, 178, 186)], np.float32)

# crowns by climate and season; several colours of one kind stand together in a scene
CROWN_RGB: dict[str, tuple[tuple[int, int, int], ...]] = {
    "summer": ((80, 100, 58), (66, 86, 52), (96, 112, 62), (58, 76, 50), (104, 110, 74), (88, 84, 62)),
    "spring": ((112, 132, 70), (96, 120, 66), (124, 138, 84), (84, 104, 62), (132, 134, 104)),
    "autumn": ((126, 110, 66), (112, 108, 62), (132, 100, 66), (90, 96, 58), (112, 102, 74), (78, 88, 54)),
    "conifer": ((52, 70, 52), (46, 64, 50), (60, 76, 54)),
    "arid": ((88, 96, 66), (76, 88, 62), (100, 104, 76)),
}


class Crop(NamedTuple):
    """A kind of field: two colours that alternate, and how strongly rows, wheel tracks and strips show."""

    rgb: tuple[int, int, int]
    row_rgb: tuple[int, int, int]
    period_m: tuple[float, float]
    contrast: float
    tracks: float


CROPS = (
    Crop((112, 132, 62), (92, 114, 54), (1.5, 3.0), 0.55, 0.9),  # young cereal
    Crop((92, 118, 56), (118, 112, 74), (2.0, 4.5), 0.7, 0.3),  # row crop on soil
    Crop((196, 174, 112), (176, 152, 94), (1.8, 3.5), 0.6, 0.8),  # ripe cereal
    Crop((192, 178, 136), (168, 150, 110), (3.0, 6.0), 0.7, 0.5),  # stubble
    Crop((152, 126, 104), (126, 102, 84), (1.6, 3.2), 0.75, 0.4),  # ploughed
    Crop((166, 142, 120), (146, 122, 102), (2.4, 5.0), 0.6, 0.7),  # harrowed
    Crop((178, 172, 92), (160, 158, 84), (1.8, 3.5), 0.4, 0.9),  # rape in flower
    Crop((74, 100, 52), (148, 130, 100), (2.4, 4.5), 1.0, 0.0),  # vines
    Crop((124, 150, 84), (84, 116, 62), (4.0, 9.0), 0.8, 0.2),  # vegetable strips
)


def jitter_palette(rng: np.random.Generator, spread: float = 0.08) -> NDArray[np.float32]:
    """Base colours of all grounds (M, 3), each a little off its nominal colour in brightness and hue."""
    rgb = np.array([MATERIALS[ground].rgb for ground in Ground], np.float32)
    brightness = rng.normal(1, spread, (len(rgb), 1))
    hue = rng.normal(1, spread / 4, rgb.shape)
    return (rgb * brightness * hue).astype(np.float32)


def texture_table() -> NDArray[np.float32]:
    """Strength of the four noise fields for all grounds (M, 4)."""
    return np.array([MATERIALS[ground][3:] for ground in Ground], np.float32)


def tint_table() -> NDArray[np.float32]:
    """Colour that the broad field adds, for all grounds (M, 3)."""
    return np.array([MATERIALS[ground].tint for ground in Ground], np.float32)
