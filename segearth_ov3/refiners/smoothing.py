"""Smoothing: every token leans towards the mean of the window around it.

A window that reaches over the border of the map is averaged over the tokens that exist, so a constant map has a
constant mean, borders included.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional

from ..shapes import check_shape
from .base import RefinerContext, check_choice, check_place, check_range

KERNEL_SIZES = (3, 5, 7)
MODES = ("residual", "blend")

Mode = Literal["residual", "blend"]


def smoothing(tokens: Tensor, *, weight: float = 0.2, kernel_size: int = 3, mode: Mode = "residual") -> Tensor:
    """Add the mean S of the window around every token E, each channel for itself.

    Args:
        tokens: (N, D, g, g), floating.
        weight: w; 0 changes nothing. 0 to 1 in mode "blend", where 1 leaves the mean alone; 0 to 10 in "residual".
        kernel_size: Side of the window in tokens, its middle included: 3, 5 or 7.
        mode: "residual": E + w·S, which also scales a constant map by 1 + w; "blend": (1 − w)·E + w·S, which keeps it.

    Returns:
        As `tokens`: shape, dtype, device; the same tensor where `weight` is 0.

    Raises:
        OptionError: A number or name is not admissible.
        ShapeError: `tokens` has not four axes.
    """
    _check(weight, kernel_size, mode)
    check_shape("tokens", tokens, "N D H W")
    if weight == 0:
        return tokens
    # equals a depthwise convolution with a kernel of ones, divided by the number of tokens under it
    mean = functional.avg_pool2d(tokens, kernel_size, stride=1, padding=kernel_size // 2, count_include_pad=False)
    return tokens.lerp(mean, weight) if mode == "blend" else tokens.add(mean, alpha=weight)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Smoothing:
    """Add the mean of the window around each token.

    The attributes are the parameters of `smoothing`.

    Attributes:
        weight: Weight of the mean; 0 changes nothing.
        kernel_size: Side of the window in tokens: 3, 5 or 7.
        mode: "residual" adds the mean, "blend" replaces a share of the token by it.
        at: Where it acts, one of `PLACES`.

    Raises:
        OptionError: A number or name is not admissible.
    """

    weight: float = 0.2
    kernel_size: int = 3
    mode: Mode = "residual"
    at: str = "memory"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        _check(self.weight, self.kernel_size, self.mode)
        check_place(self.at, self.needs)

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        """Smooth tokens (N, D, g, g)."""
        return smoothing(tokens, weight=self.weight, kernel_size=self.kernel_size, mode=self.mode)


def _check(weight: float, kernel_size: int, mode: str) -> None:
    check_choice("mode", mode, MODES)
    check_choice("kernel_size", kernel_size, KERNEL_SIZES)
    check_range({"weight": weight}, 0, 1 if mode == "blend" else 10)
