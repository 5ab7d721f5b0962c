"""The only place where numbers become modules."""

from __future__ import annotations

from typing import cast

import torch
from open_clip.transformer import TextTransformer

from .config import Sam3Config
from .decoder import Decoder
from .fusion_encoder import FusionEncoder
from .geometry import GeometryEncoder
from .holders import Backbone, Transformer, VisionBackbone
from .mask_head import SegmentationHead
from .model import Sam3
from .neck import NeckBranch
from .scoring import DotProductScoring
from .text_encoder import TextEncoder
from .vit import VisionTransformer


def build_sam3(config: Sam3Config, device: str | torch.device = "cpu") -> Sam3:
    """Make a network with fresh weights.

    Args:
        config: Sizes.
        device: Where the parameters are made. "meta" makes none, for a loader that assigns them; buffers, which are
            computed and in no checkpoint, are real in any case.

    Returns:
        The network in training mode, gradients on.
    """
    with torch.device(device):
        model = Sam3(
            config,
            backbone=Backbone(_vision(config), _language(config)),
            geometry_encoder=GeometryEncoder(
                dim=config.dim,
                heads=config.heads,
                hidden=config.ffn_dim,
                layers=config.geometry_layers,
                grid=config.grid,
                roi_size=config.roi_size,
            ),
            transformer=_transformer(config),
            segmentation_head=SegmentationHead(config.dim, config.heads),
            dot_prod_scoring=DotProductScoring(config.dim, config.ffn_dim),
        )
    tower = cast(TextTransformer, model.backbone.language_backbone.encoder)
    tower.attn_mask = tower.build_causal_mask()
    buffer_device = "cpu" if torch.device(device).type == "meta" else device
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(buffer_device))
    return model


def _vision(config: Sam3Config) -> VisionBackbone:
    trunk = VisionTransformer(
        grid=config.grid,
        patch=config.patch_size,
        position_grid=config.position_grid,
        dim=config.vit_dim,
        depth=config.vit_depth,
        heads=config.vit_heads,
        hidden=config.vit_mlp_dim,
        window=config.window,
        global_blocks=config.global_blocks,
    )
    # the reference makes a fourth, coarser level too and never reads it
    return VisionBackbone(trunk, [NeckBranch(config.vit_dim, config.dim, upsampling) for upsampling in (4, 2, 1)])


def _language(config: Sam3Config) -> TextEncoder:
    tower = TextTransformer(
        context_length=config.context_length,
        vocab_size=config.vocab_size,
        width=config.text_width,
        heads=config.text_heads,
        layers=config.text_layers,
        proj_type="none",  # of the pooled vector, which is not used
        output_tokens=True,
    )
    # tokens first: with samples first PyTorch multiplies views, for which it copies half-precision weights per sample
    tower.transformer.batch_first = False
    for block in tower.transformer.resblocks:
        block.attn.batch_first = False
    return TextEncoder(tower, config.text_width, config.dim)


def _transformer(config: Sam3Config) -> Transformer:
    sizes = {"dim": config.dim, "heads": config.heads, "hidden": config.ffn_dim}
    return Transformer(
        FusionEncoder(**sizes, layers=config.fusion_layers),
        Decoder(**sizes, layers=config.decoder_layers, queries=config.queries, grid=config.grid),
    )
