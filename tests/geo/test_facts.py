"""Changed sources are noticed, before a run resumes and at its end."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from segearth_ov3.errors import RasterError
from segearth_ov3.geo.facts import SourceFacts, source_facts
from segearth_ov3.geo.options import FunctionPredictor, Outputs, WindowOptions
from segearth_ov3.geo.raster import open_scene
from segearth_ov3.geo.scene import segment_scene

Writer = Callable[..., Path]


def by_red(images: np.ndarray) -> np.ndarray:
    scores = images[..., 0] / np.float32(255)
    return np.stack([1 - scores, scores], axis=1)


def noise(height: int = 400, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (3, height, 10), dtype=np.uint8)


def facts_of(path: Path | str) -> SourceFacts:
    with open_scene(path) as reader:
        return source_facts(reader)


def rewrite(path: Path, content: bytes) -> None:
    """Change a file and keep its time."""
    status = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def segment(scene: Path, predict: Callable[..., Any] = by_red, **options: Any) -> Any:
    predictor = FunctionPredictor(predict, description={"name": "by red"})
    target, windows = scene.parent / "c.tif", WindowOptions(20, overlap=0.0)
    return segment_scene(scene, target, predictor, classes=["dark", "bright"], windows=windows, **options)


def interrupt(scene: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done > total - 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        segment(scene, progress=stop)


def test_file_of_equal_size_and_time_is_another_source(write_raster: Writer) -> None:
    scene = write_raster(noise())
    interrupt(scene)
    other = write_raster(noise(seed=1), "other.tif")
    assert other.stat().st_size == scene.stat().st_size
    rewrite(scene, other.read_bytes())
    with pytest.raises(RasterError, match=r"cannot resume, .*: source sha256 was "):
        segment(scene, resume=True)


def test_virtual_raster_whose_source_was_rewritten_is_another_source(write_raster: Writer) -> None:
    inner = write_raster(noise(), "inner.tif")
    scene = inner.with_name("scene.vrt")
    rasterio.shutil.copy(inner, scene, driver="VRT")
    interrupt(scene)
    rewrite(inner, write_raster(noise(seed=1), "other.tif").read_bytes())
    with pytest.raises(RasterError, match=r"cannot resume, .*: source sha256 was "):
        segment(scene, resume=True)


@pytest.mark.parametrize("in_place", [True, False])
def test_source_that_is_written_while_it_is_read_gives_no_result(write_raster: Writer, in_place: bool) -> None:
    scene = write_raster(noise())
    other = write_raster(noise(seed=1), "other.tif").read_bytes()
    names = {path.name for path in scene.parent.iterdir()}

    def rewriting(images: np.ndarray) -> np.ndarray:
        if in_place:
            rewrite(scene, other)
        else:
            scene.with_name("new").write_bytes(other)
            scene.with_name("new").replace(scene)
        return by_red(images)

    outputs = Outputs(*(scene.with_name(name) for name in ("sure.tif", "scores.tif", "look.png", "c.gpkg")))
    with pytest.raises(RasterError, match=r"scene\.tif was changed while it was read, .* is not written"):
        segment(scene, rewriting, outputs=outputs)
    assert {path.name for path in scene.parent.iterdir()} == names


def test_statistics_that_a_viewer_writes_change_nothing(write_raster: Writer) -> None:
    """QGIS does so whenever it shows a raster, GDAL whenever statistics are asked for."""
    scene = write_raster(noise())
    before = facts_of(scene)
    with rasterio.open(scene) as dataset:
        dataset.stats(indexes=[1, 2, 3])
    assert scene.with_name("scene.tif.aux.xml").exists()
    assert facts_of(scene) == before


def test_other_metadata_in_a_sidecar_count(write_raster: Writer) -> None:
    scene = write_raster(noise())
    before = facts_of(scene)
    scene.with_name("scene.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>"
    )
    assert facts_of(scene) != before


def test_mask_next_to_a_scene_counts(write_raster: Writer) -> None:
    scene = write_raster(noise())
    before = facts_of(scene)
    with rasterio.open(scene, "r+") as dataset:
        dataset.write_mask(np.zeros((400, 10), np.uint8))
    assert facts_of(scene).sha256 != before.sha256


def test_archive_of_a_scene_counts(write_raster: Writer) -> None:
    found = []
    for seed in (0, 1):
        scene = write_raster(noise(seed=seed))
        with zipfile.ZipFile(scene.with_name("tiles.zip"), "w") as archive:
            archive.write(scene, "scene.tif")
        found.append(facts_of(f"/vsizip/{scene.with_name('tiles.zip')}/scene.tif"))
    assert len(found[0].files) == 1
    assert found[0].sha256 != found[1].sha256


def test_scene_without_a_file_is_known_by_its_pixels(write_raster: Writer) -> None:
    contents = [write_raster(noise(seed=seed)).read_bytes() for seed in (0, 1)]
    found = []
    for content in contents:
        with rasterio.MemoryFile(content, filename="scene.tif") as memory:
            found.append(facts_of(memory.name))
    assert [facts.files for facts in found] == [(), ()]
    assert found[0].sha256 != found[1].sha256


def test_copy_of_a_scene_has_the_same_tags(write_raster: Writer) -> None:
    scene = write_raster(noise())
    copy = scene.with_name("copy.tif")
    copy.write_bytes(scene.read_bytes())
    tags, others = facts_of(scene).tags(), facts_of(copy).tags()
    assert (tags.pop("SEGEARTH_OV3_SOURCE_NAME"), others.pop("SEGEARTH_OV3_SOURCE_NAME")) == ("scene.tif", "copy.tif")
    assert tags == others


def test_end_of_a_large_file_counts(write_raster: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With blocks of 16 bytes, of which 3 are read, every file is large."""
    monkeypatch.setattr("segearth_ov3.geo.facts._BLOCK_BYTES", 16)
    monkeypatch.setattr("segearth_ov3.geo.facts._BLOCKS", 3)
    scene = write_raster(noise())
    before, content = facts_of(scene).sha256, scene.read_bytes()
    for place, counts in ((len(content) // 2, True), (len(content) // 4, False), (len(content) - 1, True)):
        rewrite(scene, content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert (facts_of(scene).sha256 != before) is counts
