"""Counting what a GPU does, from profiler events that were made by hand."""

from __future__ import annotations

from typing import NamedTuple

import torch
from device_activity import DeviceActivity, device_activity, summarize
from harness import keep_float32_precision
from torch.autograd import DeviceType


class Event(NamedTuple):
    """What is read of a profiler event."""

    name: str
    device_type: DeviceType


def test_launches_and_attention_kernels_are_counted() -> None:
    host = ["cudaLaunchKernel", "cudaLaunchKernelExC", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaStreamSynchronize"]
    device = [
        "void pytorch_flash::flash_fwd_kernel<...>",
        "fmha_cutlassF_bf16_aligned_64x64_rf_sm80",
        "fmha_cutlassF_bf16_aligned_64x64_rf_sm80",
        "cudnn_generated_fort_native_sdpa_sm90_flash_fprop",
        "void cudnn::ops::nchwToNhwcKernel<...>",
        "vectorized_elementwise_kernel",
    ]
    events = [Event(name, DeviceType.CPU) for name in host] + [Event(name, DeviceType.CUDA) for name in device]
    assert summarize(events) == DeviceActivity(4, {"flash": 1, "efficient": 2, "cudnn": 1})


def test_activity_of_a_cpu_is_not_profiled() -> None:
    assert device_activity(lambda: None, "cpu") is None


def test_a_peer_that_switches_to_tf32_does_not_speed_up_others() -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with keep_float32_precision():
        torch.backends.cuda.matmul.allow_tf32 = not before[0]
        torch.backends.cudnn.allow_tf32 = not before[1]
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before
