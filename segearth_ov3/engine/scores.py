"""Score fusion: from what the network says about prompts to a score per class and a label per pixel.

For prompt p, query q and pixel x, with all logits upsampled to the original size before the sigmoid σ:

    s_pq     = σ(score_logit_pq) · σ(presence_p)
    inst_p   = max over q with s_pq > confidence_threshold of s_pq · σ(mask_pq(x)), 0 if there is none
    sem_p    = σ(semantic_p(x))
    score_p  = σ(presence_p) · max(inst_p, sem_p)
    score_c  = max of score_p over the prompts of class c
    label(x) = argmax_c score_c, or the background where max_c score_c < prob_threshold

The presence of a prompt enters three times: in the threshold, in the amplitude of its instances, and in the product
at the end. `presence` keeps or drops these uses:

    "full"        all three, the published method
    "gate_only"   threshold and amplitude only, score_p = max(inst_p, sem_p): the published switch
    "off"         none, σ(presence_p) is 1 everywhere

The maps of the prompts are made by `engine.score_maps`; here is what comes before and after them. All
functions are pure, and work in float32 on the device of their arguments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import OptionError
from ..shapes import check_shape

Presence = Literal["full", "gate_only", "off"]
PRESENCES: tuple[str, ...] = get_args(Presence)


@dataclasses.dataclass(frozen=True)
class FusionSettings:
    """Numbers and switches of the score fusion; the defaults are the published method without a background.

    Attributes:
        prob_threshold: Pixels whose best class score is below it become background, 0 to 1; 0 means none do.
        confidence_threshold: Queries whose score does not exceed it are left out, 0 to 1; high values leave only
            objects the network is sure of, 1 leaves none.
        use_semantic: Off: sem_p is 0 everywhere.
        use_instance: Off: inst_p is 0 everywhere.
        presence: Where the presence of a prompt counts: "full", "gate_only" or "off", see the module's docstring.

    Raises:
        OptionError: A threshold is no number from 0 to 1, a switch is neither True nor False, both heads are off,
            `presence` is none of the three, or the removed `use_presence` is given.
    """

    prob_threshold: float = 0.0
    confidence_threshold: float = 0.5
    use_semantic: bool = True
    use_instance: bool = True
    presence: Presence = "full"
    use_presence: dataclasses.InitVar[object] = None

    def __post_init__(self, use_presence: object) -> None:
        if use_presence is not None:
            raise OptionError(
                f"use_presence was replaced by presence: expected presence='full' for True, 'off' for False, or "
                f"'gate_only', got use_presence={use_presence!r}"
            )
        for name in ("prob_threshold", "confidence_threshold"):
            value = getattr(self, name)
            # values may come from a command line or a configuration, where a misspelt number is a text
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise OptionError(f"expected {name} as a number, got {value!r}")
            if not 0.0 <= value <= 1.0:  # also false for NaN
                raise OptionError(f"{name} must lie in 0 to 1, got {value}")
        if self.presence not in PRESENCES:
            raise OptionError(f"expected presence as one of {', '.join(PRESENCES)}, got {self.presence!r}")
        for name in ("use_semantic", "use_instance"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"expected {name} as True or False, got {getattr(self, name)!r}")
        if not (self.use_semantic or self.use_instance):
            raise OptionError(
                "use_semantic and use_instance are both off, which leaves nothing to score; switch one on"
            )


def presence_probs(presence_logits: Tensor, settings: FusionSettings) -> Tensor:
    """Probability that a prompt is in the image at all.

    Args:
        presence_logits: (P,).
        settings: `presence="off"` gives 1 for every prompt.

    Returns:
        (P,), float32, 0 to 1.
    """
    logits = presence_logits.float()
    return torch.ones_like(logits) if settings.presence == "off" else logits.sigmoid()


def last_factors(presence_probs: Tensor, settings: FusionSettings) -> Tensor:
    """Return what the best of both heads is multiplied by at the end.

    Args:
        presence_probs: (P,), 0 to 1.
        settings: `presence="full"` gives the presence, everything else 1 for every prompt.

    Returns:
        (P,), float32, 0 to 1.
    """
    return presence_probs if settings.presence == "full" else torch.ones_like(presence_probs)


def presence_bounds_scores(settings: FusionSettings) -> bool:
    """Whether no score of a prompt exceeds its presence.

    With "full" every score is the presence times something that is at most 1. With "gate_only" this holds for the
    instance head, whose amplitudes contain the presence, and not for the semantic head.
    """
    return settings.presence == "full" or (settings.presence == "gate_only" and not settings.use_semantic)


def query_scores(score_logits: Tensor, presence_probs: Tensor) -> Tensor:
    """Score of every object query.

    Args:
        score_logits: (P, Q), without the presence term.
        presence_probs: (P,), 0 to 1.

    Returns:
        (P, Q), float32, 0 to 1.
    """
    return score_logits.float().sigmoid() * presence_probs[:, None]


def kept_queries(query_scores: Tensor, settings: FusionSettings) -> Tensor:
    """Queries whose masks count: score above the confidence threshold, equality excluded.

    Args:
        query_scores: (P, Q), 0 to 1.
        settings: `use_instance` off keeps none.

    Returns:
        (P, Q), bool.
    """
    if not settings.use_instance:
        return torch.zeros_like(query_scores, dtype=torch.bool)
    return query_scores > settings.confidence_threshold


def surviving_prompts(presence_probs: Tensor, settings: FusionSettings) -> Tensor:
    """Prompts that could reach the probability threshold at some pixel.

    Where `presence_bounds_scores`, a presence below the threshold means that all scores of the prompt are below it
    too, since rounding keeps the order of products.

    Args:
        presence_probs: (P,), 0 to 1.
        settings: Gives `prob_threshold`.

    Returns:
        (P,), bool.
    """
    return presence_probs >= settings.prob_threshold


def fold_into_classes(
    class_scores: Tensor, prompt_maps: Iterable[tuple[int, Tensor]], class_index: Sequence[int]
) -> Tensor:
    """Raise class scores to the maximum over the prompts of each class.

    Args:
        class_scores: (C, H0, W0), changed in place; zeros to begin with.
        prompt_maps: Pairs of a prompt and its scores (H0, W0), 0 to 1; prompts that are left out count as 0.
        class_index: Class of every prompt (P,).

    Returns:
        `class_scores`.
    """
    for prompt, scores in prompt_maps:
        target = class_scores[class_index[prompt]]
        torch.maximum(target, scores, out=target)
    return class_scores


def labels_from_scores(scores: Tensor, prob_threshold: float, background: int | None) -> Tensor:
    """Label every pixel with its best class.

    Args:
        scores: Class scores (C, H0, W0), 0 to 1.
        prob_threshold: Pixels whose best score is below it become `background`, 0 to 1.
        background: Index of the class of such pixels; None gives every pixel its best class.

    Returns:
        (H0, W0), int64; the lowest index where scores are equal.

    Raises:
        ShapeError: `scores` is not (C, H0, W0).
    """
    check_shape("class scores", scores, "C H0 W0")
    best, labels = scores.max(dim=0)  # (H0, W0) each
    if background is not None:
        labels = labels.masked_fill(best < prob_threshold, background)
    return labels
