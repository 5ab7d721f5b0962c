"""Position codes: sine codes of maps and coordinates, and the rotary codes of the trunk.

All are computed in float32 whatever the compute dtype. The sine code is that of Vaswani et al. (2017) in the
two-dimensional form of DETR (Carion et al., 2020); rotary codes are those of Su et al. (2021), one half of the
channels for each axis.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TEMPERATURE = 10000.0


def _sine(angles: Tensor, channels: int) -> Tensor:
    """Sine of even and cosine of odd channels, (...) to (..., channels)."""
    index = torch.arange(channels, dtype=torch.float32, device=angles.device)
    divisor = _TEMPERATURE ** (2 * torch.div(index, 2, rounding_mode="floor") / channels)
    phase = angles.to(torch.float32).unsqueeze(-1) / divisor  # (..., channels)
    return torch.stack((phase[..., 0::2].sin(), phase[..., 1::2].cos()), dim=-1).flatten(-2)


def sine_map(height: int, width: int, dim: int) -> Tensor:
    """Position code of a feature map.

    Args:
        height, width: Size of the map.
        dim: Channels D; the first half encodes the row, the second the column.

    Returns:
        (H*W, D), rows of the map first, on the CPU.
    """
    row = (torch.arange(height, dtype=torch.float32, device="cpu") + 1) / (height + 1e-6) * (2 * math.pi)
    col = (torch.arange(width, dtype=torch.float32, device="cpu") + 1) / (width + 1e-6) * (2 * math.pi)
    row_code = _sine(row, dim // 2)[:, None].expand(height, width, dim // 2)
    col_code = _sine(col, dim // 2)[None].expand(height, width, dim // 2)
    return torch.cat((row_code, col_code), dim=-1).flatten(0, 1)  # (H*W, D)


def sine_coordinates(values: Tensor, channels: int) -> Tensor:
    """Position code of coordinates in [0, 1].

    Args:
        values: (...).
        channels: Channels per coordinate.

    Returns:
        (..., channels).
    """
    return _sine(values * (2 * math.pi), channels)


def rotary_table(rows: Tensor, cols: Tensor, head_dim: int) -> Tensor:
    """Rotation of every channel pair of a head at every token.

    Pairs are neighbours (2i, 2i+1). The first half of the pairs turns with the column, the second with the row.

    Args:
        rows, cols: Coordinates of the tokens (n,).
        head_dim: Channels of a head, a multiple of 4.

    Returns:
        Cosine and sine (n, head_dim/2, 2), float32.
    """
    pairs = head_dim // 4  # per axis
    frequency = 1.0 / _TEMPERATURE ** (torch.arange(pairs, dtype=torch.float32, device=rows.device) / pairs)
    angle = torch.cat((cols[:, None] * frequency, rows[:, None] * frequency), dim=1)  # (n, head_dim/2)
    return torch.stack((angle.cos(), angle.sin()), dim=-1)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Apply a rotary table; the product is formed in float32 and cast back.

    Args:
        x: (..., n, head_dim).
        table: (n, head_dim/2, 2), float32, as `rotary_table` returns it.

    Returns:
        As `x`, contiguous.
    """
    x32 = x.to(torch.float32, memory_format=torch.contiguous_format).contiguous()  # one pass from half precision
    pairs = x32.unflatten(-1, (-1, 2))  # (..., n, head_dim/2, 2)
    if torch.compiler.is_compiling():  # no complex numbers there
        cos, sin = table.unbind(-1)
        a, b = pairs.unbind(-1)
        return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2).to(x.dtype)
    turned = torch.view_as_complex(pairs) * torch.view_as_complex(table)
    return torch.view_as_real(turned).flatten(-2).to(x.dtype)
