"""Keep the counts of each image in a file during a run, so that an interrupted run can be resumed.

A record file has one line of JSON per image, below a line that describes the run. Each record carries a digest of that
description, so that a record of another run is refused wherever it stands, and a digest of sizes and times of the
image's files, so that an image that was changed is measured again. Counts are kept sparse, as an image has few
of the 171 classes that a vocabulary may have.
"""

from __future__ import annotations

import json
import os.path
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmseg.datasets import BaseSegDataset
from numpy.typing import NDArray

from ..atomic import complete_or_absent
from ..errors import DatasetWarning, OptionError
from ..metrics.confusion import IntArray
from ..metrics.provenance import settings_digest
from .workfolder import GO_ON

RECORDS = "records.jsonl"
_SHOWN = 3
_AGAIN = "--overwrite starts over"


class PixelCounts(NamedTuple):
    """A confusion matrix (C, C) or (C + 1, C) of which few entries are not 0.

    Attributes:
        classes: C.
        positions: Of the entries in the flattened matrix.
        counts: Pixels there.
    """

    classes: int
    positions: IntArray
    counts: IntArray

    @classmethod
    def of(cls, confusion: IntArray) -> PixelCounts:
        """From a matrix (C, C) or (C + 1, C)."""
        positions = np.flatnonzero(confusion)
        return cls(confusion.shape[1], positions, confusion.ravel()[positions])

    def dense(self) -> IntArray:
        """Return the matrix (C, C), without the row of pixels of no class."""
        flat = np.zeros((self.classes + 1) * self.classes, dtype=np.int64)
        flat[self.positions] = self.counts
        return flat.reshape(self.classes + 1, self.classes)[: self.classes]


class ImageRecord(NamedTuple):
    """What was measured of one image, for K variants; an evaluation without variants has K = 1.

    Attributes:
        image: Name, unique in the set.
        counts: Of each variant (K); None for a variant that has failed, on this image or before.
        seconds: What each variant would have taken alone (K); None if not measured.
        total_seconds: What all took together; None if not measured.
        diagnostics: (K, 3) as in `TokenDiagnostics`, NaN where undefined; None if not measured.
        failures: Why variants have failed, by name.
    """

    image: str
    counts: tuple[PixelCounts | None, ...]
    seconds: list[float | None]
    total_seconds: float | None = None
    diagnostics: NDArray[np.float64] | None = None
    failures: Mapping[str, str] = {}

    def confusion(self, variant: int = 0) -> IntArray:
        """Confusion matrix (C, C) of a variant that has not failed; rows are labels."""
        counts = self.counts[variant]
        assert counts is not None
        return counts.dense()


def image_name(dataset: BaseSegDataset, path: str) -> str:
    """Name of an image below its dataset's image folder, sub-folders included."""
    return os.path.relpath(path, dataset.data_prefix.get("img_path") or "")


def image_names(dataset: BaseSegDataset) -> list[str]:
    """Names of all images, in order."""
    return [image_name(dataset, dataset.get_data_info(index)["img_path"]) for index in range(len(dataset))]


def image_files(dataset: BaseSegDataset) -> dict[str, str]:
    """Digest of sizes and times of the files of each image, labels and later images included, by the image's name."""
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return {image_name(dataset, info["img_path"]): settings_digest({"files": _sizes_and_times(info)}) for info in infos}


def input_paths(info: Mapping[str, Any]) -> dict[str, str]:
    """The files that a dataset's entry names, by what they are to mmseg."""
    return {key: info[key] for key in ("img_path", "img_path2", "seg_map_path") if info.get(key)}


def _sizes_and_times(info: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """Of the files that a dataset's entry names; files that are generated when they are read have none."""
    found = [(key, os.stat(path)) for key, path in input_paths(info).items() if os.path.exists(path)]
    return [(key, status.st_size, status.st_mtime_ns) for key, status in found]


def sum_confusions(records: Sequence[ImageRecord], num_classes: int) -> IntArray:
    """Confusion matrix of the first variant over all images: (C, C), or (C + 1, C) where labels are of no class."""
    total = np.zeros((num_classes + 1) * num_classes, dtype=np.int64)
    for record in records:
        counts = record.counts[0]
        assert counts is not None  # an evaluation without variants has none that fails
        total[counts.positions] += counts.counts
    matrix = total.reshape(num_classes + 1, num_classes)
    return matrix if matrix[num_classes].any() else matrix[:num_classes]


class RecordFile:
    """Records of images, one line of JSON each, below a line that says what they are records of.

    Args:
        path: The file; created by the first record.
        subject: Everything the records depend on, in plain JSON types.
        classes: Number of classes C.
        files: Digests of the images' files as `image_files` returns them; a record with another one is left out.

    Raises:
        OptionError: The file holds records of another run, and the message names the difference or the line; or a
            line is damaged. An incomplete last line, which an interruption leaves, is dropped.
    """

    def __init__(
        self, path: Path, subject: Mapping[str, Any], classes: int, files: Mapping[str, str] | None = None
    ) -> None:
        self._path = path
        self._files = files or {}
        self._classes = classes
        self._subject = json.loads(json.dumps(subject))
        self._run = settings_digest(self._subject)
        self.records: dict[str, ImageRecord] = {}
        if path.exists():
            self._read()

    def add(self, record: ImageRecord) -> None:
        """Append a record and hand it to the operating system, so that it outlives this process.

        Raises:
            OptionError: The file cannot be written; the records before are kept.
        """
        header = "" if self._path.exists() else json.dumps(self._subject) + "\n"
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(header + _to_line(record, self._run, self._files.get(record.image)))
        except OSError as error:
            raise OptionError(
                f"cannot write {self._path}: {error.strerror}; the {len(self.records)} images before are kept: {GO_ON}"
            ) from error
        self.records[record.image] = record

    def take_in(self, other: RecordFile) -> None:
        """Append the records of another file that are not here yet, and remove it."""
        for name, record in other.records.items():
            if name not in self.records:
                self.add(record)
        other._path.unlink(missing_ok=True)

    def _read(self) -> None:
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]  # a line that was cut off does not count
        if not whole:
            self._path.unlink()
            return
        header, *lines = whole.splitlines()
        self._check_subject(header)
        changed = set()
        for number, line in enumerate(lines, start=2):
            record, files = self._parse(line, number)
            if files == self._files.get(record.image):
                self.records[record.image] = record
                changed.discard(record.image)
            else:
                changed.add(record.image)
        if changed:
            warnings.warn(
                f"{self._path}: images or labels were changed after they were measured, and are measured again: "
                f"{', '.join(sorted(changed)[:_SHOWN])}"
                + f" and {len(changed) - _SHOWN} more"
                * (len(changed) > _SHOWN),
                DatasetWarning,
                stacklevel=3,
            )
        if whole != content:
            with complete_or_absent(self._path) as partial:
                partial.write_bytes(whole)

    def _check_subject(self, header: bytes) -> None:
        try:
            found = json.loads(header)
        except ValueError as error:
            raise OptionError(f"{self._path}, line 1 is damaged ({error}); {_AGAIN}") from error
        if found != self._subject:
            different = list(differences(found, self._subject))
            more = f" and {len(different) - _SHOWN} more" * (len(different) > _SHOWN)
            raise OptionError(
                f"{self._path} holds another run, different in {'; '.join(different[:_SHOWN])}{more}; "
                f"give another --out, or start over with --overwrite"
            )

    def _parse(self, line: bytes, number: int) -> tuple[ImageRecord, str | None]:
        """Read the record of a line, and the digest of its files; a record of another run, or none, is refused."""
        where = f"{self._path}, line {number}"
        try:
            fields = json.loads(line)
            run, files = fields.pop("run", None), fields.pop("files", None)
            record = _from_fields(fields, self._classes)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise OptionError(f"{where} is damaged ({error}); remove the line, or {_AGAIN}") from error
        if run != self._run:
            raise OptionError(
                f"{where} is a record of another run (settings {run}, expected {self._run}), so the file is a mixture; "
                f"{_AGAIN}"
            )
        return record, files


def differences(found: Any, wanted: Any, key: str = "") -> Iterator[str]:
    """Name what differs between two structures of plain JSON types: "model.window (512 there, None here)"."""
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        pairs = [(name, found.get(name), wanted.get(name)) for name in {**found, **wanted}]
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(found, wanted))]
    else:
        if found != wanted:
            yield f"{key} ({_short(found)} there, {_short(wanted)} here)"
        return
    for name, one, other in pairs:
        yield from differences(one, other, f"{key}.{name}" if key else name)


def _short(value: Any) -> str:
    """A value for a message; structures by their size."""
    return f"{len(value)} entries" if isinstance(value, (list, Mapping)) else str(value)


def _to_line(record: ImageRecord, run: str, files: str | None) -> str:
    counts = [each and [each.positions.tolist(), each.counts.tolist()] for each in record.counts]
    diagnostics = None
    if record.diagnostics is not None:
        diagnostics = [[None if np.isnan(x) else x for x in row] for row in record.diagnostics.tolist()]
    fields = {**record._asdict(), "counts": counts, "diagnostics": diagnostics, "run": run, "files": files}
    return json.dumps(fields) + "\n"


def _counts_from(pair: Sequence[Sequence[int]], classes: int) -> PixelCounts:
    positions, counts = (np.array(each, dtype=np.int64) for each in pair)
    inside = positions.size == 0 or 0 <= positions.min() <= positions.max() < (classes + 1) * classes
    if positions.shape != counts.shape or not inside:
        raise ValueError(f"expected counts of {classes} classes")
    return PixelCounts(classes, positions, counts)


def _from_fields(fields: dict[str, Any], classes: int) -> ImageRecord:
    diagnostics = fields["diagnostics"]
    if diagnostics is not None:
        diagnostics = np.array(diagnostics, dtype=np.float64)
    counts = tuple(pair and _counts_from(pair, classes) for pair in fields["counts"])
    return ImageRecord(**{**fields, "counts": counts, "diagnostics": diagnostics})
