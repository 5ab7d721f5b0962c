"""Find the files that a GDAL virtual raster (VRT) refers to, without opening any of them.

A VRT is an XML text that can make GDAL read any file, call servers and run Python. Its references are listed here
from the text. Elements that are not known to be harmless are named, so that the caller can refuse them. As for GDAL,
letter case does not matter, and an attribute counts as an element of its name.

The parser keeps only the references in memory and refuses document types, so entities cannot expand.
"""

from __future__ import annotations

import os
from typing import NamedTuple
from xml.parsers import expat

from ..errors import RasterError
from .names import is_gdal_name

_MAX_BYTES = 32 * 2**20  # about 100 000 sources
_MAX_DEPTH = 32
_PIECE_BYTES = 2**20

_LANGUAGE = "pixelfunctionlanguage"
_REFERENCES = {"sourcefilename", "sourcedataset", "dempath"}

# elements and attributes that name no files; everything else is unknown
_HARMLESS_NAMES = """
    vrtdataset rasterxsize rasterysize subclass srs dataaxistosrsaxismapping coordinateepoch geotransform gcplist
    gcp projection id info pixel line x y z metadata domain format mdi key maskband overviewlist resampling
    blockxsize blockysize vrtrasterband datatype band colorinterp description unittype offset scale nodatavalue
    hidenodatavalue colortable entry c1 c2 c3 c4 categorynames category overview sourceband gdalrasterattributetable
    row0min binsize tabletype fielddefn index name type usage row f histograms histitem histmin histmax bucketcount
    includeoutofrange approximate histcounts pixelfunctiontype pixelfunctionarguments bufferradius
    sourcetransfertype skipnoncontributingsources imageoffset pixeloffset lineoffset byteorder simplesource
    complexsource averagedsource nodatafrommasksource kernelfilteredsource relativetovrt shared sourceproperties
    srcrect dstrect xoff yoff xsize ysize nodata usemaskband scaleoffset scaleratio exponent srcmin srcmax dstmin
    dstmax clamp lut colortablecomponent kernel normalized size coefs maskvaluethreshold remappedvalue
    gdalwarpoptions warpmemorylimit resamplealg workingdatatype option bandlist bandmapping src dst srcnodatareal
    srcnodataimag dstnodatareal dstnodataimag srcalphaband dstalphaband cutline cutlineblenddist transformer
    approxtransformer maxerror basetransformer genimgprojtransformer srcgeotransform srcinvgeotransform
    dstgeotransform dstinvgeotransform reprojecttransformer reprojectiontransformer sourcesrs targetsrs options
    srcgcptransformer gcptransformer order reversed srctpstransformer tpstransformer srcrpctransformer
    rpctransformer rpcmetadata heightoffset heightscale pixelerrthreshold
"""
_HARMLESS = set(_HARMLESS_NAMES.split())


class VrtReferences(NamedTuple):
    """What a virtual raster refers to.

    Attributes:
        names: Sources as the file names them, relative paths joined to its folder, each once.
        unknown: Name of the first element that might refer to something else, or None.
    """

    names: tuple[str, ...]
    unknown: str | None


def list_references(path: str) -> VrtReferences:
    """List what a virtual raster refers to.

    Args:
        path: The file.

    Returns:
        The references.

    Raises:
        RasterError: The file is no VRT, is damaged or too large, declares a document type, or runs Python.
    """
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            raise RasterError(
                f"cannot read {path}: expected a VRT of at most {_MAX_BYTES // 2**20} MiB, found "
                f"{os.path.getsize(path) // 2**20}; split the mosaic"
            )
        with open(path, "rb") as file:
            listing = _Listing(path)
            while piece := file.read(_PIECE_BYTES):
                listing.parser.Parse(piece, False)
            listing.parser.Parse(b"", True)
    except OSError as error:
        raise RasterError(f"cannot read {path}: {error.strerror}") from error
    except expat.ExpatError as error:
        raise RasterError(f"cannot read {path}: not a well-formed VRT ({error})") from error
    return VrtReferences(tuple(listing.names), listing.unknown)


class _Listing:
    """Collects references while expat reads.

    Attributes:
        parser: The parser; it takes UTF-8, even if the text declares another encoding.
        names: References so far, as keys in order.
        unknown: First element that is not known.
    """

    def __init__(self, path: str) -> None:
        self.names: dict[str, None] = {}
        self.unknown: str | None = None
        self._path, self._folder = path, os.path.dirname(os.path.abspath(path))
        self._open: list[str] = []
        self._text: list[str] = []
        self._is_relative = False
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._take_text
        self.parser.CommentHandler = self.parser.ProcessingInstructionHandler = self._interrupt
        self.parser.StartCdataSectionHandler = self._interrupt
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.lower()
        self._interrupt()
        if not self._open and name != "vrtdataset":
            raise RasterError(f"cannot read {self._path}: expected a VRT, found the XML element <{tag[:40]}>")
        if len(self._open) >= _MAX_DEPTH:
            raise RasterError(f"cannot read {self._path}: expected a VRT of at most {_MAX_DEPTH} nested elements")
        self._check_names(name, attributes)
        self._is_relative = False
        if name in _REFERENCES:
            self._is_relative = self._relative_to_vrt(attributes)
        self._open.append(name)
        self._text = []

    def _check_names(self, element: str, attributes: dict[str, str]) -> None:
        """Note what is not known to be harmless."""
        for name in (element, *(attributes if element != "pixelfunctionarguments" else ())):
            if name in _HARMLESS or (name == element and name in _REFERENCES):  # nearly all are, but for their case
                continue
            lowered = name.lower()
            if lowered == "pixelfunctioncode" or (
                lowered == _LANGUAGE and attributes.get(name, "").lower() == "python"
            ):
                self._refuse_python()
            if lowered not in _HARMLESS and lowered != _LANGUAGE:
                self.unknown = self.unknown or lowered

    def _relative_to_vrt(self, attributes: dict[str, str]) -> bool:
        """Return whether a reference starts at the VRT's folder; otherwise it starts at the working directory."""
        value = next((value for key, value in attributes.items() if key.lower() == "relativetovrt"), "0")
        if value not in ("0", "1"):
            self.unknown = self.unknown or "relativeToVRT"
        return value == "1"

    def _take_text(self, text: str) -> None:
        if self._open and (self._open[-1] in _REFERENCES or self._open[-1] == _LANGUAGE):
            self._text.append(text)

    def _end(self, tag: str) -> None:
        name, text = self._open.pop(), "".join(self._text).strip()
        if name == _LANGUAGE and text.lower() == "python":
            self._refuse_python()
        if name in _REFERENCES:
            is_path = self._is_relative and not is_gdal_name(text)
            self.names[os.path.join(self._folder, text) if is_path else text] = None
        self._text = []

    def _interrupt(self, *_: str) -> None:
        """Refuse comments and elements inside a reference, whose parts GDAL and this parser might join differently."""
        if self._open and self._open[-1] in _REFERENCES:
            self.unknown = self.unknown or self._open[-1]

    def _refuse_doctype(self, *_: object) -> None:
        raise RasterError(f"cannot read {self._path}: expected a VRT without a document type")

    def _refuse_python(self) -> None:
        raise RasterError(
            f"cannot read {self._path}: its pixel functions are Python code, which is never run; write its result to a "
            f"GeoTIFF with a program that you trust to run it"
        )
