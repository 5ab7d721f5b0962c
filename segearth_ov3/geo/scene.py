"""From a georeferenced raster of any size to a class map: read, score, blend, label, measure, write.

Nothing here knows how pixels get their scores: a predictor is anything that scores windows.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RasterError, RasterWarning
from ..vocabulary import Vocabulary, require_several_classes
from .area import measure_pixels
from .identity import check_identified, class_names_of, predictor_tags
from .journal import BAND_ROWS
from .maps import LABEL_NODATA, MAX_BYTE_CLASSES, WIDE_LABEL_NODATA
from .options import FunctionPredictor, Outputs, PathLike, PredictFunction, Predictor, WindowOptions
from .ownership import TAG_PREFIX, Overwrite
from .palette import MAX_COLORS, Color, class_colors
from .polygonize import polygonize
from .raster import RasterProfile, open_scene
from .reader import ReadOptions, SceneReader
from .remarks import describe_enlargement
from .report import ClassArea, ClassCounter, SceneReport
from .results import Results, layers_of
from .stream import Job, Progress, run_job
from .tiles import ScenePlan, plan_scene, plan_strips
from .unfinished import open_journal
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

_SUMS_BYTES = 2**30  # for the sums of one row of windows, unless that is narrower than:
_LEAST_STRIP_WINDOWS = 8

_READING = ReadOptions()
_WINDOWS = WindowOptions()
_OUTPUTS = Outputs()


def check_scene(
    src: PathLike,
    dst: PathLike,
    *,
    reading: ReadOptions = _READING,
    outputs: Outputs = _OUTPUTS,
    overwrite: Overwrite = False,
    resume: bool = False,
) -> tuple[str, ...]:
    """Find out, before any computing, whether a scene can be read and its results can be written.

    Args:
        src, dst, reading, outputs, overwrite, resume: As in `segment_scene`.

    Returns:
        What was decided about the scene that a user might want to know.

    Raises:
        RasterError: As in `segment_scene`, except for damage that only reading all pixels reveals.
    """
    results = Results(src, dst, outputs, access=reading.access, overwrite=overwrite, resume=resume)
    with open_scene(src, reading) as reader:
        _check_vector(results, reader.profile)
        return tuple(reader.notes)


def segment_scene(
    src: PathLike,
    dst: PathLike,
    predict: Predictor | PredictFunction,
    *,
    classes: Sequence[str] | None = None,
    colors: Sequence[Color] | None = None,
    reading: ReadOptions = _READING,
    windows: WindowOptions = _WINDOWS,
    outputs: Outputs = _OUTPUTS,
    overwrite: Overwrite = False,
    resume: bool = False,
    tags: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> SceneReport:
    """Label every pixel of a georeferenced raster.

    Class scores of overlapping windows are blended, and labels are taken of the blended scores. Memory does not depend
    on the height of the scene. Finished rows are kept beside `dst` until it is complete, so that a run that ended early
    can go on.

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
        resume: Go on with unfinished work if there is any; the result is the same to the last byte.
        tags: More metadata for the maps; what is not text is stored as JSON. Names that begin with SEGEARTH_OV3_ or
            CLASS_ are set by this package.
        progress: Called with the windows done and their total.

    Returns:
        Pixels, share and area of each class.

    Raises:
        RasterError: The raster cannot be used, a result cannot be written, or unfinished work is in the way or was done
            with other settings. Nothing is left half written.
        ShapeError: `predict` returned scores of another shape.
        ScoreError: `predict` returned scores that are not finite.
        OptionError: There is not one colour per class; classes contradict the predictor's; `resume` with a predictor
            that neither describes itself nor has `tags`; a tag has a name that is set by this package.
        VocabularyError: There is one class only, which every pixel would get, and no map of scores is wanted.

    Warns:
        RasterWarning: Something limits what the result means: no areas, no valid pixel, a doubtful mask.

    Example:
        >>> vocabulary = Vocabulary.from_text("background; building,house; road")
        >>> segmenter = Segmenter(load_sam3(), vocabulary, prob_threshold=0.3)
        >>> report = segment_scene("scene.tif", "classes.tif", segmenter)
    """
    predictor = predict if isinstance(predict, Predictor) else FunctionPredictor(predict)
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
        job = _job(reader, predictor, len(classes), windows)
        if not isinstance(predictor, FunctionPredictor):  # functions get windows as they are
            reader.note(describe_enlargement(job.plan.side, predictor.input_size))
        facts = {**predictor_tags(predictor, tags or {}), **_facts(job, windows)}
        kinds = results.kinds(classes, colors, facts)
        settings = {**_source_facts(src), "reading": dataclasses.asdict(reading), "classes": list(classes)}
        settings |= {"colors": colors, "maps": list(kinds), "batch": job.batch, "strips": job.strips, **facts}
        with open_journal(
            Path(dst),
            settings,
            layers_of(kinds),
            reader.profile.size,
            job.strips,
            resume=resume,
            overwrite=bool(overwrite),
        ) as journal:
            run_job(job, journal, progress)
            counter = results.write(journal, reader, kinds, classes, colors, _vectorizer(results))
    return _told(counter, reader)


def _check_vector(results: Results, profile: RasterProfile) -> None:
    """Make sure that polygons can be written in the format wanted."""
    if "vector" in results.paths:
        check_vector_destination(results.paths["vector"], profile, overwrite="force")


def _vectorizer(results: Results) -> Callable[[Path], object] | None:
    """What makes polygons of a class map, if they are wanted."""
    if "vector" not in results.paths:
        return None
    dst, confidence = results.paths["vector"], results.paths.get("confidence")

    def write(labels: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RasterWarning)  # the report of the scene says the same under its final name
            polygonize(labels, dst, confidence=confidence, overwrite="force")

    return write


def _job(reader: SceneReader, predictor: Predictor, classes: int, options: WindowOptions) -> Job:
    """Plan the work."""
    window = options.window or predictor.input_size
    if options.window_m is not None:
        window = max(round(options.window_m / _pixel_size_m(reader.profile)), 1)
    plan = plan_scene(reader.profile.size, window, options.overlap)
    return Job(
        reader=reader,
        plan=plan,
        strips=plan_strips(plan, options.strip_px or _strip_px(plan, classes)),
        predict=predictor.class_scores,
        classes=classes,
        blending=options.blending,
        batch=options.batch,
        prob_threshold=predictor.prob_threshold,
        background=predictor.background,
        nodata=LABEL_NODATA if classes <= MAX_BYTE_CLASSES else WIDE_LABEL_NODATA,
    )


def _strip_px(plan: ScenePlan, classes: int) -> int:
    """Width of a strip whose sums fit into the memory meant for them, but not so narrow that much is done twice."""
    fitting = _SUMS_BYTES // (classes * (plan.side + BAND_ROWS) * np.dtype(np.float32).itemsize)
    return max(fitting, _LEAST_STRIP_WINDOWS * plan.side)


def _pixel_size_m(profile: RasterProfile) -> float:
    """Side of a square as large as the pixel in the middle, in metres.

    Raises:
        RasterError: Pixels have no area on the ground.
    """
    try:
        areas = measure_pixels(profile)
    except RasterError as error:
        reason = str(error).removeprefix("no areas: ")
        raise RasterError(f"{profile.path}: {reason}; give the window in pixels instead of metres") from error
    middle = profile.height // 2
    return float(np.sqrt(areas.block(middle, middle + 1)[0, profile.width // 2]))


def _facts(job: Job, options: WindowOptions) -> dict[str, Any]:
    """What the labels depend on besides scene and scores, as tags of the maps."""
    reader = job.reader
    facts = {
        "prob_threshold": job.prob_threshold,
        "background": job.background,
        "window_px": job.plan.side,
        "overlap": options.overlap,
        "blending": job.blending,
        "bands": reader.profile.bands.rgb,
        "stretch": None if reader.stretch is None else dataclasses.asdict(reader.stretch),
        "validity": dataclasses.asdict(reader.validity),
    }
    return {f"{TAG_PREFIX}{name.upper()}": value for name, value in facts.items()}


def _source_facts(src: PathLike) -> dict[str, Any]:
    """What tells a file from another of the same name; nothing about what is not a file."""
    try:
        status = os.stat(src)
    except OSError:
        return {"source": str(src)}
    return {"source": Path(src).name, "source bytes": status.st_size, "source time": status.st_mtime_ns}


def _told(counter: ClassCounter, reader: SceneReader) -> SceneReport:
    """The report, after its warnings were given."""
    path, found = reader.profile.path, list(reader.warnings)
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
    return counter.report(reader.notes, found)
