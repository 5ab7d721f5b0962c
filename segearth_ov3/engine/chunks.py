"""Which prompts of which images go through the network together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..refiners.base import RefinerContext
from ..sam3.outputs import Detection, ImageFeatures, Prompt, TextFeatures


class Chunk(NamedTuple):
    """Some prompts in each of some images; its rows are (image, prompt) pairs, image after image.

    Attributes:
        images: Indices of images.
        prompts: Indices of prompts.
    """

    images: range
    prompts: range

    @property
    def rows(self) -> list[tuple[int, int]]:
        """Image and prompt of each row."""
        return [(image, prompt) for image in self.images for prompt in self.prompts]

    def image_features(self, image: ImageFeatures) -> ImageFeatures:
        """Features of the one image, without a copy, or of the image of each row."""
        if len(self.images) == 1:
            return image.select(slice(self.images.start, self.images.stop))
        return image.select(self._image_index(image.trunk.device))

    def text_features(self, text: TextFeatures) -> TextFeatures:
        """Text of each row."""
        some = text.select(slice(self.prompts.start, self.prompts.stop))
        if len(self.images) == 1:
            return some
        return TextFeatures(some.tokens.repeat(len(self.images), 1, 1), some.padding.repeat(len(self.images), 1))

    def context(self, context: RefinerContext, words: tuple[str, ...]) -> RefinerContext:
        """What refiners of the rows may read; `words` are those of all prompts."""
        words = words[self.prompts.start : self.prompts.stop] * len(self.images)
        if len(context.pixels) == 1:
            return context.with_prompts(words)
        return context.with_prompts(words, self._image_index(context.pixels.device))

    def _image_index(self, device: torch.device) -> Tensor:
        """Image of each row, int64."""
        images = torch.arange(self.images.start, self.images.stop, device=device)
        return images[:, None].expand(-1, len(self.prompts)).flatten()


def plan_chunks(images: int, prompts: int, size: int) -> Iterator[Chunk]:
    """Cut all prompts of all images into chunks: several images only where all of their prompts fit.

    Args:
        images: Number of images.
        prompts: Number of prompts.
        size: Rows of a chunk, at least 1.

    Yields:
        Chunks of at most `size` rows, in order, each pair once.
    """
    together = max(1, size // prompts)
    for image in range(0, images, together):
        for prompt in range(0, prompts, size):
            yield Chunk(range(image, min(image + together, images)), range(prompt, min(prompt + size, prompts)))


class Found(NamedTuple):
    """What is known of the rows of a chunk when masks are to be made.

    Attributes:
        image: Features of one image, or of one per row.
        prompt: Prompts of P rows.
        memory: Refined memory (P, D, g, g).
        detection: Of P rows.
    """

    image: ImageFeatures
    prompt: Prompt
    memory: Tensor
    detection: Detection

    def select(self, rows: slice | Tensor) -> Found:
        """The chosen rows, by slice (no copy is made) or by index tensor on any device."""
        if isinstance(rows, Tensor):
            rows = rows.to(self.memory.device, non_blocking=True)
        image = self.image.select(rows) if len(self.image.geometry) > 1 else self.image
        return Found(image, self.prompt.select(rows), self.memory[rows], self.detection.select(rows))


class Choice(NamedTuple):
    """What one variant wants of the P rows of a chunk; on the CPU, whatever the device.

    Attributes:
        survives: Rows that count (P,), bool.
        keep: Queries whose masks count (P, Q), bool.
    """

    survives: Tensor
    keep: Tensor

    def equals(self, other: Choice) -> bool:
        """Whether both need the same masks of the same rows."""
        same_rows = torch.equal(self.survives, other.survives)
        return same_rows and torch.equal(self.keep[self.survives], other.keep[self.survives])

    def pieces(self, size: int) -> Iterator[tuple[list[int], slice | Tensor]]:
        """Surviving rows, at most `size` at a time: as numbers, and as an index that copies nothing where it can."""
        rows = self.survives.nonzero().flatten().tolist()
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            contiguous = some[-1] - some[0] == len(some) - 1
            yield some, slice(some[0], some[-1] + 1) if contiguous else torch.tensor(some)
