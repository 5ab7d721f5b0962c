"""Colours for classes: fixed ones for common words of land cover, far apart from each other for everything else.

Colours are (red, green, blue), 0 to 255. "Far apart" is meant as seen: distances are Euclidean in CIELAB (D65).
The same class names always get the same colours.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from ..errors import OptionError

Color = tuple[int, int, int]

MAX_COLORS = 1000

# what people expect of a map; words of one line share a colour, so two of them in one vocabulary are told apart below
_WORD_COLORS: dict[str, Color] = {
    **dict.fromkeys(("background", "clutter", "other", "unlabeled", "unlabelled", "unknown"), (96, 96, 104)),
    **dict.fromkeys(("building", "house", "roof", "rooftop", "construction"), (222, 45, 38)),
    **dict.fromkeys(("road", "street", "highway"), (247, 208, 70)),
    **dict.fromkeys(("pavement", "impervious", "asphalt", "concrete", "developed"), (190, 190, 190)),
    **dict.fromkeys(("water", "river", "lake", "sea", "ocean", "pond", "canal"), (38, 112, 224)),
    **dict.fromkeys(("pool", "reservoir"), (72, 219, 238)),
    **dict.fromkeys(("tree", "forest", "wood", "woodland", "orchard"), (22, 120, 52)),
    **dict.fromkeys(("grass", "lawn", "meadow", "grassland", "vegetation", "rangeland", "pasture"), (150, 214, 92)),
    **dict.fromkeys(("shrub", "bush", "scrub", "shrubland"), (128, 148, 40)),
    **dict.fromkeys(("agriculture", "agricultural", "cropland", "crop", "farmland", "field", "farm"), (240, 152, 62)),
    **dict.fromkeys(("barren", "bare", "bareland", "soil", "ground", "dirt", "rock"), (150, 98, 62)),
    **dict.fromkeys(("sand", "beach", "desert"), (240, 222, 176)),
    **dict.fromkeys(("car", "vehicle", "truck", "bus"), (232, 62, 190)),
    **dict.fromkeys(("ship", "boat", "harbor", "harbour"), (120, 60, 200)),
    **dict.fromkeys(("airplane", "plane", "aircraft", "airport", "runway"), (176, 130, 240)),
    **dict.fromkeys(("bridge", "railway", "rail"), (128, 40, 88)),
    **dict.fromkeys(("parking", "car park"), (252, 160, 186)),
    **dict.fromkeys(("wetland", "marsh", "mangrove"), (30, 150, 140)),
    **dict.fromkeys(("solar", "photovoltaic"), (24, 36, 120)),
    **dict.fromkeys(("snow", "ice", "cloud"), (226, 240, 255)),
    **dict.fromkeys(("playground", "stadium", "court", "track"), (176, 84, 40)),
}

_FIRST_COLORS: tuple[Color, ...] = (
    (222, 45, 38),
    (38, 112, 224),
    (247, 208, 70),
    (22, 120, 52),
    (232, 62, 190),
    (72, 219, 238),
    (240, 152, 62),
    (150, 214, 92),
    (120, 60, 200),
    (150, 98, 62),
)


def default_colors(count: int) -> list[Color]:
    """Give `count` well separated colours.

    Args:
        count: 0 to 1000. The first n colours are the same for every count; with more than about 40 they get similar.

    Returns:
        Distinct colours, none of them close to black, white or grey, nor glaring.

    Raises:
        OptionError: More than 1000.
    """
    return _extended(_FIRST_COLORS[:count], count)


def class_colors(names: Sequence[str]) -> list[Color]:
    """Give every class a colour of its own: the usual one where its name has a common word ("forest" is green).

    Args:
        names: Class names in label order. The last known word of a name decides, singular or plural ("bare soil" is
            soil, "houses" is house); of two classes with the same usual colour the first one gets it.

    Returns:
        One colour per class, all distinct.

    Raises:
        OptionError: More than 1000 classes.
    """
    usual: dict[Color, int] = {}
    for index, name in enumerate(names):
        color = _usual_color(name)
        if color is not None:
            usual.setdefault(color, index)
    if not usual:
        return default_colors(len(names))
    others = iter(_extended(tuple(usual), len(names))[len(usual) :])
    by_index = {index: color for color, index in usual.items()}
    return [by_index[index] if index in by_index else next(others) for index in range(len(names))]


def _usual_color(name: str) -> Color | None:
    """The colour of the last word of `name` that has one."""
    words = name.lower().replace("-", " ").replace("_", " ").split()
    for word in (" ".join(words), *reversed(words)):
        for form in (word, word.removesuffix("s"), word.removesuffix("es")):
            if form in _WORD_COLORS:
                return _WORD_COLORS[form]
    return None


def _extended(colors: Sequence[Color], count: int) -> list[Color]:
    """Add colours until there are `count`, each as far as possible from all before it."""
    if not 0 <= count <= MAX_COLORS:
        raise OptionError(f"expected at most {MAX_COLORS} classes to colour, got {count}; pass colors= of your own")
    chosen = list(colors)
    candidates, candidate_lab = _candidates()
    nearest = np.full(len(candidates), np.inf)  # distance of each candidate to the closest chosen colour
    for lab in _to_lab(np.array(chosen, dtype=np.float64).reshape(-1, 3)):
        nearest = np.minimum(nearest, np.linalg.norm(candidate_lab - lab, axis=1))
    while len(chosen) < count:
        best = int(nearest.argmax())
        red, green, blue = candidates[best].tolist()
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, np.linalg.norm(candidate_lab - candidate_lab[best], axis=1))
    return chosen


@functools.cache
def _candidates() -> tuple[np.ndarray, np.ndarray]:
    """Colours to choose from (N, 3) and their CIELAB values (N, 3): neither dark, light, grey nor glaring."""
    levels = np.arange(0, 256, 15)
    rgb = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)  # (N, 3)
    lab = _to_lab(rgb.astype(np.float64))
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    usable = (lab[:, 0] > 25) & (lab[:, 0] < 92) & (chroma > 25) & (chroma < 95)
    return rgb[usable], lab[usable]


def _to_lab(rgb: np.ndarray) -> np.ndarray:
    """Turn sRGB (N, 3), 0 to 255, into CIELAB (N, 3) under D65."""
    unit = rgb / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    relative = linear @ to_xyz.T / to_xyz.sum(axis=1)  # divided by the white point
    curve = np.where(relative > 216 / 24389, np.cbrt(relative), (24389 / 27 * relative + 16) / 116)
    x, y, z = curve.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
