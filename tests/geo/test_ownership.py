"""Which files an output may replace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segearth_ov3.demo.scenes import generate_scene, write_scene
from segearth_ov3.errors import RasterError
from segearth_ov3.geo.options import Outputs
from segearth_ov3.geo.ownership import check_replaceable, is_generated_scene, is_own_output
from segearth_ov3.geo.scene import segment_scene
from segearth_ov3.geo.style import write_style

NAMES = ["c.tif", "c.qml", "sure.tif", "scores.tif", "look.png", "look.jpg", "c.gpkg", "c.fgb", "c.geojson"]


def dark(images: np.ndarray) -> np.ndarray:
    scores = images[..., 0] / np.float32(255)
    return np.stack([1 - scores, scores], axis=1)


@pytest.fixture
def outputs(write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path) -> Path:
    """A folder with all outputs of a scene, and the scene."""
    scene = write_raster(rgb)
    for picture, vector in (("look.png", "c.gpkg"), ("look.jpg", "c.fgb"), ("look.jpeg", "c.geojson")):
        more = Outputs(tmp_path / "sure.tif", tmp_path / "scores.tif", tmp_path / picture, tmp_path / vector)
        segment_scene(scene, tmp_path / "c.tif", dark, classes=["dark", "bright"], outputs=more, overwrite=True)
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_every_output_is_recognised(outputs: Path, name: str) -> None:
    assert is_own_output(outputs / name)
    check_replaceable(outputs / name, overwrite=True)


@pytest.mark.parametrize("name", NAMES)
def test_text_under_the_name_of_an_output_is_not(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    assert not is_own_output(tmp_path / name)
    with pytest.raises(RasterError, match=f"{name}: it exists and is no output of segearth-ov3, .* use --force"):
        check_replaceable(tmp_path / name, overwrite=True)
    check_replaceable(tmp_path / name, overwrite="force")


def test_scenes_and_pictures_of_others_are_not_outputs(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    scene = write_raster(rgb)
    for name in ("photo.png", "photo.jpg"):
        Image.fromarray(rgb.transpose(1, 2, 0)).save(scene.with_name(name))
        assert not is_own_output(scene.with_name(name))
    assert not is_own_output(scene)


def test_generated_scene_is_a_scene(tmp_path: Path) -> None:
    write_scene(generate_scene((64, 64), seed=1), tmp_path / "scene.tif", tmp_path / "truth.tif")
    for name in ("scene.tif", "truth.tif"):
        assert is_generated_scene(tmp_path / name)
        assert not is_own_output(tmp_path / name)


def test_style_that_qgis_saved_is_the_users(tmp_path: Path) -> None:
    """QGIS writes its own document and keeps no comments."""
    write_style(tmp_path / "c.qml", ["a"], [(1, 2, 3)])
    text = (tmp_path / "c.qml").read_text()
    (tmp_path / "c.qml").write_text(text.replace("<!--segearth-ov3-->", ""))
    assert not is_own_output(tmp_path / "c.qml")


def test_empty_and_absent_files_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty.tif").touch()
    for name in ("empty.tif", "absent.tif"):
        check_replaceable(tmp_path / name, overwrite=True)
