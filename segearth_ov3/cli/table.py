"""Tables of text, for commands."""

from ..table import format_table

__all__ = ["format_table"]
