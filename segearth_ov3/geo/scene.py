"""From a georeferenced raster of any size to a class map: read, score, blend, label, measure, write.

Nothing here knows how pixels get their scores: a predictor is anything that scores windows.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import RasterError, RasterWarning
from ..vocabulary import Vocabulary, require_several_classes
from .arguments import as_predictor, check_arguments
from .facts import SourceFacts, check_unchanged, source_facts
from .identity import check_identified, class_names_of, predictor_tags
from .options import FunctionPredictor, Outputs, PathLike, PredictFunction, Predictor, WindowOptions
from .ownership import Overwrite
from .palette import MAX_COLORS, Color, class_colors
from .planning import job_tags, plan_job
from .progress import ProgressOption
from .raster import RasterProfile, open_scene
from .reader import ReadOptions, SceneReader
from .report import ClassArea, ClassCounter, SceneReport
from .results import Results, layers_of
from .scene_outputs import SceneOutputs
from .space import check_space
from .stream import Job, run_job
from .unfinished import check_unfinished, open_journal
from .vectors import check_vector_destination

__all__ = [
    "ClassArea",
    "FunctionPredictor",
    "Outputs",
    "Predictor",
    "ReadOptions",
    "SceneReport",
    "WindowOptions",
    "check_scene",
    "segment_scene",
]

_READING = ReadOptions()
_WINDOWS = WindowOptions()
_OUTPUTS = Outputs()


def check_scene(
    src: PathLike,
    dst: PathLike,
    *,
    classes: Sequence[str] = (),
    reading: ReadOptions = _READING,
    outputs: Outputs = _OUTPUTS,
    overwrite: Overwrite = False,
    resume: bool = False,
) -> tuple[str, ...]:
    """Find out, before weights are loaded, whether a scene can be read and its results can be written.

    Args:
        src, dst, classes, reading, outputs, overwrite, resume: As in `segment_scene`.

    Returns:
        What was decided about the scene that a user might want to know.

    Raises:
        RasterError: As in `segment_scene`, except for damage that only reading all pixels reveals, and for settings of
            a map or of unfinished work that depend on the predictor.
    """
    results = Results(src, dst, outputs, access=reading.access, overwrite=overwrite, resume=resume)
    with open_scene(src, reading) as reader:
        _check_vector(results, reader.profile)
        if not results.is_complete:
            known = _reading_settings(source_facts(reader), reading)
            check_unfinished(Path(dst), known, resume=resume, overwrite=bool(overwrite))
            check_space(results.paths, reader.profile.size, len(classes), warn=False)
        return tuple(reader.notes)


def segment_scene(
    src: PathLike,
    dst: PathLike,
    predict: Predictor | PredictFunction,
    *,
    classes: Sequence[str] | Vocabulary | None = None,
    colors: Sequence[Color] | None = None,
    reading: ReadOptions = _READING,
    windows: WindowOptions = _WINDOWS,
    outputs: Outputs = _OUTPUTS,
    overwrite: Overwrite = False,
    resume: bool = False,
    tags: Mapping[str, Any] | None = None,
    progress: ProgressOption = "bar",
) -> SceneReport:
    """Label every pixel of a georeferenced raster.

    Class scores of overlapping windows are blended, and labels are taken of the blended scores. Memory does not depend
    on the height of the scene. Finished rows are kept next to `dst` until it is complete, so that an interrupted run
    can resume.

    Args:
        src: The raster, see `geo.raster.open_scene`.
        dst: Class map to write, see `geo.maps`. It gets its name last: if it is there, everything is.
        predict: A `Segmenter`, any other `Predictor`, or a function from windows (B, S, S, 3), uint8, to class scores
            (B, C, S, S), 0 to 1 (then every pixel gets its best class).
        classes: Names of the C classes. None: the predictor's `class_names`, which other names may not contradict.
        colors: A colour per class; None chooses them by `geo.palette.class_colors`.
        reading: How the raster becomes 8-bit RGB.
        windows: How it is cut into windows.
        outputs: What is written besides.
        overwrite: Replace existing outputs of this tool, and drop unfinished work; "force": replace any file.
        resume: Resume unfinished work if there is any; the result is byte-identical. A complete map that was made with
            the same settings is kept, and outputs that are missing are made from it where that is possible.
        tags: More metadata for the maps; what is not text is stored as JSON. Names that begin with SEGEARTH_OV3_ or
            CLASS_ are set by this package.
        progress: Called with the windows done and their total. "bar" shows a bar in a notebook or on a terminal; None
            shows nothing.

    Returns:
        Pixels, share and area of each class, and which files were written.

    Raises:
        RasterError: The raster cannot be used or was changed while it was read; a result cannot be written; unfinished
            work is in the way; or it, or the complete map, was made with other settings. Nothing is left half written.
        ShapeError: `predict` returned scores of another shape.
        ScoreError: `predict` returned scores that are not finite.
        OptionError: There is not one colour per class; classes contradict the predictor's; `resume` with a predictor
            that neither describes itself nor has `tags`; a tag has a name that is set by this package; an argument has
            another type.
        VocabularyError: There is one class only, which every pixel would get, and no map of scores is wanted.

    Warns:
        RasterWarning: Something limits what the result means: no areas, no valid pixel, a doubtful mask.

    Example:
        >>> vocabulary = Vocabulary.from_text("background; building,house; road")
        >>> segmenter = Segmenter(load_sam3(), vocabulary, prob_threshold=0.3)
        >>> report = segment_scene("scene.tif", "classes.tif", segmenter)
    """
    check_arguments(src, dst, progress, reading=reading, windows=windows, outputs=outputs)
    predictor = as_predictor(predict)
    if isinstance(classes, Vocabulary):
        classes = classes.class_names
    classes = class_names_of(predictor, classes)
    if outputs.confidence is None and outputs.scores is None:
        vocabulary = getattr(predictor, "vocabulary", None)
        require_several_classes(vocabulary.classes if isinstance(vocabulary, Vocabulary) else [[c] for c in classes])
    if resume:
        check_identified(predictor, tags or {})
    results = Results(src, dst, outputs, access=reading.access, overwrite=overwrite, resume=resume)
    if colors is None and len(classes) <= MAX_COLORS:
        colors = class_colors(classes)
    with open_scene(src, reading) as reader:
        _check_vector(results, reader.profile)
        job = plan_job(reader, predictor, len(classes), windows)
        source = source_facts(reader)
        identity = {**predictor_tags(predictor, tags or {}), **job_tags(job, windows)}
        kinds = results.kinds(classes, colors, {**identity, **source.tags()})
        scene = SceneOutputs(results, reader, classes, colors, kinds)
        settings = {**_reading_settings(source, reading), "classes": list(classes), "colors": colors}
        settings |= {"maps": list(kinds), "batch": job.batch, "strips": job.strips, **identity}
        counter = scene.complete(settings) if results.is_complete else None
        if counter is None:
            counter = _segment(job, scene, source, settings, progress, resume=resume, overwrite=bool(overwrite))
        return _report(counter, reader, scene.written)


def _segment(
    job: Job,
    scene: SceneOutputs,
    source: SourceFacts,
    settings: Mapping[str, Any],
    progress: ProgressOption,
    **options: bool,
) -> ClassCounter:
    """Score all windows that are not finished and write all outputs."""
    reader, paths = scene.reader, scene.results.paths
    check_space(paths, reader.profile.size, job.classes)
    layers = layers_of(scene.kinds)
    with open_journal(paths["labels"], settings, layers, reader.profile.size, job.strips, **options) as journal:

        def check_source() -> None:
            try:
                check_unchanged(source, reader)
            except RasterError:
                journal.discard()
                raise

        run_job(job, journal, progress)
        return scene.write(journal, check_source)


def _reading_settings(source: SourceFacts, reading: ReadOptions) -> dict[str, Any]:
    """The settings of unfinished work that are known without a predictor."""
    return {**source.settings(), "reading": dataclasses.asdict(reading)}


def _check_vector(results: Results, profile: RasterProfile) -> None:
    """Make sure that polygons can be written in the format wanted."""
    if "vector" in results.paths:
        check_vector_destination(results.paths["vector"], profile, overwrite="force")


def _report(counter: ClassCounter, reader: SceneReader, written: Sequence[Path]) -> SceneReport:
    """Give the warnings of a scene, and return its report."""
    path, found = reader.profile.shown, list(reader.warnings)
    invalid = 1 - counter.valid_pixels / (reader.profile.height * reader.profile.width)
    if counter.valid_pixels == 0:
        found.append("no pixel is valid, so none gets a class")
    elif 255 in reader.validity.nodata and invalid > 0 and reader.stretch is None:
        found.append(
            f"nodata is 255, which bright roofs or sand have too; {invalid:.2%} of the pixels are white and get no "
            f"class; if they are real, say --nodata none"
        )
    if counter.no_area_reason is not None:
        found.append(counter.no_area_reason)
    for message in found:
        warnings.warn(f"{path}: {message}", RasterWarning, stacklevel=3)
    return counter.report(reader.notes, found, written)
