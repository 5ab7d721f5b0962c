"""Variants over whole images and windows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from fake_model import FakeSam3
from golden import load_tiny
from torch import Tensor

from segearth_ov3.engine.engine import MemoryView
from segearth_ov3.engine.predictor import VariantPredictor
from segearth_ov3.engine.scores import FusionSettings, labels_from_scores
from segearth_ov3.engine.variants import Variant, VariantClock
from segearth_ov3.errors import CheckpointError, OptionError, ShapeError
from segearth_ov3.refiners import build_refiners
from segearth_ov3.refiners.base import CustomRefiner, RefinerContext
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.segmenter import Segmenter
from segearth_ov3.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_text("ground; building,house; road")
WINDOWS = {"window": 40, "stride": 24}  # 2 x 2 windows on the photo


def photo(height: int = 45, width: int = 52, seed: int = 0) -> np.ndarray:
    """A random image (H0, W0, 3), uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def variant(*refiners: object, **settings: float) -> Variant:
    return Variant(FusionSettings(**settings), build_refiners(refiners))  # type: ignore[arg-type]


def predictor(model: FakeSam3 | Sam3, *variants: Variant, **options: object) -> VariantPredictor:
    return VariantPredictor(model, VOCABULARY, variants or [variant()], **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tiny() -> Sam3:
    return load_tiny()


VARIANTS = {
    "baseline": variant(prob_threshold=0.2, confidence_threshold=0.08),
    "no threshold": variant(confidence_threshold=0.08),
    "trunk": variant("smoothing:weight=2,at=trunk", prob_threshold=0.2, confidence_threshold=0.08),
    "memory": variant("graph_laplacian:lam=3,at=memory", prob_threshold=0.15),
    "chain": variant("smoothing:weight=2,at=trunk", "lowpass:radius=1,alpha=1,at=pyramid", presence="off"),
}


# ---- together as alone


def test_windows_of_variants_equal_each_alone_to_the_last_bit(tiny: Sam3) -> None:
    scores = predictor(tiny, *VARIANTS.values(), prompt_chunk=3, **WINDOWS).class_scores(photo())
    for found, (name, each) in zip(scores, VARIANTS.items()):
        alone = predictor(tiny, each, prompt_chunk=3, **WINDOWS).class_scores(photo())[0]
        assert torch.equal(found, alone), name


def test_windows_of_variants_differ_from_each_other(tiny: Sam3) -> None:
    labels = predictor(tiny, *VARIANTS.values(), **WINDOWS).labels(photo())
    assert len({tuple(each.flatten().tolist()) for each in labels}) == len(VARIANTS)


@pytest.mark.parametrize("windows", [{}, WINDOWS], ids=["whole", "windows"])
def test_labels_of_variants_equal_those_of_segmenters(windows: dict[str, int]) -> None:
    model = FakeSam3()
    variants = [variant(), variant(prob_threshold=0.4), variant(confidence_threshold=0.1, presence="off")]
    found = predictor(model, *variants, **windows).labels(photo())
    for each, labels in zip(variants, found):
        segmenter = Segmenter(model, VOCABULARY, **dataclasses.asdict(each.settings), **windows)
        assert torch.equal(segmenter.predict_labels(photo()), labels)


@pytest.mark.parametrize("windows", [{}, WINDOWS], ids=["whole", "windows"])
def test_labels_are_those_of_the_scores(windows: dict[str, int]) -> None:
    variants = [variant(prob_threshold=threshold) for threshold in (0.0, 0.3, 0.5)]
    built = predictor(FakeSam3(), *variants, **windows)
    labels, scores = built.labels(photo()), built.class_scores(photo())
    assert labels.dtype == torch.int64
    for index, threshold in enumerate((0.0, 0.3, 0.5)):
        assert torch.equal(labels[index], labels_from_scores(scores[index], threshold, 0))
        assert torch.equal(labels[index], built.labels_of(scores[index], index))


def test_results_have_the_size_of_the_image() -> None:
    built = predictor(FakeSam3(), variant(), variant(prob_threshold=0.3), **WINDOWS)
    assert built.class_scores(photo()).shape == (2, 3, 45, 52)
    assert built.labels(photo()).shape == (2, 45, 52)


@pytest.mark.parametrize(("windows", "segmented"), [({}, 2 + 3), (WINDOWS, 4 * 4)], ids=["whole", "windows"])
def test_presence_bound_is_off_in_windows(windows: dict[str, int], segmented: int) -> None:
    model = FakeSam3(presence_logits={"ground": 2.0, "building": -1.0, "house": 0.0, "road": 1.0})
    built = predictor(model, variant(prob_threshold=0.6), variant(prob_threshold=0.4), **windows)
    built.labels(photo())
    assert model.calls["prompts segmented"] == segmented


# ---- windows


def test_image_no_larger_than_the_window_is_seen_once() -> None:
    model = FakeSam3()
    predictor(model, window=52, stride=10).labels(photo())
    assert model.calls["images encoded"] == 1


def test_stride_is_the_window_unless_given() -> None:
    assert predictor(FakeSam3(), window=40).stride == 40


def test_progress_counts_the_windows() -> None:
    seen: list[tuple[int, int]] = []
    predictor(FakeSam3(), **WINDOWS).labels(photo(), lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_trunk_is_computed_once_per_window_for_all_variants() -> None:
    model = FakeSam3()
    variants = [variant(), variant("smoothing:weight=0"), variant(confidence_threshold=0.2)]
    predictor(model, *variants, **WINDOWS).labels(photo())
    assert model.calls["images encoded"] == model.calls["pyramids made"] == 4
    assert model.calls["prompts fused"] == 4 * 4


def test_each_window_has_a_context_of_its_own() -> None:
    made, pixels = [], []

    def read(tokens: Tensor, context: RefinerContext) -> Tensor:
        context.once("features", lambda: made.append(1))
        pixels.append(context.pixels)
        return tokens

    variants = [variant(CustomRefiner(function=read)), variant(CustomRefiner(function=read, at="trunk"))]
    predictor(FakeSam3(), *variants, prompt_chunk=1, **WINDOWS).labels(photo())
    assert len(made) == 4
    assert len({id(each) for each in pixels}) == 4
    assert {tuple(each.shape) for each in pixels} == {(1, 3, 224, 224)}


# ---- clock, observer, text


def test_clock_and_observer_reach_the_engine() -> None:
    views: list[MemoryView] = []
    built = predictor(FakeSam3(), variant(), variant(prob_threshold=0.3), observe=views.append)
    clock = VariantClock(2, torch.device("cpu"))
    built.labels(photo(), clock=clock)
    assert [view.variants for view in views] == [(0, 1)]
    assert min(clock.seconds) > 0


def test_vocabulary_is_encoded_once_for_many_images() -> None:
    model = FakeSam3()
    built = predictor(model, variant(), variant(prob_threshold=0.3))
    for seed in range(3):
        built.labels(photo(seed=seed))
    assert model.calls["prompts encoded"] == 4


# ---- weights of refiners


class Loading:
    """A refiner with weights."""

    at, needs = "memory", frozenset({"image"})

    def __init__(self, error: str = "") -> None:
        self.error = error
        self.devices: list[torch.device] = []

    def load(self, device: torch.device) -> None:
        if self.error:
            raise CheckpointError(self.error)
        self.devices.append(device)

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        return tokens


def test_weights_are_loaded_once_on_the_device_of_the_network() -> None:
    one, other = Loading(), Loading()
    predictor(FakeSam3(), variant(one), variant(one, other), variant(one, prob_threshold=0.3))
    assert one.devices == other.devices == [torch.device("cpu")]


def test_weights_that_cannot_be_had_are_told_before_any_image() -> None:
    with pytest.raises(CheckpointError, match="no weights"):
        predictor(FakeSam3(), variant(), variant(Loading("no weights")))


# ---- mistakes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 10}, "stride 10 needs a window"),
        ({"window": 10, "stride": 11}, "stride"),
        ({"window": 0}, "window"),
        ({"prompt_chunk": 0}, "prompt_chunk must be a whole number of at least 1, got 0"),
    ],
    ids=str,
)
def test_bad_option_is_told_before_any_image(options: dict[str, int], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        predictor(FakeSam3(), **options)


def test_no_variant_is_refused() -> None:
    with pytest.raises(OptionError, match="expected at least one variant, got none"):
        VariantPredictor(FakeSam3(), VOCABULARY, [])  # type: ignore[arg-type]


def test_image_of_another_shape_is_told() -> None:
    with pytest.raises(ShapeError, match="channels come last"):
        predictor(FakeSam3()).labels(photo().transpose(2, 0, 1).copy())
