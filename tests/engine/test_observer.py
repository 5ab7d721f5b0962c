"""Token diagnostics of several variants, against the functions of `metrics.tokens` on hand-made steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from golden import load_tiny
from torch import Tensor

from segearth_ov3.engine.observer import TokenObserver
from segearth_ov3.engine.predictor import VariantPredictor
from segearth_ov3.engine.scores import FusionSettings
from segearth_ov3.engine.variants import Variant
from segearth_ov3.metrics.tokens import TokenDiagnostics, token_diagnostics
from segearth_ov3.refiners.lowpass import Lowpass
from segearth_ov3.refiners.smoothing import Smoothing
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.preprocess import preprocess
from segearth_ov3.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_text("background; building,house; road")
SETTINGS = FusionSettings(confidence_threshold=0.08)
SMOOTH = Smoothing(weight=1.0, mode="blend", at="memory")
TRUNK = Lowpass(radius=2, alpha=1.0, at="trunk")
VARIANTS = [
    Variant(SETTINGS),
    Variant(SETTINGS, (SMOOTH,)),
    Variant(SETTINGS, (TRUNK,)),
    Variant(FusionSettings(presence="off")),
]
TOP_K = 3


@pytest.fixture(scope="module")
def tiny() -> Sam3:
    """The smallest network; on random images its query scores are 0.05 to 0.25."""
    return load_tiny()


def photo(seed: int = 0, height: int = 30, width: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def observed(
    model: Sam3, images: Sequence[np.ndarray], settings: FusionSettings = SETTINGS, **options: int
) -> list[TokenDiagnostics]:
    observer = TokenObserver(model, len(VARIANTS), settings, top_k=TOP_K)
    predictor = VariantPredictor(model, VOCABULARY, VARIANTS, observe=observer, **options)
    for image in images:
        predictor.labels(image)
    return observer.take()


def memories(model: Sam3, image: np.ndarray) -> tuple[list[Tensor], Tensor, Tensor, Tensor, Tensor]:
    """Memory of every variant (P, D, g, g), and of the first its importance, mask probabilities, prompts and scores."""
    pixels = preprocess(torch.from_numpy(image).permute(2, 0, 1), model.config.image_size)
    text = model.encode_text(VOCABULARY.prompts)
    plain, refined = model.encode_image(pixels), model.encode_trunk(pixels)
    gains = Lowpass(radius=2, alpha=1.0, at="trunk")
    refined = gains(refined, None)  # type: ignore[arg-type]
    filtered = model.prepare(refined, model.encode_pyramid(refined))
    prompt = model.prompt(plain, text)
    memory = model.fuse(plain, prompt)
    smooth = SMOOTH(memory, None)  # type: ignore[arg-type]
    after_trunk = model.fuse(filtered, model.prompt(filtered, text))
    detection, importance = model.detect_with_importance(memory, prompt)
    scores = detection.score_logits.sigmoid() * detection.presence_logits.sigmoid()[:, None]
    rows = [(p, q) for p in range(len(scores)) for q in range(scores.shape[1]) if scores[p, q] > 0.08]
    keep = torch.zeros_like(scores, dtype=torch.bool)
    for p, q in rows:
        keep[p, q] = True
    masks = model.segment(memory, detection, prompt, plain, keep)
    return (
        [memory, smooth, after_trunk, memory],
        importance,
        masks.mask_logits.sigmoid(),
        masks.prompt_index,
        scores[keep],
    )


def by_hand(model: Sam3, images: Sequence[np.ndarray]) -> list[list[float]]:
    """Means over prompts of all images (K, 3), without those that are undefined."""
    values: list[list[list[float]]] = [[[], [], []] for _ in VARIANTS]
    for image in images:
        tokens, *ruler = memories(model, image)
        for index, each in enumerate(tokens):
            for column, numbers in enumerate(token_diagnostics(each, *ruler, top_k=TOP_K)):
                values[index][column] += [float(x) for x in numbers if not math.isnan(x)]
    return [[float(np.mean(column)) for column in columns] for columns in values]


@pytest.mark.parametrize("chunk", [8, 3])
def test_numbers_equal_the_metrics_on_hand_made_steps(tiny: Sam3, chunk: int) -> None:
    images = [photo(0), photo(1)]
    found = [[float(x) for x in each] for each in observed(tiny, images, prompt_chunk=chunk)]
    np.testing.assert_allclose(found, by_hand(tiny, images), rtol=2e-4)


def test_variants_that_differ_in_settings_have_the_numbers_of_the_first(tiny: Sam3) -> None:
    first, smooth, _, settings = observed(tiny, [photo()])
    assert settings == first
    assert smooth != first


def test_importance_and_masks_are_measured_once_per_chunk(tiny: Sam3, monkeypatch: pytest.MonkeyPatch) -> None:
    measured, detect = [], tiny.detect_with_importance
    monkeypatch.setattr(
        tiny, "detect_with_importance", lambda memory, prompt: measured.append(len(memory)) or detect(memory, prompt)
    )
    observed(tiny, [photo()], prompt_chunk=3)
    assert measured == [3, 1]


def test_every_window_has_a_ruler_of_its_own(tiny: Sam3) -> None:
    """Two windows beside each other give the mean of the two as images."""
    left, right = photo(2, 30, 30), photo(3, 30, 30)
    found = observed(tiny, [np.concatenate((left, right), axis=1)], window=30)
    expected = observed(tiny, [left, right])
    for one, other in zip(found, expected):
        torch.testing.assert_close(torch.stack(one), torch.stack(other))


def test_without_confident_masks_the_numbers_of_masks_are_undefined(tiny: Sam3) -> None:
    for each in observed(tiny, [photo()], FusionSettings(confidence_threshold=1.0)):
        assert each.energy_divergence > 0
        assert each.mask_contrast.isnan()
        assert each.boundary_sharpness.isnan()


def test_take_begins_anew(tiny: Sam3) -> None:
    observer = TokenObserver(tiny, len(VARIANTS), SETTINGS, top_k=TOP_K)
    predictor = VariantPredictor(tiny, VOCABULARY, VARIANTS, observe=observer)
    predictor.labels(photo(0))
    observer.take()
    predictor.labels(photo(1))
    assert observer.take() == observed(tiny, [photo(1)])
