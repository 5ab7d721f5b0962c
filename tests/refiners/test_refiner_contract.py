"""What every entry of REFINERS promises, whatever it does to tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from inspect import signature
from typing import Any, NamedTuple

import pytest
import torch
from tiny_clip import CountingEncoder, random_pixels
from torch import Tensor

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.refiners import REFINERS
from segearth_ov3.refiners.base import PLACES, Refiner, RefinerContext
from segearth_ov3.refiners.clip_similarity import ClipSimilarity, clip_reference, clip_similarity
from segearth_ov3.refiners.graph_laplacian import GraphLaplacian, graph_laplacian
from segearth_ov3.refiners.lowpass import Lowpass, lowpass
from segearth_ov3.refiners.smoothing import Smoothing, smoothing

ROWS, WIDTH, SIDE = 3, 8, 6
CONTEXT = RefinerContext(random_pixels(), prompts=("road", "water", "building"))
CLIP: dict[str, Any] = {"taps": (2, 4), "encoder": CountingEncoder()}

# closeness of results that may differ by rounding
TOLERANCES = {torch.float64: 1e-9, torch.float32: 2e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}


class Case(NamedTuple):
    """A refiner with parameters that are not the defaults, the same with those that change nothing, its function."""

    refiner: Refiner
    identity: Refiner
    function: Callable[..., Tensor]


def similarity_to_tiny_clip(tokens: Tensor, *, beta: float, mode: str, taps: tuple[int, ...], window: int) -> Tensor:
    """`clip_similarity` with all that it takes."""
    encoder = CLIP["encoder"]
    features = encoder.encode_image(CONTEXT.pixels, taps, "whole")
    reference = clip_reference(features, tokens.shape[-1], mode=mode, window=window)
    text = encoder.encode_text(CONTEXT.prompts[: len(tokens)]) if mode == "text" else None
    return clip_similarity(tokens, reference, text=text, beta=beta, mode=mode, window=window)


BLEND = {"weight": 0.3, "kernel_size": 5, "mode": "blend"}
REFLECT = {"radius": 1.7, "alpha": 0.7, "shape": "butterworth", "order": 3, "padding": "reflect"}
NORMALIZED = {"lam": 0.7, "radius": 2, "temperature": 0.5, "normalized": True, "tolerance": 1e-6, "max_iterations": 60}

CASES = {
    "smoothing": Case(Smoothing(weight=0.4), Smoothing(weight=0), smoothing),
    "smoothing blend": Case(Smoothing(**BLEND), Smoothing(**{**BLEND, "weight": 0}), smoothing),
    "lowpass": Case(Lowpass(radius=1, alpha=0.6), Lowpass(alpha=0), lowpass),
    "lowpass reflect": Case(Lowpass(**REFLECT), Lowpass(**{**REFLECT, "alpha": 0}), lowpass),
    "graph_laplacian": Case(GraphLaplacian(lam=0.5), GraphLaplacian(lam=0), graph_laplacian),
    "graph_laplacian normalized": Case(
        GraphLaplacian(**NORMALIZED), GraphLaplacian(**{**NORMALIZED, "lam": 0}), graph_laplacian
    ),
    "clip_similarity": Case(
        ClipSimilarity(beta=0.8, window=5, **CLIP), ClipSimilarity(beta=0, **CLIP), similarity_to_tiny_clip
    ),
    "clip_similarity text": Case(
        ClipSimilarity(beta=0.8, mode="text", **CLIP),
        ClipSimilarity(beta=0, mode="text", **CLIP),
        similarity_to_tiny_clip,
    ),
}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCES, ids=str)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def random_tokens(dtype: torch.dtype = torch.float32, rows: int = ROWS) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn((rows, WIDTH, SIDE, SIDE), generator=generator, dtype=torch.float64).to(dtype)


def prompts_of(rows: list[int]) -> RefinerContext:
    return CONTEXT.with_prompts(CONTEXT.prompts[row] for row in rows)


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=TOLERANCES[expected.dtype], rtol=0)


def test_every_refiner_has_a_case() -> None:
    assert {type(each.refiner) for each in CASES.values()} == set(REFINERS.values())


@DTYPES
def test_result_is_like_the_input_and_finite(case: Case, dtype: torch.dtype) -> None:
    tokens = random_tokens(dtype)
    refined = case.refiner(tokens, CONTEXT)
    assert (refined.shape, refined.dtype, refined.device) == (tokens.shape, tokens.dtype, tokens.device)
    assert refined.isfinite().all()


def test_parameters_of_the_case_change_something(case: Case) -> None:
    tokens = random_tokens()
    assert (case.refiner(tokens, CONTEXT) - tokens).abs().max() > 0.05


@DTYPES
def test_identity_setting_changes_no_bit(case: Case, dtype: torch.dtype) -> None:
    tokens = random_tokens(dtype)
    assert torch.equal(case.identity(tokens, CONTEXT), tokens)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_agrees_with_single(case: Case, dtype: torch.dtype) -> None:
    tokens = random_tokens(dtype)
    assert_close(case.refiner(tokens, CONTEXT), case.refiner(tokens.float(), CONTEXT).to(dtype))


def test_double_precision_is_not_lost(case: Case) -> None:
    tokens = random_tokens(torch.float64)
    rounded = tokens.float().double()
    assert (case.refiner(tokens, CONTEXT) - case.refiner(rounded, CONTEXT)).abs().max() > 1e-9
    assert (case.refiner(rounded, CONTEXT) - case.refiner(rounded.float(), CONTEXT)).abs().max() < 1e-4


@DTYPES
def test_input_is_not_changed(case: Case, dtype: torch.dtype) -> None:
    tokens = random_tokens(dtype)
    before = tokens.clone()
    case.refiner(tokens, CONTEXT)
    assert torch.equal(tokens, before)


def test_no_maps_give_no_maps(case: Case) -> None:
    assert case.refiner(random_tokens(rows=0), prompts_of([])).shape == (0, WIDTH, SIDE, SIDE)


@pytest.mark.parametrize("layout", ["channels last", "every other row", "expanded"])
def test_layout_of_the_input_has_no_influence(case: Case, layout: str) -> None:
    tokens = random_tokens()
    if layout == "channels last":
        given = tokens.flatten(2).transpose(1, 2).contiguous().transpose(1, 2).unflatten(2, (SIDE, SIDE))
    elif layout == "every other row":
        given = tokens.repeat_interleave(2, dim=2)[:, :, ::2]
    else:
        given = tokens[:1].expand(ROWS, -1, -1, -1)
    assert not given.is_contiguous()
    assert_close(case.refiner(given, CONTEXT), case.refiner(given.contiguous(), CONTEXT))


def test_rows_may_be_reordered(case: Case) -> None:
    tokens, order = random_tokens(), [2, 0, 1]
    refined = case.refiner(tokens[order], prompts_of(order))
    assert_close(refined, case.refiner(tokens, CONTEXT)[order])


def test_rows_do_not_depend_on_each_other(case: Case) -> None:
    tokens = random_tokens() * torch.tensor([1.0, 5.0, 0.2])[:, None, None, None]
    alone = [case.refiner(tokens[row : row + 1], prompts_of([row])) for row in range(ROWS)]
    assert_close(case.refiner(tokens, CONTEXT), torch.cat(alone))


def test_function_and_dataclass_agree(case: Case) -> None:
    tokens = random_tokens()
    names = {field.name for field in dataclasses.fields(case.refiner)} & set(signature(case.function).parameters)
    parameters = {name: getattr(case.refiner, name) for name in names}
    assert torch.equal(case.refiner(tokens, CONTEXT), case.function(tokens, **parameters))


def test_function_and_dataclass_have_the_same_defaults(case: Case) -> None:
    defaults = {field.name: field.default for field in dataclasses.fields(case.refiner)}
    for name, parameter in signature(case.function).parameters.items():
        if name in defaults and parameter.default is not parameter.empty:
            assert parameter.default == defaults[name]


@DTYPES
def test_autocast_has_no_influence(case: Case, dtype: torch.dtype) -> None:
    tokens = random_tokens(dtype)
    CLIP["encoder"].forget_prompts()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = case.refiner(tokens, RefinerContext(CONTEXT.pixels, CONTEXT.prompts))  # CLIP reads both anew
    assert torch.equal(found, case.refiner(tokens, CONTEXT))


@pytest.mark.parametrize("place", PLACES)
def test_any_place_is_taken(case: Case, place: str) -> None:
    if "prompts" in case.refiner.needs and place != "memory":
        pytest.skip("prompts are read at memory only")
    assert dataclasses.replace(case.refiner, at=place).at == place


@pytest.mark.parametrize("place", ["decoder", "", None, 1])
def test_no_other_place_is_taken(case: Case, place: object) -> None:
    with pytest.raises(OptionError, match=r"at must be one of trunk, pyramid, memory, got"):
        dataclasses.replace(case.refiner, at=place)


def test_refiner_is_frozen_and_comparable(case: Case) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        case.refiner.at = "trunk"
    assert hash(dataclasses.replace(case.refiner)) == hash(case.refiner)
    assert dataclasses.replace(case.refiner) == case.refiner != case.identity


def test_parameters_are_given_by_name(case: Case) -> None:
    with pytest.raises(TypeError, match="positional argument"):
        type(case.refiner)(0.5)


def test_needs_are_what_the_engine_can_give(case: Case) -> None:
    assert case.refiner.needs <= {"image", "prompts"}


def test_tokens_without_a_grid_are_refused(case: Case) -> None:
    with pytest.raises(ShapeError, match="expected tokens"):
        case.refiner(random_tokens().flatten(2), CONTEXT)


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore:.*complex operators")  # inductor hands FFTs to the library, which is as fast
def test_compiled_equals_eager(case: Case, backend: str) -> None:
    tokens = random_tokens()
    expected = case.refiner(tokens, CONTEXT)  # CLIP reads the image here, outside of the compiled function
    torch.compiler.reset()
    compiled = torch.compile(lambda tokens: case.refiner(tokens, CONTEXT), backend=backend, fullgraph=True)
    assert_close(compiled(tokens), expected)
