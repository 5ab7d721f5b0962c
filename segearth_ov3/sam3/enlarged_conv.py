"""A 3x3 convolution of a map enlarged 2x by repetition, computed at the small size; two exact ways.

**Phases.** Each of the four output phases (even or odd row and column) reads only 2x2 different pixels, so the
convolution equals four 2x2 convolutions at the small size: 16 products per pixel and channel instead of 36.

**Differences.** Along one axis, with kernel (a, b, c), their sum s and d[i] = x[i-1] - x[i], the two phases are

    even[i] = a x[i-1] + (b + c) x[i] = s x[i] + a d[i]
    odd[i]  = (a + b) x[i] + c x[i+1] = s x[i] - c d[i+1]

Three products instead of four; in two axes nine instead of sixteen, at the price of more sums. It pays where products
are dear and the maps stay in the cache, which is float32 on a CPU. In half precision the sums would be rounded.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .products import is_direct, linear

_PIXELS = 2304  # of one stripe of `_by_differences`


def conv3x3_of_enlarged(x: Tensor, kernel: Tensor) -> Tensor:
    """Same as `conv2d(nearest_2x(x), kernel, padding=1)` without enlarging first.

    Args:
        x: (N, D_in, H, W).
        kernel: (D_out, D_in, 3, 3).

    Returns:
        (N, D_out, 2H, 2W), channels last in memory if `x` is.
    """
    x = x.to(kernel.dtype)
    if kernel.dtype == torch.float32 and is_direct(x, kernel):
        return _by_differences(x, kernel)
    return _by_phases(x, kernel)


def _by_phases(x: Tensor, kernel: Tensor) -> Tensor:
    """`conv3x3_of_enlarged` by four 2x2 convolutions."""
    height, width = x.shape[-2:]
    y = F.conv2d(x, phase_kernels(kernel), padding=1)  # (N, 4*D_out, H+1, W+1)
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
    """Four 2x2 kernels that do at the small size what a 3x3 kernel does on the map enlarged by repetition.

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


def _by_differences(x: Tensor, kernel: Tensor) -> Tensor:
    """`conv3x3_of_enlarged` by nine products, in stripes of rows that stay in the cache; channels last in memory."""
    count, _, height, width = x.shape
    weights = difference_kernels(kernel)
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))  # (N, H+2, W+2, D_in)
    out = x.new_empty(count, height, 2, width, 2, len(kernel))  # row, its phase, column, its phase
    rows = max(1, _PIXELS // width)
    for sample in range(count):
        for start in range(0, height, rows):
            stripe = padded[sample, start : min(start + rows, height) + 2]
            _write_phases(stripe, weights, out[sample, start : start + rows])
    return out.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)  # (N, D_out, 2H, 2W)


def _write_phases(stripe: Tensor, weights: tuple[Tensor, Tensor, Tensor, Tensor], out: Tensor) -> None:
    """All four phases of some rows.

    Args:
        stripe: (rows + 2, W + 2, D_in), one pixel more on every side.
        weights: From `difference_kernels`.
        out: (rows, 2, W, 2, D_out), filled.
    """
    dim = out.shape[-1]
    by_row = stripe[:-1] - stripe[1:]  # (rows + 1, W + 2, D_in)
    by_col = stripe[1:-1, :-1] - stripe[1:-1, 1:]  # (rows, W + 1, D_in)
    by_both = by_row[:, :-1] - by_row[:, 1:]  # (rows + 1, W + 1, D_in)
    pairs = zip((stripe[1:-1, 1:-1], by_row[:, 1:-1], by_col, by_both), weights)
    plain, rowwise, colwise, both = (linear(part, weight, None) for part, weight in pairs)
    a_, c_ = rowwise[:-1, :, :dim], rowwise[1:, :, dim:]
    _a, _c = colwise[:, :-1, :dim], colwise[:, 1:, dim:]
    aa, ac, ca, cc = both.split(dim, dim=-1)
    even, odd = plain + a_, plain - c_
    torch.add(even, _a, out=out[:, 0, :, 0]).add_(aa[:-1, :-1])
    torch.sub(even, _c, out=out[:, 0, :, 1]).sub_(ac[:-1, 1:])
    torch.add(odd, _a, out=out[:, 1, :, 0]).sub_(ca[1:, :-1])
    torch.sub(odd, _c, out=out[:, 1, :, 1]).add_(cc[1:, 1:])


def difference_kernels(kernel: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights of the nine products, first letter for rows and second for columns, s the sum of (a, b, c).

    Args:
        kernel: (D_out, D_in, 3, 3).

    Returns:
        Of the map: ss (D_out, D_in); of differences by row: as, cs (2*D_out, D_in); by column: sa, sc
        (2*D_out, D_in); by both: aa, ac, ca, cc (4*D_out, D_in).
    """
    by_row = torch.stack((kernel[:, :, 0], kernel.sum(2), kernel[:, :, 2]))  # a, s, c: (3, D_out, D_in, 3)
    parts = torch.stack((by_row[..., 0], by_row.sum(-1), by_row[..., 2]), dim=1)  # (3, 3, D_out, D_in)
    (aa, as_, ac), (sa, ss, sc), (ca, cs, cc) = parts
    return ss, torch.cat((as_, cs)), torch.cat((sa, sc)), torch.cat((aa, ac, ca, cc))
