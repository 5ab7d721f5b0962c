"""Many variants in one pass: equal to each alone, to the last bit; shared where they agree; timed as if alone."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
import torch
from fake_model import FakeSam3
from golden import load_tiny
from torch import Tensor

from segearth_ov3.engine.engine import MemoryView, PromptEngine
from segearth_ov3.engine.scores import FusionSettings
from segearth_ov3.engine.variants import Variant, VariantClock, branches
from segearth_ov3.errors import OptionError
from segearth_ov3.refiners import build_refiners
from segearth_ov3.refiners.base import PLACES, CustomRefiner, Refiner, RefinerContext
from segearth_ov3.refiners.clip_similarity import ClipSimilarity
from segearth_ov3.refiners.smoothing import Smoothing
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.outputs import Detection, Prompt
from segearth_ov3.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_text("background; building,house; road")
PROMPTS = len(VOCABULARY.prompts)
SIZE = (21, 34)
LOGITS = {"background": 2.0, "building": -1.0, "house": 0.0, "road": 1.0}  # presence 0.88, 0.27, 0.5, 0.73


class CountingSam3(FakeSam3):
    """Counts what is detected too."""

    def detect(self, memory: Tensor, prompt: Prompt) -> Detection:
        self.calls["prompts detected"] += len(memory)
        return super().detect(memory, prompt)


class Copying:
    """A refiner that returns a copy, counts its calls, and is like no other."""

    def __init__(self, at: str) -> None:
        self.at = at
        self.needs: frozenset[str] = frozenset()
        self.calls = 0

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        self.calls += 1
        return tokens.clone()


def pixels(seed: int = 0) -> Tensor:
    return torch.rand((1, 3, 224, 224), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def variant(*refiners: Refiner | str, **settings: float) -> Variant:
    return Variant(FusionSettings(**settings), build_refiners(refiners))  # type: ignore[arg-type]


def engine(model: FakeSam3 | Sam3, variants: Sequence[Variant], chunk: int = 8, **options: object) -> PromptEngine:
    text = model.encode_text(VOCABULARY.prompts)
    return PromptEngine(model, text, VOCABULARY, variants, prompt_chunk=chunk, **options)  # type: ignore[arg-type]


def calls_of(*variants: Variant, labels_only: bool = False) -> Counter[str]:
    model = CountingSam3(presence_logits=LOGITS)
    engine(model, variants).class_scores(pixels(), SIZE, labels_only=labels_only)
    return model.calls


@pytest.fixture(scope="module")
def tiny() -> Sam3:
    """The smallest network; on random images its presence is 0.1 to 0.3 and its query scores are 0.05 to 0.25."""
    return load_tiny()


# ---- together as alone

KEPT = {"confidence_threshold": 0.08}
VARIANTS = {
    "baseline": variant(**KEPT),
    "trunk": variant("smoothing:weight=2,at=trunk", **KEPT),
    "pyramid": variant("lowpass:radius=2,alpha=1,at=pyramid", **KEPT),
    "memory": variant("graph_laplacian:lam=3,at=memory", **KEPT),
    "memory, custom": variant(CustomRefiner(function=lambda tokens, context: tokens.roll(2, -1)), **KEPT),
    "chain": variant(
        "smoothing:weight=1,at=memory", "smoothing:weight=2,at=trunk", "lowpass:radius=1,alpha=1,at=memory", **KEPT
    ),
    "chain of all places": variant(
        "smoothing:weight=2,at=trunk", "smoothing:weight=1,at=pyramid", "graph_laplacian:lam=3", **KEPT
    ),
    "threshold": variant(prob_threshold=0.2, **KEPT),
    "threshold, memory": variant("graph_laplacian:lam=3,at=memory", prob_threshold=0.2, confidence_threshold=0.05),
    "no instances": variant(use_instance=False),
    "presence gates only": variant(presence="gate_only", prob_threshold=0.2, confidence_threshold=0.05),
    "presence gates instances": variant(presence="gate_only", use_semantic=False, prob_threshold=0.2, **KEPT),
    "no presence": variant(presence="off", confidence_threshold=0.6),
}


def test_variants_equal_each_alone_to_the_last_bit(tiny: Sam3) -> None:
    together = engine(tiny, list(VARIANTS.values()), chunk=3)
    for labels_only in (False, True):
        scores = together.class_scores(pixels(), SIZE, labels_only=labels_only)[0]
        for index, (name, each) in enumerate(VARIANTS.items()):
            alone = engine(tiny, [each], chunk=3).class_scores(pixels(), SIZE, labels_only=labels_only)[0, 0]
            assert torch.equal(scores[index], alone), (name, labels_only)


def test_variants_differ_from_each_other(tiny: Sam3) -> None:
    """Otherwise the comparison above would prove little."""
    scores = engine(tiny, list(VARIANTS.values())).class_scores(pixels(), SIZE, labels_only=True)[0]
    for (one, first), (other, second) in itertools.combinations(zip(VARIANTS, scores), 2):
        assert not torch.equal(first, second), (one, other)


def test_order_of_the_variants_does_not_matter(tiny: Sam3) -> None:
    variants = list(VARIANTS.values())
    forth = engine(tiny, variants).class_scores(pixels(), SIZE)[0]
    back = engine(tiny, variants[::-1]).class_scores(pixels(), SIZE)[0]
    assert torch.equal(forth, back.flip(0))


def test_equal_variants_give_equal_scores(tiny: Sam3) -> None:
    one, other = engine(tiny, [VARIANTS["chain"]] * 2).class_scores(pixels(), SIZE)[0]
    assert torch.equal(one, other)


@pytest.mark.parametrize("labels_only", [False, True])
@pytest.mark.parametrize("chunk", [1, 3])
def test_variants_with_other_thresholds_equal_each_alone(chunk: int, labels_only: bool) -> None:
    thresholds = itertools.product((0.0, 0.3, 0.6, 1.0), (0.0, 0.5, 1.0))
    variants = [variant(prob_threshold=prob, confidence_threshold=sure) for prob, sure in thresholds]
    model = FakeSam3(presence_logits=LOGITS)
    scores = engine(model, variants, chunk).class_scores(pixels(), SIZE, labels_only=labels_only)[0]
    for each, found in zip(variants, scores):
        alone = engine(model, [each], chunk).class_scores(pixels(), SIZE, labels_only=labels_only)[0, 0]
        assert torch.equal(found, alone), each


def test_prompts_of_each_variant_come_in_order() -> None:
    model = FakeSam3(presence_logits=LOGITS)
    variants = [variant(), variant(Copying("trunk")), variant(prob_threshold=0.4), variant(Copying("memory"))]
    found: dict[int, list[int]] = {}
    for _, index, prompt, _ in engine(model, variants, 3).prompt_scores(pixels(), SIZE, labels_only=True):
        found.setdefault(index, []).append(prompt)
    assert found == {0: [0, 1, 2, 3], 1: [0, 1, 2, 3], 2: [0, 2, 3], 3: [0, 1, 2, 3]}


def test_variant_without_surviving_prompts_leaves_the_others_alone() -> None:
    model = FakeSam3(presence_logits=LOGITS)
    variants = [variant(prob_threshold=0.99), variant(prob_threshold=0.3)]
    scores = engine(model, variants).class_scores(pixels(), SIZE, labels_only=True)[0]
    assert scores[0].max() == 0
    alone = engine(model, variants[1:]).class_scores(pixels(), SIZE, labels_only=True)[0, 0]
    assert torch.equal(scores[1], alone)
    assert alone.max() > 0


def test_no_variant_is_refused() -> None:
    with pytest.raises(OptionError, match="expected at least one variant, got none"):
        engine(FakeSam3(), [])


# ---- what is shared


def done(images: int = 1, pyramids: int = 1, prepared: int = 1, fused: int = PROMPTS, **others: int) -> dict[str, int]:
    return {
        "images encoded": images,
        "pyramids made": pyramids,
        "images prepared": prepared,
        "prompts fused": fused,
        **{f"prompts {name}": count for name, count in others.items()},
    }


TRUNK, OTHER_TRUNK, PYRAMID, MEMORY = (Copying(at) for at in ("trunk", "trunk", "pyramid", "memory"))
SHARING = {
    "baseline": ([()], done(detected=PROMPTS, segmented=PROMPTS)),
    "memory": (
        [(), (MEMORY,), (Copying("memory"),), (Copying("memory"), MEMORY)],
        done(detected=4 * PROMPTS, segmented=4 * PROMPTS),
    ),
    "pyramid": (
        [(), (PYRAMID,), (PYRAMID, MEMORY), (MEMORY, PYRAMID)],
        done(prepared=2, fused=2 * PROMPTS, detected=3 * PROMPTS, segmented=3 * PROMPTS),
    ),
    "trunk": (
        [(), (TRUNK,), (TRUNK, MEMORY), (OTHER_TRUNK,), (OTHER_TRUNK, PYRAMID), (TRUNK, OTHER_TRUNK)],
        done(pyramids=4, prepared=5, fused=5 * PROMPTS, detected=6 * PROMPTS, segmented=6 * PROMPTS),
    ),
}


@pytest.mark.parametrize(("chains", "expected"), SHARING.values(), ids=SHARING)
def test_work_is_shared_up_to_the_first_difference(chains: list[tuple[Refiner, ...]], expected: dict[str, int]) -> None:
    for order in (chains, chains[::-1], chains[1:] + chains[:1]):
        calls = calls_of(*(variant(*chain) for chain in order))
        assert {name: calls[name] for name in expected} == expected


def test_each_refiner_acts_once_per_image_or_chunk_for_all_variants() -> None:
    copies = {at: Copying(at) for at in PLACES}
    chains = [("trunk",), ("trunk", "memory"), ("trunk", "pyramid", "memory"), ("trunk", "pyramid")]
    variants = [variant(*(copies[at] for at in chain)) for chain in chains]
    variants += [each._replace(settings=FusionSettings(confidence_threshold=0.1)) for each in variants]
    engine(FakeSam3(), variants, chunk=3).class_scores(pixels(), SIZE)
    assert {at: copy.calls for at, copy in copies.items()} == {"trunk": 1, "pyramid": 1, "memory": 2 * 2}


@pytest.mark.parametrize(
    ("settings", "labels_only", "segmented"),
    [
        # presence 0.88, 0.27, 0.5, 0.73
        ([{}, {"prob_threshold": 0.3}, {"prob_threshold": 0.6}], False, 4),
        ([{}, {"use_semantic": False}], False, 4),
        ([{"prob_threshold": 0.3}, {"prob_threshold": 0.4}], True, 3),
        ([{}, {"prob_threshold": 0.3}, {"prob_threshold": 0.6}], True, 4 + 3 + 2),
        ([{}, {"confidence_threshold": 0.1}], False, 4 + 4),
        ([{}, {"use_instance": False}, {"confidence_threshold": 1.0}], False, 4 + 4),
        ([{}, {"presence": "off"}], False, 4 + 4),
        ([{"prob_threshold": 0.3}, {"prob_threshold": 0.3, "presence": "off"}], True, 3 + 4),
        ([{"prob_threshold": 0.9}, {"prob_threshold": 0.3}], True, 0 + 3),
    ],
)
def test_variants_that_differ_in_settings_share_equal_masks(
    settings: list[dict[str, float]], labels_only: bool, segmented: int
) -> None:
    for order in (settings, settings[::-1]):
        calls = calls_of(*(variant(**each) for each in order), labels_only=labels_only)
        expected = done(detected=PROMPTS, segmented=segmented)
        assert {name: calls[name] for name in expected} == expected


def test_branches_group_by_the_chain_at_a_place() -> None:
    a, b, c = Smoothing(at="trunk"), Smoothing(weight=0.5, at="trunk"), Smoothing(at="memory")
    variants = [variant(), variant(a), variant(a, c), variant(c), variant(c, b, a), variant(a, b), variant(b, c, a)]
    assert branches(variants, range(7), "trunk") == [
        ((), (0, 3)),
        ((a,), (1, 2)),
        ((b, a), (4, 6)),
        ((a, b), (5,)),
    ]
    assert branches(variants, (1, 4, 2), "memory") == [((), (1,)), ((c,), (4, 2))]


def test_refiners_with_other_encoders_are_kept_apart() -> None:
    one, other = (ClipSimilarity(encoder=object()) for _ in range(2))  # type: ignore[arg-type]
    assert branches([variant(one), variant(other)], (0, 1), "memory") == [((one,), (0,)), ((other,), (1,))]


def test_chain_of_a_variant_keeps_its_order() -> None:
    first, second, third = Smoothing(at="memory"), Smoothing(at="trunk"), Smoothing(weight=1.0, at="memory")
    each = variant(first, second, third)
    assert [each.chain(at) for at in PLACES] == [(second,), (), (first, third)]


# ---- what a place changes


def views_of(tiny: Sam3, *refiners: Refiner) -> tuple[MemoryView, MemoryView]:
    """What the decoder reads with refiners and without."""
    views: list[MemoryView] = []
    engine(tiny, [variant(*refiners), variant()], observe=views.append).class_scores(pixels(), SIZE)
    refined, plain = sorted(views, key=lambda view: view.variants)
    return refined, plain


def turn(tokens: Tensor, context: RefinerContext) -> Tensor:
    return tokens.flip(-1)


@pytest.mark.parametrize(
    ("at", "trunk", "fine", "coarse", "bases", "memory"),
    [
        ("trunk", True, True, True, True, True),
        ("pyramid", False, False, True, False, True),
        ("memory", False, False, False, False, True),
    ],
)
def test_refiner_changes_what_comes_after_its_place_and_nothing_before(
    tiny: Sam3, at: str, trunk: bool, fine: bool, coarse: bool, bases: bool, memory: bool
) -> None:
    refined, plain = views_of(tiny, CustomRefiner(function=turn, at=at))
    one, other = refined.image, plain.image
    changed = [
        not torch.equal(one.trunk, other.trunk),
        not torch.equal(one.levels[0], other.levels[0]),
        not torch.equal(one.levels[2], other.levels[2]),
        not torch.equal(one.pixel_bases[0], other.pixel_bases[0]),
        not torch.equal(refined.memory, plain.memory),
    ]
    assert changed == [trunk, fine, coarse, bases, memory]


@pytest.mark.parametrize("at", PLACES)
def test_refiner_that_returns_a_copy_changes_no_score(tiny: Sam3, at: str) -> None:
    one, other = engine(tiny, [variant(), variant(Copying(at))]).class_scores(pixels(), SIZE)[0]
    assert torch.equal(one, other)


def test_tokens_come_to_the_refiners_in_their_shapes(tiny: Sam3) -> None:
    shapes: list[tuple[str, tuple[int, ...]]] = []

    def record(at: str) -> CustomRefiner:
        return CustomRefiner(function=lambda tokens, _: shapes.append((at, tuple(tokens.shape))) or tokens, at=at)

    engine(tiny, [variant(*map(record, PLACES))], chunk=3).class_scores(pixels(), SIZE)
    assert shapes == [
        ("trunk", (1, 64, 16, 16)),
        ("pyramid", (1, 32, 16, 16)),
        ("memory", (3, 32, 16, 16)),
        ("memory", (1, 32, 16, 16)),
    ]


# ---- the context


class Reading:
    """A refiner that keeps what it is given, and asks for something that is made once."""

    needs = frozenset({"image"})

    def __init__(self, at: str, made: list[int]) -> None:
        self.at, self.made = at, made
        self.contexts: list[RefinerContext] = []

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        self.contexts.append(context)
        context.once("features", lambda: self.made.append(1))
        return tokens


def test_context_has_the_pixels_and_the_prompts_of_the_chunk() -> None:
    readers = [Reading(at, []) for at in PLACES]
    image = pixels()
    engine(FakeSam3(), [variant(*readers)], chunk=3).class_scores(image, SIZE)
    prompts = [[context.prompts for context in reader.contexts] for reader in readers]
    assert prompts == [[()], [()], [("background", "building", "house"), ("road",)]]
    assert all(context.pixels is image for reader in readers for context in reader.contexts)


def test_value_is_made_once_per_image_over_places_chunks_and_variants() -> None:
    made: list[int] = []
    chains = [(at,) for at in PLACES] + [PLACES]
    variants = [variant(*(Reading(at, made) for at in chain)) for chain in chains]
    built = engine(FakeSam3(), variants, chunk=1)
    for images in (1, 2, 3):
        built.class_scores(pixels(images), SIZE)
        assert len(made) == images


# ---- observers


def test_observer_sees_every_refined_memory_once() -> None:
    views: list[MemoryView] = []
    memory = Copying("memory")
    variants = [variant(), variant(memory), variant(confidence_threshold=0.1), variant(memory, prob_threshold=0.4)]
    engine(FakeSam3(), variants, chunk=3, observe=views.append).class_scores(pixels(), SIZE, labels_only=True)
    assert [(view.chunk.prompts.start, view.variants, len(view.memory)) for view in views] == [
        (0, (0, 2), 3),
        (0, (1, 3), 3),
        (3, (0, 2), 1),
        (3, (1, 3), 1),
    ]


def test_observer_changes_no_score(tiny: Sam3) -> None:
    variants = [VARIANTS["baseline"], VARIANTS["memory"]]
    plain = engine(tiny, variants).class_scores(pixels(), SIZE)[0]
    watched = engine(tiny, variants, observe=lambda view: None).class_scores(pixels(), SIZE)[0]
    assert torch.equal(plain, watched)


# ---- the clock

COSTS = {
    "images encoded": 1000.0,
    "pyramids made": 300.0,
    "images prepared": 100.0,
    "prompts fused": 30.0,
    "prompts detected": 10.0,
    "prompts segmented": 3.0,
    "refined": 0.5,
}


def ticking(model: FakeSam3, at: str) -> CustomRefiner:
    """A refiner that takes time."""

    def refine(tokens: Tensor, context: RefinerContext) -> Tensor:
        model.calls["refined"] += 1
        return tokens.clone()

    return CustomRefiner(function=refine, at=at)


def times(
    model: FakeSam3, variants: Sequence[Variant], monkeypatch: pytest.MonkeyPatch, **options: bool
) -> list[float]:
    """Seconds of each variant by a clock that goes by the work of the network."""
    clock = VariantClock(len(variants), model.device)
    monkeypatch.setattr(VariantClock, "_now", lambda _: sum(cost * model.calls[name] for name, cost in COSTS.items()))
    engine(model, variants, chunk=3, clock=clock).class_scores(pixels(), SIZE, **options)
    return clock.seconds


def places(model: FakeSam3) -> list[Variant]:
    trunk, pyramid, memory = (ticking(model, at) for at in PLACES)
    return [
        variant(*chain)
        for chain in ((), (trunk,), (trunk, memory), (pyramid,), (memory,), (pyramid, memory, memory), (trunk, pyramid))
    ]


def thresholds(model: FakeSam3) -> list[Variant]:
    settings = [{}, {"prob_threshold": 0.3}, {"prob_threshold": 0.4}, {"confidence_threshold": 0.1}]
    return [variant(**each) for each in (*settings, {"prob_threshold": 0.99}, {"use_instance": False})]


@pytest.mark.parametrize("labels_only", [False, True])
@pytest.mark.parametrize("make", [places, thresholds])
def test_clock_says_what_each_variant_takes_alone(
    make: Callable[[FakeSam3], list[Variant]], labels_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = CountingSam3(presence_logits=LOGITS)
    variants = make(model)
    together = times(model, variants, monkeypatch, labels_only=labels_only)
    alone = [times(model, [each], monkeypatch, labels_only=labels_only)[0] for each in variants]
    assert together == alone


def test_clock_without_sharing_would_be_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum over variants counts shared work several times, the time that passed once."""
    model = CountingSam3()
    total = sum(times(model, places(model), monkeypatch))
    assert sum(cost * model.calls[name] for name, cost in COSTS.items()) < 0.7 * total


def test_clock_leaves_the_observer_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = CountingSam3()
    clock = VariantClock(1, model.device)
    now = [0.0]
    monkeypatch.setattr(VariantClock, "_now", lambda _: now[0])
    built = engine(model, [variant()], clock=clock, observe=lambda view: now.__setitem__(0, now[0] + 5))
    built.class_scores(pixels(), SIZE)
    assert (now, clock.seconds) == ([5.0], [0.0])


def test_clock_leaves_out_what_the_caller_does_between_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    model = FakeSam3()
    clock = VariantClock(1, model.device)
    now = [0.0]
    monkeypatch.setattr(VariantClock, "_now", lambda _: now[0])
    for _ in engine(model, [variant()], clock=clock).prompt_scores(pixels(), SIZE):
        now[0] += 5
    assert clock.seconds == [0.0]


def test_clock_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = VariantClock(3, torch.device("cpu"))
    moments = iter([1.0, 3.0, 10.0, 10.5])
    monkeypatch.setattr(VariantClock, "_now", lambda _: next(moments))
    with clock.charge((0, 2)):
        pass
    with clock.charge((2,)):
        pass
    clock.add(4.0, (1,))
    assert clock.seconds == [2.0, 4.0, 2.5]


def test_clock_waits_for_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    with VariantClock(1, torch.device("cuda:1")).charge((0,)):
        assert waited == [torch.device("cuda:1")]
    assert waited == [torch.device("cuda:1")] * 2
