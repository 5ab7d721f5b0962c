"""Many scenes in one call: each fails alone, and the table has them all."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import CheckpointError, RasterError, RasterWarning, SegEarthError
from ..geo.names import shown_name, without_secrets
from ..messages import say
from .process import was_stopped
from .scene_messages import OncePerKind, printable
from .scenes import SceneTask, make_folder, make_folders

if TYPE_CHECKING:
    from ..geo.report import SceneReport
    from .summary import Summary

SegmentTask = Callable[[SceneTask, str], "SceneReport"]


def run_many(tasks: Sequence[SceneTask], run: SegmentTask, classes: Sequence[str], table: Path) -> None:
    """Do all tasks, continue after failures, keep a table, and print how many were done, skipped and failed.

    Args:
        tasks: The scenes.
        run: Does one, with a title for its progress. A report that says that nothing was written counts as skipped.
        classes: Names of the classes.
        table: The table, as CSV.

    Raises:
        click.ClickException: Scenes failed, or the table cannot be written; the message lists them.
        CheckpointError: The weights cannot be used, which would be the same for all scenes.
        RasterError: The name of the table is not one of a table, so it may be that of a scene or of a list of scenes.
    """
    from .summary import Summary

    if table.suffix.lower() != ".csv":
        raise RasterError(f"cannot write the table {table}: expected a name that ends with .csv")
    make_folder(table.parent)
    batch = _Batch(Summary(table, classes), table)
    if batch.summary.set_aside is not None:
        say(f"Warning: {table} was no table of this command; it is {batch.summary.set_aside} now")
    try:
        with batch.one_warning_per_kind():
            for number, task in enumerate(tasks, start=1):
                batch.do(task, run, f"{number}/{len(tasks)} {printable(Path(shown_name(task.src)).name)}")
    finally:
        left = len(tasks) - batch.counts.total()
        counts = [f"{batch.counts[kind]} {kind}" for kind in ("done", "skipped", "failed")]
        click.echo(", ".join(counts + [f"{left} left"] * (left > 0)) + f"; table {table}")
    if batch.problems:
        failed = batch.counts["failed"]
        heading = f"{failed} of {len(tasks)} scenes failed:" if failed else "the table is not complete:"
        raise click.ClickException("\n  ".join([heading, *batch.problems]))


def plan_many(tasks: Sequence[SceneTask], plan: Callable[[SceneTask], str]) -> None:
    """Print what would be done with each scene.

    Args:
        tasks: The scenes.
        plan: Returns it as text.

    Raises:
        click.ClickException: Scenes cannot be read, or their outputs cannot be written; the message lists them.
        CheckpointError: The weights cannot be used.
    """
    problems = []
    for task in tasks:
        try:
            click.echo(plan(task))
        except SegEarthError as error:  # noqa: PERF203
            if isinstance(error, CheckpointError):
                raise
            problems.append(_problem(task, reason_of(error)))
    if problems:
        raise click.ClickException("\n  ".join([f"{len(problems)} of {len(tasks)} scenes would fail:", *problems]))


class _Batch:
    """What has become of the scenes so far."""

    def __init__(self, summary: Summary, table: Path) -> None:
        self.summary = summary
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self._table = table
        self._is_table_lost = False
        self._src = ""

    def do(self, task: SceneTask, run: SegmentTask, title: str) -> None:
        """Do a task; what goes wrong is noted."""
        started = time.monotonic()
        self._src = task.src
        src, dst = shown_name(task.src), task.dst
        try:
            make_folders(task)
            report = run(task, title)
        except CheckpointError:
            raise
        except Exception as error:  # whatever is wrong with one scene, the others are done
            if was_stopped() or click.get_current_context().find_root().params.get("debug"):
                raise
            reason = reason_of(error)
            self.counts["failed"] += 1
            self.problems.append(_problem(task, reason))
            self._note(lambda: self.summary.note_failed(src, dst, reason))
        else:
            seconds = time.monotonic() - started if report.written else None
            self.counts["done" if report.written else "skipped"] += 1
            self._note(lambda: self.summary.note_complete(src, dst, report, seconds))

    def _note(self, note: Callable[[], None]) -> None:
        """Write the table; where that fails, the scenes are still worth doing."""
        try:
            note()
        except RasterError as error:
            if not self._is_table_lost:
                self.problems.append(reason_of(error))
            self._is_table_lost = True

    @contextlib.contextmanager
    def one_warning_per_kind(self) -> Iterator[None]:
        """Show the first of the warnings that differ in scene and numbers only, and count the others."""
        shown = warnings.showwarning
        with OncePerKind("Warning") as kinds:

            def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
                if not issubclass(category, RasterWarning) or kinds.is_first(self._src, str(message)):
                    shown(message, category, *place, **more)

            warnings.showwarning = show
            try:
                yield
            finally:
                warnings.showwarning = shown


def _problem(task: SceneTask, reason: str) -> str:
    """A line of the list of scenes that failed."""
    src = printable(shown_name(task.src))
    return f"{src}: {reason.removeprefix(f'{src}: ')}"


def reason_of(error: Exception) -> str:
    """What an error says, on one line, without the secrets of URLs; its type where it is none of this package."""
    text = without_secrets(" ".join(str(error).split()))
    if isinstance(error, UnicodeError):
        text = f"expected a name in UTF-8; rename the file ({text})"
    elif not isinstance(error, (SegEarthError, RuntimeError, OSError)):
        text = f"{type(error).__name__}: {text}"
    return printable(text or type(error).__name__)
