"""Lookup of named entries with an error that lists the known names."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

from .errors import UnknownNameError

T = TypeVar("T")


def lookup(registry: Mapping[str, T], name: str, kind: str) -> T:
    """Return the entry called `name`.

    Args:
        registry: Entries by name.
        name: Name to look up; case matters.
        kind: What the entries are, in the singular ("refiner"), for the message.

    Returns:
        The entry.

    Raises:
        UnknownNameError: There is none; the message lists the known names and the closest one.
    """
    if name in registry:
        return registry[name]
    close = difflib.get_close_matches(name, registry, n=1)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    raise UnknownNameError(f"unknown {kind} {name!r}, known: {', '.join(sorted(registry))}{guess}")
