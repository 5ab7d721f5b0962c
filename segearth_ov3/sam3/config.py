"""Sizes of a SAM 3 network as one frozen dataclass of numbers.

`Sam3Config.base()` is the published model. The smaller ones have the same structure and the same parameter names,
so everything written for them holds for the full model.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Mapping
from typing import Any

from ..errors import OptionError

# far above any sensible network; a file with larger numbers is damaged or made to exhaust memory
_LARGEST = {
    **dict.fromkeys(("vit_dim", "vit_mlp_dim", "dim", "ffn_dim", "text_width"), 1 << 14),
    **dict.fromkeys(("vit_depth", "text_layers", "geometry_layers", "fusion_layers", "decoder_layers"), 128),
    **dict.fromkeys(("vit_heads", "heads", "text_heads", "position_grid", "window", "patch_size"), 1 << 10),
    "image_size": 1 << 13,
    "context_length": 1 << 10,
    "vocab_size": 1 << 20,
    "queries": 1 << 13,
    "roi_size": 1 << 6,
}
_MOST_TABLE_VALUES = 1 << 24  # of a position table: tokens times channels
_GROUPS = 8  # of the mask head's group normalisation


@dataclasses.dataclass(frozen=True)
class Sam3Config:
    """Numbers from which `sam3.build.build_sam3` makes a network; the defaults are the published model's.

    Attributes:
        image_size: Side of the square network input, in pixels.
        patch_size: Side of a patch, in pixels; the token grid has `image_size / patch_size` tokens a side.
        position_grid: Side of the trunk's table of absolute positions, which is tiled over the token grid.
        vit_dim, vit_depth, vit_heads, vit_mlp_dim: Width, blocks, heads and hidden width of the trunk.
        window: Side of the windows of the trunk's local attention, in tokens; divides the token grid.
        global_blocks: Indices of the trunk's blocks that attend to the whole image.
        dim, heads, ffn_dim: Width, heads and hidden width of everything after the neck.
        text_width, text_heads, text_layers: Sizes of the text tower.
        context_length: Tokens per prompt, start and end included.
        vocab_size: Entries of the byte-pair vocabulary.
        geometry_layers, fusion_layers, decoder_layers: Layers of the three transformers after the neck.
        queries: Object queries of the decoder.
        roi_size: Side of the grid that is pooled from a box prompt.
    """

    image_size: int = 1008
    patch_size: int = 14
    position_grid: int = 24
    vit_dim: int = 1024
    vit_depth: int = 32
    vit_heads: int = 16
    vit_mlp_dim: int = 4736
    window: int = 24
    global_blocks: tuple[int, ...] = (7, 15, 23, 31)
    dim: int = 256
    heads: int = 8
    ffn_dim: int = 2048
    text_width: int = 1024
    text_heads: int = 16
    text_layers: int = 24
    context_length: int = 32
    vocab_size: int = 49408
    geometry_layers: int = 3
    fusion_layers: int = 6
    decoder_layers: int = 6
    queries: int = 200
    roi_size: int = 7

    def __post_init__(self) -> None:
        for name, largest in _LARGEST.items():
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= largest:
                raise OptionError(f"{name} must be a whole number from 1 to {largest}, got {_shown(value)}")
        for whole, part in (
            ("image_size", "patch_size"),
            ("grid", "window"),
            ("vit_dim", "vit_heads"),
            ("dim", "heads"),
            ("text_width", "text_heads"),
        ):
            if getattr(self, whole) % getattr(self, part):
                raise OptionError(
                    f"{whole} must be a multiple of {part}, got {getattr(self, whole)} and {getattr(self, part)}"
                )
        if (self.vit_dim // self.vit_heads) % 4:
            raise OptionError(
                f"vit_dim / vit_heads must be a multiple of 4 for rotary positions in two axes, "
                f"got {self.vit_dim} / {self.vit_heads}"
            )
        if self.dim % _GROUPS:
            raise OptionError(f"dim must be a multiple of {_GROUPS}, got {self.dim}")
        if self.grid**2 * max(self.dim, self.vit_dim // self.vit_heads) > _MOST_TABLE_VALUES:
            raise OptionError(f"image_size {self.image_size} with patch_size {self.patch_size} gives too many tokens")
        blocks = self.global_blocks
        if not isinstance(blocks, tuple) or len(blocks) > self.vit_depth:
            raise OptionError(f"global_blocks must be at most {self.vit_depth} whole numbers, got {_shown(blocks)}")
        if any(type(block) is not int or not 0 <= block < self.vit_depth for block in blocks):
            raise OptionError(f"global_blocks must lie in 0..{self.vit_depth - 1}, got {_shown(blocks)}")

    @property
    def grid(self) -> int:
        """Side of the token grid."""
        return self.image_size // self.patch_size

    @classmethod
    def base(cls) -> Sam3Config:
        """The published SAM 3 image model: 840 M parameters, 1008-pixel input."""
        return cls()

    @classmethod
    def demo(cls) -> Sam3Config:
        """Small enough to train on two CPU cores and to ship with the package; for trying out, not for maps."""
        return cls(
            image_size=336,
            position_grid=12,
            vit_dim=192,
            vit_depth=6,
            vit_heads=3,
            vit_mlp_dim=576,
            window=12,
            global_blocks=(2, 5),
            dim=64,
            heads=2,
            ffn_dim=192,
            text_width=32,
            text_heads=2,
            text_layers=2,
            geometry_layers=1,
            fusion_layers=2,
            decoder_layers=3,
            queries=32,
        )

    @classmethod
    def tiny(cls) -> Sam3Config:
        """The smallest network that still has every part more than once; for tests."""
        return cls(
            image_size=224,
            position_grid=8,
            vit_dim=64,
            vit_depth=4,
            vit_heads=4,
            vit_mlp_dim=296,
            window=8,
            global_blocks=(1, 3),
            dim=32,
            heads=8,
            ffn_dim=64,
            text_width=48,
            text_heads=4,
            text_layers=3,
            geometry_layers=3,
            fusion_layers=2,
            decoder_layers=3,
            queries=20,
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain numbers and lists, ready for JSON."""
        return {**dataclasses.asdict(self), "global_blocks": list(self.global_blocks)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Sam3Config:
        """Make a configuration from what `to_dict` returns.

        Raises:
            OptionError: A field is unknown, missing or out of range; a configuration file must be complete.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if set(values) != names:
            unknown, missing = sorted(set(values) - names), sorted(names - set(values))
            raise OptionError(
                f"not a complete Sam3Config: unknown fields {_shown(unknown)}, missing fields {_shown(missing)}"
            )
        blocks = values["global_blocks"]
        return cls(**{**values, "global_blocks": tuple(blocks) if isinstance(blocks, list) else blocks})


def _shown(value: object) -> str:
    """Show a value that may be anything in a few characters."""
    return reprlib.repr(value)
