"""What the benchmarks share: deterministic network, clocks, peak memory, result files, tables.

Weights are deterministic and untrained, which changes no time: presence comes out near one half for every prompt.
"""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import importlib.metadata
import json
import platform
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import torch

from segearth_ov3.atomic import complete_or_absent
from segearth_ov3.metrics.report import checkout_commit, package_versions
from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.cpu.flash_attention import handles
from segearth_ov3.sam3.model import Sam3, set_compute_dtype
from segearth_ov3.sam3.random_weights import deterministic_tensor

PRESETS = {"base": Sam3Config.base, "demo": Sam3Config.demo, "tiny": Sam3Config.tiny}
ROOT = Path(__file__).resolve().parents[1]


def random_network(sizes: Sam3Config, dtype: torch.dtype, device: str) -> Sam3:
    """The network with deterministic weights, ready for inference."""
    model = build_sam3(sizes, "meta")
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    weights = {key: torch.from_numpy(deterministic_tensor(key, shape)) for key, shape in shapes.items()}
    model.load_state_dict(weights, assign=True)
    return set_compute_dtype(model, dtype).eval().requires_grad_(False).to(device)


def synchronize(device: str) -> None:
    """Wait until the device has finished its work; a CUDA device by its number."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind != "cpu":
        getattr(torch, kind).synchronize()


@contextlib.contextmanager
def keep_float32_precision() -> Iterator[None]:
    """Restore the switches of TF32 after the block: a peer that sets them when imported must not speed up others."""
    backends = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [backend.allow_tf32 for backend in backends]
    try:
        yield
    finally:
        for backend, allowed in zip(backends, before):
            backend.allow_tf32 = allowed


def timed(work: Callable[[], object], device: str) -> float:
    """Seconds of one run, all of the device's work included."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def spread(seconds: list[float]) -> dict[str, Any]:
    """Fields of a row for the times of its repetitions."""
    fastest, slowest = min(seconds), max(seconds)
    return {"median_s": statistics.median(seconds), "min_s": fastest, "max_s": slowest, "seconds": seconds}


def start_peak(device: str) -> int:
    """Bytes in use now; what is used later counts from here.

    On Linux the peak of a process can be reset, elsewhere it only grows: then a row shows what it added, if anything.
    """
    synchronize(device)
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what the allocator keeps would hide what the next run needs
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return peak(device)


def peak(device: str) -> int:
    """Largest number of bytes in use since `start_peak`: allocated on a GPU, else resident in this process."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def describe_device(device: str) -> str:
    """The device with the name of its hardware."""
    is_cuda = torch.device(device).type == "cuda"
    name = torch.cuda.get_device_name(device) if is_cuda else processor_name()
    compiled = ", compiled attention" if handles(torch.zeros(1, 1, 1, 32, device=device)) else ""
    return f"{device} ({name}{compiled})"


def processor_name() -> str:
    """Model of the processor where the system tells it, else its architecture."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text(encoding="utf-8")) if info.exists() else None
    return found[1] if found else platform.machine()


def result_json(schema: str, device: str, fields: Mapping[str, Any]) -> str:
    """A result with all that its numbers depend on, in the order of `metrics.report`."""
    found = {
        "schema": schema,
        **fields,
        "device": describe_device(device),
        "versions": package_versions() | _peer_versions(),
        "commit": checkout_commit(ROOT),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }
    return json.dumps(found, indent=2) + "\n"


def _in_a_folder(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and not value.parent.is_dir():
        raise click.BadParameter(f"no folder {value.parent} for the result; make it first", ctx, param)
    return value


# checked before anything is measured, so that no result is lost
out_option = click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_in_a_folder,
    help="Also write the result as JSON.",
)


def write_result(text: str, out: Path | None) -> None:
    """Write a result file whole or not at all; nothing where no file is wanted."""
    if out is not None:
        with complete_or_absent(out) as partial:
            partial.write_text(text, encoding="utf-8")


def whole_numbers(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    """Turn the text "1,6,11" of an option into numbers."""
    parts = [part.strip() for part in value.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"expected numbers of prompts like 1,6,11, got {value!r}", ctx, param)
    return tuple(int(part) for part in parts)


def _peer_versions() -> dict[str, str]:
    """Versions of the peers that are installed."""
    found = {}
    for name in ("transformers", "sam3"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
