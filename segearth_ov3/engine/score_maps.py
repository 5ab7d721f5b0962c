"""Score maps: from the masks of a prompt to its score at every pixel of the image, in blocks of rows.

At the size of the image the masks of a prompt would be the largest thing in memory by far. So the image is worked
through in blocks of rows, and in each block the masks come a few at a time:

    best = sem(x)                                   upsample the semantic map, sigmoid
    best = max(best, s_pq · σ(mask_pq(x))) ...      upsample some masks, sigmoid, amplitude
    score_p(x) = σ(presence_p) · best               or best alone, see `scores.last_factors`

A bilinear value is never above the largest of the logits it is made from. So a mask that is everywhere near a block
too weak to exceed what is there already is left out of the block, which changes nothing: most masks are small, and
most blocks are reached by few.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..sam3.outputs import Masks
from ..shapes import check_shape
from .scores import FusionSettings, last_factors
from .upsampling import WORKING_COPIES, upsampler

CACHE_BUDGET = 4 * 2**20
DEVICE_BUDGET = 256 * 2**20
MASKS_AT_ONCE = 4
MARGIN = 1 + 1e-5  # no rounding lifts a score above its bound


def prompt_score_maps(
    masks: Masks,
    query_scores: Tensor,
    presence_probs: Tensor,
    size: tuple[int, int],
    settings: FusionSettings,
    *,
    counts: Sequence[int] | None = None,
    floor: float = 0.0,
    memory_budget: int | None = None,
) -> Iterator[Tensor]:
    """Fuse both heads into one score map per prompt, one prompt at a time.

    Args:
        masks: Masks of the kept queries and semantic maps of P prompts.
        query_scores: (P, Q), 0 to 1.
        presence_probs: (P,), 0 to 1.
        size: Height and width of the maps in pixels.
        settings: Gives the switches of the heads, and whether the presence is the last factor.
        counts: Masks of each prompt; None counts them, which waits for the device.
        floor: Scores below it may come out as anything below it, which saves work on a CPU, 0 to 1.
        memory_budget: Bytes that upsampled masks may take at once; at least one row of one mask is always processed.
            Small values save memory, results differ by rounding only. None: what fits the caches of a CPU, 256 MiB
            on other devices.

    Yields:
        (H0, W0), float32, 0 to 1; P times, in order.

    Raises:
        ShapeError: The arguments disagree about P or K.
    """
    prompts = check_shape("semantic logits", masks.semantic_logits, "P h w")["P"]
    check_shape("query scores", query_scores, f"{prompts} Q")
    check_shape("presence probabilities", presence_probs, str(prompts))
    check_shape("mask logits", masks.mask_logits, f"{len(masks.prompt_index)} h w")
    amplitudes = query_scores[masks.prompt_index, masks.query_index]  # (K,)
    if counts is None:
        counts = torch.bincount(masks.prompt_index, minlength=prompts).tolist()
    parts = zip(masks.mask_logits.split(list(counts)), amplitudes.split(list(counts)))
    factors = last_factors(presence_probs, settings)
    floors = _floors(factors, floor)
    for prompt, (mask_logits, mask_amplitudes) in enumerate(parts):
        used = len(mask_logits) if settings.use_instance else 0
        semantic = masks.semantic_logits[prompt] if settings.use_semantic else None
        best = _best_scores(mask_logits[:used], mask_amplitudes[:used], semantic, size, floors[prompt], memory_budget)
        yield best.mul_(factors[prompt])


def _best_scores(
    mask_logits: Tensor,
    amplitudes: Tensor,
    semantic_logits: Tensor | None,
    size: tuple[int, int],
    floor: float,
    memory_budget: int | None,
) -> Tensor:
    """Best of the masks (k, h, w) with their amplitudes (k,), and of the semantic map (h, w), at every pixel."""
    device = mask_logits.device
    upsample = upsampler(tuple(mask_logits.shape[1:]), size, device)
    on_cpu = device.type == "cpu"
    row_bounds = (mask_logits.float().amax(2).sigmoid_() * amplitudes[:, None]) * MARGIN if on_cpu else None  # (k, h)
    best = torch.zeros(size, device=device)
    budget = memory_budget or (CACHE_BUDGET if on_cpu else DEVICE_BUDGET)
    for rows, together in _blocks(size, len(mask_logits), budget):
        source, block = upsample.source_rows(rows), best[rows]
        if semantic_logits is not None:
            block.copy_(upsample(semantic_logits[None, source], rows)[0].sigmoid_())
        near, strengths = mask_logits[:, source], amplitudes
        if row_bounds is not None and len(near):
            # not "bound > least": masks that are NaN must come through, so that their scores are refused
            strong = ~(row_bounds[:, source].amax(1) <= max(floor, float(block.min())))
            near, strengths = near[strong], amplitudes[strong]
        for start in range(0, len(near), together):
            some = slice(start, start + together)
            scores = upsample(near[some], rows).sigmoid_().mul_(strengths[some, None, None])  # (n, R, W0)
            torch.maximum(block, scores.amax(0), out=block)
    return best


def _blocks(size: tuple[int, int], masks: int, budget: int) -> Iterator[tuple[slice, int]]:
    """Blocks of rows, and how many masks are upsampled together in each."""
    height, width = size
    row_bytes = WORKING_COPIES * 4 * width
    rows = min(max(1, budget // (row_bytes * min(max(1, masks), MASKS_AT_ONCE))), height)
    together = max(1, budget // (row_bytes * rows))
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height)), together


def _floors(factors: Tensor, floor: float) -> list[float]:
    """What the scores of each prompt, before the last product with its factor, may be cut off at.

    Elsewhere than on a CPU it would have to be waited for, and is 0.
    """
    if floor == 0 or factors.device.type != "cpu":
        return [0.0] * len(factors)
    return [floor / factor if factor > 0 else 2.0 for factor in factors.tolist()]
