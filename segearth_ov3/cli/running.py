"""Segmenting of a scene for the command line: checks, weights, progress, and what a dry run prints."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..geo.names import shown_name
from ..messages import progress_function, say
from .scene_messages import OncePerKind, printable
from .scenes import SceneTask

if TYPE_CHECKING:
    from ..geo.dry_run import DryRun
    from ..geo.options import Predictor, WindowOptions
    from ..geo.ownership import Overwrite
    from ..geo.palette import Color
    from ..geo.reader import ReadOptions
    from ..geo.report import SceneReport


@dataclasses.dataclass(frozen=True)
class SceneRunner:
    """Segments scenes by the options of a command.

    Attributes:
        load: Loads the weights, when the first scene needs them.
        classes: Names of the classes.
        colors, reading, windows, overwrite, resume: As of `geo.scene.segment_scene`.
        quiet: Show no progress and no notes.
        notes: Notes that were shown.
    """

    load: Callable[[], Predictor]
    classes: Sequence[str]
    colors: Sequence[Color] | None
    reading: ReadOptions
    windows: WindowOptions
    overwrite: Overwrite
    resume: bool
    quiet: bool
    notes: OncePerKind = dataclasses.field(default_factory=lambda: OncePerKind("Note"))

    def run(self, task: SceneTask, title: str) -> SceneReport:
        """Segment a scene."""
        from ..geo.scene import segment_scene

        notes = self.check(task)
        predictor = self.load()
        with progress_function(title, "window", quiet=self.quiet) as progress:
            report = segment_scene(
                task.src,
                task.dst,
                predictor,
                classes=self.classes,
                colors=self.colors,
                reading=self.reading,
                windows=self.windows,
                outputs=task.outputs,
                overwrite=self.overwrite,
                resume=self.resume,
                progress=progress,
            )
        self._show_notes(task.src, [note for note in report.notes if note not in notes])
        return report

    def run_missing(self, task: SceneTask, title: str) -> SceneReport:
        """Segment a scene, unless its map is complete and the one that is wanted."""
        is_there = os.path.exists(task.dst) and not self.overwrite
        return dataclasses.replace(self, resume=self.resume or is_there).run(task, title)

    def check(self, task: SceneTask) -> tuple[str, ...]:
        """Find mistakes before the weights are loaded, which takes long; show and return what was decided."""
        from ..geo.scene import check_scene

        notes = check_scene(
            task.src,
            task.dst,
            classes=self.classes,
            reading=self.reading,
            outputs=task.outputs,
            overwrite=self.overwrite,
            resume=self.resume,
        )
        self._show_notes(task.src, notes)
        return notes

    def _show_notes(self, src: str, notes: Sequence[str]) -> None:
        for note in notes:
            if not self.quiet and self.notes.is_first(src, note):
                say(f"Note: {printable(shown_name(src))}: {note}")

    def plan(self, task: SceneTask) -> DryRun:
        """Find out what segmenting a scene would do; nothing is written."""
        from ..geo.dry_run import dry_run

        if os.path.isdir(os.path.dirname(task.dst) or os.curdir):
            self.check(task)
        return dry_run(
            task.src,
            task.dst,
            self.load(),
            classes=self.classes,
            reading=self.reading,
            windows=self.windows,
            outputs=task.outputs,
        )


def format_plan(task: SceneTask, plan: DryRun) -> str:
    """What a dry run found, as lines of text."""
    from ..geo.space import shown_bytes

    bands = ",".join(map(str, plan.bands))
    strips = f" in {plan.strips} strips" if plan.strips > 1 else ""
    return "\n".join(
        [
            f"{printable(shown_name(task.src))}: {plan.size[0]} x {plan.size[1]} pixels, bands {bands}",
            f"  windows: {plan.windows} of {plan.window} x {plan.window} pixels{strips}",
            f"  time: about {_duration(plan.seconds)} ({plan.seconds_per_window:.3g} s per window)",
            *(f"  output: {printable(str(path))}, about {shown_bytes(size)}" for path, size in plan.outputs),
        ]
    )


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    if hours >= 2:
        return f"{hours:.1f} hours"
    return f"{minutes:.0f} minutes" if minutes >= 2 else f"{seconds:.0f} seconds"
