"""Evaluate a set other than published: in windows, on corrupted images, or in part; `deviations` says so."""

from __future__ import annotations

import dataclasses
from typing import Literal

from mmengine.config import Config, ConfigDict

from ..datasets.corruptions import Corruption
from ..errors import OptionError

_LOADERS = ("LoadPicture", "LoadImageFromFile")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What a command line changes of a configuration; None leaves what is there.

    Attributes:
        mode: "whole" segments every image in one pass, "window" in sliding windows.
        window: Side of the windows in pixels; implies the mode.
        stride: Step from window to window in pixels.
        corrupt: What is done to the images before the network sees them.

    Raises:
        OptionError: The fields do not fit together.
    """

    mode: Literal["whole", "window"] | None = None
    window: int | None = None
    stride: int | None = None
    corrupt: Corruption | None = None

    def __post_init__(self) -> None:
        if self.mode == "whole" and (self.window is not None or self.stride is not None):
            raise OptionError("--mode whole has no windows; leave --window and --stride out")
        for name, value in (("window", self.window), ("stride", self.stride)):
            if value is not None and value < 1:
                raise OptionError(f"--{name} must be at least 1 pixel, got {value}")

    def apply(self, config: Config) -> None:
        """Change a configuration.

        Raises:
            OptionError: Windows are wanted and nobody says of which size, or the pipeline loads no image.
        """
        model = config.model
        if self.mode == "whole":
            model.window = model.stride = None
        if self.window is not None:
            model.window, model.stride = self.window, self.stride
        elif self.stride is not None:
            model.stride = self.stride
        if (self.mode == "window" or self.stride is not None) and model.get("window") is None:
            raise OptionError(f"{config.filename} has no windows: give their side by --window PX")
        if self.corrupt is not None:
            _insert_corruption(config.test_dataloader.dataset, self.corrupt)


def _insert_corruption(dataset: ConfigDict, corruption: Corruption) -> None:
    """Put the corruption behind the loading of the image."""
    pipeline = list(dataset.pipeline)
    places = [index for index, step in enumerate(pipeline) if step.type.rpartition(".")[2] in _LOADERS]
    if not places:
        raise OptionError(f"--corrupt: no step of the pipeline loads an image: none is {' or '.join(_LOADERS)}")
    pipeline.insert(places[0] + 1, ConfigDict(type="CorruptPicture", **dataclasses.asdict(corruption)))
    dataset.pipeline = pipeline


def spread_indices(total: int, limit: int) -> list[int]:
    """Choose images for a short run: the middles of `limit` equal stretches of the set, in order, the same every time.

    Args:
        total: Images of the set.
        limit: How many are wanted, at least 1; all of them if there are no more.

    Returns:
        Increasing indices, all different.

    Raises:
        OptionError: The limit is below 1.
    """
    if limit < 1:
        raise OptionError(f"--limit must be at least 1 image, got {limit}")
    if limit >= total:
        return list(range(total))
    return [(2 * index + 1) * total // (2 * limit) for index in range(limit)]
