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
_PIECE_PIXELS = 16 * _PIECE_SIDE  # at least
_LISTED_PIECES = 2**16
_BORDER_PIECES = 16  # of each side
_BORDER_PIECE_PX = 32  # short, as each row of a raster in strips is decoded as a whole


class Sample(NamedTuple):
    """Some pixels.

    Attributes:
        values: (N, H, W), of the raster's type.
        valid: (H, W), bool; everything, where no validity was asked for.
        window: Where they lie.
    """

    values: np.ndarray
    valid: np.ndarray
    window: Window


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
        part = _read(dataset, numbers, validity, window, shape)
        yield part
        found, read = found + int(np.count_nonzero(part.valid)), read + part.valid.size
        if found >= _ENOUGH_VALID or read >= _MOST_READ:
            return


def sample_border(dataset: DatasetReader, numbers: Sequence[int], validity: Validity) -> tuple[np.ndarray, np.ndarray]:
    """Read pixels of the border, evenly along each side.

    Args:
        dataset: The raster.
        numbers: Bands to read.
        validity: What says which pixels are valid.

    Returns:
        The values (N, P) and their validity (P,).
    """
    height, width = dataset.shape
    windows = [Window(col, row, cols, 1) for row in sorted({0, height - 1}) for col, cols in _spread(width)]
    windows += [Window(col, row, 1, rows) for row, rows in _spread(height) for col in sorted({0, width - 1})]
    parts = [_read(dataset, numbers, validity, window, (window.height, window.width)) for window in windows]
    values = np.concatenate([part.values.reshape(len(numbers), -1) for part in parts], axis=1)
    return values, np.concatenate([part.valid.ravel() for part in parts])


def _spread(length: int) -> list[tuple[int, int]]:
    """Starts and lengths of a few pieces, evenly along a side; all of a short one."""
    pieces = min(_BORDER_PIECES, -(-length // _BORDER_PIECE_PX))
    size = min(_BORDER_PIECE_PX, -(-length // pieces))
    starts = np.linspace(0, length - size, pieces).round().astype(int).tolist()
    return [(start, size) for start in starts]


def _read(
    dataset: DatasetReader, numbers: Sequence[int], validity: Validity | None, window: Window, shape: tuple[int, int]
) -> Sample:
    values = dataset.read(list(numbers), window=window, out_shape=(len(numbers), *shape))
    return Sample(values, np.ones(shape, bool) if validity is None else validity.of(dataset, values, window), window)


def _pieces(dataset: DatasetReader, number: int) -> Iterator[tuple[Window, tuple[int, int]]]:
    """Windows with the sizes in which to read them: the whole by an overview, or blocks in random order."""
    height, width = dataset.shape
    if dataset.overviews(number) and height * width > _ENOUGH_VALID:
        factor = max(max(height, width) / _REDUCED_SIDE, 1)
        reduced = max(round(height / factor), 1), max(round(width / factor), 1)
        yield Window(0, 0, width, height), reduced
        return
    rows, cols = (min(block, _PIECE_SIDE) for block in dataset.block_shapes[number - 1])
    cols = max(cols, min(width, _PIECE_SIDE))
    rows = max(rows, min(height, _PIECE_PIXELS // cols))
    across, down = -(-width // cols), -(-height // rows)
    for index in _shuffled(across * down):
        row, col = index // across * rows, index % across * cols
        size = min(rows, height - row), min(cols, width - col)
        yield Window(col, row, size[1], size[0]), size


def _shuffled(count: int) -> Iterator[int]:
    """Yield numbers below `count` in random order, each once; memory does not depend on `count`."""
    generator = np.random.default_rng(0)
    if count <= _LISTED_PIECES:
        yield from generator.permutation(count).tolist()
        return
    seen: set[int] = set()
    while len(seen) < _LISTED_PIECES:  # far more pieces than are ever read
        index = int(generator.integers(count))
        if index not in seen:
            seen.add(index)
            yield index
