"""Parts of the network against plain, slower ways to compute the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.transforms import v2

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.sam3.attention import Attention, padding_bias
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.decoder import inverse_sigmoid
from segearth_ov3.sam3.layers import to_map, to_tokens
from segearth_ov3.sam3.mask_head import SegmentationHead
from segearth_ov3.sam3.ops import conv3x3_of_upsampled
from segearth_ov3.sam3.positions import rotary_table, rotate, sine_map
from segearth_ov3.sam3.preprocess import preprocess
from segearth_ov3.sam3.tokenizer import count_tokens, tokenize
from segearth_ov3.sam3.vit import VisionTransformer, from_windows, to_windows


def test_attention_equals_torch_multihead_attention() -> None:
    torch.manual_seed(0)
    ours, theirs = Attention(32, 4), torch.nn.MultiheadAttention(32, 4, batch_first=True)
    ours.load_state_dict(theirs.state_dict())
    query, key, value = torch.randn(2, 5, 32), torch.randn(2, 7, 32), torch.randn(2, 7, 32)
    padding = torch.tensor([[False] * 7, [False, True, False, True, True, False, False]])
    (q,), (k,), (v,) = ours.project(query, "q"), ours.project(key, "k"), ours.project(value, "v")
    expected, _ = theirs(query, key, value, key_padding_mask=padding)
    torch.testing.assert_close(ours.attend(q, k, v, padding_bias(padding, q.dtype)), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("parts", ["qk", "kv", "qkv"])
def test_joint_projection_equals_separate_ones(parts: str) -> None:
    torch.manual_seed(0)
    attention, x = Attention(16, 2), torch.randn(3, 5, 16)
    for part, together in zip(parts, attention.project(x, parts)):
        torch.testing.assert_close(together, attention.project(x, part)[0])


@given(side=st.integers(1, 4), window=st.integers(1, 4), batch=st.integers(1, 2), dim=st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_window_order_round_trips(side: int, window: int, batch: int, dim: int) -> None:
    grid = side * window
    tokens = torch.arange(batch * grid * grid * dim).reshape(batch, grid, grid, dim)
    assert torch.equal(from_windows(to_windows(tokens, window), window), tokens)


def test_window_order_puts_windows_in_runs() -> None:
    order = to_windows(torch.arange(16).reshape(1, 4, 4, 1), 2).flatten().tolist()
    assert order == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]


def test_absolute_positions_are_tiled() -> None:
    trunk = VisionTransformer(
        grid=6, patch=2, position_grid=4, dim=8, depth=1, heads=2, hidden=8, window=3, global_blocks=()
    )
    trunk.pos_embed.data = torch.randn(1, 17, 8)
    positions = trunk._positions(6)[0]
    for row in range(6):
        for col in range(6):
            expected = trunk.pos_embed[0, 1 + (row % 4) * 4 + col % 4]
            assert torch.equal(positions[row, col], expected)


def test_rotary_code_turns_first_half_of_pairs_with_the_column() -> None:
    rows, cols, head_dim = torch.tensor([2.0]), torch.tensor([5.0]), 8
    x = torch.randn(1, 1, head_dim, generator=torch.Generator().manual_seed(1))
    rotated = rotate(x, rotary_table(rows, cols, head_dim))[0, 0].numpy()
    for pair, (position, frequency) in enumerate([(5, 1.0), (5, 1e-2), (2, 1.0), (2, 1e-2)]):
        a, b = x[0, 0, 2 * pair : 2 * pair + 2].numpy()
        angle = position * frequency
        expected = [a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)]
        np.testing.assert_allclose(rotated[2 * pair : 2 * pair + 2], expected, atol=1e-6)


def test_sine_code_has_rows_in_the_first_half() -> None:
    code = sine_map(3, 5, 16).reshape(3, 5, 16)
    assert torch.equal(code[1, 0, :8], code[1, 4, :8])
    assert torch.equal(code[0, 3, 8:], code[2, 3, 8:])
    assert not torch.equal(code[0, 0, :8], code[1, 0, :8])


@given(height=st.integers(1, 5), width=st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_convolution_of_enlarged_map_needs_no_enlarging(height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(height * 10 + width)
    x = torch.randn(2, 3, height, width, generator=generator, dtype=torch.float64)
    kernel = torch.randn(4, 3, 3, 3, generator=generator, dtype=torch.float64)
    expected = F.conv2d(F.interpolate(x, scale_factor=2, mode="nearest"), kernel, padding=1)
    torch.testing.assert_close(conv3x3_of_upsampled(x, kernel), expected)


def test_folded_instance_convolution_equals_plain_one() -> None:
    torch.manual_seed(0)
    head = SegmentationHead(16, 2)
    queries, pixels = torch.randn(5, 16), torch.randn(3, 16, 6, 6)
    embedded = head.instance_seg_head(pixels)
    vectors = head.mask_predictor(queries)
    expected = torch.stack(
        [torch.einsum("c,chw->hw", vectors[i], embedded[prompt]) for i, prompt in enumerate([0, 0, 2, 2, 2])]
    )
    torch.testing.assert_close(head.masks(queries, pixels, [2, 0, 3]), expected, atol=1e-5, rtol=1e-5)


def test_inverse_sigmoid_is_bounded_at_both_ends() -> None:
    probs = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])
    limit = np.log(1 / 1e-3)
    np.testing.assert_allclose(inverse_sigmoid(probs), [-limit, -limit, 0, limit, limit], rtol=1e-6)


def test_tokens_and_map_are_inverse() -> None:
    tokens = torch.arange(24.0).reshape(1, 4, 6)
    assert torch.equal(to_tokens(to_map(tokens, 2)), tokens)
    assert to_map(tokens, 2)[0, 0].tolist() == [[0, 6], [12, 18]]


@pytest.mark.parametrize("batch", [1, 2])
def test_maps_of_tokens_go_through_convolutions_with_channels_last(batch: int) -> None:
    feature_map = to_map(torch.randn(batch, 16, 8), 4)
    assert feature_map.stride() == (128, 1, 32, 8)  # also of a batch of one, where any first stride would be right
    for dtype in (torch.float32, torch.bfloat16):
        found = conv3x3_of_upsampled(feature_map, torch.randn(8, 8, 3, 3).to(dtype))
        assert found.stride() == (512, 1, 64, 8)


def test_preprocess_leaves_full_size_pixels_unchanged() -> None:
    image = torch.arange(3 * 16 * 16).reshape(3, 16, 16).to(torch.uint8)
    pixels = preprocess(image, 16)
    torch.testing.assert_close(pixels[0], image / 127.5 - 1, atol=1e-6, rtol=0)


@pytest.mark.parametrize("shape", [(97, 131), (336, 336), (700, 500), (1, 1), (40, 2000), (337, 335)], ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
def test_preprocess_equals_the_transforms_of_the_reference_bit_by_bit(
    shape: tuple[int, int], channels_last: bool
) -> None:
    """The reference composes these four transforms, in this order."""
    half = [0.5, 0.5, 0.5]
    reference = v2.Compose(
        [
            v2.ToDtype(torch.uint8, scale=True),
            v2.Resize(size=(336, 336)),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean=half, std=half),
        ]
    )
    image = torch.randint(0, 256, (*shape, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image = image.permute(2, 0, 1) if channels_last else image.permute(2, 0, 1).contiguous()
    assert torch.equal(preprocess(image, 336), reference(image)[None])


def test_preprocess_maps_every_level_as_the_reference() -> None:
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, 16, 16)
    expected = v2.functional.normalize(v2.functional.to_dtype(levels, torch.float32, scale=True), [0.5] * 3, [0.5] * 3)
    assert torch.equal(preprocess(levels, 16)[0], expected)


@pytest.mark.parametrize(
    "image",
    [torch.zeros(16, 16, 3, dtype=torch.uint8), torch.zeros(3, 16, 16), torch.zeros(3, 0, 5, dtype=torch.uint8)],
    ids=["channels last", "float", "empty"],
)
def test_preprocess_refuses_other_layouts(image: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="expected"):
        preprocess(image, 16)


def test_long_text_is_cut_and_still_ends() -> None:
    ids = tokenize(["tree " * 50])[0]
    assert ids[0] == 49406
    assert ids[31] == 49407
    assert count_tokens("tree " * 50) == 52


def test_markup_is_cleaned_before_encoding() -> None:
    assert torch.equal(tokenize(["  Baseball &amp;amp;  Field "]), tokenize(["baseball & field"]))


def test_config_round_trips_through_plain_numbers() -> None:
    assert Sam3Config.from_dict(Sam3Config.demo().to_dict()) == Sam3Config.demo()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_size": 1000}, "image_size must be a multiple of patch_size, got 1000 and 14"),
        ({"window": 25}, "grid must be a multiple of window"),
        ({"vit_heads": 512}, "multiple of 4 for rotary positions"),
        ({"global_blocks": (40,)}, r"global_blocks must lie in 0..31"),
    ],
)
def test_impossible_sizes_are_refused(values: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Sam3Config(**values)


def test_incomplete_config_names_the_fields() -> None:
    values = Sam3Config.base().to_dict()
    del values["dim"]
    with pytest.raises(OptionError, match=r"unknown fields \['depth'\], missing fields \['dim'\]"):
        Sam3Config.from_dict({**values, "depth": 3})
