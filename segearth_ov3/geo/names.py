"""Names of rasters: paths of files, URLs and other names that only GDAL understands.

A URL may be signed: what follows its `?` opens the file for whoever has it, so it must not appear in messages, file
names or tables.
"""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qs, unquote, urlsplit

_GDAL_NAME = re.compile(r"/vsi|\w{2,}:")  # a single letter before a colon is a drive
_NETWORK_NAME = re.compile(
    r"/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)|\b(https?|ftps?|s3|gs|az|oss|swift|w[mc]t?s)://|\bW[MC]T?S:", re.I
)
_CURL_OPTIONS = re.compile(r"/vsicurl(?:_streaming)?\?(\S+)")
_QUERY = re.compile(r"((?:\w+://|/vsi)[^\s?'\"{}`]*)\?[^\s'\"{}`]*")
_USER = re.compile(r"(\w+://)[^\s/@'\"]+@")


def is_gdal_name(name: str | os.PathLike[str]) -> bool:
    """Return whether a name is a URL, a /vsi name or another name with a prefix, which no file of the system has."""
    return _GDAL_NAME.match(os.fspath(name)) is not None


def needs_network(name: str) -> bool:
    """Return whether opening a name makes GDAL contact a server."""
    return _NETWORK_NAME.search(name) is not None


def local_path(name: str | os.PathLike[str]) -> str:
    """Return the path that a `file:` URL means; return any other name unchanged."""
    text = os.fspath(name)
    return unquote(urlsplit(text).path) if text.lower().startswith("file://") else text


def shown_name(name: str | os.PathLike[str]) -> str:
    """Return a name for messages and tables: without the query and the user of a URL.

    Example:
        >>> shown_name("https://host/town.tif?sv=1&sig=abc%3D")
        'https://host/town.tif'
    """
    text = os.fspath(name)
    if not is_gdal_name(text):
        return text
    options = _CURL_OPTIONS.match(text)
    if options is not None:
        text = "/vsicurl/" + parse_qs(options[1]).get("url", [""])[0]
    return without_secrets(text)


def without_secrets(text: str) -> str:
    """Return a message without the queries and users of the URLs in it."""
    return _USER.sub(r"\1", _QUERY.sub(r"\1", text))
