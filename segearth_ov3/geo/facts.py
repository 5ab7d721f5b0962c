"""Facts by which a changed source is noticed: sizes, times and digests of all files that it is made of.

Digests read at most 24 MiB of a file: all of a small one, else its beginning, its end, and blocks spread over it. Where
no file is on this machine, they are of pixels from the middle of the scene.
"""

from __future__ import annotations

import hashlib
import os
import re
import xml.etree.ElementTree as Xml
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import RasterError
from .names import is_gdal_name, local_path, shown_name
from .ownership import TAG_PREFIX
from .reader import SceneReader

_BLOCK_BYTES = 2**17
_BLOCKS = 192
_SAMPLE_PX = 64
_METADATA_SUFFIX = ".aux.xml"


class FileFacts(NamedTuple):
    """What distinguishes a file from another one of the same name.

    Attributes:
        size: Bytes.
        time_ns: When its content was changed last.
        sha256: Digest of its content, or of samples of it.
    """

    size: int
    time_ns: int
    sha256: str


class SourceFacts(NamedTuple):
    """What distinguishes a scene from another one of the same name.

    Attributes:
        name: The scene's file name, without the secrets of a URL.
        files: Of each file on this machine.
        sha256: Of the contents of all of them, or of pixels where there are none.
    """

    name: str
    files: tuple[FileFacts, ...]
    sha256: str

    def settings(self) -> dict[str, Any]:
        """Return what an interrupted run compares before it resumes, in JSON types."""
        sizes, times, _ = zip(*self.files) if self.files else ((), (), ())
        return {
            "source": self.name,
            "source bytes": list(sizes),
            "source time": list(times),
            "source sha256": self.sha256,
        }

    def tags(self) -> dict[str, Any]:
        """Return what maps store about their scene; but for the name, it is the same for a copy of the scene."""
        facts = {"NAME": self.name, "BYTES": sum(file.size for file in self.files), "SHA256": self.sha256}
        return {f"{TAG_PREFIX}SOURCE_{key}": value for key, value in facts.items()}


def source_facts(reader: SceneReader) -> SourceFacts:
    """Collect the facts of an open scene, from its files as they are now.

    Raises:
        RasterError: A file is gone, or cannot be read.
    """
    profile = reader.profile
    paths = dict.fromkeys(path for name in profile.files if (path := _on_disk(name)) is not None)
    files = tuple(facts for path in paths if (facts := _facts_of(path)) is not None)
    digest = hashlib.sha256()
    for facts in files:
        digest.update(f"{facts.size} {facts.sha256}\n".encode())
    if not files:
        row, col = max(profile.height - _SAMPLE_PX, 0) // 2, max(profile.width - _SAMPLE_PX, 0) // 2
        tile = reader.read(row, col, _SAMPLE_PX, _SAMPLE_PX)
        digest.update(f"{profile.size} {profile.transform}".encode() + tile.image.tobytes() + tile.valid.tobytes())
    return SourceFacts(Path(shown_name(profile.path)).name, files, digest.hexdigest())


def check_unchanged(before: SourceFacts, reader: SceneReader) -> None:
    """Refuse a result whose scene was written while it was read.

    Raises:
        RasterError: The facts are not the same any more.
    """
    if source_facts(reader) != before:
        raise RasterError(
            f"{reader.profile.shown} was changed while it was read, so the result would be of two scenes and is not "
            f"written; segment it again when nothing writes to it"
        )


def _on_disk(name: str) -> Path | None:
    """The file on this machine that a name of GDAL's stands for: itself, or the archive that contains it."""
    path = Path(local_path(name))
    if not is_gdal_name(name) or path.is_file():
        return path
    inner = re.sub(r"^(/vsi\w+/)+", "/", name).replace("{", "").replace("}", "")
    return next((place for place in (Path(inner), *Path(inner).parents) if os.path.isfile(place)), None)


def _facts_of(path: Path) -> FileFacts | None:
    """Facts of a file; None for metadata that hold statistics only, which viewers write next to what they show."""
    if path.name.endswith(_METADATA_SUFFIX):
        content = _without_statistics(path)
        return None if content is None else FileFacts(len(content), 0, hashlib.sha256(content).hexdigest())
    try:
        status = path.stat()
        return FileFacts(status.st_size, status.st_mtime_ns, _digest(path, status.st_size))
    except OSError as error:
        raise RasterError(f"cannot read {path}: {error.strerror}") from error


def _digest(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for start in _block_starts(size):
            file.seek(start)
            digest.update(file.read(_BLOCK_BYTES))
    return digest.hexdigest()


def _block_starts(size: int) -> Iterable[int]:
    """Where the blocks of a digest begin: all blocks of a small file, else as many as allowed, spread evenly."""
    if size <= _BLOCKS * _BLOCK_BYTES:
        return range(0, max(size, 1), _BLOCK_BYTES)
    return [index * (size - _BLOCK_BYTES) // (_BLOCKS - 1) for index in range(_BLOCKS)]


def _without_statistics(path: Path) -> bytes | None:
    """A sidecar of GDAL without statistics and histograms; None if nothing else is in it, or if it is gone."""
    try:
        root = Xml.parse(path).getroot()
    except (OSError, Xml.ParseError):
        return path.read_bytes() if path.exists() else None
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == "Histograms" or (child.get("key") or "").startswith("STATISTICS_"):
                parent.remove(child)
    for _ in range(2):  # metadata that are empty now, then bands that are
        for parent in list(root.iter()):
            for child in [c for c in parent if c.tag in ("Metadata", "PAMRasterBand") and not len(c)]:
                parent.remove(child)
    return Xml.tostring(root) if len(root) else None
