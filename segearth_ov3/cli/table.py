"""Tables of text."""

from __future__ import annotations

from collections.abc import Sequence

from ..text_width import pad, text_width


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Align columns, the first one to the left, the others to the right.

    Args:
        rows: Cells, as many in each row.

    Returns:
        The table, without a line break at its end.
    """
    widths = [max(map(text_width, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(pad(cell, width, right=place > 0) for place, (cell, width) in enumerate(zip(row, widths)))
        for row in rows
    )
