from __future__ import annotations

from typing import Any

import pytest
import torch
from fake_model import FakeSam3
from golden import load_tiny
from torch import Tensor

from segearth_ov3.engine import engine as engine_module
from segearth_ov3.engine.engine import PromptEngine
from segearth_ov3.engine.scores import FusionSettings, labels_from_scores
from segearth_ov3.engine.variants import Variant
from segearth_ov3.errors import OptionError
from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.outputs import TextFeatures
from segearth_ov3.vocabulary import Vocabulary

WORDS = "background; building,house; road; water,lake; tree"
SIZE = (21, 34)


def engine(
    model: FakeSam3 | Sam3, vocabulary: Vocabulary | None = None, chunk: int = 8, **settings: float
) -> PromptEngine:
    vocabulary = vocabulary or Vocabulary.from_text(WORDS)
    text = model.encode_text(vocabulary.prompts)
    return PromptEngine(model, text, vocabulary, [Variant(FusionSettings(**settings))], prompt_chunk=chunk)


def pixels(seed: int = 0) -> Tensor:
    return torch.rand((1, 3, 224, 224), generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_chunk_size_does_not_change_the_scores(chunk: int) -> None:
    whole = engine(FakeSam3()).class_scores(pixels(), SIZE)
    chunked = engine(FakeSam3(), chunk=chunk).class_scores(pixels(), SIZE)
    torch.testing.assert_close(chunked, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("chunk", [1, 3, 8])
def test_image_is_encoded_once(chunk: int) -> None:
    model = FakeSam3()
    engine(model, chunk=chunk).class_scores(pixels(), SIZE)
    assert model.calls["images encoded"] == 1


def test_masks_are_made_for_kept_queries_only() -> None:
    model = FakeSam3()
    engine(model, confidence_threshold=0.6).class_scores(pixels(), SIZE)
    features = model.encode_image(pixels())
    prompt = model.prompt(features, model.encode_text(Vocabulary.from_text(WORDS).prompts))
    found = model.detect(model.fuse(features, prompt), prompt)
    kept = (found.score_logits.sigmoid() * found.presence_logits.sigmoid()[:, None] > 0.6).sum()
    assert model.calls["masks made"] == kept > 0


def test_without_the_instance_head_no_mask_is_made() -> None:
    model = FakeSam3()
    engine(model, use_instance=False).class_scores(pixels(), SIZE)
    assert model.calls["masks made"] == 0


def test_scores_have_the_size_of_the_image() -> None:
    assert engine(FakeSam3()).class_scores(pixels(), SIZE).shape == (1, 1, 5, *SIZE)


def test_scores_need_no_gradient() -> None:
    assert not engine(load_tiny().requires_grad_()).class_scores(pixels(), SIZE).requires_grad


@pytest.mark.parametrize("labels_only", [False, True])
def test_device_is_waited_for_once_per_chunk(labels_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device nothing can be read back, so any other place that waits would fail."""
    model = build_sam3(Sam3Config.tiny()).eval().to("meta")
    vocabulary = Vocabulary.from_text(WORDS)
    read: list[int] = []

    def to_host(tensor: Tensor) -> Tensor:
        read.append(tensor.shape[1])
        table = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(len(read))) > 0.7
        table[..., 0] = True  # logits are finite
        return table

    monkeypatch.setattr(engine_module, "to_host", to_host)
    variants = [Variant(FusionSettings(0.3)), Variant(FusionSettings(0.4, use_instance=False))]
    decoder = model.transformer.decoder
    monkeypatch.setattr(decoder, "start", decoder._make_start)  # asks for autocast, which this device has not
    text = TextFeatures(*(each.to("meta") for each in FakeSam3().encode_text(vocabulary.prompts)))
    built = PromptEngine(model, text, vocabulary, variants, prompt_chunk=3)
    inputs = torch.empty((2, 3, 224, 224), device="meta")
    scores = built.class_scores(inputs, SIZE, labels_only=labels_only)
    assert (scores.device.type, scores.shape) == ("meta", (2, 2, 5, *SIZE))
    assert read == [3, 3, 1, 3, 3, 1]
    assert labels_from_scores(scores[0, 0], 0.3, 0).shape == SIZE


# ---- the presence bound


@pytest.mark.parametrize(
    ("background", "settings", "exact"),
    [
        (0, {"prob_threshold": 0.3}, True),
        (3, {"prob_threshold": 0.3, "use_semantic": False}, True),
        (None, {"prob_threshold": 0.3}, False),
        (0, {"prob_threshold": 0.0}, False),
        (0, {"prob_threshold": 0.3, "presence": "off"}, False),
        (0, {"prob_threshold": 0.3, "presence": "gate_only"}, False),
        (0, {"prob_threshold": 0.3, "presence": "gate_only", "use_semantic": False}, True),
        (0, {"prob_threshold": 0.3, "presence": "off", "use_semantic": False}, False),
    ],
)
def test_bound_is_used_only_where_it_is_exact(background: int | None, settings: dict[str, Any], exact: bool) -> None:
    model = FakeSam3(presence_logits={"road": -9.0, "lake": -9.0})
    built = engine(model, Vocabulary.from_text(WORDS, background=background), **settings)
    built.class_scores(pixels(), SIZE, labels_only=True)
    assert built.bound_is_exact() == exact
    assert (model.calls["prompts segmented"] < 7) == exact


def test_bound_is_off_unless_asked_for() -> None:
    model = FakeSam3(presence_logits={"road": -9.0, "lake": -9.0})
    engine(model, prob_threshold=0.9).class_scores(pixels(), SIZE)
    assert model.calls["prompts segmented"] == 7


@pytest.mark.parametrize("chunk", [1, 2, 3, 8])
@pytest.mark.parametrize("threshold", [0.05, 0.2, 0.4, 0.5])
def test_bound_changes_no_label(threshold: float, chunk: int) -> None:
    skipped = 0
    for seed in range(12):
        model = FakeSam3(seed=seed)
        built = engine(model, chunk=chunk, prob_threshold=threshold, confidence_threshold=0.2)
        bounded = built.class_scores(pixels(seed), SIZE, labels_only=True)[0, 0]
        skipped += 7 - model.calls["prompts segmented"]
        exact = built.class_scores(pixels(seed), SIZE)[0, 0]
        assert torch.equal(labels_from_scores(bounded, threshold, 0), labels_from_scores(exact, threshold, 0))
    assert skipped > 0


def test_bound_skips_exactly_the_prompts_below_the_threshold() -> None:
    logits = {"background": 2.0, "building": -2.0, "house": 2.0, "road": -2.0, "water": 2.0, "lake": 2.0, "tree": -2.0}
    model = FakeSam3(presence_logits=logits)
    maps = engine(model, prob_threshold=0.5, chunk=3).prompt_scores(pixels(), SIZE, labels_only=True)
    assert [index for _, _, index, _ in maps] == [0, 2, 4, 5]
    assert model.calls["prompts segmented"] == 4


def test_bounded_maps_are_those_of_their_prompts() -> None:
    model = FakeSam3(presence_logits={"background": -9.0, "house": -9.0, "water": -9.0})
    built = engine(model, prob_threshold=0.1)
    exact = {index: scores for _, _, index, scores in built.prompt_scores(pixels(), SIZE)}
    for _, _, index, scores in built.prompt_scores(pixels(), SIZE, labels_only=True):
        assert torch.equal(scores, exact[index])


def test_image_without_any_surviving_prompt_makes_no_mask_and_scores_zero() -> None:
    model = FakeSam3(presence_logits=dict.fromkeys(Vocabulary.from_text(WORDS).prompts, -9.0))
    scores = engine(model, prob_threshold=0.1).class_scores(pixels(), SIZE, labels_only=True)
    assert model.calls["segment calls"] == 0
    assert torch.equal(scores, torch.zeros(1, 1, 5, *SIZE))


# ---- errors


def test_chunk_without_prompts_is_refused() -> None:
    with pytest.raises(OptionError, match="prompt_chunk must be a whole number of at least 1, got 0"):
        engine(FakeSam3(), chunk=0)


def test_features_of_another_vocabulary_are_refused() -> None:
    model = FakeSam3()
    with pytest.raises(OptionError, match="7 prompts need as many text features, got 2"):
        PromptEngine(model, model.encode_text(["a", "b"]), Vocabulary.from_text(WORDS), [Variant(FusionSettings())])
