"""Colours for classes: fixed ones for common words of land cover, far apart from each other for everything else.

Colours are (red, green, blue), 0 to 255. "Far apart" means as seen, also by people with deuteranopia, who cannot tell
red from green: distances are Euclidean in CIELAB (D65), the smaller one of the two kinds of sight. Any two fixed
colours are at least 20 apart for both. The same class names always get the same colours.

Deuteranopia is simulated by the matrix of G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, "A Physiologically-based
Model for Simulation of Color Vision Deficiency", IEEE TVCG 15(6), 2009, for severity 1, on linear RGB.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import OptionError

Color = tuple[int, int, int]

MAX_COLORS = 1000

# what people expect of a map; of two words of one line in a vocabulary, `class_colors` gives the second another colour
_WORD_COLORS: dict[str, Color] = {
    **dict.fromkeys(("background", "clutter", "other", "unlabeled", "unlabelled", "unknown"), (61, 62, 56)),
    **dict.fromkeys(("building", "house", "roof", "rooftop", "construction"), (220, 54, 76)),
    **dict.fromkeys(("road", "street", "highway"), (255, 220, 49)),
    **dict.fromkeys(("pavement", "impervious", "asphalt", "concrete", "developed"), (189, 184, 201)),
    **dict.fromkeys(("water", "river", "lake", "sea", "ocean", "pond", "canal"), (12, 112, 212)),
    **dict.fromkeys(("pool", "reservoir"), (67, 220, 248)),
    **dict.fromkeys(("tree", "forest", "wood", "woodland", "orchard"), (18, 120, 70)),
    **dict.fromkeys(("grass", "lawn", "meadow", "grassland", "vegetation", "rangeland", "pasture"), (127, 212, 126)),
    **dict.fromkeys(("shrub", "bush", "scrub", "shrubland"), (162, 174, 65)),
    **dict.fromkeys(("agriculture", "agricultural", "cropland", "crop", "farmland", "field", "farm"), (233, 141, 0)),
    **dict.fromkeys(("barren", "bare", "bareland", "soil", "ground", "dirt", "rock"), (112, 63, 18)),
    **dict.fromkeys(("sand", "beach", "desert"), (255, 239, 201)),
    **dict.fromkeys(("car", "vehicle", "truck", "bus"), (206, 45, 173)),
    **dict.fromkeys(("ship", "boat", "harbor", "harbour"), (66, 46, 192)),
    **dict.fromkeys(("airplane", "plane", "aircraft", "airport", "runway"), (179, 133, 242)),
    **dict.fromkeys(("bridge", "railway", "rail"), (123, 43, 106)),
    **dict.fromkeys(("parking", "car park"), (224, 134, 146)),
    **dict.fromkeys(("wetland", "marsh", "mangrove"), (40, 152, 137)),
    **dict.fromkeys(("solar", "photovoltaic"), (31, 36, 121)),
    **dict.fromkeys(("snow", "ice", "cloud"), (235, 250, 254)),
    **dict.fromkeys(("playground", "stadium", "court", "track"), (170, 80, 4)),
}

_FIRST_COLORS: tuple[Color, ...] = (
    (220, 54, 76),
    (12, 112, 212),
    (255, 220, 49),
    (18, 120, 70),
    (206, 45, 173),
    (67, 220, 248),
    (233, 141, 0),
    (127, 212, 126),
    (66, 46, 192),
    (112, 63, 18),
)


_DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
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


def class_colors(names: Sequence[str], given: Mapping[str, Color] | None = None) -> list[Color]:
    """Give every class a colour: the usual one where its name has a common word ("forest" is green).

    Args:
        names: Class names in label order. The last known word of a name decides, singular or plural ("bare soil" is
            soil, "houses" is house); of two classes with the same usual colour the first one gets it.
        given: Colours of some classes, which keep them.

    Returns:
        One colour per class, all distinct but for equal ones in `given`.

    Raises:
        OptionError: More than 1000 classes.
    """
    by_index = {index: given[name] for index, name in enumerate(names) if given and name in given}
    taken = set(by_index.values())
    for index, name in enumerate(names):
        color = _usual_color(name)
        if color is not None and index not in by_index and color not in taken:
            by_index[index] = color
            taken.add(color)
    if not by_index:
        return default_colors(len(names))
    first = list(dict.fromkeys(by_index.values()))
    others = iter(_extended(first, len(first) + len(names) - len(by_index))[len(first) :])
    return [by_index[index] if index in by_index else next(others) for index in range(len(names))]


def as_seen_with_deuteranopia(rgb: np.ndarray) -> np.ndarray:
    """Simulate how sRGB colours (N, 3), 0 to 255, look without the cones for medium wavelengths; float64, 0 to 255."""
    linear = np.clip(_to_linear(rgb) @ _DEUTERANOPIA.T, 0, 1)
    seen: np.ndarray = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return seen


def color_distances(rgb: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Measure how far apart colours (N, 3) and others (M, 3) are seen, (N, M): the smaller distance of both sights."""
    distances: np.ndarray = np.linalg.norm(_seen(rgb)[:, :, None] - _seen(others)[:, None], axis=-1).min(axis=0)
    return distances


def _seen(rgb: np.ndarray) -> np.ndarray:
    """CIELAB values (2, N, 3) of colours (N, 3): as most people see them, and with deuteranopia."""
    return np.stack([_to_lab(rgb), _to_lab(as_seen_with_deuteranopia(rgb))])


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
        raise OptionError(f"expected at most {MAX_COLORS} classes to colour, got {count}; pass colors=")
    chosen = list(colors)
    candidates, seen = _candidates()
    nearest = np.full(len(candidates), np.inf)  # distance of each candidate to the closest chosen colour
    for color in _seen(np.array(chosen).reshape(-1, 3)).swapaxes(0, 1):  # (2, 3)
        nearest = np.minimum(nearest, np.linalg.norm(seen - color[:, None], axis=-1).min(axis=0))
    while len(chosen) < count:
        best = int(nearest.argmax())
        red, green, blue = candidates[best].tolist()
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, np.linalg.norm(seen - seen[:, best : best + 1], axis=-1).min(axis=0))
    return chosen


@functools.cache
def _candidates() -> tuple[np.ndarray, np.ndarray]:
    """Colours to choose from (N, 3), neither dark, light, grey nor glaring, and their CIELAB values (2, N, 3)."""
    levels = np.arange(0, 256, 15)
    rgb = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)  # (N, 3)
    lab = _to_lab(rgb)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    usable = rgb[(lab[:, 0] > 25) & (lab[:, 0] < 92) & (chroma > 25) & (chroma < 95)]
    return usable, _seen(usable)


def _to_linear(rgb: np.ndarray) -> np.ndarray:
    """Turn sRGB (N, 3), 0 to 255, into linear RGB (N, 3), 0 to 1."""
    unit = rgb / 255
    linear: np.ndarray = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    return linear


def _to_lab(rgb: np.ndarray) -> np.ndarray:
    """Turn sRGB (N, 3), 0 to 255, into CIELAB (N, 3) under D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    relative = _to_linear(rgb) @ to_xyz.T / to_xyz.sum(axis=1)  # divided by the white point
    curve = np.where(relative > 216 / 24389, np.cbrt(relative), (24389 / 27 * relative + 16) / 116)
    x, y, z = curve.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
