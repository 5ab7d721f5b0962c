"""Rasters that claim to be enormous: refused within 1 GiB and 5 seconds of processor time, each in its own process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from segearth_ov3.geo.raster import open_scene

READ = """
import resource, sys
from segearth_ov3.errors import RasterError
from segearth_ov3.geo.raster import read_profile
used = resource.getrusage(resource.RUSAGE_SELF)
resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 6,) * 2)
try:
    read_profile(sys.argv[1])
except RasterError as error:
    print(error)
else:
    print("read")
# the peak of this program alone; ru_maxrss begins with that of the process that started it
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) // 1024)
"""


def outcome(path: Path) -> str:
    """What reading a raster in another process gives: its error, or "read"; at most 1 GiB of memory were used."""
    process = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    *lines, peak_mib = process.stdout.splitlines()
    assert int(peak_mib) < 1024
    (line,) = lines
    return line


def write_vrt(folder: Path, height: int, width: int, bands: int = 3) -> Path:
    """Write a VRT without sources."""
    listed = "".join(f'<VRTRasterBand dataType="Byte" band="{number + 1}"/>' for number in range(bands))
    path = folder / "huge.vrt"
    path.write_text(f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{listed}</VRTDataset>')
    return path


@pytest.mark.parametrize(
    "size", [(2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (2**31 - 1, 1), (2**24, 2**24)], ids=lambda size: f"{size}"
)
def test_enormous_vrt_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    assert f"expected at most 16777216 pixels a side and 1e+12 in all, found {size[0]} x {size[1]}" in outcome(
        write_vrt(tmp_path, *size)
    )


def test_vrt_of_absurdly_many_bands_is_refused(tmp_path: Path) -> None:
    assert "expected at most 4096 bands, found 60000" in outcome(write_vrt(tmp_path, 10, 10, 60_000))


def test_large_vrt_within_the_limits_is_read(tmp_path: Path) -> None:
    """A sample of it takes no memory for each of its blocks."""
    assert outcome(write_vrt(tmp_path, 2**24, 2**16)) == "read"


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"blockysize": 20_000}, "stored in blocks of 20000 x 400000 pixels, which take 7.5 GiB each"),
        ({"tiled": True, "blockxsize": 32_768, "blockysize": 32_768, "interleave": "pixel"}, "take 3.0 GiB each"),
    ],
    ids=["strips", "interleaved tiles"],
)
def test_sparse_raster_with_monstrous_blocks_is_refused(
    write_raster: Callable[..., Path], tmp_path: Path, block: dict[str, object], message: str
) -> None:
    path = tmp_path / "sparse.tif"
    profile = {"count": 3, "height": 400_000, "width": 400_000, "dtype": "uint8", "crs": "EPSG:25832"}
    place = rasterio.Affine(0.5, 0, 356000.0, 0, -0.5, 5645000.0)
    options = {"sparse_ok": True, "bigtiff": "yes", "interleave": "band", **block}
    with rasterio.open(path, "w", driver="GTiff", transform=place, **profile, **options):
        pass
    assert path.stat().st_size < 2**26
    assert message in outcome(path)


def test_narrow_scenes_are_sampled_in_large_pieces(write_raster: Callable[..., Path]) -> None:
    bands = np.random.default_rng(0).integers(0, 3000, (3, 50_000, 2), dtype=np.uint16)
    with open_scene(write_raster(bands)) as scene:
        assert scene.stretch is not None
        assert scene.stretch.lows == tuple(np.percentile(bands.reshape(3, -1), 2, axis=1))
