"""The fusion encoder: image tokens read the prompt. Its output, the memory, is what decoder and mask heads read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from . import ops
from .attention import Attention, padding_bias
from .layers import LayerNorm, Linear
from .outputs import Prompt


class FusionLayer(nn.Module):
    """Pre-norm layer in two halves: among the image tokens, then to the prompt and feed-forward."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.self_attn = Attention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.cross_attn_image = Attention(dim, heads)  # the published name; keys and values are the prompt
        self.norm3 = LayerNorm(dim)
        self.linear1 = Linear(dim, hidden)
        self.linear2 = Linear(hidden, dim)

    def read_image(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Self-attention, and the queries with which the prompt will be read.

        Args:
            x: (N, g*g, D).
            positions: Sine code (g*g, D).

        Returns:
            Tokens (N, g*g, D) and queries (N, heads, g*g, D/heads).
        """
        y = self.norm1(x)
        q, k = self.self_attn.project(y + positions, "qk")
        (v,) = self.self_attn.project(y, "v")
        x = x + self.self_attn.attend(q, k, v)
        (queries,) = self.cross_attn_image.project(self.norm2(x), "q")
        return x, queries

    def read_prompt(self, x: Tensor, queries: Tensor, prompt: Tensor, hidden: Tensor) -> Tensor:
        """Attention to the prompt and feed-forward.

        Args:
            x, queries: As `read_image` returns them, one for each prompt or one to be shared by all.
            prompt: Tokens of P prompts (P, T, D).
            hidden: From `padding_bias` (P, 1, 1, T).

        Returns:
            (P, g*g, D).
        """
        k, v = self.cross_attn_image.project(prompt, "kv")
        queries = queries.expand(len(k), *queries.shape[1:])
        x = x + self.cross_attn_image.attend(queries, k, v, hidden)  # (P, g*g, D)
        return x + ops.in_chunks(self._feed_forward, x, dim=1)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.linear1(self.norm3(x), "relu"))


class FusionEncoder(nn.Module):
    """Layers of `FusionLayer`, without a final norm."""

    layers: Sequence[FusionLayer]

    def __init__(self, *, dim: int, heads: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            FusionLayer(dim, heads, hidden) for _ in range(layers)
        )

    def start(self, image: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer up to where it reads the prompt; depends on the image only.

        Args:
            image: Coarsest pyramid level as tokens (B, g*g, D).
            positions: Its sine code (g*g, D).

        Returns:
            Tokens (B, g*g, D) and queries (B, heads, g*g, D/heads).
        """
        return self.layers[0].read_image(image, positions)

    def forward(self, tokens: Tensor, queries: Tensor, positions: Tensor, prompt: Prompt) -> Tensor:
        """Let images read their prompts.

        Args:
            tokens, queries: From `start`, of one image or one per prompt: (1 or P, g*g, D) and
                (1 or P, heads, g*g, D/heads).
            positions: Sine code (g*g, D).
            prompt: P prompts.

        Returns:
            Memory (P, g*g, D).
        """
        memory = []
        for rows in ops.row_groups(tokens, len(prompt.tokens)):
            start = slice(None) if len(tokens) == 1 else rows
            memory.append(self.read_together(tokens[start], queries[start], positions, prompt.select(rows)))
        return memory[0] if len(memory) == 1 else torch.cat(memory)

    def read_together(self, tokens: Tensor, queries: Tensor, positions: Tensor, prompt: Prompt) -> Tensor:
        """`forward` for all prompts at once."""
        hidden = padding_bias(prompt.padding, queries.dtype)
        x = self.layers[0].read_prompt(tokens, queries, prompt.tokens, hidden)
        for layer in self.layers[1:]:
            x, queries = layer.read_image(x, positions)
            x = layer.read_prompt(x, queries, prompt.tokens, hidden)
        return x
