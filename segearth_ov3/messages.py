"""Messages for the person who runs a command: lines, warnings and progress bars on standard error.

Only the edges (`cli/`, `mmseg_plugin/` and `tools/`) print; everything else logs and warns. On a terminal a message
goes above the progress bar; elsewhere, as in a log, each state of a bar is a line, so two messages never share one.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import SegEarthWarning

if TYPE_CHECKING:
    from tqdm import tqdm

LOG_INTERVAL_S = 30.0  # between two states of a bar in a log


def say(text: str) -> None:
    """Print a line to standard error, above the progress bar if there is one."""
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr)
    sys.stderr.flush()


def progress_bar(title: str, unit: str, *, quiet: bool = False, **options: Any) -> tqdm:
    """Make a progress bar on standard error; in a log, one that prints a line at both ends and every half minute.

    Args:
        title: What is being done.
        unit: What is counted, in the singular.
        quiet: Show nothing.
        options: Further arguments of `tqdm`, such as `total`.

    Returns:
        The bar, to be used in a `with` statement.
    """
    from tqdm import tqdm

    if not sys.stderr.isatty():
        options |= dict.fromkeys(("mininterval", "maxinterval"), LOG_INTERVAL_S)
        options |= {"file": _Lines(), "leave": True}
    return tqdm(desc=title, unit=unit, disable=quiet, **options)


@contextlib.contextmanager
def progress_function(
    title: str, unit: str, *, quiet: bool = False, **options: Any
) -> Iterator[Callable[[int, int], None]]:
    """Lend a function that shows how many of all things are done as a bar, from its first call on.

    Args:
        title, unit, quiet, options: As for `progress_bar`.
    """
    with contextlib.ExitStack() as stack:
        bars: list[tqdm] = []

        def show(done: int, total: int) -> None:
            if not bars:  # what was done before an interruption says nothing about the speed
                bar = progress_bar(title, unit, quiet=quiet, total=total, initial=done, **options)
                bars.append(stack.enter_context(bar))
            bars[0].update(done - bars[0].n)

        yield show


class _Lines:
    """A file for tqdm that writes each new state of a bar as a line of its own."""

    _last = ""

    def write(self, text: str) -> None:
        state = text.strip()
        if state and state != self._last:
            self._last = state
            print(state, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


@contextlib.contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print each warning, and each logged one, as one line and once; say at the end how often the others came.

    Those of other packages name their package. The filters of Python (`-W`, `PYTHONWARNINGS`) decide which warnings are
    shown at all. Records go to their own handlers where somebody has set up logging.
    """
    counts: Counter[str] = Counter()

    def note(text: str) -> None:
        counts[text] += 1
        if counts[text] == 1:
            say(text)

    def show(message: Warning | str, category: type[Warning], filename: str, *place: Any, **more: Any) -> None:
        text = " ".join(str(message).split())
        is_ours = issubclass(category, SegEarthWarning)
        note(f"Warning: {text}" if is_ours else f"Warning: {_package_of(filename)}: {text} ({category.__name__})")

    with warnings.catch_warnings(), _logged_lines(note):
        warnings.simplefilter("always", SegEarthWarning)
        warnings.showwarning = show
        try:
            yield
        finally:
            for text, count in counts.items():
                if count > 1:
                    say(f"{text.partition(': ')[0]}: {count} times: {text.partition(': ')[2]}")


class _Records(logging.Handler):
    """Turns log records from warnings upwards into lines."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        text, package = " ".join(record.getMessage().split()), record.name.partition(".")[0]
        self._note(text if package == __name__.partition(".")[0] else f"Warning: {package}: {text}")


@contextlib.contextmanager
def _logged_lines(note: Callable[[str], None]) -> Iterator[None]:
    """Pass logged warnings on as lines, unless the root logger has handlers."""
    root, handler = logging.getLogger(), _Records(note)
    if not root.handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def _package_of(filename: str) -> str:
    """Name of the installed package that a source file belongs to, else the file's name."""
    parts = Path(filename).parts
    for place, part in enumerate(parts[:-1]):
        if part in ("site-packages", "dist-packages"):
            return parts[place + 1].removesuffix(".py")
    return Path(filename).name
