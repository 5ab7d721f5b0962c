"""Low pass: fine detail of the token map is damped, coarse structure stays.

Frequencies are counted in cycles per map. The spectrum of a real FFT is not shifted: frequency 0, the mean of the map,
is at index [0, 0], rows of negative frequency come last, and only half of the columns is stored.

    rows     0  1  2  ... −2 −1
    columns  0  1  2  ... W/2

A map that is mirrored at its borders to twice its size, as reflect padding does, has a spectrum of cosines: the FFT of
the large map comes to the same as a discrete cosine transform of the small one, whose row k has k/2 cycles.

N. Ahmed, T. Natarajan and K. R. Rao, "Discrete cosine transform", 1974.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ..shapes import check_shape
from .base import RefinerContext, check_choice, check_place, check_range

SHAPES = ("ideal", "gaussian", "butterworth")
PADDINGS = ("none", "reflect")

Shape = Literal["ideal", "gaussian", "butterworth"]
Padding = Literal["none", "reflect"]

MAX_RADIUS = 1e6  # far beyond any map, and still a number that JSON can hold
MIN_SQUARED_RADIUS = 1e-18  # in place of 0, where the smooth shapes would divide by it: only the mean of the map stays


def lowpass(
    tokens: Tensor,
    *,
    radius: float = 12.0,
    alpha: float = 0.2,
    shape: Shape = "ideal",
    order: int = 2,
    padding: Padding = "none",
) -> Tensor:
    """Replace a share of every token map E by its low frequencies LP: (1 − α)·E + α·LP.

    Args:
        tokens: (N, D, g, g), floating; computed in float32 at least.
        radius: Frequency r at which the filter ends, in cycles per map, 0 to 1e6; 0 keeps the mean alone. The
            highest frequency of a map along an axis is g/2. An axis is measured by its own length where they differ.
        alpha: α, 0 to 1; 0 changes nothing, 1 leaves the low frequencies alone.
        shape: Gain at frequency f. "ideal": 1 where f ≤ r, else 0, which rings beside edges; "gaussian":
            exp(−f²/2r²), 0.61 at r; "butterworth": 1/(1 + (f/r)^(2·order)), 0.5 at r.
        order: Steepness of "butterworth", 1 to 16.
        padding: "none": the map counts as periodic, so what is at one border leaks into the opposite one; "reflect":
            it is mirrored at its borders to twice its size, so nothing leaks. Its transform is a matrix product, as
            precise as `torch.set_float32_matmul_precision` says.

    Returns:
        As `tokens`: shape, dtype, device; the same tensor where `alpha` is 0.

    Raises:
        OptionError: A number or name is not admissible.
        ShapeError: `tokens` has not four axes.
    """
    _check(radius, alpha, shape, order, padding)
    check_shape("tokens", tokens, "N D H W")
    if alpha == 0 or tokens.numel() == 0:  # some FFTs refuse maps without values
        return tokens
    maps = tokens.to(torch.promote_types(tokens.dtype, torch.float32))
    with torch.autocast(tokens.device.type, enabled=False):
        if padding == "reflect":
            filtered = _filter_mirrored(maps, radius, alpha, shape, order)
        else:
            filtered = _filter_periodic(maps, radius, alpha, shape, order)
    return filtered.to(tokens.dtype)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lowpass:
    """Damp the high frequencies of the token map.

    The attributes are the parameters of `lowpass`.

    Attributes:
        radius: Frequency at which the filter ends, in cycles per map.
        alpha: Share of the token that is replaced by its low frequencies, 0 to 1; 0 changes nothing.
        shape: "ideal", "gaussian" or "butterworth".
        order: Steepness of "butterworth".
        padding: "none" or "reflect".
        at: Where it acts, one of `PLACES`.

    Raises:
        OptionError: A number or name is not admissible.
    """

    radius: float = 12.0
    alpha: float = 0.2
    shape: Shape = "ideal"
    order: int = 2
    padding: Padding = "none"
    at: str = "memory"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        _check(self.radius, self.alpha, self.shape, self.order, self.padding)
        check_place(self.at, self.needs)

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        """Filter tokens (N, D, g, g)."""
        return lowpass(
            tokens, radius=self.radius, alpha=self.alpha, shape=self.shape, order=self.order, padding=self.padding
        )


def _filter_periodic(maps: Tensor, radius: float, alpha: float, shape: str, order: int) -> Tensor:
    height, width = maps.shape[-2:]
    rows = torch.arange(height, dtype=maps.dtype, device=maps.device)
    rows = torch.minimum(rows, height - rows)  # 0 1 2 ... 2 1, as |fftfreq| but exact
    columns = torch.arange(width // 2 + 1, dtype=maps.dtype, device=maps.device)
    spectrum = torch.fft.rfft2(maps)  # (N, D, H, W // 2 + 1)
    gain = 1 - alpha + alpha * _gain(rows, columns, radius, shape, order)
    return torch.fft.irfft2(spectrum.mul_(gain), s=(height, width))


def _filter_mirrored(maps: Tensor, radius: float, alpha: float, shape: str, order: int) -> Tensor:
    height, width = maps.shape[-2:]
    vertical, horizontal = _cosines(height, maps), _cosines(width, maps)
    rows = torch.arange(height, dtype=maps.dtype, device=maps.device) / 2
    columns = torch.arange(width, dtype=maps.dtype, device=maps.device) / 2
    spectrum = vertical @ (maps @ horizontal.T)  # (N, D, H, W)
    gain = 1 - alpha + alpha * _gain(rows, columns, radius, shape, order)
    return vertical.T @ (spectrum.mul_(gain) @ horizontal)


def _cosines(size: int, like: Tensor) -> Tensor:
    """Orthonormal cosines of 0, 1/2, 1, ... cycles, one a row (size, size)."""
    row = torch.arange(size, device=like.device)[:, None]
    column = torch.arange(size, device=like.device)
    angle = (row * (2 * column + 1)) % (4 * size)  # in 1 / (4 * size) of a turn, so that cos has a small argument
    cosines = torch.cos(angle.to(like.dtype) * (math.pi / (2 * size))) * math.sqrt(2 / size)
    return torch.where(row == 0, math.sqrt(1 / size), cosines)


def _gain(rows: Tensor, columns: Tensor, radius: float, shape: str, order: int) -> Tensor:
    """What is left of each pair of frequencies, 0 to 1, in cycles per map."""
    squared = rows[:, None] ** 2 + columns**2
    if shape == "ideal":
        return (squared <= radius * radius).to(squared.dtype)
    ratio = squared / max(radius * radius, MIN_SQUARED_RADIUS)
    return torch.exp(-ratio / 2) if shape == "gaussian" else 1 / (1 + ratio**order)


def _check(radius: float, alpha: float, shape: str, order: int, padding: str) -> None:
    check_choice("shape", shape, SHAPES)
    check_choice("padding", padding, PADDINGS)
    check_choice("order", order, range(1, 17))
    check_range({"radius": radius}, 0, MAX_RADIUS)
    check_range({"alpha": alpha}, 0, 1)
