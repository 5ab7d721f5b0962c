"""Losses for training the demo model: semantic maps, presence, and object queries matched to instances.

Semantic maps and instances also learn together, by the score that is made of both.

The set loss follows DETR (Carion et al., 2020) and Mask2Former (Cheng et al., 2022): a one-to-one assignment of queries
to instances, a focal loss on scores, L1 and generalised IoU on boxes, cross-entropy and dice on masks.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import generalized_box_iou, generalized_box_iou_loss, sigmoid_focal_loss

from segearth_ov3.sam3.layers import to_corners
from segearth_ov3.sam3.outputs import Grounding


class Targets(NamedTuple):
    """What is true for P prompts, at mask resolution h x w.

    Attributes:
        semantic: Pixels of the prompt (P, h, w), float 0 or 1.
        valid: Pixels whose truth is known (P, h, w), float 0 or 1.
        masks: Instances of all prompts, prompt after prompt (K, h, w), float 0 or 1.
        prompt_index: The prompt of each instance (K,), int64.
        boxes: Their boxes (K, 4) as (cx, cy, w, h) in [0, 1].
    """

    semantic: Tensor
    valid: Tensor
    masks: Tensor
    prompt_index: Tensor
    boxes: Tensor

    @property
    def present(self) -> Tensor:
        """Is the prompt in the image (P,), float 0 or 1."""
        return (self.semantic * self.valid).flatten(1).amax(1)


def join(targets: Sequence[Targets]) -> Targets:
    """Targets of several images as those of one list of prompts."""
    offsets = itertools.accumulate((len(one.semantic) for one in targets[:-1]), initial=0)
    fields = Targets(*(torch.cat(field) for field in zip(*targets)))
    shifted = torch.cat([one.prompt_index + offset for one, offset in zip(targets, offsets)])
    return fields._replace(prompt_index=shifted)


def dice_loss(probs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """One minus the dice coefficient of each map: (N, h, w) three times to (N,)."""
    overlap = (probs * targets * weights).sum((1, 2))
    total = ((probs + targets) * weights).sum((1, 2))
    return 1 - (2 * overlap + 1) / (total + 1)


def semantic_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Cross-entropy over known pixels, plus dice of the prompts that are present; logits (P, h, w)."""
    entropy = F.binary_cross_entropy_with_logits(logits, targets.semantic, weight=targets.valid, reduction="sum")
    dice = dice_loss(logits.sigmoid(), targets.semantic, targets.valid)
    present = targets.present
    return entropy / targets.valid.sum().clamp(min=1) + (dice * present).sum() / present.sum().clamp(min=1)


def presence_loss(logits: Tensor, targets: Targets) -> Tensor:
    """Cross-entropy of presence; logits (P,)."""
    return F.binary_cross_entropy_with_logits(logits, targets.present)


def match(scores: Tensor, boxes: Tensor, mask_logits: Tensor, true_boxes: Tensor, true_masks: Tensor) -> Tensor:
    """Cheapest one-to-one assignment of queries to the instances of one prompt.

    Args:
        scores: Score logits (Q,).
        boxes: (Q, 4).
        mask_logits: (Q, h, w).
        true_boxes, true_masks: (K, 4) and (K, h, w), K <= Q.

    Returns:
        The query of each instance (K,), int64.
    """
    coarse = F.avg_pool2d(mask_logits[:, None].sigmoid(), 4).flatten(1)  # (Q, h/4 * w/4)
    true_coarse = F.avg_pool2d(true_masks[:, None], 4).flatten(1)
    dice = 1 - 2 * (coarse @ true_coarse.T) / (coarse.sum(1, keepdim=True) + true_coarse.sum(1) + 1e-3)
    cost = (
        -2 * scores.sigmoid()[:, None]
        + 5 * torch.cdist(boxes, true_boxes, p=1)
        - 2 * generalized_box_iou(to_corners(boxes), to_corners(true_boxes))
        + 2 * dice
    )
    queries, instances = linear_sum_assignment(cost.float().cpu().numpy())
    return torch.as_tensor(queries[instances.argsort()], dtype=torch.int64, device=scores.device)


def instance_loss(
    score_logits: Tensor, boxes: Tensor, mask_logits: Tensor, targets: Targets, *, gamma: float = 2.0, rest: float = 1.0
) -> Tensor:
    """Set loss of all prompts.

    Args:
        score_logits: (P, Q).
        boxes: (P, Q, 4).
        mask_logits: (P, Q, h, w).
        targets: K instances in all; prompts that are absent teach presence only.
        gamma: Exponent of the focal loss of scores.
        rest: Weight of queries without an instance in the loss of scores.

    Returns:
        Scalar.
    """
    wanted = torch.zeros_like(score_logits)
    chosen = []
    with torch.no_grad():
        for prompt in targets.prompt_index.unique().tolist():
            mine = targets.prompt_index == prompt
            queries = match(
                score_logits[prompt], boxes[prompt], mask_logits[prompt], targets.boxes[mine], targets.masks[mine]
            )
            wanted[prompt, queries] = 1
            chosen.append(queries)
    if not chosen:
        return score_logits.sum() * 0
    query_index = torch.cat(chosen)  # (K,), instances are ordered by prompt
    count = len(query_index)
    asked = targets.present.bool()
    focal = sigmoid_focal_loss(score_logits[asked], wanted[asked], alpha=0.5, gamma=gamma)
    focal = (focal * torch.where(wanted[asked] > 0, 1.0, rest)).sum() / count

    found_boxes = boxes[targets.prompt_index, query_index]
    found_masks = mask_logits[targets.prompt_index, query_index]
    valid = targets.valid[targets.prompt_index]
    entropy = F.binary_cross_entropy_with_logits(found_masks, targets.masks, weight=valid)
    return (
        2 * focal
        + 5 * F.l1_loss(found_boxes, targets.boxes)
        + 2 * generalized_box_iou_loss(to_corners(found_boxes), to_corners(targets.boxes), reduction="mean")
        + 2 * entropy
        + 2 * dice_loss(found_masks.sigmoid(), targets.masks, valid).mean()
    )


def instance_maps(found: Grounding) -> Tensor:
    """Maps of the instance head (P, h, w), 0 to 1, as in `engine.scores` without the confidence threshold."""
    presence = found.presence_logits.detach().float().sigmoid()  # learns by its own loss
    amplitudes = found.score_logits.float().sigmoid() * presence[:, None]  # (P, Q)
    return (amplitudes[..., None, None] * found.mask_logits.float().sigmoid()).amax(1)


def map_loss(maps: Tensor, targets: Targets) -> Tensor:
    """What `semantic_loss` asks of semantic maps, asked of instance maps (P, h, w)."""
    return semantic_loss(maps.logit(eps=1e-4), targets)


def fused_loss(
    maps: Tensor, found: Grounding, targets: Targets, owner: Tensor, is_class: Tensor, *, norm: float = torch.inf
) -> Tensor:
    """How well the fused scores of the classes tell them apart: cross-entropy of their shares, plus dice.

    The scores are those of `engine.scores` at mask resolution, but for the maximum of both heads there may be a norm:
    under the maximum itself an instance that does not exceed the semantic map does not learn that it should.

    Args:
        maps: Instance maps (P, h, w).
        found: Of the same P prompts, for semantic maps and presence.
        targets: Of P prompts.
        owner: Image of each prompt (P,), int64.
        is_class: Prompts that together name every pixel of their image (P,), bool, at least one.
        norm: Exponent; infinite gives the maximum.

    Returns:
        Scalar.
    """
    both = torch.stack((maps, found.semantic_logits.float().sigmoid()))[:, is_class]  # (2, P', h, w)
    presence = found.presence_logits.float().sigmoid()[is_class, None, None]
    scores = presence * torch.linalg.vector_norm(both + 1e-4, ord=norm, dim=0)
    owner = owner[is_class]
    totals = torch.zeros(int(owner.max()) + 1, *scores.shape[1:]).index_add(0, owner, scores)
    shares = scores / totals[owner]
    truth, valid = targets.semantic[is_class], targets.valid[is_class]
    present = targets.present[is_class]
    entropy = -(truth * shares.log() * valid).sum() / (truth * valid).sum().clamp(min=1)
    return entropy + (dice_loss(shares, truth, valid) * present).sum() / present.sum().clamp(min=1)
