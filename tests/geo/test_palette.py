from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from segearth_ov3.errors import OptionError
from segearth_ov3.geo import palette
from segearth_ov3.geo.palette import Color, as_seen_with_deuteranopia, class_colors, default_colors

MACHADO = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])
VOCABULARY_FILES = sorted((Path(__file__).resolve().parents[2] / "configs" / "vocab").glob("*.txt"))
SHORT_VOCABULARIES = [path for path in VOCABULARY_FILES if len(path.read_text(encoding="utf-8").splitlines()) <= 21]
COMMON = [
    *("background", "building", "road", "pavement", "water", "pool", "tree", "grass", "shrub", "agriculture", "barren"),
    *("sand", "car", "ship", "airplane", "bridge", "parking", "wetland", "solar", "snow", "playground"),
]

VOCABULARIES = [
    ["background", "building", "road", "water", "barren", "forest", "agricultural"],
    ["road", "building", "low vegetation", "tree", "car", "clutter"],
    ["bareland", "rangeland", "developed space", "road", "tree", "water", "agriculture land", "building"],
    ["house", "building", "residential building", "roof"],
    [f"thing {index}" for index in range(150)],
    [*(f"tree {index}" for index in range(100)), "water", "road"],
]


@pytest.mark.parametrize("count", [0, 1, 10, 11, 254, 300])
def test_there_is_a_different_color_for_each(count: int) -> None:
    colors = default_colors(count)
    assert len(colors) == count
    assert len(set(colors)) == count


def test_colors_are_bytes() -> None:
    values = np.array(default_colors(254))
    assert values.min() >= 0
    assert values.max() <= 255
    assert all(type(part) is int for part in itertools.chain(*default_colors(254)))


def test_colors_are_neither_black_white_nor_grey() -> None:
    values = np.array(default_colors(254))
    assert np.ptp(values, axis=1).min() >= 30
    assert values.max(axis=1).min() >= 60
    assert values.min(axis=1).max() <= 210


def test_first_colors_do_not_depend_on_the_count() -> None:
    assert default_colors(5) == default_colors(254)[:5]
    assert default_colors(40) == default_colors(254)[:40]


@pytest.mark.parametrize(("count", "least"), [(10, 70), (30, 45), (254, 15)])
def test_colors_are_far_apart(count: int, least: int) -> None:
    """In the sum of differences over the three parts, which is cruder than what the palette itself maximises."""
    colors = np.array(default_colors(count), dtype=int)
    distances = np.abs(colors[:, None] - colors).sum(axis=-1) + 1000 * np.eye(count)
    assert distances.min() >= least


# Vienot, Brettel, Mollon, "Digital video colourmaps for checking the legibility of displays by dichromats", Color
# Research and Application 24(4), 1999: another simulation of the same deficiency, linear RGB to linear RGB
VIENOT = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])


def lab_of(rgb: np.ndarray, sight: np.ndarray) -> np.ndarray:
    """CIELAB (N, 3) of sRGB colours (N, 3), 0 to 255, after a matrix on linear RGB."""
    linear = np.where(rgb <= 0.04045 * 255, rgb / 255 / 12.92, ((rgb / 255 + 0.055) / 1.055) ** 2.4) @ sight.T
    seen = np.clip(linear, 0, 1)
    return palette._to_lab(255 * np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))


def test_lab_is_that_of_the_cie() -> None:
    """Values of sRGB's white and primaries under D65, from the standard's matrix."""
    lab = palette._to_lab(np.array([(255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)]))
    expected = [(100, 0, 0), (53.24, 80.09, 67.20), (87.73, -86.18, 83.18), (32.30, 79.19, -107.86)]
    np.testing.assert_allclose(lab, expected, atol=0.05)


@pytest.mark.parametrize("colors", [class_colors(COMMON), default_colors(10)], ids=["usual", "default"])
@pytest.mark.parametrize(("sight", "least"), [(np.eye(3), 20), (MACHADO, 20), (VIENOT, 12)], ids=["all", "M", "V"])
def test_default_classes_differ_for_everyone(colors: list[Color], sight: np.ndarray, least: float) -> None:
    """CIE76 differences, of which 2.3 is just noticeable. The palette was chosen by the matrix of Machado."""
    lab = lab_of(np.array(colors), sight)
    distances = np.linalg.norm(lab[:, None] - lab, axis=-1) + 1e3 * np.eye(len(lab))
    assert distances.min() >= least


@pytest.mark.parametrize("path", SHORT_VOCABULARIES, ids=lambda path: path.stem)
def test_classes_of_shipped_vocabularies_differ_for_everyone(path: Path) -> None:
    names = [line.partition(",")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    colors = np.array(class_colors(names))
    for sight in (np.eye(3), MACHADO):
        lab = lab_of(colors, sight)
        assert (np.linalg.norm(lab[:, None] - lab, axis=-1) + 1e3 * np.eye(len(lab))).min() >= 20


def test_deuteranopia_confuses_red_with_green_and_leaves_grey() -> None:
    red, green, grey = as_seen_with_deuteranopia(np.array([(200, 60, 60), (124, 116, 55), (90, 90, 90)]))
    np.testing.assert_allclose(red, green, atol=16)
    np.testing.assert_allclose(grey, 90, atol=0.5)


def test_given_colors_are_kept_and_not_given_again() -> None:
    names = ["building", "road", "x"]
    first = class_colors(names)
    found = class_colors(names, {"x": first[0], "road": (1, 2, 3)})
    assert (found[1], found[2]) == ((1, 2, 3), first[0])
    assert len(set(found)) == 3


@pytest.mark.parametrize("names", VOCABULARIES, ids=lambda names: names[-1])
def test_no_two_classes_share_a_color(names: list[str]) -> None:
    assert len(set(class_colors(names))) == len(names)


@pytest.mark.parametrize("name", ["building", "Buildings", "house", "residential building", "roof"])
def test_buildings_are_red(name: str) -> None:
    (red, green, blue), _ = class_colors([name, "road"])
    assert red > 180
    assert max(green, blue) < 100


@pytest.mark.parametrize("name", ["water", "lake", "river water", "sea"])
def test_water_is_blue(name: str) -> None:
    ((red, green, blue),) = class_colors([name])
    assert blue > 180
    assert max(red, green) < 140


@pytest.mark.parametrize("name", ["tree", "trees", "forest", "grass", "low-vegetation", "meadow"])
def test_plants_are_green(name: str) -> None:
    ((red, green, blue),) = class_colors([name])
    assert green > red
    assert green > blue


def test_last_known_word_of_a_name_decides() -> None:
    assert class_colors(["water pool"]) == class_colors(["pool"])
    assert class_colors(["agriculture land"]) == class_colors(["agriculture"])


def test_of_two_classes_with_the_same_usual_color_the_first_gets_it() -> None:
    first, second = class_colors(["forest", "tree"])
    assert (first,) == tuple(class_colors(["tree"]))
    assert second != first


def test_unknown_words_get_the_default_colors() -> None:
    assert class_colors(["foo", "bar"]) == default_colors(2)


def test_too_many_colors_are_refused() -> None:
    with pytest.raises(OptionError, match="at most 1000 classes to colour, got 1001"):
        default_colors(1001)
