"""Several ways from one image to scores, and what they have in common.

    trunk ─ refine ─ pyramid ─ refine ─ fuse ─ refine ─ detect, segment ─ fuse scores
      1        └─ one branch per chain ─┴──────────┘                        one leaf per variant

Variants that begin with the same refiners share everything up to the first difference.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch

from ..refiners.base import Refiner
from .scores import FusionSettings


class Variant(NamedTuple):
    """One way to get from an image to scores.

    Attributes:
        settings: Thresholds and switches of the score fusion.
        refiners: Applied in order, each at its own place.
    """

    settings: FusionSettings
    refiners: tuple[Refiner, ...] = ()

    def chain(self, at: str) -> tuple[Refiner, ...]:
        """Its refiners at one place."""
        return tuple(refiner for refiner in self.refiners if refiner.at == at)


def branches(
    variants: Sequence[Variant], members: Iterable[int], at: str
) -> list[tuple[tuple[Refiner, ...], tuple[int, ...]]]:
    """Group variants by their refiners at one place.

    Args:
        variants: All variants.
        members: Indices of those to group.
        at: The place.

    Returns:
        Chain and indices of each group, in the order in which they first occur.
    """
    groups: dict[tuple[Refiner, ...], list[int]] = {}
    for index in members:
        groups.setdefault(variants[index].chain(at), []).append(index)
    return [(chain, tuple(indices)) for chain, indices in groups.items()]


class VariantClock:
    """Says how long each variant would take alone: shared work counts for every variant that needs it.

    Args:
        variants: Number of variants.
        device: Waits for it around each piece of work, so that its time is charged where it belongs.

    Attributes:
        seconds: Of each variant so far.
    """

    def __init__(self, variants: int, device: torch.device) -> None:
        self.seconds = [0.0] * variants
        self._device = device

    @contextlib.contextmanager
    def charge(self, members: Iterable[int]) -> Iterator[None]:
        """Add the time of the block to some variants."""
        start = self._now()
        yield
        self.add(self._now() - start, members)

    def add(self, seconds: float, members: Iterable[int]) -> None:
        """Add time to some variants."""
        for index in members:
            self.seconds[index] += seconds

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
