"""Messages about scenes: on one line each, and once where many scenes have the same."""

from __future__ import annotations

import re
from collections import Counter

from ..geo.names import shown_name
from ..messages import say

_NUMBER = re.compile(r"\d+(\.\d+)?(e[+-]?\d+)?")


class OncePerKind:
    """Finds messages that differ in scene and numbers only; at the end of a `with` block, says how many there were.

    Args:
        label: Before the counts: "Note" or "Warning".
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._counts: Counter[str] = Counter()
        self._texts: dict[str, str] = {}

    def is_first(self, src: str, message: str) -> bool:
        """Count a message about a scene; return whether it is the first of its kind."""
        text = " ".join(message.split())
        for name in (shown_name(src), src):
            text = text.removeprefix(f"{name}: ").replace(name, "the scene")
        kind = _NUMBER.sub("#", text)
        self._counts[kind] += 1
        self._texts.setdefault(kind, text)
        return self._counts[kind] == 1

    def __enter__(self) -> OncePerKind:
        return self

    def __exit__(self, *error: object) -> None:
        for kind, count in self._counts.items():
            if count > 1:
                scenes = "scene" if count == 2 else "scenes"
                say(f"{self._label}: {count - 1} more {scenes}: {printable(self._texts[kind])}")


def printable(text: str) -> str:
    """Return a text on one line that every terminal shows: line breaks and bytes that are no UTF-8 become escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
