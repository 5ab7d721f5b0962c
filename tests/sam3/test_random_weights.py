"""Deterministic weights against those of Meta's reference at a tiny size (all of them, or digests of some)."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from safetensors import safe_open

from segearth_ov3.sam3 import random_weights
from segearth_ov3.sam3.random_weights import deterministic_state_dict, deterministic_tensor

# first 16 digits of the SHA-256 of the reference's float32 values; one line for every rule of spread
DIGESTS = [
    ("backbone.vision_backbone.convs.0.dconv_2x2_0.weight", (64, 32, 2, 2), "30d49c20f4732c6e"),
    ("transformer.decoder.bbox_embed.layers.2.weight", (4, 32), "be1d8c857606f878"),
    ("segmentation_head.pixel_decoder.norms.0.weight", (32,), "26b90f358681fc84"),
    ("geometry_encoder.cls_embed.weight", (1, 32), "9924a35c0ea8ea41"),
    ("backbone.language_backbone.encoder.text_projection", (48, 512), "a2cd8919c02285d1"),
    ("segmentation_head.instance_seg_head.weight", (32, 32, 1, 1), "407666aa590de73f"),
    ("transformer.decoder.norm.bias", (32,), "786aae13e950b2a5"),
    ("backbone.vision_backbone.trunk.pos_embed", (1, 65, 64), "f53e10863a9e29bd"),
]


@pytest.mark.parametrize(("key", "shape", "digest"), DIGESTS)
def test_values_have_the_digest_of_the_reference(key: str, shape: tuple[int, ...], digest: str) -> None:
    assert hashlib.sha256(deterministic_tensor(key, shape).tobytes()).hexdigest().startswith(digest)


def test_all_values_equal_the_reference_bit_for_bit(shared_dir) -> None:
    with safe_open(shared_dir / "sam3" / "golden_small" / "model.safetensors", framework="np") as file:
        expected = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118, not a dict
    made = deterministic_state_dict({key: value.shape for key, value in expected.items()})
    assert [key for key in expected if made[key].tobytes() != expected[key].tobytes()] == []


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 24, 25])
def test_values_do_not_depend_on_the_pieces_they_are_made_in(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = deterministic_tensor("some.weight", (count, 3))
    monkeypatch.setattr(random_weights, "_CHUNK_VALUES", 8)
    assert np.array_equal(deterministic_tensor("some.weight", (count, 3)), whole)


def test_tensors_are_independent_of_each_other() -> None:
    first, second = (deterministic_tensor(key, (64, 64)).ravel() for key in ("a.weight", "b.weight"))
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_values_are_float32_of_the_given_shape() -> None:
    made = deterministic_tensor("a.weight", (2, 3, 5))
    assert (made.dtype, made.shape) == (np.float32, (2, 3, 5))
