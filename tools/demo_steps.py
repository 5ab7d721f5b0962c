"""What one step of training the demo model computes: from examples to losses."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from demo_data import PHOTOGRAPH_LABELS, SCENE_LABELS, Example
from demo_images import IGNORE
from demo_losses import fused_loss, instance_loss, instance_maps, join, map_loss, presence_loss, semantic_loss
from demo_recipe import Phase
from torch import Tensor, nn

from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.outputs import BoxPrompts, TextFeatures


class Losses(NamedTuple):
    """Losses of one step, for the progress bar."""

    semantic: Tensor
    presence: Tensor
    instance: Tensor
    maps: Tensor
    fused: Tensor
    probe: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return 3 * self.semantic + self.presence + 0.5 * self.instance + self.maps + 6 * self.fused + self.probe


class Probe(nn.Module):
    """Classifies the pyramid's pixels without prompts; teaches trunk and neck directly, and is thrown away."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fine, self.coarse = (nn.Conv2d(dim, SCENE_LABELS + PHOTOGRAPH_LABELS, 1) for _ in range(2))

    def forward(self, levels: tuple[Tensor, Tensor, Tensor], classes: Tensor) -> Tensor:
        """Cross-entropy of the finest and the coarsest level against classes (B, 4g, 4g)."""
        coarse = F.interpolate(self.coarse(levels[2].float()), scale_factor=4, mode="bilinear")
        logits = (self.fine(levels[0].float()), coarse)
        return sum(F.cross_entropy(each.float(), classes, ignore_index=IGNORE) for each in logits)


def encode_ids(model: Sam3, ids: Tensor, dtype: torch.dtype) -> TextFeatures:
    """Encode every distinct row of token ids once: (N, L) to the features of N prompts."""
    distinct, position = ids.unique(dim=0, return_inverse=True)
    features = model.backbone.language_backbone(distinct, dtype)
    return features.select(position)


def plain_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Tensor:
    """Attention as two products, (..., n, D) to (..., n, D): on CPUs its gradient is quicker than the fused one's."""
    assert dropout_p == 0 and not is_causal  # noqa: PT018 - the network uses neither
    products = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if attn_mask is not None:
        is_filter = attn_mask.dtype == torch.bool
        products = products.masked_fill(~attn_mask, -torch.inf) if is_filter else products + attn_mask
    return products.softmax(-1).to(value.dtype) @ value


def classify(model: Sam3, probe: Probe, pixels: Tensor, classes: Tensor) -> Losses:
    """Losses of the first phase: trunk and neck only."""
    nothing = torch.zeros(())
    levels = model.encode_pyramid(model.encode_trunk(pixels))
    return Losses(nothing, nothing, nothing, nothing, nothing, probe(levels, classes))


def answer_prompts(model: Sam3, probe: Probe, examples: list[Example], phase: Phase) -> Losses:
    """Losses of the later phases; all pairs of image and prompt go through the network together.

    Parts whose parameters are frozen are computed without gradients, and their losses are for the progress bar only.
    """
    trunk = model.encode_trunk(torch.cat([example.pixels for example in examples]))
    levels = model.encode_pyramid(trunk)
    counts = torch.tensor([len(example.ids) for example in examples])
    owner = torch.arange(len(examples)).repeat_interleave(counts)  # the image of each prompt
    text = encode_ids(model, torch.cat([example.ids for example in examples]), torch.float32)
    boxes = BoxPrompts(*(torch.cat(field) for field in zip(*(example.boxes for example in examples))))
    found = model.ground(model.prepare(trunk, levels).select(owner), text, boxes)
    targets = join([example.targets for example in examples])
    is_class = torch.cat([example.is_class for example in examples])
    nothing = torch.zeros(())
    maps = instance_maps(found) if is_class.any() else None
    return Losses(
        semantic_loss(found.semantic_logits, targets),
        presence_loss(found.presence_logits, targets),
        instance_loss(found.score_logits, found.boxes, found.mask_logits, targets, gamma=phase.gamma, rest=phase.rest),
        nothing if maps is None else phase.map_weight * map_loss(maps, targets),
        nothing if maps is None else fused_loss(maps, found, targets, owner, is_class, norm=phase.norm),
        probe(levels, torch.cat([example.classes for example in examples])) if levels[0].requires_grad else nothing,
    )
