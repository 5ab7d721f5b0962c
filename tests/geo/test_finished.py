"""Complete maps: kept if they are what is asked for, completed where outputs are missing, refused by name otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio

from segearth_ov3.errors import RasterError, RasterWarning
from segearth_ov3.geo.options import FunctionPredictor, Outputs, WindowOptions
from segearth_ov3.geo.scene import check_scene, segment_scene
from segearth_ov3.geo.unfinished import partial_folder

Writer = Callable[..., Path]
WINDOWS = WindowOptions(20, overlap=0.0)


def by_red(images: np.ndarray) -> np.ndarray:
    scores = images[..., 0] / np.float32(255)
    return np.stack([1 - scores, scores], axis=1)


def must_not_run(images: np.ndarray) -> np.ndarray:
    raise AssertionError("predict was called")


@pytest.fixture
def scene(write_raster: Writer) -> Path:
    """A scene higher than a band of rows."""
    return write_raster(np.random.default_rng(0).integers(0, 256, (3, 400, 10), dtype=np.uint8))


def segment(scene: Path, predict: Callable[..., Any] = by_red, threshold: float = 0.0, **options: Any) -> Any:
    predictor = FunctionPredictor(predict, threshold, 0, description={"name": "by red"})
    options = {"classes": ["dark", "bright"], "windows": WINDOWS, **options}
    return segment_scene(scene, scene.with_name("c.tif"), predictor, **options)


def interrupt(scene: Path, **options: Any) -> None:
    def stop(done: int, total: int) -> None:
        if done > total - 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        segment(scene, progress=stop, **options)


def all_outputs(folder: Path) -> Outputs:
    return Outputs(folder / "sure.tif", folder / "scores.tif", folder / "look.png", folder / "c.gpkg")


def test_resume_on_a_complete_scene_keeps_it(scene: Path) -> None:
    first = segment(scene, outputs=all_outputs(scene.parent))
    assert {path.name for path in first.written} == {"c.tif", "c.qml", "sure.tif", "scores.tif", "look.png", "c.gpkg"}
    before = {path.name: path.stat().st_mtime_ns for path in scene.parent.iterdir()}
    check_scene(scene, scene.with_name("c.tif"), outputs=all_outputs(scene.parent), resume=True)
    again = segment(scene, must_not_run, outputs=all_outputs(scene.parent), resume=True)
    assert (again.classes, again.valid_pixels, again.written) == (first.classes, first.valid_pixels, ())
    assert {path.name: path.stat().st_mtime_ns for path in scene.parent.iterdir()} == before


def test_outputs_that_are_missing_are_made_from_the_map(scene: Path) -> None:
    outputs = all_outputs(scene.parent)
    segment(scene, outputs=outputs)
    expected = {name: (scene.parent / name).read_bytes() for name in ("c.tif", "c.qml", "look.png")}
    polygons = pyogrio.raw.read(scene.with_name("c.gpkg"))[3]
    for name in ("c.qml", "look.png", "c.gpkg"):
        (scene.parent / name).unlink()
    report = segment(scene, must_not_run, outputs=outputs, resume=True)
    assert {path.name for path in report.written} == {"c.qml", "look.png", "c.gpkg"}
    assert {name: (scene.parent / name).read_bytes() for name in expected} == expected
    assert all(map(np.array_equal, pyogrio.raw.read(scene.with_name("c.gpkg"))[3], polygons))


@pytest.mark.parametrize("missing", ["sure.tif", "scores.tif"])
def test_scores_are_not_in_the_map_so_the_scene_is_segmented_again(scene: Path, missing: str) -> None:
    outputs = all_outputs(scene.parent)
    segment(scene, outputs=outputs)
    labels, expected = scene.with_name("c.tif").read_bytes(), (scene.parent / missing).read_bytes()
    (scene.parent / missing).unlink()
    with pytest.warns(RasterWarning, match="the class map does not say the .*, so the scene is segmented again"):
        segment(scene, outputs=outputs, resume=True)
    assert scene.with_name("c.tif").read_bytes() == labels
    assert (scene.parent / missing).read_bytes() == expected


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"threshold": 0.7}, "prob threshold was 0.0, is 0.7"),
        ({"classes": ["low", "high"]}, r'CLASS_NAMES was \["dark", "bright"\], is \["low", "high"\]'),
        ({"colors": [(1, 2, 3), (4, 5, 6)]}, "colors was "),
        ({"windows": WindowOptions(20, overlap=0.5)}, "overlap was 0.0, is 0.5"),
        ({"tags": {"PLACE": "x"}}, 'PLACE was not stored, is "x"'),
        ({"outputs": Outputs(cog=True)}, "cog was false, is true"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_map_of_other_settings_is_refused_by_name(scene: Path, changed: dict[str, Any], difference: str) -> None:
    segment(scene)
    before = scene.with_name("c.tif").read_bytes()
    with pytest.raises(RasterError, match=f"was made with other settings: .*{difference}.*--overwrite"):
        segment(scene, must_not_run, resume=True, **changed)
    assert scene.with_name("c.tif").read_bytes() == before


def test_function_that_is_known_by_tags_is_told_from_another(scene: Path) -> None:
    options: dict[str, Any] = {"classes": ["dark", "bright"], "windows": WINDOWS}
    segment_scene(scene, scene.with_name("c.tif"), by_red, tags={"PREDICTOR": "1"}, **options)
    segment_scene(scene, scene.with_name("c.tif"), must_not_run, tags={"PREDICTOR": "1"}, resume=True, **options)
    with pytest.raises(RasterError, match="PREDICTOR was 1, is 2"):
        segment_scene(scene, scene.with_name("c.tif"), must_not_run, tags={"PREDICTOR": "2"}, resume=True, **options)


def test_confidence_of_other_settings_is_refused(scene: Path) -> None:
    outputs = Outputs(confidence=scene.with_name("sure.tif"))
    segment(scene, threshold=0.7, outputs=outputs)
    segment(scene, overwrite=True)
    with pytest.raises(RasterError, match=r"sure\.tif was made with other settings: prob threshold was 0\.7, is 0\.0"):
        segment(scene, must_not_run, outputs=outputs, resume=True)


@pytest.mark.parametrize("content", [b"a week's work", b"II*\0"])
def test_file_of_others_is_no_map(scene: Path, content: bytes) -> None:
    scene.with_name("c.tif").write_bytes(content)
    with pytest.raises(RasterError, match=r"c\.tif: it exists and is no output of segearth-ov3"):
        segment(scene, must_not_run, resume=True)
    assert scene.with_name("c.tif").read_bytes() == content


def test_rows_that_a_killed_run_left_next_to_its_map_are_removed(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was killed between naming the map and removing the rows."""
    with monkeypatch.context() as patch:
        patch.setattr("segearth_ov3.geo.unfinished.shutil.rmtree", lambda *arguments, **options: None)
        segment(scene)
    assert partial_folder(scene.with_name("c.tif")).exists()
    with pytest.raises(RasterError, match=r"c\.tif exists; use --overwrite"):
        segment(scene, must_not_run)
    assert segment(scene, must_not_run, resume=True).written == ()
    assert not partial_folder(scene.with_name("c.tif")).exists()


def test_interrupted_replacement_of_a_map_is_resumed(scene: Path) -> None:
    segment(scene)
    interrupt(scene, threshold=0.7, overwrite=True)
    calls = []

    def counting(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        return by_red(images)

    segment(scene, counting, threshold=0.7, resume=True)
    assert 0 < len(calls) < 20
    with rasterio.open(scene.with_name("c.tif")) as written:
        assert json.loads(written.tags()["SEGEARTH_OV3_PROB_THRESHOLD"]) == 0.7


def test_rows_of_another_run_stay_when_a_map_is_kept(scene: Path) -> None:
    segment(scene)
    interrupt(scene, threshold=0.7, overwrite=True)
    assert segment(scene, must_not_run, resume=True).written == ()
    assert partial_folder(scene.with_name("c.tif")).exists()


@pytest.mark.parametrize("resume", [True, False])
def test_unfinished_work_is_found_before_weights_are_loaded(scene: Path, write_raster: Writer, resume: bool) -> None:
    interrupt(scene)
    write_raster(np.random.default_rng(1).integers(0, 256, (3, 400, 10), dtype=np.uint8))
    message = "cannot resume, .*source sha256 was" if resume else "an interrupted run left its finished rows in"
    with pytest.raises(RasterError, match=message):
        check_scene(scene, scene.with_name("c.tif"), resume=resume)
