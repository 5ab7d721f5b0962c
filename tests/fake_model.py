"""A stand-in for the network: the same steps and shapes, outputs drawn from generators seeded by image and prompt.

Outputs depend on the image's pixels, the prompt's words and the query alone, never on what else is in the batch, so
any way of batching and skipping must give the same results to the last bit. Every step carries marks of the image and
the prompt it was made for and checks those of its inputs, so that a wrong selection or a mixed-up order fails at once.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.outputs import BoxPrompts, Detection, Grounding, ImageFeatures, Masks, Prompt, TextFeatures


def _mark(data: bytes) -> int:
    """A number that float32 holds exactly."""
    return zlib.crc32(data) & 0xFFFFF


class FakeSam3:
    """Deterministic random network.

    Args:
        config: Sizes; `Sam3Config.tiny()` if not given.
        seed: Another seed is another network.
        presence_logits: Presence logits by prompt; other prompts draw theirs.

    Attributes:
        calls: How often things were done: images and prompts encoded, prompts fused, prompts and masks segmented.
    """

    def __init__(
        self, config: Sam3Config | None = None, seed: int = 0, presence_logits: dict[str, float] | None = None
    ) -> None:
        self.config = config or Sam3Config.tiny()
        self.seed = seed
        self.device = torch.device("cpu")
        self.dtype = torch.float32
        self.checkpoint_name: str | None = None
        self.calls: Counter[str] = Counter()
        self._presence = {_mark(text.encode()): logit for text, logit in (presence_logits or {}).items()}

    def weights_digest(self) -> str:
        return f"{self.seed:064x}"

    def encode_trunk(self, pixels: Tensor) -> Tensor:
        side = self.config.image_size
        assert pixels.shape == (len(pixels), 3, side, side)
        assert pixels.dtype == torch.float32
        self.calls["images encoded"] += len(pixels)
        trunk = torch.zeros(len(pixels), self.config.vit_dim, self.config.grid, self.config.grid)
        for index, image in enumerate(pixels):
            trunk[index, 0, 0, 0] = _mark(image.contiguous().numpy().tobytes())
        return trunk

    def encode_pyramid(self, trunk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        self.calls["pyramids made"] += len(trunk)
        g, dim = self.config.grid, self.config.dim
        fine, middle, coarse = (torch.zeros(len(trunk), dim, scale * g, scale * g) for scale in (4, 2, 1))
        coarse[:, 0, 0, 0] = trunk[:, 0, 0, 0]
        return fine, middle, coarse

    def prepare(self, trunk: Tensor, levels: tuple[Tensor, Tensor, Tensor]) -> ImageFeatures:
        self.calls["images prepared"] += len(trunk)
        batch, g, dim = len(trunk), self.config.grid, self.config.dim
        tokens = torch.zeros(batch, g * g, dim)
        tokens[:, 0, 0] = levels[2][:, 0, 0, 0]
        return ImageFeatures(
            trunk=trunk,
            levels=levels,
            geometry=torch.zeros(batch, 1, dim),
            fusion_tokens=tokens,
            fusion_queries=torch.zeros(batch, self.config.heads, g * g, dim // self.config.heads),
            pixel_bases=(torch.zeros(batch, dim, 2 * g, 2 * g), torch.zeros(batch, dim, 4 * g, 4 * g)),
        )

    def encode_image(self, pixels: Tensor) -> ImageFeatures:
        trunk = self.encode_trunk(pixels)
        return self.prepare(trunk, self.encode_pyramid(trunk))

    def encode_text(self, texts: Sequence[str]) -> TextFeatures:
        self.calls["prompts encoded"] += len(texts)
        tokens = torch.zeros(len(texts), self.config.context_length, self.config.dim)
        padding = torch.ones(tokens.shape[:2], dtype=torch.bool)
        for index, text in enumerate(texts):
            tokens[index, 0, 0] = _mark(text.encode())
            padding[index, : len(text.split()) + 2] = False
        return TextFeatures(tokens, padding)

    def prompt(self, image: ImageFeatures, text: TextFeatures, boxes: BoxPrompts | None = None) -> Prompt:
        assert boxes is None
        assert len(image.trunk) in (1, len(text.tokens))
        geometry = image.geometry.expand(len(text.tokens), -1, -1)
        padding = text.padding.new_zeros(len(text.tokens), 1)
        return Prompt(torch.cat((text.tokens, geometry), dim=1), torch.cat((text.padding, padding), dim=1))

    def fuse(self, image: ImageFeatures, prompt: Prompt) -> Tensor:
        self.calls["prompts fused"] += len(prompt.tokens)
        memory = torch.zeros(len(prompt.tokens), self.config.dim, self.config.grid, self.config.grid)
        memory[:, 0, 0, 0] = prompt.tokens[:, 0, 0]
        memory[:, 1, 0, 0] = image.fusion_tokens[:, 0, 0]
        return memory

    def detect(self, memory: Tensor, prompt: Prompt) -> Detection:
        assert torch.equal(memory[:, 0, 0, 0], prompt.tokens[:, 0, 0])
        count, queries = len(memory), self.config.queries
        presence, scores, boxes = torch.zeros(count), torch.zeros(count, queries), torch.zeros(count, queries, 4)
        vectors = torch.zeros(count, queries, self.config.dim)
        for index, (words, picture) in enumerate(_marks(memory)):
            presence[index] = 1.5 * self._draw("presence", words, picture, size=())
            presence[index] = self._presence.get(words, presence[index])
            scores[index] = 2 * self._draw("scores", words, picture, size=(queries,)) + 0.5
            boxes[index] = self._draw("boxes", words, picture, size=(queries, 4)).sigmoid()
        vectors[..., 0] = memory[:, 0, 0, 0, None]
        vectors[..., 1] = torch.arange(queries)
        return Detection(presence, scores, boxes, vectors)

    def segment(
        self, memory: Tensor, detection: Detection, prompt: Prompt, image: ImageFeatures, keep: Tensor
    ) -> Masks:
        assert len(memory) > 0
        assert keep.shape == detection.score_logits.shape
        assert torch.equal(memory[:, 0, 0, 0], prompt.tokens[:, 0, 0])
        assert torch.equal(memory[:, 0, 0, 0], detection.queries[:, 0, 0])
        assert bool((memory[:, 1, 0, 0] == image.fusion_tokens[:, 0, 0]).all())
        self.calls["segment calls"] += 1
        self.calls["prompts segmented"] += len(memory)
        self.calls["masks made"] += int(keep.sum())
        side = 4 * self.config.grid
        marks = _marks(memory)
        prompt_index, query_index = keep.nonzero(as_tuple=True)
        masks = torch.zeros(len(prompt_index), side, side)
        for index, (row, query) in enumerate(zip(prompt_index.tolist(), query_index.tolist())):
            masks[index] = 3 * self._draw("mask", *marks[row], query, size=(side, side))
        semantic = torch.zeros(len(memory), side, side)
        for index, mark in enumerate(marks):
            semantic[index] = 2 * self._draw("semantic", *mark, size=(side, side))
        return Masks(masks, prompt_index, query_index, semantic)

    def ground(self, image: ImageFeatures, text: TextFeatures, boxes: BoxPrompts | None = None) -> Grounding:
        prompt = self.prompt(image, text, boxes)
        memory = self.fuse(image, prompt)
        detection = self.detect(memory, prompt)
        keep = torch.ones_like(detection.score_logits, dtype=torch.bool)
        masks = self.segment(memory, detection, prompt, image, keep)
        mask_logits = masks.mask_logits.unflatten(0, keep.shape)
        return Grounding(
            detection.presence_logits, detection.score_logits, detection.boxes, mask_logits, masks.semantic_logits
        )

    def _draw(self, *key: object, size: tuple[int, ...]) -> Tensor:
        """Normal numbers that depend on the key and on nothing else."""
        generator = torch.Generator().manual_seed(zlib.crc32(repr((self.seed, *key)).encode()))
        return torch.randn(size, generator=generator)


class BrokenSam3(FakeSam3):
    """A network one of whose outputs is not finite in one place, for the prompt "house".

    Args:
        output: Name of a field of `Detection` or `Masks`.
        value: What it contains.
    """

    def __init__(self, output: str, value: float) -> None:
        super().__init__()
        self._output, self._value = output, value

    def detect(self, memory: Tensor, prompt: Any) -> Detection:
        return self._broken(super().detect(memory, prompt))

    def segment(self, *arguments: Any) -> Masks:
        return self._broken(super().segment(*arguments))

    def _broken(self, found: Any) -> Any:
        values = getattr(found, self._output, None)
        if values is not None and len(values):
            values[min(2, len(values) - 1)].reshape(-1)[-1:] = self._value
        return found


def _marks(memory: Tensor) -> list[tuple[int, int]]:
    """Prompt and image that each row of the memory was made for."""
    return [(int(words), int(picture)) for words, picture in memory[:, :2, 0, 0].tolist()]
