"""From a scene and a predictor to a job: windows, strips, and the settings that the labels depend on."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..errors import RasterError
from .area import measure_pixels
from .journal import BAND_ROWS
from .maps import LABEL_NODATA, MAX_BYTE_CLASSES, WIDE_LABEL_NODATA
from .options import FunctionPredictor, Predictor, WindowOptions
from .ownership import TAG_PREFIX
from .raster import RasterProfile
from .reader import SceneReader
from .remarks import describe_enlargement
from .stream import Job
from .tiles import ScenePlan, plan_scene, plan_strips

_SUMS_BYTES = 2**30  # for the sums of one row of windows, unless that is narrower than:
_LEAST_STRIP_WINDOWS = 8


def plan_job(reader: SceneReader, predictor: Predictor, classes: int, options: WindowOptions) -> Job:
    """Plan the windows and strips of a scene; what a user might want to know about them goes to the reader's notes.

    Args:
        reader: The scene.
        predictor: What scores the windows.
        classes: C.
        options: How the scene is cut into windows.

    Raises:
        RasterError: Windows are given in metres, and pixels have no area on the ground.
    """
    window = options.window or predictor.input_size
    if options.window_m is not None:
        window = max(round(options.window_m / _pixel_size_m(reader.profile)), 1)
    plan = plan_scene(reader.profile.size, window, options.overlap)
    if not isinstance(predictor, FunctionPredictor):  # functions get windows as they are
        reader.note(describe_enlargement(plan.side, predictor.input_size))
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


def job_tags(job: Job, options: WindowOptions) -> dict[str, Any]:
    """Return what the labels depend on besides scene and scores, as tags of the maps."""
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
        raise RasterError(f"{profile.shown}: {reason}; give the window in pixels instead of metres") from error
    middle = profile.height // 2
    return float(np.sqrt(areas.block(middle, middle + 1)[0, profile.width // 2]))
