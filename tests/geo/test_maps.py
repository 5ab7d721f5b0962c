from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine

from segearth_ov3.errors import OptionError, RasterError, ShapeError
from segearth_ov3.geo import maps
from segearth_ov3.geo.maps import write_confidence, write_labels
from segearth_ov3.geo.raster import RasterProfile, read_rgb

CLASSES = ("building", "Straße", "water")
COLORS = [(222, 45, 38), (247, 208, 70), (38, 112, 224)]
ALBERS = "+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96 +datum=WGS84 +units=m"


@pytest.fixture
def profile(write_raster: Callable[..., Path], rgb: np.ndarray) -> RasterProfile:
    """Profile of a scene of 6 x 8 pixels in UTM."""
    return read_rgb(write_raster(rgb)).profile


@pytest.fixture
def labels() -> np.ndarray:
    """Labels (6, 8), int64, of three classes."""
    return np.arange(48).reshape(6, 8) % 3


@pytest.mark.parametrize("crs", ["EPSG:25832", "EPSG:4326", "EPSG:3857", "EPSG:2056", ALBERS])
@pytest.mark.parametrize(
    "transform",
    [Affine(0.5, 0, 7.5, 0, -0.5, 50), Affine(0.4, 0.3, 7.5, 0.3, -0.4, 50), Affine(0.5, 0, 7.5, 0, 0.5, 50)],
    ids=["north up", "rotated", "south up"],
)
def test_georeferencing_equals_the_source(
    write_raster: Callable[..., Path],
    rgb: np.ndarray,
    tmp_path: Path,
    labels: np.ndarray,
    crs: str,
    transform: Affine,
) -> None:
    source = write_raster(rgb, crs=crs, transform=transform)
    write_labels(tmp_path / "classes.tif", labels, read_rgb(source).profile, CLASSES, COLORS)
    with rasterio.open(source) as expected, rasterio.open(tmp_path / "classes.tif") as written:
        assert written.crs == expected.crs
        assert written.transform == expected.transform
        assert written.shape == expected.shape


def test_control_points_equal_the_source(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path, labels: np.ndarray
) -> None:
    gcps = [GroundControlPoint(row, col, 30 + col, 10 - row) for row, col in ((0, 0), (0, 8), (6, 0), (6, 8))]
    source = write_raster(rgb, gcps=gcps, crs="EPSG:4326", transform=None)
    write_labels(tmp_path / "classes.tif", labels, read_rgb(source).profile, CLASSES, COLORS)
    with rasterio.open(tmp_path / "classes.tif") as written:
        points, crs = written.gcps
        assert [(p.row, p.col, p.x, p.y) for p in points] == [(p.row, p.col, p.x, p.y) for p in gcps]
        assert crs == CRS.from_epsg(4326)


def test_pictures_without_a_place_give_maps_without_a_place(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path, labels: np.ndarray
) -> None:
    source = write_raster(rgb, crs=None, transform=None)
    write_labels(tmp_path / "classes.tif", labels, read_rgb(source).profile, CLASSES, COLORS)
    written = _open_quietly(tmp_path / "classes.tif")
    assert (written["crs"], written["transform"]) == (None, Affine.identity())


def _open_quietly(path: Path) -> dict[str, object]:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(path) as dataset:
        return dict(dataset.profile)


def test_labels_are_written_as_bytes_and_invalid_pixels_as_255(
    profile: RasterProfile, tmp_path: Path, labels: np.ndarray
) -> None:
    valid = np.ones((6, 8), bool)
    valid[1, 2] = False
    write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, COLORS, valid=valid)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert (written.dtypes, written.nodata) == (("uint8",), 255)
        assert np.array_equal(written.read(1), np.where(valid, labels, 255))


def test_maps_are_tiled_and_compressed(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, COLORS)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert written.block_shapes == [(256, 256)]
        assert written.compression == rasterio.enums.Compression.deflate


def test_color_table_has_a_color_per_class_and_a_transparent_nodata(
    profile: RasterProfile, tmp_path: Path, labels: np.ndarray
) -> None:
    write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, COLORS)
    with rasterio.open(tmp_path / "classes.tif") as written:
        table = written.colormap(1)
    assert [table[index] for index in range(3)] == [(*color, 255) for color in COLORS]
    assert table[255] == (0, 0, 0, 0)


def test_class_names_are_stored_as_a_list_and_one_by_one(
    profile: RasterProfile, tmp_path: Path, labels: np.ndarray
) -> None:
    write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, COLORS)
    with rasterio.open(tmp_path / "classes.tif") as written:
        tags = written.tags()
    assert json.loads(tags["CLASS_NAMES"]) == list(CLASSES)
    assert [tags[f"CLASS_{index}"] for index in range(3)] == list(CLASSES)


def test_given_tags_are_stored_as_text_or_json(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    given = {"VERSION": "0.1.0", "THRESHOLD": 0.25, "VOCABULARY": [["building", "house"]]}
    write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, COLORS, tags=given)
    write_confidence(tmp_path / "sure.tif", labels / 2, profile, tags=given)
    for name in ("classes.tif", "sure.tif"):
        with rasterio.open(tmp_path / name) as written:
            tags = written.tags()
        assert (tags["VERSION"], tags["THRESHOLD"], tags["VOCABULARY"]) == ("0.1.0", "0.25", '[["building", "house"]]')


def test_no_second_file_appears_beside_the_map(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, COLORS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.tif", "scene.tif"]


@pytest.mark.parametrize(("count", "dtype", "nodata"), [(254, "uint8", 255), (255, "uint16", 65535)])
def test_more_than_254_classes_take_two_bytes(
    profile: RasterProfile, tmp_path: Path, count: int, dtype: str, nodata: int
) -> None:
    labels = np.full((6, 8), count - 1)
    valid = np.arange(48).reshape(6, 8) > 0
    classes, colors = [str(index) for index in range(count)], [(index // 2, 0, index % 2) for index in range(count)]
    write_labels(tmp_path / "classes.tif", labels, profile, classes, colors, valid=valid)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert (written.dtypes[0], written.nodata) == (dtype, nodata)
        assert np.array_equal(written.read(1), np.where(valid, count - 1, nodata))


def test_names_of_a_thousand_classes_are_stored(profile: RasterProfile, tmp_path: Path) -> None:
    classes = [f"a class with a rather long name, number {index}" for index in range(1000)]
    write_labels(tmp_path / "classes.tif", np.zeros((6, 8), int), profile, classes, None)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert json.loads(written.tags()["CLASS_NAMES"]) == classes


def test_confidence_is_float_with_nan_where_invalid(profile: RasterProfile, tmp_path: Path) -> None:
    confidence = np.linspace(0, 1, 48).reshape(6, 8)
    valid = confidence > 0.1
    write_confidence(tmp_path / "sure.tif", confidence, profile, valid=valid)
    with rasterio.open(tmp_path / "sure.tif") as written:
        values = written.read(1)
        assert written.dtypes == ("float32",)
        assert np.isnan(written.nodata)
        assert (written.crs, written.transform) == (profile.crs, profile.transform)
    assert np.array_equal(values, np.where(valid, confidence, np.nan).astype(np.float32), equal_nan=True)


def test_arguments_are_not_changed(profile: RasterProfile, tmp_path: Path) -> None:
    labels, confidence = np.zeros((6, 8), np.uint8), np.zeros((6, 8), np.float32)
    nowhere = np.zeros((6, 8), bool)
    write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, COLORS, valid=nowhere)
    write_confidence(tmp_path / "sure.tif", confidence, profile, valid=nowhere)
    assert not labels.any()
    assert not confidence.any()


@pytest.mark.parametrize("wrong", [-1, 3])
def test_labels_without_a_class_are_refused(
    profile: RasterProfile, tmp_path: Path, labels: np.ndarray, wrong: int
) -> None:
    labels[0, 0] = wrong
    with pytest.raises(OptionError, match="expected labels 0 to 2, got"):
        write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, COLORS)


@pytest.mark.parametrize("colors", [None, COLORS[:2]])
def test_missing_colors_are_refused(
    profile: RasterProfile, tmp_path: Path, labels: np.ndarray, colors: list[tuple[int, int, int]] | None
) -> None:
    with pytest.raises(OptionError, match="one colour for each of 3 classes"):
        write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, colors)


def test_labels_of_another_size_are_refused(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"expected labels \(6, 8\) like .*scene.tif, got \(8, 6\)"):
        write_labels(tmp_path / "classes.tif", labels.T, profile, CLASSES, COLORS)


def test_validity_of_another_size_is_refused(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"expected valid \(6, 8\)"):
        write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, COLORS, valid=np.ones((1, 8), bool))


def test_existing_file_is_kept_without_overwrite(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    (tmp_path / "classes.tif").write_text("precious")
    with pytest.raises(RasterError, match=r"classes.tif exists; use --overwrite"):
        write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, COLORS)
    assert (tmp_path / "classes.tif").read_text() == "precious"


def test_file_that_reads_back_differently_is_not_kept(
    profile: RasterProfile, tmp_path: Path, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk can lose the last blocks without an error, so the written file is compared with the values."""
    check = maps._check_written
    monkeypatch.setattr(maps, "_check_written", lambda path, values, target: check(path, values + 1, target))
    with pytest.raises(RasterError, match=r"classes.tif: what was written differs from what is read back"):
        write_labels(tmp_path / "classes.tif", labels, profile, CLASSES, COLORS)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]
