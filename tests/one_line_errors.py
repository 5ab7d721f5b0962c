"""The error of a failed run."""

from __future__ import annotations


def error_of(result: tuple[int, str, str]) -> str:
    """The one line of a failed run."""
    code, _, err = result
    assert code == 1
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in err
    return lines[0]
