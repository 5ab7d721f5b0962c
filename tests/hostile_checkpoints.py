"""Open checkpoints that are made to crash, stall or exhaust their reader, in processes with bounded memory and time.

    python tests/hostile_checkpoints.py FOLDER      prints the outcome of every case as JSON

Each case may take one more GiB of memory and five seconds of processor time.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
from pathlib import Path

import torch
from hostile_files import (
    SIZES,
    Case,
    config_cases,
    huggingface_cases,
    index_cases,
    other_cases,
    safetensors_cases,
    with_config,
)
from hostile_torch import torch_cases

from segearth_ov3.checkpoints import inspect_checkpoint, load_sam3
from segearth_ov3.errors import CheckpointError

MEMORY_BYTES = 1 << 30
CPU_SECONDS = 5


def all_cases() -> dict[str, Case]:
    sources = (config_cases, huggingface_cases, safetensors_cases, index_cases, torch_cases, other_cases)
    return {name: case for source in sources for name, case in source()}


# ---- running them


def attempt(path: Path) -> str:
    """Describe and load a checkpoint; "loaded", "refused", or what went wrong."""
    try:
        inspect_checkpoint(path)
        load_sam3(path)
    except CheckpointError as error:
        message = str(error)
        one_line = len(message) < 2000 and message.isprintable()
        return f"refused: {message}" if one_line else f"message: {message[:200]!r}"
    except BaseException as error:
        return f"error: {type(error).__name__}: {str(error)[:100]}"
    return "loaded"


def outcome(path: Path) -> str:
    """Run `attempt` in a process of its own with bounded memory and time."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY_BYTES, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        os.write(writer, attempt(path).encode(errors="replace")[:4000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        text = stream.read().decode()
    _, status = os.waitpid(child, 0)
    return text or f"killed: signal {os.WTERMSIG(status)}"


def main(folder: Path) -> dict[str, str]:
    torch.set_num_threads(1)
    load_sam3(with_config(json.dumps(SIZES))(folder))  # imports and caches are made before the limits
    outcomes = {}
    for name, case in all_cases().items():
        place = folder / "case"
        place.mkdir()
        outcomes[name] = outcome(case(place))
        shutil.rmtree(place)
    return outcomes


if __name__ == "__main__":
    json.dump(main(Path(sys.argv[1])), sys.stdout, indent=1)
