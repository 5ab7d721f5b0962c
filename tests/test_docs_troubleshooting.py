"""Each entry of docs/troubleshooting.md begins with a message that the source can print."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^\*\*(`.+?)\*\*", PAGE, re.MULTILINE)
MESSAGES = [message for entry in ENTRIES for message in re.findall(r"`([^`]+)`", entry)]
OF_OTHERS = {"No module named 'mmcv._ext'", "-"}
PLACEHOLDER = re.compile(r"\.\.\.|\d[\d.,]*|'[^']*'|\b[A-Z]{1,5}\b|\S+\.(?:tif|txt|py|pt|json)\b")


@pytest.fixture(scope="module")
def texts() -> str:
    """All texts of the package and the tools, with a gap where a value is filled in."""
    found = []
    for path in [*ROOT.glob("segearth_ov3/**/*.py"), *ROOT.glob("tools/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def fragments(message: str) -> list[str]:
    """The parts of a message that do not depend on values."""
    return [part for part in map(str.strip, PLACEHOLDER.split(message)) if len(part) > 2]


@pytest.mark.parametrize("message", MESSAGES)
def test_message_can_be_printed(message: str, texts: str) -> None:
    if message in OF_OTHERS:
        return
    parts = fragments(message)
    assert parts
    assert [part for part in parts if part not in texts] == []
    assert sum(map(len, parts)) >= 10  # a single word could be anywhere


def test_entries_are_found() -> None:
    assert len(ENTRIES) > 20


def test_message_that_nothing_prints_would_be_found(texts: str) -> None:
    assert [part for part in fragments("the flux capacitor of 5 engines is empty") if part not in texts]
