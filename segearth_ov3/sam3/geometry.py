"""The geometry encoder: box exemplars, and a class token that is part of every prompt even without boxes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from .attention import Attention, padding_bias
from .layers import Conv2d, LayerNorm, Linear, to_corners, to_map
from .outputs import BoxPrompts
from .positions import sine_coordinates


class GeometryLayer(nn.Module):
    """Pre-norm layer: among the geometry tokens, to the image, feed-forward."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = LayerNorm(dim)
        self.self_attn = Attention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.cross_attn_image = Attention(dim, heads)
        self.norm3 = LayerNorm(dim)
        self.linear1 = Linear(dim, hidden)
        self.linear2 = Linear(hidden, dim)

    def forward(self, x: Tensor, hidden: Tensor, image: Tensor, positions: Tensor) -> Tensor:
        """Update geometry tokens.

        Args:
            x: (N, n, D).
            hidden: From `padding_bias` (N, 1, 1, n).
            image: Coarsest pyramid level as tokens (N or 1, g*g, D), not normalised.
            positions: Its sine code (g*g, D).

        Returns:
            (N, n, D).
        """
        q, k, v = self.self_attn.project(self.norm1(x), "qkv")
        x = x + self.self_attn.attend(q, k, v, hidden)
        (q,) = self.cross_attn_image.project(self.norm2(x), "q")
        (k,) = self.cross_attn_image.project(image + positions, "k")
        (v,) = self.cross_attn_image.project(image, "v")
        shape = (len(x), *k.shape[1:])
        x = x + self.cross_attn_image.attend(q, k.expand(shape), v.expand(shape))
        return x + self.linear2(self.linear1(self.norm3(x), "relu"))


class GeometryEncoder(nn.Module):
    """Box exemplars to prompt tokens; without boxes to the one encoded class token.

    Args:
        dim, heads, hidden, layers: Sizes of the transformer.
        grid: Side of the coarsest pyramid level.
        roi_size: Side of the grid that is pooled from a box.
    """

    def __init__(self, *, dim: int, heads: int, hidden: int, layers: int, grid: int, roi_size: int) -> None:
        super().__init__()
        self.grid = grid
        self.roi_size = roi_size
        self.label_embed = nn.Embedding(2, dim)  # 0 = negative, 1 = positive
        self.cls_embed = nn.Embedding(1, dim)
        self.boxes_direct_project = nn.Linear(4, dim)
        self.boxes_pool_project = Conv2d(dim, dim, roi_size)
        self.boxes_pos_enc_project = nn.Linear(dim + 2, dim)
        self.final_proj = Linear(dim, dim)
        self.norm = LayerNorm(dim)
        self.img_pre_norm = LayerNorm(dim)
        self.encode = nn.ModuleList(GeometryLayer(dim, heads, hidden) for _ in range(layers))
        self.encode_norm = LayerNorm(dim)

    def forward(self, image: Tensor, positions: Tensor, boxes: BoxPrompts | None = None) -> tuple[Tensor, Tensor]:
        """Encode the geometric part of a prompt.

        Args:
            image: Coarsest pyramid level as tokens: (B, g*g, D); with boxes, of one image or of one per prompt.
            positions: Its sine code (g*g, D).
            boxes: M exemplars for each of P prompts, or None.

        Returns:
            Tokens (P, M + 1, D), the class token last, and their padding (P, M + 1); without boxes (B, 1, D), (B, 1).
        """
        count = len(image) if boxes is None else len(boxes.boxes)
        x = self.cls_embed.weight.expand(count, 1, -1)
        padding = torch.zeros(count, 1, dtype=torch.bool, device=image.device)
        if boxes is not None:
            x = torch.cat((self._box_tokens(image, boxes), x), dim=1)  # (P, M + 1, D)
            padding = torch.cat((boxes.padding, padding), dim=1)
        hidden = padding_bias(padding, self.final_proj.weight.dtype)
        x = self.norm(self.final_proj(x))
        for layer in self.encode:
            x = layer(x, hidden, image, positions)
        return self.encode_norm(x), padding

    def _box_tokens(self, image: Tensor, boxes: BoxPrompts) -> Tensor:
        """Tokens of the boxes before the transformer (P, M, D): label, coordinates, what is inside, position."""
        cx, cy, width, height = boxes.boxes.to(torch.float32).unbind(-1)  # (P, M) each
        corners = to_corners(boxes.boxes.to(torch.float32)) * self.grid  # (P, M, 4)

        normed = to_map(self.img_pre_norm(image), self.grid).to(torch.float32)  # (1 or P, D, g, g)
        by_image = list(corners) if len(image) == len(corners) else [corners.flatten(0, 1)]
        pooled = roi_align(normed, by_image, self.roi_size)  # (P*M, D, roi, roi)
        inside = self.boxes_pool_project(pooled).flatten(1).unflatten(0, cx.shape)  # (P, M, D)

        half = image.shape[-1] // 2
        code = (sine_coordinates(cy, half), sine_coordinates(cx, half), height[..., None], width[..., None])
        weight_dtype = self.boxes_direct_project.weight.dtype
        return (
            self.label_embed(boxes.positive.long())
            + self.boxes_direct_project(boxes.boxes.to(weight_dtype))
            + inside
            + self.boxes_pos_enc_project(torch.cat(code, dim=-1).to(weight_dtype))
        )
