"""Every script of `tools/` and `benchmarks/` ends as the commands do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = [
    path.relative_to(ROOT).as_posix()
    for path in sorted([*ROOT.glob("tools/**/*.py"), *ROOT.glob("benchmarks/*.py")])
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
]


def shell(command: str) -> tuple[int, str]:
    """Exit code and messages of a line of bash."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_scripts_are_found() -> None:
    assert {"tools/test.py", "tools/prepare_data/prepare.py", "benchmarks/scaling.py"} <= set(SCRIPTS)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(script, marks=[pytest.mark.slow] * (script.startswith("benchmarks/") or "train" in script))
        for script in SCRIPTS
    ],
)
def test_output_that_cannot_be_written_is_one_line(script: str) -> None:
    expected = (1, "Error: cannot write to standard output: No space left on device\n")
    assert shell(f"{sys.executable} {ROOT / script} --help >/dev/full") == expected
