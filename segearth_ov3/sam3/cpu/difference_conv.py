"""A 3x3 convolution of a map upsampled 2x by repetition, computed at the small size from differences of neighbours.

Along one axis, with kernel (a, b, c), their sum s and d[i] = x[i-1] - x[i], the two output phases are

    even[i] = a x[i-1] + (b + c) x[i] = s x[i] + a d[i]
    odd[i]  = (a + b) x[i] + c x[i+1] = s x[i] - c d[i+1]

Three products instead of four; in two axes nine instead of sixteen, at the price of more sums. This pays where products
are expensive and the maps stay in the cache, which is float32 on a CPU. Half precision would round the sums.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .onednn import linear

_PIXELS = 2304  # of one stripe


def conv3x3_by_differences(x: Tensor, kernel: Tensor) -> Tensor:
    """Compute `ops.conv3x3_of_upsampled` by nine products in stripes of rows that stay in the cache, channels last."""
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
    plain, rowwise, colwise, both = (linear(part, weight, None, "none") for part, weight in pairs)
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
