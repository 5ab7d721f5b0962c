"""The path from pixels to score maps: the image once, the prompts in chunks, and several variants in one pass.

    pixels ─ trunk ─ pyramid ─ prepare ─┐
    text ─ chunk ─ prompt ──────────────┴─ fuse ─ detect ─ presence bound, kept queries ─ segment ─ fuse scores

Refiners act on trunk, pyramid and memory (`refiners.base`); variants share what they have in common (`variants`).
Every variant is computed exactly as if it were alone. Symbols as in `segearth_ov3.shapes`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ..errors import OptionError
from ..refiners.base import RefinerContext, refine
from ..sam3.outputs import Detection, ImageFeatures, Prompt, TextFeatures
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
from .variants import Variant, VariantClock, branches

if TYPE_CHECKING:
    from ..sam3.model import Sam3


class MemoryView(NamedTuple):
    """What an observer sees of a chunk of prompts just before the decoder reads it.

    Attributes:
        variants: Indices of the variants that share it.
        start: Index of the chunk's first prompt.
        memory: Refined memory (P, D, g, g).
        prompt: The P prompts.
        image: Features of the image.
    """

    variants: tuple[int, ...]
    start: int
    memory: Tensor
    prompt: Prompt
    image: ImageFeatures


class _Choice(NamedTuple):
    """What one variant wants of a chunk: prompts (P',), their presence (P',), query scores and kept queries (P', Q)."""

    prompts: Tensor
    presence: Tensor
    queries: Tensor
    keep: Tensor


class PromptEngine:
    """Scores the prompts of a vocabulary in one image, or one window of an image, at a time.

    Args:
        model: The network.
        text: Features of `vocabulary.prompts`.
        vocabulary: Classes and prompts.
        variants: What to compute, at least one.
        prompt_chunk: Prompts that go through the network together, at least 1; more need more memory and suit a large
            GPU. Results differ by rounding only.
        memory_budget: Bytes that upsampled masks may take at once.
        clock: Measures each variant.
        observe: Called with every refined memory before the decoder reads it; must change nothing.

    Raises:
        OptionError: `prompt_chunk` is not positive, there is no variant, or the features are those of another number
            of prompts.
    """

    def __init__(
        self,
        model: Sam3,
        text: TextFeatures,
        vocabulary: Vocabulary,
        variants: Sequence[Variant],
        *,
        prompt_chunk: int = 8,
        memory_budget: int = MEMORY_BUDGET,
        clock: VariantClock | None = None,
        observe: Callable[[MemoryView], None] | None = None,
    ) -> None:
        if type(prompt_chunk) is not int or prompt_chunk < 1:
            raise OptionError(f"prompt_chunk must be a whole number of at least 1, got {prompt_chunk!r}")
        if len(text.tokens) != len(vocabulary.prompts):
            raise OptionError(f"{len(vocabulary.prompts)} prompts need as many text features, got {len(text.tokens)}")
        if not variants:
            raise OptionError("expected at least one variant, got none")
        self._model = model
        self._text = text
        self._vocabulary = vocabulary
        self._variants = tuple(variants)
        self._prompt_chunk = prompt_chunk
        self._memory_budget = memory_budget
        self._clock = clock
        self._observe = observe

    def bound_is_exact(self, variant: int = 0) -> bool:
        """Whether prompts may be stopped by their presence when only the labels of a variant are wanted.

        A prompt whose presence is below `prob_threshold` has scores below it everywhere. Leaving it out changes no
        label if pixels below the threshold become background, and if presence is used at all.
        """
        settings = self._variants[variant].settings
        return self._vocabulary.background is not None and settings.prob_threshold > 0 and settings.use_presence

    def class_scores(self, pixels: Tensor, size: tuple[int, int], *, labels_only: bool = False) -> Tensor:
        """Score every class at every pixel.

        Args:
            pixels: Network input (1, 3, R, R).
            size: Height and width of the original image in pixels.
            labels_only: The scores will be used for nothing but the labels of this very image: prompts that cannot
                win a pixel may count as 0, which saves their mask heads. Not for scores that are shown or averaged.

        Returns:
            (K, C, H0, W0) for K variants, float32, 0 to 1.
        """
        scores = torch.zeros((len(self._variants), len(self._vocabulary), *size), device=self._model.device)
        for variant, prompt, values in self.prompt_scores(pixels, size, labels_only=labels_only):
            fold_into_classes(scores[variant], [(prompt, values)], self._vocabulary.class_index)
        return scores

    @torch.no_grad()
    def prompt_scores(
        self, pixels: Tensor, size: tuple[int, int], *, labels_only: bool = False
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Score every prompt at every pixel, without holding all maps at once.

        Args:
            pixels: Network input (1, 3, R, R).
            size: Height and width of the maps in pixels.
            labels_only: As in `class_scores`.

        Yields:
            Index of a variant, index of a prompt and its scores (H0, W0), float32, 0 to 1; the prompts of each
            variant come in order, and with `labels_only` stopped prompts are missing.
        """
        context = RefinerContext(pixels)
        for image, members in self._image_features(pixels, context):
            for start in range(0, len(self._vocabulary.prompts), self._prompt_chunk):
                yield from self._chunk_scores(image, members, start, context, size, labels_only)

    def _image_features(
        self, pixels: Tensor, context: RefinerContext
    ) -> Iterator[tuple[ImageFeatures, tuple[int, ...]]]:
        """Features of the image, once for each group of variants that refine trunk and pyramid alike."""
        everyone = tuple(range(len(self._variants)))
        with self._charge(everyone):
            trunk = self._model.encode_trunk(pixels)  # (1, Dv, g, g)
        for chain, branch in branches(self._variants, everyone, "trunk"):
            with self._charge(branch):
                refined = refine(trunk, chain, context)
                fine, middle, coarse = self._model.encode_pyramid(refined)
            for pyramid_chain, members in branches(self._variants, branch, "pyramid"):
                with self._charge(members):
                    levels = (fine, middle, refine(coarse, pyramid_chain, context))
                    image = self._model.prepare(refined, levels)
                yield image, members

    def _chunk_scores(
        self,
        image: ImageFeatures,
        members: tuple[int, ...],
        start: int,
        context: RefinerContext,
        size: tuple[int, int],
        labels_only: bool,
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Variant, prompt and score map of the prompts of one chunk."""
        chunk = slice(start, start + self._prompt_chunk)
        context = context.with_prompts(self._vocabulary.prompts[chunk])
        with self._charge(members):
            prompt = self._model.prompt(image, self._text.select(chunk))
            fused = self._model.fuse(image, prompt)  # (P, D, g, g)
        for chain, branch in branches(self._variants, members, "memory"):
            with self._charge(branch):
                memory = refine(fused, chain, context)
            if self._observe is not None:
                self._observe(MemoryView(branch, start, memory, prompt, image))
            with self._charge(branch):
                detection = self._model.detect(memory, prompt)
            for variant, index, scores in self._leaves(branch, memory, detection, prompt, image, size, labels_only):
                yield variant, start + index, scores

    def _leaves(
        self,
        members: tuple[int, ...],
        memory: Tensor,
        detection: Detection,
        prompt: Prompt,
        image: ImageFeatures,
        size: tuple[int, int],
        labels_only: bool,
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Variant, index within the chunk and score map, for variants that differ in their settings only."""
        for group in self._groups(members, detection, labels_only):
            chosen, keep = group[0][1].prompts, group[0][1].keep
            with self._charge(tuple(variant for variant, _ in group)):
                if len(chosen) == len(memory):
                    masks = self._model.segment(memory, detection, prompt, image, keep)
                else:
                    masks = self._model.segment(
                        memory[chosen], detection.select(chosen), prompt.select(chosen), image, keep
                    )
            for variant, choice in group:
                settings = self._variants[variant].settings
                maps = prompt_score_maps(
                    masks, choice.queries, choice.presence, size, settings, memory_budget=self._memory_budget
                )
                for index in chosen.tolist():
                    with self._charge((variant,)):
                        scores = next(maps)
                    yield variant, index, scores

    def _groups(
        self, members: tuple[int, ...], detection: Detection, labels_only: bool
    ) -> list[list[tuple[int, _Choice]]]:
        """Variants, with what they want, that want masks; together those that want the same.

        Masks of a superset are not shared: a variant is to compute what it would compute alone.
        """
        groups: list[list[tuple[int, _Choice]]] = []
        for variant in members:
            with self._charge((variant,)):
                use_bound = labels_only and self.bound_is_exact(variant)
                choice = _choose(detection, self._variants[variant].settings, use_bound)
            if len(choice.prompts) == 0:
                continue
            same = next((group for group in groups if _same_work(group[0][1], choice)), None)
            if same is None:
                groups.append([(variant, choice)])
            else:
                same.append((variant, choice))
        return groups

    def _charge(self, members: tuple[int, ...]) -> contextlib.AbstractContextManager[None]:
        """Measures the time of a block of work for some variants, if anybody wants to know."""
        return contextlib.nullcontext() if self._clock is None else self._clock.charge(members)


def _choose(detection: Detection, settings: FusionSettings, use_bound: bool) -> _Choice:
    """Prompts and queries whose masks a variant needs."""
    presence = presence_probs(detection.presence_logits, settings)  # (P,)
    queries = query_scores(detection.score_logits, presence)  # (P, Q)
    keep = kept_queries(queries, settings)
    chosen = torch.arange(len(presence), device=presence.device)
    if use_bound:
        chosen = surviving_prompts(presence, settings).nonzero().flatten()  # (P',)
    if len(chosen) < len(presence):
        presence, queries, keep = presence[chosen], queries[chosen], keep[chosen]
    return _Choice(chosen, presence, queries, keep)


def _same_work(one: _Choice, other: _Choice) -> bool:
    """Whether two choices need the same masks of the same prompts."""
    return torch.equal(one.prompts, other.prompts) and torch.equal(one.keep, other.keep)
