"""Pixels and files for fakes of downloads: fixed seeds, and true classes beside them.

A maker fills a folder and returns the true class of every pixel, by the name that an image has in the prepared set
before it is cut: indices from 0, 255 where a pixel does not count.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import rasterio
from benchmark_samples import blocks
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

IGNORED = 255
SIZE = (36, 44)  # height, width
Truth = dict[str, np.ndarray]
Maker = Callable[[Path], Truth]


def rng(name: str) -> np.random.Generator:
    return np.random.default_rng(list(name.encode()))


def picture(name: str, size: tuple[int, int] = SIZE, channels: int = 3) -> np.ndarray:
    return rng(name).integers(0, 256, (*size, channels), dtype=np.uint8)


def classes(name: str, count: int, size: tuple[int, int] = SIZE, *, ignored: bool = False) -> np.ndarray:
    """True classes in blocks; the first row is not counted if `ignored`."""
    truth = blocks(rng(name), size, count).astype(np.uint8)
    truth[-1, : min(count, size[1])] = np.arange(count)[: size[1]]
    if ignored:
        truth[0] = IGNORED
    return truth


def write(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def write_palette(path: Path, indices: np.ndarray) -> None:
    """A palette PNG, as VOC has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    image.putpalette([value for index in range(256) for value in (index, 255 - index, index // 2)])
    image.save(path)


def write_bands(path: Path, bands: np.ndarray) -> None:
    """A TIFF of any number of bands (bands, H0, W0)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = bands.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, dtype=bands.dtype
        ) as raster:
            raster.write(bands)


def shifted(truth: np.ndarray) -> np.ndarray:
    """Stored values where zero is ignored: class index plus one."""
    return np.where(truth == IGNORED, 0, truth + 1).astype(np.uint8)


def painted(truth: np.ndarray, colors: Sequence[tuple[int, int, int]], ignored: tuple[int, int, int]) -> np.ndarray:
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(colors)] = colors
    table[IGNORED] = ignored
    return table[truth]


def encode_runs(mask: np.ndarray) -> str:
    """Compressed run lengths of a mask (H0, W0), written from the description of the format."""
    flat = mask.T.ravel().tolist()
    runs = [0] * bool(flat[0]) + [len(list(group)) for _, group in itertools.groupby(flat)]
    text = ""
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        is_last = False
        while not is_last:
            group, value = value & 31, value >> 5
            is_last = value == (-1 if group & 16 else 0)
            text += chr(group + (0 if is_last else 32) + 48)
    return text
