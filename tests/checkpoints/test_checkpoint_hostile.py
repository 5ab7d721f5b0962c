"""Files made to crash, stall or exhaust their reader are refused in one line, in bounded memory and time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hostile_torch import pickle_cases

from segearth_ov3.checkpoints import load_sam3
from segearth_ov3.errors import CheckpointError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bounds memory and time as Linux does")

PROGRAM = Path(__file__).resolve().parents[1] / "hostile_checkpoints.py"


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of each case."""
    folder = tmp_path_factory.mktemp("hostile")
    done = subprocess.run([sys.executable, str(PROGRAM), str(folder)], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_every_case_is_refused_in_one_line(outcomes: dict[str, str]) -> None:
    assert len(outcomes) > 300
    assert {name: text for name, text in outcomes.items() if not text.startswith("refused: ")} == {}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("config vit_depth=1000000000000000000", "vit_depth must be a whole number from 1 to 128"),
        ("config heads='3'", "heads must be a whole number from 1 to 1024, got '3'"),
        ("config.json num_queries=None", "queries must be a whole number from 1 to 8192, got None"),
        ("config nested", "has no readable config"),
        ("safetensors length 2^40", "is truncated or damaged"),
        ("safetensors 300000 tensors", "its table of contents has"),
        ("safetensors 60000 tensors", "holds 60001 tensors, more than 50000"),
        ("pickle bytearray", "contains code (builtins.bytearray)"),
        ("pickle nested tuples as key", "keys other than texts and numbers"),
        ("pickle size beyond", "a tensor is larger than its storage"),
        ("pickle 2 million instructions", "more than 1000000 pickle instructions"),
        ("old pickle storage lie", "shorter than the tensors it names"),
        ("archive with a pickle of 2 GB", "members are compressed (2.0 GB when unpacked)"),
        ("archive with two pickles", "not named as torch.save does"),
        ("archive of 120000 members", "120003 members"),
        ("web page.safetensors", "is a web page"),
        ("json error.pt", "is a JSON text"),
        ("lfs pointer.pt", "is a Git LFS pointer"),
        ("pipe", "is a device or a pipe"),
        ("link to /dev/zero", "is a device or a pipe"),
        ("folder", "holds no weights"),
    ],
)
def test_refusal_names_the_cause(case: str, words: str, outcomes: dict[str, str]) -> None:
    assert words in outcomes[case]


def test_check_of_the_pickle_comes_before_pytorch_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*arguments: object, **options: object) -> None:
        raise AssertionError("PyTorch opened the file")

    monkeypatch.setattr(torch, "load", load)
    cases = {name: case for name, case in pickle_cases() if name in ("pickle code", "pickle bytearray")}
    for case in cases.values():
        with pytest.raises(CheckpointError, match="contains code"):
            load_sam3(case(tmp_path))
