"""Settings of GDAL for reading, and its errors in words a user can act on."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator

import rasterio
from rasterio.errors import NotGeoreferencedWarning

from ..errors import RasterError
from .names import is_gdal_name, shown_name, without_secrets
from .output import GDAL_ERRORS, first_cause

_SETTINGS = {
    # without these two, GDAL fills up a JPEG or PNG that was cut short with grey or black
    "GDAL_ERROR_ON_LIBJPEG_WARNING": True,
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": False,
    # GDAL keeps blocks up to 5 % of the machine's memory; two rows of tiles of a wide scene are enough
    "GDAL_CACHEMAX": 256 * 2**20,
    # settings win over environment variables: code inside of files is never run
    "GDAL_VRT_ENABLE_PYTHON": "NO",
}
# what servers and GDAL say, and what to do about it
_NETWORK_ADVICE = {
    "Range downloading not supported": "the server sends whole files only; download the file and give its path",
    "response code: 403": "the server refuses access: the signature may have expired, or the server may refuse HEAD "
    "requests (set CPL_VSIL_CURL_USE_HEAD=NO)",
    "response code: 404": "the server has no such file",
}
# reasons that are not about the bytes of the file, so another copy of it would not help
_SAYS_WHY = re.compile("no such file|does not exist|permission denied|too many open files|CRS", re.IGNORECASE)


@contextlib.contextmanager
def gdal_settings() -> Iterator[None]:
    """Apply the settings for reading to the present thread; errors pass unchanged."""
    with rasterio.Env(**_SETTINGS):
        yield


@contextlib.contextmanager
def reading(name: str, advice: str = "") -> Iterator[None]:
    """Apply the settings, and turn GDAL's errors into a RasterError that names the raster.

    Only calls that open a raster or read its pixels belong inside: the message says that the raster cannot be read.

    Args:
        name: The raster, as the user gives it.
        advice: What to do; empty for the usual causes.
    """
    try:
        with gdal_settings():
            yield
    except GDAL_ERRORS as error:
        reason = without_secrets(first_cause(error)).rstrip("!")
        advice = advice or _advice(name, reason)
        raise RasterError(f"cannot read {shown_name(name)}: {reason}{advice and '; '}{advice}") from error


def _advice(name: str, reason: str) -> str:
    """Say what to do about an error while reading; nothing where the reason says it."""
    for part, advice in _NETWORK_ADVICE.items():
        if part in reason:
            return advice
    if is_gdal_name(name):
        return "check the name, and the connection if it names a server"
    if _SAYS_WHY.search(reason):
        return ""
    return "the file is damaged or incomplete, so if it was copied or downloaded, do that again"


@contextlib.contextmanager
def without_georeference_warning() -> Iterator[None]:
    """Silence rasterio's warning about pictures without georeferencing; callers that need a place check themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
