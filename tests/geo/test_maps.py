from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from rasterio.transform import Affine

from segearth_ov3.errors import OptionError, RasterError, ShapeError
from segearth_ov3.geo import maps
from segearth_ov3.geo.maps import MapKind, confidence_map, label_map, open_map, score_map
from segearth_ov3.geo.raster import RasterProfile, read_rgb, without_georeference_warning

CLASSES = ("building", "Straße", "water")
COLORS = [(222, 45, 38), (247, 208, 70), (38, 112, 224)]
ALBERS = "+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96 +datum=WGS84 +units=m"


def write_map(path: Path, kind: MapKind, profile: RasterProfile, values: np.ndarray, **options: Any) -> None:
    """Write a map (bands, H0, W0) in pieces of three rows."""
    with open_map(path, kind, profile, **options) as writer:
        for start in range(0, values.shape[1], 3):
            writer.write(start, values[:, start : start + 3])


def write_labels(path: Path, labels: np.ndarray, profile: RasterProfile, **options: Any) -> None:
    """Write a map of the three classes."""
    write_map(path, label_map(CLASSES, COLORS), profile, labels[None], **options)


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
    write_labels(tmp_path / "classes.tif", labels, read_rgb(source).profile)
    with rasterio.open(source) as expected, rasterio.open(tmp_path / "classes.tif") as written:
        assert written.crs == expected.crs
        assert written.transform == expected.transform
        assert written.shape == expected.shape


def test_control_points_equal_the_source(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path, labels: np.ndarray
) -> None:
    gcps = [GroundControlPoint(row, col, 30 + col, 10 - row) for row, col in ((0, 0), (0, 8), (6, 0), (6, 8))]
    source = write_raster(rgb, gcps=gcps, crs="EPSG:4326", transform=None)
    write_labels(tmp_path / "classes.tif", labels, read_rgb(source).profile)
    with rasterio.open(tmp_path / "classes.tif") as written:
        points, crs = written.gcps
        assert [(p.row, p.col, p.x, p.y) for p in points] == [(p.row, p.col, p.x, p.y) for p in gcps]
        assert crs == CRS.from_epsg(4326)


def test_pictures_without_a_place_give_maps_without_a_place(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path, labels: np.ndarray
) -> None:
    source = write_raster(rgb, crs=None, transform=None)
    write_labels(tmp_path / "classes.tif", labels, read_rgb(source).profile)
    written = _open_quietly(tmp_path / "classes.tif")
    assert (written["crs"], written["transform"]) == (None, Affine.identity())


def _open_quietly(path: Path) -> dict[str, object]:
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning), rasterio.open(path) as dataset:
        return dict(dataset.profile)


def test_labels_are_written_as_bytes(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    labels[1, 2] = 255
    write_labels(tmp_path / "classes.tif", labels, profile)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert (written.dtypes, written.nodata) == (("uint8",), 255)
        assert np.array_equal(written.read(1), labels)


def test_maps_are_tiled_and_compressed(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    write_labels(tmp_path / "classes.tif", labels, profile)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert written.block_shapes == [(256, 256)]
        assert written.compression == rasterio.enums.Compression.deflate


def test_color_table_has_a_color_per_class_and_a_transparent_nodata(
    profile: RasterProfile, tmp_path: Path, labels: np.ndarray
) -> None:
    write_labels(tmp_path / "classes.tif", labels, profile)
    with rasterio.open(tmp_path / "classes.tif") as written:
        table = written.colormap(1)
    assert [table[index] for index in range(3)] == [(*color, 255) for color in COLORS]
    assert table[255] == (0, 0, 0, 0)


def test_class_names_are_stored_as_a_list_and_one_by_one(
    profile: RasterProfile, tmp_path: Path, labels: np.ndarray
) -> None:
    write_labels(tmp_path / "classes.tif", labels, profile)
    with rasterio.open(tmp_path / "classes.tif") as written:
        tags = written.tags()
    assert json.loads(tags["CLASS_NAMES"]) == list(CLASSES)
    assert [tags[f"CLASS_{index}"] for index in range(3)] == list(CLASSES)


def test_given_tags_are_stored_as_text_or_json(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    given = {"VERSION": "0.1.0", "THRESHOLD": 0.25, "VOCABULARY": [["building", "house"]]}
    kinds = {"classes": label_map(CLASSES, COLORS, given), "sure": confidence_map(given)}
    for name, kind in kinds.items():
        write_map(tmp_path / f"{name}.tif", kind, profile, labels[None] / 2)
        with rasterio.open(tmp_path / f"{name}.tif") as written:
            tags = written.tags()
        assert (tags["VERSION"], tags["THRESHOLD"], tags["VOCABULARY"]) == ("0.1.0", "0.25", '[["building", "house"]]')


def test_no_second_file_appears_beside_the_map(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    write_labels(tmp_path / "classes.tif", labels, profile)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.tif", "scene.tif"]


@pytest.mark.parametrize(("count", "dtype", "nodata"), [(254, "uint8", 255), (255, "uint16", 65535)])
def test_more_than_254_classes_take_two_bytes(
    profile: RasterProfile, tmp_path: Path, count: int, dtype: str, nodata: int
) -> None:
    labels = np.full((6, 8), count - 1)
    classes, colors = [str(index) for index in range(count)], [(index // 2, 0, index % 2) for index in range(count)]
    write_map(tmp_path / "classes.tif", label_map(classes, colors), profile, labels[None])
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert (written.dtypes[0], written.nodata) == (dtype, nodata)
        assert np.array_equal(written.read(1), labels)


def test_names_of_a_thousand_classes_are_stored(profile: RasterProfile, tmp_path: Path) -> None:
    classes = [f"a class with a rather long name, number {index}" for index in range(1000)]
    write_map(tmp_path / "classes.tif", label_map(classes, None), profile, np.zeros((1, 6, 8)))
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert json.loads(written.tags()["CLASS_NAMES"]) == classes


def test_confidence_is_float_with_nan_where_invalid(profile: RasterProfile, tmp_path: Path) -> None:
    confidence = np.linspace(0, 1, 48, dtype=np.float32).reshape(1, 6, 8)
    confidence[confidence < 0.1] = np.nan
    write_map(tmp_path / "sure.tif", confidence_map(), profile, confidence)
    with rasterio.open(tmp_path / "sure.tif") as written:
        assert written.dtypes == ("float32",)
        assert np.isnan(written.nodata)
        assert (written.crs, written.transform) == (profile.crs, profile.transform)
        assert np.array_equal(written.read(), confidence, equal_nan=True)


@pytest.mark.parametrize("bits", [0xFFC00000, 0x7FC00001, 0xFF800001])
def test_every_form_of_nan_is_nan(profile: RasterProfile, tmp_path: Path, bits: int) -> None:
    """Infinity times zero is 0xffc00000; GDAL stores a block of it as empty and reads 0x7fc00000."""
    confidence = np.full((1, 6, 8), bits, np.uint32).view(np.float32)
    write_map(tmp_path / "sure.tif", confidence_map(), profile, confidence)
    with rasterio.open(tmp_path / "sure.tif") as written:
        assert np.isnan(written.read()).all()


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize("kind", [label_map(CLASSES, COLORS), confidence_map(), score_map(CLASSES)])
def test_rpcs_of_the_source_are_on_every_map(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path, kind: MapKind, cog: bool
) -> None:
    polynomials = {f"{part}_coeff": [0.25, *[1e-3] * 19] for part in ("line_num", "line_den", "samp_num", "samp_den")}
    offsets = {f"{axis}_off": 50.5 for axis in ("height", "lat", "line", "long", "samp")}
    scales = {f"{axis}_scale": 0.25 for axis in ("height", "lat", "line", "long", "samp")}
    rpcs = RPC(**polynomials, **offsets, **scales, err_bias=0.5, err_rand=0.25)
    path = write_raster(rgb, crs=None, transform=None)
    with without_georeference_warning(), rasterio.open(path, "r+") as dataset:
        dataset.rpcs = rpcs
    profile = read_rgb(path).profile
    values = np.zeros((len(kind.names), 6, 8))
    write_map(tmp_path / "map.tif", kind, profile, values, cog=cog)
    with without_georeference_warning(), rasterio.open(tmp_path / "map.tif") as written:
        assert written.rpcs == profile.rpcs
        assert written.rpcs.to_gdal() == rpcs.to_gdal()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.tif", "scene.tif"]


def test_names_with_special_characters_are_kept(profile: RasterProfile, tmp_path: Path) -> None:
    names = ("""<a href="x">&amp;'""", "道路=1, 2;", " é\u0301 ")
    write_map(tmp_path / "classes.tif", label_map(names, COLORS), profile, np.zeros((1, 6, 8)))
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert json.loads(written.tags()["CLASS_NAMES"]) == list(names)
        assert (written.tags()["CLASS_0"], written.tags()["CLASS_1"]) == names[:2]


@pytest.mark.parametrize("name", ["a\x07b", "a\nb", "a\udc80b"])
@pytest.mark.parametrize("make", [lambda names: label_map(names, COLORS[:2]), score_map])
def test_names_with_control_characters_are_refused(make: Callable[[list[str]], MapKind], name: str) -> None:
    with pytest.raises(OptionError, match=r"class 1: expected a name without control characters, got 'a\\"):
        make(["road", name])


def test_scores_have_a_band_per_class_and_a_scale(profile: RasterProfile, tmp_path: Path) -> None:
    scores = np.arange(144).reshape(3, 6, 8)
    write_map(tmp_path / "scores.tif", score_map(CLASSES), profile, scores)
    with rasterio.open(tmp_path / "scores.tif") as written:
        assert (written.dtypes, written.nodata) == (("uint8",) * 3, 255)
        assert written.descriptions == CLASSES
        assert written.scales == pytest.approx((1 / 254,) * 3)
        assert np.array_equal(written.read(), scores)


@pytest.mark.parametrize("cog", [False, True])
def test_overviews_take_the_nearest_pixel(write_raster: Callable[..., Path], tmp_path: Path, cog: bool) -> None:
    """Means of classes 0 and 2 would be class 1."""
    profile = read_rgb(write_raster(np.ones((3, 700, 700), np.uint8))).profile
    labels = np.random.default_rng(0).choice([0, 2], (700, 700))
    write_labels(tmp_path / "classes.tif", labels, profile, cog=cog)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert written.overviews(1)
        assert np.array_equal(written.read(1), labels)
    with rasterio.open(tmp_path / "classes.tif", overview_level=0) as reduced:
        assert set(np.unique(reduced.read(1))) == {0, 2}


def test_cloud_optimised_map_keeps_everything(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    write_labels(tmp_path / "plain.tif", labels, profile)
    write_labels(tmp_path / "cog.tif", labels, profile, cog=True)
    with rasterio.open(tmp_path / "plain.tif") as plain, rasterio.open(tmp_path / "cog.tif") as cog:
        assert cog.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        for name in ("crs", "transform", "nodata", "dtypes", "descriptions"):
            assert getattr(cog, name) == getattr(plain, name)
        assert {**plain.tags(), **cog.tags()} == cog.tags()
        assert cog.colormap(1) == plain.colormap(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cog.tif", "plain.tif", "scene.tif"]


def test_cloud_optimised_maps_are_written_without_warnings(
    profile: RasterProfile, tmp_path: Path, labels: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("WARNING"), rasterio.Env():  # which sends GDAL's warnings to the log
        write_labels(tmp_path / "cog.tif", labels, profile, cog=True)
    assert not caplog.messages


@pytest.mark.parametrize(("value", "is_stored"), [(1, True), (255, False)])
def test_blocks_without_data_take_no_room(
    write_raster: Callable[..., Path], tmp_path: Path, value: int, is_stored: bool
) -> None:
    profile = read_rgb(write_raster(np.ones((3, 600, 600), np.uint8))).profile
    write_labels(tmp_path / "classes.tif", np.full((600, 600), value), profile)
    with rasterio.open(tmp_path / "classes.tif") as written:
        assert (written.read(1) == value).all()
        for level in (None, 0):
            assert (written.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", 1, level) is not None) is is_stored


def test_same_rows_give_the_same_bytes(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    for name in ("a.tif", "b.tif"):
        write_labels(tmp_path / name, labels, profile)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


@pytest.mark.parametrize("colors", [None, COLORS[:2]])
def test_missing_colors_are_refused(colors: list[tuple[int, int, int]] | None) -> None:
    with pytest.raises(OptionError, match="one colour for each of 3 classes"):
        label_map(CLASSES, colors)


@pytest.mark.parametrize("shape", [(8, 6), (6, 7), (7, 8)])
def test_rows_of_another_size_are_refused(profile: RasterProfile, tmp_path: Path, shape: tuple[int, int]) -> None:
    with pytest.raises(ShapeError, match=r"expected rows \(1, n, 8\) of 6, got"):
        write_labels(tmp_path / "classes.tif", np.zeros(shape), profile)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_missing_rows_are_refused(profile: RasterProfile, tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="expected 6 rows, got 4"):
        write_labels(tmp_path / "classes.tif", np.zeros((4, 8)), profile)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_existing_file_is_kept_without_overwrite(profile: RasterProfile, tmp_path: Path, labels: np.ndarray) -> None:
    (tmp_path / "classes.tif").write_text("precious")
    with pytest.raises(RasterError, match=r"classes.tif exists; use --overwrite"):
        write_labels(tmp_path / "classes.tif", labels, profile)
    assert (tmp_path / "classes.tif").read_text() == "precious"


def test_file_that_reads_back_differently_is_not_kept(
    profile: RasterProfile, tmp_path: Path, labels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk can lose the last blocks without an error, so the written file is compared with the values."""
    check = maps._check_written
    monkeypatch.setattr(maps, "_check_written", lambda path, sums, target: check(path, [(*sums[0][:2], 1)], target))
    with pytest.raises(RasterError, match=r"classes.tif: what was written differs from what is read back"):
        write_labels(tmp_path / "classes.tif", labels, profile)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]
