"""Tiny benchmark sets in their real layouts, and mIoU computed from saved predictions without the package's code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

DUBAI_COLORS = {(60, 16, 152): 0, (132, 41, 246): 1, (110, 193, 228): 2, (254, 221, 58): 3, (226, 169, 41): 4}
UNLABELED = (155, 155, 155)
BLACK = (0, 0, 0)


def make_loveda(root: Path, sizes: Sequence[tuple[int, int]] = ((40, 56), (33, 47))) -> Path:
    """LoveDA in mmseg's layout: random RGB images and stored labels 0 (no data) to 7; sizes are (height, width)."""
    rng = np.random.default_rng(7)
    for folder in ("img_dir/val", "ann_dir/val"):
        (root / folder).mkdir(parents=True)
    for index, size in enumerate(sizes):
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(root / f"img_dir/val/{index}.png")
        stored = blocks(rng, size, 8).astype(np.uint8)
        stored[0, :3] = 0
        Image.fromarray(stored).save(root / f"ann_dir/val/{index}.png")
    return root


def make_dubai(root: Path, *, palette_tiles: Sequence[int] = (2,), tiles: Sequence[int] = (1, 2)) -> Path:
    """The Dubai set's layout: two images per tile, colour masks, those of `palette_tiles` stored with a palette.

    Each mask has an unlabelled and a black pixel. Palettes hold the colours in another order than the classes.
    """
    rng = np.random.default_rng(11)
    colors = np.array([*DUBAI_COLORS, UNLABELED, BLACK], dtype=np.uint8)
    for tile in tiles:
        for part in (1, 2):
            size = (30 + tile, 41 + part)
            labels = blocks(rng, size, 5)
            labels[0, 0], labels[1, 1] = 5, 6
            folder = root / f"Tile {tile}"
            save(rng.integers(0, 256, (*size, 3), dtype=np.uint8), folder / "images" / f"image_part_{part:03}.jpg")
            mask = colors[labels]
            save(mask, folder / "masks" / f"image_part_{part:03}.png", as_palette=tile in palette_tiles)
    return root


def save(rgb: np.ndarray, path: Path, *, as_palette: bool = False) -> None:
    """Write an RGB image, its folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(rgb)
    if as_palette:
        image = image.quantize(colors=16, dither=Image.Dither.NONE)
        assert image.mode == "P"
        assert np.array_equal(np.asarray(image.convert("RGB")), rgb)
    image.save(path)


def blocks(rng: np.random.Generator, size: tuple[int, int], values: int) -> np.ndarray:
    """Random labels in blocks of 8 pixels (H0, W0)."""
    coarse = rng.integers(0, values, (size[0] // 8 + 1, size[1] // 8 + 1))
    return np.kron(coarse, np.ones((8, 8), dtype=int))[: size[0], : size[1]]


def read_reduced_label(path: Path) -> np.ndarray:
    """Stored labels of LoveDA, Potsdam or Vaihingen as class indices, -1 where ignored."""
    return np.asarray(Image.open(path)).astype(int) - 1


def read_dubai_label(path: Path) -> np.ndarray:
    """Colours of a Dubai mask as class indices, -1 where ignored."""
    rgb = np.asarray(Image.open(path).convert("RGB"))
    labels = np.full(rgb.shape[:2], -1)
    for color, index in DUBAI_COLORS.items():
        labels[(rgb == color).all(axis=-1)] = index
    return labels


def independent_iou(
    pairs: Sequence[tuple[Path, Path]], num_classes: int, read_label: Callable[[Path], np.ndarray]
) -> np.ndarray:
    """IoU per class in per cent (C,), NaN where the union is empty, from (label file, prediction file) pairs."""
    intersections, unions = np.zeros(num_classes), np.zeros(num_classes)
    for label_path, prediction_path in pairs:
        labels, predictions = read_label(label_path), np.asarray(Image.open(prediction_path))
        assert labels.shape == predictions.shape
        for index in range(num_classes):
            is_label, is_predicted = labels == index, (predictions == index) & (labels >= 0)
            intersections[index] += (is_label & is_predicted).sum()
            unions[index] += (is_label | is_predicted).sum()
    return np.array([100 * i / u if u else np.nan for i, u in zip(intersections, unions)])
