"""Refiner "clip_similarity": tokens E that CLIP agrees with become longer, E · (1 + β · sim), -1 <= sim <= 1.

SAM 3 and CLIP describe the same places in spaces of their own, so there are three ways to compare them:

    "affinity"  sim_i = cos(a_i, b_i), where a_i are the cosines of token i to its neighbours in a k × k window (itself
                left out, so k·k - 1 of them), and b_i those of CLIP's tokens: high where both see the same borders;
                works at any width. Beyond the border of the map there is nothing to compare, which counts as 0 in
                both vectors and so not at all.
    "channel"   sim_i = cos(E_i, C_i) over the channels, where CLIP's tokens C have as many as E: at the trunk.
    "text"      sim_i = cos(V_i, t), CLIP's projected patches V against its embedding t of the prompt: at the memory.

With several blocks of CLIP ("taps"), sim is the mean of their similarities; "text" reads the last block whatever the
taps. CLIP's maps are brought to the grid of the tokens bilinearly before anything is compared. All comparisons are
made in float32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import EllipsisType

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import OptionError, ShapeError
from ..shapes import check_shape
from .base import RefinerContext, check_choice, check_place, check_range
from .clip_encoder import GRIDS, ClipEncoder, ClipFeatures
from .clip_weights import MODEL, PRETRAINED, load_clip

MODES = ("affinity", "channel", "text")
WINDOWS = (3, 5)
MAX_BETA = 10.0


def clip_similarity(
    tokens: Tensor,
    reference: Sequence[Tensor],
    *,
    text: Tensor | None = None,
    beta: float = 0.3,
    mode: str = "affinity",
    window: int = 3,
) -> Tensor:
    """Lengthen tokens by how well CLIP agrees with them.

    Args:
        tokens: (N, D, g, g), floating.
        reference: CLIP's side as `clip_reference` makes it with the same mode and window, one for each tap,
            (N, K, g, g), or (1, K, g, g) for all rows.
        text: CLIP's embeddings of the prompts (N, E), for mode "text" only.
        beta: Strength β, 0 to 10; 0 changes nothing; above 1 a token that CLIP disagrees with may turn around.
        mode: "affinity", "channel" or "text".
        window: Side k of the neighbourhood of mode "affinity", 3 or 5; larger ones see wider borders.

    Returns:
        As `tokens`.

    Raises:
        OptionError: A number or choice is not admissible.
        ShapeError: The arguments do not fit each other; in mode "channel" also where the widths differ.
    """
    check_range({"beta": beta}, 0.0, MAX_BETA)
    check_choice("mode", mode, MODES)
    check_choice("window", window, WINDOWS)
    check_shape("tokens", tokens, "N D g g")
    with torch.autocast(tokens.device.type, enabled=False):
        if mode == "text":
            similarity = _text_similarity(tokens, reference, text)  # (N, g, g)
        else:
            own = affinity(tokens.float(), window) if mode == "affinity" else tokens.float()
            similarity = torch.stack([_cosine(own, each, mode) for each in reference]).mean(dim=0)  # (N, g, g)
        values = tokens.to(torch.promote_types(tokens.dtype, torch.float32))
        return (values * (1 + beta * similarity[:, None])).to(tokens.dtype)


def clip_reference(features: ClipFeatures, side: int, *, mode: str = "affinity", window: int = 3) -> tuple[Tensor, ...]:
    """What `clip_similarity` compares tokens with; depends on the image only.

    Args:
        features: Maps of CLIP, h tokens a side.
        side: Tokens a side g of the map that is to be refined.
        mode: "affinity", "channel" or "text".
        window: Side of the neighbourhood of mode "affinity".

    Returns:
        One map for each tap, float32: (B, k·k - 1, g, g) for "affinity", (B, D, g, g) for "channel"; a single one
        (B, E, g, g) for "text".
    """
    if mode == "text":
        return (resize_map(features.patches, side),)
    maps = (resize_map(each, side) for each in features.taps)
    return tuple(affinity(each, window) if mode == "affinity" else each for each in maps)


def affinity(maps: Tensor, window: int) -> Tensor:
    """Cosine of every token to each of its neighbours.

    Args:
        maps: (N, D, g, g), float32.
        window: Side k of the neighbourhood, odd.

    Returns:
        (N, k·k - 1, g, g), -1 to 1, neighbours row by row; 0 where the map has none, and for tokens of zeros.
    """
    unit = functional.normalize(maps, dim=1)
    height, width = maps.shape[2:]
    last = window * window - 2
    cosines = unit.new_zeros(len(maps), last + 1, height, width)
    for index in range(
        (last + 1) // 2, last + 1
    ):  # neighbours to come; those before are the same pairs, seen from there
        down, right = (offset - window // 2 for offset in divmod(index + 1, window))
        here, there = _overlap(down, right, height, width), _overlap(-down, -right, height, width)
        pairs = (unit[here] * unit[there]).sum(dim=1)  # (N, rows, columns) that have this neighbour
        cosines[:, index][here] = pairs
        cosines[:, last - index][there] = pairs
    return cosines


def resize_map(maps: Tensor, side: int) -> Tensor:
    """Bring maps (B, D, h, h) to (B, D, side, side), bilinear, averaging over all of a token where they shrink."""
    if maps.shape[-1] == side:
        return maps
    return functional.interpolate(maps, size=(side, side), mode="bilinear", antialias=maps.shape[-1] > side)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipSimilarity:
    """Lengthen the tokens that CLIP agrees with.

    The formulas are at the top of this file.

    CLIP runs once per image, whatever the number of prompts, and of refiners with the same model, taps and grid.

    Attributes:
        beta: Strength, 0 to 10; 0 changes nothing.
        mode: "affinity", "channel" or "text".
        taps: Blocks of CLIP counted from 1.
        grid: What CLIP sees: the "whole" image at its own size, or the image "tiled" into crops of that size.
        window: Side of the neighbourhood of mode "affinity", 3 or 5.
        model: Name of a model of open_clip.
        pretrained: Tag of its weights, or a local file; "random" for a control that has learnt nothing.
        encoder: A model of one's own instead of those two, on the device of the tokens.
        at: Where it acts: "trunk", "pyramid" or "memory"; mode "text" at "memory" only.

    Raises:
        OptionError: A number or choice is not admissible.
    """

    beta: float = 0.3
    mode: str = "affinity"
    taps: tuple[int, ...] = (6, 12, 18, 24)
    grid: str = "whole"
    window: int = 3
    model: str = MODEL
    pretrained: str = PRETRAINED
    encoder: ClipEncoder | None = dataclasses.field(default=None, repr=False)
    at: str = "memory"

    def __post_init__(self) -> None:
        check_range({"beta": self.beta}, 0.0, MAX_BETA)
        check_choice("mode", self.mode, MODES)
        check_choice("grid", self.grid, GRIDS)
        check_choice("window", self.window, WINDOWS)
        check_place(self.at, self.needs)
        object.__setattr__(self, "taps", _taps(self.taps))  # configurations give lists, which cannot be hashed
        object.__setattr__(self, "pretrained", _text("pretrained", self.pretrained))
        object.__setattr__(self, "model", _text("model", self.model))

    @property
    def needs(self) -> frozenset[str]:
        """What it reads from the context."""
        return frozenset({"image", "prompts"} if self.mode == "text" else {"image"})

    def load(self, device: torch.device) -> None:
        """Fetch CLIP, and make sure that it has the blocks that are asked for.

        Raises:
            OptionError: It has not, there is no such model, or the given one is on another device.
            CheckpointError: The weights cannot be had; the message says what to do.
        """
        self._encoder(device).check_taps(self.taps)

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        """Refine tokens (N, D, g, g); see `clip_similarity`."""
        if self.beta == 0:
            return tokens
        encoder = self._encoder(tokens.device)
        reference = [context.rows(each, len(tokens)) for each in self._reference(encoder, tokens.shape[-1], context)]
        text = encoder.encode_text(context.prompts) if self.mode == "text" else None
        return clip_similarity(tokens, reference, text=text, beta=self.beta, mode=self.mode, window=self.window)

    def _encoder(self, device: torch.device) -> ClipEncoder:
        encoder = self.encoder
        if encoder is None:
            return load_clip(self.model, self.pretrained, device)
        if device.type != encoder.device.type or device.index not in (None, encoder.device.index):
            raise OptionError(f"the CLIP encoder is on {encoder.device}, the tokens on {device}; move it there first")
        return encoder

    def _reference(self, encoder: ClipEncoder, side: int, context: RefinerContext) -> tuple[Tensor, ...]:
        """CLIP's side of the comparison, made once per image."""
        source = ("clip features", encoder, self.taps, self.grid)

        def make() -> tuple[Tensor, ...]:
            features = context.once(source, lambda: encoder.encode_image(context.pixels, self.taps, self.grid))
            return clip_reference(features, side, mode=self.mode, window=self.window)

        return context.once((*source, "reference", side, self.mode, self.window), make)


def _taps(taps: object) -> tuple[int, ...]:
    found = tuple(taps) if isinstance(taps, (tuple, list)) else ()
    if not found or len(set(found)) < len(found) or not all(type(tap) is int and tap > 0 for tap in found):
        raise OptionError(f"taps must be different blocks of CLIP, counted from 1, such as 6, 12, 18, 24; got {taps!r}")
    return found


def _text(name: str, value: object) -> str:
    if not isinstance(value, (str, Path)):
        raise OptionError(f"{name} must be a text, got {value!r}")
    return str(value)


def _cosine(own: Tensor, reference: Tensor, mode: str) -> Tensor:
    """Cosine over the channels of maps (N, K, g, g) and (1 or N, K, g, g); (N, g, g)."""
    if mode == "channel" and own.shape[1] != reference.shape[1]:
        widths = f"got tokens of {own.shape[1]} channels and CLIP's of {reference.shape[1]}"
        raise ShapeError(f"mode='channel' needs equal widths, {widths}; use mode='affinity', which works at any width")
    _check_reference(reference, len(own), own.shape[1], own.shape[-1])
    return functional.cosine_similarity(own, reference, dim=1)


def _text_similarity(tokens: Tensor, reference: Sequence[Tensor], text: Tensor | None) -> Tensor:
    """Cosine of projected patches (1 or N, E, g, g) to the embedding of each row's prompt (N, E); (N, g, g)."""
    if text is None or len(text) != len(tokens):
        got = "none" if text is None else str(len(text))
        raise ShapeError(f"mode='text' needs a prompt for each of the {len(tokens)} rows of tokens, got {got}")
    (patches,) = reference
    _check_reference(patches, len(tokens), text.shape[1], tokens.shape[-1])
    unit, words = functional.normalize(patches.float(), dim=1), functional.normalize(text.float(), dim=1)
    if len(unit) == 1:  # one image for all prompts: no copies of it
        return torch.einsum("ne,ehw->nhw", words, unit[0])
    return torch.einsum("ne,nehw->nhw", words, unit)


def _check_reference(reference: Tensor, rows: int, channels: int, side: int) -> None:
    if tuple(reference.shape) not in {(count, channels, side, side) for count in (1, rows)}:
        wanted = f"({'1, ' if rows == 1 else f'1 or {rows}, '}{channels}, {side}, {side})"
        message = f"expected CLIP's side of the comparison {wanted}, got {tuple(reference.shape)}"
        raise ShapeError(f"{message}; make it by clip_reference with the same side, mode and window")


def _overlap(down: int, right: int, height: int, width: int) -> tuple[EllipsisType, slice, slice]:
    """Index of the positions of maps (..., height, width) that have a neighbour so far below and to the right."""
    rows = slice(max(0, -down), max(0, height - max(0, down)))
    columns = slice(max(0, -right), max(0, width - max(0, right)))
    return ..., rows, columns
