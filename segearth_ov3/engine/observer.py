"""Measures the tokens that each variant's decoder reads, all against the masks of the first variant.

The first variant, the one without refiners, gives the ruler: where its decoder looks, and its most confident masks.
Its own numbers are those before refinement, the numbers of the others those after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ..metrics.tokens import TokenDiagnostics, token_diagnostics
from .chunks import Chunk
from .engine import MemoryView
from .scores import FusionSettings, presence_probs, query_scores

if TYPE_CHECKING:
    from ..sam3.model import Sam3


class _Ruler(NamedTuple):
    """Of the prompts of one chunk: importance (P, g, g), masks (K, h, w), their prompts (K,) and scores (K,)."""

    importance: Tensor
    mask_probs: Tensor
    prompt_index: Tensor
    scores: Tensor


class TokenObserver:
    """Collects token diagnostics of several variants; give it to `PromptEngine` as `observe`.

    Args:
        model: The network.
        variants: Number of variants; the first is the ruler.
        settings: Of the first variant; masks whose score does not exceed its confidence threshold do not count.
        top_k: Masks of a prompt that count.
        temperature: Of the contrast, see `metrics.tokens.mask_contrast`.
    """

    def __init__(
        self,
        model: Sam3,
        variants: int,
        settings: FusionSettings,
        *,
        top_k: int = 5,
        temperature: float = 0.1,
    ) -> None:
        self._model = model
        self._settings = settings
        self._top_k = top_k
        self._temperature = temperature
        self._rulers: dict[Chunk, _Ruler] = {}
        self._values: list[list[Tensor]] = [[] for _ in range(variants)]

    @torch.no_grad()
    def __call__(self, view: MemoryView) -> None:
        """Measure one chunk of prompts."""
        if 0 in view.variants:
            self._rulers[view.chunk] = self._measure_with(view)
        ruler = self._rulers[view.chunk]
        numbers = token_diagnostics(
            view.memory,
            ruler.importance,
            ruler.mask_probs,
            ruler.prompt_index,
            ruler.scores,
            top_k=self._top_k,
            temperature=self._temperature,
        )
        table = torch.stack([each.double().cpu() for each in numbers], dim=1)  # (P, 3)
        for variant in view.variants:
            self._values[variant].append(table)

    def take(self) -> list[TokenDiagnostics]:
        """Means over prompts and windows since the last call, one per variant, as tensors (); NaN where undefined."""
        means = [TokenDiagnostics(*torch.cat(tables).nanmean(0)) for tables in self._values]
        self._values = [[] for _ in self._values]
        self._rulers.clear()
        return means

    def _measure_with(self, view: MemoryView) -> _Ruler:
        detection, importance = self._model.detect_with_importance(view.memory, view.prompt)
        presence = presence_probs(detection.presence_logits, self._settings)
        scores = query_scores(detection.score_logits, presence)  # (P, Q)
        best = scores.topk(min(self._top_k, scores.shape[1]), dim=1).indices
        keep = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, best, True)
        keep &= scores > self._settings.confidence_threshold
        masks = self._model.segment(view.memory, detection, view.prompt, view.image, keep)
        return _Ruler(importance, masks.mask_logits.sigmoid(), masks.prompt_index, scores[keep])
