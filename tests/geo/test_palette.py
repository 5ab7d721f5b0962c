from __future__ import annotations

import itertools

import numpy as np
import pytest

from segearth_ov3.errors import OptionError
from segearth_ov3.geo.palette import class_colors, default_colors

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
