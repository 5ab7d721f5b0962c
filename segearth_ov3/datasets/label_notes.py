"""What a user should know about the labels of a set, from their pixel counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IGNORED = 255
_NAMED = 5


def note_mask_of_255(pixels: NDArray[np.integer], classes: Sequence[str], labels: int) -> str:
    """Note that 255, which is ignored, seems to mark the second of two classes.

    Args:
        pixels: Pixels of each class index (256,); those of 255 are ignored.
        classes: Names.
        labels: Number of labels counted.

    Returns:
        One line with the remedy; empty where there is nothing to say.
    """
    if len(classes) != 2 or pixels[1] or not pixels[IGNORED]:
        return ""
    return (
        f"{classes[1]!r} occurs in none of {labels} labels, and {100 * pixels[IGNORED] / pixels.sum():.1f} % of their "
        f"pixels are {IGNORED}, which is ignored; if {IGNORED} marks {classes[1]!r}, set label_map (evaluate "
        f"--label-map 255:1, or --cfg-options test_dataloader.dataset.label_map=255:1)"
    )


def note_absent_classes(pixels: NDArray[np.integer], classes: Sequence[str], labels: int) -> str:
    """Note that classes occur in no label; arguments and result as of `note_mask_of_255`."""
    absent = [name for name, count in zip(classes, pixels) if count == 0]
    if len(absent) == len(classes):
        return f"no pixel of {labels} labels counts: all are ignored ({IGNORED})"
    if not absent:
        return ""
    more = f" and {len(absent) - _NAMED} more" * (len(absent) > _NAMED)
    return (
        f"{len(absent)} of {len(classes)} classes occur in none of {labels} labels, so their IoU is 0 or undefined: "
        f"{', '.join(absent[:_NAMED])}{more}"
    )
