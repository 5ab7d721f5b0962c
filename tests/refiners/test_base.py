"""What refiners are given, and what a chain of them does."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.refiners.base import (
    CustomRefiner,
    HasWeights,
    Refiner,
    RefinerContext,
    check_choice,
    check_place,
    check_range,
    refine,
)
from segearth_ov3.refiners.clip_similarity import ClipSimilarity
from segearth_ov3.refiners.smoothing import Smoothing

PIXELS = torch.zeros(2, 3, 4, 4)
TOKENS = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).reshape(2, 3, 4, 4)


def custom(function: object) -> CustomRefiner:
    """A refiner that ignores its context."""
    return CustomRefiner(function=lambda tokens, context: function(tokens))  # type: ignore[operator]


# ---- the context


def test_once_makes_a_value_once_for_all_prompts() -> None:
    made = []
    context = RefinerContext(PIXELS)
    views = [context, context.with_prompts(["a"]), context.with_prompts(["b"]).with_prompts(["c"])]
    values = [view.once("key", lambda: made.append(1) or len(made)) for view in views]
    assert (values, made) == ([1, 1, 1], [1])


def test_once_keeps_none_and_tells_keys_apart() -> None:
    made: list[str] = []
    context = RefinerContext(PIXELS)
    for key in ("first", "second", "first", "second"):
        assert context.once(key, lambda key=key: made.append(key)) is None
    assert made == ["first", "second"]


def test_contexts_of_two_images_share_nothing() -> None:
    assert [RefinerContext(PIXELS).once("key", lambda value=value: value) for value in (1, 2)] == [1, 2]


def test_value_whose_making_fails_is_made_again() -> None:
    context = RefinerContext(PIXELS)
    with pytest.raises(ZeroDivisionError):
        context.once("key", lambda: 1 / 0)
    assert context.once("key", lambda: 5) == 5


def test_with_prompts_changes_prompts_and_whose_they_are() -> None:
    images = torch.tensor([1, 0])
    context = RefinerContext(PIXELS).with_prompts(["road", "tree"], images)
    assert context.prompts == ("road", "tree")
    assert context.pixels is PIXELS
    assert context.images is images


def test_context_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RefinerContext(PIXELS).prompts = ("road",)  # type: ignore[misc]


def test_rows_follow_the_images() -> None:
    values = torch.tensor([[1.0], [2.0]])
    context = RefinerContext(PIXELS, images=torch.tensor([1, 1, 0]))
    assert context.rows(values, 3).tolist() == [[2.0], [2.0], [1.0]]


@pytest.mark.parametrize(("images", "count"), [(1, 1), (1, 5), (3, 3)])
def test_rows_without_images_are_those_of_the_images(images: int, count: int) -> None:
    values = torch.arange(images)
    assert torch.equal(RefinerContext(PIXELS).rows(values, count), values)


def test_rows_that_belong_to_no_image_are_told() -> None:
    with pytest.raises(ShapeError, match="expected one image or one for each of 3 rows of tokens, got 2"):
        RefinerContext(PIXELS).rows(torch.arange(2), 3)


# ---- the chain


def test_failure_of_the_users_refiner_names_its_line() -> None:
    def divide(tokens: Tensor, context: RefinerContext) -> Tensor:
        return torch.cat([tokens, 1 / 0])  # type: ignore[list-item]

    line = divide.__code__.co_firstlineno + 1
    message = rf"divide.* failed \(.*test_base\.py, line {line}\): ZeroDivisionError: division by zero"
    with pytest.raises(OptionError, match=message):
        refine(TOKENS, [CustomRefiner(function=divide)], RefinerContext(PIXELS))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory"), ShapeError("odd")], ids=repr)
def test_lack_of_memory_and_own_errors_of_a_refiner_pass_through(error: Exception) -> None:
    def fail(tokens: Tensor, context: RefinerContext) -> Tensor:
        raise error

    with pytest.raises(type(error)) as caught:
        refine(TOKENS, [CustomRefiner(function=fail)], RefinerContext(PIXELS))
    assert caught.value is error


def test_chain_acts_in_order() -> None:
    chain = [custom(lambda x: x + 1), custom(lambda x: x * 2)]
    assert torch.equal(refine(TOKENS, chain, RefinerContext(PIXELS)), (TOKENS + 1) * 2)


def test_empty_chain_returns_the_same_tensor() -> None:
    assert refine(TOKENS, [], RefinerContext(PIXELS)) is TOKENS


def test_every_refiner_of_a_chain_gets_the_context() -> None:
    seen = []
    record = CustomRefiner(function=lambda tokens, context: seen.append(context) or tokens)
    context = RefinerContext(PIXELS)
    refine(TOKENS, [record, record], context)
    assert [each is context for each in seen] == [True, True]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x[:, :2], r"\(2, 3, 4, 4\).* got .*\(2, 2, 4, 4\)"),
        (lambda x: x.double(), "torch.float32.* got .*torch.float64"),
        (lambda x: x.to("meta"), r"device\(type='cpu'\).* got .*'meta'"),
    ],
    ids=["shape", "dtype", "device"],
)
def test_refiner_that_returns_other_tokens_is_named(function: object, message: str) -> None:
    with pytest.raises(ShapeError, match=f"CustomRefiner.* must return tokens like its input, .*{message}"):
        refine(TOKENS, [custom(lambda x: x), custom(function)], RefinerContext(PIXELS))


def test_refiner_that_forgets_to_return_is_named() -> None:
    with pytest.raises(OptionError, match=r"CustomRefiner.* must return tokens, got NoneType"):
        refine(TOKENS, [custom(lambda x: None)], RefinerContext(PIXELS))


@pytest.mark.parametrize("function", [lambda x: x.mul_(2), lambda x: x.mul_(2).clone(), lambda x: x[0].zero_() + x])
def test_refiner_that_changes_what_others_read_is_named(function: object) -> None:
    with pytest.raises(OptionError, match=r"CustomRefiner.* changed its input in place"):
        refine(TOKENS.clone(), [custom(function)], RefinerContext(PIXELS))


def test_chain_works_on_tokens_of_inference_mode() -> None:
    with torch.inference_mode():
        assert torch.equal(refine(TOKENS + 0, [custom(lambda x: x + 1)], RefinerContext(PIXELS)), TOKENS + 1)


# ---- custom refiners and protocols


def test_custom_refiner_applies_its_function_with_the_context() -> None:
    refiner = CustomRefiner(function=lambda tokens, context: tokens * len(context.prompts), at="memory")
    context = RefinerContext(PIXELS, prompts=("a", "b"))
    assert torch.equal(refiner(TOKENS, context), 2 * TOKENS)


def test_custom_refiner_at_no_place_is_refused() -> None:
    with pytest.raises(OptionError, match="at must be one of trunk, pyramid, memory, got 'neck'"):
        CustomRefiner(function=lambda tokens, context: tokens, at="neck")


@pytest.mark.parametrize("at", ["trunk", "pyramid"])
def test_prompts_are_refused_where_there_are_none(at: str) -> None:
    with pytest.raises(OptionError, match=f"prompts are read at='memory' only, got at='{at}'"):
        CustomRefiner(function=lambda tokens, context: tokens, at=at, needs=frozenset({"prompts"}))


def test_refiners_are_recognised_by_what_they_have() -> None:
    class Foreign:
        at, needs = "trunk", frozenset()

        def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
            return tokens

    assert isinstance(Foreign(), Refiner)
    assert not isinstance(lambda tokens, context: tokens, Refiner)


def test_refiners_with_weights_are_recognised() -> None:
    assert isinstance(ClipSimilarity(), HasWeights)
    assert not isinstance(Smoothing(), HasWeights)


# ---- checks


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 1, 1.0])
def test_numbers_in_the_range_pass(value: float) -> None:
    check_range({"alpha": value}, 0, 1)


@pytest.mark.parametrize("value", [-0.001, 1.001, math.nan, math.inf, True, "1", None, (0.5,)], ids=str)
def test_anything_else_is_told_with_its_name(value: object) -> None:
    with pytest.raises(OptionError, match="alpha must be a number from 0 to 1, got "):
        check_range({"beta": 0.5, "alpha": value}, 0, 1)  # type: ignore[dict-item]


def test_range_without_an_upper_end_takes_infinity() -> None:
    check_range({"radius": math.inf}, 0)


@pytest.mark.parametrize("value", [3, 5])
def test_choices_pass(value: object) -> None:
    check_choice("window", value, (3, 5))


@pytest.mark.parametrize("value", [4, "3", None, True, 3.0, [3]], ids=repr)
def test_what_is_no_choice_is_told_with_the_choices(value: object) -> None:
    with pytest.raises(OptionError, match="window must be one of 3, 5, got "):
        check_choice("window", value, (3, 5))


def test_truth_is_not_the_number_one() -> None:
    with pytest.raises(OptionError, match="radius must be one of 1, 2, got True"):
        check_choice("radius", True, (1, 2))


@pytest.mark.parametrize("at", [None, "", "Memory", 2], ids=repr)
def test_no_place_is_told(at: object) -> None:
    with pytest.raises(OptionError, match="at must be one of trunk, pyramid, memory, got "):
        check_place(at)
