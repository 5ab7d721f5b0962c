"""Rasters that refer to other files and to servers; a local server counts what it is asked for."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from segearth_ov3.errors import RasterError
from segearth_ov3.geo.raster import open_raster, read_rgb
from segearth_ov3.geo.reader import ReadOptions

OUTSIDE = r"if you trust it, use --allow-outside \(allow_outside=True\)$"
NETWORK = r"if you trust it, use --allow-network \(allow_network=True\)$"
BOTH = r"if you trust it, use --allow-outside and --allow-network \(allow_outside=True, allow_network=True\)$"
WMS = "<GDAL_WMS><Service name='TMS'><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service></GDAL_WMS>"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """The URL of a server without files, and the paths that it was asked for."""
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "5")  # some calls of GDAL keep this process from answering
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    listening = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}", asked
    listening.shutdown()
    listening.server_close()


@pytest.fixture
def write_vrt(tmp_path: Path) -> Callable[..., Path]:
    """Writes a VRT of three bands of a source (6, 8) and returns its path."""

    def write(source: str | Path, name: str = "maps/mosaic.vrt", *, relative: int = 0, band: str = "") -> Path:
        bands = "".join(
            f'<VRTRasterBand dataType="Byte" band="{number}">{band}<SimpleSource><SourceFilename '
            f'relativeToVRT="{relative}">{source}</SourceFilename><SourceBand>{number}</SourceBand>'
            f"</SimpleSource></VRTRasterBand>"
            for number in (1, 2, 3)
        )
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'<VRTDataset rasterXSize="8" rasterYSize="6">{bands}</VRTDataset>')
        return path

    return write


@pytest.fixture
def scene(write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path) -> Path:
    """A raster next to the folder `maps`."""
    (tmp_path / "maps" / "tiles").mkdir(parents=True)
    return write_raster(rgb)


def test_vrt_reads_files_below_its_folder(
    write_raster: Callable[..., Path], write_vrt: Callable[..., Path], scene: Path, rgb: np.ndarray
) -> None:
    write_raster(rgb, "maps/tiles/a.tif")
    write_vrt("a.tif", "maps/tiles/inner.vrt", relative=1)
    for source in ("tiles/a.tif", "tiles/inner.vrt"):
        path = write_vrt(source, relative=1)
        assert np.array_equal(read_rgb(path).image, rgb.transpose(1, 2, 0))


@pytest.mark.parametrize("source", ["../scene.tif", "{folder}/scene.tif", "link.tif", "inner.vrt"])
def test_vrt_reads_files_elsewhere_only_if_allowed(
    write_vrt: Callable[..., Path], scene: Path, tmp_path: Path, rgb: np.ndarray, source: str
) -> None:
    (tmp_path / "maps" / "link.tif").symlink_to(scene)
    write_vrt(scene, "maps/inner.vrt")
    path = write_vrt(source.format(folder=tmp_path), relative=1)
    with pytest.raises(
        RasterError, match=rf"mosaic\.vrt: it refers to .*, which lies outside of its folder; {OUTSIDE}"
    ):
        read_rgb(path)
    allowed = read_rgb(path, ReadOptions(allow_outside=True))
    assert np.array_equal(allowed.image, rgb.transpose(1, 2, 0))


@pytest.mark.parametrize("prefix", ["", "/vsicurl/"])
def test_vrt_calls_servers_only_if_allowed(
    write_vrt: Callable[..., Path], server: tuple[str, list[str]], prefix: str
) -> None:
    url, asked = server
    path = write_vrt(f"{prefix}{url}/x.tif?sig=abc")
    for options in (ReadOptions(), ReadOptions(allow_outside=True)):
        with pytest.raises(RasterError, match=rf"refers to the server of .*/x\.tif; {NETWORK}"):
            read_rgb(path, options)
    assert asked == []
    with pytest.raises(RasterError, match="404"):
        read_rgb(path, ReadOptions(allow_network=True))
    assert asked


def test_vrt_of_a_server_is_read_if_allowed(
    write_vrt: Callable[..., Path], scene: Path, tmp_path: Path, rgb: np.ndarray
) -> None:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().split("port ")[1].split()[0]
            path = write_vrt(f"http://127.0.0.1:{port}/scene.tif")
            image = read_rgb(path, ReadOptions(allow_network=True)).image
        finally:
            process.terminate()
    assert np.array_equal(image, rgb.transpose(1, 2, 0))


def test_vrt_under_another_name_is_refused(write_vrt: Callable[..., Path], scene: Path) -> None:
    path = write_vrt(scene, "disguised.tif")
    with pytest.raises(RasterError, match=r"disguised\.tif: .*this is a VRT, whose name must end with \.vrt"):
        read_rgb(path)


def test_text_of_a_map_service_is_refused(tmp_path: Path, server: tuple[str, list[str]]) -> None:
    url, asked = server
    for name in ("map.xml", "map.tif"):
        (tmp_path / name).write_text(WMS.format(url=url))
        with pytest.raises(RasterError, match=rf"a text that may refer to servers or other files; {BOTH}"):
            read_rgb(tmp_path / name)
    assert asked == []


@pytest.mark.parametrize("kind", ["url", "vsicurl", "file", "above"])
def test_overviews_named_in_metadata_are_references_too(
    scene: Path, server: tuple[str, list[str]], tmp_path: Path, kind: str
) -> None:
    """GDAL opens them for any raster, as soon as somebody asks for its overviews or files."""
    url, asked = server
    target, message = {
        "url": (f"{url}/o.ovr", NETWORK),
        "vsicurl": (f"/vsicurl/{url}/o.ovr", NETWORK),
        "file": ("/etc/hostname", OUTSIDE),
        "above": (":::BASE:::../../../etc/hostname", OUTSIDE),
    }[kind]
    with rasterio.open(scene, "r+") as raster:
        raster.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=target)
    asked.clear()
    with pytest.raises(RasterError, match=rf"scene\.tif: it refers to .*{message}"):
        read_rgb(scene)
    assert asked == []


@pytest.mark.parametrize("suffix", [".msk", ".MSK", ".ovr", ".ovr.msk"])
def test_masks_and_overviews_next_to_a_raster_have_plain_formats(
    scene: Path, write_vrt: Callable[..., Path], server: tuple[str, list[str]], suffix: str
) -> None:
    url, asked = server
    if suffix == ".ovr.msk":
        scene.with_name("scene.tif.ovr").write_bytes(scene.read_bytes())
    write_vrt(f"{url}/x.tif", f"scene.tif{suffix}")
    with pytest.raises(
        RasterError, match=rf"scene\.tif: it refers to .*scene\.tif{suffix}, whose format is not checked"
    ):
        read_rgb(scene)
    assert asked == []


PIXEL_FUNCTION = """
import pathlib
def run(inputs, output, *args, **kwargs):
    pathlib.Path({marker!r}).touch()
    output[:] = 1
"""


@pytest.mark.parametrize("options", [ReadOptions(), ReadOptions(allow_outside=True, allow_network=True)])
def test_python_in_a_vrt_is_never_run(
    write_vrt: Callable[..., Path],
    scene: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: ReadOptions,
) -> None:
    monkeypatch.setenv("GDAL_VRT_ENABLE_PYTHON", "YES")
    code = PIXEL_FUNCTION.format(marker=str(tmp_path / "ran"))
    function = (
        "<PixelFunctionType>run</PixelFunctionType><PixelFunctionLanguage>Python</PixelFunctionLanguage>"
        f"<PixelFunctionCode><![CDATA[{code}]]></PixelFunctionCode>"
    )
    path = write_vrt(scene, "scene.vrt", band=function)
    path.write_text(path.read_text().replace('dataType="Byte"', 'dataType="Byte" subClass="VRTDerivedRasterBand"'))
    with pytest.raises(RasterError, match=r"Python code, which is never run|explicitly disabled"):
        read_rgb(path, options)
    assert not (tmp_path / "ran").exists()


def test_names_with_a_prefix_open_only_plain_formats(scene: Path, write_vrt: Callable[..., Path]) -> None:
    disguised = write_vrt("/etc/hostname", "disguised.tif")
    with open_raster(f"vrt://{scene}?bands=3,2,1") as raster:
        assert raster.count == 3
    for name in (f"vrt://{disguised}?bands=1", f"DERIVED_SUBDATASET:AMPLITUDE:{disguised}"):
        with pytest.raises(RasterError, match=rf"disguised\.tif, whose format is not checked; {BOTH}"):
            read_rgb(name)


def test_vrt_on_a_server_is_refused_before_it_is_asked(server: tuple[str, list[str]]) -> None:
    url, asked = server
    with pytest.raises(RasterError, match=r"references of a VRT on a server or in an archive cannot be checked"):
        read_rgb(f"{url}/mosaic.vrt?sig=abc")
    assert asked == []


def test_missing_source_of_a_vrt_is_named(write_vrt: Callable[..., Path], tmp_path: Path) -> None:
    path = write_vrt("nowhere.tif", relative=1)
    with pytest.raises(RasterError, match=r"mosaic\.vrt: it refers to .*nowhere\.tif, and there is no such file"):
        read_rgb(path)


def test_vrts_that_refer_to_each_other_end(write_vrt: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(12):
        path = write_vrt(f"{number - 1}.vrt", f"maps/{number}.vrt", relative=1)
    with pytest.raises(RasterError, match="VRTs refer to VRTs more than 8 levels deep"):
        read_rgb(path)
    with pytest.raises(RasterError, match=r"cannot read .*loop\.vrt"):
        read_rgb(write_vrt("loop.vrt", "maps/loop.vrt", relative=1))


def test_mask_in_an_archive_has_a_plain_format(scene: Path, write_vrt: Callable[..., Path], tmp_path: Path) -> None:
    mask = write_vrt(scene, "scene.tif.msk")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(scene, "scene.tif")
        archive.write(mask, "scene.tif.msk")
    with pytest.raises(RasterError, match=r"it refers to /vsizip/.*scene\.tif\.msk, whose format is not checked"):
        read_rgb(f"/vsizip/{tmp_path}/a.zip/scene.tif")


def test_formats_that_may_refer_to_files_need_permission(tmp_path: Path) -> None:
    (tmp_path / "a.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500))
    with pytest.raises(RasterError, match=rf"this is netCDF or HDF5, which may refer to other files; {OUTSIDE}"):
        read_rgb(tmp_path / "a.nc")


def test_other_formats_are_said_to_need_permission(tmp_path: Path) -> None:
    (tmp_path / "a.grb").write_bytes(b"GRIB" + bytes(100))
    with pytest.raises(RasterError, match=r"if it has another format of GDAL and you trust it, use --allow-outside"):
        read_rgb(tmp_path / "a.grb")
