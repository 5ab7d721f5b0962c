"""A 3x3 convolution of a map upsampled 2x by repetition, computed at the small size.

Each of the four output phases (even or odd row and column) reads only 2x2 different pixels, so the convolution equals
four 2x2 convolutions at the small size: 16 products per pixel and channel instead of 36.
"""

from __future__ import annotations

from collections.abc import Hashable

import torch
import torch.nn.functional as F
from torch import Tensor

from .cpu import is_traced
from .derived import Derived


def conv3x3_by_phases(x: Tensor, kernel: Tensor) -> Tensor:
    """Compute `ops.conv3x3_of_upsampled` by four 2x2 convolutions, whose kernels are kept without gradients."""
    height, width = x.shape[-2:]
    is_kept = not (is_traced(kernel) or (torch.is_grad_enabled() and kernel.requires_grad))
    phases = _kept_phase_kernels(kernel) if is_kept else phase_kernels(kernel)
    y = F.conv2d(x, phases, padding=1)  # (N, 4*D_out, H+1, W+1)
    y = y.unflatten(1, (2, 2, -1))  # (N, row phase, col phase, D_out, H+1, W+1)
    layout = torch.channels_last if y.stride(3) == 1 else torch.contiguous_format
    shape = (len(x), len(kernel), 2 * height, 2 * width)
    out = torch.empty(shape, dtype=y.dtype, device=y.device, memory_format=layout)
    # position r of the padded convolution reads input rows (r-1, r): even rows start at 0, odd ones at 1
    for row in (0, 1):
        for col in (0, 1):
            out[:, :, row::2, col::2] = y[:, row, col, :, row : row + height, col : col + width]
    return out


def phase_kernels(kernel: Tensor) -> Tensor:
    """Four 2x2 kernels that do at the small size what a 3x3 kernel does on the map upsampled by repetition.

    For an even output row 2i the kernel's rows meet input rows (i-1, i, i), for an odd one (i, i, i+1):

        even:  [k0, k1 + k2] on (i-1, i)         odd:  [k0 + k1, k2] on (i, i+1)

    Args:
        kernel: (D_out, D_in, 3, 3).

    Returns:
        (4 * D_out, D_in, 2, 2); phases (even, even), (even, odd), (odd, even), (odd, odd) as (row, col).
    """
    k = kernel.to(torch.promote_types(kernel.dtype, torch.float32))
    by_row = (
        torch.stack((k[:, :, 0], k[:, :, 1] + k[:, :, 2]), dim=2),
        torch.stack((k[:, :, 0] + k[:, :, 1], k[:, :, 2]), dim=2),
    )  # 2 x (D_out, D_in, 2, 3)
    phases = [
        part
        for rows in by_row
        for part in (
            torch.stack((rows[..., 0], rows[..., 1] + rows[..., 2]), dim=3),
            torch.stack((rows[..., 0] + rows[..., 1], rows[..., 2]), dim=3),
        )
    ]  # 4 x (D_out, D_in, 2, 2)
    return torch.cat(phases).to(kernel.dtype)


def _channels_last(kernel: Tensor, form: Hashable) -> Tensor:
    return phase_kernels(kernel).contiguous(memory_format=torch.channels_last)


_kept_phase_kernels = Derived(_channels_last)
