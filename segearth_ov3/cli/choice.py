"""Options with a few possible words."""

from __future__ import annotations

import difflib
from typing import Any

import click


class Choice(click.Choice):
    """One of a few words; a wrong one is answered with the closest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the word."""
        close = difflib.get_close_matches(str(value), self.choices, n=1)
        if close and value not in self.choices:
            self.fail(f"{value!r} is not one of {', '.join(self.choices)}; did you mean {close[0]!r}?", param, ctx)
        return super().convert(value, param, ctx)
