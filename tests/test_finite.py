"""Scores that are NaN or infinite are refused wherever they enter, before anything is written."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from fake_model import BrokenSam3
from golden import load_tiny
from rasterio.transform import Affine
from safetensors.torch import save_file

from segearth_ov3.checkpoints import load_sam3
from segearth_ov3.checkpoints.sizes import config_metadata
from segearth_ov3.engine.predictor import VariantPredictor
from segearth_ov3.engine.scores import FusionSettings
from segearth_ov3.engine.variants import Variant
from segearth_ov3.errors import CheckpointError, ScoreError
from segearth_ov3.finite import check_finite
from segearth_ov3.geo.options import WindowOptions
from segearth_ov3.geo.scene import segment_scene
from segearth_ov3.sam3.model import Sam3, set_compute_dtype
from segearth_ov3.segmenter import Segmenter
from segearth_ov3.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_text("ground; building,house; road")
REFUSED = r"scores are not finite .*use float32 or bfloat16.*`segearth-ov3 checkpoint verify`"
SIZE = (45, 52)


def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


BROKEN = [
    ("presence_logits", np.nan),
    ("score_logits", np.nan),
    ("score_logits", np.inf),
    ("mask_logits", np.nan),
    ("semantic_logits", np.nan),
]


@pytest.mark.parametrize(("output", "value"), BROKEN)
@pytest.mark.parametrize("windows", [{}, {"window": 30, "stride": 20}], ids=["whole", "windows"])
@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_segmenter_refuses_outputs_that_are_not_finite(
    output: str, value: float, windows: dict[str, int], threshold: float
) -> None:
    settings = {"prob_threshold": threshold, "confidence_threshold": 0.1, "use_semantic": output != "mask_logits"}
    segmenter = Segmenter(BrokenSam3(output, value), VOCABULARY, **settings, **windows)
    with pytest.raises(ScoreError, match=REFUSED):
        segmenter(photo())
    with pytest.raises(ScoreError, match=REFUSED):
        segmenter.predict_labels(photo())
    with pytest.raises(ScoreError, match=REFUSED):
        segmenter.class_scores([photo(), photo()])


@pytest.mark.parametrize(("output", "value"), BROKEN)
def test_variants_refuse_outputs_that_are_not_finite(output: str, value: float) -> None:
    settings = FusionSettings(prob_threshold=0.3, confidence_threshold=0.1)
    variants = [Variant(settings), Variant(dataclasses.replace(settings, use_semantic=False))]
    predictor = VariantPredictor(BrokenSam3(output, value), VOCABULARY, variants)
    with pytest.raises(ScoreError, match=REFUSED):
        predictor.labels(photo())


# ---- the cause that occurs: float16 ends at 65504


def scaled_tiny(dtype: torch.dtype) -> Sam3:
    """The tiny network with the same function in exact arithmetic, and inner values beyond the range of float16."""
    model = load_tiny()
    layer = model.transformer.encoder.layers[0]
    for tensor in (layer.linear1.weight, layer.linear1.bias):
        tensor.mul_(3e4)
    layer.linear2.weight.div_(3e4)
    return set_compute_dtype(model, dtype)


def test_float32_labels_where_float16_overflows() -> None:
    plain = Segmenter(load_tiny(), VOCABULARY, confidence_threshold=0.1)(photo()).scores
    scaled = Segmenter(scaled_tiny(torch.float32), VOCABULARY, confidence_threshold=0.1)(photo()).scores
    torch.testing.assert_close(scaled, plain, atol=1e-4, rtol=0)
    with pytest.raises(ScoreError, match=REFUSED):
        Segmenter(scaled_tiny(torch.float16), VOCABULARY, confidence_threshold=0.1).predict_labels(photo())


# ---- scenes, with anybody's predictor


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A raster of 60 x 90 pixels."""
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": 60, "width": 90, "crs": "EPSG:25832"}
    with rasterio.open(tmp_path / "scene.tif", "w", transform=Affine(1, 0, 3e4, 0, -1, 5e6), **profile) as written:
        written.write(np.random.default_rng(1).integers(1, 255, (3, 60, 90), dtype=np.uint8))
    return tmp_path / "scene.tif"


def broken(value: float, dtype: type, wrap: Callable[[np.ndarray], Any]) -> tuple[list[int], Callable[..., Any]]:
    """A predictor whose second window has one bad score, and the windows it was given."""
    seen: list[int] = []

    def predict(images: np.ndarray) -> Any:
        seen.append(len(images))
        scores = np.full((len(images), 3, *images.shape[1:3]), 0.5, dtype)
        if len(seen) == 2:
            scores[0, 0, 3, 4] = value
        return wrap(scores)

    return seen, predict


@pytest.mark.parametrize("wrap", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scene_ends_at_the_first_window_that_is_not_finite(
    scene: Path, value: float, dtype: type, wrap: Callable[[np.ndarray], Any]
) -> None:
    seen, predict = broken(value, dtype, wrap)
    dst = scene.parent / "classes.tif"
    with pytest.raises(ScoreError, match=REFUSED):
        segment_scene(scene, dst, predict, classes=("a", "b", "c"), windows=WindowOptions(window=30, overlap=0))
    assert len(seen) == 2
    assert not dst.exists()


# ---- the check itself


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor], ids=["array", "tensor"])
@pytest.mark.parametrize("values", [[0.5, np.nan], [np.inf, np.inf], [-np.inf, 1], [np.inf, -np.inf, np.nan]])
def test_any_value_that_is_not_finite_is_refused(values: list[float], make: Callable[[Any], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ScoreError, match=REFUSED):
            check_finite(make(values))


@pytest.mark.parametrize("make", [np.asarray, torch.as_tensor], ids=["array", "tensor"])
def test_finite_values_pass(make: Callable[[Any], Any]) -> None:
    check_finite(make([0.0, 1.0, -3e38, 3e38]))


# ---- weights that a ReLU would hide


@pytest.mark.parametrize("factor", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, factor: float) -> None:
    with pytest.raises(CheckpointError, match=r"linear1\.weight are not finite as float32; check the file with"):
        load_sam3(saved(tmp_path, factor))


def test_weights_beyond_float16_are_refused_in_it(tmp_path: Path) -> None:
    path = saved(tmp_path, 3e5)
    assert load_sam3(path).dtype == torch.float32
    with pytest.raises(CheckpointError, match=r"linear1\.weight are not finite as float16; .* use float32 or bfloat16"):
        load_sam3(path, dtype="float16")


def saved(folder: Path, factor: float) -> Path:
    """A checkpoint of the tiny network with one layer scaled."""
    model = load_tiny()
    model.transformer.encoder.layers[0].linear1.weight.mul_(factor)
    save_file(dict(model.state_dict()), folder / "tiny.safetensors", metadata=config_metadata(model.config))
    return folder / "tiny.safetensors"
