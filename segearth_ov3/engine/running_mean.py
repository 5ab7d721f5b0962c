"""Means over overlapping windows that are done row by row: only the rows of one window are held."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ..geo.tiles import Window


class RunningMean:
    """Mean of maps at every pixel, over all windows that see it.

    Windows come from top to bottom, so the rows above the present ones are complete:

        ┌─────┬─────┬───
        │     │     │      complete, taken when the first of the next windows comes
        ├─────┼─────┼───   its upper border
        │     │     │      held
        └─────┴─────┴───

    Args:
        shape: Variants, prompts, height of a window, width of the image (K, P, h, W0).
        device: Of the maps.

    Attributes:
        row: First row that is held.
    """

    def __init__(self, shape: tuple[int, int, int, int], device: torch.device) -> None:
        self.row = 0
        self._sums = torch.zeros(shape, device=device)  # (K, P, h, W0)
        self._counts = torch.zeros(shape[2:], device=device)  # (h, W0)

    def add(self, window: Window, maps: Iterable[tuple[int, int, Tensor]]) -> None:
        """Add a window.

        Args:
            window: Its first row is `row`.
            maps: Index of a variant and of a prompt, and the scores of the window (h, w).
        """
        cols = window.slices[1]
        for variant, prompt, scores in maps:
            self._sums[variant, prompt, :, cols] += scores
        self._counts[:, cols] += 1

    def take(self, end: int) -> Tensor:
        """Means of the rows that are complete.

        Args:
            end: Where the next windows begin, or the height of the image.

        Returns:
            (K, P, rows, W0), of the rows from `row` to `end`, which is `row` from now on.
        """
        done, self.row = end - self.row, end
        means = self._sums[..., :done, :] / self._counts[:done]
        kept = len(self._counts) - done
        for table in (self._sums, self._counts):
            table[..., :kept, :] = table[..., done:, :].clone()
            table[..., kept:, :] = 0
        return means
