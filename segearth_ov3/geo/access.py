"""Decide which formats GDAL may use for a raster, and which other files and servers the raster may refer to.

A raster from a stranger must not read other files of this machine or contact servers. So a file is opened only as one
of the formats that refer to nothing, unless its name ends with `.vrt`; then the text is checked for what it refers to.
Files that GDAL opens along with a raster (`.msk`, `.ovr`, overviews named in metadata) follow the same rules. The user
lifts them by `allow_outside` and `allow_network`; names that the user gives are opened in either case.
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import rasterio
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from ..errors import RasterError
from .gdal import gdal_settings, without_georeference_warning
from .names import is_gdal_name, needs_network, shown_name
from .vrt import list_references

# formats whose files refer to nothing, except for HFA's spill files, which `check_opened` finds
PLAIN_DRIVERS = (
    *("GTiff", "LIBERTIFF", "JP2OpenJPEG", "JP2KAK", "JP2MrSID", "JPEG", "JPEGXL", "PNG", "WEBP", "GIF", "BMP"),
    *("HFA", "ENVI", "EHdr", "NITF", "AAIGrid", "PNM"),
)
# formats that contact servers, or refer to files in ways that are not checked here
_NETWORK_DRIVERS = (
    *("WMS", "WMTS", "WCS", "HTTP", "PLMOSAIC", "EEDA", "EEDAI", "DAAS", "STACIT", "STACTA", "GTI", "MRF", "Zarr"),
    *("ESRIC", "OGCAPI", "TileDB", "RASTERLITE", "KMLSUPEROVERLAY"),
)
# names that make GDAL open another raster, whose name follows
_WRAPPERS = {"vrt://": "VRT", "DERIVED_SUBDATASET:": "DERIVED"}
_OUTSIDE, _NETWORK = _OPTIONS = ("--allow-outside", "--allow-network")
_BASE = ":::BASE:::"  # the raster's folder, in names of overviews
_SIDECAR_SUFFIXES = (".msk", ".ovr")
_MAX_NESTED = 8
_PLAIN_SUFFIXES = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".img", ".webp", ".gif", ".bmp")
_HEAD_BYTES = 1024
_CONTAINERS = (b"CDF", b"\x89HDF")


@dataclasses.dataclass(frozen=True)
class Access:
    """What a raster may refer to.

    Attributes:
        outside: Files outside of its own folder, and local formats that refer to other files.
        network: Servers.
    """

    outside: bool = False
    network: bool = False

    @property
    def is_free(self) -> bool:
        """Whether nothing is checked."""
        return self.outside and self.network

    def drivers(self) -> list[str] | None:
        """Return the formats for names other than `.vrt`; None for all."""
        if self.is_free:
            return None
        names = list(PLAIN_DRIVERS)
        if self.network:
            names += _NETWORK_DRIVERS
        if self.outside:
            with rasterio.Env() as env:
                names += [name for name in env.drivers() if name not in _NETWORK_DRIVERS and name != "VRT"]
        return list(dict.fromkeys(names))


DEFAULT_ACCESS = Access()


def choose_drivers(name: str, access: Access) -> list[str] | None:
    """Check what a raster refers to, before GDAL opens it.

    Args:
        name: The raster, as the user gives it.
        access: What it may refer to.

    Returns:
        The formats as which GDAL may open it; None for all.

    Raises:
        RasterError: The raster refers to what it may not. The message names the reference and the option.
    """
    if access.is_free:
        return None
    checker = _Checker(name, access)
    for prefix, driver in _WRAPPERS.items():
        if name.startswith(prefix):
            inner = name.removeprefix(prefix)
            checker.check(inner.partition("?")[0] if prefix == "vrt://" else inner.partition(":")[2], "")
            return [driver]
    if is_gdal_name(name):
        if _is_vrt(name):
            raise _refusal(name, "the references of a VRT on a server or in an archive cannot be checked", *_OPTIONS)
        return access.drivers()
    checker.check_sidecars(name)
    if not _is_vrt(name):
        return access.drivers()
    checker.check_vrt(name, os.path.dirname(os.path.realpath(name)), 0)
    return ["VRT", *PLAIN_DRIVERS]


def check_opened(dataset: DatasetReader, name: str, access: Access) -> None:
    """Check what the metadata of an open raster refer to, before any pixel is read.

    GDAL opens the overviews that metadata name, wherever they are, once it is asked for overviews or files.

    Args:
        dataset: The raster.
        name: Its name, as the user gives it.
        access: What it may refer to.

    Raises:
        RasterError: It refers to what it may not.
    """
    if access.is_free:
        return
    checker = _Checker(name, access)
    checker.check_overviews(dataset)
    if is_gdal_name(name):
        for file in dataset.files:
            if file.lower().endswith(_SIDECAR_SUFFIXES):
                checker.check_format(file)
        return
    if access.outside:
        return
    roots = {os.path.dirname(os.path.realpath(name)), os.path.realpath(os.path.dirname(os.path.abspath(name)))}
    for file in dataset.files:
        if needs_network(file) and access.network:
            continue
        if not any(_is_below(file, root) for root in roots):
            raise _refusal(name, f"it refers to {shown_name(file)}, which lies outside of its folder", _OUTSIDE)


def explain_format(name: str) -> str:
    """Say why a raster is not opened, by its name and first bytes, and what to do; nothing about URLs."""
    if re.match(r"/vsi|\w+://", name):
        return ""
    if is_gdal_name(name):
        return f"check the name; formats that refer to other files need {_OUTSIDE}, map services need {_NETWORK}"
    with open(name, "rb") as file:
        start = file.read(_HEAD_BYTES)
    if start.startswith(_CONTAINERS):
        return "this is netCDF or HDF5, which may refer to other files; if you trust it, " + _use(_OUTSIDE)
    head = start.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if head.startswith("<") and "<vrtdataset" in head.lower():
        return "this is a VRT, whose name must end with .vrt, so that what it refers to is checked"
    if head.startswith(("<", "{")):
        return "this is a text that may refer to servers or other files; if you trust it, " + _use(*_OPTIONS)
    advice = (
        "expected a complete GeoTIFF, JPEG 2000, PNG, JPEG or another image format, so if the file was copied or "
        "downloaded, do that again"
    )
    is_plain = name.lower().endswith(_PLAIN_SUFFIXES)
    return advice if is_plain else f"{advice}; if it has another format of GDAL and you trust it, {_use(_OUTSIDE)}"


class _Checker:
    """Checks references of one raster, each once."""

    def __init__(self, owner: str, access: Access) -> None:
        self._owner, self._access = owner, access
        self._drivers = access.drivers()
        self._done: set[str] = set()
        self._listings: dict[str, dict[str, list[str]]] = {}

    def check_vrt(self, path: str, root: str, depth: int) -> None:
        """Check all references of a VRT; `root` is the folder that they must not leave."""
        if depth > _MAX_NESTED:
            raise RasterError(f"cannot read {self._owner}: VRTs refer to VRTs more than {_MAX_NESTED} levels deep")
        references = list_references(path)
        if references.unknown is not None:
            raise _refusal(path, f"references of its element {references.unknown[:40]!r} are not checked", *_OPTIONS)
        for name in references.names:
            self.check(name, root, depth)

    def check(self, name: str, root: str, depth: int = 0) -> None:
        """Check a reference; an empty `root` means any folder."""
        if name in self._done:
            return
        self._done.add(name)
        shown = shown_name(name)
        if needs_network(name):
            if not self._access.network:
                raise _refusal(self._owner, f"it refers to the server of {shown}", _NETWORK)
            return
        if is_gdal_name(name) or name.startswith("<"):
            raise _refusal(self._owner, f"it refers to {shown[:200]}, which is not checked", *_OPTIONS)
        if root and not self._access.outside and not _is_below(name, root):
            raise _refusal(self._owner, f"it refers to {shown}, which lies outside of its folder", _OUTSIDE)
        if not os.path.isfile(name):
            raise RasterError(f"cannot read {self._owner}: it refers to {shown}, and there is no such file")
        self.check_sidecars(name)
        if _is_vrt(name):
            self.check_vrt(name, root, depth + 1)
        else:
            self.check_format(name)

    def check_sidecars(self, path: str) -> None:
        """Check the masks and overviews that GDAL opens along with a file; letter case does not matter to it."""
        folder, base = os.path.split(os.path.abspath(path))
        if folder not in self._listings:
            names: dict[str, list[str]] = {}
            if not os.access(folder, os.R_OK):
                raise _refusal(self._owner, f"there is no permission to list {folder}, to find masks", *_OPTIONS)
            for entry in os.listdir(folder):
                if entry.lower().endswith(_SIDECAR_SUFFIXES):
                    names.setdefault(os.path.splitext(entry)[0].lower(), []).append(entry)
            self._listings[folder] = names
        for entry in self._listings[folder].get(base.lower(), []):
            sidecar = os.path.join(folder, entry)
            self.check_format(sidecar)
            self.check_sidecars(sidecar)

    def check_overviews(self, dataset: DatasetReader) -> None:
        """Check the file of overviews that metadata name."""
        name = dataset.tags(ns="OVERVIEWS").get("OVERVIEW_FILE")
        if name is not None:
            folder = os.path.dirname(os.path.abspath(self._owner))
            self.check(os.path.join(folder, name.removeprefix(_BASE)) if name.startswith(_BASE) else name, folder)

    def check_format(self, path: str) -> None:
        """Make sure that a file has one of the formats allowed."""
        try:
            with without_georeference_warning(), gdal_settings(), DatasetReader(path, driver=self._drivers) as dataset:
                self.check_overviews(dataset)
        except RasterioIOError as error:
            raise _refusal(self._owner, f"it refers to {path}, whose format is not checked", *_OPTIONS) from error


def _is_vrt(name: str) -> bool:
    return name.partition("?")[0].lower().endswith(".vrt")


def _is_below(path: str, root: str) -> bool:
    """Return whether a file lies in a folder or below it, after all links are followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def _refusal(name: str, reason: str, *options: str) -> RasterError:
    return RasterError(f"cannot read {shown_name(name)}: {reason}; if you trust it, {_use(*options)}")


def _use(*options: str) -> str:
    """Name options of the command line and of Python."""
    arguments = ", ".join(f"{option.strip('-').replace('-', '_')}=True" for option in options)
    return f"use {' and '.join(options)} ({arguments})"
