"""Messages for the person who runs a command: lines, warnings and progress bars on standard error.

Only the edges (`cli/`, `mmseg_plugin/` and `tools/`) print; everything else logs and warns. On a terminal a message
goes above the progress bar; elsewhere, as in a log, each state of a bar is a line, so two messages never share one.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

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


class _Lines:
    """A file for tqdm that writes each state of a bar as a line of its own."""

    def write(self, text: str) -> None:
        if state := text.strip():
            print(state, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()


@contextlib.contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print each warning as one line and once; say at the end how often the others came.

    Warnings of other packages name their package. The filters of Python (`-W`, `PYTHONWARNINGS`) decide which of them
    are shown at all.
    """
    counts: Counter[str] = Counter()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = " ".join(str(message).split())
        if not issubclass(category, SegEarthWarning):
            text = f"{_package_of(filename)}: {text} ({category.__name__})"
        counts[text] += 1
        if counts[text] == 1:
            say(f"Warning: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", SegEarthWarning)
        warnings.showwarning = show
        try:
            yield
        finally:
            for text, count in counts.items():
                if count > 1:
                    say(f"Warning: {count} times: {text}")


def _package_of(filename: str) -> str:
    """Name of the installed package that a source file belongs to, else the file's name."""
    parts = Path(filename).parts
    for place, part in enumerate(parts[:-1]):
        if part in ("site-packages", "dist-packages"):
            return parts[place + 1].removesuffix(".py")
    return Path(filename).name
