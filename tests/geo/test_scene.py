"""Scenes with predictors that are functions of the colour; windows and strips are in test_stream.py."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
import pyogrio
import pytest
import rasterio
import torch
from PIL import Image

from segearth_ov3.errors import OptionError, RasterError, RasterWarning, ShapeError, VocabularyError
from segearth_ov3.geo.options import FunctionPredictor, Outputs, Predictor, WindowOptions
from segearth_ov3.geo.polygonize import polygonize
from segearth_ov3.geo.raster import read_rgb
from segearth_ov3.geo.reader import ReadOptions
from segearth_ov3.geo.scene import check_scene, segment_scene
from segearth_ov3.vocabulary import Vocabulary

CLASSES = ("background", "building", "water")


def by_red(images: np.ndarray) -> np.ndarray:
    """Three classes by the brightness of the red band, with scores 0.9 for the label's class and 0.05 elsewhere."""
    labels = images[..., 0] // 86  # (B, S, S)
    return np.where(labels[:, None] == np.arange(3)[:, None, None], np.float32(0.9), np.float32(0.05))


def must_not_run(images: np.ndarray) -> np.ndarray:
    raise AssertionError("predict was called")


@pytest.fixture
def scene(write_raster: Callable[..., Path], rgb: np.ndarray) -> Path:
    """A scene of 6 x 8 pixels in UTM whose upper left pixel is nodata."""
    rgb[:, 0, 0] = 0
    return write_raster(rgb, nodata=0)


def outputs_in(folder: Path, **more: Any) -> Outputs:
    """All kinds of outputs."""
    return Outputs(folder / "sure.tif", folder / "scores.tif", folder / "overlay.png", **more)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_map_has_the_labels_and_the_place_of_the_scene(scene: Path, tmp_path: Path, rgb: np.ndarray) -> None:
    segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES)
    expected = rgb[0] // 86
    expected[0, 0] = 255
    with rasterio.open(scene) as source, rasterio.open(tmp_path / "classes.tif") as written:
        assert np.array_equal(written.read(1), expected)
        assert (written.crs, written.transform, written.shape) == (source.crs, source.transform, source.shape)


def test_confidence_is_the_best_score(scene: Path, tmp_path: Path) -> None:
    segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES, outputs=outputs_in(tmp_path))
    expected = np.full((6, 8), np.float32(0.9))
    expected[0, 0] = np.nan
    with rasterio.open(tmp_path / "sure.tif") as written:
        assert np.array_equal(written.read(1), expected, equal_nan=True)


def test_scores_of_all_classes_are_written(scene: Path, tmp_path: Path, rgb: np.ndarray) -> None:
    segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES, outputs=outputs_in(tmp_path))
    with rasterio.open(tmp_path / "scores.tif") as written:
        values, scale = written.read(), written.scales[0]
        assert written.descriptions == CLASSES
    assert (values[:, 0, 0] == 255).all()
    exact = by_red(rgb.transpose(1, 2, 0)[None])[0]
    np.testing.assert_allclose((values * scale)[:, 1:], exact[:, 1:], atol=0.5 / 254)


@pytest.mark.parametrize("convert", [torch.from_numpy, lambda x: torch.from_numpy(x).bfloat16(), np.float64])
def test_scores_may_be_tensors_and_of_other_types(
    scene: Path, tmp_path: Path, convert: Callable[[np.ndarray], Any]
) -> None:
    outputs = outputs_in(tmp_path)
    segment_scene(scene, tmp_path / "c.tif", lambda x: convert(by_red(x)), classes=CLASSES, outputs=outputs)
    with rasterio.open(tmp_path / "sure.tif") as written:
        assert np.nanmax(written.read(1)) == pytest.approx(0.9, abs=0.004)


@dataclasses.dataclass
class Undecided:
    """A predictor whose scores are low in the right half, with a threshold in between."""

    prob_threshold: float = 0.5
    background: int | None = 2
    input_size: int = 8

    def class_scores(self, images: np.ndarray) -> np.ndarray:
        scores = np.full((len(images), 3, 8, 8), 0.1, np.float32)
        scores[:, 1, :, :4] = 0.6
        return scores


def test_predictor_says_how_scores_become_labels(scene: Path, tmp_path: Path) -> None:
    assert isinstance(Undecided(), Predictor)
    segment_scene(scene, tmp_path / "classes.tif", Undecided(), classes=CLASSES)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert written.read(1)[1].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_function_gives_every_pixel_its_best_class(scene: Path, tmp_path: Path) -> None:
    segment_scene(scene, tmp_path / "classes.tif", Undecided().class_scores, classes=CLASSES)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert written.read(1)[1].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]


def test_function_with_a_threshold_is_a_predictor(scene: Path, tmp_path: Path) -> None:
    predictor = FunctionPredictor(Undecided().class_scores, prob_threshold=0.3, background=2)
    segment_scene(scene, tmp_path / "classes.tif", predictor, classes=CLASSES)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert written.read(1)[1].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_overlay_is_a_picture(scene: Path, tmp_path: Path) -> None:
    segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES, outputs=outputs_in(tmp_path))
    with Image.open(tmp_path / "overlay.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")


def test_overlay_of_a_large_scene_shows_its_classes_in_their_places(
    write_raster: Callable[..., Path], tmp_path: Path
) -> None:
    """2400 pixels wide, drawn with at most 2000: the left third is class 0 and black, the right class 2 and white."""
    bands = np.zeros((3, 30, 2400), np.uint8)
    bands[:, :, 800:] = 255
    outputs = Outputs(overlay=tmp_path / "overlay.png")
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    segment_scene(write_raster(bands), tmp_path / "c.tif", by_red, classes=CLASSES, colors=colors, outputs=outputs)
    with Image.open(tmp_path / "overlay.png") as picture:
        pixels = np.asarray(picture)
    dark, light = (np.argwhere((pixels == color).all(axis=-1)) for color in ((100, 0, 0), (128, 128, 228)))
    assert dark[:, 1].max() < light[:, 1].min()
    assert len(light) / len(dark) == pytest.approx(2, rel=0.05)


def test_style_has_the_colors_of_the_map(scene: Path, tmp_path: Path) -> None:
    colors = [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES, colors=colors)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert [written.colormap(1)[index][:3] for index in range(3)] == colors
    entries = Xml.fromstring((tmp_path / "classes.qml").read_text()).iter("paletteEntry")
    assert [entry.get("color") for entry in entries] == ["#010203", "#040506", "#070809"]


def test_only_the_wanted_files_are_written(scene: Path, tmp_path: Path) -> None:
    segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES, outputs=Outputs(style=False))
    assert names_in(tmp_path) == ["classes.tif", "scene.tif"]
    segment_scene(scene, tmp_path / "c.tif", by_red, classes=CLASSES, outputs=outputs_in(tmp_path))
    assert names_in(tmp_path) == sorted(
        ["c.qml", "c.tif", "classes.tif", "overlay.png", "scene.tif", "scores.tif", "sure.tif"]
    )


def test_cloud_optimised_maps(scene: Path, tmp_path: Path) -> None:
    segment_scene(scene, tmp_path / "c.tif", by_red, classes=CLASSES, outputs=outputs_in(tmp_path, cog=True))
    for name in ("c.tif", "sure.tif", "scores.tif"):
        with rasterio.open(tmp_path / name) as written:
            assert written.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_polygons_are_those_of_the_map(scene: Path, tmp_path: Path) -> None:
    outputs = Outputs(confidence=tmp_path / "sure.tif", vector=tmp_path / "classes.gpkg")
    report = segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES, outputs=outputs)
    _, _, _, (names, areas, sure) = pyogrio.raw.read(
        tmp_path / "classes.gpkg", columns=["class", "area_m2", "confidence"]
    )
    for entry in report.classes:
        assert entry.hectares is not None
        assert areas[names == entry.name].sum() / 1e4 == pytest.approx(entry.hectares)
    np.testing.assert_allclose(sure, 0.9, rtol=1e-6)
    polygonize(tmp_path / "classes.tif", tmp_path / "again.gpkg", confidence=tmp_path / "sure.tif")
    assert len(pyogrio.raw.read(tmp_path / "again.gpkg")[2]) == len(names)


def test_map_has_no_name_before_its_polygons(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RasterError("cannot write classes.gpkg: disk full")

    monkeypatch.setattr("segearth_ov3.geo.scene_outputs.polygonize", fail)
    options: dict[str, Any] = {"outputs": Outputs(vector=tmp_path / "classes.gpkg"), "tags": {"PREDICTOR": "by red"}}
    with pytest.raises(RasterError, match="disk full"):
        segment_scene(scene, tmp_path / "classes.tif", by_red, classes=CLASSES, **options)
    assert names_in(tmp_path) == [".classes.tif.partial", "scene.tif"]  # no style without its map
    monkeypatch.undo()
    segment_scene(scene, tmp_path / "classes.tif", must_not_run, classes=CLASSES, **options, resume=True)
    assert (tmp_path / "classes.gpkg").exists()


def test_polygons_that_cannot_be_written_are_told_before_segmenting(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path
) -> None:
    path = write_raster(rgb, crs=None, transform=None)
    outputs = Outputs(vector=tmp_path / "classes.geojson")
    with pytest.raises(RasterError, match="GeoJSON has longitudes and latitudes"):
        check_scene(path, tmp_path / "classes.tif", outputs=outputs)
    with pytest.raises(RasterError, match="GeoJSON has longitudes and latitudes"):
        segment_scene(path, tmp_path / "classes.tif", must_not_run, classes=CLASSES, outputs=outputs)


def test_geojson_of_a_local_system_is_refused_before_segmenting(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path
) -> None:
    path = write_raster(rgb, crs='LOCAL_CS["Local Coordinates (m)",UNIT["metre",1]]')
    outputs = Outputs(vector=tmp_path / "classes.geojson")
    for run in (
        lambda: check_scene(path, tmp_path / "classes.tif", outputs=outputs),
        lambda: segment_scene(path, tmp_path / "classes.tif", must_not_run, classes=CLASSES, outputs=outputs),
    ):
        with pytest.raises(RasterError, match=r"scene\.tif cannot be transformed to it; choose \.gpkg or \.fgb"):
            run()
    assert names_in(tmp_path) == ["scene.tif"]


def test_a_scene_of_a_local_system_has_polygons_and_one_warning(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path
) -> None:
    path = write_raster(rgb, crs='LOCAL_CS["Local Coordinates (m)",UNIT["metre",1]]')
    outputs = Outputs(vector=tmp_path / "gpkg_x.gpkg")
    with pytest.warns(RasterWarning) as warned:
        segment_scene(path, tmp_path / "classes.tif", by_red, classes=CLASSES, outputs=outputs)
    assert [str(warning.message) for warning in warned] == [
        f"{path}: no areas: the coordinate reference system is neither geographic nor projected"
    ]
    assert names_in(tmp_path) == ["classes.qml", "classes.tif", "gpkg_x.gpkg", "scene.tif"]


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


def test_hectares_of_high_scenes_are_those_of_their_rows(write_raster: Callable[..., Path], tmp_path: Path) -> None:
    """In degrees, pixels shrink towards the pole: 600 rows in three bands from 50 to 80 degrees north."""
    bands = np.zeros((3, 600, 2), np.uint8)
    bands[:, 300:] = 200
    path = write_raster(bands, crs="EPSG:4326", transform=rasterio.Affine(0.05, 0, 7, 0, -0.05, 80))
    report = segment_scene(path, tmp_path / "classes.tif", by_red, classes=CLASSES, windows=WindowOptions(window=64))
    north, south = report.classes[0].hectares, report.classes[2].hectares
    assert north is not None
    assert south is not None
    # area of a zone on a sphere, which is within a percent of the ellipsoid
    zones = [np.diff(np.sin(np.radians([a, b])))[0] for a, b in ((65, 80), (50, 65))]
    assert north / south == pytest.approx(zones[0] / zones[1], rel=0.01)


def test_report_has_no_hectares_without_a_place(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path
) -> None:
    path = write_raster(rgb, crs=None, transform=None)
    with pytest.warns(RasterWarning, match=r"scene\.tif: no areas: the image is not georeferenced"):
        report = segment_scene(path, tmp_path / "classes.tif", by_red, classes=CLASSES)
    assert {entry.hectares for entry in report.classes} == {None}
    assert report.no_area_reason == "no areas: the image is not georeferenced"
    assert report.warnings == ("no areas: the image is not georeferenced",)


def test_scene_without_a_valid_pixel_gives_an_empty_map_without_predicting(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path
) -> None:
    with pytest.warns(RasterWarning, match="no pixel is valid"):
        report = segment_scene(write_raster(rgb * 0, nodata=0), tmp_path / "c.tif", must_not_run, classes=CLASSES)
    assert [entry.share for entry in report.classes] == [0, 0, 0]
    with rasterio.open(tmp_path / "c.tif") as written:
        assert (written.read(1) == 255).all()


def test_nodata_255_with_white_pixels_warns(write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path) -> None:
    rgb[:, :, 0] = 255
    path = write_raster(rgb, nodata=255)
    with pytest.warns(RasterWarning, match=r"nodata is 255, .* 12.50% of the pixels are white .*--nodata none"):
        segment_scene(path, tmp_path / "c.tif", by_red, classes=CLASSES)


def test_nodata_255_without_white_pixels_is_quiet(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path
) -> None:
    assert segment_scene(write_raster(rgb, nodata=255), tmp_path / "c.tif", by_red, classes=CLASSES).warnings == ()


def test_constant_band_warns(write_raster: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.warns(RasterWarning, match="a band in use has the same value nearly everywhere"):
        segment_scene(write_raster(np.full((3, 6, 8), 10000, np.uint16)), tmp_path / "c.tif", by_red, classes=CLASSES)


def test_reading_options_are_used_and_stored(write_raster: Callable[..., Path], tmp_path: Path) -> None:
    bands = np.random.default_rng(0).integers(0, 5000, (4, 6, 8)).astype(np.uint16)
    path, reading = write_raster(bands), ReadOptions(bands=(4, 2, 1), value_range=(0, 5000))
    segment_scene(path, tmp_path / "classes.tif", by_red, classes=CLASSES, reading=reading)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert np.array_equal(written.read(1), read_rgb(path, reading).image[..., 0] // 86)
        tags = written.tags()
    assert json.loads(tags["SEGEARTH_OV3_BANDS"]) == [4, 2, 1]
    assert json.loads(tags["SEGEARTH_OV3_STRETCH"]) == {"lows": [0, 0, 0], "highs": [5000, 5000, 5000]}


def test_tags_reach_all_maps(scene: Path, tmp_path: Path) -> None:
    segment_scene(
        scene,
        tmp_path / "classes.tif",
        by_red,
        classes=CLASSES,
        outputs=outputs_in(tmp_path),
        tags={"SETTINGS": {"refiners": []}},
        windows=WindowOptions(window=5, overlap=0.5, blending="uniform"),
    )
    for name in ("classes.tif", "sure.tif", "scores.tif"):
        with rasterio.open(tmp_path / name) as written:
            tags = written.tags()
        assert tags["SETTINGS"] == '{"refiners": []}'
        assert (tags["SEGEARTH_OV3_WINDOW_PX"], tags["SEGEARTH_OV3_OVERLAP"]) == ("5", "0.5")
        assert tags["SEGEARTH_OV3_BLENDING"] == "uniform"


def test_window_in_metres_follows_from_the_pixel_size(scene: Path, tmp_path: Path) -> None:
    sizes = set()

    def note_size(images: np.ndarray) -> np.ndarray:
        sizes.add(images.shape[1:])
        return by_red(images)

    segment_scene(scene, tmp_path / "c.tif", note_size, classes=CLASSES, windows=WindowOptions(window_m=2.4))
    assert sizes == {(5, 5, 3)}


def test_window_in_metres_needs_a_place(write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path) -> None:
    path = write_raster(rgb, crs=None, transform=None)
    with pytest.raises(RasterError, match="the image is not georeferenced; give the window in pixels instead"):
        segment_scene(path, tmp_path / "c.tif", by_red, classes=CLASSES, windows=WindowOptions(window_m=2.4))


def test_failure_while_segmenting_leaves_no_file(scene: Path, tmp_path: Path) -> None:
    def fail(images: np.ndarray) -> np.ndarray:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        segment_scene(scene, tmp_path / "classes.tif", fail, classes=CLASSES, outputs=outputs_in(tmp_path))
    assert names_in(tmp_path) == ["scene.tif"]


@pytest.mark.parametrize("taken", ["classes.tif", "classes.qml", "sure.tif", "scores.tif", "overlay.png"])
def test_every_destination_is_checked_before_segmenting(scene: Path, tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).touch()
    with pytest.raises(RasterError, match=f"{taken} exists; use --overwrite"):
        segment_scene(scene, tmp_path / "classes.tif", must_not_run, classes=CLASSES, outputs=outputs_in(tmp_path))


def test_existing_outputs_are_replaced_with_overwrite(scene: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"classes": CLASSES, "outputs": outputs_in(tmp_path, vector=tmp_path / "classes.gpkg")}
    segment_scene(scene, tmp_path / "classes.tif", Undecided(), **options)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    segment_scene(scene, tmp_path / "classes.tif", by_red, **options, overwrite=True)
    same = [name for name, content in before.items() if (tmp_path / name).read_bytes() == content]
    assert sorted(same) == ["classes.qml", "scene.tif"]


@pytest.mark.parametrize("taken", ["classes.tif", "classes.qml", "sure.tif", "overlay.png", "classes.gpkg"])
def test_files_of_other_programs_are_replaced_by_force_only(scene: Path, tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("the work of a week")
    options: dict[str, Any] = {"classes": CLASSES, "outputs": outputs_in(tmp_path, vector=tmp_path / "classes.gpkg")}
    with pytest.raises(RasterError, match=f"{taken}: it exists and is no output of segearth-ov3"):
        segment_scene(scene, tmp_path / "classes.tif", must_not_run, **options, overwrite=True)
    assert (tmp_path / taken).read_text() == "the work of a week"
    segment_scene(scene, tmp_path / "classes.tif", by_red, **options, overwrite="force")
    assert (tmp_path / taken).read_bytes() != b"the work of a week"


def test_second_scene_is_not_replaced_by_the_map_of_the_first(
    scene: Path, write_raster: Callable[..., Path], rgb: np.ndarray
) -> None:
    """What a shell makes of `segment *.tif --overwrite` in a folder of two scenes."""
    second = write_raster(rgb, "second.tif")
    before = second.read_bytes()
    with pytest.raises(RasterError, match=r"second\.tif: it exists and is no output of segearth-ov3"):
        check_scene(scene, second, overwrite=True)
    assert second.read_bytes() == before


def test_source_is_not_overwritten(scene: Path) -> None:
    with pytest.raises(RasterError, match="it is the source image"):
        segment_scene(scene, scene, must_not_run, classes=CLASSES, overwrite=True)


def test_same_name_twice_is_refused(scene: Path, tmp_path: Path) -> None:
    outputs = Outputs(confidence=tmp_path / "." / "a.tif")
    with pytest.raises(RasterError, match="twice: the outputs of a scene need different names"):
        segment_scene(scene, tmp_path / "a.tif", must_not_run, classes=CLASSES, outputs=outputs)


def test_unsupported_source_is_refused_before_segmenting(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(RasterError, match="2 bands: 1 uint8 gray"):
        segment_scene(write_raster(rgb[:2]), tmp_path / "c.tif", must_not_run, classes=CLASSES)


@pytest.mark.parametrize("scores", [None, [[[[0.5]]]], "x"])
def test_scores_of_another_type_are_refused(scene: Path, tmp_path: Path, scores: Any) -> None:
    with pytest.raises(ShapeError, match=f"an array or a tensor from predict, got {type(scores).__name__}"):
        segment_scene(scene, tmp_path / "c.tif", lambda _: scores, classes=CLASSES)


@pytest.mark.parametrize("shape", [(1, 2, 8, 8), (1, 3, 8, 7), (2, 3, 8, 8), (3, 8, 8)])
def test_scores_of_another_shape_are_refused(scene: Path, tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"expected scores \(1, 3, 8, 8\) \(windows, classes, height, width\)"):
        segment_scene(scene, tmp_path / "c.tif", lambda _: np.zeros(shape), classes=CLASSES)
    assert names_in(tmp_path) == ["scene.tif"]


def test_more_than_254_classes(scene: Path, tmp_path: Path) -> None:
    names = [f"class {index}" for index in range(300)]

    def last(images: np.ndarray) -> np.ndarray:
        scores = np.zeros((len(images), 300, *images.shape[1:3]), np.float32)
        scores[:, 299] = 1
        return scores

    segment_scene(scene, tmp_path / "classes.tif", last, classes=names)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert written.dtypes == ("uint16",)
        assert np.unique(written.read(1)).tolist() == [299, 65535]


def test_check_finds_an_unsupported_source(write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="1 band: 1 uint8 gray"):
        check_scene(write_raster(rgb[:1]), tmp_path / "classes.tif")


def test_check_finds_a_taken_destination(scene: Path, tmp_path: Path) -> None:
    (tmp_path / "sure.tif").touch()
    with pytest.raises(RasterError, match=r"sure\.tif exists"):
        check_scene(scene, tmp_path / "classes.tif", outputs=outputs_in(tmp_path))


def test_check_passes_a_usable_scene_and_writes_nothing(scene: Path, tmp_path: Path) -> None:
    assert check_scene(scene, tmp_path / "classes.tif", outputs=outputs_in(tmp_path)) == ()
    assert names_in(tmp_path) == ["scene.tif"]


def test_check_tells_what_was_decided(write_raster: Callable[..., Path], tmp_path: Path) -> None:
    (note,) = check_scene(write_raster(np.arange(144, dtype=np.uint16).reshape(3, 6, 8)), tmp_path / "classes.tif")
    assert note.startswith("values become 8 bits by one stretch for the whole scene: ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "expected window as a whole number of at least 1, got 0"),
        ({"window": 5.0}, "expected window as a whole number"),
        ({"batch": 0}, "expected batch as a whole number"),
        ({"batch": None}, "expected batch as a whole number"),
        ({"strip_px": -3}, "expected strip_px as a whole number"),
        ({"overlap": 1.0}, "overlap must be a share of the window"),
        ({"blending": "linear"}, "unknown blending 'linear'"),
        ({"window_m": -1.0}, "expected window_m as a positive number of metres"),
        ({"window": 5, "window_m": 3.0}, "window in pixels or in metres, got both"),
    ],
)
def test_wrong_window_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        WindowOptions(**options)


def test_one_class_is_refused_before_the_scene_is_read(tmp_path: Path) -> None:
    def predict(images: np.ndarray) -> np.ndarray:
        raise AssertionError("nothing is to be computed")

    with pytest.raises(VocabularyError, match="there is one class, 'building', and every pixel would get it"):
        segment_scene(tmp_path / "missing.tif", tmp_path / "labels.tif", predict, classes=["building"])


def test_words_of_one_class_are_named_where_the_predictor_has_them(tmp_path: Path) -> None:
    class Commas(FunctionPredictor):
        vocabulary = Vocabulary.from_text("building, road, tree")

    predict = Commas(lambda images: images)
    with pytest.raises(VocabularyError, match=r'separate classes by semicolons or lines \("building; road; tree"\)'):
        segment_scene(tmp_path / "missing.tif", tmp_path / "labels.tif", predict, classes=["building"])
