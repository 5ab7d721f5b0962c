"""Colours for classes from a text file, a class per line: `building,#dc364c`."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence

from ..errors import OptionError
from ..text_files import read_small_file
from .palette import Color, class_colors

_FORM = "class,#rrggbb"


def read_colors(path: str | os.PathLike[str], classes: Sequence[str]) -> list[Color]:
    """Read the colours of classes.

    Args:
        path: A text file in UTF-8 with lines `class,#rrggbb`. Blank lines and lines that begin with # are skipped.
        classes: Names of the classes in label order. Those that the file does not name get their usual colours.

    Returns:
        A colour per class.

    Raises:
        OptionError: The file cannot be read, or a line has another form, an unknown class, or one that an earlier line
            names.
    """
    try:
        lines = read_small_file(path).decode("utf-8-sig").splitlines()
    except OSError as error:
        raise OptionError(f"cannot read the colours {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise OptionError(f"cannot read the colours {path}: expected a text file in UTF-8") from error
    given: dict[str, Color] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, color = _parse(line, f"{path}, line {number}", classes)
            if name in given:
                raise OptionError(f"{path}, line {number}: the class {name!r} has a colour already; keep one of them")
            given[name] = color
    return class_colors(classes, given)


def _parse(line: str, place: str, classes: Sequence[str]) -> tuple[str, Color]:
    """Class and colour of a line."""
    name, _, text = (part.strip() for part in line.rpartition(","))
    if not name or not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise OptionError(f"{place}: expected {_FORM}, got {line.strip()!r}")
    if name not in classes:
        close = difflib.get_close_matches(name, classes, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of: {', '.join(classes)}"
        raise OptionError(f"{place}: no class is called {name!r}; {hint}")
    return name, (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16))
