"""The neck: three independent branches turn the trunk's output into a feature pyramid (ViTDet's simple pyramid)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .layers import Conv2d, ConvTranspose2d


class NeckBranch(nn.Module):
    """One level of the pyramid: upsampling by transposed convolutions, then 1x1 and 3x3, no normalisation.

    Args:
        trunk_dim: Channels of the trunk.
        dim: Channels of the level.
        upsampling: Factor to the trunk's grid: 4, 2 or 1.
    """

    def __init__(self, trunk_dim: int, dim: int, upsampling: int) -> None:
        super().__init__()
        channels = trunk_dim
        if upsampling == 4:
            self.dconv_2x2_0 = ConvTranspose2d(trunk_dim, trunk_dim // 2, 2, stride=2)
            self.dconv_2x2_1 = ConvTranspose2d(trunk_dim // 2, trunk_dim // 4, 2, stride=2)
            channels = trunk_dim // 4
        elif upsampling == 2:
            self.dconv_2x2 = ConvTranspose2d(trunk_dim, trunk_dim // 2, 2, stride=2)
            channels = trunk_dim // 2
        self.upsampling = upsampling
        self.conv_1x1 = Conv2d(channels, dim, 1)
        self.conv_3x3 = Conv2d(dim, dim, 3, padding=1)

    def forward(self, trunk: Tensor) -> Tensor:
        """(B, Dv, g, g) to (B, D, u*g, u*g)."""
        x = trunk
        if self.upsampling == 4:
            x = self.dconv_2x2_1(F.gelu(self.dconv_2x2_0(x)))
        elif self.upsampling == 2:
            x = self.dconv_2x2(x)
        return self.conv_3x3(self.conv_1x1(x))
