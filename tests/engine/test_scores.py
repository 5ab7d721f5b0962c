from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from segearth_ov3.engine import scores as scores_module
from segearth_ov3.engine.scores import (
    FusionSettings,
    fold_into_classes,
    kept_queries,
    labels_from_scores,
    presence_probs,
    prompt_score_maps,
    query_scores,
    surviving_prompts,
)
from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.sam3.outputs import Masks

SIZE = (13, 9)


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


# ---- settings


@pytest.mark.parametrize("name", ["prob_threshold", "confidence_threshold"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_threshold_outside_0_to_1_is_refused(name: str, value: float) -> None:
    with pytest.raises(OptionError, match=f"{name} must lie in 0 to 1, got {value}"):
        FusionSettings(**{name: value})


def test_both_heads_off_is_refused() -> None:
    with pytest.raises(OptionError, match="use_semantic and use_instance are both off"):
        FusionSettings(use_semantic=False, use_instance=False)


# ---- the formula, by hand


def test_query_score_is_the_product_of_match_and_presence() -> None:
    scores = query_scores(torch.tensor([[2.0, -1.0], [0.5, 0.0]]), torch.tensor([0.25, 0.5]))
    expected = [[sigmoid(2.0) * 0.25, sigmoid(-1.0) * 0.25], [sigmoid(0.5) * 0.5, 0.25]]
    torch.testing.assert_close(scores, torch.tensor(expected))


def test_presence_is_the_sigmoid_of_its_logit() -> None:
    probs = presence_probs(torch.tensor([0.0, 20.0, -3.0]), FusionSettings())
    torch.testing.assert_close(probs, torch.tensor([0.5, sigmoid(20.0), sigmoid(-3.0)]))


def test_without_presence_it_is_one() -> None:
    assert presence_probs(torch.tensor([0.0, -9.0]), FusionSettings(use_presence=False)).tolist() == [1.0, 1.0]


def test_score_at_the_confidence_threshold_is_not_kept() -> None:
    scores = torch.tensor([[0.5, 0.5 + 1e-6, 0.5 - 1e-6]])
    assert kept_queries(scores, FusionSettings(confidence_threshold=0.5)).tolist() == [[False, True, False]]


def test_without_the_instance_head_no_query_is_kept() -> None:
    settings = FusionSettings(confidence_threshold=0.0, use_instance=False)
    assert not kept_queries(torch.ones(2, 3), settings).any()


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


# ---- chunks and corner cases


@pytest.mark.parametrize("budget", [1, 13 * 9 * 4, 13 * 9 * 4 * 3, 10**9])
def test_memory_budget_does_not_change_the_scores(budget: int) -> None:
    keep = torch.rand((4, 10), generator=torch.Generator().manual_seed(1)) > 0.3
    queries = torch.rand((4, 10), generator=torch.Generator().manual_seed(2))
    whole = fused(random_masks(keep), queries, torch.ones(4), FusionSettings())
    chunked = fused(random_masks(keep), queries, torch.ones(4), FusionSettings(), memory_budget=budget)
    torch.testing.assert_close(chunked, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("budget_masks", "masks"), [(5.1, 5), (4.9, 4), (1.9, 1), (0.0, 1)])
def test_upsampled_masks_stay_within_the_memory_budget(
    monkeypatch: pytest.MonkeyPatch, budget_masks: float, masks: int
) -> None:
    sizes = []
    upsample = scores_module._upsampled_probs

    def recording(logits: Tensor, size: tuple[int, int]) -> Tensor:
        result = upsample(logits, size)
        sizes.append(len(result))
        return result

    monkeypatch.setattr(scores_module, "_upsampled_probs", recording)
    budget = int(budget_masks * SIZE[0] * SIZE[1] * 4)
    fused(
        random_masks(torch.ones((2, 12), dtype=torch.bool)),
        torch.ones(2, 12),
        torch.ones(2),
        FusionSettings(),
        memory_budget=budget,
    )
    assert max(sizes) == masks


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


# ---- classes and labels


def test_class_score_is_the_maximum_over_synonyms() -> None:
    maps = torch.rand((5, *SIZE))
    folded = fold_into_classes(torch.zeros(3, *SIZE), enumerate(maps), (0, 0, 1, 2, 2))
    expected = torch.stack([torch.maximum(maps[0], maps[1]), maps[2], torch.maximum(maps[3], maps[4])])
    assert torch.equal(folded, expected)


def test_prompts_left_out_count_as_zero() -> None:
    maps = torch.rand((2, *SIZE))
    folded = fold_into_classes(torch.zeros(3, *SIZE), [(0, maps[0]), (3, maps[1])], (0, 1, 1, 2))
    assert torch.equal(folded, torch.stack([maps[0], torch.zeros(SIZE), maps[1]]))


def test_lowest_class_wins_a_tie() -> None:
    scores = torch.tensor([0.1, 0.7, 0.7, 0.2])[:, None, None].expand(-1, *SIZE)
    assert (labels_from_scores(scores, 0.0, 0) == 1).all()


def test_best_score_below_the_threshold_becomes_background() -> None:
    scores = torch.tensor([[[0.1, 0.1, 0.1]], [[0.39, 0.4, 0.41]]])
    assert labels_from_scores(scores, 0.4, 0).tolist() == [[0, 1, 1]]


def test_background_may_be_any_class() -> None:
    scores = torch.tensor([[[0.3]], [[0.2]], [[0.1]]])
    assert labels_from_scores(scores, 0.4, 2).tolist() == [[2]]


def test_without_background_every_pixel_gets_its_best_class() -> None:
    scores = torch.tensor([[[0.1]], [[0.2]]])
    assert labels_from_scores(scores, 0.9, None).tolist() == [[1]]


def test_labels_are_int64() -> None:
    assert labels_from_scores(torch.rand(2, *SIZE), 0.5, 0).dtype == torch.int64


def test_scores_without_class_axis_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected class scores \(C, H0, W0\), got \(13, 9\)"):
        labels_from_scores(torch.rand(SIZE), 0.5, 0)


# ---- the presence bound


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32), st.floats(0, 1))
def test_no_pixel_reaches_a_threshold_that_the_presence_does_not(
    presence: float, best: float, threshold: float
) -> None:
    probs = torch.tensor([presence])
    if not surviving_prompts(probs, FusionSettings(prob_threshold=threshold)):
        assert (probs * torch.tensor([best]) < threshold).all()


def test_prompt_at_the_threshold_survives() -> None:
    settings = FusionSettings(prob_threshold=0.3)
    below = np.nextafter(np.float32(0.3), np.float32(0))
    assert surviving_prompts(torch.tensor([0.3, below]), settings).tolist() == [True, False]
