"""CLIP as a frozen source of features: maps of patch tokens from chosen blocks, and embeddings of prompts.

    "whole"   the image resized to CLIP's input size s, p × p tokens (336 px, 24 × 24)
    "tiled"   the image resized to the nearest multiple k·s, cut into k × k crops, their maps put together again

              +---+---+---+
              | 0 | 1 | 2 |     1008 px = 3 · 336 px: nine crops in one batch, 24 tokens a side each,
              +---+---+---+     together 72 × 72 tokens: SAM 3's own grid, as both cut patches of 14 px
              | 3 | 4 | 5 |
              +---+---+---+     a crop does not see its neighbours
              | 6 | 7 | 8 |
              +---+---+---+

CLIP reads the input of SAM 3's network, so it sees the same picture: resized to a square without regard to its aspect
ratio. Blocks are counted from 1. Their tokens are taken as they leave the block, before CLIP's last normalisation;
patches in the space that images and texts share are the last block's tokens after that normalisation and the
projection, which CLIP itself applies to its class token only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import OptionError
from ..sam3.tokenizer import tokenize
from ..shapes import check_shape
from .base import check_choice

GRIDS = ("whole", "tiled")
MEAN = (0.48145466, 0.4578275, 0.40821073)  # of OpenAI's training images, RGB in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)


class ClipFeatures(NamedTuple):
    """What CLIP says about images, float32, h tokens a side.

    Attributes:
        taps: (B, D, h, h) for each block asked for, from the first to the last block.
        patches: (B, E, h, h) in the space of the text embeddings, not normalised.
    """

    taps: tuple[Tensor, ...]
    patches: Tensor


class ClipEncoder(nn.Module):
    """A frozen CLIP; puts the model it is given into evaluation mode and switches its gradients off.

    Args:
        model: Model of open_clip whose image tower is its own vision transformer of square images.
        tokenizer: From words to ids (P, L); None takes CLIP's.
        mean: Of the images CLIP was trained with, RGB in [0, 1].
        std: Likewise.
        name: What the model is called in messages.

    Raises:
        OptionError: The image tower is of another kind, or its patches cannot be projected.
    """

    model: Any
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        *,
        tokenizer: Callable[[list[str]], Tensor] | None = None,
        mean: Sequence[float] = MEAN,
        std: Sequence[float] = STD,
        name: str = "CLIP",
    ) -> None:
        super().__init__()
        visual = _image_tower(model, name)
        self.name = name
        self.model = model.requires_grad_(False).eval()
        self.size: int = visual.image_size[0]
        self.blocks = len(visual.transformer.resblocks)
        self._tokenizer = tokenizer
        self._texts: dict[tuple[tuple[str, ...], torch.device], Tensor] = {}
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)  # (3, 1, 1)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    @property
    def visual(self) -> Any:
        """The image tower."""
        return self.model.visual

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.mean.device

    def check_taps(self, taps: Sequence[int]) -> None:
        """Make sure that the model has the blocks that are asked for.

        Raises:
            OptionError: It has not.
        """
        if not taps or not all(1 <= tap <= self.blocks for tap in taps):
            quarters = tuple(max(1, self.blocks * part // 4) for part in (1, 2, 3, 4))
            message = f"taps must be blocks from 1 to {self.blocks} of {self.name}, got {tuple(taps)}"
            raise OptionError(f"{message}; every quarter of it is taps={quarters}")

    @torch.no_grad()
    def encode_image(self, pixels: Tensor, taps: Sequence[int], grid: str = "whole") -> ClipFeatures:
        """Encode images; all crops of all images go through the network in one batch.

        Args:
            pixels: SAM 3's input (B, 3, R, R), in [-1, 1].
            taps: Blocks counted from 1, as few or many as are wanted.
            grid: "whole" or "tiled"; see above.

        Returns:
            Maps h tokens a side: CLIP's own p for "whole", k·p for "tiled".

        Raises:
            OptionError: There is no such block or grid.
            ShapeError: `pixels` is not (B, 3, R, R).
        """
        check_choice("grid", grid, GRIDS)
        self.check_taps(taps)
        side = check_shape("pixels", pixels, "B 3 R R", hint="SAM 3's network input")["R"]
        tiles = max(1, (side + self.size // 2) // self.size) if grid == "tiled" else 1
        crops = cut_crops(resize_pixels(pixels, tiles * self.size), tiles)  # (B*k*k, 3, s, s)
        wanted = sorted({*taps, self.blocks})
        with torch.autocast(pixels.device.type, enabled=False):  # features are kept, whoever asks for them first
            blocks = self._blocks(crops, wanted)  # (B*k*k, p*p, D) each
            projected = self.visual.ln_post(blocks[-1]) @ self.visual.proj  # (B*k*k, p*p, E)
        maps = tuple(stitch_maps(each, tiles).float() for tap, each in zip(wanted, blocks) if tap in taps)
        return ClipFeatures(maps, stitch_maps(projected, tiles).float())

    @torch.no_grad()
    def encode_text(self, prompts: Sequence[str]) -> Tensor:
        """Embed prompts as they are, without a template; the same list is read by CLIP once only.

        Args:
            prompts: P prompts in words; what exceeds CLIP's context (77 tokens) is cut off.

        Returns:
            (P, E), float32, of length 1; not to be changed in place.
        """
        key = (tuple(prompts), self.device)
        if key not in self._texts:
            words = list(prompts)
            ids = self._tokenizer(words) if self._tokenizer else tokenize(words, self.model.context_length)
            with torch.autocast(self.device.type, enabled=False):
                embeddings = self.model.encode_text(ids.to(self.device)).float()
            self._texts[key] = functional.normalize(embeddings, dim=-1)
        return self._texts[key]

    def _blocks(self, crops: Tensor, taps: Sequence[int]) -> list[Tensor]:
        """Patch tokens (n, p*p, D) that leave blocks, counted from 1 and ascending, from crops (n, 3, s, s)."""
        pictures = ((crops + 1) / 2 - self.mean) / self.std
        blocks: list[Tensor] = self.visual.forward_intermediates(
            pictures.to(self.visual.conv1.weight.dtype),
            indices=[tap - 1 for tap in taps],
            intermediates_only=True,
            output_fmt="NLC",
        )["image_intermediates"]
        return blocks


def resize_pixels(pixels: Tensor, side: int) -> Tensor:
    """Resize as CLIP's own preprocessing does: bicubic with antialiasing, kept within the range of the image.

    Args:
        pixels: (B, 3, R, R), in [-1, 1].
        side: Pixels a side of the result.

    Returns:
        (B, 3, side, side), float32 in [-1, 1].
    """
    pixels = pixels.float()
    if pixels.shape[-1] == side:
        return pixels
    return functional.interpolate(pixels, size=(side, side), mode="bicubic", antialias=True).clamp(-1, 1)


def cut_crops(pixels: Tensor, tiles: int) -> Tensor:
    """Cut images into k × k crops.

    Args:
        pixels: (B, C, k·s, k·s).
        tiles: Crops a side k.

    Returns:
        (B·k·k, C, s, s), row by row, image by image.
    """
    rows_and_columns = pixels.unflatten(3, (tiles, -1)).unflatten(2, (tiles, -1))  # (B, C, k, s, k, s)
    return rows_and_columns.permute(0, 2, 4, 1, 3, 5).flatten(0, 2)


def stitch_maps(tokens: Tensor, tiles: int) -> Tensor:
    """Put the tokens of k × k crops together; undoes the order of `cut_crops`.

    Args:
        tokens: (B·k·k, p·p, D).
        tiles: Crops a side k.

    Returns:
        (B, D, k·p, k·p).
    """
    side = round(tokens.shape[1] ** 0.5)
    parts = tokens.reshape(-1, tiles, tiles, side, side, tokens.shape[2])  # (B, k, k, p, p, D)
    return parts.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def _image_tower(model: nn.Module, name: str) -> Any:
    """The image tower of a model, if it is one whose patches can be taken and projected."""
    from open_clip.transformer import VisionTransformer

    visual = getattr(model, "visual", None)
    wanted = "expected a CLIP of open_clip with a VisionTransformer as image tower"
    if not isinstance(visual, VisionTransformer):
        raise OptionError(f"{wanted}, got {type(visual).__name__} in {name}; use a model such as ViT-L-14-336")
    if visual.attn_pool is not None or visual.proj is None:
        raise OptionError(f"{wanted} and a projection of its tokens, {name} pools them by attention or has none")
    if len({*visual.image_size}) != 1 or len({*visual.grid_size}) != 1:
        raise OptionError(f"{wanted} of square images, {name} reads {visual.image_size}")
    return visual
