from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_clip import EMBEDDING, PATCHES, WIDTH, CountingEncoder, random_features, random_pixels
from torch import Tensor

from segearth_ov3.errors import CheckpointError, OptionError, ShapeError
from segearth_ov3.refiners.base import HasWeights, RefinerContext
from segearth_ov3.refiners.clip_similarity import (
    ClipSimilarity,
    affinity,
    clip_reference,
    clip_similarity,
    resize_map,
)

SIDE = 6
TAPS = (2, 4)
PROMPTS = ("road", "water", "low vegetation")
MODES = ("affinity", "channel", "text")


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


def random_tokens(rows: int = 3, width: int = WIDTH, side: int = SIDE, seed: int = 1) -> Tensor:
    return torch.randn((rows, width, side, side), generator=torch.Generator().manual_seed(seed))


def random_text(rows: int = 3, seed: int = 2) -> Tensor:
    return torch.randn((rows, EMBEDDING), generator=torch.Generator().manual_seed(seed))


def refined(mode: str, tokens: Tensor, *, images: int = 1, taps: int = 2, window: int = 3, beta: float = 0.7) -> Tensor:
    """Tokens refined with random features of CLIP and, in mode "text", random prompts."""
    features = random_features(images, taps=taps, width=tokens.shape[1], side=tokens.shape[-1])
    reference = clip_reference(features, tokens.shape[-1], mode=mode, window=window)
    text = random_text(len(tokens)) if mode == "text" else None
    return clip_similarity(tokens, reference, text=text, beta=beta, mode=mode, window=window)


# ---- slow references


def slow_cosine(a: Sequence[float], b: Sequence[float]) -> float:
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def slow_neighbours(vectors: np.ndarray, row: int, column: int, window: int) -> list[float]:
    """Cosines of one token of (D, g, g) to those neighbours in its window that exist."""
    radius, side = window // 2, vectors.shape[1]
    return [
        slow_cosine(vectors[:, row, column], vectors[:, other_row, other_column])
        for other_row in range(max(0, row - radius), min(side, row + radius + 1))
        for other_column in range(max(0, column - radius), min(side, column + radius + 1))
        if (other_row, other_column) != (row, column)
    ]


def slow_refined(mode: str, tokens: Tensor, *, images: int, taps: int, window: int, beta: float) -> np.ndarray:
    """The same as `refined`, token by token."""
    features = random_features(images, taps=taps, width=tokens.shape[1], side=tokens.shape[-1])
    values, text = tokens.double().numpy(), random_text(len(tokens)).numpy()
    result = np.zeros_like(values)
    for n in range(len(values)):
        image = n if images > 1 else 0
        for row in range(values.shape[2]):
            for column in range(values.shape[3]):
                if mode == "text":
                    similar = [slow_cosine(features.patches[image, :, row, column].numpy(), text[n])]
                elif mode == "channel":
                    own = values[n, :, row, column]
                    similar = [slow_cosine(own, tap[image, :, row, column].numpy()) for tap in features.taps]
                else:
                    own = slow_neighbours(values[n], row, column, window)
                    others = [slow_neighbours(tap[image].numpy(), row, column, window) for tap in features.taps]
                    similar = [slow_cosine(own, each) for each in others]
                result[n, :, row, column] = values[n, :, row, column] * (1 + beta * np.mean(similar))
    return result


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize(
    ("mode", "window", "taps"),
    [("affinity", 3, 1), ("affinity", 3, 2), ("affinity", 5, 3), ("channel", 3, 1), ("channel", 3, 3), ("text", 3, 2)],
)
def test_formula_token_by_token(mode: str, window: int, taps: int, images: int) -> None:
    options: dict[str, Any] = {"images": images, "taps": taps, "window": window, "beta": 0.7}
    tokens = random_tokens()
    expected = slow_refined(mode, tokens, **options)
    np.testing.assert_allclose(refined(mode, tokens, **options).numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [3, 5])
def test_affinity_lists_neighbours_row_by_row(window: int) -> None:
    maps = random_tokens(2, side=4)
    found, radius, values = affinity(maps, window).numpy(), window // 2, maps.double().numpy()
    steps = [(down, right) for down in range(-radius, radius + 1) for right in range(-radius, radius + 1)]
    steps.remove((0, 0))
    assert found.shape == (2, len(steps), 4, 4)
    for index, (down, right) in enumerate(steps):
        for row in range(4):
            for column in range(4):
                inside = 0 <= row + down < 4 and 0 <= column + right < 4
                for n in range(2):
                    here = values[n, :, row, column]
                    there = values[n, :, (row + down) % 4, (column + right) % 4]
                    expected = slow_cosine(here, there) if inside else 0.0
                    assert found[n, index, row, column] == pytest.approx(expected, abs=1e-6)


def slow_bilinear(maps: np.ndarray, side: int) -> np.ndarray:
    """Maps (D, h, h) sampled at the centres of a finer grid, by hand."""
    result, last = np.zeros((len(maps), side, side)), maps.shape[1] - 1
    for row in range(side):
        for column in range(side):
            y, x = (min(max((at + 0.5) * (last + 1) / side - 0.5, 0), last) for at in (row, column))
            top, left = min(int(y), last - 1), min(int(x), last - 1)
            down, right = y - top, x - left
            corners = maps[:, top : top + 2, left : left + 2]
            weights = np.outer([1 - down, down], [1 - right, right])
            result[:, row, column] = (corners * weights).sum(axis=(1, 2))
    return result


@pytest.mark.parametrize("side", [4, 7, 9])
def test_map_of_clip_grows_bilinearly(side: int) -> None:
    maps = random_features().taps[0]
    np.testing.assert_allclose(resize_map(maps, side)[0], slow_bilinear(maps[0].numpy(), side), rtol=1e-5, atol=1e-5)


def test_map_of_clip_is_resized_before_it_is_compared() -> None:
    """Neighbours are those on the grid of the tokens: similarities of CLIP's own, wider neighbours would be lower."""
    features = random_features(taps=2)
    fine = [torch.from_numpy(slow_bilinear(tap[0].numpy(), SIDE))[None].float() for tap in features.taps]
    for mode, expected in (("affinity", [affinity(each, 3) for each in fine]), ("channel", fine)):
        for found, wanted in zip(clip_reference(features, SIDE, mode=mode), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_map_of_clip_shrinks_without_leaving_tokens_out() -> None:
    maps = torch.zeros(1, 1, 12, 12)
    for row in range(12):
        for column in range(12):
            single = maps.clone()
            single[0, 0, row, column] = 1
            assert resize_map(single, 3).sum() > 0.01


def test_map_of_the_same_side_is_not_touched() -> None:
    maps = random_features().taps[0]
    assert resize_map(maps, PATCHES) is maps


# ---- properties


@pytest.mark.parametrize("mode", MODES)
def test_no_strength_changes_nothing(mode: str) -> None:
    tokens = random_tokens()
    assert torch.equal(refined(mode, tokens, beta=0.0), tokens)


@pytest.mark.parametrize("mode", MODES)
def test_strength_changes_something(mode: str) -> None:
    tokens = random_tokens()
    assert (refined(mode, tokens) - tokens).abs().max() > 0.01


@pytest.mark.parametrize("window", [3, 5])
def test_constant_maps_agree_everywhere_borders_included(window: int) -> None:
    tokens = torch.linspace(-1, 1, 8)[None, :, None, None].expand(2, 8, SIDE, SIDE)
    reference = [affinity(torch.full((1, 5, SIDE, SIDE), 0.3), window)]
    found = clip_similarity(tokens, reference, beta=0.5, window=window)
    torch.testing.assert_close(found, 1.5 * tokens)


def test_equal_tokens_agree_in_mode_channel() -> None:
    tokens = random_tokens()
    torch.testing.assert_close(clip_similarity(tokens, [5 * tokens], mode="channel", beta=0.5), 1.5 * tokens)


def test_opposite_tokens_disagree_in_mode_channel() -> None:
    tokens = random_tokens()
    torch.testing.assert_close(clip_similarity(tokens, [-tokens], mode="channel", beta=0.5), 0.5 * tokens)


@pytest.mark.parametrize("mode", MODES)
def test_direction_of_tokens_is_kept_and_length_stays_in_bounds(mode: str) -> None:
    tokens = random_tokens()
    factor = refined(mode, tokens, beta=0.3) / tokens
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor), rtol=1e-4, atol=1e-4)
    assert 0.7 - 1e-4 <= factor.min() <= factor.max() <= 1.3 + 1e-4


@pytest.mark.parametrize("mode", MODES)
def test_zero_tokens_stay_zero_and_finite(mode: str) -> None:
    tokens = random_tokens()
    tokens[:, :, 2:4] = 0
    found = refined(mode, tokens)
    assert found.isfinite().all()
    assert not found[:, :, 2:4].any()


@pytest.mark.parametrize("mode", MODES)
def test_zero_features_of_clip_change_nothing(mode: str) -> None:
    tokens = random_tokens()
    features = random_features(width=WIDTH, side=SIDE)
    features = features._replace(taps=(features.taps[0] * 0,), patches=features.patches * 0)
    reference = clip_reference(features, SIDE, mode=mode)
    assert torch.equal(clip_similarity(tokens, reference, text=random_text(), mode=mode), tokens)


@pytest.mark.parametrize("window", [3, 5])
@pytest.mark.parametrize("side", [1, 2])
def test_map_smaller_than_the_window_works(side: int, window: int) -> None:
    tokens = random_tokens(side=side)
    options: dict[str, Any] = {"images": 1, "taps": 1, "window": window, "beta": 0.7}
    found = refined("affinity", tokens, **options)
    expected = tokens.numpy() if side == 1 else slow_refined("affinity", tokens, **options)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_half_precision_is_compared_in_float32_and_rounded_once(mode: str, dtype: torch.dtype) -> None:
    tokens = random_tokens().to(dtype)
    found = refined(mode, tokens)
    assert found.dtype == dtype
    assert torch.equal(found, refined(mode, tokens.float()).to(dtype))


@pytest.mark.parametrize("mode", MODES)
def test_autocast_does_not_touch_the_comparison(mode: str) -> None:
    tokens = random_tokens()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = refined(mode, tokens)
    assert torch.equal(found, refined(mode, tokens))


@pytest.mark.parametrize("mode", MODES)
def test_tokens_are_left_as_they_were(mode: str) -> None:
    tokens = random_tokens()
    before = tokens.clone()
    refined(mode, tokens)
    assert torch.equal(tokens, before)


@pytest.mark.parametrize("mode", MODES)
def test_tokens_in_another_memory_layout_give_the_same(mode: str) -> None:
    tokens = random_tokens()
    strided = tokens.permute(2, 0, 3, 1).contiguous().permute(1, 3, 0, 2)
    assert not strided.is_contiguous()
    torch.testing.assert_close(refined(mode, strided), refined(mode, tokens))


@pytest.mark.parametrize("mode", MODES)
def test_rows_do_not_mix(mode: str) -> None:
    tokens, text = random_tokens(), random_text()
    reference = clip_reference(random_features(3, width=WIDTH, side=SIDE), SIDE, mode=mode)
    order = torch.tensor([2, 0, 1])
    found = clip_similarity(tokens[order], [each[order] for each in reference], text=text[order], mode=mode)
    torch.testing.assert_close(found, clip_similarity(tokens, reference, text=text, mode=mode)[order])


@pytest.mark.parametrize("mode", MODES)
def test_compiles_without_a_break(mode: str) -> None:
    tokens, text = random_tokens(), random_text()
    reference = clip_reference(random_features(width=WIDTH, side=SIDE), SIDE, mode=mode)
    compiled = torch.compile(clip_similarity, fullgraph=True, backend="eager")
    found = compiled(tokens, reference, text=text, mode=mode)
    torch.testing.assert_close(found, clip_similarity(tokens, reference, text=text, mode=mode))


# ---- refusals of the function


def test_mode_channel_needs_equal_widths() -> None:
    reference = clip_reference(random_features(width=WIDTH, side=SIDE), SIDE, mode="channel")
    message = f"mode='channel' needs equal widths, got tokens of 16 channels and CLIP's of {WIDTH}; use mode='affinity'"
    with pytest.raises(ShapeError, match=message):
        clip_similarity(random_tokens(width=16), reference, mode="channel")


def test_mode_affinity_works_at_any_width() -> None:
    reference = clip_reference(random_features(width=WIDTH, side=SIDE), SIDE)
    assert clip_similarity(random_tokens(width=16), reference).shape == (3, 16, SIDE, SIDE)


@pytest.mark.parametrize(("text", "got"), [(None, "none"), (random_text(2), "2")], ids=["none", "two"])
def test_mode_text_needs_a_prompt_for_each_row(text: Tensor | None, got: str) -> None:
    reference = clip_reference(random_features(side=SIDE), SIDE, mode="text")
    with pytest.raises(ShapeError, match=f"mode='text' needs a prompt for each of the 3 rows of tokens, got {got}"):
        clip_similarity(random_tokens(), reference, text=text, mode="text")


@pytest.mark.parametrize(
    ("options", "images", "side"), [({"window": 5}, 1, SIDE), ({}, 2, SIDE), ({}, 1, SIDE + 1)], ids=str
)
def test_reference_that_does_not_fit_is_refused(options: dict[str, int], images: int, side: int) -> None:
    reference = clip_reference(random_features(images), side, **options)
    message = r"expected CLIP's side of the comparison \(1 or 3, 8, 6, 6\), got .*; make it by clip_reference"
    with pytest.raises(ShapeError, match=message):
        clip_similarity(random_tokens(), reference)


def test_tokens_that_are_no_map_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected tokens \(N, D, g, g\), got \(3, 32, 36\)"):
        clip_similarity(random_tokens().flatten(2), [])


WRONG_NUMBERS = [
    ({"beta": -0.1}, "beta must be a number from 0 to 10, got -0.1"),
    ({"beta": math.nan}, "beta must be a number from 0 to 10, got nan"),
    ({"beta": 10.5}, "beta must be a number from 0 to 10, got 10.5"),
    ({"mode": "pixel"}, "mode must be one of affinity, channel, text, got 'pixel'"),
    ({"window": 4}, "window must be one of 3, 5, got 4"),
]


@pytest.mark.parametrize(("options", "message"), WRONG_NUMBERS)
def test_function_refuses_wrong_numbers(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        clip_similarity(random_tokens(), [], **options)


# ---- the refiner


@pytest.mark.parametrize(("options", "message"), WRONG_NUMBERS)
def test_refiner_refuses_wrong_numbers(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ClipSimilarity(**options)


@pytest.mark.parametrize("taps", [(), (0,), (2, 2), (1.5,), (True,), "6,12", 6], ids=str)
def test_refiner_refuses_wrong_taps(taps: Any) -> None:
    with pytest.raises(OptionError, match="taps must be different blocks of CLIP, counted from 1, such as 6, 12"):
        ClipSimilarity(taps=taps)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": "tiles"}, "grid must be one of whole, tiled, got 'tiles'"),
        ({"at": "decoder"}, "at must be one of trunk, pyramid, memory, got 'decoder'"),
        ({"mode": "text", "at": "trunk"}, "prompts are read at='memory' only, got at='trunk'"),
    ],
)
def test_refiner_refuses_wrong_choices(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ClipSimilarity(**options)


def test_defaults_are_those_of_the_method() -> None:
    refiner = ClipSimilarity()
    assert (refiner.beta, refiner.taps, refiner.at) == (0.3, (6, 12, 18, 24), "memory")
    assert (refiner.model, refiner.pretrained) == ("ViT-L-14-336", "openai")


@pytest.mark.parametrize(
    ("mode", "needs"), [("affinity", {"image"}), ("channel", {"image"}), ("text", {"image", "prompts"})]
)
def test_prompts_are_needed_by_mode_text_only(mode: str, needs: set[str]) -> None:
    assert ClipSimilarity(mode=mode).needs == needs


def test_taps_of_a_configuration_become_a_tuple() -> None:
    refiner = ClipSimilarity(taps=[2, 4])  # type: ignore[arg-type]
    assert refiner == ClipSimilarity(taps=(2, 4))
    assert hash(refiner) == hash(ClipSimilarity(taps=(2, 4)))


def test_own_encoder_is_not_part_of_the_description(encoder: CountingEncoder) -> None:
    assert "encoder" not in repr(ClipSimilarity(encoder=encoder))
    assert ClipSimilarity(encoder=encoder) != ClipSimilarity()


@pytest.mark.parametrize("grid", ["whole", "tiled"])
@pytest.mark.parametrize("mode", MODES)
def test_refiner_agrees_with_the_function(mode: str, grid: str, encoder: CountingEncoder) -> None:
    tokens, context = random_tokens(), RefinerContext(random_pixels(), PROMPTS)
    refiner = ClipSimilarity(beta=0.6, mode=mode, taps=TAPS, grid=grid, window=5, encoder=encoder)
    features = encoder.encode_image(context.pixels, TAPS, grid)
    expected = clip_similarity(
        tokens,
        clip_reference(features, SIDE, mode=mode, window=5),
        text=encoder.encode_text(PROMPTS) if mode == "text" else None,
        beta=0.6,
        mode=mode,
        window=5,
    )
    torch.testing.assert_close(refiner(tokens, context), expected)


def test_every_number_reaches_the_result(encoder: CountingEncoder) -> None:
    tokens, context = random_tokens(), RefinerContext(random_pixels(), PROMPTS)
    plain = ClipSimilarity(taps=TAPS, encoder=encoder)
    changes: list[dict[str, Any]] = [
        {"beta": 0.4}, {"mode": "channel"}, {"mode": "text"}, {"taps": (1, 4)}, {"grid": "tiled"}, {"window": 5}
    ]  # fmt: skip
    results = [plain(tokens, context), *(dataclasses.replace(plain, **each)(tokens, context) for each in changes)]
    for index, first in enumerate(results):
        assert all((first - second).abs().max() > 1e-4 for second in results[:index])


def test_no_strength_runs_no_clip(encoder: CountingEncoder) -> None:
    tokens = random_tokens()
    refiner = ClipSimilarity(beta=0, encoder=encoder)  # not even its blocks 6 to 24, which the tiny model has not
    assert torch.equal(refiner(tokens, RefinerContext(random_pixels())), tokens)
    assert encoder.images_read == 0


def test_clip_runs_once_per_image_whatever_prompts_refiners_and_places(encoder: CountingEncoder) -> None:
    context = RefinerContext(random_pixels())
    refiners = [
        ClipSimilarity(taps=TAPS, encoder=encoder, mode=mode, beta=beta, window=window)
        for mode in MODES
        for beta in (0.3, 0.5)
        for window in (3, 5)
    ]
    for rows, prompts in ((1, ()), (3, PROMPTS), (2, PROMPTS[:2])):
        for refiner in refiners:
            if prompts or refiner.mode != "text":
                refiner(random_tokens(rows), context.with_prompts(prompts))
    assert encoder.images_read == 1


def test_maps_of_another_size_do_not_run_clip_again(encoder: CountingEncoder) -> None:
    context, refiner = RefinerContext(random_pixels()), ClipSimilarity(taps=TAPS, encoder=encoder)
    for side in (SIDE, SIDE + 1):
        fresh = refiner(random_tokens(side=side), RefinerContext(random_pixels()))
        torch.testing.assert_close(refiner(random_tokens(side=side), context), fresh)
    assert encoder.images_read == 3  # two fresh contexts, and the shared one


@pytest.mark.parametrize("change", [{"taps": (1, 4)}, {"grid": "tiled"}, {"encoder": CountingEncoder(seed=5)}], ids=str)
def test_what_another_refiner_left_is_not_mistaken(change: dict[str, Any], encoder: CountingEncoder) -> None:
    tokens, context = random_tokens(), RefinerContext(random_pixels())
    first = ClipSimilarity(taps=TAPS, encoder=encoder)
    second = dataclasses.replace(first, **change)
    first(tokens, context)
    assert torch.equal(second(tokens, context), second(tokens, RefinerContext(random_pixels())))


def test_prompts_are_read_once_for_all_images(encoder: CountingEncoder) -> None:
    refiner = ClipSimilarity(mode="text", taps=TAPS, encoder=encoder)
    for image in range(3):
        refiner(random_tokens(), RefinerContext(random_pixels(seed=image), PROMPTS))
    assert encoder.prompts_read == len(PROMPTS)


@pytest.mark.parametrize("mode", MODES)
def test_rows_are_compared_with_their_own_image(mode: str, encoder: CountingEncoder) -> None:
    refiner = ClipSimilarity(mode=mode, taps=TAPS, encoder=encoder)
    tokens, pixels, images = random_tokens(), random_pixels(2), (1, 0, 1)
    together = refiner(tokens, RefinerContext(pixels, PROMPTS, torch.tensor(images)))
    for row, image in enumerate(images):
        alone = RefinerContext(pixels[image : image + 1], PROMPTS[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], refiner(tokens[row : row + 1], alone))


@pytest.mark.parametrize("mode", ["affinity", "channel"])
def test_batch_of_images_needs_no_index(mode: str, encoder: CountingEncoder) -> None:
    refiner = ClipSimilarity(mode=mode, taps=TAPS, at="trunk", encoder=encoder)
    tokens, pixels = random_tokens(2), random_pixels(2)
    together = refiner(tokens, RefinerContext(pixels))
    for row in range(2):
        alone = refiner(tokens[row : row + 1], RefinerContext(pixels[row : row + 1]))
        torch.testing.assert_close(together[row : row + 1], alone)


# ---- weights


def test_refiner_says_that_it_has_weights() -> None:
    assert isinstance(ClipSimilarity(), HasWeights)


def test_loading_finds_blocks_that_are_not_there(encoder: CountingEncoder) -> None:
    with pytest.raises(OptionError, match=r"taps must be blocks from 1 to 4 of tiny, got \(6, 12, 18, 24\)"):
        ClipSimilarity(encoder=encoder).load(torch.device("cpu"))


def test_loading_of_an_own_encoder_reads_nothing(encoder: CountingEncoder) -> None:
    ClipSimilarity(encoder=encoder, taps=TAPS).load(torch.device("cpu"))
    assert encoder.images_read == 0


def test_encoder_on_another_device_is_refused(encoder: CountingEncoder) -> None:
    with pytest.raises(OptionError, match="the CLIP encoder is on cpu, the tokens on meta; move it there first"):
        ClipSimilarity(encoder=encoder, taps=TAPS).load(torch.device("meta"))


def test_missing_weights_show_at_loading(tmp_path: Path) -> None:
    refiner = ClipSimilarity(pretrained=str(tmp_path / "clip.safetensors"))
    with pytest.raises(CheckpointError, match=r"expected pretrained to be a tag of ViT-L-14-336 \(openai\) or a file"):
        refiner.load(torch.device("cpu"))
