"""Which bands of a raster are red, green and blue, and whether a fourth one is a transparency.

Pure functions on what the file says about its bands, so that every layout can be tested without a file. Band numbers
start at 1, as in GDAL. A colour interpretation is a claim, not a fact: aerial pictures with a near-infrared band are
often saved so that GDAL calls it alpha. A band counts as transparency only if its values look like one.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import RasterError

# a transparency is almost everywhere fully on or fully off; feathered borders are a small share of the picture
_MIN_SHARE_ON = 0.9

_UNNAMED = {"gray", "undefined"}


class Band(NamedTuple):
    """What a file says about one band.

    Attributes:
        dtype: Data type ("uint8").
        interpretation: Colour interpretation by GDAL's name ("red", "gray", "undefined", "alpha", ...).
        description: Name given to the band, or None.
    """

    dtype: str
    interpretation: str
    description: str | None = None


class BandChoice(NamedTuple):
    """The bands to read, by number from 1.

    Attributes:
        rgb: Red, green and blue.
        alpha: The band tagged as transparency, whose values are still to be checked; None if there is none.
    """

    rgb: tuple[int, int, int]
    alpha: int | None


def choose_bands(bands: Sequence[Band], path: str) -> BandChoice:
    """Find red, green and blue in three 8-bit bands, or in four of which one is tagged as transparency.

    Args:
        bands: All bands of the file, in its order.
        path: The file, for the message.

    Returns:
        The bands by colour interpretation, or in file order where the file does not interpret them.

    Raises:
        RasterError: Any other layout; the message lists the bands and gives a command that makes a usable file.
    """
    alphas = [number for number, band in enumerate(bands, start=1) if band.interpretation == "alpha"]
    colors = [number for number in range(1, len(bands) + 1) if number not in alphas]
    rgb = _rgb_order(bands, colors)
    if rgb is None or len(colors) != 3 or len(alphas) > 1 or any(band.dtype != "uint8" for band in bands):
        raise RasterError(
            f"{path}: expected 8-bit red, green and blue (and at most a transparency), found {_listed(bands)}; "
            f"{_advice(bands, rgb, path)}"
        )
    return BandChoice(rgb, alphas[0] if alphas else None)


def check_transparency(alpha: np.ndarray, choice: BandChoice, path: str) -> None:
    """Make sure that a band tagged as alpha is a transparency and not, for example, near infrared.

    Args:
        alpha: Values of the band (H0, W0), uint8.
        choice: Where the bands are, for the message.
        path: The file, for the message.

    Raises:
        RasterError: Less than 90 % of its values other than 0 are the largest one, or all are 0.
    """
    opaque = alpha[alpha > 0]
    if opaque.size and np.mean(opaque == opaque.max()) >= _MIN_SHARE_ON:
        return
    reason = (
        f"holds values {alpha.min()}..{alpha.max()} like a band of the picture (near infrared?)"
        if opaque.size
        else "is 0 everywhere, so that no pixel would be valid"
    )
    raise RasterError(
        f"{path}: band {choice.alpha} is tagged as alpha but {reason}; expected a transparency, 0 or 255; "
        f"if the other three are the picture, drop it with: {_command(choice.rgb, path)}"
    )


def _rgb_order(bands: Sequence[Band], colors: Sequence[int]) -> tuple[int, int, int] | None:
    """Numbers of red, green and blue, by interpretation, else in file order if nothing but three bands is there."""
    named = {name: [n for n in colors if bands[n - 1].interpretation == name] for name in ("red", "green", "blue")}
    if all(len(numbers) == 1 for numbers in named.values()):
        return named["red"][0], named["green"][0], named["blue"][0]
    if len(colors) == 3 and all(bands[number - 1].interpretation in _UNNAMED for number in colors):
        return colors[0], colors[1], colors[2]
    return None


def _listed(bands: Sequence[Band]) -> str:
    """The bands in words: "6 bands: 1 uint8 gray, 2 uint8 undefined ..."; long lists are cut."""
    shown = [
        f"{number} {band.dtype} {band.interpretation}" + (f" '{band.description}'" if band.description else "")
        for number, band in enumerate(bands[:8], start=1)
    ]
    more = f", and {len(bands) - 8} more" if len(bands) > 8 else ""
    return f"{len(bands)} band{'s' if len(bands) != 1 else ''}: {', '.join(shown)}{more}"


def _advice(bands: Sequence[Band], rgb: tuple[int, int, int] | None, path: str) -> str:
    """What to do about an unusable layout, with a command."""
    scale = "" if all(band.dtype == "uint8" for band in bands) else "-ot Byte -scale "
    if len(bands) == 1 and bands[0].interpretation == "palette":
        return f"expand its palette with: gdal_translate -expand rgb {shlex.quote(path)} rgb.tif"
    if len(bands) == 1:
        return f"if it is a grey photograph, repeat it with: {_command((1, 1, 1), path, scale)}"
    if rgb is not None:
        return f"convert it with: {_command(rgb, path, scale)}"
    return f"choose the three, with their numbers for R G B, by: {_command(('R', 'G', 'B'), path, scale)}"


def _command(rgb: Sequence[int | str], path: str, scale: str = "") -> str:
    """A gdal_translate call that keeps three bands."""
    return f"gdal_translate {scale}{' '.join(f'-b {number}' for number in rgb)} {shlex.quote(path)} rgb.tif"
