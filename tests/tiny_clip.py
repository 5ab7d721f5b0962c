"""The smallest CLIP that has everything: 42-pixel images of 3 x 3 patches, four blocks, random weights."""

from __future__ import annotations

import copy
import functools
from typing import Any

import open_clip
import torch
from torch import Tensor

from segearth_ov3.refiners.clip_encoder import ClipEncoder, ClipFeatures

SIZE, PATCHES, BLOCKS, WIDTH, EMBEDDING = 42, 3, 4, 32, 24

CONFIG: dict[str, Any] = {
    "embed_dim": EMBEDDING,
    "vision_cfg": {"image_size": SIZE, "patch_size": 14, "width": WIDTH, "layers": BLOCKS, "head_width": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2},
}


def tiny_clip(seed: int = 0, *, quick_gelu: bool = False, **vision: Any) -> open_clip.CLIP:
    """A random model; `vision` changes its image tower."""
    return copy.deepcopy(_tiny_clip(seed, quick_gelu, tuple(vision.items())))


@functools.cache
def _tiny_clip(seed: int, quick_gelu: bool, vision: tuple[tuple[str, Any], ...]) -> open_clip.CLIP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = {**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], **dict(vision)}}
        model = open_clip.CLIP(**config, quick_gelu=quick_gelu)
        for parameter in model.parameters():  # so that no norm is an identity and no bias is 0
            parameter.data += 0.1 * torch.randn_like(parameter)
    return model


def random_pixels(images: int = 1, side: int = 2 * SIZE, seed: int = 0) -> Tensor:
    """Smooth, lopsided network input (B, 3, R, R) in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn((images, 3, 7, 7), generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(-1, 1)


class CountingEncoder(ClipEncoder):
    """A tiny encoder that counts what it is asked for."""

    def __init__(self, seed: int = 0, **vision: Any) -> None:
        super().__init__(tiny_clip(seed, **vision), name="tiny")
        self.images_read = 0
        self.prompts_read = 0
        self.model.register_forward_pre_hook(self._refuse)
        self.visual.conv1.register_forward_hook(self._count_images)
        self.model.token_embedding.register_forward_hook(self._count_prompts)

    def forget_prompts(self) -> None:
        """Read them anew."""
        self._texts.clear()

    def _refuse(self, *_: Any) -> None:
        raise AssertionError("the whole model is never called")

    def _count_images(self, module: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        self.images_read += len(output)

    def _count_prompts(self, module: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        self.prompts_read += len(output)


def random_features(
    images: int = 1, *, taps: int = 1, width: int = WIDTH, side: int = PATCHES, seed: int = 0
) -> ClipFeatures:
    """Maps as an encoder gives them."""
    generator = torch.Generator().manual_seed(seed)
    maps = tuple(torch.randn((images, width, side, side), generator=generator) for _ in range(taps))
    return ClipFeatures(maps, torch.randn((images, EMBEDDING, side, side), generator=generator))
