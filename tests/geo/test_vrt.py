from __future__ import annotations

from pathlib import Path

import pytest

from segearth_ov3.errors import RasterError
from segearth_ov3.geo.vrt import list_references

EXPANDING = "<!DOCTYPE a [<!ENTITY b 'cccccccccc'><!ENTITY d '&b;&b;&b;&b;&b;&b;'>]><VRTDataset>&d;</VRTDataset>"


def write(folder: Path, inner: str) -> str:
    path = folder / "a.vrt"
    path.write_text(inner if inner.startswith(("<!", "<?", "<G")) else f"<VRTDataset>{inner}</VRTDataset>")
    return str(path)


def test_sources_are_listed_once_with_relative_ones_joined_to_the_folder(tmp_path: Path) -> None:
    source = "<SimpleSource><SourceFilename relativeToVRT='{}'>{}</SourceFilename></SimpleSource>"
    text = source.format(1, "b/a&amp;b.tif") * 2 + source.format(0, "/data/c.tif") + source.format(1, "/vsis3/k/d.tif")
    warped = "<GDALWarpOptions><SourceDataset relativeToVRT='1'>e.tif</SourceDataset></GDALWarpOptions>"
    found = list_references(write(tmp_path, text + warped))
    assert found.names == (f"{tmp_path}/b/a&b.tif", "/data/c.tif", "/vsis3/k/d.tif", f"{tmp_path}/e.tif")
    assert found.unknown is None


def test_arguments_of_built_in_pixel_functions_have_any_name(tmp_path: Path) -> None:
    arguments = "<PixelFunctionType>scale</PixelFunctionType><PixelFunctionArguments k='2' propagateNoData='1'/>"
    found = list_references(
        write(tmp_path, f"<VRTRasterBand subClass='VRTDerivedRasterBand'>{arguments}</VRTRasterBand>")
    )
    assert found == ((), None)


@pytest.mark.parametrize(
    ("inner", "unknown"),
    [
        ("<PansharpeningOptions/>", "pansharpeningoptions"),
        ("<VRTRasterBand><SimpleSource sourceFILENAME='/etc/passwd'/></VRTRasterBand>", "sourcefilename"),
        ("<SourceFilename>a.tif<!-- -->b.tif</SourceFilename>", "sourcefilename"),
        ("<SourceFilename><![CDATA[a.tif]]></SourceFilename>", "sourcefilename"),
        ("<SourceFilename><x/>a.tif</SourceFilename>", "sourcefilename"),
        ("<SourceFilename relativeToVRT='01'>a.tif</SourceFilename>", "relativeToVRT"),
        ("<OpenOptions><OOI key='ROOT_PATH'>/</OOI></OpenOptions>", "openoptions"),
    ],
)
def test_what_could_hide_a_reference_is_named(tmp_path: Path, inner: str, unknown: str) -> None:
    assert list_references(write(tmp_path, inner)).unknown == unknown


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (EXPANDING, "expected a VRT without a document type"),
        ("<GDAL_WMS/>", "expected a VRT, found the XML element <GDAL_WMS>"),
        ("<a>" * 40, "at most 32 nested elements"),
        ("<SourceFilename>", "not a well-formed VRT"),
        ("<VRTRasterBand><pixelfunctionlanguage>PYTHON</pixelfunctionlanguage></VRTRasterBand>", "never run"),
        ("<VRTRasterBand PixelFunctionLanguage='Python'/>", "never run"),
        ("<VRTRasterBand><PixelFunctionCode/></VRTRasterBand>", "never run"),
    ],
)
def test_texts_that_are_no_plain_vrt_are_refused(tmp_path: Path, inner: str, message: str) -> None:
    with pytest.raises(RasterError, match=f"cannot read .*a.vrt: .*{message}"):
        list_references(write(tmp_path, inner))


def test_enormous_vrt_is_refused_without_reading_it(tmp_path: Path) -> None:
    with open(tmp_path / "a.vrt", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(RasterError, match="expected a VRT of at most 32 MiB, found 1048576"):
        list_references(str(tmp_path / "a.vrt"))
