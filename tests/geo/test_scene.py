from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from torch import Tensor

from segearth_ov3.errors import OptionError, RasterError, RasterWarning, ShapeError
from segearth_ov3.geo.scene import check_scene, segment_scene

CLASSES = ("background", "building", "water")


class Result(NamedTuple):
    labels: Tensor
    scores: Tensor


def by_red(image: np.ndarray) -> Result:
    """Three classes by the brightness of the red band, with scores 0.9 for the label's class and 0.05 elsewhere."""
    labels = torch.from_numpy(image[..., 0].astype(np.int64) // 86)
    scores = torch.full((3, *labels.shape), 0.05)
    return Result(labels, scores.scatter_(0, labels[None], 0.9))


def must_not_run(image: np.ndarray) -> Result:
    raise AssertionError("segment was called")


@pytest.fixture
def scene(write_raster: Callable[..., Path], rgb: np.ndarray) -> Path:
    """A scene of 6 x 8 pixels in UTM whose upper left pixel is nodata."""
    rgb[:, 0, 0] = 0
    return write_raster(rgb, nodata=0)


def test_map_has_the_labels_and_the_place_of_the_scene(scene: Path, tmp_path: Path, rgb: np.ndarray) -> None:
    segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES)
    expected = rgb[0] // 86
    expected[0, 0] = 255
    with rasterio.open(scene) as source, rasterio.open(tmp_path / "classes.tif") as written:
        assert np.array_equal(written.read(1), expected)
        assert (written.crs, written.transform, written.shape) == (source.crs, source.transform, source.shape)


def test_confidence_is_the_best_score(scene: Path, tmp_path: Path) -> None:
    segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES, confidence=tmp_path / "sure.tif")
    expected = np.full((6, 8), np.float32(0.9))
    expected[0, 0] = np.nan
    with rasterio.open(tmp_path / "sure.tif") as written:
        assert np.array_equal(written.read(1), expected, equal_nan=True)


def test_low_precision_scores_are_written(scene: Path, tmp_path: Path) -> None:
    def halved(image: np.ndarray) -> Result:
        return Result(by_red(image).labels, by_red(image).scores.bfloat16())

    segment_scene(scene, tmp_path / "classes.tif", halved, classes=CLASSES, confidence=tmp_path / "sure.tif")
    with rasterio.open(tmp_path / "sure.tif") as written:
        assert np.nanmax(written.read(1)) == pytest.approx(0.9, abs=0.004)


def test_overlay_is_a_picture(scene: Path, tmp_path: Path) -> None:
    segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES, overlay=tmp_path / "overlay.png")
    with Image.open(tmp_path / "overlay.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")


def test_only_the_wanted_files_are_written(scene: Path, tmp_path: Path) -> None:
    segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.tif", "scene.tif"]


def test_report_counts_valid_pixels(scene: Path, tmp_path: Path, rgb: np.ndarray) -> None:
    report = segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES)
    counts = np.bincount(rgb[0].ravel() // 86, minlength=3)
    counts[0] -= 1  # the pixel without data
    assert [entry.name for entry in report.classes] == list(CLASSES)
    assert [entry.pixels for entry in report.classes] == counts.tolist()
    assert [entry.share for entry in report.classes] == pytest.approx(counts / 47)
    assert (report.valid_pixels, report.invalid_pixels) == (47, 1)


def test_report_gives_hectares(scene: Path, tmp_path: Path) -> None:
    report = segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES)
    assert [entry.hectares for entry in report.classes] == pytest.approx([c.pixels * 0.25e-4 for c in report.classes])
    assert report.no_area_reason is None


def test_report_has_no_hectares_without_a_place(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path
) -> None:
    path = write_raster(rgb, crs=None, transform=None)
    with pytest.warns(RasterWarning, match=r"scene\.tif: no areas: the image is not georeferenced"):
        report = segment_scene(path, tmp_path / "classes.tif", by_red, classes=CLASSES)
    assert {entry.hectares for entry in report.classes} == {None}
    assert report.no_area_reason == "no areas: the image is not georeferenced"


def test_scene_without_a_valid_pixel_gives_an_empty_map(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path
) -> None:
    with pytest.warns(RasterWarning, match="no pixel is valid"):
        report = segment_scene(write_raster(rgb * 0, nodata=0), tmp_path / "c.tif", by_red, classes=CLASSES)
    assert [entry.share for entry in report.classes] == [0, 0, 0]
    with rasterio.open(tmp_path / "c.tif") as written:
        assert (written.read(1) == 255).all()


def test_tags_reach_both_maps(scene: Path, tmp_path: Path) -> None:
    segment_scene(
        scene,
        tmp_path / "classes.tif",
        by_red,
        classes=CLASSES,
        confidence=tmp_path / "sure.tif",
        tags={"SETTINGS": {"window": None}},
    )
    for name in ("classes.tif", "sure.tif"):
        with rasterio.open(tmp_path / name) as written:
            assert written.tags()["SETTINGS"] == '{"window": null}'


def test_given_colors_are_used(scene: Path, tmp_path: Path) -> None:
    colors = [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES, colors=colors)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert [written.colormap(1)[index][:3] for index in range(3)] == colors


def test_failure_while_segmenting_leaves_no_file(scene: Path, tmp_path: Path) -> None:
    def fail(image: np.ndarray) -> Result:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        segment_scene(
            scene,
            tmp_path / "classes.tif",
            fail,
            classes=CLASSES,
            confidence=tmp_path / "sure.tif",
            overlay=tmp_path / "overlay.png",
        )
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


@pytest.mark.parametrize("taken", ["classes.tif", "sure.tif", "overlay.png"])
def test_every_destination_is_checked_before_segmenting(scene: Path, tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).touch()
    with pytest.raises(RasterError, match=f"{taken} exists; use --overwrite"):
        segment_scene(
            scene,
            tmp_path / "classes.tif",
            must_not_run,
            classes=CLASSES,
            confidence=tmp_path / "sure.tif",
            overlay=tmp_path / "overlay.png",
        )


def test_existing_files_are_replaced_with_overwrite(scene: Path, tmp_path: Path) -> None:
    names = ("classes.tif", "sure.tif", "overlay.png")
    for name in names:
        (tmp_path / name).write_text("old")
    classes, sure, overlay = (tmp_path / name for name in names)
    segment_scene(scene, classes, by_red, classes=CLASSES, confidence=sure, overlay=overlay, overwrite=True)
    assert all((tmp_path / name).read_bytes() != b"old" for name in names)


def test_source_is_not_overwritten(scene: Path) -> None:
    with pytest.raises(RasterError, match="it is the source image"):
        segment_scene(scene, scene, must_not_run, classes=CLASSES, overwrite=True)


def test_same_name_twice_is_refused(scene: Path, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="twice: class map, confidence and overlay need different names"):
        segment_scene(scene, tmp_path / "a.tif", must_not_run, classes=CLASSES, confidence=tmp_path / "." / "a.tif")


def test_unsupported_source_is_refused_before_segmenting(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(RasterError, match="3 bands: 1 uint16 gray"):
        segment_scene(write_raster(rgb.astype(np.uint16)), tmp_path / "c.tif", must_not_run, classes=CLASSES)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (Result(torch.zeros(8, 6, dtype=torch.int64), torch.zeros(3, 6, 8)), r"expected labels \(6, 8\), got \(8, 6\)"),
        (Result(torch.zeros(6, 8, dtype=torch.int64), torch.zeros(2, 6, 8)), r"expected scores \(3, 6, 8\)"),
    ],
)
def test_results_of_another_size_are_refused(scene: Path, tmp_path: Path, result: Result, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        segment_scene(scene, tmp_path / "c.tif", lambda _: result, classes=CLASSES, confidence=tmp_path / "s.tif")


def test_labels_without_a_class_are_refused_before_anything_is_written(scene: Path, tmp_path: Path) -> None:
    wrong = Result(torch.full((6, 8), 3), torch.zeros(3, 6, 8))
    with pytest.raises(OptionError, match="expected labels 0 to 2, got 3 to 3"):
        segment_scene(scene, tmp_path / "c.tif", lambda _: wrong, classes=CLASSES, confidence=tmp_path / "s.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_check_finds_an_unsupported_source(write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="1 band: 1 uint8 gray"):
        check_scene(write_raster(rgb[:1]), tmp_path / "classes.tif")


def test_check_finds_a_taken_destination(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "sure.tif").touch()
    with pytest.raises(RasterError, match=r"sure\.tif exists"):
        check_scene(scene, tmp_path / "classes.tif", confidence=tmp_path / "sure.tif")


def test_check_passes_a_usable_scene_and_writes_nothing(scene: Path, tmp_path: Path) -> None:
    check_scene(scene, tmp_path / "classes.tif", confidence=tmp_path / "s.tif", overlay=tmp_path / "o.png")
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]
