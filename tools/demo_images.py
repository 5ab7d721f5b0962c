"""Labelled images for training the demo model, generated and photographed, and the words that can be asked in them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from segearth_ov3.demo.scenes import SCENE_CLASSES, demo_resolution, generate_scene

IGNORE = 255


class WordGroup(NamedTuple):
    """Words for one thing, and the labels it consists of in one kind of image.

    Attributes:
        words: Synonyms; one is drawn at a time.
        labels: Label values that are this thing.
        unsure: Label values that may or may not be it; such pixels teach nothing.
        countable: Can be shown by a box around one of it.
        is_class: One of those that together name every pixel.
    """

    words: tuple[str, ...]
    labels: tuple[int, ...]
    unsure: tuple[int, ...] = ()
    countable: bool = False
    is_class: bool = True


class LabelledImage(NamedTuple):
    """An image with its labels and the words that can be asked in it.

    Attributes:
        image: RGB (H0, W0, 3), uint8.
        labels: (H0, W0), uint8, 255 = unknown.
        groups: What can be asked.
    """

    image: np.ndarray
    labels: np.ndarray
    groups: tuple[WordGroup, ...]


SCENE_WORDS = {
    "building": ("building", "house", "roof", "rooftop", "buildings"),
    "road": ("road", "street", "asphalt road", "parking lot"),
    "water": ("water", "river", "lake", "water body"),
    "tree": ("tree", "trees", "forest", "woodland"),
    "grass": ("grass", "lawn", "meadow"),
    "bare soil": ("bare soil", "soil", "dirt", "land", "bare land", "sand", "unpaved ground", "bare ground"),
    "field": ("field", "cropland", "farmland", "agricultural field"),
    "swimming pool": ("swimming pool", "pool"),
    "car": ("car", "cars", "vehicle"),
}
COUNTABLE = {"building", "swimming pool", "car", "tree"}

DUBAI_GROUPS = (
    WordGroup(SCENE_WORDS["building"], (0,), countable=True),
    WordGroup(("land", "bare land", "sand", "unpaved ground", "bare soil"), (1,)),
    WordGroup(SCENE_WORDS["road"], (2,)),
    WordGroup(("vegetation", "plants"), (3,)),
    WordGroup(("water", "water body"), (4,)),
)


def scene_groups(classes: Sequence[str], car_label: int) -> tuple[WordGroup, ...]:
    """What can be asked in generated scenes.

    Args:
        classes: Class names in label order.
        car_label: Label that stands for cars in the training labels; cars are on the road in the scenes' own labels.
    """
    index = {name: label for label, name in enumerate(classes)}
    groups = [
        WordGroup(SCENE_WORDS[name], (label,), countable=name in COUNTABLE)
        for name, label in index.items()
        if name != "road"
    ]
    groups.append(WordGroup(SCENE_WORDS["road"], (index["road"], car_label)))
    groups.append(WordGroup(SCENE_WORDS["car"], (car_label,), countable=True, is_class=False))
    plants = (index["tree"], index["grass"])
    groups.append(WordGroup(("vegetation", "plants"), plants, unsure=(index["field"],), is_class=False))
    return tuple(groups)


def load_dubai(folder: Path, *, parts: dict[int, range]) -> list[LabelledImage]:
    """Read Dubai aerial images (Humans in the Loop, CC0) of the given tiles and parts."""
    from PIL import Image

    from segearth_ov3.datasets.specs import SPECS

    palette = SPECS["dubai"].palette
    images = []
    for tile, numbers in parts.items():
        for number in numbers:
            stem = f"image_part_{number:03d}"
            image = np.asarray(Image.open(folder / f"Tile {tile}" / "images" / f"{stem}.jpg").convert("RGB"))
            colours = np.asarray(Image.open(folder / f"Tile {tile}" / "masks" / f"{stem}.png").convert("RGB"))
            labels = np.full(colours.shape[:2], IGNORE, dtype=np.uint8)
            for label, colour in enumerate(palette):
                labels[(colours == colour).all(-1)] = label
            images.append(LabelledImage(image, labels, DUBAI_GROUPS))
    return images


def make_scenes(count: int, side: int, first_seed: int) -> list[LabelledImage]:
    """Generate scenes of several ground resolutions for training; cars get a label of their own."""
    groups = scene_groups(SCENE_CLASSES, car_label=len(SCENE_CLASSES))
    seeds = range(first_seed, first_seed + count)
    with ProcessPoolExecutor() as pool:
        made = pool.map(_scene_with_cars, [side] * count, seeds, chunksize=8)
        return [LabelledImage(image, labels, groups) for image, labels in tqdm(made, "scenes", count, unit="scene")]


def _scene_with_cars(side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels of a training scene."""
    scene = generate_scene((side, side), seed, res_m=demo_resolution(seed))
    labels = scene.labels.copy()
    labels[np.isin(scene.instances, scene.instance_ids("car"))] = len(SCENE_CLASSES)
    return scene.image, labels
