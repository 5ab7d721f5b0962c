from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
from pyogrio import raw
from pyogrio.errors import FeatureError
from rasterio.crs import CRS
from rasterio.transform import Affine

from segearth_ov3.errors import RasterError
from segearth_ov3.geo import vectors
from segearth_ov3.geo.bands import BandChoice
from segearth_ov3.geo.raster import RasterProfile
from segearth_ov3.geo.vectors import check_vector_destination, write_polygons

UTM = CRS.from_epsg(25832)
SOURCE = RasterProfile(
    "labels.tif", 6, 8, UTM, Affine(0.5, 0, 356000.0, 0, -0.5, 5645000.0), (), None, None, BandChoice((1, 1, 1), None)
)


def some_polygons(count: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    left = 500_000.0 + 10 * np.arange(count)
    columns = {"class": np.array([f"Straße {n}" for n in range(count)], dtype=object), "size": np.arange(count) / 2}
    return shapely.box(left, 5e6, left + 5, 5e6 + 5), columns


def write(target: Path, *batches: tuple[np.ndarray, Mapping[str, np.ndarray]]) -> None:
    with write_polygons(target, UTM, 1e-6) as append:
        for polygons, columns in batches:
            append(polygons, columns)


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".geojson", ".json"])
@pytest.mark.parametrize("collected", [1, 2**20])
def test_batches_become_one_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, collected: int) -> None:
    monkeypatch.setattr(vectors, "_COLLECTED_COORDINATES", collected)
    polygons, columns = some_polygons(5)
    parts = [slice(0, 2), slice(2, 2), slice(2, 5)]
    write(
        tmp_path / f"a{suffix}", *((polygons[p], {name: column[p] for name, column in columns.items()}) for p in parts)
    )
    meta, _, geometry, fields = raw.read(tmp_path / f"a{suffix}")
    assert list(meta["fields"]) == ["class", "size"]
    assert sorted(zip(*(field.tolist() for field in fields))) == sorted(zip(*(c.tolist() for c in columns.values())))
    assert len(geometry) == 5
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_files_have_a_spatial_index(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"a{suffix}", some_polygons(3))
    assert pyogrio.read_info(tmp_path / f"a{suffix}")["capabilities"]["fast_spatial_filter"]


def test_nan_becomes_null(tmp_path: Path) -> None:
    polygons, columns = some_polygons(2)
    write(tmp_path / "a.geojson", (polygons, {**columns, "size": np.array([np.nan, 1.0])}))
    assert '"size": null' in (tmp_path / "a.geojson").read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".geojson"])
def test_nothing_is_left_when_writing_stops(tmp_path: Path, suffix: str) -> None:
    def stop() -> Mapping[str, np.ndarray]:
        raise ZeroDivisionError

    polygons, columns = some_polygons(2)
    with pytest.raises(ZeroDivisionError):
        write(tmp_path / f"a{suffix}", (polygons, columns), (polygons, stop()))
    assert list(tmp_path.iterdir()) == []


def test_what_gdal_reports_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FeatureError("failed to execute insert :\n database or disk is full")

    monkeypatch.setattr(raw, "write", fail)
    with pytest.raises(
        RasterError, match=r"cannot write .*a.gpkg: failed to execute insert : database or disk is full"
    ):
        write(tmp_path / "a.gpkg", some_polygons(1))
    assert list(tmp_path.iterdir()) == []


def test_missing_polygons_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyogrio, "read_info", lambda *_, **__: {"features": 1})
    with pytest.raises(RasterError, match="polygons are missing when it is read back"):
        write(tmp_path / "a.gpkg", some_polygons(2))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    for count in (3, 2):
        write(tmp_path / "a.gpkg", some_polygons(count))
    assert pyogrio.read_info(tmp_path / "a.gpkg")["features"] == 2


def test_unknown_ending_lists_known(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match=r"ends with \.gpkg or \.fgb or \.geojson or \.json or \.parquet"):
        check_vector_destination(tmp_path / "a.shp", SOURCE)


def test_a_format_that_gdal_cannot_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyogrio, "list_drivers", lambda **_: {"GPKG": "rw", "Parquet": "r"})
    with pytest.raises(RasterError, match=r"has no driver Parquet; choose \.gpkg, \.fgb or \.geojson"):
        check_vector_destination(tmp_path / "a.parquet", SOURCE)


def test_a_format_that_gdal_can_write_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyogrio, "list_drivers", lambda **_: {"Parquet": "rw", "GPKG": "rw"})
    assert check_vector_destination(tmp_path / "a.parquet", SOURCE) == tmp_path / "a.parquet"


def test_existing_files_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.gpkg").touch()
    with pytest.raises(RasterError, match=r"a\.gpkg exists; use --overwrite"):
        check_vector_destination(tmp_path / "a.gpkg", SOURCE)
    check_vector_destination(tmp_path / "a.gpkg", SOURCE, overwrite=True)


def test_a_file_that_is_open_elsewhere_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.gpkg").touch()
    (tmp_path / "a.gpkg-wal").touch()
    with pytest.raises(RasterError, match=r"another program has it open \(.*a.gpkg-wal exists\)"):
        check_vector_destination(tmp_path / "a.gpkg", SOURCE, overwrite=True)


@pytest.mark.parametrize("name", ["a!b.gpkg", "c!d/b.fgb", "a;b.gpkg", "a\nb.geojson", "a\tb.gpkg"])
def test_paths_that_pyogrio_takes_for_another_file_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    with pytest.raises(RasterError, match="paths of polygons must not contain"):
        check_vector_destination(tmp_path / name, SOURCE)


@pytest.mark.skipif("Parquet" not in pyogrio.list_drivers(write=True), reason="GDAL has no driver for GeoParquet")
def test_geoparquet_is_written_where_gdal_can(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", some_polygons(3))
    assert pyogrio.read_info(tmp_path / "a.parquet")["features"] == 3
