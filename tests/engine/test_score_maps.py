"""Masks to score maps: by hand, against torch's own upsampling of whole maps, and in blocks of any size."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import interpolate

from segearth_ov3.engine import score_maps
from segearth_ov3.engine.score_maps import prompt_score_maps
from segearth_ov3.engine.scores import FusionSettings, presence_probs, query_scores
from segearth_ov3.engine.upsampling import Upsampler
from segearth_ov3.errors import ShapeError
from segearth_ov3.sam3.outputs import Masks

SIZE = (13, 9)
CPU = torch.device("cpu")


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def constant_masks(masks: list[tuple[int, int, float]], semantic: list[float], side: int = 4) -> Masks:
    """Masks that are constant over the image: (prompt, query, logit), and one semantic logit per prompt."""
    return Masks(
        mask_logits=torch.tensor([logit for *_, logit in masks])[:, None, None].expand(-1, side, side),
        prompt_index=torch.tensor([prompt for prompt, *_ in masks], dtype=torch.int64),
        query_index=torch.tensor([query for _, query, _ in masks], dtype=torch.int64),
        semantic_logits=torch.tensor(semantic)[:, None, None].expand(-1, side, side),
    )


def random_masks(keep: Tensor, seed: int = 0, side: int = 6, spread: float = 3.0) -> Masks:
    """Masks of the kept queries (P, Q) with random logits."""
    generator = torch.Generator().manual_seed(seed)
    prompt_index, query_index = keep.nonzero(as_tuple=True)
    logits = spread * torch.randn((len(prompt_index), side, side), generator=generator)
    semantic = spread * torch.randn((len(keep), side, side), generator=generator)
    return Masks(logits, prompt_index, query_index, semantic)


def fused(masks: Masks, queries: Tensor, presence: Tensor, settings: FusionSettings, **options: int) -> Tensor:
    return torch.stack(list(prompt_score_maps(masks, queries, presence, SIZE, settings, **options)))


def bilinear(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Whole maps (n, h, w) at once by torch."""
    return interpolate(logits[None].float(), size=size, mode="bilinear", align_corners=False)[0]


def plain_score(masks: Masks, queries: Tensor, presence: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores of all prompts (P, H0, W0) with every mask at full size."""
    scores = bilinear(masks.semantic_logits, size).sigmoid()
    amplitudes = queries[masks.prompt_index, masks.query_index]
    for prompt, amplitude, mask in zip(masks.prompt_index, amplitudes, bilinear(masks.mask_logits, size).sigmoid()):
        scores[prompt] = torch.maximum(scores[prompt], amplitude * mask)
    return presence[:, None, None] * scores


def small_objects(count: int, side: int = 24, seed: int = 0) -> Tensor:
    """Masks (n, side, side) of discs that cover little of the image, as objects do."""
    places = torch.rand((count, 2, 1, 1), generator=torch.Generator().manual_seed(seed)) * side
    steps = torch.arange(side)
    distance = ((steps[:, None] - places[:, 0]) ** 2 + (steps - places[:, 1]) ** 2).sqrt()
    return 4 * (2 - distance).clamp(min=-3)


# ---- the formula, by hand


def test_presence_enters_amplitude_and_product() -> None:
    presence, match, mask = 0.6, 1.5, 2.0
    queries = query_scores(torch.tensor([[match]]), torch.tensor([presence]))
    score = fused(constant_masks([(0, 0, mask)], [-9.0]), queries, torch.tensor([presence]), FusionSettings())
    expected = presence * (sigmoid(match) * presence * sigmoid(mask))
    torch.testing.assert_close(score, torch.full((1, *SIZE), expected))


def test_semantic_map_is_weighted_by_presence_once() -> None:
    score = fused(constant_masks([], [0.7]), torch.zeros(1, 1), torch.tensor([0.3]), FusionSettings())
    torch.testing.assert_close(score, torch.full((1, *SIZE), 0.3 * sigmoid(0.7)))


def test_best_of_instances_and_semantic_map_counts() -> None:
    masks = constant_masks([(0, 0, 1.0), (0, 2, 3.0), (1, 1, -2.0)], [0.0, 1.0])
    queries = torch.tensor([[0.9, 0.0, 0.8], [0.0, 0.7, 0.0]])
    score = fused(masks, queries, torch.tensor([1.0, 0.5]), FusionSettings())
    best = torch.tensor([max(0.9 * sigmoid(1.0), 0.8 * sigmoid(3.0), 0.5), 0.5 * sigmoid(1.0)])
    torch.testing.assert_close(score[:, 0, 0], best)


def test_without_the_semantic_head_only_instances_count() -> None:
    masks = constant_masks([(0, 0, -1.0)], [5.0, 5.0])
    score = fused(masks, torch.full((2, 1), 0.9), torch.ones(2), FusionSettings(use_semantic=False))
    torch.testing.assert_close(score[:, 0, 0], torch.tensor([0.9 * sigmoid(-1.0), 0.0]))


def test_without_the_instance_head_only_the_semantic_map_counts() -> None:
    masks = constant_masks([(0, 0, 5.0)], [-1.0])
    score = fused(masks, torch.full((1, 1), 0.9), torch.ones(1), FusionSettings(use_instance=False))
    torch.testing.assert_close(score[:, 0, 0], torch.tensor([sigmoid(-1.0)]))


@pytest.mark.parametrize("head", ["semantic", "instance"])
def test_logits_are_upsampled_bilinearly_before_the_sigmoid(head: str) -> None:
    # pixel centres of 4 columns lie at -0.25, 0.25, 0.75, 1.25 of the 2 columns; the outer ones are clamped
    logits = torch.tensor([[[-10.0, 10.0], [-10.0, 10.0]]])
    none = torch.full_like(logits, -100.0)
    index = torch.zeros(1, dtype=torch.int64)
    masks = Masks(logits if head == "instance" else none, index, index, logits if head == "semantic" else none)
    (score,) = prompt_score_maps(masks, torch.ones(1, 1), torch.ones(1), (2, 4), FusionSettings())
    expected = torch.tensor([sigmoid(-10.0), sigmoid(-5.0), sigmoid(5.0), sigmoid(10.0)])
    torch.testing.assert_close(score, expected.expand(2, 4))


def test_rows_and_columns_are_not_exchanged() -> None:
    logits = torch.tensor([[[-8.0, -8.0], [8.0, 8.0]]])
    empty = torch.zeros(0, dtype=torch.int64)
    masks = Masks(torch.zeros(0, 2, 2), empty, empty, logits)
    (score,) = prompt_score_maps(masks, torch.zeros(1, 1), torch.ones(1), (4, 6), FusionSettings())
    assert score.shape == (4, 6)
    assert (score[0] < 0.5).all()
    assert (score[-1] > 0.5).all()


@pytest.mark.parametrize("budget", [1, 13 * 9 * 4, 13 * 9 * 4 * 3, 10**9])
def test_memory_budget_does_not_change_the_scores(budget: int) -> None:
    keep = torch.rand((4, 10), generator=torch.Generator().manual_seed(1)) > 0.3
    queries = torch.rand((4, 10), generator=torch.Generator().manual_seed(2))
    whole = fused(random_masks(keep), queries, torch.ones(4), FusionSettings())
    chunked = fused(random_masks(keep), queries, torch.ones(4), FusionSettings(), memory_budget=budget)
    torch.testing.assert_close(chunked, whole, atol=1e-6, rtol=0)


def test_prompts_without_masks_between_others_get_their_own() -> None:
    keep = torch.tensor([[True, False], [False, False], [True, True]])
    masks = random_masks(keep)
    queries, presence = torch.rand((3, 2)), torch.tensor([0.9, 0.5, 0.7])
    together = fused(masks, queries, presence, FusionSettings())
    for prompt in range(3):
        own = masks.prompt_index == prompt
        alone = Masks(
            masks.mask_logits[own],
            torch.zeros(int(own.sum()), dtype=torch.int64),
            masks.query_index[own],
            masks.semantic_logits[prompt : prompt + 1],
        )
        part = slice(prompt, prompt + 1)
        score = fused(alone, queries[part], presence[part], FusionSettings())[0]
        torch.testing.assert_close(score, together[prompt], atol=1e-6, rtol=0)


def test_no_kept_query_and_no_semantic_head_scores_zero() -> None:
    score = fused(constant_masks([], [3.0, 3.0]), torch.zeros(2, 5), torch.ones(2), FusionSettings(use_semantic=False))
    assert torch.equal(score, torch.zeros(2, *SIZE))


def test_no_prompt_gives_no_map() -> None:
    masks = random_masks(torch.zeros((0, 5), dtype=torch.bool))
    assert list(prompt_score_maps(masks, torch.zeros(0, 5), torch.zeros(0), SIZE, FusionSettings())) == []


@pytest.mark.parametrize("logit", [1e30, -1e30])
def test_extreme_logits_give_finite_scores(logit: float) -> None:
    presence = presence_probs(torch.tensor([logit]), FusionSettings())
    queries = query_scores(torch.tensor([[logit]]), presence)
    score = fused(constant_masks([(0, 0, logit)], [logit]), queries, presence, FusionSettings())
    assert torch.equal(score, torch.full((1, *SIZE), float(logit > 0)))


def test_half_precision_logits_are_fused_in_float32() -> None:
    masks = random_masks(torch.ones((1, 3), dtype=torch.bool))
    half = masks._replace(mask_logits=masks.mask_logits.half(), semantic_logits=masks.semantic_logits.half())
    exact = masks._replace(mask_logits=half.mask_logits.float(), semantic_logits=half.semantic_logits.float())
    arguments = torch.full((1, 3), 0.9), torch.ones(1), FusionSettings()
    assert torch.equal(fused(half, *arguments), fused(exact, *arguments))


@pytest.mark.parametrize(
    ("queries", "presence", "message"),
    [((3, 2), (2,), "query scores"), ((2, 2), (3,), "presence probabilities")],
)
def test_disagreeing_arguments_are_refused(queries: tuple[int, ...], presence: tuple[int, ...], message: str) -> None:
    masks = random_masks(torch.ones((2, 2), dtype=torch.bool))
    with pytest.raises(ShapeError, match=f"expected {message}"):
        list(prompt_score_maps(masks, torch.ones(queries), torch.ones(presence), SIZE, FusionSettings()))


# ---- blocks


@pytest.mark.parametrize("size", [(13, 9), (24, 24), (96, 50), (301, 7), (1, 1), (5, 200)])
@pytest.mark.parametrize("budget", [1, 5000, 10**9, None])
def test_blocks_of_any_size_equal_whole_maps(size: tuple[int, int], budget: int | None) -> None:
    keep = torch.rand((3, 9), generator=torch.Generator().manual_seed(1)) > 0.3
    queries = torch.rand((3, 9), generator=torch.Generator().manual_seed(2))
    presence = torch.tensor([1.0, 0.3, 0.8])
    masks = random_masks(keep, side=24)
    maps = torch.stack(list(prompt_score_maps(masks, queries, presence, size, FusionSettings(), memory_budget=budget)))
    torch.testing.assert_close(maps, plain_score(masks, queries, presence, size), atol=1e-6, rtol=0)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 90), st.integers(1, 40), st.integers(1, 90), st.integers(1, 17))
def test_rows_in_blocks_are_those_of_torch(low: int, high: int, narrow: int, wide: int, step: int) -> None:
    maps = 9 * torch.randn((2, low, narrow), generator=torch.Generator().manual_seed(low * high))
    upsample = Upsampler((low, narrow), (high, wide), maps.device)
    blocks = [slice(start, min(start + step, high)) for start in range(0, high, step)]
    found = torch.cat([upsample(maps[:, upsample.source_rows(rows)], rows) for rows in blocks], dim=1)
    torch.testing.assert_close(found, bilinear(maps, (high, wide)), atol=2e-5, rtol=0)


def test_upsampling_for_other_devices_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere than on a CPU rows come before columns; here both orders run on the CPU."""
    maps, upsample = random_masks(torch.ones((1, 4)) > 0, side=24).mask_logits, Upsampler((24, 24), (70, 51), CPU)
    rows = slice(20, 45)
    other = upsample.columns_last(maps[:, upsample.source_rows(rows)], rows)
    torch.testing.assert_close(other, upsample.columns_first(maps[:, upsample.source_rows(rows)], rows))


@pytest.mark.parametrize(("budget_rows", "together"), [(8.1, 2), (4.1, 1), (0.5, 1), (100.0, 4)])
def test_upsampled_masks_stay_within_the_memory_budget(
    monkeypatch: pytest.MonkeyPatch, budget_rows: float, together: int
) -> None:
    made: list[tuple[int, int]] = []
    upsample = Upsampler.__call__

    def recording(self: Upsampler, maps: Tensor, rows: slice) -> Tensor:
        result = upsample(self, maps, rows)
        made.append((result.shape[0], result.shape[1]))
        return result

    monkeypatch.setattr(Upsampler, "__call__", recording)
    row_bytes = 3 * 4 * SIZE[1]  # of one mask, with what is needed to make it
    budget = int(budget_rows * row_bytes)
    masks, ones = random_masks(torch.ones((2, 12), dtype=torch.bool)), torch.ones(2, 12)
    fused(masks, ones, torch.ones(2), FusionSettings(), memory_budget=budget)
    assert max(count * rows for count, rows in made) <= max(1, budget_rows)
    assert max(count for count, _ in made) >= together


# ---- masks that are left out


def test_masks_too_weak_for_a_block_are_left_out_without_changing_a_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    keep = torch.ones((1, 40), dtype=torch.bool)
    masks = random_masks(keep, side=24, spread=0.2)._replace(mask_logits=small_objects(40))
    queries, presence = torch.linspace(0.5, 1, 40)[None], torch.ones(1)
    done = []
    upsample = Upsampler.__call__
    monkeypatch.setattr(Upsampler, "__call__", lambda *args: done.append(len(args[1])) or upsample(*args))
    some = list(prompt_score_maps(masks, queries, presence, (240, 240), FusionSettings(), memory_budget=200_000))
    few = sum(done)
    done.clear()
    monkeypatch.setattr(score_maps, "MARGIN", math.inf)  # every mask might reach every block
    whole = list(prompt_score_maps(masks, queries, presence, (240, 240), FusionSettings(), memory_budget=200_000))
    assert torch.equal(some[0], whole[0])
    assert few < 0.5 * sum(done)


@pytest.mark.parametrize("floor", [0.05, 0.3, 0.6, 1.0])
def test_scores_from_the_floor_on_are_exact_and_others_stay_below(floor: float) -> None:
    keep = torch.ones((2, 40), dtype=torch.bool)
    masks = random_masks(keep, side=24)._replace(mask_logits=small_objects(80))
    masks = masks._replace(semantic_logits=masks.semantic_logits - 8)
    queries, presence = torch.linspace(0.2, 1, 80).reshape(2, 40), torch.tensor([0.7, 0.4])
    exact = fused(masks, queries, presence, FusionSettings(), memory_budget=1)
    bounded = fused(masks, queries, presence, FusionSettings(), memory_budget=1, floor=floor)
    assert torch.equal(bounded[exact >= floor], exact[exact >= floor])
    assert (bounded[exact < floor] < floor).all()
    assert not torch.equal(bounded, exact)


def test_counts_may_be_given() -> None:
    keep = torch.tensor([[True, False], [False, False], [True, True]])
    arguments = random_masks(keep), torch.rand((3, 2)), torch.ones(3), FusionSettings()
    assert torch.equal(fused(*arguments), fused(*arguments, counts=[1, 0, 2]))
