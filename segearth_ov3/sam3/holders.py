"""Modules that only hold others, under the published parameter names."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .decoder import Decoder
from .fusion_encoder import FusionEncoder
from .text_encoder import TextEncoder


class VisionBackbone(nn.Module):
    """Trunk and neck."""

    def __init__(self, trunk: nn.Module, convs: Sequence[nn.Module]) -> None:
        super().__init__()
        self.trunk = trunk
        self.convs = nn.ModuleList(convs)


class Backbone(nn.Module):
    """Image and text side."""

    def __init__(self, vision: VisionBackbone, language: TextEncoder) -> None:
        super().__init__()
        self.vision_backbone = vision
        self.language_backbone = language


class Transformer(nn.Module):
    """Fusion encoder and decoder."""

    def __init__(self, encoder: FusionEncoder, decoder: Decoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
