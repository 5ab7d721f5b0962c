"""Signs in the pixels of a raster that it may not be read as intended, and what to say about them.

Pure functions of samples; each returns a line for the user, or None.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .stretch import Stretch

_MIN_COLLAR_SHARE = 0.1
_MAX_SPREAD = 1e6  # of a stretch, in ranges between quartiles
_MIN_CLIPPED_SHARE = 0.5
_MIN_ENLARGEMENT = 8


def find_collar(values: np.ndarray, valid: np.ndarray) -> np.ndarray | None:
    """Find a constant value that fills much of the border of a scene.

    Args:
        values: Pixels of the border (N, P), of any real type.
        valid: Which of them are valid (P,), bool.

    Returns:
        The value of each band (N,), if more than a tenth of the border has it; otherwise None.
    """
    pixels = values[:, valid]
    if not pixels.size:
        return None
    found, counts = np.unique(pixels, axis=1, return_counts=True)
    most = int(counts.argmax())
    return found[:, most] if counts[most] > _MIN_COLLAR_SHARE * valid.size else None


def describe_collar(collar: np.ndarray, *, is_left_out: bool) -> str:
    """Say that the border has a constant value, and how to give it no class."""
    different = list(dict.fromkeys(f"{value:.9g}" for value in collar.tolist()))
    advice = f"; if it marks no data, use --nodata {different[0]}" if len(different) == 1 else ""
    left_out = ", which is left out of the percentiles" if is_left_out else ""
    return f"more than a tenth of the border has the constant value {'/'.join(different)}{left_out}{advice}"


def describe_statements(empty_shares: Mapping[str, float]) -> str | None:
    """Say how the statements of a file about missing data combine.

    Args:
        empty_shares: Share of the pixels that each statement calls empty, 0 to 1, by its name.
    """
    if len(empty_shares) < 2 or not any(empty_shares.values()):
        return None
    listed = ", ".join(f"{name} (marks {f'{share:.1%}' if share else 'none'})" for name, share in empty_shares.items())
    return f"pixels have no data where any of these says so: {listed}; to drop one, use --nodata none or --alpha ignore"


def warn_of_stretch(sample: np.ndarray, stretch: Stretch) -> str | None:
    """Say that a stretch cannot show the picture.

    Args:
        sample: Valid pixels (3, N), of any real type.
        stretch: The stretch found from them.
    """
    if not sample.size:
        return None
    lows, highs = np.array(stretch.lows), np.array(stretch.highs)
    if (highs <= lows).any():
        return "a band in use has the same value nearly everywhere, so there is nothing to see in it"
    quartiles = np.percentile(sample.astype(np.float64), (25, 75), axis=1)  # (2, 3)
    middle = quartiles[1] - quartiles[0]
    worst = int(np.argmax((highs - lows) / np.where(middle > 0, middle, 1)))
    if highs[worst] - lows[worst] <= _MAX_SPREAD * (middle[worst] or 1):
        return None
    return (
        f"the stretch from {lows[worst]:g} to {highs[worst]:g} is more than a million times as wide as the middle half "
        f"of the values ({quartiles[0, worst]:g} to {quartiles[1, worst]:g}), so the picture has one colour; if an "
        f"extreme value marks no data, use --nodata VALUE, otherwise give the values by --range LO,HI"
    )


def describe_clipping(sample: np.ndarray, stretch: Stretch) -> str | None:
    """Say that a stretch makes most of the picture black or white.

    Args:
        sample: Valid pixels (3, N), of any real type.
        stretch: The stretch.
    """
    if not sample.size:
        return None
    shown = stretch.apply(sample[:, :, None])[..., 0]  # (3, N)
    for level, name in ((0, "black"), (255, "white")):
        share = float((shown == level).all(axis=0).mean())
        if share > _MIN_CLIPPED_SHARE:
            low, high = np.percentile(sample.astype(np.float64), (2, 98))
            advice = f", so consider --range {low:g},{high:g}" if high > low else ""
            return (
                f"the stretch makes {share:.0%} of the picture {name}; most values lie between {low:g} and {high:g}"
                f"{advice}"
            )
    return None


def describe_enlargement(window_px: int, input_px: int) -> str | None:
    """Say that windows are enlarged so much that the network sees blurred squares.

    Args:
        window_px: Side of the windows in pixels of the scene.
        input_px: Side of the network's input.
    """
    if input_px < _MIN_ENLARGEMENT * window_px:
        return None
    return (
        f"windows of {window_px} x {window_px} pixels are enlarged {input_px / window_px:.0f}-fold to the network's "
        f"input of {input_px}, which shows no detail; use larger windows, or an image of finer resolution"
    )
