"""Errors of opening and reading, against servers of every kind and a caller who errs."""

from __future__ import annotations

import functools
import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.errors import CRSError

from segearth_ov3.errors import RasterError
from segearth_ov3.geo.gdal import reading
from segearth_ov3.geo.raster import open_raster, read_rgb


class WithoutRanges(http.server.SimpleHTTPRequestHandler):
    """Sends whole files, whatever range is asked for."""

    def log_message(self, *_: Any) -> None:
        pass

    def copyfile(self, source: Any, outputfile: Any) -> None:
        try:
            super().copyfile(source, outputfile)
        except OSError:  # the client hangs up when it sees that the range is ignored
            self.close_connection = True


class Forbidding(WithoutRanges):
    """Refuses everything, as for a signature that has expired."""

    def do_GET(self) -> None:
        self.send_error(403)

    do_HEAD = do_GET


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[type], str]]:
    """Serves the test's folder by a handler and returns the URL."""
    servers = []

    def start(handler: type) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(tmp_path)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("handler", "name", "cause"),
    [
        (WithoutRanges, "scene.tif", "the server sends whole files only; download the file and give its path"),
        (WithoutRanges, "nowhere.tif", "404; the server has no such file"),
        (Forbidding, "scene.tif", "403; the server refuses access: the signature may have expired"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/vsicurl/"])
def test_errors_of_servers_name_the_cause_and_no_secret(
    write_raster: Callable[..., Path],
    serve: Callable[[type], str],
    handler: type,
    name: str,
    cause: str,
    prefix: str,
) -> None:
    write_raster(np.random.default_rng(0).integers(0, 255, (3, 300, 300), dtype=np.uint8))
    with pytest.raises(RasterError) as caught:
        read_rgb(f"{prefix}{serve(handler)}/{name}?sv=1&sig=SECRET%3D")
    message = str(caught.value)
    assert cause in message
    assert "SECRET" not in message
    assert "copied or downloaded" not in message


def test_error_of_the_caller_keeps_its_own_name(write_raster: Callable[..., Path], rgb: np.ndarray) -> None:
    with pytest.raises(CRSError), open_raster(write_raster(rgb)):
        CRS.from_user_input("EPSG:999999")


def test_setting_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from rasterio._env import get_gdal_config

    monkeypatch.setenv("GDAL_VRT_ENABLE_PYTHON", "YES")
    assert get_gdal_config("GDAL_VRT_ENABLE_PYTHON") == "YES"
    with reading("scene.tif"):
        assert get_gdal_config("GDAL_VRT_ENABLE_PYTHON") == "NO"


def test_what_is_no_regular_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")
    os.mkfifo(tmp_path / "pipe.tif")  # opening it would wait for ever
    for name, reason in (
        ("loop.tif", "Too many levels of symbolic links"),
        ("pipe.tif", "expected an image file, this is a device or a pipe"),
        ("x" * 300, "File name too long"),
        ("nowhere.tif", "no such file"),
        (os.fsdecode(b"\xff.tif"), "expected a name in UTF-8; rename the file"),
    ):
        with pytest.raises(RasterError, match=f"cannot read .*: {reason}$"):
            read_rgb(tmp_path / name)


def test_prefixes_of_other_formats_name_the_options() -> None:
    for name in ("NETCDF:a.nc:red", "WMS:http://127.0.0.1:9/x"):
        with pytest.raises(RasterError, match=r"need --allow-outside, map services need --allow-network$"):
            read_rgb(name)
