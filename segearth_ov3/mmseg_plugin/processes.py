"""Several processes of one evaluation: joining them, and doing something in all of them or in none.

Each process predicts its share of the images. They meet before and after that, never in between, so that one that fails
does not leave the others waiting.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Literal, TypeVar

import torch
from mmengine.dist import all_gather_object, get_rank, init_dist
from mmengine.utils.dl_utils import set_multi_processing
from torch import distributed

from ..errors import OptionError, SegEarthError

Launcher = Literal["none", "pytorch", "slurm", "mpi"]
T = TypeVar("T")

# what a launcher gives to each process, and how it is started
_LAUNCHERS = {
    "pytorch": ("RANK", "torchrun --nproc_per_node N tools/test.py ..."),
    "slurm": ("SLURM_PROCID", "srun --ntasks N python tools/test.py ..."),
    "mpi": ("OMPI_COMM_WORLD_LOCAL_RANK", "mpirun -n N python tools/test.py ..."),
}
_TIMEOUT_S = 6 * 3600  # the slowest process may be that much behind


def start_processes(launcher: Launcher) -> None:
    """Join the processes that a launcher has started; each gets a GPU of its own where there are GPUs.

    Args:
        launcher: How they were started; "none" is a single process.

    Raises:
        OptionError: The launcher's variables are not there, or there is no GPU and the launcher is not "pytorch".
    """
    if launcher == "none" or distributed.is_initialized():
        return
    variable, command = _LAUNCHERS[launcher]
    if variable not in os.environ:
        raise OptionError(f"--launcher {launcher}: no {variable} in the environment; start with {command}")
    if torch.cuda.is_available():
        set_multi_processing(distributed=True)  # first, or mmengine changes how loader processes start, and back
        init_dist(launcher, backend="nccl", timeout=_TIMEOUT_S)
    elif launcher == "pytorch":
        # mmengine can join only processes with a GPU
        distributed.init_process_group("gloo", timeout=timedelta(seconds=_TIMEOUT_S))
    else:
        raise OptionError(f"--launcher {launcher} needs GPUs, and there is none here; use torchrun and pytorch")


def stop_processes() -> None:
    """Leave the other processes, if there are any."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def together(work: Callable[[], T]) -> T:
    """Do something in every process; where it fails in one, raise in all.

    Args:
        work: What to do; the processes must not wait for each other in it.

    Returns:
        What `work` returns in this process.

    Raises:
        SegEarthError: It failed in another process; in the one where it failed, its own exception.
    """
    result, failure = None, None
    try:
        result = work()
    except Exception as error:
        failure = error
    messages = all_gather_object(None if failure is None else (str(failure) or type(failure).__name__))
    if failure is not None:
        raise failure
    for rank, message in enumerate(messages):
        if message is not None:
            raise SegEarthError(f"process {rank}: {message}")
    return result  # type: ignore[return-value]


def in_first(work: Callable[[], T]) -> T:
    """Do something in the first process and give its result to all; where it fails, raise in all."""
    return all_gather_object(together(lambda: work() if get_rank() == 0 else None))[0]


def first_then_others(work: Callable[[], T]) -> T:
    """Do something in every process, the first one alone before the others, as when files are made on first use."""
    is_first = get_rank() == 0
    result = together(lambda: work() if is_first else None)
    others = together(lambda: None if is_first else work())
    return result if is_first else others  # type: ignore[return-value]
