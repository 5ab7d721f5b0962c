"""Instances of one prompt in image coordinates, as the reference's image processor returns them."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from .layers import to_corners
from .outputs import Grounding


class Instances(NamedTuple):
    """Kept queries of one prompt, in query order; overlapping ones are not merged.

    Attributes:
        query_index: (K,), int64.
        scores: Score times presence (K,), within (threshold, 1].
        boxes_xyxy: (K, 4) as (x0, y0, x1, y1) in pixels of the original image, not clipped to it.
        mask_probs: (K, H0, W0).
    """

    query_index: Tensor
    scores: Tensor
    boxes_xyxy: Tensor
    mask_probs: Tensor

    @property
    def masks(self) -> Tensor:
        """Pixels of each instance (K, H0, W0), bool."""
        return self.mask_probs > 0.5


def postprocess(
    grounding: Grounding, prompt: int, size: tuple[int, int], confidence_threshold: float = 0.5
) -> Instances:
    """Instances of one prompt.

    Args:
        grounding: Output of `Sam3.ground`.
        prompt: Index of the prompt.
        size: (H0, W0) of the original image.
        confidence_threshold: Queries must score higher than this; in [0, 1].

    Returns:
        The kept queries. Mask logits are resized before the sigmoid.
    """
    scores = grounding.score_logits[prompt].sigmoid() * grounding.presence_logits[prompt].sigmoid()
    kept = (scores > confidence_threshold).nonzero()[:, 0]
    corners = to_corners(grounding.boxes[prompt, kept])  # (K, 4)
    rows, cols = size
    logits = grounding.mask_logits[prompt, kept][:, None]  # (K, 1, 4g, 4g)
    logits = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)[:, 0]
    return Instances(kept, scores[kept], corners * corners.new_tensor([cols, rows, cols, rows]), logits.sigmoid())
