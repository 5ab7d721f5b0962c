"""Scores of object queries: the scalar product of a query with the pooled prompt."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .layers import LayerNorm, Mlp, SingleLinear
from .outputs import Prompt

SCORE_LIMIT = 12.0


class PromptMlp(Mlp):
    """Residual two-layer perceptron with a final norm."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__((dim, hidden, dim), SingleLinear)
        self.out_norm = LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., D) to (..., D)."""
        return self.out_norm(x + super().forward(x))


class DotProductScoring(nn.Module):
    """Queries and prompt to score logits; small, and kept in float32."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.prompt_mlp = PromptMlp(dim, hidden)
        self.prompt_proj = SingleLinear(dim, dim)
        self.hs_proj = SingleLinear(dim, dim)

    def forward(self, queries: Tensor, prompt: Prompt) -> Tensor:
        """Score queries.

        Args:
            queries: Normalised queries (P, Q, D).
            prompt: P prompts; text and geometry tokens are averaged alike.

        Returns:
            Score logits (P, Q) within [-12, 12], without the presence term.
        """
        weight = (~prompt.padding).to(prompt.tokens.dtype).unsqueeze(-1)  # (P, T, 1)
        pooled = (self.prompt_mlp(prompt.tokens) * weight).sum(1) / weight.sum(1).clamp(min=1)  # (P, D)
        logits = torch.einsum("pqd,pd->pq", self.hs_proj(queries), self.prompt_proj(pooled))
        return (logits / math.sqrt(queries.shape[-1])).clamp(-SCORE_LIMIT, SCORE_LIMIT)
