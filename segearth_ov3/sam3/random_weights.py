"""Deterministic weights for tests and tools: a tensor's values follow from its name and shape alone.

Nothing about them is trained. They make networks of any size reproducible on every machine without storing a weight,
and two implementations that name their parameters alike can be compared on them.

Each tensor has its own random stream (NumPy's counter-based Philox), keyed by a digest of its name, so a single tensor
can be made without the others. The spread depends on what the tensor is (norm gain, bias, embedding, matrix), so that
activations stay of order one from the first layer to the last.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

_STREAM_NAME = "sam3-oracle-v1:"
_CHUNK_VALUES = 1 << 20

_TABLES = (
    "reference_points.weight",
    "query_embed.weight",
    "presence_token.weight",
    "cls_embed.weight",
    "label_embed.weight",
)
_EMBEDDINGS = ("token_embedding.weight", "positional_embedding", "pos_embed")
_SMALL_OUTPUTS = ("mask_embed.layers.2.weight", "bbox_embed.layers.2.weight")


def deterministic_tensor(key: str, shape: Sequence[int]) -> np.ndarray:
    """Make one tensor.

    Args:
        key: Name of the tensor in the state dict, as in the official checkpoint without "detector.".
        shape: Its shape, any number of axes from one.

    Returns:
        float32 array of that shape; equal on every machine.
    """
    mean, std = _mean_and_std(key, shape)
    scale = std * math.sqrt(12)  # of a uniform variable of width one
    values = np.empty(math.prod(shape), dtype=np.float32)
    start = 0
    for raw in _uint32_chunks(key, len(values)):
        uniform = ((raw >> 8) + 0.5) * 2.0**-24 - 0.5  # float64 in (-0.5, 0.5)
        values[start : start + len(raw)] = mean + scale * uniform
        start += len(raw)
    return values.reshape(tuple(shape))


def deterministic_state_dict(shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """Make all tensors of a network.

    Args:
        shapes: Shape of every tensor by its name.

    Returns:
        float32 arrays under the same names, in the same order.
    """
    return {key: deterministic_tensor(key, shape) for key, shape in shapes.items()}


def _uint32_chunks(key: str, count: int) -> Iterator[np.ndarray]:
    """The first `count` numbers of the key's stream, in pieces, so that large tables need no large temporaries."""
    digest = hashlib.sha256((_STREAM_NAME + key).encode("utf-8")).digest()
    stream = np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64))
    for start in range(0, count, _CHUNK_VALUES):  # even, so no half of a 64-bit number is lost between pieces
        size = min(_CHUNK_VALUES, count - start)
        raw = np.atleast_1d(stream.random_raw((size + 1) // 2)).astype("<u8")
        yield raw.view("<u4")[:size]  # low half of each number first


def _mean_and_std(key: str, shape: Sequence[int]) -> tuple[float, float]:
    """Mean and standard deviation of a tensor, by what its name says it is."""
    if len(shape) == 1:
        return (1.0, 0.1) if key.endswith(".weight") else (0.0, 0.02)
    if key.endswith(_TABLES):
        return 0.0, 1.0
    if key.endswith(_EMBEDDINGS):
        return 0.0, 0.5
    transposed = (".dconv_" in key and len(shape) == 4) or key.endswith("text_projection")
    fan_in = shape[0] if transposed else math.prod(shape[1:])
    return 0.0, _gain(key) / math.sqrt(fan_in)


def _gain(key: str) -> float:
    """Factor over 1 / sqrt(fan in); below 1.5 where the plain factor would saturate what follows."""
    if key.endswith(_SMALL_OUTPUTS):
        return 0.75
    if key.endswith("instance_seg_head.weight"):
        return 0.4
    if "vision_backbone.convs." in key:
        return 0.25 if ".conv_1x1." in key else 1.0
    return 1.5
