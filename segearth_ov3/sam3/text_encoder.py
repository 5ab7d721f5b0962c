"""The text tower: open_clip's CLIP text transformer, all token vectors of which are mapped to the model's width."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .outputs import TextFeatures
from .tokenizer import PADDING_ID


class TextEncoder(nn.Module):
    """Token ids to text features.

    The parameters stay float32; in half precision the tower runs under autocast, as the reference does, which leaves
    normalisations and residual sums in float32.

    Args:
        encoder: `open_clip.transformer.TextTransformer` built with `output_tokens=True`.
        width: Width of the tower.
        dim: Width of the features D.
    """

    def __init__(self, encoder: nn.Module, width: int, dim: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.resizer = nn.Linear(width, dim)

    def forward(self, ids: Tensor, compute_dtype: torch.dtype) -> TextFeatures:
        """Encode token ids.

        Args:
            ids: (P, L), int64.
            compute_dtype: Dtype of the matrix products.

        Returns:
            Features of all L tokens, float32, and the mask of padding.
        """
        half = compute_dtype in (torch.bfloat16, torch.float16)
        with torch.autocast(ids.device.type, dtype=compute_dtype, enabled=half):
            _, tokens = self.encoder(ids)  # the pooled vector is not used; (P, L, width)
            tokens = self.resizer(tokens)  # (P, L, D)
        return TextFeatures(tokens.to(self.resizer.weight.dtype), ids == PADDING_ID)
