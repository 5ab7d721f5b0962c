"""Operators of the network: the forms for CPUs against the plain ones."""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import load_tiny

from segearth_ov3.checkpoints import load_sam3
from segearth_ov3.sam3 import cpu, ops, upsampled_conv
from segearth_ov3.sam3.attention import padding_bias
from segearth_ov3.sam3.cpu import attention, difference_conv, onednn
from segearth_ov3.sam3.layers import GroupNorm, Linear
from segearth_ov3.sam3.model import set_compute_dtype
from segearth_ov3.sam3.ops import MapBias

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
DTYPES = [torch.float32, torch.bfloat16]


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def need_cpu(dtype: torch.dtype) -> None:
    if not cpu.is_usable(torch.ones(1, dtype=dtype)):
        pytest.skip(f"oneDNN has no fast {dtype} kernels for this processor")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ["none", "relu", "gelu"])
@pytest.mark.parametrize("rows", [None, slice(3, 11)])
def test_linear_by_onednn_equals_plain_one(
    dtype: torch.dtype, activation: onednn.Activation, rows: slice | None
) -> None:
    need_cpu(dtype)
    x, weight, bias = (
        random(2, 7, 16, dtype=dtype),
        random(24, 16, seed=1, dtype=dtype),
        random(24, seed=2, dtype=dtype),
    )
    plain = {"none": lambda y: y, "relu": F.relu, "gelu": F.gelu}[activation]
    expected = plain(F.linear(x.float(), weight.float(), bias.float()))
    expected = expected if rows is None else expected[..., rows]
    for strided in (x, x.transpose(0, 1).contiguous().transpose(0, 1)):
        found = ops.linear(strided, weight, bias, activation, rows)
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), expected, atol=4 * TOLERANCE[dtype], rtol=TOLERANCE[dtype])


def test_cpu_forms_are_used_only_where_nothing_observes() -> None:
    need_cpu(torch.float32)
    x, weight = random(2, 4), random(3, 4, seed=1)
    assert cpu.is_usable(x, weight)
    assert not cpu.is_usable(x, weight.clone().requires_grad_())
    with torch.autocast("cpu", torch.bfloat16):
        assert not cpu.is_usable(x, weight)
    with torch.no_grad():
        assert cpu.is_usable(x, weight.clone().requires_grad_())
    assert not cpu.is_usable(x.double(), weight.double())
    assert not cpu.is_usable(x[:0], weight)


def test_gradients_pass_through_linear_layers() -> None:
    layer, x = Linear(4, 3), random(2, 4).requires_grad_()
    layer(x, "gelu").sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is not None


def test_packed_weight_follows_every_change() -> None:
    need_cpu(torch.bfloat16)
    layer, x = Linear(16, 8).to(torch.bfloat16).requires_grad_(False), random(3, 16, dtype=torch.bfloat16)

    def check(which: Linear) -> None:
        expected = F.linear(x.float(), which.weight.float(), which.bias.float())
        torch.testing.assert_close(which(x).float(), expected, atol=5e-2, rtol=2e-2)

    check(layer)
    layer.weight.mul_(3)
    check(layer)
    layer.load_state_dict({"weight": random(8, 16, seed=5), "bias": random(8, seed=6)})
    check(layer)
    layer.load_state_dict({"weight": random(8, 16, seed=7, dtype=torch.bfloat16), "bias": layer.bias}, assign=True)
    check(layer)
    check(copy.deepcopy(layer))
    check(pickle.loads(pickle.dumps(layer)))
    layer.weight.data = random(8, 16, seed=8, dtype=torch.bfloat16)
    check(layer)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("block", [1, 3 * 2**19, 700])
def test_attention_in_blocks_equals_fused_attention(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, biased: bool, block: int
) -> None:
    need_cpu(dtype)
    monkeypatch.setattr(attention, "_BLOCK_BYTES", block)
    q, k, v = random(2, 4, 5, 8), random(2, 4, 12, 8, seed=1), random(2, 4, 12, 8, seed=2)
    bias = MapBias(random(1, 4, 5, 3, seed=3), random(1, 4, 5, 4, seed=4)) if biased else None
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=None if bias is None else bias.dense(torch.float32))
    found = attention.blockwise_attention(q.to(dtype), k.to(dtype), v.to(dtype), bias)
    assert found.dtype == dtype
    torch.testing.assert_close(
        found.float(), expected.transpose(1, 2).flatten(2), atol=4 * TOLERANCE[dtype], rtol=TOLERANCE[dtype]
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("largest", [1.0, 90.0, 110.0, 2000.0])
def test_scores_of_any_size_are_weighted_right(dtype: torch.dtype, largest: float) -> None:
    need_cpu(dtype)
    q, k, v = (random(1, 2, 6, 8, seed=seed, dtype=dtype) for seed in range(3))
    q = (q.float() * (largest / attention._largest_exponent(q, k))).to(dtype)
    assert attention._largest_exponent(q, k) == pytest.approx(largest, rel=1e-2)
    scores = q.double() @ k.double().mT / 8**0.5
    if dtype != torch.float32:
        scores = scores.to(dtype).double()  # both ways round the scores
    expected = (scores.softmax(-1) @ v.double()).transpose(1, 2).flatten(2)
    found = attention.blockwise_attention(q, k, v, None)
    # before a power of two the scores are rounded at another scale, by up to a quarter where they are near 90
    tolerance = 1e-4 if dtype == torch.float32 else 1.0 if largest == 90 else 0.1
    torch.testing.assert_close(found.double(), expected, atol=tolerance, rtol=0)


def test_scores_beyond_the_largest_float16_do_not_overflow() -> None:
    q, k, v = (random(1, 2, 6, 8, seed=seed) for seed in range(3))
    q *= 60 / attention._largest_exponent(q, k)
    expected = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    found = attention.blockwise_attention(q.half(), k.half(), v.half(), None)
    torch.testing.assert_close(found.float(), expected, atol=0.1, rtol=0)


def test_bound_of_the_scores_is_by_the_longest_query_and_key() -> None:
    q, k = torch.zeros(2, 1, 3, 4), torch.zeros(2, 1, 5, 4)
    q[1, 0, 2], k[0, 0, 4] = 3.0, 2.0  # lengths 6 and 4
    k[0, 0, 3] = -1.0
    assert attention._largest_exponent(q, k) == pytest.approx(6 * 4 / 2 * np.log2(np.e))


def test_bias_of_each_sample_is_its_own() -> None:
    need_cpu(torch.float32)
    q, k, v = random(3, 2, 5, 8), random(3, 2, 9, 8, seed=1), random(3, 2, 9, 8, seed=2)
    bias = MapBias(random(3, 2, 5, 3, seed=3), random(3, 2, 5, 3, seed=4))
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.dense(torch.float32)).transpose(1, 2).flatten(2)
    torch.testing.assert_close(ops.attention(q, k, v, bias), expected, atol=1e-5, rtol=1e-5)


def test_memory_that_holds_nan_does_not_reach_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    need_cpu(torch.bfloat16)
    empty = torch.Tensor.new_empty
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda self, *size: empty(self, *size).fill_(torch.nan))
    q, k, v = (random(1, 2, 6, 8, seed=seed, dtype=torch.bfloat16) for seed in range(3))
    assert ops.attention(q, k, v).isfinite().all()


@pytest.mark.parametrize("pixels", [1, 7, 2304])
@pytest.mark.parametrize("size", [(2, 3, 1, 1), (1, 4, 5, 7), (2, 8, 9, 4)])
def test_every_form_of_the_upsampled_convolution_equals_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, ...], pixels: int
) -> None:
    monkeypatch.setattr(difference_conv, "_PIXELS", pixels)
    kernel = random(6, size[1], 3, 3, seed=1)
    for x in (random(*size), random(*size).contiguous(memory_format=torch.channels_last)):
        expected = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), kernel, padding=1)
        for form in (
            upsampled_conv.conv3x3_by_phases,
            difference_conv.conv3x3_by_differences,
            ops.conv3x3_of_upsampled,
        ):
            torch.testing.assert_close(form(x, kernel), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_chunks_make_up_the_whole(count: int) -> None:
    x = random(2, 5, 3)
    assert torch.equal(ops.in_chunks(lambda rows: rows * 2, x, 1, count), x * 2)


def test_rows_are_grouped_without_gaps() -> None:
    tokens = torch.zeros(1, ops.CHUNK_TOKENS, 2)
    assert ops.row_groups(tokens[:, 1:], 3) == [slice(0, 3)]
    need_cpu(torch.float32)
    assert ops.row_groups(tokens, 3) == [slice(0, 1), slice(1, 2), slice(2, 3)]


def test_half_group_norm_is_the_rounded_float32_one() -> None:
    need_cpu(torch.bfloat16)
    norm = GroupNorm(2, 8).requires_grad_(False)
    x = random(2, 8, 5, 5, dtype=torch.bfloat16)
    expected = F.group_norm(x.float(), 2, norm.weight, norm.bias, 1e-5)
    torch.testing.assert_close(norm(x).float(), expected, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", ["tiny", "demo"])  # heads of demo are as wide as at full size
def test_network_gives_the_same_with_plain_operators(dtype: torch.dtype, sizes: str) -> None:
    need_cpu(dtype)
    model = set_compute_dtype(load_tiny() if sizes == "tiny" else load_sam3("demo"), dtype)
    side = model.config.image_size
    pixels = torch.rand((1, 3, side, side), generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        text = model.encode_text(["road", "swimming pool"])
        fast = model.ground(model.encode_image(pixels), text)
        with ops.plain_operators():
            plain = model.ground(model.encode_image(pixels), text)
    tolerance = {"tiny": 1e-4, "demo": 1e-3}[sizes] if dtype == torch.float32 else 0.3
    for name in fast._fields:
        found, expected = getattr(fast, name), getattr(plain, name)
        if sizes == "demo" and dtype == torch.bfloat16:  # rounding moves single queries of a trained decoder far
            assert (found - expected).abs().mean() < 0.1, name
        else:
            torch.testing.assert_close(found, expected, atol=tolerance, rtol=0, msg=name)
    assert not torch.equal(fast.mask_logits, plain.mask_logits), "the forms for CPUs were not used"


def test_environment_variable_switches_to_plain_operators() -> None:
    command = "from segearth_ov3.sam3 import cpu, ops; import torch; x = torch.ones(1); print(ops._use_cpu(x))"
    for value, used in (
        ("1", "False"),
        ("0", str(cpu.is_usable(torch.ones(1)))),
        ("", str(cpu.is_usable(torch.ones(1)))),
    ):
        environment = {**os.environ, "SEGEARTH_OV3_PLAIN": value}
        run = subprocess.run(
            [sys.executable, "-c", command], env=environment, capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == used


def test_plain_operators_end_with_their_block() -> None:
    need_cpu(torch.float32)
    x = torch.ones(1)
    with contextlib.suppress(KeyError), ops.plain_operators():
        assert not ops._use_cpu(x)
        raise KeyError
    assert ops._use_cpu(x)


def test_packed_weight_disappears_with_its_parameter() -> None:
    need_cpu(torch.bfloat16)
    gc.collect()
    before = len(onednn.packed_weights)
    layer = Linear(16, 8).to(torch.bfloat16).requires_grad_(False)
    layer(random(3, 16, dtype=torch.bfloat16))
    assert len(onednn.packed_weights) == before + 1
    del layer
    gc.collect()
    assert len(onednn.packed_weights) == before


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_group_norm_that_keeps_the_layout_equals_the_plain_one(dtype: torch.dtype, layout: torch.memory_format) -> None:
    x = (random(2, 12, 5, 7) * 3 + 10).to(dtype).contiguous(memory_format=layout)
    weight, bias = random(12, seed=1), random(12, seed=2)
    expected = F.group_norm(x.double(), 4, weight.double(), bias.double(), 1e-5)
    found = ops.channels_last_group_norm(x, 4, weight, bias, 1e-5)
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=layout)
    rounding = {torch.float32: 1e-5, torch.bfloat16: 2**-8, torch.float16: 2**-10}[dtype]
    torch.testing.assert_close(found.double(), expected, atol=2 * rounding, rtol=rounding)


def test_group_norm_of_a_constant_map_is_its_bias() -> None:
    x, bias = torch.full((1, 4, 3, 3), 7.0, dtype=torch.bfloat16), random(4)
    found = ops.channels_last_group_norm(x, 2, torch.ones(4), bias, 1e-5)
    torch.testing.assert_close(found[0, :, 1, 2].float(), bias, atol=1e-2, rtol=0)


def test_bias_of_a_map_is_contiguous_in_any_dtype() -> None:
    terms = (random(5, 3, 2, 4).permute(0, 3, 2, 1) for _ in range(2))  # heads innermost, as the decoder makes them
    dense = MapBias(*terms).dense(torch.bfloat16)
    assert dense.shape == (5, 4, 2, 9)
    assert dense.is_contiguous()
    assert dense.dtype == torch.bfloat16


def test_bias_of_padding_hides_padding_and_has_aligned_rows() -> None:
    padding = torch.zeros(2, 33, dtype=torch.bool)
    padding[1, 30:] = True
    bias = padding_bias(padding, torch.bfloat16)
    assert bias.shape == (2, 1, 1, 33)
    assert bias.stride(0) % 8 == 0
    assert torch.equal(bias[:, 0, 0] == 0, ~padding)
    assert (bias[1, 0, 0, 30:] == -torch.inf).all()


def test_kept_phase_kernels_follow_the_kernel() -> None:
    x = random(1, 4, 3, 3)
    kernel = torch.nn.Parameter(random(2, 4, 3, 3, seed=1))
    for factor in (1.0, 3.0):
        with torch.no_grad():
            kernel.copy_(random(2, 4, 3, 3, seed=1) * factor)
            expected = F.conv2d(F.interpolate(x, scale_factor=2.0), kernel, padding=1)
            torch.testing.assert_close(upsampled_conv.conv3x3_by_phases(x, kernel), expected, atol=1e-4, rtol=1e-4)
    upsampled_conv.conv3x3_by_phases(x, kernel).sum().backward()
    assert kernel.grad is not None
