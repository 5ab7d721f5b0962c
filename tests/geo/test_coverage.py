from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from label_rasters import blobs, described, label_arrays, lattice, trace

from segearth_ov3.geo.coverage import FILL, SimplifiedOutlines
from segearth_ov3.geo.trace import ExactOutlines

tolerances = st.sampled_from((0.3, 0.8, 1.0, 2.0, 5.0))


@settings(deadline=None, max_examples=60)
@given(label_arrays(), tolerances)
def test_polygons_stay_valid_and_simple_and_cover_the_raster(drawn: tuple[np.ndarray, int], tolerance: float) -> None:
    labels, rows = drawn
    found = trace(labels, rows, SimplifiedOutlines(tolerance, lattice))
    assert set(shapely.get_type_id(found.geometry).tolist()) == {3}
    assert shapely.is_valid(found.geometry).all()
    assert shapely.union_all(found.geometry).equals(shapely.box(0, 0, *labels.shape[::-1]))
    assert shapely.area(found.geometry).sum() == pytest.approx(labels.size)  # no overlaps


@settings(deadline=None, max_examples=60)
@given(label_arrays(), tolerances)
def test_there_are_as_many_polygons_as_without_simplification(drawn: tuple[np.ndarray, int], tolerance: float) -> None:
    labels, rows = drawn
    simple, exact = (trace(labels, rows, m) for m in (SimplifiedOutlines(tolerance, lattice), ExactOutlines(lattice)))
    assert sorted(zip(*simple.totals[:2])) == sorted(zip(*exact.totals[:2]))


@settings(deadline=None, max_examples=60)
@given(label_arrays())
def test_a_tolerance_below_any_triangle_changes_nothing_but_adds_common_vertices(drawn: tuple[np.ndarray, int]) -> None:
    labels, rows = drawn
    simple, exact = (
        trace(labels, rows, method) for method in (SimplifiedOutlines(1e-3, lattice), ExactOutlines(lattice))
    )
    without_nodes = shapely.simplify(simple.geometry, 0)
    assert described(simple.totals.values, without_nodes) == described(exact.totals.values, exact.geometry)


@pytest.mark.parametrize("tolerance", [0.3, 1.0, 3.0])
def test_neighbours_have_the_same_vertices_on_what_they_share(tolerance: float) -> None:
    labels = blobs((60, 60)).astype(np.int32)
    polygons = trace(labels, 60, SimplifiedOutlines(tolerance, lattice)).geometry
    assert shapely.coverage_is_valid(polygons)
    assert not shapely.coverage_is_valid(trace(labels, 60, ExactOutlines(lattice)).geometry)


def test_staircases_become_straight() -> None:
    labels = np.tril(np.ones((30, 30), dtype=np.int32))
    for polygon in trace(labels, 30, SimplifiedOutlines(1, lattice)).geometry:
        assert shapely.get_num_coordinates(polygon) <= 7


def test_a_straight_border_across_blocks_has_no_vertex_there() -> None:
    labels = np.zeros((40, 10), dtype=np.int32)
    labels[:, 4:] = 1
    for polygon in trace(labels, 8, SimplifiedOutlines(1, lattice)).geometry:
        assert shapely.get_num_coordinates(polygon) == 5


@pytest.mark.parametrize("tolerance", [1.0, 3.0])
def test_polygons_stay_valid_where_coordinates_are_rounded(tolerance: float) -> None:
    labels = blobs((300, 300)).astype(np.int32)
    method = SimplifiedOutlines(tolerance, lambda col, row: (4e5 + 0.0746 * col, 5e6 - 0.0746 * row))
    assert shapely.is_valid(trace(labels, 70, method).geometry).all()


def test_what_fills_gaps_is_not_returned() -> None:
    labels = np.array([[1, FILL], [FILL, FILL]], dtype=np.int32)
    (polygon,) = trace(labels, 1, SimplifiedOutlines(0.3, lattice)).geometry
    assert polygon.equals(shapely.box(0, 0, 1, 1))
