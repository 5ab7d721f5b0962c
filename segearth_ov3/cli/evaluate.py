"""`segearth-ov3 evaluate`: measure segmentation on your own images and labels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import OptionError
from ..vocabulary import require_several_classes
from .evaluate_options import OwnData, RunOptions, data_options, run_options
from .options import (
    ModelOptions,
    ScoreOptions,
    model_options,
    refiner_option,
    score_options,
)
from .scene_options import reading_options
from .vocabulary_options import VocabularyOptions, vocabulary_options

if TYPE_CHECKING:
    from ..geo.reader import ReadOptions
    from ..refiners import Refiner
    from ..vocabulary import Vocabulary


@click.command()
@data_options
@vocabulary_options
@model_options
@score_options
@refiner_option
@reading_options
@run_options
def evaluate(
    data: OwnData,
    vocabulary: VocabularyOptions,
    model: ModelOptions,
    scores: ScoreOptions,
    refiners: tuple[Refiner, ...],
    reading: ReadOptions,
    run: RunOptions,
) -> None:
    """Measure segmentation on your own images IMAGES and labels LABELS.

    Each is a folder, a pattern in quotes, or a file: GeoTIFF, PNG or JPEG. An image and a label belong together where
    their names are equal without suffix, or where the wildcards of both patterns stand for the same text. PAIRS.csv
    has the columns image and label instead.

    Labels hold class indices from 0 in the order of the classes, 255 where unknown; --label-map translates other
    values, --colors reads colours. A table goes to standard output; results.json and results.md go to --out.

    \b
    Examples:
      segearth-ov3 evaluate images masks --classes "background; building" --prob-threshold 0.3 --label-map 255:1
      segearth-ov3 evaluate images masks --vocab classes.txt --colors colors.txt --show-dir pictures
      segearth-ov3 evaluate "tiles/*_rgb.tif" "tiles/*_mask.tif" --vocab classes.txt --window 512 --stride 341
      segearth-ov3 evaluate pairs.csv --vocab classes.txt --limit 20 --save-config my_set.py
    """
    words = vocabulary.load(scores.prob_threshold)
    require_several_classes(words.classes)
    dataset = data.dataset(words.class_names)
    name = set_name(Path(dataset["data_root"]))
    target = None if run.save_config is None else _free(Path(run.save_config), overwrite=run.overwrite)
    from ..metrics.report import to_markdown
    from ..mmseg_plugin.configuration import check_before_loading
    from ..mmseg_plugin.evaluation import Outputs
    from ..mmseg_plugin.evaluation import evaluate as run_evaluation
    from ..mmseg_plugin.own_config import config_text, load_text

    settings, steps = _model(words, model, scores, refiners, run), _steps(data, words.class_names, reading)
    text = config_text(name, settings, dataset, steps, headline=run.headline, loader=run.loader)
    config = load_text(text, target.name if target else f"{name}.py")
    checked = check_before_loading(config, run.limit)
    if target is not None:
        _write(target, text)
    folder = Path(run.out or Path("work_dirs", name))
    outputs = Outputs(
        folder,
        resume=run.resume,
        overwrite=run.overwrite,
        predictions=run.save_predictions,
        pictures=Path(run.show_dir) if run.show_dir else None,
    )
    click.echo(to_markdown(run_evaluation(config, checked, outputs)), nl=False)
    click.echo(f"Results are in {folder}.", err=True)


def set_name(folder: Path) -> str:
    """Name an own set after its folder; names of benchmark sets get a prefix, as their facts do not hold for it."""
    from ..datasets import SPECS

    name = re.sub(r"\W+", "_", folder.name) or "own"
    return f"own_{name}" if name in SPECS else name


def _model(
    words: Vocabulary, model: ModelOptions, scores: ScoreOptions, refiners: tuple[Refiner, ...], run: RunOptions
) -> dict[str, Any]:
    """Return the arguments of `SegEarthOV3Segmentor`."""
    from ..refiners import describe_refiner
    from .options import resolve_device, resolve_dtype

    device = resolve_device(model.device)
    return {
        "vocabulary": [",".join(synonyms) for synonyms in words.classes],
        "background": words.background,
        "checkpoint": _absolute(model.checkpoint),
        "device": None if model.device == "auto" else model.device,
        "dtype": str(resolve_dtype(model.dtype, device)).removeprefix("torch."),
        **vars(scores),
        "refiners": [describe_refiner(refiner) for refiner in refiners],
        "window": run.window,
        "stride": run.stride,
    }


def _steps(data: OwnData, classes: tuple[str, ...], reading: ReadOptions) -> list[dict[str, Any]]:
    """Return the pipeline; options of reading that are the default are left out."""
    from ..geo.reader import ReadOptions
    from ..mmseg_plugin.own_config import label_step, pipeline

    default = vars(ReadOptions())
    changed = {field: value for field, value in vars(reading).items() if value != default[field]}
    return pipeline(label_step(data.color_table(classes)), changed)


def _absolute(checkpoint: str | None) -> str | None:
    """A path that holds in every working directory; names such as demo stay."""
    return str(Path(checkpoint).absolute()) if checkpoint is not None and Path(checkpoint).exists() else checkpoint


def _free(path: Path, *, overwrite: bool) -> Path:
    """Refuse a file that exists, or whose folder does not."""
    if path.exists() and not overwrite:
        raise OptionError(f"cannot write {path}: it exists; use --overwrite to replace it")
    if not path.absolute().parent.is_dir():
        raise OptionError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
    return path


def _write(path: Path, text: str) -> None:
    """Write a configuration, complete or not at all."""
    from ..atomic import complete_or_absent

    try:
        with complete_or_absent(path) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror}") from error
