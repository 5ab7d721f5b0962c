"""The decoder: object queries and a presence token read the prompt and the memory, and queries refine boxes.

A DETR-like decoder with iterative box refinement and a relative-position bias from boxes to the image (Lin et al.,
2023, "BoxRPB"). Feed-forward layers and the small heads stay in float32 in half precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import ops
from .attention import Attention, padding_bias
from .layers import LayerNorm, Mlp, SingleLinear
from .ops import MapBias
from .outputs import Prompt
from .positions import sine_coordinates


class DecoderStart(NamedTuple):
    """The decoder's first layer up to where it reads the prompt; depends on the weights only.

    Attributes:
        tokens: Presence token and queries (1, 1 + Q, D).
        text_queries: Queries with which the prompt will be read (1, heads, 1 + Q, D/heads).
        positions: Position term of the tokens (1, 1 + Q, D).
        bias: Attention bias to the image, of (1, heads, 1 + Q, g*g).
        boxes: Reference boxes (1, Q, 4) as (cx, cy, w, h).
    """

    tokens: Tensor
    text_queries: Tensor
    positions: Tensor
    bias: MapBias
    boxes: Tensor


class DecoderOutput(NamedTuple):
    """State after every layer, for P prompts.

    Attributes:
        tokens: Presence token and queries after each layer, not normalised: (P, 1 + Q, D) per layer.
        boxes: Boxes entering each layer, then the final ones: (P or 1, Q, 4) as (cx, cy, w, h).
        queries: Normalised queries of the last layer (P, Q, D).
        presence_logits: (P,), not clamped.
        importance: How much the queries attend to each image token, mean over layers, heads and queries (P, g*g),
            sums to 1; None unless asked for.
    """

    tokens: tuple[Tensor, ...]
    boxes: tuple[Tensor, ...]
    queries: Tensor
    presence_logits: Tensor
    importance: Tensor | None = None


def inverse_sigmoid(probs: Tensor, eps: float = 1e-3) -> Tensor:
    """Logits of probabilities in [0, 1], both sides bounded by `eps`."""
    probs = probs.clamp(0, 1)
    return torch.log(probs.clamp(min=eps) / (1 - probs).clamp(min=eps))


class DecoderLayer(nn.Module):
    """Post-norm layer: among the tokens, to the prompt, to the memory, feed-forward."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = Attention(dim, heads)
        self.norm2 = LayerNorm(dim)
        self.ca_text = Attention(dim, heads)
        self.catext_norm = LayerNorm(dim)
        self.cross_attn = Attention(dim, heads)
        self.norm1 = LayerNorm(dim)
        self.linear1 = SingleLinear(dim, hidden)  # as in the reference
        self.linear2 = SingleLinear(hidden, dim)
        self.norm3 = LayerNorm(dim)

    def read_tokens(self, tokens: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Self-attention, and the queries with which the prompt will be read.

        Args:
            tokens, positions: (N, 1 + Q, D).

        Returns:
            Tokens (N, 1 + Q, D) and queries (N, heads, 1 + Q, D/heads).
        """
        q, k = self.self_attn.project(tokens + positions, "qk")
        (v,) = self.self_attn.project(tokens, "v")
        tokens = self.norm2(tokens + self.self_attn.attend(q, k, v))
        (text_queries,) = self.ca_text.project(tokens + positions, "q")
        return tokens, text_queries

    def read_prompt_and_memory(
        self,
        tokens: Tensor,
        text_queries: Tensor,
        positions: Tensor,
        bias: MapBias,
        prompt: Tensor,
        hidden: Tensor,
        memory: Tensor,
        memory_keys: Tensor,
        with_importance: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The rest of the layer, for P prompts.

        Args:
            tokens, text_queries: As `read_tokens` returns them, for P prompts or one set to be shared.
            positions: (P or 1, 1 + Q, D).
            bias: Of (P or 1, heads, 1 + Q, g*g).
            prompt: Tokens of P prompts (P, T, D).
            hidden: From `padding_bias` (P, 1, 1, T).
            memory: (P, g*g, D).
            memory_keys: Memory plus its sine code (P, g*g, D).
            with_importance: Return the second result too.

        Returns:
            Tokens (P, 1 + Q, D), and how much the queries attend to each image token (P, g*g) or None.
        """
        k, v = self.ca_text.project(prompt, "kv")
        text_queries = text_queries.expand(len(k), *text_queries.shape[1:])
        tokens = self.catext_norm(tokens + self.ca_text.attend(text_queries, k, v, hidden))
        (q,) = self.cross_attn.project(tokens + positions, "q")
        (k,) = self.cross_attn.project(memory_keys, "k")
        (v,) = self.cross_attn.project(memory, "v")
        importance = self._importance(q, k, bias) if with_importance else None
        tokens = self.norm1(tokens + self.cross_attn.attend(q, k, v, bias))
        return self.norm3(tokens + self.linear2(self.linear1(tokens, "relu"))), importance

    def _importance(self, q: Tensor, k: Tensor, bias: MapBias) -> Tensor:
        """Attention of the queries to the image tokens, mean over heads and queries (P, g*g).

        The presence token in front is left out: it asks about the whole image and has no box, hence no bias, so its
        attention does not point at objects.
        """
        importance = torch.empty(len(k), k.shape[-2], dtype=torch.float32, device=k.device)
        dense = bias.dense(torch.float32)[:, :, 1:].expand(len(k), -1, -1, -1)
        for row in range(len(k)):  # at full size the weights of one prompt and layer take 33 MB
            weights = self.cross_attn.weights(q[row, :, 1:], k[row], dense[row])  # (heads, Q, g*g)
            importance[row] = weights.mean((0, 1))
        return importance


class Decoder(nn.Module):
    """Memory and prompt to queries, boxes and presence.

    Args:
        dim, heads, hidden, layers: Sizes of the transformer.
        queries: Number of object queries Q.
        grid: Side of the memory's map g.
    """

    layers: Sequence[DecoderLayer]

    def __init__(self, *, dim: int, heads: int, hidden: int, layers: int, queries: int, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.layers = nn.ModuleList(  # type: ignore[assignment]
            DecoderLayer(dim, heads, hidden) for _ in range(layers)
        )
        self.norm = LayerNorm(dim)
        self.query_embed = nn.Embedding(queries, dim)
        self.reference_points = nn.Embedding(queries, 4)
        self.presence_token = nn.Embedding(1, dim)
        self.bbox_embed = Mlp((dim, dim, dim, 4), SingleLinear)
        self.ref_point_head = Mlp((2 * dim, dim, dim), SingleLinear)
        self.boxRPB_embed_x = Mlp((2, dim, heads), SingleLinear)
        self.boxRPB_embed_y = Mlp((2, dim, heads), SingleLinear)
        self.presence_token_head = Mlp((dim, dim, dim, 1), SingleLinear)
        self.presence_token_out_norm = LayerNorm(dim)
        self._start: DecoderStart | None = None

    def train(self, mode: bool = True) -> Decoder:
        """As `torch.nn.Module.train`; forgets what was kept of `start`, because weights may have changed."""
        self._start = None
        return super().train(mode)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Decoder:
        self._start = None  # device or dtype changes
        return super()._apply(fn, recurse)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._start = None  # weights change
        super()._load_from_state_dict(*args, **kwargs)

    def start(self) -> DecoderStart:
        """What depends on the weights only; made once per checkpoint and kept while gradients are off.

        Under autocast it is made anew, because its dtypes are then the caller's choice.
        """
        device = self.query_embed.weight.device.type
        under_autocast = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        if torch.is_grad_enabled() or under_autocast:
            return self._make_start()
        if self._start is None:
            self._start = self._make_start()
        return self._start

    def _make_start(self) -> DecoderStart:
        boxes = self.reference_points.weight.sigmoid()[None]  # (1, Q, 4)
        positions, bias = self._box_terms(boxes)
        tokens = torch.cat((self.presence_token.weight, self.query_embed.weight))[None]  # (1, 1 + Q, D)
        tokens, text_queries = self.layers[0].read_tokens(tokens, positions)
        return DecoderStart(tokens, text_queries, positions, bias, boxes)

    def forward(
        self, memory: Tensor, memory_positions: Tensor, prompt: Prompt, *, with_importance: bool = False
    ) -> DecoderOutput:
        """Decode the memories of P prompts; as `decode`, from the start that the weights give."""
        return self.decode(self.start(), memory, memory_positions, prompt, with_importance=with_importance)

    def decode(
        self,
        start: DecoderStart,
        memory: Tensor,
        memory_positions: Tensor,
        prompt: Prompt,
        *,
        with_importance: bool = False,
    ) -> DecoderOutput:
        """Decode the memories of P prompts.

        Args:
            start: From `start`.
            memory: (P, g*g, D).
            memory_positions: Sine code of the memory's map (g*g, D).
            prompt: P prompts.
            with_importance: Compute `DecoderOutput.importance`; changes nothing else, to the last bit.

        Returns:
            State after every layer.
        """
        dtype = self.layers[0].cross_attn.in_proj_weight.dtype  # cast once here, not in every layer
        memory_keys, memory = (memory + memory_positions).to(dtype), memory.to(dtype)
        hidden = padding_bias(prompt.padding, dtype)
        tokens, text_queries, positions, bias, boxes = start
        all_tokens, all_boxes, importances = [], [boxes], []
        for index, layer in enumerate(self.layers):
            if index > 0:
                positions, bias = self._box_terms(boxes)
                tokens, text_queries = layer.read_tokens(tokens, positions)
            tokens, importance = layer.read_prompt_and_memory(
                tokens, text_queries, positions, bias, prompt.tokens, hidden, memory, memory_keys, with_importance
            )  # (P, 1 + Q, D)
            if importance is not None:
                importances.append(importance)
            queries = self.norm(tokens[:, 1:])
            boxes = (inverse_sigmoid(boxes) + self.bbox_embed(queries)).sigmoid()
            all_tokens.append(tokens)
            all_boxes.append(boxes)
        mean = torch.stack(importances).mean(0) if importances else None  # (P, g*g)
        return DecoderOutput(tuple(all_tokens), tuple(all_boxes), queries, self.presence_logits(tokens), mean)

    def presence_logits(self, tokens: Tensor) -> Tensor:
        """Presence of P prompts from the tokens after a layer: (P, 1 + Q, D) to (P,)."""
        return self.presence_token_head(self.presence_token_out_norm(tokens[:, 0]))[:, 0]

    def _box_terms(self, boxes: Tensor) -> tuple[Tensor, MapBias]:
        """Position term (P, 1 + Q, D) and attention bias, of (P, heads, 1 + Q, g*g), of boxes (P, Q, 4)."""
        half = self.query_embed.weight.shape[1] // 2
        cx, cy, width, height = boxes.unbind(-1)  # (P, Q) each
        code = torch.stack((cy, cx, width, height), dim=-1)  # the code's order differs from the box's
        positions = self.ref_point_head(sine_coordinates(code, half).flatten(-2).to(boxes.dtype))  # (P, Q, D)
        by_row, by_col = self.box_bias(boxes)  # (P, heads, Q, g) each
        # neither applies to the presence token in front
        bias = MapBias(F.pad(by_row, (0, 0, 1, 0)), F.pad(by_col, (0, 0, 1, 0)))
        return F.pad(positions, (0, 0, 1, 0)), bias

    def box_bias(self, boxes: Tensor) -> MapBias:
        """Attention bias from boxes to image tokens by the distance of a token to the box's sides.

        Args:
            boxes: (P, Q, 4) as (cx, cy, w, h) in [0, 1].

        Returns:
            Of (P, heads, Q, g*g).
        """
        cx, cy, width, height = boxes.unbind(-1)
        steps = torch.arange(self.grid, dtype=boxes.dtype, device=boxes.device) / self.grid  # no half-token offset
        by_col = _log_distances(steps, cx - width / 2, cx + width / 2)  # (P, Q, g, 2)
        by_row = _log_distances(steps, cy - height / 2, cy + height / 2)
        by_row, by_col = (
            ops.in_chunks(embed, distances.flatten(0, 2), 0, 4 * ops.CHUNK_TOKENS).unflatten(0, distances.shape[:3])
            for embed, distances in ((self.boxRPB_embed_y, by_row), (self.boxRPB_embed_x, by_col))
        )  # (P, Q, g, heads) each; the hidden layer is narrower than the trunk's, hence larger chunks
        return MapBias(by_row.permute(0, 3, 1, 2), by_col.permute(0, 3, 1, 2))  # (P, heads, Q, g) each


def _log_distances(steps: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Signed logarithmic distances of grid lines (g,) to two sides (P, Q): (P, Q, g, 2), scaled to about [-1, 1]."""
    distance = 8 * (steps[:, None] - torch.stack((low, high), dim=-1).unsqueeze(-2))  # (P, Q, g, 2)
    return distance.sign() * torch.log2(distance.abs() + 1) / 3  # 3 = log2(8)
