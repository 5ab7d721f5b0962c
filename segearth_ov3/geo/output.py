"""Output files: checked before the work starts, and under their final name only when they are complete."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rasterio._err import CPLE_BaseError
from rasterio.errors import CRSError, RasterioError

from ..atomic import complete_or_absent
from ..errors import RasterError
from .ownership import Overwrite, check_replaceable

# some calls of rasterio let GDAL's own class through, which has no public name
GDAL_ERRORS = (RasterioError, CRSError, CPLE_BaseError)

GEOTIFF_SUFFIXES = (".tif", ".tiff")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")

# files that GDAL reads together with a raster of the same name
_SIDECARS = (".aux.xml", ".msk", ".ovr")


def check_destination(
    path: str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    overwrite: Overwrite = False,
    suffixes: Sequence[str] = GEOTIFF_SUFFIXES,
) -> Path:
    """Make sure that a file can be written, before any computing.

    Args:
        path: The file to be written.
        source: The file that is read, which must not be replaced.
        overwrite: Whether an existing output of this tool may be replaced; "force": any existing file.
        suffixes: File name endings that fit the format, in lower case.

    Returns:
        `path`.

    Raises:
        RasterError: Wrong ending, missing or read-only folder, `path` is a folder or the source itself, or it (or a
            file that GDAL would take as part of it) exists and `overwrite` does not allow to replace it.
    """
    target = Path(path)
    if target.suffix.lower() not in suffixes:
        raise RasterError(f"cannot write {target}: expected a name that ends with {' or '.join(suffixes)}")
    if not target.parent.is_dir():
        raise RasterError(f"cannot write {target}: the folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise RasterError(f"cannot write {target}: it is a folder; give a file name in it")
    if target.resolve() == Path(source).resolve():
        raise RasterError(
            f"cannot write {target}: it is the source image, which is never replaced; choose another name"
        )
    if not os.access(target.parent, os.W_OK):
        raise RasterError(f"cannot write {target}: no permission to write in the folder {target.parent}")
    present = [file for file in (target, *_sidecars(target)) if file.exists()]
    if present and not overwrite:
        raise RasterError(f"cannot write {target}: {present[0]} exists; use --overwrite (overwrite=True) to replace it")
    check_replaceable(target, overwrite)
    return target


@contextlib.contextmanager
def replace_when_complete(target: Path) -> Iterator[Path]:
    """Lend a name to write to; when the block ends without an error the file takes its final name in one step.

    As `atomic.complete_or_absent`, and files that GDAL writes along with a raster come along too; such files of a
    raster that is replaced are removed.

    Args:
        target: Final path, in an existing folder.

    Yields:
        The path to write to, with the same file name.

    Raises:
        RasterError: The operating system or GDAL reported an error while writing.
    """
    try:
        with complete_or_absent(target) as partial:
            yield partial
            for old, new in zip(_sidecars(target), _sidecars(partial)):
                if new.exists():
                    os.replace(new, old)
                else:
                    old.unlink(missing_ok=True)
    except (OSError, *GDAL_ERRORS) as error:
        reason = getattr(error, "strerror", None) or first_cause(error)
        raise RasterError(f"cannot write {target}: {reason}; is the disk full, or the folder not writable?") from error


def first_cause(error: BaseException) -> str:
    """What GDAL or the operating system said at the root of a chain of errors, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()).rstrip(".")


def _sidecars(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in _SIDECARS]
