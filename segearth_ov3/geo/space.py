"""How many bytes the outputs of a scene take, and whether there is room for them."""

from __future__ import annotations

import os
import shutil
import warnings
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from ..errors import RasterError, RasterWarning

# bytes per pixel with overviews: about, as of aerial images at 0.1 m; and at least, as deflate shortens by 1000 at
# most; scores are per class
_BYTES = {"labels": (0.1, 0.001), "confidence": (4.0, 0.004), "scores": (0.5, 0.001), "vector": (1.0, 0.0)}
_PICTURE_BYTES, _STYLE_BYTES = 4_000_000, 4_000
_JOURNALLED = ("labels", "confidence", "scores")


def likely_bytes(paths: Mapping[str, Path], size: tuple[int, int], classes: int) -> dict[str, int]:
    """Return about how large each output will be.

    Args:
        paths: The outputs by name, as of `Results`.
        size: Height and width of the scene.
        classes: C.
    """
    return {name: _bytes_of(name, size, classes)[0] for name in paths}


def check_space(paths: Mapping[str, Path], size: tuple[int, int], classes: int, *, warn: bool = True) -> None:
    """Refuse to begin where the outputs certainly do not fit, and warn where they probably do not.

    Args:
        paths, size, classes: As in `likely_bytes`.
        warn: Warn as well as refuse.

    Raises:
        RasterError: There is less room than the smallest possible outputs take.

    Warns:
        RasterWarning: There is less room than they probably take.
    """
    likely: dict[int, int] = defaultdict(int)
    least: dict[int, int] = defaultdict(int)
    folders: dict[int, Path] = {}
    for name, path in paths.items():
        disk = path.parent.stat().st_dev
        folders.setdefault(disk, path.parent)
        about, minimum = _bytes_of(name, size, classes)
        likely[disk] += about
        least[disk] += minimum
        if name in _JOURNALLED:  # finished rows lie next to the class map until everything is written
            journal = paths["labels"].parent.stat().st_dev
            folders.setdefault(journal, paths["labels"].parent)
            likely[journal] += about
            least[journal] += minimum
    for disk, folder in folders.items():
        free = shutil.disk_usage(folder).free
        room = f"{folder or os.curdir} has room for {shown_bytes(free)}"
        if free < least[disk]:
            raise RasterError(
                f"cannot write {paths['labels']}: {room}, and the outputs need at least {shown_bytes(least[disk])}"
            )
        if warn and free < likely[disk]:
            message = f"{paths['labels']}: {room}, and the outputs may need about {shown_bytes(likely[disk])}"
            warnings.warn(message, RasterWarning, stacklevel=4)


def _bytes_of(name: str, size: tuple[int, int], classes: int) -> tuple[int, int]:
    """Bytes of an output: about, and at least."""
    if name in ("overlay", "style"):
        return (_PICTURE_BYTES if name == "overlay" else _STYLE_BYTES), 0
    values = size[0] * size[1] * (classes if name == "scores" else 1)
    about, least = _BYTES[name]
    return int(values * about), int(values * least)


def shown_bytes(count: float) -> str:
    """Return a number of bytes as text with a unit."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
