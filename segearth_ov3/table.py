"""Tables of text and of HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence

from .text_width import pad, text_width


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Align columns, the first one to the left, the others to the right.

    Args:
        rows: Cells, as many in each row; the first row is the heading.

    Returns:
        The table, without a line break at its end.
    """
    widths = [max(map(text_width, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(pad(cell, width, right=place > 0) for place, (cell, width) in enumerate(zip(row, widths)))
        for row in rows
    )


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """Make an HTML table with the same alignment; every cell is escaped."""
    lines = []
    for number, row in enumerate(rows):
        tag = "td" if number else "th"
        sides = ["left", *["right"] * (len(row) - 1)]
        cells = [f'<{tag} style="text-align: {side}">{html.escape(cell)}</{tag}>' for side, cell in zip(sides, row)]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"
