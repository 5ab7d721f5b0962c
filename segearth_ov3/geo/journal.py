"""Finished rows of a scene on disk, from which an interrupted run resumes.

One file, `rows`, holds one record after the other, each compressed and with a checksum. A record is added only when it
is complete and is on the disk before the next one begins, so however a run ends, all records but the last are whole;
the last one is dropped if it is not. The maps are made of the records in one pass at the end, so an interrupted run and
an uninterrupted one write the same bytes.

A record belongs to a strip of columns and a band of rows, and holds one array for each layer (labels, scores, ...).
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from ..errors import RasterError

BAND_ROWS = 256

_HEADER = struct.Struct("<4sIIIQ")  # magic, strip, band, checksum, length
_MAGIC = b"rows"
_LEVEL = 1  # of compression: labels become small at any level
ROWS_NAME = "rows"


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

    Attributes:
        warning: What is wrong with records that were found, or None.
    """

    def __init__(
        self, folder: Path, layers: Mapping[str, Layer], size: tuple[int, int], strips: Sequence[ColumnRange]
    ) -> None:
        self.folder = folder
        self.layers = dict(layers)
        self._size = size
        self._strips = strips
        self._places: dict[tuple[int, int], tuple[int, int]] = {}  # (strip, band): offset and length
        self._is_worthless = False
        self.warning: str | None = None
        # without a buffer, so that closing a file on a full disk has nothing left to write
        self._file = (folder / ROWS_NAME).open("a+b", buffering=0)
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
        record = _HEADER.pack(_MAGIC, strip, band, _checksum(strip, band, content), len(content)) + content
        with as_raster_error(self.folder):
            offset = self._file.seek(0, os.SEEK_END)
            written = 0
            while written < len(record):
                written += self._file.write(memoryview(record)[written:])
            os.fsync(self._file.fileno())
        self._places[strip, band] = offset + _HEADER.size, len(content)

    def read(self, band: int) -> dict[str, np.ndarray]:
        """Return all strips of a band of rows side by side: for each layer (bands, rows, W0).

        Raises:
            RasterError: A record was damaged after it had been found whole.
        """
        start, stop = self.rows_of(band)
        whole = {
            name: np.empty((layer.bands, stop - start, self._size[1]), layer.dtype)
            for name, layer in self.layers.items()
        }
        for strip, columns in enumerate(self._strips):
            left, right = columns.start, columns.stop
            shapes = {name: (layer.bands, stop - start, right - left) for name, layer in self.layers.items()}
            sizes = {n: int(np.prod(shapes[n])) * np.dtype(layer.dtype).itemsize for n, layer in self.layers.items()}
            raw, position = self._content(strip, band, sum(sizes.values())), 0
            for name, layer in self.layers.items():
                part = raw[position : position + sizes[name]]
                whole[name][..., left:right] = np.frombuffer(part, layer.dtype).reshape(shapes[name])
                position += sizes[name]
        return whole

    def discard(self) -> None:
        """Remove the records when the journal is closed, because they are of no use to a later run."""
        self._is_worthless = True

    @property
    def is_worth_keeping(self) -> bool:
        """Whether a later run can resume from the records."""
        return not self._is_worthless and any(self.finished_rows(strip) for strip in range(len(self._strips)))

    def _content(self, strip: int, band: int, size: int) -> bytes:
        """Uncompressed content of a record, which has to be as long as its layers need."""
        offset, length = self._places[strip, band]
        self._file.seek(offset)
        try:
            content = zlib.decompressobj().decompress(self._file.read(length), size + 1)
        except zlib.error:
            content = b""
        if len(content) != size:
            raise damage(self.folder / ROWS_NAME, f"record of strip {strip}, band {band}")
        return content

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _scan(self) -> None:
        """Find all whole records, and cut off what follows them: an incomplete record is no damage."""
        end = offset = self._file.seek(0)
        total = os.fstat(self._file.fileno()).st_size
        is_damaged = False
        while offset + _HEADER.size <= total:
            magic, strip, band, checksum, length = _HEADER.unpack(self._file.read(_HEADER.size))
            offset += _HEADER.size
            if magic == _MAGIC and offset + length > total:
                break
            is_damaged = magic != _MAGIC or _checksum(strip, band, self._file.read(length)) != checksum
            if is_damaged:
                break
            self._places[strip, band] = offset, length
            offset += length
            end = offset
        if is_damaged:
            self.warning = (
                f"{self.folder / ROWS_NAME} is damaged after {end} of {total} bytes; rows from there are computed again"
            )
        self._file.truncate(end)


def _checksum(strip: int, band: int, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(struct.pack("<II", strip, band)))


def damage(path: Path, what: str) -> RasterError:
    """Make the error about a file of the journal that cannot be used."""
    return RasterError(f"{path} is damaged ({what}), so its rows cannot be used; start again with --overwrite")


@contextlib.contextmanager
def as_raster_error(folder: Path) -> Iterator[None]:
    """Turn the errors of the operating system while writing to the folder into a RasterError."""
    try:
        yield
    except OSError as error:
        raise RasterError(
            f"cannot write to {folder}: {error.strerror or error}; finished rows are kept, so make room and "
            f"continue with --resume"
        ) from error
