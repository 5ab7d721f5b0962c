"""What a GPU does during one run: launches by the host, and the attention kernels that PyTorch chose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

# runtime calls that start work on the device; replaying a CUDA graph is one launch
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")
# parts of the names of attention kernels, and the backend they belong to
ATTENTION = {"flash_fwd": "flash", "pytorch_flash": "flash", "fmha_cutlass": "efficient", "cudnn": "cudnn"}


class DeviceActivity(NamedTuple):
    """Activity of one run.

    Attributes:
        launches: Calls of the host that start work on the device.
        attention: Attention kernels that ran, by backend.
    """

    launches: int
    attention: dict[str, int]


def device_activity(work: Callable[[], object], device: str) -> DeviceActivity | None:
    """Profile one run on a CUDA device; None on other devices."""
    if torch.device(device).type != "cuda":
        return None
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        work()
        torch.cuda.synchronize(device)
    return summarize(profiler.events())


def summarize(events: Any) -> DeviceActivity:
    """Count launches and attention kernels among profiler events."""
    launches = sum(event.name.startswith(LAUNCHES) for event in events if event.device_type == DeviceType.CPU)
    kernels = [event.name for event in events if event.device_type == DeviceType.CUDA]
    attention: Counter[str] = Counter()
    for name in kernels:
        backend = next((backend for part, backend in ATTENTION.items() if part in name), None)
        if backend == "cudnn" and "attention" not in name and "sdpa" not in name:
            backend = None  # cuDNN's convolutions
        if backend is not None:
            attention[backend] += 1
    return DeviceActivity(launches, dict(attention))
