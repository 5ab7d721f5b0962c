from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_model import FakeSam3
from golden import load_tiny
from PIL import Image
from reference_formula import (
    published_prompt_scores,
    reference_class_scores,
    reference_labels,
    reference_prompt_scores,
    reference_slide,
)

from segearth_ov3.engine.score_maps import prompt_score_maps
from segearth_ov3.engine.scores import PRESENCES, FusionSettings, fold_into_classes, kept_queries
from segearth_ov3.errors import OptionError, ShapeError, UnknownNameError, VocabularyError, VocabularyWarning
from segearth_ov3.refiners.base import RefinerContext
from segearth_ov3.refiners.graph_laplacian import GraphLaplacian
from segearth_ov3.refiners.lowpass import Lowpass
from segearth_ov3.refiners.smoothing import Smoothing
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.preprocess import preprocess
from segearth_ov3.segmenter import Segmenter
from segearth_ov3.vocabulary import Vocabulary

WORDS = "ground; building,house; road; water,lake,river"
SWITCHES = [
    dict(zip(("use_semantic", "use_instance", "presence"), values))
    for values in itertools.product((True, False), (True, False), PRESENCES)
    if values[0] or values[1]
]
Switches = dict[str, bool | str]
THRESHOLDS = [
    {"prob_threshold": 0.0, "confidence_threshold": 0.5},
    {"prob_threshold": 0.3, "confidence_threshold": 0.1},
    {"prob_threshold": 0.55, "confidence_threshold": 0.45},
]


def switches_id(switches: Switches) -> str:
    """The switches in a few letters: "10gate_only"."""
    return "".join(value if isinstance(value, str) else "01"[value] for value in switches.values())


def photo(height: int = 97, width: int = 131, seed: int = 0) -> np.ndarray:
    """A random image (H0, W0, 3), uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def tiny() -> Sam3:
    """The smallest network; on random images its presence is 0.1 to 0.3 and its query scores are 0.05 to 0.25."""
    return load_tiny()


def assert_labels_follow(
    labels: torch.Tensor,
    class_scores: np.ndarray,
    prob_threshold: float,
    background: int | None = 0,
    margin: float = 1e-6,
) -> None:
    """Labels are those of the scores; pixels may differ only where two deciding values are closer than the margin.

    Sigmoids of the same number differ in the last bit with its place in a tensor, so near-ties may fall either way.
    """
    second, best = np.sort(class_scores, axis=0)[-2:]
    decided = (best - second > margin) | (best == 0)
    if prob_threshold > 0:
        decided &= abs(best - prob_threshold) > margin
    assert decided.mean() > 0.99
    expected = reference_labels(class_scores, prob_threshold, background)
    np.testing.assert_array_equal(labels.numpy()[decided], expected[decided])


# ---- the formula


@pytest.mark.parametrize("thresholds", THRESHOLDS, ids=str)
@pytest.mark.parametrize("switches", SWITCHES, ids=switches_id)
def test_labels_and_scores_equal_the_literal_formula(switches: Switches, thresholds: dict[str, float]) -> None:
    model, vocabulary, image = FakeSam3(), Vocabulary.from_text(WORDS), photo()
    labels, scores = Segmenter(model, vocabulary, **switches, **thresholds)(image)
    prompts = reference_prompt_scores(model, image, vocabulary, FusionSettings(**switches, **thresholds))
    expected = reference_class_scores(prompts, vocabulary)
    np.testing.assert_allclose(scores.numpy(), expected, rtol=0, atol=1e-5)
    assert_labels_follow(labels, expected, thresholds["prob_threshold"])


@pytest.mark.parametrize("background", [2, None])
def test_background_equals_the_literal_formula(background: int | None) -> None:
    model, vocabulary, image = FakeSam3(), Vocabulary.from_text(WORDS, background=background), photo()
    labels, scores = Segmenter(model, vocabulary, prob_threshold=0.6)(image)
    assert_labels_follow(labels, scores.numpy(), 0.6, background)


@pytest.mark.parametrize(("window", "stride"), [(64, 64), (64, 40), (100, 33)])
def test_sliding_windows_equal_the_literal_formula(window: int, stride: int) -> None:
    model, vocabulary, image = FakeSam3(), Vocabulary.from_text(WORDS), photo()
    labels, scores = Segmenter(model, vocabulary, prob_threshold=0.5, window=window, stride=stride)(image)
    expected = reference_slide(model, image, vocabulary, FusionSettings(prob_threshold=0.5), window, stride)
    np.testing.assert_allclose(scores.numpy(), expected, rtol=0, atol=1e-5)
    assert_labels_follow(labels, expected, 0.5)


def test_presence_gate_only_is_the_published_switch() -> None:
    model, vocabulary, image = FakeSam3(), Vocabulary.from_text(WORDS), photo()
    options = {"prob_threshold": 0.5, "confidence_threshold": 0.4}
    scores = {
        presence: Segmenter(model, vocabulary, presence=presence, **options)(image).scores for presence in PRESENCES
    }
    for presence in ("full", "gate_only"):
        expected = reference_class_scores(
            published_prompt_scores(model, image, vocabulary, 0.4, use_presence_score=presence == "full"), vocabulary
        )
        np.testing.assert_allclose(scores[presence].numpy(), expected, rtol=0, atol=1e-5)
    assert not torch.allclose(scores["gate_only"], scores["off"], atol=1e-3)


@pytest.mark.parametrize("value", [True, False])
def test_removed_use_presence_names_the_new_option(value: bool) -> None:
    with pytest.raises(OptionError, match=r"use_presence was replaced by presence: expected presence='full' for True"):
        Segmenter(FakeSam3(), Vocabulary.from_text(WORDS), use_presence=value)


# ---- the formula, with the real network, whose results depend on the batch by rounding


@pytest.mark.parametrize("thresholds", [(0.0, 0.15), (0.08, 0.05)], ids=str)
@pytest.mark.parametrize("switches", SWITCHES, ids=switches_id)
def test_network_outputs_are_fused_by_the_literal_formula(
    tiny: Sam3, switches: Switches, thresholds: tuple[float, float]
) -> None:
    settings, vocabulary, image = FusionSettings(*thresholds, **switches), Vocabulary.from_text(WORDS), photo()
    labels, scores = Segmenter(tiny, vocabulary, **dataclasses.asdict(settings), prompt_chunk=3)(image)
    expected = reference_class_scores(reference_prompt_scores(tiny, image, vocabulary, settings), vocabulary)
    np.testing.assert_allclose(scores.numpy(), expected, rtol=0, atol=1e-5)
    assert_labels_follow(labels, expected, settings.prob_threshold, margin=1e-5)


def test_network_stops_prompts_by_their_presence_without_changing_labels(
    tiny: Sam3, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter(tiny, Vocabulary.from_text(WORDS), prob_threshold=0.2, confidence_threshold=0.1)
    labels, scores = segmenter(photo())
    segmented, segment = [], tiny.segment
    monkeypatch.setattr(tiny, "segment", lambda memory, *rest: segmented.append(len(memory)) or segment(memory, *rest))
    bounded = segmenter.predict_labels(photo())
    assert 0 < sum(segmented) < 7
    assert_labels_follow(bounded, scores.numpy(), 0.2, margin=1e-5)
    assert (labels == bounded).float().mean() > 0.999


@pytest.mark.parametrize("switches", [{"presence": "gate_only"}, {"presence": "gate_only", "use_semantic": False}])
def test_labels_alone_are_exact_where_presence_is_not_the_last_factor(switches: Switches) -> None:
    for seed in range(20):
        model, image = FakeSam3(seed=seed), photo(24, 31, seed)
        options = {"prob_threshold": 0.45, "confidence_threshold": 0.3, **switches}
        segmenter = Segmenter(model, Vocabulary.from_text(WORDS), **options)
        assert torch.equal(segmenter.predict_labels(image), segmenter(image).labels)


def test_half_precision_network_gives_float32_scores_close_to_full_precision(tiny: Sam3) -> None:
    vocabulary = Vocabulary.from_text(WORDS)
    half = Segmenter(load_tiny(torch.bfloat16), vocabulary, confidence_threshold=0.1)(photo()).scores
    full = Segmenter(tiny, vocabulary, confidence_threshold=0.1)(photo()).scores
    torch.testing.assert_close(half, full, atol=0.05, rtol=0)


# ---- labels without scores


def test_labels_alone_equal_those_with_scores() -> None:
    skipped = 0
    for seed in range(20):
        model = FakeSam3(seed=seed)
        segmenter = Segmenter(model, Vocabulary.from_text(WORDS), prob_threshold=0.45, confidence_threshold=0.3)
        image = photo(24, 31, seed)
        labels = segmenter.predict_labels(image)
        skipped += 7 - model.calls["prompts segmented"]
        assert torch.equal(labels, segmenter(image).labels)
    assert skipped > 0


def test_scores_are_exact_also_for_prompts_that_cannot_win() -> None:
    model = FakeSam3(presence_logits={"road": -9.0})
    scores = Segmenter(model, Vocabulary.from_text(WORDS), prob_threshold=0.5)(photo()).scores
    assert (scores[2] > 0).all()


def test_sliding_windows_never_skip_a_prompt() -> None:
    model = FakeSam3(presence_logits={"road": -9.0})
    segmenter = Segmenter(model, Vocabulary.from_text(WORDS), prob_threshold=0.5, window=64, stride=50)
    labels = segmenter.predict_labels(photo())
    assert model.calls["prompts segmented"] == 7 * model.calls["images encoded"]
    assert torch.equal(labels, segmenter(photo()).labels)


# ---- windows


def test_image_that_fits_the_window_is_predicted_whole() -> None:
    model, vocabulary = FakeSam3(), Vocabulary.from_text(WORDS)
    windowed = Segmenter(model, vocabulary, window=131, stride=50)
    assert torch.equal(windowed(photo()).scores, Segmenter(model, vocabulary)(photo()).scores)
    assert model.calls["images encoded"] == 2


def test_image_that_fits_the_window_may_skip_prompts() -> None:
    model = FakeSam3(presence_logits={"road": -9.0})
    Segmenter(model, Vocabulary.from_text(WORDS), prob_threshold=0.01, window=131).predict_labels(photo())
    assert model.calls["prompts segmented"] == 6


def test_one_long_side_is_enough_for_windows() -> None:
    model = FakeSam3()
    Segmenter(model, Vocabulary.from_text(WORDS), window=130)(photo())
    assert model.calls["images encoded"] == 2


def test_stride_defaults_to_the_window() -> None:
    assert Segmenter(FakeSam3(), Vocabulary.from_text(WORDS), window=64).stride == 64


def test_progress_is_told_after_each_window() -> None:
    seen: list[tuple[int, int]] = []
    segmenter = Segmenter(FakeSam3(), Vocabulary.from_text(WORDS), window=70)
    segmenter(photo(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_progress_of_a_whole_image_is_one_step() -> None:
    seen: list[tuple[int, int]] = []
    Segmenter(FakeSam3(), Vocabulary.from_text(WORDS))(photo(), progress=lambda *step: seen.append(step))
    assert seen == [(1, 1)]


# ---- input and output


def test_result_has_the_promised_shapes_and_types() -> None:
    labels, scores = Segmenter(FakeSam3(), Vocabulary.from_text(WORDS))(photo())
    assert (labels.shape, labels.dtype) == ((97, 131), torch.int64)
    assert (scores.shape, scores.dtype) == ((4, 97, 131), torch.float32)


@pytest.mark.parametrize(
    "variant",
    [
        torch.from_numpy,
        np.asfortranarray,
        lambda image: np.flipud(np.flipud(image).copy()),
        lambda image: image[:, :, ::-1].copy()[:, :, ::-1],
    ],
    ids=["tensor", "column order", "rows backwards", "bands backwards"],
)
def test_memory_layout_does_not_matter(variant: object) -> None:
    segmenter = Segmenter(FakeSam3(), Vocabulary.from_text(WORDS))
    assert torch.equal(segmenter(variant(photo())).scores, segmenter(photo()).scores)  # type: ignore[operator]


def test_image_is_not_changed_and_may_be_read_only() -> None:
    image = photo()
    image.setflags(write=False)
    Segmenter(FakeSam3(), Vocabulary.from_text(WORDS))(image)
    np.testing.assert_array_equal(image, photo())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 97, 131), r"expected an RGB image \(H0, W0, 3\), got \(3, 97, 131\); channels come last"),
        ((97, 131, 4), r"got \(97, 131, 4\); leave the fourth band out: image\[..., :3\]"),
        ((97, 131), r"got \(97, 131\); repeat the one band three times"),
        ((97, 131, 1), r"got \(97, 131, 1\); repeat the one band three times"),
        ((97, 131, 8), r"got \(97, 131, 8\); choose three bands"),
        ((4, 97, 131), r"channels come last: image\[:3\]\.transpose\(1, 2, 0\)"),
        ((1, 97, 131, 3), r"got \(1, 97, 131, 3\); pass one image at a time, or several to class_scores"),
        ((0, 131, 3), r"got \(0, 131, 3\); the image has no pixels"),
    ],
)
def test_image_of_wrong_shape_is_refused_with_a_hint(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Segmenter(FakeSam3(), Vocabulary.from_text(WORDS))(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("image", [photo() / 255, photo().astype(np.uint16), torch.zeros(8, 8, 3), photo() > 9])
def test_image_that_is_not_8_bit_is_refused(image: np.ndarray) -> None:
    with pytest.raises(OptionError, match=r"expected an 8-bit image \(uint8, 0 to 255\), got .*; scale it"):
        Segmenter(FakeSam3(), Vocabulary.from_text(WORDS))(image)


@pytest.mark.parametrize(
    ("image", "remedy"),
    [
        (
            "scene.tif",
            r"got the path 'scene\.tif'; open it: PIL\.Image\.open\(path\), or label a GeoTIFF by segment_scene",
        ),
        (Path("scene.tif"), r"got the path 'scene\.tif'"),
        ([[[1, 2, 3]]], r"got a list; pass numpy\.asarray\(image, dtype='uint8'\)"),
        (None, "got NoneType; pass numpy"),
        (Image.new("RGBA", (9, 8)), r"expected a PIL image of mode RGB, got RGBA; convert it: image\.convert\('RGB'\)"),
        (Image.new("CMYK", (9, 8)), r"got CMYK; convert it"),
        (Image.new("I;16", (9, 8)), r"got I;16; scale it to 0 to 255 as an array, round and convert to uint8"),
        (Image.new("F", (9, 8)), r"got F; scale it to 0 to 255"),
    ],
)
def test_other_objects_get_help(image: Any, remedy: str) -> None:
    with pytest.raises(OptionError, match=remedy):
        Segmenter(FakeSam3(), Vocabulary.from_text(WORDS))(image)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_pil_image_gives_what_its_pixels_give(mode: str) -> None:
    segmenter = Segmenter(FakeSam3(), Vocabulary.from_text(WORDS))
    image = Image.fromarray(photo()).convert(mode)
    expected = segmenter(np.asarray(image.convert("RGB")))
    assert torch.equal(segmenter(image).scores, expected.scores)
    assert torch.equal(segmenter.predict_labels(image), expected.labels)
    assert torch.equal(segmenter.class_scores([image, image])[1], expected.scores)


@pytest.mark.parametrize(
    "image", [photo(), torch.from_numpy(photo()), Image.fromarray(photo())], ids=lambda x: type(x).__name__
)
def test_one_image_in_place_of_several_gets_help(image: Any) -> None:
    with pytest.raises(ShapeError, match=r"expected several images, got one; pass \[image\]"):
        Segmenter(FakeSam3(), Vocabulary.from_text(WORDS)).class_scores(image)


@pytest.mark.parametrize("images", ["scene.tif", None, 5])
def test_no_images_at_all_get_help(images: Any) -> None:
    with pytest.raises(OptionError, match="expected a list of images, got"):
        Segmenter(FakeSam3(), Vocabulary.from_text(WORDS)).class_scores(images)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prob_threshold": 2.0}, "prob_threshold must lie in 0 to 1, got 2.0"),
        ({"stride": 10}, "stride 10 needs a window"),
        ({"window": 64, "stride": 65}, "stride must be 1 to 64"),
        ({"window": 0}, "window must be at least 1 pixel, got 0"),
        ({"prompt_chunk": 0}, "prompt_chunk must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_option_is_refused_at_once(options: dict[str, float], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Segmenter(FakeSam3(), Vocabulary.from_text(WORDS), **options)


@pytest.mark.parametrize(
    ("vocabulary", "remedy"),
    [
        ("building; road", r"pass Vocabulary\.from_text\('building; road'\)"),
        ("words.txt", r"pass Vocabulary\.from_file\('words\.txt'\)"),
        (Path("words.txt"), r"pass Vocabulary\.from_file\('words\.txt'\)"),
        (["building", "road"], r"pass Vocabulary\.from_lines\(\['building', 'road'\]\)"),
        (None, r"make one by Vocabulary\.from_text"),
        (FakeSam3(), r"make one by Vocabulary\.from_text"),
    ],
)
def test_other_things_than_a_vocabulary_get_help(vocabulary: Any, remedy: str) -> None:
    with pytest.raises(VocabularyError, match=f"expected a Vocabulary, got .*; {remedy}"):
        Segmenter(FakeSam3(), vocabulary)


@pytest.mark.parametrize("model", ["sam3.pt", None, Path("sam3.pt")])
def test_other_things_than_a_network_get_help(model: Any) -> None:
    with pytest.raises(OptionError, match=r"expected the network, got .*; pass load_sam3\(PATH\)"):
        Segmenter(model, Vocabulary.from_text(WORDS))


def test_labels_of_one_class_are_refused_and_its_scores_are_not() -> None:
    segmenter = Segmenter(FakeSam3(), Vocabulary.from_text("building, road, tree"), prob_threshold=0.3)
    with pytest.raises(VocabularyError, match="every pixel would get it; separate classes by semicolons"):
        segmenter.predict_labels(photo())
    assert segmenter.class_scores([photo()]).shape == (1, 1, 97, 131)
    with pytest.warns(VocabularyWarning, match="there is one class, so that all labels are 0; only scores differ"):
        segmenter(photo())


def test_background_without_threshold_is_warned_of_when_the_segmenter_is_made() -> None:
    with pytest.warns(VocabularyWarning, match="class 'background' gets only pixels where its word") as caught:
        Segmenter(FakeSam3(), Vocabulary.from_text("background; road"))
    assert caught[0].filename == __file__


def test_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="confidence_thresh"):
        Segmenter(FakeSam3(), Vocabulary.from_text(WORDS), confidence_thresh=0.1)  # type: ignore[call-arg]


# ---- refiners

CHAIN = (
    Smoothing(weight=1.0, at="memory"),
    Smoothing(weight=2.0, mode="residual", at="trunk"),
    GraphLaplacian(lam=3.0, at="memory"),
    Lowpass(radius=2, alpha=1.0, at="pyramid"),
)


def scores_by_hand(model: Sam3, image: np.ndarray, vocabulary: Vocabulary, settings: FusionSettings) -> torch.Tensor:
    """Class scores with the refiners of `CHAIN`, by the network's steps, all prompts at once."""
    pixels = preprocess(torch.from_numpy(image).permute(2, 0, 1), model.config.image_size)
    context = RefinerContext(pixels, prompts=vocabulary.prompts)
    first, on_trunk, second, on_pyramid = CHAIN
    trunk = on_trunk(model.encode_trunk(pixels), context)
    fine, middle, coarse = model.encode_pyramid(trunk)
    features = model.prepare(trunk, (fine, middle, on_pyramid(coarse, context)))
    prompt = model.prompt(features, model.encode_text(vocabulary.prompts))
    memory = second(first(model.fuse(features, prompt), context), context)
    found = model.detect(memory, prompt)
    presence = found.presence_logits.sigmoid()
    scores = found.score_logits.sigmoid() * presence[:, None]
    masks = model.segment(memory, found, prompt, features, kept_queries(scores, settings))
    maps = prompt_score_maps(masks, scores, presence, image.shape[:2], settings)
    classes = torch.zeros(len(vocabulary), *image.shape[:2])
    return fold_into_classes(classes, enumerate(maps), vocabulary.class_index)


def test_refiners_act_at_their_places_in_order(tiny: Sam3) -> None:
    vocabulary = Vocabulary.from_text(WORDS)
    image = photo(40, 56)
    with torch.no_grad():
        expected = scores_by_hand(tiny, image, vocabulary, FusionSettings(confidence_threshold=0.08))
    plain = Segmenter(tiny, vocabulary, confidence_threshold=0.08)(image).scores
    found = Segmenter(tiny, vocabulary, confidence_threshold=0.08, refiners=CHAIN)(image)
    assert torch.equal(found.scores, expected)
    assert not torch.allclose(found.scores, plain, atol=1e-3)
    assert torch.equal(found.labels, found.scores.argmax(0))


def test_order_of_refiners_at_one_place_matters(tiny: Sam3) -> None:
    vocabulary, image = Vocabulary.from_text("ground; road"), photo(20, 20)
    forth, back = (Segmenter(tiny, vocabulary, refiners=chain)(image).scores for chain in (CHAIN, CHAIN[::-1]))
    assert not torch.equal(forth, back)


def test_refiners_may_be_objects_dictionaries_or_texts() -> None:
    segmenter = Segmenter(
        FakeSam3(),
        Vocabulary.from_text(WORDS),
        refiners=[Smoothing(at="trunk"), {"type": "lowpass", "alpha": 0.5}, "graph_laplacian:lam=0.3"],
    )
    assert segmenter.refiners == (Smoothing(at="trunk"), Lowpass(alpha=0.5), GraphLaplacian(lam=0.3))


def test_description_names_the_refiners_in_order() -> None:
    segmenter = Segmenter(FakeSam3(), Vocabulary.from_text(WORDS), refiners=CHAIN)
    described = json.loads(json.dumps(segmenter.describe()["refiners"]))
    assert [(each["type"], each["at"]) for each in described] == [
        ("smoothing", "memory"),
        ("smoothing", "trunk"),
        ("graph_laplacian", "memory"),
        ("lowpass", "pyramid"),
    ]
    again = Segmenter(FakeSam3(), Vocabulary.from_text(WORDS), refiners=described)
    assert again.refiners == CHAIN


def test_unknown_refiner_is_told_when_the_segmenter_is_made() -> None:
    with pytest.raises(UnknownNameError, match="unknown refiner 'blur', known: clip_similarity"):
        Segmenter(FakeSam3(), Vocabulary.from_text(WORDS), refiners=["blur"])


def test_one_refiner_instead_of_a_list_is_told() -> None:
    with pytest.raises(OptionError, match=r"expected a list of refiners, got one: 'smoothing'; put it into \[ \]"):
        Segmenter(FakeSam3(), Vocabulary.from_text(WORDS), refiners="smoothing")


# ---- vocabulary and provenance


def test_vocabulary_is_encoded_once_for_many_images() -> None:
    model = FakeSam3()
    segmenter = Segmenter(model, Vocabulary.from_text(WORDS), window=64)
    for seed in range(3):
        segmenter(photo(seed=seed))
    assert model.calls["prompts encoded"] == 7


def test_overlong_prompt_is_named_when_the_segmenter_is_made() -> None:
    with pytest.warns(
        VocabularyWarning, match=r"the network reads 32 tokens of a prompt.*'tree tree .*' \(42\); use fewer words"
    ):
        Segmenter(FakeSam3(), Vocabulary((("road",), (" ".join(["tree"] * 40),))))


def test_description_is_json_and_complete() -> None:
    segmenter = Segmenter(FakeSam3(), Vocabulary.from_text(WORDS), prob_threshold=0.2, presence="gate_only", window=64)
    described = json.loads(json.dumps(segmenter.describe()))
    model = described.pop("model")
    assert Sam3Config.from_dict(model) == Sam3Config.tiny()
    assert described == {
        "classes": [["ground"], ["building", "house"], ["road"], ["water", "lake", "river"]],
        "background": 0,
        "prob_threshold": 0.2,
        "confidence_threshold": 0.5,
        "use_semantic": True,
        "use_instance": True,
        "presence": "gate_only",
        "window": 64,
        "stride": 64,
        "refiners": [],
        "prompt_chunk": None,
        "window_batch": None,
        "compile": False,
        "device": "cpu",
        "dtype": "float32",
        "checkpoint": None,
        "weights_sha256": "0" * 64,
    }
