"""What it takes to prepare one set, and how the files of a download are found."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from segearth_ov3.errors import DatasetError

from .crop_plans import CropPlan
from .pixels import LabelReader, Pixels

SPLITS = Path(__file__).resolve().parent / "splits"

_LEVELS = 3
_NAMED = 3
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")


class Pair(NamedTuple):
    """One image of a download with its label.

    Attributes:
        name: File name in the prepared set without suffix, sub-folders included; crops add where they lie.
        image, label: Files.
        later: Second image of a pair for change detection.
    """

    name: str
    image: Path
    label: Path
    later: Path | None = None


class Source(NamedTuple):
    """A download: the folder it was unpacked to, and whether a part of the set will do."""

    folder: Path
    partial: bool = False


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How one set is prepared.

    Attributes:
        find: Lists the pairs of a download; its docstring draws the layout that it expects. Raises DatasetError
            naming what is missing.
        read_label: Stored values of a label file; None: they are as they should be.
        read_image: Pixels of an image file; None: as 8-bit RGB. Files that need no reading are taken as they are.
        crops: How images are cut; None leaves them whole.
        lists: Whether the configuration reads a list of names, which is written.
        published: The same as the published converter does it, where that differs; how is said in `difference`.
        difference: What the published way does otherwise.
    """

    find: Callable[[Source], list[Pair]]
    read_label: LabelReader | None = None
    read_image: Callable[[Path], Pixels] | None = None
    crops: CropPlan | None = None
    lists: bool = False
    published: Recipe | None = None
    difference: str = ""


def locate(source: Source, *needs: str, parts: Sequence[Sequence[str]] = ()) -> Path:
    """Find the folder that contains what a set needs: the source itself, or one up to three levels below.

    Args:
        source: The download.
        needs: Paths below that folder.
        parts: Groups of further paths; all of them are needed, or one whole group where a part of the set will do.

    Raises:
        DatasetError: There is none; the message names what is missing where most was found, and archives beside it.
    """
    if not source.folder.is_dir():
        raise DatasetError(f"no such folder: {source.folder}; give the folder with the unpacked download by --src")
    wanted = [*needs, *itertools.chain.from_iterable(parts)]
    best, missing = source.folder, wanted
    level = [source.folder]
    for _ in range(_LEVELS + 1):
        for folder in level:
            here = [path for path in wanted if not (folder / path).exists()]
            has_part = any(set(part).isdisjoint(here) for part in parts)
            if not here or (source.partial and has_part and not set(needs) & set(here)):
                return folder
            if len(here) < len(missing):
                best, missing = folder, here
        level = [child for folder in level for child in sorted(folder.iterdir()) if child.is_dir()]
    archives = sorted(path.name for path in best.iterdir() if path.suffix.lower() in _ARCHIVES)
    hint = f"; unpack {_first(archives)}" if archives else ""
    raise DatasetError(f"no {' and no '.join(missing)} in {best} or {_LEVELS} levels below{hint}")


def list_files(folder: Path, suffix: str) -> dict[str, Path]:
    """Files with a suffix in a folder and its sub-folders, by their path within it without suffix."""
    found = (path for path in folder.rglob(f"*{suffix}") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix().removesuffix(suffix): path for path in sorted(found)}


def match(
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    source: Source,
    *,
    later: Mapping[str, Path] | None = None,
    ids: Iterable[str] | None = None,
) -> list[Pair]:
    """Pair files by name.

    Args:
        images, labels, later: Files by name.
        source: The download; where a part will do, incomplete pairs are left out.
        ids: Names of the evaluated part; None takes all images, and then labels without image are an error too.

    Raises:
        DatasetError: No image, or a file is missing; the message names up to three.
    """
    where = source.folder
    names = sorted(images) if ids is None else list(ids)
    kinds = {"image": images, "label": labels} | ({} if later is None else {"later image": later})
    if source.partial:
        names = [name for name in names if all(name in files for files in kinds.values())]
        ids = names
    if not names:
        raise DatasetError(f"no images in {where}; check that the download is complete and the suffixes as published")
    for kind, files in kinds.items():
        if missing := [name for name in names if name not in files]:
            raise DatasetError(f"{len(missing)} of {len(names)} {kind}s are missing in {where}: {_first(missing)}")
    if ids is None and (extra := sorted(set(labels) - set(names))):
        raise DatasetError(f"{len(extra)} labels in {where} have no image: {_first(extra)}")
    return [Pair(name, images[name], labels[name], None if later is None else later[name]) for name in names]


def renamed(files: Mapping[str, Path], pattern: str) -> dict[str, Path]:
    """Files whose whole name matches a regular expression, under its groups, joined by underscores."""
    found = ((re.fullmatch(pattern, name), path) for name, path in files.items())
    return {"_".join(matched.groups()): path for matched, path in found if matched}


def read_ids(path: Path) -> list[str]:
    """Lines of a list, without empty ones.

    Raises:
        DatasetError: There is no such list.
    """
    if not path.is_file():
        raise DatasetError(f"no list {path}; is the download complete?")
    return path.read_text(encoding="utf-8").split()


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
