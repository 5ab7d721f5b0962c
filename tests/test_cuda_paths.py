"""The paths for CUDA, run on a CPU by tensors that pretend to lie on a GPU: no mix-up of devices, no needless wait."""

from __future__ import annotations

from collections import Counter
from typing import Any
from unittest import mock

import pytest
import torch
from cuda_scenarios import SCENARIOS, SETTINGS, frequencies, watch
from pretend_cuda import DeviceMixUp
from torch import Tensor

from segearth_ov3.engine import engine
from segearth_ov3.sam3 import ops

# one setting is enough for mix-ups; scenarios with four forward passes and more run with -m slow in all dtypes
DTYPES = [torch.bfloat16, *(pytest.param(dtype, marks=pytest.mark.slow) for dtype in (torch.float32, torch.float16))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_devices_are_not_mixed(name: str, dtype: torch.dtype) -> None:
    gpu = watch(SCENARIOS[name], SETTINGS["B"], dtype, "tiny")
    assert sum(gpu.kernels.values()) > 0


def waits(name: str) -> Counter[str]:
    """Waits of a scenario per image, per chunk of prompts and per prompt."""
    runs = {key: watch(SCENARIOS[name], setting, torch.bfloat16, "tiny") for key, setting in SETTINGS.items()}
    total: Counter[str] = Counter()
    for _, found in frequencies(runs, "wait"):
        total.update(found)
    return total


@pytest.mark.parametrize(
    ("name", "images", "chunks"),
    [
        # the image is uploaded, its scores are checked, and the caller fetches the labels; one table per chunk
        ("labels", 3, 1),
        # two images per call
        ("batch", 4, 2),
    ],
)
def test_device_is_waited_for_once_per_chunk_and_result(name: str, images: int, chunks: int) -> None:
    found = waits(name)
    assert found["image"] <= images
    assert found["chunk"] <= chunks
    assert found["prompt"] == 0


def test_every_attention_has_a_layout_that_fused_kernels_take() -> None:
    calls: list[tuple[Any, ...]] = []
    real = ops.F.scaled_dot_product_attention

    def record(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *rest: Any, **more: Any) -> Tensor:
        if not rest:  # the text tower is PyTorch's own module
            calls.append((q, k, v, attn_mask))
        return real(q, k, v, attn_mask, *rest, **more)

    with mock.patch.object(ops.F, "scaled_dot_product_attention", record):
        watch(SCENARIOS["labels"], SETTINGS["A"], torch.bfloat16, "tiny")
    assert any(mask is not None and mask.shape[-2] > 1 for *_, mask in calls), "the decoder's box bias is missing"
    for q, k, v, mask in calls:
        assert q.stride(-1) == k.stride(-1) == v.stride(-1) == 1
        if mask is not None:
            assert mask.dtype == q.dtype
            assert mask.stride(-1) == 1
            assert all(stride % 8 == 0 for stride in mask.stride()[:-1])


def test_planted_wait_is_found() -> None:
    real = ops.attention

    def attention(q: Tensor, *rest: Any) -> Tensor:
        float(q.flatten()[0])
        return real(q, *rest)

    with mock.patch.object(ops, "attention", attention):
        gpu = watch(SCENARIOS["labels"], SETTINGS["A"], torch.bfloat16, "tiny")
    clean = watch(SCENARIOS["labels"], SETTINGS["A"], torch.bfloat16, "tiny")
    assert sum(gpu.counts("wait").values()) > sum(clean.counts("wait").values())


def test_planted_mix_up_is_found() -> None:
    real = engine.presence_probs

    def presence_probs(logits: Tensor, settings: Any) -> Tensor:
        return real(logits, settings) * torch.ones(len(logits))  # made on the CPU

    with mock.patch.object(engine, "presence_probs", presence_probs), pytest.raises(DeviceMixUp):
        watch(SCENARIOS["labels"], SETTINGS["A"], torch.bfloat16, "tiny")
