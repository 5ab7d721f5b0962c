"""What the steps of the network hand to each other, as named tuples of tensors.

Symbols as in `segearth_ov3.shapes`. "Compute dtype" is the dtype of the model's matrix products (`Sam3.dtype`);
tensors without a remark are float32 whatever the compute dtype.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class ImageFeatures(NamedTuple):
    """Everything that depends on the image alone, computed once and shared by all prompts.

    Attributes:
        trunk: Output of the vision transformer (B, Dv, g, g).
        levels: Feature pyramid, finest first: (B, D, 4g, 4g), (B, D, 2g, 2g), (B, D, g, g), compute dtype.
        geometry: The geometry token of a prompt without boxes (B, 1, D).
        fusion_tokens: State of the fusion encoder where its first layer starts to read the prompt (B, g*g, D).
        fusion_queries: Queries of that first reading, split by head (B, heads, g*g, D/heads), compute dtype.
        pixel_bases: Share of the two finer levels in the pixel decoder's convolutions:
            (B, D, 2g, 2g) and (B, D, 4g, 4g), compute dtype.
    """

    trunk: Tensor
    levels: tuple[Tensor, Tensor, Tensor]
    geometry: Tensor
    fusion_tokens: Tensor
    fusion_queries: Tensor
    pixel_bases: tuple[Tensor, Tensor]

    def select(self, images: slice | Tensor) -> ImageFeatures:
        """The chosen images, by slice (no copy is made) or by index tensor, which may name an image repeatedly."""
        fine, middle, coarse = self.levels
        return ImageFeatures(
            trunk=self.trunk[images],
            levels=(fine[images], middle[images], coarse[images]),
            geometry=self.geometry[images],
            fusion_tokens=self.fusion_tokens[images],
            fusion_queries=self.fusion_queries[images],
            pixel_bases=(self.pixel_bases[0][images], self.pixel_bases[1][images]),
        )


class TextFeatures(NamedTuple):
    """Encoded prompts, independent of any image.

    Attributes:
        tokens: Text tokens (P, L, D).
        padding: True where a token is padding and must not be read (P, L), bool.
    """

    tokens: Tensor
    padding: Tensor

    def select(self, prompts: slice | Tensor) -> TextFeatures:
        """The chosen prompts, by slice or by index tensor (P',)."""
        return TextFeatures(self.tokens[prompts], self.padding[prompts])


class Prompt(NamedTuple):
    """What the network is asked for in one image: text tokens followed by geometry tokens.

    Attributes:
        tokens: (P, T, D).
        padding: True where a token must not be read (P, T), bool.
    """

    tokens: Tensor
    padding: Tensor

    def select(self, prompts: slice | Tensor) -> Prompt:
        """The chosen prompts, by slice or by index tensor (P',)."""
        return Prompt(self.tokens[prompts], self.padding[prompts])


class BoxPrompts(NamedTuple):
    """Box exemplars, the same number for every prompt of a call; shorter lists are padded.

    Attributes:
        boxes: (P, M, 4) as (cx, cy, w, h) in [0, 1].
        positive: True for an exemplar to find, False for one to avoid (P, M), bool.
        padding: True where a row is filling only (P, M), bool.
    """

    boxes: Tensor
    positive: Tensor
    padding: Tensor


class Detection(NamedTuple):
    """What the decoder says about objects, before any mask is made.

    Attributes:
        presence_logits: Is the prompt in the image at all (P,).
        score_logits: How well a query matches the prompt, without the presence term (P, Q), within [-12, 12].
        boxes: (P, Q, 4) as (cx, cy, w, h) in [0, 1].
        queries: Decoder output of the queries (P, Q, D), from which their masks are made.
    """

    presence_logits: Tensor
    score_logits: Tensor
    boxes: Tensor
    queries: Tensor

    def select(self, prompts: slice | Tensor) -> Detection:
        """The chosen prompts, by slice or by index tensor (P',)."""
        return Detection(*(field[prompts] for field in self))


class Masks(NamedTuple):
    """Masks of the kept queries, as a flat list ordered by prompt and then by query.

    Attributes:
        mask_logits: (K, 4g, 4g).
        prompt_index: The prompt each mask belongs to (K,), int64, ascending.
        query_index: The query each mask belongs to (K,), int64, ascending within a prompt.
        semantic_logits: One map per prompt (P, 4g, 4g).
    """

    mask_logits: Tensor
    prompt_index: Tensor
    query_index: Tensor
    semantic_logits: Tensor


class Grounding(NamedTuple):
    """Everything the network says about some prompts in one image.

    Attributes:
        presence_logits: (P,).
        score_logits: (P, Q), without the presence term.
        boxes: (P, Q, 4) as (cx, cy, w, h) in [0, 1].
        mask_logits: (P, Q, 4g, 4g).
        semantic_logits: (P, 4g, 4g).
    """

    presence_logits: Tensor
    score_logits: Tensor
    boxes: Tensor
    mask_logits: Tensor
    semantic_logits: Tensor
