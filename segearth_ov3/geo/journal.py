"""Finished rows of a scene on disk, from which an interrupted run goes on.

A folder beside the result, `.classes.tif.partial`, holds `settings.json` (what the rows depend on) and `rows`: one
record after the other, each compressed and with a checksum. A record is added only when it is complete and is on the
disk before the next one begins, so whatever ends a run, all records but the last are whole; the last one is dropped if
it is not. The maps are made of the records in one pass at the end. An interrupted run and an uninterrupted one thus
write the same bytes.

A record belongs to a strip of columns and a band of rows, and holds one array for each layer (labels, scores, ...).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import RasterError
from .identity import name_differences

try:
    import fcntl
except ImportError:  # Windows has none; there, two runs with one destination are not told apart
    fcntl = None  # type: ignore[assignment]

BAND_ROWS = 256

_HEADER = struct.Struct("<4sIIIQ")  # magic, strip, band, checksum, length
_MAGIC = b"rows"
_LEVEL = 1  # of compression: labels become small at any level


class Layer(NamedTuple):
    """One of the arrays of a record.

    Attributes:
        dtype: Its type.
        bands: Its first axis: 1 for labels, C for scores.
    """

    dtype: str
    bands: int


class ColumnRange(Protocol):
    """Columns of a strip: the first, and the one after the last."""

    @property
    def start(self) -> int:
        """The first."""

    @property
    def stop(self) -> int:
        """The one after the last."""


class Journal:
    """Records of finished rows.

    Args:
        folder: Where they are, `partial_folder(destination)`.
        layers: The arrays of every record, by name.
        size: Height and width of the scene.
        strips: Columns of each strip.
    """

    def __init__(
        self, folder: Path, layers: Mapping[str, Layer], size: tuple[int, int], strips: Sequence[ColumnRange]
    ) -> None:
        self.folder = folder
        self.layers = dict(layers)
        self._size = size
        self._strips = strips
        self._places: dict[tuple[int, int], tuple[int, int]] = {}  # (strip, band): offset and length
        self._file = (folder / "rows").open("a+b")
        self._scan()

    @property
    def bands(self) -> int:
        """Number of bands of rows, the last of which may be lower."""
        return -(-self._size[0] // BAND_ROWS)

    def rows_of(self, band: int) -> tuple[int, int]:
        """First row of a band, and the one after its last."""
        return band * BAND_ROWS, min((band + 1) * BAND_ROWS, self._size[0])

    def finished_rows(self, strip: int) -> int:
        """How many rows of a strip, from the top, are there already."""
        band = 0
        while (strip, band) in self._places:
            band += 1
        return min(band * BAND_ROWS, self._size[0])

    def add(self, strip: int, band: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Add a record, one array (bands, rows, columns) for each layer, and return when it is on the disk.

        Raises:
            RasterError: It cannot be written, for example because the disk is full.
        """
        raw = b"".join(np.ascontiguousarray(arrays[name], layer.dtype).tobytes() for name, layer in self.layers.items())
        content = zlib.compress(raw, _LEVEL)
        with _as_raster_error(self.folder):
            offset = self._file.seek(0, os.SEEK_END)
            self._file.write(_HEADER.pack(_MAGIC, strip, band, _checksum(strip, band, content), len(content)))
            self._file.write(content)
            self._file.flush()
            os.fsync(self._file.fileno())
        self._places[strip, band] = offset + _HEADER.size, len(content)

    def read(self, band: int) -> dict[str, np.ndarray]:
        """All strips of a band of rows side by side: for each layer (bands, rows, W0)."""
        start, stop = self.rows_of(band)
        whole = {
            name: np.empty((layer.bands, stop - start, self._size[1]), layer.dtype)
            for name, layer in self.layers.items()
        }
        for strip, columns in enumerate(self._strips):
            left, right = columns.start, columns.stop
            offset, length = self._places[strip, band]
            self._file.seek(offset)
            raw = zlib.decompress(self._file.read(length))
            position = 0
            for name, layer in self.layers.items():
                shape = layer.bands, stop - start, right - left
                count = int(np.prod(shape))
                whole[name][..., left:right] = np.frombuffer(raw, layer.dtype, count, position).reshape(shape)
                position += count * np.dtype(layer.dtype).itemsize
        return whole

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _scan(self) -> None:
        """Find all whole records, and cut off what follows them."""
        end = offset = self._file.seek(0)
        total = os.fstat(self._file.fileno()).st_size
        while offset + _HEADER.size <= total:
            magic, strip, band, checksum, length = _HEADER.unpack(self._file.read(_HEADER.size))
            offset += _HEADER.size
            if magic != _MAGIC or offset + length > total:
                break
            if _checksum(strip, band, self._file.read(length)) != checksum:
                break
            self._places[strip, band] = offset, length
            offset += length
            end = offset
        self._file.truncate(end)


def _checksum(strip: int, band: int, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(struct.pack("<II", strip, band)))


def partial_folder(destination: Path) -> Path:
    """Where unfinished work for a destination is kept."""
    return destination.with_name(f".{destination.name}.partial")


@contextlib.contextmanager
def open_journal(
    destination: Path,
    settings: Mapping[str, Any],
    layers: Mapping[str, Layer],
    size: tuple[int, int],
    strips: Sequence[ColumnRange],
    *,
    resume: bool = False,
    overwrite: bool = False,
) -> Iterator[Journal]:
    """Begin or go on with the records for a destination; they are removed when the block ends without an error.

    If it ends with an error they stay, unless there are none.

    Args:
        destination: The class map.
        settings: Everything that the rows depend on, in JSON types.
        layers, size, strips: As of `Journal`.
        resume: Go on with records that are there.
        overwrite: Drop records that are there.

    Yields:
        The records.

    Raises:
        RasterError: There is unfinished work and neither `resume` nor `overwrite` is set; it was done with other
            settings (the message names the differences); another process is at it; or it cannot be written.
    """
    folder = partial_folder(destination)
    wanted = json.loads(json.dumps(settings))
    found = _read_settings(folder)
    if found is not None and not (resume or overwrite):
        raise RasterError(
            f"{destination}: an interrupted run left its finished rows in {folder}; go on with --resume "
            f"(resume=True), or start anew with --overwrite (overwrite=True)"
        )
    if found is not None and resume:
        check_same_settings(found, wanted, destination)
    with contextlib.ExitStack() as stack:
        with _as_raster_error(folder):
            folder.mkdir(exist_ok=True)
            stack.enter_context(_locked(folder, destination))
            if found is None or not resume:
                (folder / "rows").unlink(missing_ok=True)
                (folder / "settings.json").write_text(json.dumps(wanted, ensure_ascii=False), encoding="utf-8")
            journal = stack.enter_context(contextlib.closing(Journal(folder, layers, size, strips)))
        try:
            yield journal
        except BaseException:
            if not any(journal.finished_rows(strip) for strip in range(len(strips))):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


def check_same_settings(found: Mapping[str, Any], wanted: Mapping[str, Any], destination: Path) -> None:
    """Refuse to go on with rows that were made otherwise.

    Raises:
        RasterError: A setting differs; the message names each with both values.
    """
    if differences := name_differences(found, wanted):
        raise RasterError(
            f"{destination}: cannot resume, because the interrupted run had other settings: {differences}; "
            f"repeat them, or start again with --overwrite"
        )


def _read_settings(folder: Path) -> dict[str, Any] | None:
    """What the rows in a folder depend on; None where nothing usable is there."""
    try:
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return settings if isinstance(settings, dict) else None


@contextlib.contextmanager
def _locked(folder: Path, destination: Path) -> Iterator[None]:
    """Keep other processes away; the system lifts the lock even if this process is killed."""
    with (folder / "lock").open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RasterError(f"{destination}: another process is working on it; wait for it to end") from error
        yield


@contextlib.contextmanager
def _as_raster_error(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RasterError(
            f"cannot write to {folder}: {error.strerror or error}; what is finished is kept, so make room and go on "
            f"with --resume"
        ) from error
