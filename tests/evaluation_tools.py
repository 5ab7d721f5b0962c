"""Tools as modules, small weights for them, and configurations of generated sets."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file

from segearth_ov3.checkpoints.sizes import config_metadata
from segearth_ov3.metrics.report import Report
from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.random_weights import deterministic_state_dict

ROOT = Path(__file__).resolve().parents[1]


def load_tool(name: str) -> ModuleType:
    """A file of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(f"segearth_ov3_tools_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def quicken_logs(patch: pytest.MonkeyPatch) -> None:
    """Leave out what takes mmengine most of a short run: its log's text of the configuration and of the machine."""
    from mmengine.config import Config
    from mmengine.runner import runner

    patch.setattr(Config, "pretty_text", property(lambda config: ""))
    patch.setattr(runner, "collect_env", dict)


def run_in_processes(count: int, tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool by torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    command += [str(ROOT / "tools" / tool), *arguments, "--launcher", "pytorch"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True)


def config_of(name: str) -> str:
    """Path of a configuration."""
    return str(ROOT / "configs" / f"segearth-ov3_{name}.py")


def save_tiny_weights(path: Path) -> Path:
    """Write a checkpoint of a tiny network with deterministic random weights."""
    model = build_sam3(Sam3Config.tiny())
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    state = {name: torch.from_numpy(value) for name, value in deterministic_state_dict(shapes).items()}
    save_file(state, path, metadata=config_metadata(Sam3Config.tiny()))
    return path


def report_of(out: Path) -> Report:
    """What a tool has written to a folder."""
    return Report.from_json((out / "results.json").read_text(encoding="utf-8"))
