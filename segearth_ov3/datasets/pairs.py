"""Pair images with labels: by their names in folders or patterns, or by a CSV of pairs.

images/tile_1.tif     labels/tile_1.png        folders: equal paths without suffix, sub-folders included
"tiles/*_rgb.tif"     "tiles/*_mask.tif"       patterns: equal text in the place of the wildcards
pairs.csv                                      columns image and label; paths relative to the file's folder
"""

from __future__ import annotations

import csv
import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DatasetError

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")

_NAMED = 3
_WILDCARDS = re.compile(r"(\*\*/|\*+|\?|\[[^]]*\])")


class Pair(NamedTuple):
    """An image and its label."""

    image: Path
    label: Path


def find_pairs(images: str | Path, labels: str | Path | None = None) -> list[Pair]:
    """Find the pairs of an evaluation.

    Args:
        images: Folder, pattern or file of images; or, without `labels`, a CSV file with the columns image and label.
        labels: Folder, pattern or file of labels.

    Returns:
        The pairs, ordered by name, or as in the CSV file; at least one, and no image twice.

    Raises:
        DatasetError: There are no images, an image has no label or a label no image, several files have one name, or
            the CSV file cannot be used; one line that names up to three files.
    """
    if labels is None:
        return _read_csv(Path(images))
    by_name, labels_by_name = (_by_name(str(source), kind) for source, kind in ((images, "images"), (labels, "labels")))
    if Path(images).is_file() and Path(labels).is_file():
        return [Pair(Path(images), Path(labels))]
    remedy = "; equal names without suffix belong together, other pairs go into a CSV file with columns image,label"
    if missing := [path for name, path in by_name.items() if name not in labels_by_name]:
        raise DatasetError(
            f"{len(missing)} of {len(by_name)} images have no label in {labels}: {_first(missing)}{remedy}"
        )
    if extra := [path for name, path in labels_by_name.items() if name not in by_name]:
        raise DatasetError(f"{len(extra)} labels have no image in {images}: {_first(extra)}{remedy}")
    return _distinct([Pair(path, labels_by_name[name]) for name, path in by_name.items()], str(images))


def common_folder(paths: Iterable[Path]) -> Path:
    """Return the deepest folder that contains all files, as an absolute path."""
    return Path(os.path.commonpath([path.absolute().parent for path in paths]))


def _by_name(source: str, kind: str) -> dict[str, Path]:
    """Image files of a folder or pattern, by what of their name makes the pair."""
    if Path(source).is_dir():
        found = {path: path.relative_to(source).with_suffix("").as_posix() for path in Path(source).rglob("*")}
    elif Path(source).is_file():
        found = {Path(source): Path(source).stem}
    elif glob.has_magic(source):
        found = {Path(path): _filled(source, path) for path in glob.iglob(source, recursive=True)}
    else:
        raise DatasetError(f"no such folder or file of {kind}: {source}")
    by_name: dict[str, Path] = {}
    for path, name in sorted(found.items()):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        if name in by_name:
            raise DatasetError(
                f"two {kind} have one name, {by_name[name]} and {path}; keep one, or give pairs in a CSV file"
            )
        by_name[name] = path
    if not by_name:
        raise DatasetError(f"no {kind} in {source}; expected files that end with {', '.join(SUFFIXES)}")
    return by_name


def _filled(pattern: str, path: str) -> str:
    """Return what stands in a path in the place of the wildcards of a pattern, suffixes apart."""
    folder, _, name = pattern.replace("\\", "/").rpartition("/")
    stem = name.rpartition(".")[0] or name
    parts = _WILDCARDS.split(f"{folder}/{stem}" if folder else stem)
    places = {"**/": "((?:.*/)?)", "?": "([^/])"}
    regex = "".join(
        (places.get(part) or (f"({part.replace('[!', '[^')})" if part.startswith("[") else "([^/]*)"))
        if index % 2
        else re.escape(part)
        for index, part in enumerate(parts)
    )
    found = re.fullmatch(regex, Path(path).with_suffix("").as_posix())
    return "/".join(found.groups()) if found else Path(path).stem


def _read_csv(path: Path) -> list[Pair]:
    """Read pairs from a table."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, skipinitialspace=True)
            columns = [name.strip().lower() for name in table.fieldnames or ()]
            table.fieldnames = columns
            if not {"image", "label"} <= set(columns):
                raise DatasetError(f"{path}: expected the columns image and label, got {', '.join(columns) or 'none'}")
            rows = [(table.line_num, row) for row in table]
    except OSError as error:
        raise DatasetError(f"cannot read the pairs in {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path}: expected a CSV file in UTF-8 with the columns image and label") from error
    pairs = []
    for line, row in rows:
        files = [path.parent / (row[column] or "").strip() for column in ("image", "label")]
        for column, named in zip(("image", "label"), files):
            if not named.is_file():
                raise DatasetError(f"{path}, line {line}: no such {column}: {named}")
        pairs.append(Pair(*files))
    if not pairs:
        raise DatasetError(f"{path}: expected at least one pair, got none")
    return _distinct(pairs, str(path))


def _distinct(pairs: Sequence[Pair], source: str) -> list[Pair]:
    """Refuse images that would give predictions of one name."""
    first: dict[Path, Path] = {}
    for image, _ in pairs:
        name = image.absolute().with_suffix("")
        if name in first:
            raise DatasetError(f"{source}: {first[name]} and {image} have one name without suffix; rename or drop one")
        first[name] = image
    return list(pairs)


def _first(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths[:_NAMED])) + ", ..." * (len(paths) > _NAMED)
