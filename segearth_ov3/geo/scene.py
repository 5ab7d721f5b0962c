"""From a georeferenced picture to a class map: read, segment, measure, write.

Nothing here knows how pixels get their classes: `segment` is any callable from an image to labels and scores.
"""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import OptionError, RasterError, RasterWarning
from ..shapes import check_shape
from .area import measure_pixels, sum_by_class
from .maps import MAX_BYTE_CLASSES, check_labels, write_confidence, write_labels
from .output import GEOTIFF_SUFFIXES, PICTURE_SUFFIXES, check_destination, replace_when_complete
from .overlay import render_overlay
from .palette import Color, class_colors
from .raster import RgbScene, read_profile, read_rgb

if TYPE_CHECKING:
    from torch import Tensor

PathLike = str | os.PathLike[str]


class Segmented(Protocol):
    """What `segment` returns, on any device.

    Attributes:
        labels: Class of each pixel (H0, W0), an integer type.
        scores: Score of each class (C, H0, W0), 0 to 1; may be None where no confidence map is wanted.
    """

    @property
    def labels(self) -> Tensor:
        """Class of each pixel."""

    @property
    def scores(self) -> Tensor | None:
        """Score of each class."""


@dataclasses.dataclass(frozen=True)
class ClassArea:
    """How much of a scene a class covers.

    Attributes:
        name: Name of the class.
        pixels: Valid pixels of the class.
        share: Part of all valid pixels, 0 to 1.
        hectares: Area on the ground; None where the scene has none.
    """

    name: str
    pixels: int
    share: float
    hectares: float | None


@dataclasses.dataclass(frozen=True)
class SceneReport:
    """What was found in a scene.

    Attributes:
        classes: One entry per class, in label order.
        valid_pixels: Pixels with a class.
        invalid_pixels: Pixels without information, which have none.
        no_area_reason: Why there are no hectares, or None where there are.
    """

    classes: tuple[ClassArea, ...]
    valid_pixels: int
    invalid_pixels: int
    no_area_reason: str | None


def check_scene(
    src: PathLike,
    dst: PathLike,
    *,
    confidence: PathLike | None = None,
    overlay: PathLike | None = None,
    overwrite: bool = False,
) -> None:
    """Find out, before any computing, whether a scene can be read and its results can be written.

    Args:
        src, dst, confidence, overlay, overwrite: As in `segment_scene`.

    Raises:
        RasterError: As in `segment_scene`, except for damage that only reading all pixels reveals.
    """
    _check_destinations(src, dst, confidence, overlay, overwrite)
    read_profile(src)


def segment_scene(
    src: PathLike,
    dst: PathLike,
    segment: Callable[[np.ndarray], Segmented],
    *,
    classes: Sequence[str],
    colors: Sequence[Color] | None = None,
    confidence: PathLike | None = None,
    overlay: PathLike | None = None,
    overwrite: bool = False,
    tags: Mapping[str, Any] | None = None,
) -> SceneReport:
    """Label every pixel of a georeferenced picture.

    Args:
        src: The picture, see `geo.raster.read_rgb`.
        dst: Class map to write, see `geo.maps.write_labels`. It is written last: if it is there, everything is.
        segment: Called once with the image (H0, W0, 3), uint8.
        classes: Names of the C classes.
        colors: A colour per class; None chooses them by `geo.palette.class_colors`.
        confidence: Map of the best class score to write (float32 GeoTIFF), or None.
        overlay: Picture with legend to write (PNG or JPEG), or None.
        overwrite: Replace existing files.
        tags: More metadata for the maps, such as thresholds; what is not text is stored as JSON.

    Returns:
        Pixels, share and area of each class.

    Raises:
        RasterError: The picture cannot be used, or a result cannot be written; nothing is left half written.
        ShapeError: `segment` returned arrays that do not fit the image.
        OptionError: A label has no class, there is not one colour per class, a confidence map is wanted and `segment`
            gives no scores, or an overlay is wanted of more than 1000 classes without `colors`.

    Warns:
        RasterWarning: No areas can be given, or no pixel is valid.

    Example:
        >>> segmenter = Segmenter(load_sam3(), Vocabulary.from_text("background; building,house; road"))
        >>> names = segmenter.vocabulary.class_names
        >>> report = segment_scene("scene.tif", "classes.tif", segmenter, classes=names)
    """
    _check_destinations(src, dst, confidence, overlay, overwrite)
    if colors is None and (overlay is not None or len(classes) <= MAX_BYTE_CLASSES):
        colors = class_colors(classes)
    scene = read_rgb(src)
    labels, best_scores = _segmented(segment, scene.image, len(classes), confidence is not None)
    if confidence is not None and best_scores is not None:
        write_confidence(confidence, best_scores, scene.profile, valid=scene.valid, tags=tags, overwrite=overwrite)
    if overlay is not None and colors is not None:
        picture = render_overlay(scene.image, labels, classes, colors, scene.valid)
        with replace_when_complete(Path(overlay)) as partial:
            picture.save(partial)
    report = _report(labels, scene, classes)
    write_labels(dst, labels, scene.profile, classes, colors, valid=scene.valid, tags=tags, overwrite=overwrite)
    return report


def _check_destinations(
    src: PathLike, dst: PathLike, confidence: PathLike | None, overlay: PathLike | None, overwrite: bool
) -> None:
    """Check every file that will be written, and that they are different files."""
    wanted = [(dst, GEOTIFF_SUFFIXES), (confidence, GEOTIFF_SUFFIXES), (overlay, PICTURE_SUFFIXES)]
    seen: set[Path] = set()
    for path, suffixes in wanted:
        if path is None:
            continue
        target = check_destination(path, src, overwrite=overwrite, suffixes=suffixes).resolve()
        if target in seen:
            raise RasterError(f"cannot write {path} twice: class map, confidence and overlay need different names")
        seen.add(target)


def _segmented(
    segment: Callable[[np.ndarray], Segmented], image: np.ndarray, classes: int, with_confidence: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels (H0, W0) and, if wanted, the best class score (H0, W0), float32."""
    height, width = image.shape[:2]
    result = segment(image)
    check_shape("labels", result.labels, f"{height} {width}", "segment must keep the size of the image")
    labels = result.labels.cpu().numpy()
    check_labels(labels, classes)
    if not with_confidence:
        return labels, None
    if result.scores is None:
        raise OptionError("a confidence map needs class scores, but segment returned none")
    check_shape("scores", result.scores, f"{classes} {height} {width}", "one map of scores per class is needed")
    return labels, result.scores.amax(dim=0).float().cpu().numpy()


def _report(labels: np.ndarray, scene: RgbScene, classes: Sequence[str]) -> SceneReport:
    """Count pixels and areas, and warn where they say nothing."""
    counted = labels if scene.valid is None else labels[scene.valid]
    pixels = np.bincount(counted.ravel(), minlength=len(classes))
    total = int(pixels.sum())
    if total == 0:
        _warn(f"{scene.profile.path}: no pixel is valid, so none gets a class")
    hectares: list[float | None] = [None] * len(classes)
    no_area_reason = None
    try:
        areas = measure_pixels(scene.profile)
    except RasterError as error:
        no_area_reason = str(error)
        _warn(f"{scene.profile.path}: {no_area_reason}")
    else:
        hectares = (sum_by_class(labels, scene.valid, len(classes), areas) / 1e4).tolist()
    rows = zip(classes, pixels.tolist(), hectares)
    return SceneReport(
        classes=tuple(ClassArea(name, count, count / max(total, 1), area) for name, count, area in rows),
        valid_pixels=total,
        invalid_pixels=labels.size - total,
        no_area_reason=no_area_reason,
    )


def _warn(message: str) -> None:
    warnings.warn(message, RasterWarning, stacklevel=4)
