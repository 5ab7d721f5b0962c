"""Which class a stored label value or colour stands for, as texts and files say it.

255: 1                 label map: stored value, then the index of a class from 0, or ignore
-1: ignore
building: #FF0000      colours: class by name or index, or ignore, then #RRGGBB or R,G,B; a class may have several
# a comment
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import OptionError
from ..text_files import read_small_file

IGNORED = 255
_IGNORE = "ignore"
_COMMENT = re.compile(r"^\s*#|\s#\s")
_COLOR_LINE = re.compile(r"(?P<name>.+?)\s*,\s*(?:#(?P<hex>[0-9A-Fa-f]{6})|(?P<rgb>\d+\s*,\s*\d+\s*,\s*\d+))")

Rgb = tuple[int, int, int]
LabelMap = Mapping[int, int] | Sequence[str] | str


class ColorTable(NamedTuple):
    """Colours of a label image.

    Attributes:
        colors: Each once.
        indices: Class of each, 255 where its pixels are ignored.
    """

    colors: tuple[Rgb, ...]
    indices: tuple[int, ...]


def parse_label_map(entries: LabelMap, classes: int) -> dict[int, int]:
    """Read a label map.

    Args:
        entries: Class index by stored value; or texts "VALUE: INDEX" or "VALUE: ignore", several separated by commas.
        classes: Number of classes.

    Returns:
        Class index, or 255 where ignored, by stored value.

    Raises:
        OptionError: An entry has another form, a value occurs twice, or an index is no class.
    """
    if isinstance(entries, Mapping):
        entries = [f"{value}: {index}" for value, index in entries.items()]
    elif isinstance(entries, str):
        entries = entries.split(",")
    found: dict[int, int] = {}
    for entry in entries:
        match = re.fullmatch(rf"\s*(-?\d+)\s*:\s*(\d+|{_IGNORE})\s*", str(entry))
        if not match:
            raise OptionError(f"label map: expected VALUE: INDEX or VALUE: {_IGNORE}, got {entry!r}")
        value, index = int(match[1]), IGNORED if match[2] == _IGNORE else int(match[2])
        if index >= classes and index != IGNORED:
            raise OptionError(
                f"label map: {entry.strip()!r}: expected the index of a class, 0 to {classes - 1}, or {_IGNORE}"
            )
        if value in found:
            raise OptionError(f"label map: the value {value} occurs twice")
        found[value] = index
    return found


def read_label_map(source: str, classes: int) -> dict[int, int]:
    """Read a label map from a file of one entry per line, or from a text such as "255:1".

    Raises:
        OptionError: The file cannot be read, or an entry is wrong.
    """
    if re.fullmatch(r"\s*-?\d+\s*:.*", source) and not Path(source).exists():
        return parse_label_map(source, classes)
    try:
        return parse_label_map(read_entries(source), classes)
    except OptionError as error:
        raise OptionError(f"{source}: {error}") from error


def read_color_table(path: str | Path, classes: Sequence[str]) -> ColorTable:
    """Read which colours of a label image stand for which class.

    Args:
        path: A file of lines "CLASS,#rrggbb", such as `segment --colors` reads, or "CLASS,r,g,b".
        classes: Names of the classes.

    Returns:
        The colours with their classes.

    Raises:
        OptionError: The file cannot be read, a line has another form, names no class, or repeats a colour; or a class
            has no colour.
    """
    colors: dict[Rgb, int] = {}
    for entry in read_entries(path):
        line = _COLOR_LINE.fullmatch(entry)
        red, green, blue = _components(line) if line else (-1, -1, -1)
        if not line or not all(0 <= value <= 255 for value in (red, green, blue)):
            raise OptionError(f"{path}: expected CLASS,#rrggbb or CLASS,r,g,b, got {entry!r}")
        if (red, green, blue) in colors:
            raise OptionError(f"{path}: the colour of {entry!r} occurs twice")
        colors[red, green, blue] = _class_index(line["name"], classes, str(path))
    if bare := [name for index, name in enumerate(classes) if index not in colors.values()]:
        raise OptionError(f"{path}: no colour for {', '.join(bare)}; each class needs one")
    return ColorTable(tuple(colors), tuple(colors.values()))


def read_entries(path: str | Path) -> list[str]:
    """Read the lines of a text file without comments and empty lines.

    Raises:
        OptionError: The file cannot be read, is not UTF-8, or has no such line.
    """
    try:
        lines = read_small_file(path).decode("utf-8-sig").splitlines()
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"{path}: expected text in UTF-8") from error
    entries = [text for line in lines if (text := _COMMENT.split(line)[0].strip())]
    if not entries:
        raise OptionError(f"{path}: expected at least one line, got none")
    return entries


def _class_index(name: str, classes: Sequence[str], source: str) -> int:
    """Index of a class by name or number."""
    if name.lower() == _IGNORE:
        return IGNORED
    folded = [each.lower() for each in classes]
    if name.lower() in folded:
        return folded.index(name.lower())
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    raise OptionError(f"{source}: {name!r} is no class; expected one of {', '.join(classes)}, or {_IGNORE}")


def _components(line: re.Match[str]) -> Rgb:
    """Red, green and blue of a line."""
    values = bytes.fromhex(line["hex"]) if line["hex"] else [int(part) for part in line["rgb"].split(",")]
    return values[0], values[1], values[2]
