"""From descriptions to refiners and back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from segearth_ov3.errors import OptionError, UnknownNameError
from segearth_ov3.refiners import REFINERS, Refiner, build_refiners, describe_refiner, parse_refiner
from segearth_ov3.refiners.base import PLACES, CustomRefiner, RefinerContext
from segearth_ov3.refiners.clip_similarity import ClipSimilarity
from segearth_ov3.refiners.graph_laplacian import GraphLaplacian
from segearth_ov3.refiners.lowpass import Lowpass
from segearth_ov3.refiners.smoothing import Smoothing

EXAMPLES = [
    Smoothing(weight=0.35, kernel_size=5, mode="blend", at="trunk"),
    Lowpass(radius=3.5, alpha=0.75, shape="gaussian", padding="reflect", at="pyramid"),
    ClipSimilarity(beta=0.1, taps=(3, 5), window=5, at="trunk"),
    GraphLaplacian(lam=0.3, radius=2, normalized=True, tolerance=1e-4),
]


def invert(tokens: Tensor, context: RefinerContext) -> Tensor:
    return -tokens


@dataclasses.dataclass(frozen=True)
class Scaling:
    """A refiner of somebody else's."""

    factor: float = 2.0
    at: str = "memory"
    needs: frozenset[str] = frozenset()

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        return tokens * self.factor


@dataclasses.dataclass
class Mutable:
    """Cannot be the key of what variants share."""

    at: str = "memory"
    needs: frozenset[str] = frozenset()

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        return tokens


@dataclasses.dataclass(frozen=True)
class Halving:
    """Has no place to act at."""

    share: float

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        return tokens * self.share


@dataclasses.dataclass(frozen=True)
class Failing(Scaling):
    """Checks its numbers with an error of its own."""

    def __post_init__(self) -> None:
        raise ValueError("no luck")


# ---- building


@pytest.mark.parametrize(
    "spec",
    [
        Smoothing(weight=0.5, at="trunk"),
        {"type": "smoothing", "weight": 0.5, "at": "trunk"},
        {"type": Smoothing, "weight": 0.5, "at": "trunk"},
        "smoothing:weight=0.5,at=trunk",
        "  smoothing : weight = 0.5 , at = trunk ",
    ],
    ids=["object", "dict", "class", "text", "text with spaces"],
)
def test_all_forms_build_the_same_refiner(spec: Any) -> None:
    assert build_refiners([spec]) == (Smoothing(weight=0.5, at="trunk"),)


def test_configuration_of_mmengine_is_accepted() -> None:
    config = pytest.importorskip("mmengine.config").ConfigDict(
        refiners=[{"type": "clip_similarity", "taps": [6, 12], "at": "trunk"}, "lowpass:alpha=0.5"]
    )
    assert build_refiners(config.refiners) == (ClipSimilarity(taps=(6, 12), at="trunk"), Lowpass(alpha=0.5))


def test_order_is_kept() -> None:
    names = ["smoothing", "graph_laplacian", "lowpass", "smoothing:weight=0.7"]
    kinds = [type(refiner) for refiner in build_refiners(names)]
    assert kinds == [Smoothing, GraphLaplacian, Lowpass, Smoothing]


@pytest.mark.parametrize("name", sorted(REFINERS))
def test_every_name_builds_its_class_with_its_defaults(name: str) -> None:
    (refiner,) = build_refiners([name])
    assert refiner == REFINERS[name]()
    assert isinstance(refiner, Refiner)
    assert refiner.at in PLACES


def test_refiner_of_somebody_else_is_taken_as_it_is() -> None:
    refiner = Scaling(3.0)
    assert build_refiners([refiner])[0] is refiner


def test_class_of_somebody_else_is_built() -> None:
    assert build_refiners([{"type": Scaling, "factor": 3.0}]) == (Scaling(3.0),)


def test_function_becomes_a_refiner_at_its_place() -> None:
    (refiner,) = build_refiners([{"type": invert, "at": "pyramid"}])
    assert refiner == CustomRefiner(function=invert, at="pyramid")
    tokens = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(refiner(tokens, RefinerContext(torch.zeros(1, 3, 4, 4))), -tokens)


@pytest.mark.parametrize("needs", [["prompts"], ("prompts",), {"prompts"}], ids=str)
def test_needs_of_a_function_may_be_any_collection(needs: Any) -> None:
    (refiner,) = build_refiners([{"type": invert, "needs": needs}])
    assert refiner.needs == frozenset({"prompts"})
    hash(refiner)  # refiners are grouped by what they are


def test_descriptions_are_left_as_they_were() -> None:
    spec = {"type": "clip_similarity", "taps": [6, 12]}
    build_refiners([spec])
    assert spec == {"type": "clip_similarity", "taps": [6, 12]}


# ---- mistakes


def test_unknown_name_lists_the_known_ones_and_guesses() -> None:
    known = "clip_similarity, graph_laplacian, lowpass, smoothing; did you mean 'smoothing'"
    with pytest.raises(UnknownNameError, match=f"unknown refiner 'smothing', known: {known}"):
        build_refiners(["smothing:weight=0.2"])


def test_unknown_parameter_lists_the_known_ones() -> None:
    with pytest.raises(
        OptionError,
        match="no parameter wieght; it has weight, kernel_size, mode, at; did you mean 'weight'",
    ):
        build_refiners([{"type": "smoothing", "wieght": 0.2}])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("smoothing:weight=-1", "weight must be a number from 0 to 10, got -1"),
        ("smoothing:weight=high", "weight must be a number from 0 to 10, got 'high'"),
        ("smoothing:weight=true", "weight must be a number from 0 to 10, got True"),
        ("smoothing:weight=(0.1,0.2)", r"weight must be a number from 0 to 10, got \(0.1, 0.2\)"),
        ("smoothing:kernel_size=4", "kernel_size must be one of 3, 5, 7, got 4"),
        ("smoothing:kernel_size=3.0", "kernel_size must be one of 3, 5, 7, got 3.0"),
        ("smoothing:at=decoder", "at must be one of trunk, pyramid, memory, got 'decoder'"),
        ("graph_laplacian:normalized=1", "normalized must be True or False, got 1"),
        ("clip_similarity:taps=(6,6)", "taps must be different blocks"),
        ("clip_similarity:mode=text,at=trunk", "prompts are read at='memory' only, got at='trunk'"),
        ({"type": "lowpass", "alpha": None}, "alpha must be a number from 0 to 1, got None"),
        ({"type": invert, "at": "trunk", "needs": ["prompts"]}, "prompts are read at='memory' only"),
        ({"type": invert, "weight": 1}, "has no parameter weight; it has function, at, needs"),
        ({"type": Halving}, "missing a required argument: 'share'; it has share"),
        ({"type": CustomRefiner, "at": "trunk"}, "missing a required argument: 'function'; it has function"),
        (
            {"type": Halving, "share": 0.5},
            "expected a refiner, which .* has at and needs, got .*Halving",
        ),
        (Mutable(), r"Mutable\(.* cannot be hashed .*; make it a dataclass with frozen=True"),
        ({"type": Mutable}, "cannot be hashed"),
        ({"type": "clip_similarity", "model": 5}, "model must be a text, got 5"),
        ("clip_similarity:pretrained=none", "pretrained must be a text, got None"),
        ({"weight": 1}, "expected a refiner's name, class or function as 'type', got {'weight': 1}"),
        ({"type": 5}, r"expected a refiner's class or a function \(tokens, context\), got 5"),
        ({"type": Scaling, "at": "momory"}, "at must be one of trunk, pyramid, memory, got 'momory'"),
        ({"type": Scaling, "needs": frozenset({"imgae"})}, "needs must be a set of image, prompts, got "),
        ({"type": Failing}, "Failing cannot be made: ValueError: no luck"),
        (None, "expected a refiner, a dict with a type, or a text like smoothing:weight=0.2, got None"),
        (Smoothing, "expected a refiner, a dict with a type, or a text"),
        (invert, "expected a refiner, a dict with a type, or a text"),
        (0.2, "expected a refiner, a dict with a type, or a text"),
    ],
    ids=str,
)
def test_bad_description_is_told(spec: Any, message: str) -> None:
    with pytest.raises((OptionError, UnknownNameError), match=message):
        build_refiners([spec])


@pytest.mark.parametrize("specs", [{"type": "smoothing"}, "smoothing", Smoothing(), None], ids=str)
def test_one_refiner_instead_of_a_list_is_told(specs: Any) -> None:
    with pytest.raises(OptionError, match=r"expected a list of refiners, got one: .*; put it into \[ \]"):
        build_refiners(specs)


# ---- texts


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("lowpass", {"type": "lowpass"}),
        ("lowpass:", {"type": "lowpass"}),
        ("lowpass:radius=12,alpha=2e-1,", {"type": "lowpass", "radius": 12, "alpha": 0.2}),
        ("a:b=(6,12),c=[1, 2],d=x", {"type": "a", "b": (6, 12), "c": [1, 2], "d": "x"}),
        ("a:b=true,c=False,d=none", {"type": "a", "b": True, "c": False, "d": None}),
        ("a:b=C:/clip/x.pt,c=u=v", {"type": "a", "b": "C:/clip/x.pt", "c": "u=v"}),
        ("a:b={[]}", {"type": "a", "b": "{[]}"}),
        ("a:b=(1,2", {"type": "a", "b": "(1,2"}),
    ],
)
def test_text_is_read(text: str, spec: dict[str, Any]) -> None:
    assert parse_refiner(text) == spec


@pytest.mark.parametrize("text", ["smoothing:0.2", "smoothing:weight=", "smoothing:=0.2", "smoothing:weight,at=trunk"])
def test_text_of_another_form_is_told(text: str) -> None:
    with pytest.raises(OptionError, match=r"expected name:key=value,key=value, got .* example smoothing:weight=0\.2"):
        parse_refiner(text)


@pytest.mark.parametrize("text", ["smoothing:weight=1,weight=2", "smoothing:type=lowpass"])
def test_key_given_twice_is_told(text: str) -> None:
    with pytest.raises(OptionError, match="is given twice in"):
        parse_refiner(text)


def test_tuple_from_a_text_reaches_the_refiner() -> None:
    assert build_refiners(["clip_similarity:taps=(6,12),at=trunk"]) == (ClipSimilarity(taps=(6, 12), at="trunk"),)


# ---- descriptions


@pytest.mark.parametrize("refiner", EXAMPLES, ids=lambda refiner: type(refiner).__name__)
def test_description_in_json_builds_the_refiner_again(refiner: Refiner) -> None:
    assert build_refiners([json.loads(json.dumps(describe_refiner(refiner), allow_nan=False))]) == (refiner,)


@pytest.mark.parametrize(("name", "parameter"), [("graph_laplacian", "temperature"), ("lowpass", "radius")])
def test_parameter_that_json_cannot_hold_is_refused(name: str, parameter: str) -> None:
    with pytest.raises(OptionError, match=rf"{parameter} must be a number from 0.* to 1e\+06, got inf"):
        build_refiners([{"type": name, parameter: float("inf")}])


def test_every_registered_refiner_is_among_the_examples() -> None:
    assert {type(refiner) for refiner in EXAMPLES} == set(REFINERS.values())


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((1, (2, None)), [1, [2, None]]),
        (frozenset("ba"), ["a", "b"]),
        (float("inf"), "inf"),
        (Path("a/b.pt"), "a/b.pt"),
    ],
)
def test_description_is_plain_whatever_a_refiner_holds(value: Any, plain: Any) -> None:
    found = describe_refiner(Scaling(value))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["factor"] == plain


def test_path_of_weights_becomes_a_text() -> None:
    assert ClipSimilarity(pretrained=Path("a/b.pt")) == ClipSimilarity(pretrained="a/b.pt")  # type: ignore[arg-type]


def test_description_names_all_parameters() -> None:
    expected = {"type": "smoothing", "weight": 0.2, "kernel_size": 3, "mode": "residual", "at": "memory"}
    assert describe_refiner(Smoothing()) == expected


def test_description_leaves_injected_objects_out() -> None:
    refiner = ClipSimilarity(encoder=object())  # type: ignore[arg-type]
    assert describe_refiner(refiner) == describe_refiner(ClipSimilarity())


def test_description_of_a_function_is_its_name_and_place() -> None:
    assert describe_refiner(CustomRefiner(function=invert, at="trunk")) == {"type": f"{__name__}.invert", "at": "trunk"}


def test_description_of_a_foreign_class_is_its_name_and_fields() -> None:
    class Plain:
        at, needs = "trunk", frozenset()

        def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
            return tokens

    assert describe_refiner(Scaling(3.0)) == {
        "type": f"{__name__}.Scaling",
        "factor": 3.0,
        "at": "memory",
        "needs": [],
    }
    assert describe_refiner(Plain())["at"] == "trunk"
    assert describe_refiner(Plain())["type"].endswith("Plain")
