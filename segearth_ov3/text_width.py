"""Widths of texts on a terminal, for tables whose cells hold letters of any script."""

from __future__ import annotations

from wcwidth import wcswidth


def text_width(text: str) -> int:
    """Return the columns that a text takes: two for wide letters such as Chinese, none for combining marks."""
    columns = wcswidth(text)
    return len(text) if columns < 0 else columns  # control characters have no width


def pad(text: str, columns: int, *, right: bool = False) -> str:
    """Fill a text with spaces to a width, at its right end or, to move it to the right, at its left end."""
    spaces = " " * (columns - text_width(text))
    return spaces + text if right else text + spaces
