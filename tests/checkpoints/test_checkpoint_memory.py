"""Memory that loading and converting take, measured as peak resident memory of a process of its own."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

import pytest
from checkpoint_files import FORMS, SMALL, network_state

from segearth_ov3.sam3.config import Sam3Config

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads peak memory as Linux tells it")

# about 200 MB in float32, no tensor larger than 1.5 % of it, as in the published model
LARGE = dataclasses.replace(
    Sam3Config.tiny(), vit_dim=512, vit_depth=16, vit_mlp_dim=1536, vit_heads=8, vocab_size=2000
)

# each measurement in a process of its own, which has done the same with small files before
PROGRAM = """
import json, os, resource, sys
import torch
from segearth_ov3.checkpoints import convert_checkpoint, load_sam3, verify_checkpoint
from segearth_ov3.sam3.config import Sam3Config

torch.set_num_threads(1)
small, large = ({form: (path, Sam3Config.from_dict(config)) for form, path in paths.items()}
                for paths, config in json.loads(sys.argv[1]))

TASKS = {
    "nothing": lambda path, config: None,
    "load": lambda path, config: load_sam3(path, config=config),
    "load-bf16": lambda path, config: load_sam3(path, config=config, dtype=torch.bfloat16),
    "convert": lambda path, config: convert_checkpoint(path, sys.argv[2], config=config, overwrite=True),
    "verify": lambda path, config: verify_checkpoint(path, config=config),
}

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

def peak_growth(task, form):
    reader, writer = os.pipe()
    if os.fork() == 0:
        task(*small[form])
        before = resident()
        result = task(*large[form])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        os.write(writer, str(peak - before).encode())
        os._exit(0)
    os.wait()
    os.close(writer)
    return int(os.read(reader, 100))

print(json.dumps({f"{name} {form}": peak_growth(task, form) for name, task in TASKS.items() for form in large}))
"""

MEASURED = ("own", "official", "huggingface", "huggingface-sharded")


@pytest.fixture(scope="module")
def growth(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Peak growth of resident memory for each task and form, as a share of the file's size."""
    folders = [tmp_path_factory.mktemp(name) for name in ("small", "large")]
    sets = []
    for folder, config in zip(folders, (SMALL, LARGE), strict=True):
        state = network_state(config)
        sets.append(({form: str(FORMS[form](folder, state, config)) for form in MEASURED}, config.to_dict()))
    size = sum(value.nbytes for value in state.values())
    assert size > 150e6
    program = [sys.executable, "-c", PROGRAM, json.dumps(sets), str(folders[1] / "converted.safetensors")]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    return {name: peak / size for name, peak in json.loads(done.stdout).items()}


def test_measurement_sees_nothing_where_nothing_is_done(growth: dict[str, float]) -> None:
    assert abs(growth["nothing own"]) < 0.02


@pytest.mark.parametrize("form", MEASURED)
def test_loading_peaks_at_less_than_1_3_times_the_file(form: str, growth: dict[str, float]) -> None:
    assert 0.9 < growth[f"load {form}"] < 1.3


@pytest.mark.parametrize("form", MEASURED)
def test_loading_in_half_precision_peaks_below_the_file(form: str, growth: dict[str, float]) -> None:
    assert growth[f"load-bf16 {form}"] < 0.9


@pytest.mark.parametrize("form", MEASURED)
@pytest.mark.parametrize("task", ["convert", "verify"])
def test_converting_and_verifying_take_a_fraction_of_the_file(task: str, form: str, growth: dict[str, float]) -> None:
    assert growth[f"{task} {form}"] < 0.4
