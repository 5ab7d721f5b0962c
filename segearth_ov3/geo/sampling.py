"""A sample of the pixels of a raster: from its overviews, or from blocks drawn at random with a fixed seed.

The same file always gives the same sample.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from rasterio.windows import Window

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

    from .validity import Validity

_ENOUGH_VALID = 2**20
_MOST_READ = 2**24
_REDUCED_SIDE = 2048
_PIECE_SIDE = 512  # of large blocks, only this much at each side


class Sample(NamedTuple):
    """Some pixels.

    Attributes:
        values: (N, H, W), of the raster's type.
        valid: (H, W), bool; everything, where no validity was asked for.
    """

    values: np.ndarray
    valid: np.ndarray


def sample_pixels(dataset: DatasetReader, numbers: Sequence[int], validity: Validity | None = None) -> Iterator[Sample]:
    """Read some pixels from all over a raster: all of a small one, about a million valid ones of a large one.

    Args:
        dataset: The raster.
        numbers: Bands to read.
        validity: What says which pixels are valid.

    Yields:
        Parts of the sample.
    """
    found = read = 0
    for window, shape in _pieces(dataset, numbers[0]):
        values = dataset.read(list(numbers), window=window, out_shape=(len(numbers), *shape))
        valid = np.ones(shape, bool) if validity is None else validity.of(dataset, values, window)
        yield Sample(values, valid)
        found, read = found + int(np.count_nonzero(valid)), read + valid.size
        if found >= _ENOUGH_VALID or read >= _MOST_READ:
            return


def _pieces(dataset: DatasetReader, number: int) -> Iterator[tuple[Window, tuple[int, int]]]:
    """Windows with the sizes in which to read them: the whole by an overview, or blocks in random order."""
    height, width = dataset.shape
    if dataset.overviews(number) and height * width > _ENOUGH_VALID:
        factor = max(max(height, width) / _REDUCED_SIDE, 1)
        reduced = max(round(height / factor), 1), max(round(width / factor), 1)
        yield Window(0, 0, width, height), reduced
        return
    rows, cols = (min(block, _PIECE_SIDE) for block in dataset.block_shapes[number - 1])
    rows, cols = max(rows, min(height, 16)), max(cols, min(width, _PIECE_SIDE))
    across, down = -(-width // cols), -(-height // rows)
    for index in np.random.default_rng(0).permutation(across * down):
        row, col = int(index) // across * rows, int(index) % across * cols
        size = min(rows, height - row), min(cols, width - col)
        yield Window(col, row, size[1], size[0]), size
