"""Tables of text."""

from __future__ import annotations

from collections.abc import Sequence


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Lines of aligned columns, the first one to the left, the others to the right.

    Args:
        rows: Cells, as many in each row.

    Returns:
        The table, without a line break at its end.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        for row in rows
    )
