"""What distinguishes predictors, and what callers may not say about them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from golden import load_tiny

from segearth_ov3.errors import OptionError, RasterError
from segearth_ov3.geo.identity import name_differences
from segearth_ov3.geo.options import FunctionPredictor, WindowOptions
from segearth_ov3.geo.scene import segment_scene
from segearth_ov3.segmenter import Segmenter
from segearth_ov3.vocabulary import Vocabulary

WORDS = "building; road"


def by_red(images: np.ndarray) -> np.ndarray:
    scores = images[..., 0] / np.float32(255)
    return np.stack([1 - scores, scores], axis=1)


@pytest.fixture
def high(write_raster: Callable[..., Path]) -> Path:
    """A scene higher than a band of rows."""
    return write_raster(np.random.default_rng(0).integers(0, 256, (3, 400, 10), dtype=np.uint8))


def segmenter(words: str = WORDS, seed: int = 0, **options: Any) -> Segmenter:
    """A segmenter of the tiny network; another seed is another network of the same sizes."""
    model = load_tiny()
    if seed:
        model.geometry_encoder.cls_embed.weight.add_(seed)
    return Segmenter(model, Vocabulary.from_text(words, background=None), **options)


def interrupt(scene: Path, predictor: Any) -> None:
    """Stop a run after its first band of rows."""

    def stop(done: int, total: int) -> None:
        if done > total - 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        segment_scene(scene, scene.with_name("c.tif"), predictor, windows=WindowOptions(20, overlap=0.0), progress=stop)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"seed": 1}, "weights sha256 was"),
        ({"words": "building,house; road"}, r'classes was \[\["building"\], '),
        ({"refiners": ["smoothing:weight=0.2,at=memory"]}, r"refiners was \[\], is"),
        ({"confidence_threshold": 0.2}, "confidence threshold was 0.5, is 0.2"),
        ({"presence": "off"}, 'presence was "full", is "off"'),
    ],
)
def test_resume_with_another_segmenter_is_refused(high: Path, other: dict[str, Any], difference: str) -> None:
    interrupt(high, segmenter())
    with pytest.raises(RasterError, match=f"cannot resume, .*{difference}"):
        segment_scene(
            high, high.with_name("c.tif"), segmenter(**other), windows=WindowOptions(20, overlap=0.0), resume=True
        )


def test_maps_name_weights_and_checkpoint(high: Path) -> None:
    predictor = segmenter()
    predictor.model.checkpoint_name = "sam3.pt"
    segment_scene(high, high.with_name("c.tif"), predictor, windows=WindowOptions(40))
    with rasterio.open(high.with_name("c.tif")) as written:
        tags = written.tags()
    assert tags["SEGEARTH_OV3_WEIGHTS_SHA256"] == predictor.model.weights_digest()
    assert tags["SEGEARTH_OV3_CHECKPOINT"] == "sam3.pt"
    assert tags["CLASS_NAMES"] == '["building", "road"]'


def test_function_without_a_description_cannot_resume(high: Path) -> None:
    with pytest.raises(OptionError, match="resume needs to know the predictor"):
        segment_scene(high, high.with_name("c.tif"), by_red, classes=["a", "b"], resume=True)


def test_function_is_known_by_its_description(high: Path) -> None:
    predictor = FunctionPredictor(by_red, description={"name": "by red"})
    segment_scene(high, high.with_name("c.tif"), predictor, classes=["a", "b"], resume=True)
    with rasterio.open(high.with_name("c.tif")) as written:
        assert written.tags()["SEGEARTH_OV3_NAME"] == "by red"


@pytest.mark.parametrize("name", ["SEGEARTH_OV3_WEIGHTS_SHA256", "segearth_ov3_bands", "CLASS_NAMES", "CLASS_0"])
def test_tags_cannot_say_what_the_predictor_is(high: Path, name: str) -> None:
    with pytest.raises(OptionError, match=f"expected other names for the tags {name}"):
        segment_scene(high, high.with_name("c.tif"), by_red, classes=["a", "b"], tags={name: "mine"})


@pytest.mark.parametrize("name", [1, "", "a=b", " a", "a\nb"])
def test_tags_need_names_that_gdal_stores(high: Path, name: Any) -> None:
    with pytest.raises(OptionError, match=f"expected names of tags as text .*, got {re.escape(repr(name))}"):
        segment_scene(high, high.with_name("c.tif"), by_red, classes=["a", "b"], tags={name: "mine"})


@pytest.mark.parametrize("value", ["", " a", "a \n", "\n", "1e3", "ä", None])
def test_a_complete_map_is_known_by_any_tag(high: Path, value: str | None) -> None:
    for written in (2, 0):
        options: dict[str, Any] = {"classes": ["a", "b"], "tags": {"NAME": value}, "resume": True}
        assert len(segment_scene(high, high.with_name("c.tif"), by_red, **options).written) == written


def test_classes_cannot_contradict_the_segmenter(high: Path) -> None:
    with pytest.raises(OptionError, match="expected the classes of the predictor, building, road, got road, building"):
        segment_scene(high, high.with_name("c.tif"), segmenter(), classes=["road", "building"])


def test_vocabulary_stands_for_the_names_of_its_classes(high: Path) -> None:
    segment_scene(high, high.with_name("c.tif"), segmenter(), classes=Vocabulary.from_text(WORDS, background=None))
    with rasterio.open(high.with_name("c.tif")) as classes:
        assert classes.tags()["CLASS_1"] == "road"


@pytest.mark.parametrize(
    ("classes", "message"), [(None, "this predictor names none"), ("ab", "names, got 'ab'"), (2, "got 2")]
)
def test_function_needs_classes(high: Path, classes: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        segment_scene(high, high.with_name("c.tif"), by_red, classes=classes)


def test_differences_are_named_with_both_values() -> None:
    found = {"SEGEARTH_OV3_PROB_THRESHOLD": 0.0, "batch": 1, "nodata": float("nan")}
    wanted = {"SEGEARTH_OV3_PROB_THRESHOLD": 0.2, "batch": 1, "nodata": float("nan"), "refiners": None}
    assert name_differences(found, wanted) == "prob threshold was 0.0, is 0.2; refiners was not stored, is null"


@pytest.mark.parametrize("options", [{"description": {"model": object()}}, {"tags": {"model": {1, 2}}}])
def test_descriptions_are_json(high: Path, options: dict[str, Any]) -> None:
    predictor = FunctionPredictor(by_red, description=options.get("description"))
    with pytest.raises(OptionError, match=r"expected model of describe\(\) or tags in JSON types, got"):
        segment_scene(high, high.with_name("c.tif"), predictor, classes=["a", "b"], tags=options.get("tags"))
