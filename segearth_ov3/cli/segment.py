"""`segearth-ov3 segment`: rasters in, class maps out."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..messages import say
from ..vocabulary import require_several_classes
from .batch import plan_many, run_many
from .options import (
    ModelOptions,
    ScoreOptions,
    model_options,
    overwrite_option,
    refiner_option,
    score_options,
)
from .running import SceneRunner, format_plan
from .scene_options import colors_option, output_options, reading_options, window_options
from .scenes import DEFAULT_NAME, SceneTask, ShardType, expand_sources, plan_tasks
from .vocabulary_options import VocabularyOptions, vocabulary_options

if TYPE_CHECKING:
    from ..geo.options import Outputs, Predictor, WindowOptions
    from ..geo.ownership import Overwrite
    from ..geo.reader import ReadOptions
    from ..refiners import Refiner


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
@colors_option
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
@click.option(
    "--summary",
    metavar="FILE",
    help="With --out-dir: table of all scenes  [default: DIR/summary.csv, with --shard DIR/summary-I-of-N.csv]",
)
@overwrite_option
@click.option("--resume", is_flag=True, help="Resume an interrupted run with the same settings; keep complete maps.")
@click.option("--dry-run", is_flag=True, help="Print bands, windows, outputs and time (one window is tried), no more.")
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
    colors_file: str | None,
    out_dir: str | None,
    name: str,
    shard: tuple[int, int],
    summary: str | None,
    overwrite: Overwrite,
    resume: bool,
    dry_run: bool,
    quiet: bool,
) -> None:
    """Label every pixel of the raster SRC with a class and write the map DST, or do so for many scenes.

    SRC is a GeoTIFF or anything else that GDAL opens, of any size and depth. DST is a GeoTIFF of the same place and
    size: the number of the class, counted from 0 in the order given; 255 where SRC has no data. A table of pixels,
    shares and areas goes to standard output. Of many scenes, a table goes to summary.csv; complete maps of the same
    settings are kept, and outputs that are missing are made.

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
        for option, is_given in (("--name", name != DEFAULT_NAME), ("--shard", shard[1] > 1), ("--summary", summary)):
            if is_given:
                raise click.UsageError(f"{option} is for many scenes; add --out-dir DIR")
        tasks = [_only_task(paths, outputs)]
    else:
        tasks = plan_tasks(expand_sources(paths), out_dir, name, outputs, shard)
    words = vocabulary.load(scores.prob_threshold)
    if outputs.confidence is None and outputs.scores is None:
        require_several_classes(words.classes)
    from ..geo.color_file import read_colors

    colors = None if colors_file is None else read_colors(colors_file, words.class_names)

    @functools.cache
    def load() -> Predictor:
        network = model.load()
        from ..geo.options import FixedPredictor
        from ..segmenter import Segmenter

        segmenter = Segmenter(network, words, refiners=refiners, compile=compile, **vars(scores))
        return FixedPredictor(segmenter, segmenter.describe())

    runner = SceneRunner(load, words.class_names, colors, reading, windows, overwrite, resume, quiet)
    if dry_run:
        plan_many(tasks, lambda task: format_plan(task, runner.plan(task)))
    elif out_dir is None:
        report = runner.run(tasks[0], "segmenting")
        if not report.written and not quiet:
            say(f"{tasks[0].dst} is complete; nothing was left to do")
        click.echo(str(report))
    else:
        of_shard = "" if shard[1] == 1 else f"-{shard[0]}-of-{shard[1]}"
        table = Path(summary or Path(out_dir) / f"summary{of_shard}.csv")
        with runner.notes:
            run_many(tasks, runner.run_missing, words.class_names, table)


def _only_task(paths: Sequence[str], outputs: Outputs) -> SceneTask:
    """The scene and the map of a call without --out-dir."""
    if len(paths) < 2:
        raise click.UsageError(f"Missing argument '{'DST' if paths else 'SRC'}'.")
    if len(paths) > 2:
        raise click.UsageError(f"expected SRC and DST, got {len(paths)} paths; for many scenes add --out-dir DIR")
    return SceneTask(paths[0], paths[1], outputs)
