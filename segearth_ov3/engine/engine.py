"""The path from pixels to score maps: the image once, the prompts in chunks.

    pixels ─ encode_image ──┐
    text ─ chunk ─ prompt ──┴─ fuse ─ detect ─ presence bound, kept queries ─ segment ─ fuse scores ─ max over synonyms

Symbols as in `segearth_ov3.shapes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import OptionError
from ..sam3.outputs import ImageFeatures, TextFeatures
from ..vocabulary import Vocabulary
from .scores import (
    MEMORY_BUDGET,
    FusionSettings,
    fold_into_classes,
    kept_queries,
    presence_probs,
    prompt_score_maps,
    query_scores,
    surviving_prompts,
)

if TYPE_CHECKING:
    from ..sam3.model import Sam3


class PromptEngine:
    """Scores the prompts of a vocabulary in one image, or one window of an image, at a time.

    Args:
        model: The network.
        text: Features of `vocabulary.prompts`.
        vocabulary: Classes and prompts.
        settings: Thresholds and switches.
        prompt_chunk: Prompts that go through the network together, at least 1; more need more memory and suit a large
            GPU. Results differ by rounding only.
        memory_budget: Bytes that upsampled masks may take at once.

    Raises:
        OptionError: `prompt_chunk` is not positive, or the features are those of another number of prompts.
    """

    def __init__(
        self,
        model: Sam3,
        text: TextFeatures,
        vocabulary: Vocabulary,
        settings: FusionSettings,
        *,
        prompt_chunk: int = 8,
        memory_budget: int = MEMORY_BUDGET,
    ) -> None:
        if type(prompt_chunk) is not int or prompt_chunk < 1:
            raise OptionError(f"prompt_chunk must be a whole number of at least 1, got {prompt_chunk!r}")
        if len(text.tokens) != len(vocabulary.prompts):
            raise OptionError(f"{len(vocabulary.prompts)} prompts need as many text features, got {len(text.tokens)}")
        self._model = model
        self._text = text
        self._vocabulary = vocabulary
        self._settings = settings
        self._prompt_chunk = prompt_chunk
        self._memory_budget = memory_budget

    @property
    def bound_is_exact(self) -> bool:
        """Whether prompts may be stopped by their presence when only labels are wanted.

        A prompt whose presence is below `prob_threshold` has scores below it everywhere. Leaving it out changes no
        label if pixels below the threshold become background, and if presence is used at all.
        """
        settings = self._settings
        return self._vocabulary.background is not None and settings.prob_threshold > 0 and settings.use_presence

    def class_scores(self, pixels: Tensor, size: tuple[int, int], *, labels_only: bool = False) -> Tensor:
        """Score every class at every pixel.

        Args:
            pixels: Network input (1, 3, R, R).
            size: Height and width of the original image in pixels.
            labels_only: The scores will be used for nothing but the labels of this very image: prompts that cannot
                win a pixel may count as 0, which saves their mask heads. Not for scores that are shown or averaged.

        Returns:
            (C, H0, W0), float32, 0 to 1.
        """
        scores = torch.zeros((len(self._vocabulary), *size), device=self._model.device)
        maps = self.prompt_scores(pixels, size, labels_only=labels_only)
        return fold_into_classes(scores, maps, self._vocabulary.class_index)

    @torch.no_grad()
    def prompt_scores(
        self, pixels: Tensor, size: tuple[int, int], *, labels_only: bool = False
    ) -> Iterator[tuple[int, Tensor]]:
        """Score every prompt at every pixel, without holding all maps at once.

        Args:
            pixels: Network input (1, 3, R, R).
            size: Height and width of the maps in pixels.
            labels_only: As in `class_scores`.

        Yields:
            Index of a prompt and its scores (H0, W0), float32, 0 to 1, in the order of the prompts; with
            `labels_only` stopped prompts are missing.
        """
        image = self._model.encode_image(pixels)
        for start in range(0, len(self._vocabulary.prompts), self._prompt_chunk):
            text = self._text.select(slice(start, start + self._prompt_chunk))
            for index, scores in self._chunk_scores(image, text, size, labels_only and self.bound_is_exact):
                yield start + index, scores

    def _chunk_scores(
        self, image: ImageFeatures, text: TextFeatures, size: tuple[int, int], use_bound: bool
    ) -> Iterator[tuple[int, Tensor]]:
        """Index within the chunk and score map of its prompts."""
        prompt = self._model.prompt(image, text)
        memory = self._model.fuse(image, prompt)  # (P, D, g, g)
        detection = self._model.detect(memory, prompt)
        presence = presence_probs(detection.presence_logits, self._settings)  # (P,)

        queries = query_scores(detection.score_logits, presence)  # (P, Q)
        keep = kept_queries(queries, self._settings)

        chosen = torch.arange(len(presence), device=presence.device)
        if use_bound:
            chosen = surviving_prompts(presence, self._settings).nonzero().flatten()  # (P',)
            if len(chosen) == 0:
                return
        if len(chosen) < len(presence):
            prompt, memory, detection = prompt.select(chosen), memory[chosen], detection.select(chosen)
            presence, queries, keep = presence[chosen], queries[chosen], keep[chosen]

        masks = self._model.segment(memory, detection, prompt, image, keep)
        maps = prompt_score_maps(masks, queries, presence, size, self._settings, memory_budget=self._memory_budget)
        yield from zip(chosen.tolist(), maps)
