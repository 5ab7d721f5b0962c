"""`segearth-ov3 segment`: rasters in, class maps out."""

from __future__ import annotations

import contextlib
import functools
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import CheckpointError, SegEarthError, VocabularyWarning
from ..vocabulary import Vocabulary, require_several_classes
from .options import (
    ModelOptions,
    ScoreOptions,
    VocabularyOptions,
    model_options,
    overwrite_option,
    refiner_option,
    score_options,
    vocabulary_options,
)
from .scene_options import output_options, reading_options, window_options
from .scenes import DEFAULT_NAME, SceneTask, ShardType, expand_sources, make_folders, plan_tasks
from .table import format_table

if TYPE_CHECKING:
    from ..geo.options import Outputs, Predictor, WindowOptions
    from ..geo.ownership import Overwrite
    from ..geo.reader import ReadOptions
    from ..geo.scene import SceneReport
    from ..refiners import Refiner

SegmentTask = Callable[[SceneTask, str], "SceneReport"]


@click.command()
@click.argument("paths", nargs=-1, metavar="SRC DST | SRC... --out-dir DIR")
@vocabulary_options
@model_options
@score_options
@refiner_option
@click.option("--compile", is_flag=True, help="Compile the network: minutes at first, then faster on a GPU.")
@reading_options
@window_options
@output_options
@click.option(
    "--out-dir", metavar="DIR", help="Work on many scenes: all arguments are files, patterns, folders or lists."
)
@click.option(
    "--name",
    metavar="PATTERN",
    default=DEFAULT_NAME,
    show_default=True,
    help="With --out-dir: names of the maps, from {stem} and {parent} of the scene.",
)
@click.option("--shard", type=ShardType(), default="1/1", help="With --out-dir: do part I of N, from 1/N to N/N.")
@click.option("--summary", metavar="FILE", help="With --out-dir: table of all scenes  [default: DIR/summary.csv]")
@overwrite_option
@click.option("--resume", is_flag=True, help="Go on where an interrupted run with the same settings stopped.")
@click.option("--quiet", is_flag=True, help="No progress bar and no notes.")
def segment(
    paths: tuple[str, ...],
    vocabulary: VocabularyOptions,
    model: ModelOptions,
    scores: ScoreOptions,
    refiners: tuple[Refiner, ...],
    compile: bool,
    reading: ReadOptions,
    windows: WindowOptions,
    outputs: Outputs,
    out_dir: str | None,
    name: str,
    shard: tuple[int, int],
    summary: str | None,
    overwrite: Overwrite,
    resume: bool,
    quiet: bool,
) -> None:
    """Label every pixel of the raster SRC with a class and write the map DST, or do so for many scenes.

    SRC is a GeoTIFF or anything else that GDAL opens, of any size and depth. DST is a GeoTIFF of the same place and
    size: the number of the class, counted from 0 in the order given; 255 where SRC has no data. A table of pixels,
    shares and areas goes to standard output; of many scenes, a table goes to summary.csv, and what is finished already
    is skipped.

    \b
    Examples:
      segearth-ov3 segment scene.tif classes.tif --classes "building,house; road; water; tree" --background none
      segearth-ov3 segment scene.tif classes.tif --classes "background; building,house" --prob-threshold 0.3
      segearth-ov3 segment scene.tif classes.tif --vocab classes.txt --background none --overlay classes.png
      segearth-ov3 segment scene.tif classes.tif --vocab classes.txt --prob-threshold 0.3 --confidence sure.tif
      segearth-ov3 segment scene.tif classes.tif --vocab classes.txt --bands 3,2,1 --stretch 1,99 --cog
      segearth-ov3 segment scene.tif classes.tif --vocab classes.txt --window-m 300 --overlap 0.5 --resume
      segearth-ov3 segment scene.tif classes.tif --vocab classes.txt --vector classes.gpkg --confidence sure.tif
      segearth-ov3 segment scene.tif classes.tif --vocab classes.txt --refiner smoothing:weight=0.2,at=memory
      segearth-ov3 segment "scene*.tif" --out-dir maps --vocab classes.txt --overlay {stem}.png --shard 1/2
    """
    if out_dir is None:
        tasks = [_only_task(paths, outputs)]
    else:
        tasks = plan_tasks(expand_sources(paths), out_dir, name, outputs, shard)
    words = vocabulary.load()
    if outputs.confidence is None and outputs.scores is None:
        require_several_classes(words.classes)
    _warn_of_background(vocabulary, words, scores.prob_threshold)
    from ..geo.names import shown_name
    from ..geo.scene import check_scene, segment_scene

    @functools.cache
    def load() -> Predictor:
        network = model.load()
        from ..geo.options import FunctionPredictor
        from ..segmenter import Segmenter

        segmenter = Segmenter(network, words, refiners=refiners, compile=compile, **vars(scores))
        # nothing changes this segmenter, so its weights are read once for all scenes
        return FunctionPredictor(
            segmenter.class_scores,
            segmenter.prob_threshold,
            segmenter.background,
            segmenter.input_size,
            description=segmenter.describe(),
        )

    def run(task: SceneTask, title: str) -> SceneReport:
        # mistakes are told before the weights are loaded, which takes long
        notes = check_scene(
            task.src, task.dst, reading=reading, outputs=task.outputs, overwrite=overwrite, resume=resume
        )
        show_notes(task.src, notes)
        predictor = load()
        with progress_bar(title, quiet=quiet) as progress:
            report = segment_scene(
                task.src,
                task.dst,
                predictor,
                classes=words.class_names,
                reading=reading,
                windows=windows,
                outputs=task.outputs,
                overwrite=overwrite,
                resume=resume,
                progress=progress,
            )
        show_notes(task.src, [note for note in report.notes if note not in notes])
        return report

    def show_notes(src: str, notes: Sequence[str]) -> None:
        for note in () if quiet else notes:
            click.echo(f"Note: {shown_name(src)}: {note}", err=True)

    if out_dir is None:
        click.echo(format_report(run(tasks[0], "segmenting")))
        return
    of_shard = "" if shard[1] == 1 else f"-{shard[0]}-of-{shard[1]}"
    table = Path(summary or Path(out_dir) / f"summary{of_shard}.csv")
    run_many(tasks, run, words.class_names, table, overwrite=overwrite)


def run_many(
    tasks: Sequence[SceneTask], run: SegmentTask, classes: Sequence[str], table: Path, *, overwrite: Overwrite
) -> None:
    """Do all tasks, whatever becomes of each, and keep a table of them.

    Args:
        tasks: The scenes.
        run: Does one, with a title for its progress.
        classes: Names of the classes.
        table: The table, as CSV.
        overwrite: Do those again that are finished.

    Raises:
        click.ClickException: Scenes failed; the message lists them.
    """
    from .summary import Summary

    make_folders(tasks, table)
    summary = Summary(table, classes)
    failures = []
    for number, task in enumerate(tasks, start=1):
        title = f"{number}/{len(tasks)} {Path(task.src).name}"
        if Path(task.dst).exists() and not overwrite:
            summary.note_skipped(task.src, task.dst)
            continue
        started = time.monotonic()
        try:
            report = run(task, title)
        except (SegEarthError, RuntimeError, MemoryError, OSError) as error:
            if isinstance(error, CheckpointError):  # will be the same for all
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            failures.append(f"{task.src}: {reason}")
            summary.note_failed(task.src, task.dst, reason)
        else:
            summary.note_done(task.src, task.dst, time.monotonic() - started, report)
    if failures:
        listed = "\n  ".join(failures)
        raise click.ClickException(f"{len(failures)} of {len(tasks)} scenes failed:\n  {listed}")


def _warn_of_background(vocabulary: VocabularyOptions, words: Vocabulary, prob_threshold: float) -> None:
    """Warn where a background was chosen that takes no pixels, or where one takes them that was not chosen."""
    if vocabulary.background_given and vocabulary.background is not None and prob_threshold == 0:
        note = "--background has no effect without --prob-threshold, such as --prob-threshold 0.3"
        warnings.warn(note, VocabularyWarning, stacklevel=2)
    if not vocabulary.background_given and prob_threshold > 0 and words.class_names[0].lower() != "background":
        note = f"pixels below --prob-threshold become class 0, {words.class_names[0]!r}; choose by --background N"
        warnings.warn(note, VocabularyWarning, stacklevel=2)


def _only_task(paths: Sequence[str], outputs: Outputs) -> SceneTask:
    """The scene and the map of a call without --out-dir."""
    if len(paths) < 2:
        raise click.UsageError(f"Missing argument '{'DST' if paths else 'SRC'}'.")
    if len(paths) > 2:
        raise click.UsageError(f"expected SRC and DST, got {len(paths)} paths; for many scenes add --out-dir DIR")
    return SceneTask(paths[0], paths[1], outputs)


@contextlib.contextmanager
def progress_bar(title: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar over windows on standard error, with the time left."""
    from tqdm import tqdm

    with tqdm(desc=title, unit="window", disable=quiet) as bar:

        def show(done: int, total: int) -> None:
            if bar.total is None:  # what was done before an interruption says nothing about the speed
                bar.reset(total)
                bar.initial = bar.n = done
            bar.update(done - bar.n)

        yield show


def format_report(report: SceneReport) -> str:
    """The classes of a scene as a table of text: class, pixels, share of the valid pixels, hectares."""
    rows = [("class", "pixels", "share", "hectares")]
    for entry in report.classes:
        hectares = "-" if entry.hectares is None else f"{entry.hectares:.4f}"
        rows.append((entry.name, str(entry.pixels), f"{entry.share:.2%}", hectares))
    if report.invalid_pixels:
        rows.append(("(no data)", str(report.invalid_pixels), "-", "-"))
    return format_table(rows)
