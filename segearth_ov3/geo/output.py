"""Output files: checked before the work starts, and under their final name only when they are complete."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from rasterio._err import CPLE_BaseError
from rasterio.errors import CRSError, RasterioError

from ..atomic import complete_or_absent, partial_prefix
from ..errors import RasterError
from .names import shown_name
from .ownership import Overwrite, check_replaceable

# some calls of rasterio let GDAL's own class through, which has no public name
GDAL_ERRORS = (RasterioError, CRSError, CPLE_BaseError)

GEOTIFF_SUFFIXES = (".tif", ".tiff")
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")

# files that GDAL reads together with a raster of the same name
_SIDECARS = (".aux.xml", ".msk", ".ovr")

# GDAL's names for a file on disk, or for a part of one: an archive, a range of bytes, a cached copy
_VIRTUAL = re.compile(r"/vsi(zip|tar|gzip|7z|rar|sparse)/|/vsisubfile/[^,]*,|/vsicached\?(.*&)?file=")

_FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
_FULL_DISK_BYTES = 2**20  # free bytes below which an incomplete file is taken as the work of a full disk


def check_destination(
    path: str | os.PathLike[str],
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    overwrite: Overwrite = False,
    suffixes: Sequence[str] = GEOTIFF_SUFFIXES,
) -> Path:
    """Make sure that a file can be written, before any computing.

    Args:
        path: The file to be written.
        sources: The file that is read, or all of them as `sources.source_files` lists them; none may be replaced.
        overwrite: Whether an existing output of this tool may be replaced; "force": any existing file.
        suffixes: File name endings that fit the format, in lower case.

    Returns:
        `path`.

    Raises:
        RasterError: Wrong ending; the folder is missing or cannot be written to; `path` is a folder; it (or a file that
            GDAL would take as part of it) is one of `sources`, or exists and `overwrite` does not allow to replace it.
    """
    target = Path(path)
    if target.suffix.lower() not in suffixes:
        raise RasterError(f"cannot write {target}: expected a name that ends with {' or '.join(suffixes)}")
    if not target.parent.is_dir():
        raise RasterError(f"cannot write {target}: the folder {target.parent} does not exist; create it first")
    if not os.access(target.parent, os.W_OK):
        raise RasterError(f"cannot write {target}: no permission to write in the folder {target.parent}")
    _try_to_write(target)
    if target.is_dir():
        raise RasterError(f"cannot write {target}: it is a folder; give a file name in it")
    _check_not_source(target, (sources,) if isinstance(sources, (str, os.PathLike)) else sources)
    present = [file for file in (target, *_sidecars(target)) if file.exists()]
    if present and not overwrite:
        raise RasterError(f"cannot write {target}: {present[0]} exists; use --overwrite (overwrite=True) to replace it")
    check_replaceable(target, overwrite)
    return target


def _check_not_source(target: Path, sources: Sequence[str | os.PathLike[str]]) -> None:
    """Refuse a target whose writing would replace or remove a file of the source."""
    files = [target, *_sidecars(target)]
    by_path = {os.path.realpath(file): file for file in files}
    by_identity = {_identity(file): file for file in files if file.is_file()}
    for number, source in enumerate(sources):
        for read in _files_on_disk(os.fspath(source)):
            file = by_path.get(os.path.realpath(read))
            if file is None and by_identity and read.is_file():  # another name of it, or a link to it
                file = by_identity.get(_identity(read))
            if file is not None:
                part = "the source image" if number == 0 and file == target else f"part of {shown_name(sources[0])}"
                name = "it" if file == target else f"{file}, which would be removed,"
                raise RasterError(
                    f"cannot write {target}: {name} is {part}, which is never replaced; choose another name"
                )


def _files_on_disk(name: str) -> list[Path]:
    """The files that a name of GDAL's may stand for: itself, or the archive or file that contains it."""
    is_virtual = False
    while (match := _VIRTUAL.match(name)) is not None:
        name, is_virtual = name[match.end() :].lstrip("{"), True
    path = Path(name.replace("}", "") if is_virtual else name)
    return [path, *path.parents] if is_virtual else [path]


def _identity(file: Path) -> tuple[int, int]:
    """Device and number of an existing file: the same for all its names, also where letter case does not matter."""
    status = file.stat()
    return status.st_dev, status.st_ino


def _try_to_write(target: Path) -> None:
    """Make and remove what `complete_or_absent` needs: shares, quotas and long names answer only to the attempt.

    Raises:
        RasterError: The operating system refuses.
    """
    try:
        os.fspath(target).encode()  # GDAL knows no other names
        os.rmdir(tempfile.mkdtemp(prefix=partial_prefix(target), suffix=".partial", dir=target.parent))
    except UnicodeEncodeError as error:
        raise RasterError(f"cannot write {str(target)!a}: expected a name in UTF-8; choose another name") from error
    except OSError as error:
        raise RasterError(f"cannot write {target}: {explain(error, target.parent)}") from error


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
        RasterError: The operating system or GDAL reported an error while writing. The message gives its cause and the
            final name.
    """
    partial = target
    try:
        with complete_or_absent(target) as partial:
            yield partial
            for old, new in zip(_sidecars(target), _sidecars(partial)):
                if new.exists():
                    os.replace(new, old)
                else:
                    old.unlink(missing_ok=True)
    except (OSError, *GDAL_ERRORS) as error:
        raise RasterError(
            with_final_name(f"cannot write {target}: {explain(error, target.parent)}", partial)
        ) from error


def with_final_name(message: str, partial: Path) -> str:
    """A message in which files of the temporary folder of `partial` have the name of the file that is written."""
    folder = re.escape(str(partial.parent) + os.sep)
    return re.sub(rf"{folder}[^\s'\"`:,;]*", str(partial.parent.parent / partial.name).replace("\\", r"\\"), message)


def explain(error: BaseException, folder: Path) -> str:
    """The cause of an error while writing to a folder, with advice where the disk is known to be full."""
    code = getattr(error, "errno", None)
    reason = getattr(error, "strerror", None) or first_cause(error)
    if code in _FULL_DISK or re.search("no space left|disk is full|quota exceeded", reason, re.IGNORECASE):
        return f"{reason}; make room in {folder} and try again"
    return reason + disk_full_hint(folder)


def disk_full_hint(folder: Path) -> str:
    """What to add to a message about an incomplete file: a sentence if the disk of a folder is full, else nothing."""
    free = shutil.disk_usage(folder).free
    return f"; the disk of {folder} is full, make room and try again" if free < _FULL_DISK_BYTES else ""


def first_cause(error: BaseException) -> str:
    """What GDAL or the operating system said at the root of a chain of errors, on one line and without PROJ's JSON."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = re.sub(r"[\s']*\{[^{]*\"\$schema\".*", " …", " ".join(str(error).split()))
    return text.rstrip(".")


def _sidecars(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in _SIDECARS]
