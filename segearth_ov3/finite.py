"""Find and refuse numbers that are not finite: comparisons with NaN are false, and would choose class 0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import ScoreError

if TYPE_CHECKING:
    from torch import Tensor

NOT_FINITE = (
    "scores are not finite (NaN or infinite): use float32 or bfloat16 instead of float16, or check the weights with "
    "`segearth-ov3 checkpoint verify`"
)


def is_finite(values: np.ndarray | Tensor) -> bool:
    """Return whether no value is NaN or infinite; wait for the device once.

    Args:
        values: At least one number, an array or tensor of a floating type.
    """
    # minimum and maximum propagate NaN, and need no mask of the size of the values
    extremes: Any = values.min(), values.max()
    if not isinstance(values, np.ndarray):
        import torch

        extremes = torch.stack(extremes).tolist()
    return all(map(math.isfinite, extremes))


def check_finite(scores: np.ndarray | Tensor) -> None:
    """Raise if any score is NaN or infinite; wait for the device once.

    Args:
        scores: At least one number, an array or tensor of a floating type.

    Raises:
        ScoreError: A score is not finite; the message names the likely causes.
    """
    if not is_finite(scores):
        raise ScoreError(NOT_FINITE)
