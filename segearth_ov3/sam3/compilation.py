"""The network's heavy steps through `torch.compile`, with shapes that never change.

A step is compiled for one number of rows. More rows than that go through in pieces, fewer are filled up by repeating
the last one, so that neither another image nor another vocabulary compiles anything again: images go one by one,
prompts in pieces of a fixed size. On CUDA the steps are recorded as CUDA graphs, whose outputs are copied because the
next run overwrites them. A compiled network
does not use `sam3.cpu`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .layers import to_map, to_tokens
from .outputs import Detection, Prompt

if TYPE_CHECKING:
    from .decoder import DecoderStart
    from .model import Sam3


class CompiledSteps:
    """Compiled forms of the steps of one network; made by `Sam3.compile_steps`.

    Args:
        model: The network. Its weights may change afterwards, its device and dtype better do not: both compile anew.
        prompts: Prompts per piece, at least 1.
        masks: Prompts per piece of the step that makes masks, of which fewer are made at a time.
        backend: Of `torch.compile`.
    """

    def __init__(self, model: Sam3, prompts: int, masks: int, backend: str) -> None:
        self.settings = (prompts, masks, backend, model.device, model.dtype)
        self._model = model
        self._prompts = prompts
        self._masks = masks
        self._graphs = model.device.type == "cuda" and backend == "inductor"
        mode = "reduce-overhead" if self._graphs else None
        vision = model.backbone.vision_backbone

        def pyramid(trunk: Tensor) -> tuple[Tensor, ...]:
            return tuple(branch(trunk) for branch in vision.convs)

        def fuse(tokens: Tensor, padding: Tensor, state: Tensor, queries: Tensor) -> Tensor:
            prompt = Prompt(tokens, padding)
            return to_map(model.transformer.encoder(state, queries, model.positions, prompt), model.config.grid)

        def detect(memory: Tensor, tokens: Tensor, padding: Tensor, start: DecoderStart) -> Detection:
            prompt = Prompt(tokens, padding)
            decoded = model.transformer.decoder.decode(start, to_tokens(memory), model.positions, prompt)
            return model.detection(decoded, prompt)

        def embed_pixels(memory: Tensor, tokens: Tensor, padding: Tensor, middle: Tensor, fine: Tensor) -> Tensor:
            return model.segmentation_head.embed_pixels(memory, Prompt(tokens, padding), (middle, fine))

        def compiled(step: Callable[..., Any]) -> Callable[..., Any]:
            return torch.compile(step, mode=mode, backend=backend, dynamic=False, fullgraph=True)

        self._trunk, self._pyramid = compiled(vision.trunk.forward), compiled(pyramid)
        self._fuse, self._detect, self._embed_pixels = compiled(fuse), compiled(detect), compiled(embed_pixels)

    def trunk(self, pixels: Tensor) -> Tensor:
        """As `VisionTransformer.forward`."""
        (trunk,) = self._in_pieces(lambda *rows: (self._trunk(*rows),), 1, (pixels,))
        return trunk

    def pyramid(self, trunk: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `Sam3.encode_pyramid`."""
        fine, middle, coarse = self._in_pieces(self._pyramid, 1, (trunk,))
        return fine, middle, coarse

    def fuse(self, state: Tensor, queries: Tensor, prompt: Prompt) -> Tensor:
        """As `Sam3.fuse`, of `ImageFeatures.fusion_tokens` and `fusion_queries`."""
        (memory,) = self._in_pieces(lambda *rows: (self._fuse(*rows),), self._prompts, tuple(prompt), (state, queries))
        return memory

    def detect(self, memory: Tensor, prompt: Prompt) -> Detection:
        """As `Sam3.detect`."""
        start = self._model.transformer.decoder.start()
        return Detection(*self._in_pieces(lambda *rows: self._detect(*rows, start), self._prompts, (memory, *prompt)))

    def embed_pixels(self, memory: Tensor, prompt: Prompt, bases: tuple[Tensor, Tensor]) -> Tensor:
        """As `SegmentationHead.embed_pixels`."""
        (pixels,) = self._in_pieces(lambda *rows: (self._embed_pixels(*rows),), self._masks, (memory, *prompt), bases)
        return pixels

    def _in_pieces(
        self,
        step: Callable[..., tuple[Tensor, ...]],
        size: int,
        rows: tuple[Tensor, ...],
        images: tuple[Tensor, ...] = (),
    ) -> list[Tensor]:
        """Run a step on pieces of exactly `size` rows and join the results.

        Args:
            step: Takes the rows, then the images.
            size: Rows per piece.
            rows: Tensors with one entry per row.
            images: Tensors with one entry for all rows or one per row.
        """
        count = len(rows[0])
        pieces = []
        for start in range(0, count, size):
            some = slice(start, start + size)
            shared = [image if len(image) == 1 else _filled(image[some], size) for image in images]
            found = step(*(_filled(row[some], size) for row in rows), *shared)
            missing = max(0, start + size - count)
            pieces.append([self._own(tensor[: size - missing]) for tensor in found])
        return [parts[0] if len(parts) == 1 else torch.cat(parts) for parts in zip(*pieces)]

    def _own(self, tensor: Tensor) -> Tensor:
        """A tensor that the next run leaves alone."""
        return tensor.clone() if self._graphs else tensor


def _filled(rows: Tensor, size: int) -> Tensor:
    """Rows filled up to `size` by repeating the last one."""
    missing = size - len(rows)
    return rows if missing == 0 else torch.cat((rows, rows[-1:].expand(missing, *rows.shape[1:])))
