from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segearth_ov3.engine.scores import (
    FusionSettings,
    fold_into_classes,
    kept_queries,
    labels_from_scores,
    presence_probs,
    query_scores,
    surviving_prompts,
)
from segearth_ov3.errors import OptionError, ShapeError

SIZE = (13, 9)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


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
    assert presence_probs(torch.tensor([0.0, -9.0]), FusionSettings(presence="off")).tolist() == [1.0, 1.0]


def test_score_at_the_confidence_threshold_is_not_kept() -> None:
    scores = torch.tensor([[0.5, 0.5 + 1e-6, 0.5 - 1e-6]])
    assert kept_queries(scores, FusionSettings(confidence_threshold=0.5)).tolist() == [[False, True, False]]


def test_without_the_instance_head_no_query_is_kept() -> None:
    settings = FusionSettings(confidence_threshold=0.0, use_instance=False)
    assert not kept_queries(torch.ones(2, 3), settings).any()


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
