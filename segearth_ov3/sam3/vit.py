"""The image trunk: a plain vision transformer with windowed and global attention blocks (Li et al., 2022, "ViTDet").

Between patch embedding and output the tokens stand in *window order*, so that a window is a contiguous run:

    map 4x4, windows of 2x2         window order
      0  1 |  2  3
      4  5 |  6  7            0 1 4 5 | 2 3 6 7 | 8 9 12 13 | 10 11 14 15
      -----+------
      8  9 | 10 11            local block:  attention inside each run
     12 13 | 14 15            global block: attention over all runs

Attention does not care for the order of tokens as long as their positions go with them, and everything else in a
block works token by token; so nothing is ever rearranged between blocks.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from . import ops
from .layers import Conv2d, LayerNorm, Linear
from .positions import rotary_table, rotate


def to_windows(tokens: Tensor, window: int) -> Tensor:
    """(B, g, g, D) to (B, g*g, D) in window order."""
    batch, grid, _, dim = tokens.shape
    side = grid // window
    tokens = tokens.reshape(batch, side, window, side, window, dim)
    return tokens.transpose(2, 3).reshape(batch, grid * grid, dim)


def from_windows(tokens: Tensor, window: int) -> Tensor:
    """(B, g*g, D) in window order to (B, g, g, D); the inverse of `to_windows`."""
    batch, length, dim = tokens.shape
    grid = round(length**0.5)
    side = grid // window
    tokens = tokens.reshape(batch, side, side, window, window, dim)
    return tokens.transpose(2, 3).reshape(batch, grid, grid, dim)


class RotaryAttention(nn.Module):
    """Self-attention with rotary positions, inside runs of tokens."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = Linear(dim, 3 * dim)
        self.proj = Linear(dim, dim)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """Attend within each run of n tokens.

        Args:
            x: (B, n, D); B counts runs.
            table: Rotary table of the run (n, D/heads/2, 2).

        Returns:
            (B, n, D).
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.heads, -1))  # (B, n, 3, heads, D/heads)
        qkv = qkv.permute(2, 0, 3, 1, 4)  # (3, B, heads, n, D/heads)
        q, k = rotate(qkv[:2], table)
        return self.proj(ops.attention(q, k, qkv[2]))  # (B, n, D)


class TrunkMlp(nn.Module):
    """Two linear layers with exact GELU between."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(dim, hidden)
        self.fc2 = Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, n, D) to (B, n, D)."""
        return ops.in_chunks(lambda tokens: self.fc2(self.fc1(tokens, "gelu")), x, dim=1)


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.attn = RotaryAttention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.mlp = TrunkMlp(dim, hidden)

    def forward(self, x: Tensor, table: Tensor) -> Tensor:
        """Update runs of tokens (B, n, D); see `RotaryAttention.forward`."""
        x = x + self.attn(self.norm1(x), table)
        return x + self.mlp(self.norm2(x))


class PatchEmbedding(nn.Module):
    """Non-overlapping patches to tokens, without bias."""

    def __init__(self, patch: int, dim: int) -> None:
        super().__init__()
        self.proj = Conv2d(3, dim, patch, stride=patch, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, R, R) to (B, g, g, D)."""
        return self.proj(pixels).permute(0, 2, 3, 1)


class VisionTransformer(nn.Module):
    """Image to tokens.

    Args:
        grid: Side of the token grid g.
        patch: Side of a patch in pixels.
        position_grid: Side of the table of absolute positions, which is tiled over the grid.
        dim, depth, heads, hidden: Width, blocks, heads, hidden width of the blocks.
        window: Side of a window in tokens; divides `grid`.
        global_blocks: Indices of the blocks that attend to the whole image.
    """

    global_table: Tensor
    window_table: Tensor

    def __init__(
        self,
        *,
        grid: int,
        patch: int,
        position_grid: int,
        dim: int,
        depth: int,
        heads: int,
        hidden: int,
        window: int,
        global_blocks: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.window = window
        self.position_grid = position_grid
        self.global_blocks = frozenset(global_blocks)
        self.patch_embed = PatchEmbedding(patch, dim)
        # row 0 belongs to a class token that is not part of the sequence
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + position_grid**2, dim))
        self.ln_pre = LayerNorm(dim)
        self.blocks = nn.ModuleList(Block(dim, heads, hidden) for _ in range(depth))

        # buffers are made on the CPU also while parameters are on "meta", because nothing loads them
        steps = torch.arange(grid, dtype=torch.float32, device="cpu")
        rows, cols = torch.meshgrid(steps, steps, indexing="ij")
        order = to_windows(torch.stack((rows, cols), dim=-1)[None], window)[0]  # (g*g, 2) in window order
        local = order[: window**2]
        shrink = window / grid  # global blocks see positions interpolated to the range of a window
        table = rotary_table(order[:, 0] * shrink, order[:, 1] * shrink, dim // heads)
        self.register_buffer("global_table", table, persistent=False)
        table = rotary_table(local[:, 0], local[:, 1], dim // heads)
        self.register_buffer("window_table", table, persistent=False)

    def _positions(self, grid: int) -> Tensor:
        """Absolute positions of all tokens (1, g, g, D)."""
        side = self.position_grid
        repeats = -(-grid // side)
        table = self.pos_embed[:, 1:].unflatten(1, (side, side))
        return table.repeat(1, repeats, repeats, 1)[:, :grid, :grid]

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode images.

        Args:
            pixels: (B, 3, R, R), normalised to [-1, 1].

        Returns:
            (B, D, g, g), float32.
        """
        x = self.patch_embed(pixels)  # (B, g, g, D)
        batch, grid = x.shape[:2]
        x = self.ln_pre(x + self._positions(grid))
        x = to_windows(x, self.window)  # (B, g*g, D)
        runs = {
            True: (batch, self.global_table.float()),
            False: (batch * (grid // self.window) ** 2, self.window_table.float()),
        }
        for index, block in enumerate(self.blocks):
            count, table = runs[index in self.global_blocks]
            x = x.view(count, -1, x.shape[-1])  # (runs, n, D)
            x = ops.in_chunks(functools.partial(block, table=table), x, 0, max(1, ops.CHUNK_TOKENS // x.shape[1]))
        x = from_windows(x.view(batch, grid * grid, -1), self.window)
        return x.permute(0, 3, 1, 2)  # channels last in memory, which suits the convolutions that follow
