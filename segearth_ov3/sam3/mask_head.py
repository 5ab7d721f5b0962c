"""The segmentation head: a semantic map per prompt and a mask per kept query.

Three exact identities save about half of the reference's work here.

1. A convolution of a sum is a sum of convolutions, and the pyramid's share does not depend on the prompt:
   conv(level + up(z)) = [conv(level) + bias] + conv(up(z)). The bracket is computed once per image.
2. A 3x3 convolution of a map upsampled 2x by repetition is computed at the small size (`upsampled_conv`): a quarter to
   four ninths of the products.
3. The 1x1 instance convolution (W, b) goes into the mask queries: m . (W z + b) = (m W) . z + m . b.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import ops
from .attention import Attention, padding_bias
from .layers import Conv2d, GroupNorm, LayerNorm, Mlp, to_map, to_tokens
from .outputs import Prompt


class PixelDecoder(nn.Module):
    """Memory and the two finer pyramid levels to pixel embeddings at four times the token grid."""

    conv_layers: Sequence[Conv2d]

    def __init__(self, dim: int, groups: int = 8) -> None:
        super().__init__()
        self.conv_layers = nn.ModuleList(Conv2d(dim, dim, 3, padding=1) for _ in range(2))  # type: ignore[assignment]
        self.norms = nn.ModuleList(GroupNorm(groups, dim) for _ in range(2))

    def bases(self, levels: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The pyramid's share of both convolutions, which depends on the image only.

        Args:
            levels: Pyramid, finest first.

        Returns:
            (B, D, 2g, 2g) and (B, D, 4g, 4g), in the order of use.
        """
        return self.conv_layers[0](levels[1]), self.conv_layers[1](levels[0])

    def forward(self, x: Tensor, bases: tuple[Tensor, Tensor]) -> Tensor:
        """Decode.

        Args:
            x: Memory that has read the prompt once more (P, D, g, g).
            bases: From `bases`, of one image or of one per prompt.

        Returns:
            Pixel embeddings (P, D, 4g, 4g), as `GroupNorm` returns them.
        """
        for conv, norm, base in zip(self.conv_layers, self.norms, bases):
            y = ops.conv3x3_of_upsampled(x, conv.weight).add_(base)  # in place: these are the largest maps
            x = F.relu_(norm(y))
        return x


class MaskPredictor(nn.Module):
    """Queries to vectors that are compared with pixel embeddings."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mask_embed = Mlp((dim, dim, dim, dim))

    def forward(self, queries: Tensor) -> Tensor:
        """Map (K, D) to (K, D)."""
        return self.mask_embed(queries)


class SegmentationHead(nn.Module):
    """Memory to a semantic map and instance masks."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.cross_attn_norm = LayerNorm(dim)
        self.cross_attend_prompt = Attention(dim, heads)
        self.pixel_decoder = PixelDecoder(dim)
        self.semantic_seg_head = Conv2d(dim, 1, 1)
        self.instance_seg_head = Conv2d(dim, dim, 1)
        self.mask_predictor = MaskPredictor(dim)

    def embed_pixels(self, memory: Tensor, prompt: Prompt, bases: tuple[Tensor, Tensor]) -> Tensor:
        """Pixel embeddings.

        Args:
            memory: (P, D, g, g).
            prompt: P prompts.
            bases: From `PixelDecoder.bases`.

        Returns:
            (P, D, 4g, 4g).
        """
        x = to_tokens(memory)  # (P, g*g, D)
        (q,) = self.cross_attend_prompt.project(self.cross_attn_norm(x), "q")
        k, v = self.cross_attend_prompt.project(prompt.tokens, "kv")
        x = x + self.cross_attend_prompt.attend(q, k, v, padding_bias(prompt.padding, q.dtype))
        return self.pixel_decoder(to_map(x, memory.shape[-1]), bases)

    def masks(self, queries: Tensor, pixels: Tensor, counts: list[int]) -> Tensor:
        """Mask logits of kept queries.

        Args:
            queries: Kept queries of all prompts, prompt after prompt (K, D).
            pixels: Pixel embeddings (P, D, 4g, 4g).
            counts: Kept queries per prompt; sums to K.

        Returns:
            (K, 4g, 4g).
        """
        vectors = self.mask_predictor(queries)  # (K, D)
        weight, bias = self.instance_seg_head.weight[:, :, 0, 0], self.instance_seg_head.bias
        folded = vectors @ weight  # (K, D)
        offset = vectors @ bias  # (K,)
        flat = pixels.flatten(2).to(folded.dtype)  # (P, D, 4g*4g)
        if len(set(counts)) == 1:
            logits = (folded.unflatten(0, (len(counts), -1)) @ flat).flatten(0, 1)  # (K, 4g*4g)
        else:
            logits = torch.cat([part @ flat[index] for index, part in enumerate(folded.split(counts)) if len(part)])
        return (logits + offset[:, None]).unflatten(1, pixels.shape[-2:])  # (K, 4g, 4g)
