"""The digest of weights: equal for equal weights, another for any other bit."""

from __future__ import annotations

import pytest
import torch
from golden import load_tiny
from torch import nn

from segearth_ov3.sam3.digest import weights_digest


def test_digest_is_that_of_the_weights_alone() -> None:
    assert load_tiny().weights_digest() == load_tiny().weights_digest()


def test_last_bit_changes_the_digest() -> None:
    model = load_tiny()
    before = model.weights_digest()
    weight = model.geometry_encoder.cls_embed.weight
    weight.view(torch.int32)[0, 0] ^= 1
    assert model.weights_digest() != before


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounded_weights_have_another_digest(dtype: torch.dtype) -> None:
    assert load_tiny(dtype).weights_digest() != load_tiny().weights_digest()


def test_shapes_names_and_persistent_buffers_count() -> None:
    def module(name: str, *shape: int, persistent: bool = True) -> nn.Module:
        made = nn.Module()
        made.register_buffer(name, torch.zeros(shape), persistent=persistent)
        return made

    digests = [weights_digest(module(*arguments)) for arguments in [("a", 2, 3), ("a", 3, 2), ("b", 2, 3), ("a",)]]
    assert len(set(digests)) == 4
    assert weights_digest(module("a", 2, persistent=False)) == weights_digest(nn.Module())
