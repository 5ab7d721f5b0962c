"""What a scene is segmented with and how: the predictor, the windows, the outputs."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from ..errors import OptionError
from .blend import BLENDINGS
from .tiles import MAX_OVERLAP

if TYPE_CHECKING:
    from torch import Tensor

PathLike = str | os.PathLike[str]
PredictFunction = Callable[[np.ndarray], "np.ndarray | Tensor"]


@runtime_checkable
class Predictor(Protocol):
    """Scores windows and says how scores become labels; a `Segmenter` is one.

    A predictor may also have `class_names`, the names of its C classes, and `describe`, see `Described`.

    Attributes:
        prob_threshold: Pixels whose best score is below it become background.
        background: Class of such pixels; None gives every pixel its best class.
        input_size: Side of the windows in pixels that need no resampling.
    """

    @property
    def prob_threshold(self) -> float:
        """Least best score."""

    @property
    def background(self) -> int | None:
        """Class of pixels below it."""

    @property
    def input_size(self) -> int:
        """Side of the best windows."""

    def class_scores(self, images: np.ndarray) -> np.ndarray | Tensor:
        """From windows (B, S, S, 3), uint8, to scores (B, C, S, S), 0 to 1."""


@runtime_checkable
class Described(Protocol):
    """Says what its scores depend on, so that maps and unfinished work of another predictor are recognised."""

    def describe(self) -> Mapping[str, Any] | None:
        """Return everything that scores depend on besides the image, in JSON types; None if nothing is known."""


@dataclasses.dataclass(frozen=True)
class FunctionPredictor:
    """A predictor made of a function.

    Attributes:
        class_scores, prob_threshold, background, input_size: As of `Predictor`.
        description: What `describe` returns: name, version and settings of the function. It is stored in the maps, and
            an interrupted run is resumed only if it is the same. None: unknown.
    """

    class_scores: PredictFunction
    prob_threshold: float = 0.0
    background: int | None = None
    input_size: int = 1008
    description: Mapping[str, Any] | None = None

    def describe(self) -> Mapping[str, Any] | None:
        """Return the description."""
        return self.description


@dataclasses.dataclass(frozen=True)
class FixedPredictor:
    """A predictor that nothing changes any more, so it is described once for many scenes.

    Attributes:
        predictor: The predictor.
        description: What its `describe` returned.
    """

    predictor: Predictor
    description: Mapping[str, Any]

    @property
    def prob_threshold(self) -> float:
        """As of `Predictor`."""
        return self.predictor.prob_threshold

    @property
    def background(self) -> int | None:
        """As of `Predictor`."""
        return self.predictor.background

    @property
    def input_size(self) -> int:
        """As of `Predictor`."""
        return self.predictor.input_size

    def class_scores(self, images: np.ndarray) -> np.ndarray | Tensor:
        """As of `Predictor`."""
        return self.predictor.class_scores(images)

    def describe(self) -> Mapping[str, Any]:
        """Return the description."""
        return self.description


@dataclasses.dataclass(frozen=True)
class WindowOptions:
    """How a scene is cut into windows.

    Attributes:
        window: Side of the windows in pixels; None: the predictor's input size.
        window_m: Side in metres on the ground, in place of `window`.
        overlap: Share of a window that its neighbour covers too, 0 to 0.9; more means smoother and slower.
        blending: "cosine", "uniform" or "centre", see `geo.blend`.
        batch: Windows that are scored together; more suit a large GPU. Results may differ by rounding.
        strip_px: Width in pixels of the strips in which wide scenes are worked off, narrower ones need less memory;
            None: as wide as fits in 1 GiB of sums, and at least 8 windows. Results are the same.

    Raises:
        OptionError: A value is not admissible, or both `window` and `window_m` are given.
    """

    window: int | None = None
    window_m: float | None = None
    overlap: float = 0.25
    blending: str = "cosine"
    batch: int = 1
    strip_px: int | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.window_m is not None:
            raise OptionError("expected the window in pixels or in metres, got both")
        if self.window_m is not None and not 0 < self.window_m < np.inf:
            raise OptionError(f"expected window_m as a positive number of metres, got {self.window_m}")
        if not 0 <= self.overlap <= MAX_OVERLAP:
            raise OptionError(f"overlap must be a share of the window, 0 to {MAX_OVERLAP}, got {self.overlap}")
        if self.blending not in BLENDINGS:
            raise OptionError(f"unknown blending {self.blending!r}, known: {', '.join(BLENDINGS)}")
        for name in ("window", "batch", "strip_px"):
            value = getattr(self, name)
            if not (value is None and name != "batch") and (type(value) is not int or value < 1):
                raise OptionError(f"expected {name} as a whole number of at least 1, got {value!r}")


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What is written besides the class map.

    Attributes:
        confidence: Map of the best class score (float32 GeoTIFF), or None.
        scores: Map of the scores of all classes (uint8 GeoTIFF, a band per class), or None.
        overlay: Picture with legend (PNG or JPEG), or None.
        vector: Polygons of the classes (see `geo.polygonize`), with the mean of `confidence` if there is one; or None.
        style: Write a style file for QGIS beside the class map.
        cog: Arrange the maps as cloud-optimised GeoTIFFs.
    """

    confidence: PathLike | None = None
    scores: PathLike | None = None
    overlay: PathLike | None = None
    vector: PathLike | None = None
    style: bool = True
    cog: bool = False
