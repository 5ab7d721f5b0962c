"""`segearth-ov3 segment`: a picture in, a class map out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from ..errors import VocabularyWarning
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

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ..geo.scene import SceneReport
    from ..refiners import Refiner
    from ..segmenter import Segmentation, Segmenter


@click.command()
@click.argument("src")
@click.argument("dst")
@vocabulary_options
@model_options
@score_options
@refiner_option
@click.option("--window", type=click.IntRange(min=1), metavar="PX", help="Side of the windows of large images.")
@click.option("--stride", type=click.IntRange(min=1), metavar="PX", help="Step of the windows [default: --window].")
@click.option("--confidence", metavar="FILE", help="Also write the best class score, 0 to 1, as a float32 GeoTIFF.")
@click.option("--overlay", metavar="FILE", help="Also write a picture (PNG, JPEG) of the classes with a legend.")
@overwrite_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
def segment(
    src: str,
    dst: str,
    vocabulary: VocabularyOptions,
    model: ModelOptions,
    scores: ScoreOptions,
    refiners: tuple[Refiner, ...],
    window: int | None,
    stride: int | None,
    confidence: str | None,
    overlay: str | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Label every pixel of the image SRC with a class and write the map DST.

    SRC is a GeoTIFF (or PNG, JPEG) with 8-bit red, green and blue. DST is a GeoTIFF of the same place and size: the
    number of the class, counted from 0 in the order given; 255 where SRC has no data. A table of pixels, shares and
    areas goes to standard output.

    \b
    Examples:
      segearth-ov3 segment scene.tif classes.tif --classes "background; building,house; road; water"
      segearth-ov3 segment scene.tif classes.tif --vocab classes.txt --background none --overlay classes.png
      segearth-ov3 segment scene.tif classes.tif --vocab classes.txt --prob-threshold 0.3 --confidence sure.tif
      segearth-ov3 segment scene.tif classes.tif --vocab classes.txt --window 1008 --stride 756 --overwrite
      segearth-ov3 segment scene.tif classes.tif --vocab classes.txt --refiner smoothing:weight=0.2,at=memory
    """
    words = vocabulary.load()
    _check_windows(window, stride)
    if scores.prob_threshold > 0 and not vocabulary.background_given:
        note = f"pixels below --prob-threshold become class 0, {words.class_names[0]!r}; choose by --background N"
        warnings.warn(note, VocabularyWarning, stacklevel=1)
    from ..geo.scene import check_scene, segment_scene

    # mistakes are told before the weights are loaded, which takes long
    check_scene(src, dst, confidence=confidence, overlay=overlay, overwrite=overwrite)
    network = model.load()
    from ..segmenter import Segmenter

    segmenter = Segmenter(network, words, refiners=refiners, window=window, stride=stride, **vars(scores))
    report = segment_scene(
        src,
        dst,
        with_progress(segmenter, labels_only=confidence is None, quiet=quiet),
        classes=words.class_names,
        confidence=confidence,
        overlay=overlay,
        overwrite=overwrite,
        tags=provenance(segmenter, model),
    )
    click.echo(format_report(report))


def format_report(report: SceneReport) -> str:
    """The classes of a scene as a table of text: class, pixels, share of the valid pixels, hectares."""
    rows = [("class", "pixels", "share", "hectares")]
    for entry in report.classes:
        hectares = "-" if entry.hectares is None else f"{entry.hectares:.4f}"
        rows.append((entry.name, str(entry.pixels), f"{entry.share:.2%}", hectares))
    if report.invalid_pixels:
        rows.append(("(no data)", str(report.invalid_pixels), "-", "-"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
        for row in rows
    )


def _check_windows(window: int | None, stride: int | None) -> None:
    if stride is not None and (window is None or stride > window):
        raise click.UsageError(f"--stride {stride} needs a --window of at least {stride}, or pixels are left out")


class LabelMap(NamedTuple):
    """Labels (H0, W0) without scores, which are quicker to have."""

    labels: Tensor
    scores: None = None


def with_progress(
    segmenter: Segmenter, *, labels_only: bool, quiet: bool
) -> Callable[[np.ndarray], Segmentation | LabelMap]:
    """The segmenter with a progress bar over its windows, on standard error."""

    def run(image: np.ndarray) -> Segmentation | LabelMap:
        from tqdm import tqdm

        with tqdm(desc="segmenting", unit="window", disable=quiet) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            return LabelMap(segmenter.predict_labels(image, show)) if labels_only else segmenter(image, show)

    return run


def provenance(segmenter: Segmenter, model: ModelOptions) -> dict[str, Any]:
    """What the result depends on, as tags of the maps."""
    from ..version import __version__

    settings = {f"SEGEARTH_OV3_{key.upper()}": value for key, value in segmenter.describe().items()}
    return {
        "TIFFTAG_SOFTWARE": f"segearth-ov3 {__version__}",
        "SEGEARTH_OV3_VERSION": __version__,
        "SEGEARTH_OV3_CHECKPOINT": model.checkpoint_name,
        **settings,
    }
