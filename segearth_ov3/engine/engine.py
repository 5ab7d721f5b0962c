"""The path from pixels to score maps: each image once, the prompts in chunks, and several variants in one pass.

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

from ..errors import OptionError, ScoreError
from ..finite import NOT_FINITE
from ..refiners.base import RefinerContext, refine
from ..sam3.outputs import Detection, ImageFeatures, Prompt, TextFeatures
from ..vocabulary import Vocabulary
from .chunks import Choice, Chunk, Found, plan_chunks
from .memory import check_count
from .score_maps import prompt_score_maps
from .scores import (
    fold_into_classes,
    kept_queries,
    presence_bounds_scores,
    presence_probs,
    query_scores,
    surviving_prompts,
)
from .variants import Variant, VariantClock, branches

if TYPE_CHECKING:
    from ..sam3.model import Sam3

# bytes that the pixel embeddings of the prompts whose masks are made together may take; on a CPU, blocks that the
# allocator keeps from one call to the next: fresh ones cost more than what is computed in them
CPU_MASK_BUDGET = 10 * 2**20
DEVICE_MASK_BUDGET = 384 * 2**20


class MemoryView(NamedTuple):
    """What an observer sees of a chunk of prompts just before the decoder reads it.

    Attributes:
        variants: Indices of the variants that share it.
        chunk: Images and prompts of its P rows.
        memory: Refined memory (P, D, g, g).
        prompt: The P prompts.
        image: Features of the image, or of one per row.
    """

    variants: tuple[int, ...]
    chunk: Chunk
    memory: Tensor
    prompt: Prompt
    image: ImageFeatures


class PromptEngine:
    """Scores the prompts of a vocabulary in images, or windows of images, of one size.

    Args:
        model: The network.
        text: Features of `vocabulary.prompts`.
        vocabulary: Classes and prompts.
        variants: What to compute, at least one.
        prompt_chunk: Prompts that go through the network together, at least 1; more need more memory and suit a large
            GPU. Results differ by rounding only.
        memory_budget: Bytes that upsampled masks may take at once, see `score_maps.prompt_score_maps`.
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
        memory_budget: int | None = None,
        clock: VariantClock | None = None,
        observe: Callable[[MemoryView], None] | None = None,
    ) -> None:
        check_count("prompt_chunk", prompt_chunk)
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
        self._mask_rows = mask_rows(model)

    def bound_is_exact(self, variant: int = 0) -> bool:
        """Whether prompts may be stopped by their presence when only the labels of a variant are wanted.

        A prompt whose presence is below `prob_threshold` has scores below it everywhere. Leaving it out changes no
        label if pixels below the threshold become background, and if scores never exceed the presence.
        """
        settings = self._variants[variant].settings
        falls_back = self._vocabulary.background is not None and settings.prob_threshold > 0
        return falls_back and presence_bounds_scores(settings)

    def class_scores(self, pixels: Tensor, size: tuple[int, int], *, labels_only: bool = False) -> Tensor:
        """Score every class at every pixel.

        Args:
            pixels: Network input (B, 3, R, R).
            size: Height and width of the original images in pixels.
            labels_only: The scores will be used for nothing but the labels of these very images: prompts that cannot
                win a pixel may count as 0, which saves their mask heads. Not for scores that are shown or averaged.

        Returns:
            (B, K, C, H0, W0) for K variants, float32, 0 to 1.
        """
        shape = (len(pixels), len(self._variants), len(self._vocabulary), *size)
        scores = torch.zeros(shape, device=self._model.device)
        for image, variant, prompt, values in self.prompt_scores(pixels, size, labels_only=labels_only):
            fold_into_classes(scores[image, variant], [(prompt, values)], self._vocabulary.class_index)
        return scores

    @torch.no_grad()
    def prompt_scores(
        self, pixels: Tensor, size: tuple[int, int], *, labels_only: bool = False
    ) -> Iterator[tuple[int, int, int, Tensor]]:
        """Score every prompt at every pixel, without holding all maps at once.

        Args:
            pixels: Network input (B, 3, R, R).
            size: Height and width of the maps in pixels.
            labels_only: As in `class_scores`.

        Yields:
            Index of an image, of a variant and of a prompt, and its scores (H0, W0), float32, 0 to 1; the prompts of
            each image and variant come in order, and with `labels_only` stopped prompts are missing.
        """
        context = RefinerContext(pixels)
        for image, members in self._image_features(pixels, context):
            for chunk in plan_chunks(len(pixels), len(self._vocabulary.prompts), self._prompt_chunk):
                yield from self._chunk_scores(image, members, chunk, context, size, labels_only)

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
        chunk: Chunk,
        context: RefinerContext,
        size: tuple[int, int],
        labels_only: bool,
    ) -> Iterator[tuple[int, int, int, Tensor]]:
        """Image, variant, prompt and score map of the rows of one chunk."""
        rows = chunk.rows
        context = chunk.context(context, self._vocabulary.prompts)
        with self._charge(members):
            image = chunk.image_features(image)
            prompt = self._model.prompt(image, chunk.text_features(self._text))
            fused = self._model.fuse(image, prompt)  # (P, D, g, g)
        for chain, branch in branches(self._variants, members, "memory"):
            with self._charge(branch):
                memory = refine(fused, chain, context)
            if self._observe is not None:
                self._observe(MemoryView(branch, chunk, memory, prompt, image))
            with self._charge(branch):
                found = Found(image, prompt, memory, self._model.detect(memory, prompt))
            for group, choice in self._groups(branch, found.detection, labels_only):
                for variant, row, scores in self._masked_scores(group, choice, found, size, labels_only):
                    index, which = rows[row]
                    yield index, variant, which, scores

    def _groups(
        self, members: tuple[int, ...], detection: Detection, labels_only: bool
    ) -> list[tuple[tuple[int, ...], Choice]]:
        """Variants that differ in their settings only, together where they want masks of the same rows and queries.

        Masks of a superset are not shared: a variant is to compute what it would compute alone.
        """
        wanted = []
        for variant in members:
            with self._charge((variant,)):
                wanted.append(self._wanted(variant, detection, labels_only))
        with self._charge(members):
            tables = to_host(torch.stack(wanted))
        if not tables[..., 0].all():
            raise ScoreError(NOT_FINITE)
        groups: list[tuple[list[int], Choice]] = []
        for variant, table in zip(members, tables):
            choice = Choice(table[:, 1], table[:, 2:])
            same = next((group for group, chosen in groups if chosen.equals(choice)), None)
            if same is None:
                groups.append(([variant], choice))
            else:
                same.append(variant)
        return [(tuple(group), choice) for group, choice in groups]

    def _wanted(self, variant: int, detection: Detection, labels_only: bool) -> Tensor:
        """Which rows have finite logits, which count, and which queries (P, 2 + Q), bool."""
        settings = self._variants[variant].settings
        presence = presence_probs(detection.presence_logits, settings)
        keep = kept_queries(query_scores(detection.score_logits, presence), settings)
        survives = torch.ones_like(presence, dtype=torch.bool)
        if labels_only and self.bound_is_exact(variant):
            survives = surviving_prompts(presence, settings)
        # NaN keeps no query and survives no bound, so that no score would show it
        finite = detection.presence_logits.isfinite() & detection.score_logits.isfinite().all(1)
        return torch.cat((finite[:, None], survives[:, None], keep), dim=1)

    def _masked_scores(
        self, group: tuple[int, ...], choice: Choice, found: Found, size: tuple[int, int], labels_only: bool
    ) -> Iterator[tuple[int, int, Tensor]]:
        """Variant, row of the chunk and score map, for variants that share their masks."""
        for rows, index in choice.pieces(self._mask_rows):
            keep = choice.keep[rows]
            with self._charge(group):
                some = found.select(index)
                masks = self._model.segment(some.memory, some.detection, some.prompt, some.image, keep)
            for variant in group:
                settings = self._variants[variant].settings
                bounded = labels_only and self.bound_is_exact(variant)
                with self._charge((variant,)):
                    presence = presence_probs(some.detection.presence_logits, settings)
                    maps = prompt_score_maps(
                        masks,
                        query_scores(some.detection.score_logits, presence),
                        presence,
                        size,
                        settings,
                        counts=keep.sum(1).tolist(),
                        floor=settings.prob_threshold if bounded else 0.0,
                        memory_budget=self._memory_budget,
                    )
                for row in rows:
                    with self._charge((variant,)):
                        scores = next(maps)
                    yield variant, row, scores

    def _charge(self, members: tuple[int, ...]) -> contextlib.AbstractContextManager[None]:
        """Measures the time of a block of work for some variants, if anybody wants to know."""
        return contextlib.nullcontext() if self._clock is None else self._clock.charge(members)


def to_host(tensor: Tensor) -> Tensor:
    """The tensor on the CPU. This is where the device is waited for: once per chunk and memory, and nowhere else."""
    return tensor.cpu()


def mask_rows(model: Sam3) -> int:
    """Prompts whose masks are made together: as many as have their pixel embeddings within a budget."""
    embedding_bytes = 4 * model.config.dim * (4 * model.config.grid) ** 2
    budget = CPU_MASK_BUDGET if model.device.type == "cpu" else DEVICE_MASK_BUDGET
    return max(1, budget // embedding_bytes)
