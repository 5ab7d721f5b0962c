from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from label_rasters import blobs, described, gdal_polygons
from pyogrio import raw
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine
from scipy import ndimage

from segearth_ov3.errors import OptionError, RasterError, RasterWarning
from segearth_ov3.geo.area import measure_pixels, sum_by_class
from segearth_ov3.geo.labels import open_labels
from segearth_ov3.geo.polygonize import ClassPolygons, polygonize
from segearth_ov3.geo.raster import without_georeference_warning

WriteRaster = Callable[..., Path]

NAMES = ["background", "building", "road", "water"]
UTM = Affine(0.5, 0, 356000.0, 0, -0.5, 5645000.0)
WGS84_ECCENTRICITY = 0.0818191908426
ALBERS = "+proj=aea +lat_1=29.5 +lat_2=45.5 +lat_0=23 +lon_0=-96 +datum=WGS84 +units=m"
TRANSFORMS = {
    "north up": Affine(0.5, 0, 356000.0, 0, -0.5, 5645000.0),
    "south up": Affine(0.5, 0, 356000.0, 0, 0.5, 5645000.0),
    "rotated": Affine(0.4, 0.3, 356000.0, 0.3, -0.4, 5645000.0),
}


PLACES_WITHOUT_AREA = {
    "local": 'LOCAL_CS["Local Coordinates (m)",UNIT["metre",1]]',
    "engineering": 'ENGCRS["site",EDATUM["x"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]',
    "geocentric": "EPSG:4978",
    "Mars": 'GEOGCS["Mars",DATUM["Mars",SPHEROID["Mars",3396190,169.8944]],PRIMEM["0",0],UNIT["Degree",0.0174532925]]',
    "Moon": "+proj=eqc +R=1737400 +units=m",
}


class Layer(NamedTuple):
    """What a vector file holds."""

    crs: CRS | None
    polygons: np.ndarray
    columns: Mapping[str, np.ndarray]


def read(path: Path) -> Layer:
    meta, _, geometry, columns = raw.read(path)
    crs = CRS.from_user_input(meta["crs"]) if meta["crs"] else None
    return Layer(crs, shapely.from_wkb(geometry), dict(zip(meta["fields"], columns)))


@pytest.fixture
def labels() -> np.ndarray:
    """Ragged areas of four classes (60, 50), uint8, with a hole of nodata."""
    drawn = blobs((60, 50))
    drawn[20:30, 10:20] = 255
    return drawn


@pytest.fixture
def write(write_raster: WriteRaster, labels: np.ndarray) -> Callable[..., Path]:
    """Writes the labels with class names and returns the path."""

    def write_named(name: str = "classes.tif", values: np.ndarray = labels, **profile: Any) -> Path:
        path = write_raster(values[None], name, **{"nodata": 255, **profile})
        with without_georeference_warning(), rasterio.open(path, "r+") as dataset:
            dataset.update_tags(CLASS_NAMES=json.dumps(NAMES))
        return path

    return write_named


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_file_has_gdals_polygons_with_place_and_class(
    write: Callable[..., Path], labels: np.ndarray, tmp_path: Path, transform: Affine, suffix: str
) -> None:
    target = tmp_path / f"classes{suffix}"
    polygonize(write(transform=transform), target, block_rows=16)
    layer = read(target)
    assert layer.crs == CRS.from_epsg(25832)
    expected = [entry for entry in gdal_polygons(labels, transform) if entry[0] != 255]
    assert described(layer.columns["class_id"], layer.polygons) == expected
    assert layer.columns["class"].tolist() == [NAMES[value] for value in layer.columns["class_id"]]
    assert shapely.is_ccw(shapely.get_exterior_ring(layer.polygons)).all()
    np.testing.assert_allclose(layer.columns["area_m2"], shapely.area(layer.polygons))


@pytest.mark.parametrize("crs", ["EPSG:25832", "EPSG:4326", "EPSG:3857", "EPSG:2056", ALBERS])
@pytest.mark.parametrize("rows", [7, 60])
def test_areas_add_up_to_those_of_the_raster(
    write: Callable[..., Path], labels: np.ndarray, tmp_path: Path, crs: str, rows: int
) -> None:
    size = 1e-5 if crs == "EPSG:4326" else 0.5
    source = write(crs=crs, transform=Affine(size, 0, 7.5, 0, -size, 50))
    report = polygonize(source, tmp_path / "classes.gpkg", block_rows=rows)
    with open_labels(source) as raster:
        areas = measure_pixels(raster.profile)
    expected = sum_by_class(np.where(labels == 255, 0, labels), labels != 255, 4, areas)
    np.testing.assert_allclose([entry.area_m2 for entry in report], expected, rtol=1e-9)
    columns = read(tmp_path / "classes.gpkg").columns
    np.testing.assert_allclose(np.bincount(columns["class_id"], columns["area_m2"]), expected, rtol=1e-9)


@pytest.mark.parametrize("crs", ["EPSG:25832", "EPSG:3857", ALBERS])
def test_crs_is_that_of_the_raster(write: Callable[..., Path], tmp_path: Path, crs: str) -> None:
    polygonize(write(crs=crs), tmp_path / "classes.gpkg")
    assert read(tmp_path / "classes.gpkg").crs == CRS.from_user_input(crs)


@pytest.mark.parametrize("simplify", [0, 1])
@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:25832", Affine(0.005, 0, 356000, 0, -0.005, 5645000)),
        ("EPSG:3857", Affine(4, 1, 356000, 1, -4, 9e6)),
        ("EPSG:4326", Affine(1e-6, 0, 7.5, 0, -1e-6, 60)),
    ],
)
def test_geojson_follows_rfc_7946(
    write: Callable[..., Path], tmp_path: Path, crs: str, transform: Affine, simplify: float
) -> None:
    source = write(crs=crs, transform=transform, values=blobs((120, 90)))
    polygonize(source, tmp_path / "classes.geojson", simplify=simplify)
    polygonize(source, tmp_path / "classes.gpkg", simplify=simplify)
    geo, native = read(tmp_path / "classes.geojson"), read(tmp_path / "classes.gpkg")
    text = json.loads((tmp_path / "classes.geojson").read_text(encoding="utf-8"))
    assert "crs" not in text
    assert geo.crs == CRS.from_epsg(4326)
    assert {feature["geometry"]["type"] for feature in text["features"]} == {"Polygon"}
    assert shapely.is_valid(geo.polygons).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(geo.polygons)).all()
    assert not any(shapely.is_ccw(ring) for polygon in geo.polygons for ring in polygon.interiors)
    xy = shapely.get_coordinates(native.polygons)
    x, y = rasterio.warp.transform(native.crs, CRS.from_epsg(4326), *xy.T)
    expected = shapely.set_coordinates(native.polygons.copy(), np.column_stack([x, y]))
    assert shapely.hausdorff_distance(geo.polygons, expected).max() < 0.1 * np.hypot(transform.a, transform.d) / (
        1 if crs == "EPSG:4326" else 50_000
    )
    assert geo.columns["class"].tolist() == native.columns["class"].tolist()


def test_confidence_is_the_mean_of_its_valid_pixels(
    write: Callable[..., Path], write_raster: WriteRaster, labels: np.ndarray, tmp_path: Path
) -> None:
    sure = np.random.default_rng(0).random((1, 60, 50), dtype=np.float32)
    sure[0, 40:, :] = np.nan
    target = tmp_path / "classes.gpkg"
    polygonize(write(), target, confidence=write_raster(sure, "sure.tif", nodata=np.nan), block_rows=13)
    columns = read(target).columns
    expected = []
    for value in range(4):
        numbers, count = ndimage.label(labels == value)
        for number in range(1, count + 1):
            inside = sure[0][(numbers == number) & ~np.isnan(sure[0])]
            expected.append((value, inside.astype(np.float64).mean() if inside.size else -1))
    found = sorted(zip(columns["class_id"], np.nan_to_num(columns["confidence"], nan=-1)))
    np.testing.assert_allclose(found, sorted(expected))
    assert -1 in np.array(expected)[:, 1]


def test_there_is_no_column_of_confidences_without_a_raster(write: Callable[..., Path], tmp_path: Path) -> None:
    polygonize(write(), tmp_path / "classes.gpkg")
    assert list(read(tmp_path / "classes.gpkg").columns) == ["class", "class_id", "area_m2"]


@pytest.mark.parametrize("simplify", [0, 1])
@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"classes": ["road", 3]}, {2, 3}),
        ({"keep_background": False}, {1, 2, 3}),
        ({"keep_background": False, "classes": ["background", "road"]}, {2}),
        ({}, {0, 1, 2, 3}),
    ],
)
def test_only_wanted_classes_are_written(
    write: Callable[..., Path], tmp_path: Path, options: dict[str, Any], kept: set[int], simplify: float
) -> None:
    source = write()
    polygonize(source, tmp_path / "all.gpkg", simplify=simplify)
    report = polygonize(source, tmp_path / "some.gpkg", simplify=simplify, **options)
    every, some = (read(tmp_path / name) for name in ("all.gpkg", "some.gpkg"))
    assert {entry.value for entry in report} == set(some.columns["class_id"].tolist()) == kept
    chosen = np.isin(every.columns["class_id"], list(kept))
    if not simplify:
        assert described(some.columns["class_id"], some.polygons) == described(
            every.columns["class_id"][chosen], every.polygons[chosen]
        )


@pytest.mark.parametrize("simplify", [0, 1])
def test_small_polygons_are_left_out_by_the_area_of_their_pixels(
    write: Callable[..., Path], tmp_path: Path, simplify: float
) -> None:
    source = write()
    polygonize(source, tmp_path / "all.gpkg", simplify=simplify)
    every = read(tmp_path / "all.gpkg").columns["area_m2"]
    for rows in (5, 60):
        polygonize(source, tmp_path / "some.gpkg", min_area_m2=0.75, simplify=simplify, overwrite=True, block_rows=rows)
        some = read(tmp_path / "some.gpkg").columns["area_m2"]
        np.testing.assert_allclose(np.sort(some), np.sort(every[every > 0.74]))
    assert (every < 0.74).any()
    assert np.isclose(every, 0.75).any()


def test_a_polygon_of_exactly_the_smallest_area_is_kept(write: Callable[..., Path], tmp_path: Path) -> None:
    values = np.array([[0, 255, 1, 1]], dtype=np.uint8)
    source = write(values=values, transform=Affine(0.7, 0, 356000, 0, -0.7, 5645000))  # 0.7 * 0.7 < 0.49 for a computer
    report = polygonize(source, tmp_path / "classes.gpkg", min_area_m2=0.49)
    assert [entry.polygons for entry in report] == [1, 1]


def test_report_counts_polygons(write: Callable[..., Path], tmp_path: Path) -> None:
    values = np.full((4, 4), 255, dtype=np.uint8)
    values[0, :2] = values[3, 3] = 2
    values[3, 0] = 1
    report = polygonize(write(values=values), tmp_path / "classes.gpkg", block_rows=1)
    assert report == (ClassPolygons(1, "building", 1, 0.25), ClassPolygons(2, "road", 2, 0.75))


def test_classes_without_a_name_get_one(write_raster: WriteRaster, tmp_path: Path) -> None:
    source = write_raster(np.array([[[-2, 70, 70]]], dtype=np.int16))
    polygonize(source, tmp_path / "classes.gpkg")
    assert sorted(read(tmp_path / "classes.gpkg").columns["class"].tolist()) == ["class_-2", "class_70"]


@pytest.mark.parametrize("simplify", [0, 2])
def test_a_raster_without_data_gives_an_empty_file(write: Callable[..., Path], tmp_path: Path, simplify: float) -> None:
    source = write(values=np.full((5, 4), 255, dtype=np.uint8))
    for name in ("classes.gpkg", "classes.fgb", "classes.geojson"):
        with pytest.warns(RasterWarning, match="no polygons: no pixel has a wanted class"):
            assert polygonize(source, tmp_path / name, simplify=simplify) == ()
        assert pyogrio.read_info(tmp_path / name, force_feature_count=True)["features"] == 0


def test_without_a_place_coordinates_are_pixels_and_areas_are_empty(
    write: Callable[..., Path], labels: np.ndarray, tmp_path: Path
) -> None:
    source = write(crs=None, transform=None)
    with pytest.warns(RasterWarning, match=r"not georeferenced; coordinates are x = column, y = -row"):
        report = polygonize(source, tmp_path / "classes.gpkg")
    layer = read(tmp_path / "classes.gpkg")
    expected = [entry for entry in gdal_polygons(labels, Affine.scale(1, -1)) if entry[0] != 255]
    assert described(layer.columns["class_id"], layer.polygons) == expected
    assert np.isnan(layer.columns["area_m2"]).all()
    assert [entry.area_m2 for entry in report] == [None] * 4


def test_control_points_alone_give_pixels(write: Callable[..., Path], tmp_path: Path) -> None:
    corners = ((0, 0), (0, 50), (60, 0), (60, 50))
    gcps = [GroundControlPoint(row, col, 30 + col, 10 - row) for row, col in corners]
    source = write(crs="EPSG:4326", gcps=gcps, transform=None)
    with pytest.warns(RasterWarning, match=r"control points only; coordinates are x = column, y = -row"):
        polygonize(source, tmp_path / "classes.gpkg")
    layer = read(tmp_path / "classes.gpkg")
    assert shapely.total_bounds(layer.polygons).tolist() == [0, -60, 50, 0]


def test_a_transform_without_crs_gives_map_coordinates(write: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.warns(RasterWarning, match="no coordinate reference system"):
        polygonize(write(crs=None), tmp_path / "classes.gpkg")
    layer = read(tmp_path / "classes.gpkg")
    assert shapely.total_bounds(layer.polygons).tolist() == [356000.0, 5644970.0, 356025.0, 5645000.0]


@pytest.mark.parametrize("crs", PLACES_WITHOUT_AREA.values(), ids=PLACES_WITHOUT_AREA)
@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_polygons_of_any_system_are_written_in_its_coordinates(
    write: Callable[..., Path], labels: np.ndarray, tmp_path: Path, crs: str, suffix: str
) -> None:
    grid = Affine(0.5, 0, 10, 0, -0.5, 20)
    with pytest.warns(RasterWarning) as warned:
        report = polygonize(write(crs=crs, transform=grid), tmp_path / f"classes{suffix}")
    assert [str(warning.message).partition(": ")[2][:9] for warning in warned] == ["no areas:"]
    layer = read(tmp_path / f"classes{suffix}")
    expected = [entry for entry in gdal_polygons(labels, grid) if entry[0] != 255]
    assert described(layer.columns["class_id"], layer.polygons) == expected
    assert np.isnan(layer.columns["area_m2"]).all()
    assert [entry.area_m2 for entry in report] == [None] * 4
    assert layer.crs is not None
    assert "PROJJSON" not in str(warned[0].message)
    assert "schema" not in str(warned[0].message)


@pytest.mark.parametrize("crs", PLACES_WITHOUT_AREA.values(), ids=PLACES_WITHOUT_AREA)
def test_geojson_needs_a_way_to_longitudes(write: Callable[..., Path], tmp_path: Path, crs: str) -> None:
    source = write(crs=crs, transform=Affine(0.5, 0, 10, 0, -0.5, 20))
    with warnings.catch_warnings(record=True) as warned, pytest.raises(RasterError) as refused:
        polygonize(source, tmp_path / "classes.geojson")
    assert re.search(r"classes\.tif cannot be transformed to it; choose \.gpkg or \.fgb, which", str(refused.value))
    assert not warned
    assert [path.name for path in tmp_path.iterdir()] == ["classes.tif"]


@pytest.mark.parametrize("crs", ["+proj=geos +h=35785831 +datum=WGS84", "+proj=ortho +lat_0=40 +datum=WGS84"])
def test_pixels_off_the_earth_have_polygons_but_no_longitudes(
    write: Callable[..., Path], tmp_path: Path, crs: str
) -> None:
    source = write(crs=crs, transform=Affine(3e5, 0, -7.5e6, 0, -3e5, 9e6))
    with pytest.warns(RasterWarning, match="no areas: parts of the image cannot be placed on the Earth") as warned:
        assert len(polygonize(source, tmp_path / "classes.gpkg")) == 4
    assert len(warned) == 1
    with pytest.raises(RasterError, match=r"parts of .*classes\.tif lie outside of the Earth; choose \.gpkg"):
        polygonize(source, tmp_path / "classes.geojson")


@pytest.mark.parametrize("corner", [(0, 100), (700, 40)])
def test_longitudes_and_latitudes_must_exist(
    write: Callable[..., Path], tmp_path: Path, corner: tuple[float, float]
) -> None:
    """GDAL writes polygons without coordinates for longitudes of more than 540 degrees."""
    source = write(crs="EPSG:4326", transform=Affine(0.5, 0, corner[0], 0, -0.5, corner[1]))
    with pytest.raises(RasterError, match=r"parts of .*classes\.tif lie outside of the Earth"):
        polygonize(source, tmp_path / "classes.geojson")


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".geojson"])
@pytest.mark.parametrize(
    ("stem", "layer"),
    [
        *(("gpkg_roofs", "roofs"), ("GPKG", "polygons"), ("sqlite_a", "a"), ("ogr_empty_table", "empty_table")),
        *(("%-1", "1"), ("(a) b", "a) b"), ("Straße.1", "Straße.1"), ("_x", "_x")),
    ],
)
def test_files_of_any_name_are_written(
    write: Callable[..., Path], tmp_path: Path, stem: str, layer: str, suffix: str
) -> None:
    polygonize(write(), tmp_path / f"{stem}{suffix}")
    (name, _), *others = pyogrio.list_layers(tmp_path / f"{stem}{suffix}").tolist()
    assert name == (layer if suffix == ".gpkg" else stem)
    assert not others


def test_geojson_across_180_degrees_has_polygons_only(write: Callable[..., Path], tmp_path: Path) -> None:
    """From 0 to 360 degrees; one area is cut at 180 degrees, and GDAL leaves a line where another one meets it."""
    values = np.full((30, 60), 255, np.uint8)
    values[2:5] = 1
    values[10:15, 20:40] = 2
    values[20:25, 40:50] = 3
    source = write(values=values, crs="EPSG:4326", transform=Affine(6, 0, 0, 0, -4, 60))
    polygonize(source, tmp_path / "classes.geojson")
    features = json.loads((tmp_path / "classes.geojson").read_text(encoding="utf-8"))["features"]
    assert {feature["geometry"]["type"] for feature in features} == {"Polygon", "MultiPolygon"}
    shapes = {feature["properties"]["class"]: shapely.geometry.shape(feature["geometry"]) for feature in features}
    assert {name: outline.area for name, outline in shapes.items()} == {
        "building": 360 * 12,
        "road": 120 * 20,
        "water": 60 * 20,
    }
    assert shapes["road"].bounds == (-180, 0, 180, 20)
    assert shapes["water"].bounds == (-120, -40, -60, -20)
    polygonize(source, tmp_path / "classes.fgb")
    assert pyogrio.read_info(tmp_path / "classes.geojson")["features"] == len(features) == 3


def test_geojson_needs_a_place(write: Callable[..., Path], tmp_path: Path) -> None:
    source = write(crs=None)
    with pytest.raises(RasterError, match=r"GeoJSON has longitudes and latitudes, .* choose \.gpkg or \.fgb"):
        polygonize(source, tmp_path / "classes.geojson")


def test_a_smallest_area_needs_areas(write: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="no coordinate reference system, so there is no --min-area-m2"):
        polygonize(write(crs=None), tmp_path / "classes.gpkg", min_area_m2=1)
    assert not (tmp_path / "classes.gpkg").exists()


def test_background_must_be_known_to_be_left_out(write_raster: WriteRaster, labels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"which class is background; instead of --no-background .* in --classes"):
        polygonize(write_raster(labels[None]), tmp_path / "classes.gpkg", keep_background=False)


@pytest.mark.parametrize("rows", [0, -5])
def test_blocks_have_rows(write: Callable[..., Path], tmp_path: Path, rows: int) -> None:
    with pytest.raises(OptionError, match=f"block_rows must be at least 1, got {rows}"):
        polygonize(write(), tmp_path / "classes.gpkg", block_rows=rows)


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["min_area_m2", "simplify"])
def test_impossible_numbers_are_refused(write: Callable[..., Path], tmp_path: Path, name: str, value: float) -> None:
    with pytest.raises(OptionError, match=f"{name} must be a number of at least 0"):
        polygonize(write(), tmp_path / "classes.gpkg", **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bands", "place", "found"),
    [
        (np.zeros((1, 60, 51), dtype=np.float32), UTM, "found 60 x 51"),
        (np.zeros((1, 60, 50), dtype=np.float32), UTM @ Affine.translation(1, 0), "at another one"),
    ],
)
def test_confidences_must_lie_where_the_labels_lie(
    write: Callable[..., Path], write_raster: WriteRaster, tmp_path: Path, bands: np.ndarray, place: Affine, found: str
) -> None:
    sure = write_raster(bands, "sure.tif", transform=place)
    with pytest.raises(RasterError, match=f"expected 60 x 50 pixels at the same place, {found}|{found}"):
        polygonize(write(), tmp_path / "classes.gpkg", confidence=sure)


def test_progress_ends_with_all_rows(write: Callable[..., Path], tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    polygonize(write(), tmp_path / "classes.gpkg", block_rows=25, progress=lambda *call: calls.append(call))
    assert calls == [(25, 60), (50, 60), (60, 60)]


def test_real_masks_give_gdals_polygons_with_the_area_of_their_pixels(shared_data: Path, tmp_path: Path) -> None:
    source = sorted((shared_data / "oam_kampala" / "geotiff").glob("mask_*.tif"))[0]
    report = polygonize(source, tmp_path / "buildings.gpkg", classes=[1], block_rows=100)
    layer = read(tmp_path / "buildings.gpkg")
    with rasterio.open(source) as raster:
        values = raster.read(1)
        expected = [entry for entry in gdal_polygons(values, raster.transform) if entry[0] == 1]
        assert described(layer.columns["class_id"], layer.polygons) == expected
        # Web Mercator takes the Earth for a sphere, so at the equator the map is too long from north to south
        pixel_m2 = abs(raster.transform.determinant) * (1 - WGS84_ECCENTRICITY**2)
    assert report[0].area_m2 == pytest.approx((values == 1).sum() * pixel_m2, rel=1e-4)
