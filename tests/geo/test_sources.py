from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from segearth_ov3.errors import RasterError
from segearth_ov3.geo.options import Outputs
from segearth_ov3.geo.output import check_destination
from segearth_ov3.geo.polygonize import polygonize
from segearth_ov3.geo.scene import check_scene, segment_scene
from segearth_ov3.geo.sources import source_files

WriteRaster = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, write_raster: WriteRaster, rgb: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a.tif with an external mask, b.vrt that reads it, c.vrt that reads b.vrt."""
    monkeypatch.chdir(tmp_path)
    path = write_raster(rgb, "a.tif")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.full((6, 8), 255, np.uint8))
    rasterio.shutil.copy("a.tif", "b.vrt", driver="VRT")
    text = Path("b.vrt").read_text(encoding="utf-8")
    Path("c.vrt").write_text(re.sub(r"(<SourceFilename[^>]*>)[^<]*", r"\1b.vrt", text), encoding="utf-8")
    (tmp_path / "sub").mkdir()
    return tmp_path


def must_not_run(images: np.ndarray) -> np.ndarray:
    raise AssertionError("predict was called")


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_sidecars_belong_to_a_raster(folder: Path) -> None:
    with rasterio.open("a.tif") as dataset:
        assert source_files(dataset) == ("a.tif", "a.tif.msk")


def test_files_of_nested_virtual_rasters_are_found(folder: Path) -> None:
    with rasterio.open("c.vrt") as dataset:
        assert source_files(dataset) == ("c.vrt", "b.vrt", "a.tif")


@pytest.mark.parametrize(
    "source",
    ["a.tif", "file://{}/a.tif", "GTIFF_DIR:1:a.tif", "vrt://a.tif?bands=1,2,3", "b.vrt", "c.vrt", "sub/../a.tif"],
)
@pytest.mark.parametrize("output", ["labels", "confidence", "scores"])
def test_no_output_replaces_a_file_of_the_source(folder: Path, source: str, output: str) -> None:
    source, before = source.format(folder), files_in(folder)
    target = folder / "a.tif"
    labels = target if output == "labels" else folder / "labels.tif"
    outputs = Outputs() if output == "labels" else Outputs(**{output: target})  # type: ignore[arg-type]
    for run in (
        lambda: check_scene(source, labels, outputs=outputs, overwrite="force"),
        lambda: segment_scene(source, labels, must_not_run, classes=["x", "y"], outputs=outputs, overwrite="force"),
    ):
        with pytest.raises(RasterError, match=r"cannot write .*a\.tif: it is .*, which is never replaced"):
            run()
    assert files_in(folder) == before


def test_pictures_do_not_replace_what_a_virtual_raster_reads(folder: Path) -> None:
    rasterio.shutil.copy("a.tif", "p.png", driver="PNG")
    rasterio.shutil.copy("p.png", "p.vrt", driver="VRT")
    with pytest.raises(RasterError, match=r"cannot write p\.png: it is part of p\.vrt, which is never replaced"):
        check_scene("p.vrt", "labels.tif", outputs=Outputs(overlay="p.png"), overwrite="force")


def test_masks_that_a_virtual_raster_reads_are_not_removed_with_another_map(folder: Path) -> None:
    os.rename("a.tif.msk", "m.tif.msk")
    with pytest.raises(RasterError, match=r"cannot write m\.tif: m\.tif\.msk, which would be removed, is part of"):
        check_destination("m.tif", ("c.vrt", "m.tif.msk"), overwrite="force")


@pytest.mark.parametrize(
    "source",
    ["/vsizip/{}/z.tif/a.tif", "/vsizip/{{{}/z.tif}}/a.tif", "/vsisubfile/0_100,{}/z.tif", "/vsicached?file={}/z.tif"],
)
def test_archives_and_parts_of_files_are_sources(folder: Path, source: str) -> None:
    with ZipFile("z.tif", "w") as archive:
        archive.write("a.tif")
    with pytest.raises(RasterError, match="it is the source image, which is never replaced"):
        check_destination("z.tif", source.format(folder), overwrite="force")


def test_hard_links_are_the_source(folder: Path) -> None:
    os.link("a.tif", "d.tif")
    with pytest.raises(RasterError, match="it is the source image, which is never replaced"):
        check_destination("d.tif", "a.tif", overwrite="force")


def test_a_remote_file_of_the_same_path_is_another_one(folder: Path) -> None:
    target = folder / "a.tif"
    assert check_destination(target, f"/vsicurl/http://host{target}", overwrite="force") == target


@pytest.mark.parametrize("role", ["labels", "confidence"])
def test_polygons_replace_neither_labels_nor_confidences(
    folder: Path, write_raster: WriteRaster, rgb: np.ndarray, role: str
) -> None:
    """GeoPackages hold rasters too."""
    write_raster(rgb[:1], "labels.tif")
    rasterio.shutil.copy("labels.tif", "r.gpkg", driver="GPKG")
    before = Path("r.gpkg").read_bytes()
    labels, confidence = ("r.gpkg", None) if role == "labels" else ("labels.tif", "r.gpkg")
    with pytest.raises(RasterError, match=r"r\.gpkg"):
        polygonize(labels, "r.gpkg", confidence=confidence, overwrite="force")
    assert Path("r.gpkg").read_bytes() == before
