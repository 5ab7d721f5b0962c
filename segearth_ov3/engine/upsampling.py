"""Bilinear upsampling of some rows at a time, equal to that of the whole map."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

WORKING_COPIES = 3
"""Maps of the size of the result that exist while one is made: two neighbours of each row, and what lies between."""


class Upsampler:
    """Upsamples maps by rows as `interpolate(maps, size, mode="bilinear", align_corners=False)` does it.

    Row i of the result lies between two rows of the map; the weights are computed as the whole operation computes
    them, so that results are the same up to rounding however the rows are cut into blocks.

    Args:
        source: Height and width of the maps (h, w).
        size: Height and width of the result (H0, W0).
        device: Of the maps.
    """

    def __init__(self, source: tuple[int, int], size: tuple[int, int], device: torch.device) -> None:
        self.size = size
        scale = np.float64(np.float32(source[0]) / np.float32(size[0]))  # the reference's scale is a float32
        places = ((np.arange(size[0]) + 0.5) * scale - 0.5).astype(np.float32).clip(0)
        self._above = places.astype(np.int64).clip(max=source[0] - 1)  # (H0,)
        self._below = (self._above + 1).clip(max=source[0] - 1)  # (H0,)
        tables = self._above, self._below, (places - self._above).astype(np.float32)[:, None]
        self._tables = [torch.from_numpy(each).to(device, non_blocking=True) for each in tables]

    def source_rows(self, rows: slice) -> slice:
        """Rows of the map from which some rows of the result are made."""
        return slice(int(self._above[rows][0]), int(self._below[rows][-1]) + 1)

    def __call__(self, maps: Tensor, rows: slice) -> Tensor:
        """Some rows of upsampled maps.

        Args:
            maps: Their `source_rows` only (n, r, w), floating.
            rows: Which rows of the result, R of them.

        Returns:
            (n, R, W0), float32, a new tensor.
        """
        return self.columns_first(maps, rows) if maps.device.type == "cpu" else self.columns_last(maps, rows)

    def columns_first(self, maps: Tensor, rows: slice) -> Tensor:
        """As `__call__`; quicker where columns are the slower step, because there are fewer rows then."""
        return self._rows(self._columns(maps.float()), rows)

    def columns_last(self, maps: Tensor, rows: slice) -> Tensor:
        """As `__call__`; writes the result once."""
        return self._columns(self._rows(maps.float(), rows))

    def _columns(self, maps: Tensor) -> Tensor:
        """Upsample columns only: (n, r, w) to (n, r, W0)."""
        size = maps.shape[1], self.size[1]
        return interpolate(maps[None], size=size, mode="bilinear", align_corners=False)[0]

    def _rows(self, maps: Tensor, rows: slice) -> Tensor:
        """Upsample rows only: (n, r, w) to (n, R, w)."""
        start = self.source_rows(rows).start
        above, below, weights = (table[rows] for table in self._tables)
        return torch.lerp(maps.index_select(1, above - start), maps.index_select(1, below - start), weights)


@functools.lru_cache(maxsize=16)
def upsampler(source: tuple[int, int], size: tuple[int, int], device: torch.device) -> Upsampler:
    """The upsampler of these sizes, made once."""
    return Upsampler(source, size, device)
