"""Token diagnostics against slow loops in numpy, and on maps whose numbers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.metrics.tokens import (
    TokenDiagnostics,
    boundary_sharpness,
    energy_divergence,
    mask_contrast,
    token_diagnostics,
    top_masks,
)

N, D, H, W, K = 3, 8, 7, 6, 9
SCALE = 4  # mask pixels per token


def random_tokens(seed: int = 0) -> Tensor:
    """(N, D, H, W) with a common part, so that cosines are not all near 0."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((N, D, H, W), generator=generator) + torch.randn((N, D, 1, 1), generator=generator)


def random_importance(seed: int = 0) -> Tensor:
    return torch.rand((N, H, W), generator=torch.Generator().manual_seed(seed + 50))


def blobs(count: int, seed: int = 0) -> Tensor:
    """Probabilities (count, SCALE * H, SCALE * W): soft discs at random places."""
    generator = torch.Generator().manual_seed(seed + 100)
    centre = torch.rand((count, 2, 1, 1), generator=generator) * torch.tensor([H, W])[:, None, None]
    radius = 1.5 + 2 * torch.rand((count, 1, 1), generator=generator)
    rows = (torch.arange(SCALE * H) + 0.5)[:, None] / SCALE
    cols = (torch.arange(SCALE * W) + 0.5)[None] / SCALE
    return (2 * (radius - (rows - centre[:, 0]).hypot(cols - centre[:, 1]))).sigmoid()


def random_masks(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """K masks of prompts 0 and 2 in mixed order (5 of them prompt 2's), their prompts, and scores."""
    prompt = torch.tensor([2, 0, 2, 0, 2, 0, 2, 0, 2])
    return blobs(K, seed), prompt, torch.rand(K, generator=torch.Generator().manual_seed(seed + 200))


def token_masks(seed: int = 0) -> Tensor:
    """(N, 3, H, W): random masks, one of them empty and one full."""
    masks = torch.nn.functional.avg_pool2d(blobs(3 * N, seed), SCALE).unflatten(0, (N, 3))
    masks[0, 1], masks[1, 2] = 0.0, 1.0
    return masks


def channels_last(tokens: Tensor) -> np.ndarray:
    """(N, H, W, D), float64."""
    return tokens.permute(0, 2, 3, 1).double().numpy()


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    length = math.sqrt(a @ a) * math.sqrt(b @ b)
    return float(a @ b) / length if length else 0.0


def mean_of_defined(values: list[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan


# ---- slow references, one map and one mask at a time; tokens are (H, W, D) here


def slow_divergence(tokens: np.ndarray, importance: np.ndarray) -> float:
    cells = list(np.ndindex(importance.shape))
    lengths = [math.sqrt(sum(value**2 for value in tokens[cell])) for cell in cells]
    total = 0.0
    for length, cell in zip(lengths, cells):
        p, w = length / sum(lengths), importance[cell] / importance.sum()
        total += p * math.log(p / w)
    return total


def slow_contrast(tokens: np.ndarray, mask: np.ndarray, temperature: float) -> float:
    inside = [cell for cell in np.ndindex(mask.shape) if mask[cell] > 0.5]
    outside = [cell for cell in np.ndindex(mask.shape) if mask[cell] <= 0.5]
    if not inside or not outside:
        return math.nan
    weight = sum(mask[cell] for cell in inside)
    prototype = sum(mask[cell] * tokens[cell] for cell in inside) / weight
    negatives = sum(math.exp(cosine(tokens[cell], prototype) / temperature) for cell in outside)
    loss = 0.0
    for cell in inside:
        positive = math.exp(cosine(tokens[cell], prototype) / temperature)
        loss -= mask[cell] / weight * math.log(positive / (positive + negatives))
    return loss


def slow_sharpness(tokens: np.ndarray, mask: np.ndarray) -> float:
    height, width = mask.shape
    inside = {cell for cell in np.ndindex(mask.shape) if mask[cell] > 0.5}
    eroded = set()
    for row, col in inside:
        around = [(row + i, col + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
        if all(cell in inside for cell in around if 0 <= cell[0] < height and 0 <= cell[1] < width):
            eroded.add((row, col))
    across, within = [], []
    for row, col in np.ndindex(mask.shape):
        for other in ((row + 1, col), (row, col + 1)):
            if other[0] == height or other[1] == width:
                continue
            distance = 1 - cosine(tokens[row, col], tokens[other])
            if ((row, col) in inside) != (other in inside):
                across.append(distance)
            if (row, col) in eroded and other in eroded:
                within.append(distance)
    return sum(across) / len(across) - sum(within) / len(within) if across and within else math.nan


def slow_per_map(function, tokens: Tensor, masks: Tensor, *options: float) -> list[float]:
    """Mean over the masks of each map, where defined."""
    exact = channels_last(tokens)
    return [
        mean_of_defined([function(exact[n], mask, *options) for mask in masks[n].double().numpy()])
        for n in range(len(exact))
    ]


def test_divergence_equals_a_slow_loop() -> None:
    tokens, importance = random_tokens(), random_importance()
    expected = [slow_divergence(*pair) for pair in zip(channels_last(tokens), importance.double().numpy())]
    np.testing.assert_allclose(energy_divergence(tokens, importance), expected, rtol=1e-4)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 1.0])
def test_contrast_equals_a_slow_loop(temperature: float) -> None:
    tokens, masks = random_tokens(), token_masks()
    expected = slow_per_map(slow_contrast, tokens, masks, temperature)
    np.testing.assert_allclose(mask_contrast(tokens, masks, temperature=temperature), expected, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_sharpness_equals_a_slow_loop(seed: int) -> None:
    tokens, masks = random_tokens(seed), token_masks(seed)
    expected = slow_per_map(slow_sharpness, tokens, masks)
    assert not np.isnan(expected).all()
    np.testing.assert_allclose(boundary_sharpness(tokens, masks), expected, atol=1e-5)


@pytest.mark.parametrize("top_k", [1, 2, 4, 6])
def test_top_masks_equal_a_slow_choice(top_k: int) -> None:
    probs, prompt, scores = random_masks()
    masks = top_masks(probs, prompt, scores, prompts=N, grid=(H, W), top_k=top_k)
    for n in range(N):
        own = sorted(np.flatnonzero(prompt == n), key=lambda index: -scores[index])[:top_k]
        expected = np.zeros((top_k, H, W), dtype=np.float32)
        for slot, index in enumerate(own):
            expected[slot] = probs[index].numpy().reshape(H, SCALE, W, SCALE).mean((1, 3))
        np.testing.assert_allclose(masks[n], expected, atol=1e-6)


def test_earlier_mask_of_equal_score_comes_first() -> None:
    probs = torch.tensor([0.1, 0.2, 0.3, 0.4])[:, None, None].expand(-1, 4, 4)
    masks = top_masks(probs, torch.tensor([1, 0, 1, 1]), torch.full((4,), 0.7), prompts=2, grid=(2, 2), top_k=2)
    torch.testing.assert_close(masks[:, :, 0, 0], torch.tensor([[0.2, 0.0], [0.1, 0.3]]))


def test_all_three_are_those_of_the_single_functions() -> None:
    tokens, importance = random_tokens(), random_importance()
    found = token_diagnostics(tokens, importance, *random_masks(), top_k=3, temperature=0.3)
    masks = top_masks(*random_masks(), prompts=N, grid=(H, W), top_k=3)
    expected = TokenDiagnostics(
        energy_divergence(tokens, importance),
        mask_contrast(tokens, masks, temperature=0.3),
        boundary_sharpness(tokens, masks),
    )
    for actual, single in zip(found, expected):
        assert torch.equal(actual.nan_to_num(-9), single.nan_to_num(-9))


# ---- known numbers


def test_energy_like_importance_has_no_divergence() -> None:
    tokens = random_tokens()
    importance = 7 * tokens.norm(dim=1)
    torch.testing.assert_close(energy_divergence(tokens, importance), torch.zeros(N), atol=1e-6, rtol=0)


def test_divergence_of_two_tokens_by_hand() -> None:
    tokens = torch.tensor([[[[3.0, 0.0]], [[4.0, -5.0]]]])  # both of length 5
    expected = 0.5 * math.log(0.5 / 0.2) + 0.5 * math.log(0.5 / 0.8)
    assert energy_divergence(tokens, torch.tensor([[[1.0, 4.0]]])).item() == pytest.approx(expected)


def test_token_without_energy_counts_nothing() -> None:
    tokens = torch.tensor([[[[1.0, 0.0, 1.0]]]])
    assert energy_divergence(tokens, torch.tensor([[[1.0, 2.0, 1.0]]])).item() == pytest.approx(math.log(2))
    assert energy_divergence(tokens, torch.tensor([[[1.0, 0.0, 1.0]]])).item() == pytest.approx(0.0, abs=1e-6)


def test_energy_where_nobody_looks_costs_as_much_as_eps_says() -> None:
    tokens = torch.ones(1, 4, 1, 2)
    divergence = energy_divergence(tokens, torch.tensor([[[1.0, 0.0]]]), eps=1e-6)
    assert divergence.item() == pytest.approx(0.5 * math.log(0.5) + 0.5 * math.log(0.5 / 1e-6))


def test_equal_tokens_have_the_contrast_of_a_guess() -> None:
    tokens = torch.tensor([1.0, -2.0, 3.0])[None, :, None, None].expand(1, 3, H, W)
    masks = torch.zeros(1, 1, H, W)
    masks[..., :2, :3] = 0.9
    assert mask_contrast(tokens, masks).item() == pytest.approx(math.log(1 + H * W - 6), rel=1e-5)


def test_contrast_of_orthogonal_regions_by_hand() -> None:
    tokens, masks = two_regions()
    expected = math.log(1 + 6 * 4 * math.exp(-1 / 0.2))  # cosine 1 inside, 0 with the 24 tokens outside
    assert mask_contrast(tokens, masks, temperature=0.2).item() == pytest.approx(expected, rel=1e-5)


def two_regions() -> tuple[Tensor, Tensor]:
    """A 6 x 8 map whose left and right half are orthogonal, and the mask of the left one."""
    tokens = torch.zeros(1, 2, 6, 8)
    tokens[:, 0, :, :4] = 2.0
    tokens[:, 1, :, 4:] = 3.0
    masks = torch.zeros(1, 1, 6, 8)
    masks[..., :4] = 0.8
    return tokens, masks


def test_sharpness_of_orthogonal_regions_is_one() -> None:
    assert boundary_sharpness(*two_regions()).item() == pytest.approx(1.0)


def test_sharpness_of_equal_tokens_is_zero() -> None:
    _, masks = two_regions()
    assert boundary_sharpness(torch.full((1, 5, 6, 8), 0.3), masks).item() == pytest.approx(0.0, abs=1e-6)


def test_tokens_on_the_boundary_count_as_neither_inside() -> None:
    tokens, masks = two_regions()
    tokens[:, :, ::2, 3] *= -1  # alternating along the boundary column: only pairs on or across it change
    assert boundary_sharpness(tokens, masks).item() == pytest.approx(1.0)


def test_border_of_the_image_is_no_boundary() -> None:
    # 2 columns at the image's left: column 0 is eroded mask only if the world beyond counts as inside
    tokens = torch.zeros(1, 2, 4, 4)
    tokens[:, 0, :, :2] = tokens[:, 1, :, 2:] = 1.0
    masks = torch.zeros(1, 1, 4, 4)
    masks[..., :2] = 1.0
    tokens[:, 0, 0, 0] = -1.0  # a pair of opposite tokens among the 3 in column 0
    assert boundary_sharpness(tokens, masks).item() == pytest.approx(1 - 2 / 3)


def test_token_half_covered_is_outside() -> None:
    tokens, masks = random_tokens()[:1], token_masks()[:1, :1]
    at_half = torch.where(masks > 0.5, masks, 0.5)
    torch.testing.assert_close(mask_contrast(tokens, at_half), mask_contrast(tokens, masks))
    torch.testing.assert_close(boundary_sharpness(tokens, at_half), boundary_sharpness(tokens, masks))


# ---- invariance


def test_scale_of_tokens_and_importance_does_not_count() -> None:
    tokens, importance = random_tokens(), random_importance()
    plain = token_diagnostics(tokens, importance, *random_masks())
    scaled = token_diagnostics(300 * tokens, 0.02 * importance, *random_masks())
    for before, after in zip(plain, scaled):
        torch.testing.assert_close(before, after, equal_nan=True, atol=1e-5, rtol=1e-5)


def test_order_of_masks_does_not_count() -> None:
    tokens, importance = random_tokens(), random_importance()
    order = torch.randperm(K, generator=torch.Generator().manual_seed(3))
    plain = token_diagnostics(tokens, importance, *random_masks())
    permuted = token_diagnostics(tokens, importance, *(each[order] for each in random_masks()))
    for before, after in zip(plain, permuted):
        torch.testing.assert_close(before, after, equal_nan=True, atol=0, rtol=0)


def test_maps_do_not_mix() -> None:
    tokens, importance = random_tokens(), random_importance()
    probs, prompt, scores = random_masks()
    order = torch.tensor([2, 0, 1])  # row of the permuted batch to row of the plain one
    new_row = order.argsort()
    plain = token_diagnostics(tokens, importance, probs, prompt, scores)
    permuted = token_diagnostics(tokens[order], importance[order], probs, new_row[prompt], scores)
    for before, after in zip(plain, permuted):
        torch.testing.assert_close(before[order], after, equal_nan=True, atol=1e-6, rtol=1e-6)


def test_transposed_maps_have_the_same_numbers() -> None:
    tokens, importance, (probs, *rest) = random_tokens(), random_importance(), random_masks()
    plain = token_diagnostics(tokens, importance, probs, *rest)
    turned = token_diagnostics(tokens.transpose(2, 3), importance.transpose(1, 2), probs.transpose(1, 2), *rest)
    for before, after in zip(plain, turned):
        torch.testing.assert_close(before, after, equal_nan=True, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_tokens_are_computed_in_float32(dtype: torch.dtype) -> None:
    tokens, importance = random_tokens().to(dtype), random_importance()
    half = token_diagnostics(tokens, importance, *random_masks())
    single = token_diagnostics(tokens.float(), importance, *random_masks())
    for actual, expected in zip(half, single):
        assert actual.dtype == torch.float32
        assert torch.equal(actual.nan_to_num(-9), expected.nan_to_num(-9))


def test_double_tokens_are_computed_in_double() -> None:
    tokens, masks = random_tokens().double(), token_masks()
    found = mask_contrast(tokens, masks)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found, slow_per_map(slow_contrast, tokens, masks, 0.1), rtol=1e-10)


def test_arguments_stay_as_they_were() -> None:
    arguments = [random_tokens(), random_importance(), *random_masks()]
    before = [each.clone() for each in arguments]
    token_diagnostics(*arguments)
    assert all(torch.equal(each, copy) for each, copy in zip(arguments, before))


# ---- nothing to measure


def test_prompt_without_masks_is_nan_and_the_others_are_not() -> None:
    found = token_diagnostics(random_tokens(), random_importance(), *random_masks())
    assert found.mask_contrast.isnan().tolist() == [False, True, False]
    assert found.boundary_sharpness.isnan().tolist() == [False, True, False]
    assert not found.energy_divergence.isnan().any()


def test_no_mask_at_all_is_nan() -> None:
    none = (torch.zeros(0, 8, 8), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    found = token_diagnostics(random_tokens(), random_importance(), *none)
    assert found.mask_contrast.isnan().all()
    assert found.boundary_sharpness.isnan().all()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("measure", [mask_contrast, boundary_sharpness])
def test_mask_of_nothing_or_everything_is_nan(measure, value: float) -> None:
    assert measure(random_tokens(), torch.full((N, 2, H, W), value)).isnan().all()


@pytest.mark.parametrize("measure", [mask_contrast, boundary_sharpness])
def test_unusable_masks_do_not_change_the_mean(measure) -> None:
    tokens, masks = random_tokens(), token_masks(1)[:, :1]
    more = torch.cat((torch.zeros_like(masks), masks, torch.ones_like(masks)), dim=1)
    assert not measure(tokens, masks).isnan().any()
    torch.testing.assert_close(measure(tokens, more), measure(tokens, masks))


def test_mask_without_eroded_pair_has_no_sharpness() -> None:
    masks = torch.zeros(N, 1, H, W)
    masks[:, :, 2:5, 2:5] = 1.0  # its erosion is one token
    assert boundary_sharpness(random_tokens(), masks).isnan().all()


@pytest.mark.parametrize(("tokens", "importance"), [(0.0, 1.0), (1.0, 0.0)])
def test_divergence_without_energy_or_importance_is_nan(tokens: float, importance: float) -> None:
    found = energy_divergence(torch.full((2, 3, 4, 4), tokens), torch.full((2, 4, 4), importance))
    assert found.isnan().all()


def test_zero_tokens_have_cosine_zero() -> None:
    masks = torch.zeros(1, 1, 6, 8)
    masks[..., :4] = 1.0
    zeros = torch.zeros(1, 3, 6, 8)
    assert mask_contrast(zeros, masks).item() == pytest.approx(math.log(1 + 24), rel=1e-6)
    assert boundary_sharpness(zeros, masks).item() == 0.0


# ---- arguments


def test_importance_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected importance \(3, 7, 6\), got \(3, 6, 7\); one map per"):
        energy_divergence(random_tokens(), torch.ones(N, W, H))


@pytest.mark.parametrize("measure", [mask_contrast, boundary_sharpness])
def test_masks_of_another_size_are_refused(measure) -> None:
    with pytest.raises(ShapeError, match=r"expected masks \(3, k, 7, 6\), got \(3, 2, 28, 24\); .* top_masks"):
        measure(random_tokens(), torch.ones(N, 2, SCALE * H, SCALE * W))


@pytest.mark.parametrize("short", [1, 2])
def test_other_number_of_masks_is_refused(short: int) -> None:
    masks = list(random_masks())
    masks[short] = masks[short][:-1]
    with pytest.raises(ShapeError, match=rf"expected {('', 'prompt_index', 'scores')[short]} \(9\), got \(8,\)"):
        token_diagnostics(random_tokens(), random_importance(), *masks)


def test_mask_of_no_prompt_is_refused() -> None:
    probs, prompt, scores = random_masks()
    with pytest.raises(OptionError, match=r"prompt_index must lie in 0 to 1, got \[0, 2\]"):
        top_masks(probs, prompt, scores, prompts=2, grid=(H, W))


@pytest.mark.parametrize("top_k", [0, -1, 2.0, True])
def test_odd_number_of_masks_is_refused(top_k: object) -> None:
    with pytest.raises(OptionError, match="top_k must be a whole number of at least 1, got"):
        token_diagnostics(random_tokens(), random_importance(), *random_masks(), top_k=top_k)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_temperature_must_be_positive(temperature: float) -> None:
    with pytest.raises(OptionError, match="temperature must be above 0, got"):
        mask_contrast(random_tokens(), token_masks(), temperature=temperature)
