"""Progress over windows: called back, or shown as a bar where somebody sees it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

Progress = Callable[[int, int], None]
ProgressOption: TypeAlias = Progress | Literal["bar"] | None


@contextlib.contextmanager
def windows_progress(option: ProgressOption) -> Iterator[Progress | None]:
    """Yield what is called with the windows done and their total.

    Args:
        option: A function, which is yielded unchanged; "bar", a bar in a notebook or on a terminal, and nothing
            elsewhere; or None, nothing.
    """
    if option != "bar":
        yield option
        return
    if not is_watched():
        yield None
        return
    from tqdm.auto import tqdm

    with tqdm(desc="segmenting", unit="window") as bar:

        def show(done: int, total: int) -> None:
            if bar.total is None:  # what was done before an interruption says nothing about the speed
                bar.reset(total)
                bar.initial = bar.n = done
            bar.update(done - bar.n)

        yield show


def is_watched() -> bool:
    """Whether standard error is a terminal, or this is a notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return sys.stderr.isatty() or hasattr(shell, "kernel")
