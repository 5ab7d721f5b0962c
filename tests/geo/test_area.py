"""Areas against numbers from elsewhere.

Areas on the ellipsoid come from the closed formula of the zone between two parallels of WGS 84, written out here, not
from a projection.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.rpc import RPC
from rasterio.transform import Affine
from rasterio.warp import transform as transform_points

from segearth_ov3.errors import RasterError
from segearth_ov3.geo.area import measure_pixels, sum_by_class
from segearth_ov3.geo.bands import BandChoice
from segearth_ov3.geo.raster import RasterProfile

AXIS_M, FLATTENING = 6378137.0, 1 / 298.257223563
US_FOOT_M = 1200 / 3937
ORTHOGRAPHIC = "+proj=ortho +lat_0=40 +lon_0=0 +datum=WGS84"
MARS = 'GEOGCS["Mars 2000",DATUM["Mars",SPHEROID["Mars",3396190,169.8944]],PRIMEM["0",0],UNIT["Degree",0.0174532925]]'


def profile_of(
    crs: str | None, transform: Affine | None, size: tuple[int, int], gcps: tuple[GroundControlPoint, ...] = ()
) -> RasterProfile:
    parsed = None if crs is None else CRS.from_string(crs)
    return RasterProfile("scene.tif", *size, parsed, transform, gcps, None, None, BandChoice((1, 2, 3), None))


def flat_rpc() -> RPC:
    """Coefficients that place every pixel at the same point."""
    ratio = [1.0] + [0.0] * 19
    return RPC(
        **dict.fromkeys(("height_off", "lat_off", "long_off", "line_off", "samp_off"), 4.0),
        **dict.fromkeys(("height_scale", "lat_scale", "long_scale", "line_scale", "samp_scale"), 1.0),
        **dict.fromkeys(("line_num_coeff", "line_den_coeff", "samp_num_coeff", "samp_den_coeff"), ratio),
    )


def areas_of(crs: str, transform: Affine, size: tuple[int, int]) -> np.ndarray:
    return measure_pixels(profile_of(crs, transform, size)).block(0, size[0])


def zone_m2(south: float, north: float, width_degrees: float) -> float:
    """Area of the ellipsoid between two latitudes, over a range of longitudes, in degrees."""
    e = math.sqrt(FLATTENING * (2 - FLATTENING))

    def q(latitude: float) -> float:
        s = math.sin(math.radians(latitude))
        return s / (1 - (e * s) ** 2) + math.atanh(e * s) / e

    b = AXIS_M * (1 - FLATTENING)
    return b**2 / 2 * math.radians(width_degrees) * (q(north) - q(south))


@pytest.mark.parametrize(
    ("crs", "transform", "expected_m2"),
    [
        ("EPSG:25832", Affine(0.5, 0, 356000, 0, -0.5, 5645000), 0.25),
        ("EPSG:25832", Affine(0.5, 0, 356000, 0, 0.5, 5645000), 0.25),
        ("EPSG:25832", Affine(0.3, 0.4, 356000, 0.4, -0.3, 5645000), 0.25),
        ("EPSG:32636", Affine(0.05, 0, 452000, 0, -0.05, 36000), 0.0025),
        ("EPSG:2056", Affine(10, 0, 2680000, 0, -10, 1250000), 100.0),
        ("EPSG:5070", Affine(30, 0, -100000, 0, -30, 1900000), 900.0),
        ("EPSG:2263", Affine(2, 0, 985000, 0, -2, 200000), 4 * US_FOOT_M**2),
    ],
    ids=["UTM", "south up", "rotated", "Kampala in UTM", "Swiss grid", "equal area", "US feet"],
)
def test_projected_pixels_have_the_area_of_the_map(crs: str, transform: Affine, expected_m2: float) -> None:
    np.testing.assert_allclose(areas_of(crs, transform, (5, 7)), np.full((5, 7), expected_m2), rtol=1e-9)


@pytest.mark.parametrize("origin", [(32.5, 0.4), (6.9, 51.0), (25.0, 60.3), (-170.0, -75.0)])
def test_geographic_pixels_have_their_area_on_the_ellipsoid(origin: tuple[float, float]) -> None:
    step, (west, north) = 0.001, origin
    expected = [zone_m2(north - (row + 1) * step, north - row * step, step) for row in range(4)]
    got = areas_of("EPSG:4326", Affine(step, 0, west, 0, -step, north), (4, 3))
    np.testing.assert_allclose(got, np.repeat(np.array(expected)[:, None], 3, axis=1), rtol=1e-6)


def test_all_pixels_of_a_world_map_add_up_to_the_earth() -> None:
    areas = areas_of("EPSG:4326", Affine(360 / 512, 0, -180, 0, -180 / 256, 90), (256, 512))
    assert areas.sum() == pytest.approx(510.065621724e12, rel=1e-9)


@pytest.mark.parametrize(
    ("place", "inflation"), [((32.58, 0.32), 1.0), ((24.94, 60.17), 4.0)], ids=["Kampala", "Helsinki"]
)
def test_web_mercator_is_corrected_for_latitude(place: tuple[float, float], inflation: float) -> None:
    """Web Mercator shows 60 degrees north about four times too large, and the equator nearly right."""
    (x,), (y,) = transform_points("EPSG:4326", "EPSG:3857", [place[0]], [place[1]])
    got = areas_of("EPSG:3857", Affine(0.6, 0, x, 0, -0.6, y), (10, 10))
    latitudes = transform_points("EPSG:3857", "EPSG:4326", [x, x], [y, y - 6.0])[1]
    expected = zone_m2(latitudes[1], latitudes[0], math.degrees(6.0 / AXIS_M))
    assert got.sum() == pytest.approx(expected, rel=1e-6)
    assert 36.0 / got.sum() == pytest.approx(inflation, rel=0.02)


def test_pixels_across_the_date_line_are_ordinary() -> None:
    got = areas_of("EPSG:4326", Affine(0.01, 0, 179.985, 0, -0.01, 0.02), (2, 4))
    assert got.max() / got.min() == pytest.approx(1, abs=1e-6)


def test_large_scenes_are_interpolated_between_nodes() -> None:
    step = 0.02
    got = areas_of("EPSG:4326", Affine(step, 0, 5, 0, -step, 70), (2000, 100))
    expected = [zone_m2(70 - (row + 1) * step, 70 - row * step, step) for row in (0, 777, 1999)]
    np.testing.assert_allclose(got[[0, 777, 1999], 50], expected, rtol=1e-5)


def test_blocks_are_rows_of_the_whole() -> None:
    areas = measure_pixels(profile_of("EPSG:4326", Affine(1, 0, 0, 0, -1, 80), (60, 5)))
    np.testing.assert_array_equal(areas.block(20, 33), areas.block(0, 60)[20:33])


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:25832"])
def test_single_pixel_has_an_area(crs: str) -> None:
    assert areas_of(crs, Affine(0.5, 0, 7, 0, -0.5, 50), (1, 1)).shape == (1, 1)


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (profile_of(None, None, (2, 2)), "not georeferenced"),
        (profile_of(None, None, (2, 2), (GroundControlPoint(0, 0, 1, 1),)), "control points only"),
        (dataclasses.replace(profile_of(None, None, (2, 2)), rpcs=flat_rpc()), r"by RPCs only \(orthorectify it"),
        (profile_of("EPSG:25832", None, (2, 2)), "not georeferenced"),
        (profile_of(None, Affine(1, 0, 0, 0, -1, 0), (2, 2)), "no coordinate reference system"),
        (profile_of('LOCAL_CS["site",UNIT["metre",1]]', Affine(1, 0, 0, 0, -1, 0), (2, 2)), "neither geographic nor"),
        (profile_of("EPSG:25832", Affine(1e7, 0, 0, 0, -1e7, 9e7), (5, 5)), "cannot be placed on the Earth"),
        (profile_of("EPSG:4326", Affine(1, 0, 0, 0, -1, 100), (5, 5)), "cannot be placed on the Earth"),
        (
            profile_of(ORTHOGRAPHIC, Affine(4e6, 0, -8e6, 0, -4e6, 8e6), (4, 4)),
            "parts .* cannot be placed on the Earth",
        ),
        (profile_of(MARS, Affine(1, 0, 0, 0, -1, 10), (5, 5)), r"on the Earth \(is it of another planet\?\)$"),
    ],
)
def test_scenes_without_areas_say_why_each_time(profile: RasterProfile, reason: str) -> None:
    """PROJ raises for the first point off the Earth and returns infinity for later ones."""
    for _ in range(2):
        with pytest.raises(RasterError, match=f"^no areas: .*{reason}"):
            measure_pixels(profile)


def test_areas_are_summed_by_class() -> None:
    """300 rows: more than one block."""
    areas = measure_pixels(profile_of("EPSG:4326", Affine(0.1, 0, 0, 0, -0.1, 40), (300, 4)))
    labels = np.random.default_rng(1).integers(0, 3, (300, 4))
    valid = np.random.default_rng(2).random((300, 4)) > 0.3
    pixels = areas.block(0, 300)
    expected = [pixels[valid & (labels == index)].sum() for index in range(4)]
    np.testing.assert_allclose(sum_by_class(labels, valid, 4, areas), expected, rtol=1e-12)


def test_all_pixels_count_where_all_are_valid() -> None:
    areas = measure_pixels(profile_of("EPSG:25832", Affine(2, 0, 356000, 0, -2, 5645000), (3, 4)))
    assert sum_by_class(np.zeros((3, 4), int), None, 2, areas).tolist() == [48.0, 0.0]
