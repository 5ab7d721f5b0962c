from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from label_rasters import blobs, described, gdal_polygons, label_arrays, lattice, trace
from rasterio.transform import Affine

from segearth_ov3.geo.components import OUTSIDE
from segearth_ov3.geo.trace import ExactOutlines

ROTATED = Affine(0.5, 0.25, 1000.0, 0.125, -0.5, 2000.0)
EXACT = ExactOutlines(lattice)


@settings(deadline=None, max_examples=60)
@given(label_arrays())
def test_polygons_and_their_vertices_are_those_of_gdal(drawn: tuple[np.ndarray, int]) -> None:
    labels, rows = drawn
    found = trace(labels, rows, EXACT)
    assert described(found.totals.values, found.geometry) == gdal_polygons(labels)


@settings(deadline=None, max_examples=60)
@given(label_arrays())
def test_polygons_are_valid_and_counter_clockwise_and_have_the_area_of_their_pixels(
    drawn: tuple[np.ndarray, int],
) -> None:
    found = trace(*drawn, EXACT)
    assert shapely.is_valid(found.geometry).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(found.geometry)).all()
    np.testing.assert_array_equal(shapely.area(found.geometry), found.totals.pixels)


@pytest.mark.parametrize("rows", [1, 7, 64, 300])
def test_ragged_areas_over_many_blocks_equal_those_of_gdal(rows: int) -> None:
    labels = blobs((300, 200)).astype(np.int32)
    found = trace(labels, rows, EXACT)
    assert len(found.geometry) > 1000
    assert described(found.totals.values, found.geometry) == gdal_polygons(labels)


def test_coordinates_do_not_depend_on_blocks_in_any_bit() -> None:
    labels = blobs((80, 60)).astype(np.int32)
    method = ExactOutlines(lambda col, row: (0.0746 * col + 0.013 * row + 3.6e6, 0.013 * col - 0.0746 * row + 36e3))
    one, many = (shapely.to_wkb(trace(labels, rows, method).geometry).tolist() for rows in (80, 7))
    assert sorted(one) == sorted(many)


def test_places_are_those_of_gdal_on_a_rotated_grid() -> None:
    labels = blobs((40, 30)).astype(np.int32)
    place = ExactOutlines(
        lambda col, row: (ROTATED.a * col + ROTATED.b * row + ROTATED.c, ROTATED.d * col + ROTATED.e * row + ROTATED.f)
    )
    found = trace(labels, 16, place)
    assert described(found.totals.values, found.geometry) == gdal_polygons(labels, ROTATED)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_ring_that_touches_itself_becomes_a_hole(rows: int) -> None:
    labels = np.full((5, 5), OUTSIDE, dtype=np.int32)
    labels[1:4, 1:4] = 1
    labels[1, 1] = labels[2, 2] = OUTSIDE
    (polygon,) = trace(labels, rows, EXACT).geometry
    assert polygon.is_valid
    assert polygon.equals(shapely.box(1, 1, 4, 4) - shapely.box(1, 1, 2, 2) - shapely.box(2, 2, 3, 3))
    assert len(polygon.interiors) == 1


@pytest.mark.parametrize("rows", [1, 2])
def test_pixels_that_touch_at_a_point_are_two_polygons(rows: int) -> None:
    labels = np.array([[1, OUTSIDE], [OUTSIDE, 1]], dtype=np.int32)
    assert shapely.area(trace(labels, rows, EXACT).geometry).tolist() == [1, 1]


def test_edges_along_blocks_have_no_further_vertices() -> None:
    labels = np.zeros((40, 10), dtype=np.int32)
    (polygon,) = trace(labels, 3, EXACT).geometry
    assert shapely.get_num_coordinates(polygon) == 5


def test_without_pixels_there_are_no_polygons() -> None:
    assert len(trace(np.full((4, 3), OUTSIDE, dtype=np.int32), 2, EXACT).geometry) == 0
