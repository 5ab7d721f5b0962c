"""How much is computed at once: by the memory that is free, and in smaller pieces when it has run out."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from ..errors import LowMemoryWarning, OptionError, is_out_of_memory

if TYPE_CHECKING:
    from ..sam3.model import Sam3

logger = logging.getLogger(__name__)

T = TypeVar("T")

# prompts that keep a device busy; more together need more memory and are hardly faster
CPU_PROMPTS = 8
DEVICE_PROMPTS = 12
# the part of the free memory that prompts may take; images, masks, maps and other programs need some too
PROMPT_SHARE = 0.25


def check_count(name: str, value: object) -> None:
    """Make sure that a number of things is one.

    Raises:
        OptionError: It is not a whole number of at least 1.
    """
    if type(value) is not int or value < 1:
        raise OptionError(f"{name} must be a whole number of at least 1, got {value!r}")


def free_bytes(device: torch.device) -> int | None:
    """Memory that can still be had on a device; None where nobody says."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type != "cpu":
        return None
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free = 1024 * int(fields["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return None
    return min(free, container_bytes() or free)


def container_bytes(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Memory that the container of this process leaves; None without a container or a limit."""
    try:
        limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
    except (OSError, ValueError):  # "max" stands for no limit
        return None
    return max(1, limit - used)


def automatic_chunk(model: Sam3) -> int:
    """Prompts that go through the network together if nobody says how many: what keeps the device busy and fits."""
    most = CPU_PROMPTS if model.device.type == "cpu" else DEVICE_PROMPTS
    free = free_bytes(model.device)
    if free is None:
        return most
    config = model.config
    tokens = config.grid**2
    # hidden layer before and after its nonlinearity, some states of the tokens, and the decoder's bias to them
    values = 2 * config.ffn_dim + 8 * config.dim + 3 * config.heads * (config.queries + 1)
    return max(1, min(most, int(PROMPT_SHARE * free) // (4 * tokens * values)))


class WorkSize:
    """How much is computed at once; becomes smaller where memory runs out, and stays so.

    Args:
        model: The network.
        prompts: Prompts that go through the network together, at least 1; None: as many as are of use and fit into
            the memory that is free when they are first asked for.
        images: Images that go through the trunk together, at least 1.

    Raises:
        OptionError: Not a whole number of at least 1.
    """

    def __init__(self, model: Sam3, prompts: int | None, images: int) -> None:
        for name, value in (("prompt_chunk", prompts), ("window_batch", images)):
            if value is not None:
                check_count(name, value)
        self.images = images
        self._model = model
        self._prompts = prompts
        self._most: int | None = None  # images that fit; None: not known yet
        self._said = False

    @property
    def prompts(self) -> int:
        """Prompts that go through the network together."""
        if self._prompts is None:
            self._prompts = automatic_chunk(self._model)
        return self._prompts

    def batches(
        self, images: int, prompts: int, work: Callable[[slice], T], *, at_most: int | None = None
    ) -> Iterator[tuple[slice, T]]:
        """Do some work for all images, batch by batch.

        Where memory runs out, the work is done again with half as many images, or half as many prompts where it was
        one image.

        Args:
            images: Number of images.
            prompts: Number of prompts, which bounds what halving starts from.
            work: Computes the images of a slice by reading `prompts` of this object.
            at_most: Images of a batch.

        Yields:
            Slice and result of each batch, in order.

        Raises:
            Exception: Whatever `work` raises, also for lack of memory where one prompt of one image is too much.

        Warns:
            LowMemoryWarning: The first time.
        """
        done = 0
        while done < images:
            bounds = [bound for bound in (self._most, at_most, images - done) if bound is not None]
            batch = slice(done, done + min(bounds))
            try:
                result = work(batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or not self._halve(min(bounds), min(self.prompts, prompts)):
                    raise
            else:
                yield batch, result
                done = batch.stop
                continue
            # here, and not before, the traceback is gone, and with it the tensors of what failed
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _halve(self, images: int, prompts: int) -> bool:
        """Make the pieces smaller than those that failed; False where they cannot be."""
        if images > 1:
            self._most = images // 2
        elif prompts > 1:
            self._prompts = prompts // 2
        else:
            return False
        was = f"out of memory with {images} image(s) and {prompts} prompt(s) at a time"
        logger.info("%s; now %s image(s) and %d prompt(s)", was, self._most or 1, self.prompts)
        if not self._said:
            self._said = True
            warnings.warn(
                f"{was}; going on in smaller pieces, which takes longer and changes results by rounding only; "
                f"to begin with smaller ones, give fewer windows or images at a time (--batch), or a smaller "
                f"Segmenter(prompt_chunk=)",
                LowMemoryWarning,
                stacklevel=3,
            )
        return True
