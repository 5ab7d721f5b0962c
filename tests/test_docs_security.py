"""What docs/security.md states, against the code."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from segearth_ov3.cli.main import main
from segearth_ov3.geo import raster, vrt
from segearth_ov3.geo.access import PLAIN_DRIVERS

PAGE = (Path(__file__).parents[1] / "docs" / "security.md").read_text(encoding="utf-8")
NAMES = {
    "GeoTIFF": ("GTiff", "LIBERTIFF"),
    "JPEG 2000": ("JP2OpenJPEG", "JP2KAK", "JP2MrSID"),
    "PNG": ("PNG",),
    "JPEG": ("JPEG",),
    "JPEG XL": ("JPEGXL",),
    "WebP": ("WEBP",),
    "GIF": ("GIF",),
    "BMP": ("BMP",),
    "Erdas Imagine": ("HFA",),
    "ENVI": ("ENVI",),
    "EHdr": ("EHdr",),
    "NITF": ("NITF",),
    "ASCII Grid": ("AAIGrid",),
    "PNM": ("PNM",),
}


def test_formats_are_those_of_the_code() -> None:
    text = " ".join(PAGE.split())
    listed = text.partition("A raster is opened as ")[2].partition(", under any name")[0]
    assert listed.replace(" or ", ", ").split(", ") == list(NAMES)
    assert {driver for drivers in NAMES.values() for driver in drivers} == set(PLAIN_DRIVERS)


def test_limits_are_those_of_the_code() -> None:
    assert (
        "More than 2²⁴ pixels a side, 2⁴⁰ pixels, 4096 bands, blocks of more than 1 GiB, or a VRT of more than 32 MiB"
        in PAGE
    )
    assert (raster._MAX_SIDE, raster._MAX_PIXELS, raster._MAX_BANDS) == (2**24, 2**40, 4096)
    assert (raster._MAX_BLOCK_BYTES, vrt._MAX_BYTES) == (2**30, 32 * 2**20)


@pytest.mark.parametrize("command", ["segment", "polygonize"])
def test_commands_have_the_options(command: str) -> None:
    shown = CliRunner().invoke(main, [command, "--help"]).output
    assert "--allow-outside" in shown
    assert "--allow-network" in shown
