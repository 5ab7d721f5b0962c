"""Which bands of a raster are red, green and blue, and whether another one is a transparency.

Pure functions on what the file says about its bands, so that every layout can be tested without a file. Band numbers
start at 1, as in GDAL. In this order: what the user says; colour interpretation; a palette; names in the descriptions;
three bands about which nothing is said. What is left is not guessed: four bands without names may be RGB and near
infrared or, from PlanetScope, BGR and near infrared, and both look right to a program.

A colour interpretation is a claim, not a fact: aerial pictures with a near-infrared band are often saved so that GDAL
calls it alpha, and transparencies without a mark are common too. A band counts as transparency if its values look like
one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import RasterError

# a transparency is almost everywhere fully on or fully off; feathered borders are a small share of the picture
_MIN_SHARE_ON = 0.9

_UNNAMED = {"gray", "undefined"}
_COLORS = ("red", "green", "blue")
_NAME_FILLERS = {"band", "channel"}

# names of bands by their number: Sentinel-2 always; Landsat 8 and 9 only where it cannot be Landsat 4 to 7, whose red
# is B3: those have 8 bits and no bands above B8
_SENTINEL2 = ("b04", "b03", "b02")
_NUMBERED = ("b4", "b3", "b2")
_ONLY_NEWER = {"b8a", "b9", "b10", "b11", "b12"}


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
        alpha: The band that may be a transparency, whose values are still to be checked; None if there is none.
        alpha_is_tagged: Whether the file says so; if not, it is the only band besides the three, and nothing is said.
        has_palette: The three are the same band, whose values are entries of a palette.
        note: How the choice was made, where a user might want to know; else None.
    """

    rgb: tuple[int, int, int]
    alpha: int | None = None
    alpha_is_tagged: bool = True
    has_palette: bool = False
    note: str | None = None


def choose_bands(bands: Sequence[Band], path: str, wanted: Sequence[int] | None = None) -> BandChoice:
    """Find red, green and blue.

    Args:
        bands: All bands of the file, in its order.
        path: The file, for the message.
        wanted: Numbers for red, green and blue, which may repeat; None means to find out.

    Returns:
        The bands.

    Raises:
        RasterError: `wanted` names a band that is not there or no three, the bands cannot be identified (the message
            lists them and says how to choose), or hold complex numbers.
    """
    choice = _wanted_bands(bands, path, wanted) if wanted is not None else _found_bands(bands, path)
    if any(_is_complex(bands[number - 1]) for number in choice.rgb):
        raise _complex_error(bands, path)
    return choice


def _is_complex(band: Band) -> bool:
    return band.dtype.startswith("complex")


def _complex_error(bands: Sequence[Band], path: str) -> RasterError:
    """Say how to read amplitudes of complex numbers, with all options that this takes."""
    numbers = {1: " with --bands 1,1,1", 3: ""}.get(len(bands), " with --bands R,G,B, three of its band numbers")
    return RasterError(
        f"{path}: expected real values, found {_listed(bands)}; to use the amplitudes, give the image as "
        f'"DERIVED_SUBDATASET:AMPLITUDE:{path}"{numbers}'
    )


def _wanted_bands(bands: Sequence[Band], path: str, wanted: Sequence[int]) -> BandChoice:
    """The user's choice; a band that is shown is not a transparency."""
    numbers = tuple(wanted)
    if len(numbers) != 3:
        raise RasterError(f"{path}: expected three band numbers for red, green and blue, got {len(numbers)}")
    wrong = [number for number in numbers if not 1 <= number <= len(bands)]
    if wrong:
        raise RasterError(f"{path}: there is no band {wrong[0]}, found {_listed(bands)}")
    alphas = [number for number in _tagged(bands, "alpha") if number not in numbers]
    return BandChoice(numbers, alphas[0] if alphas else None)


def _found_bands(bands: Sequence[Band], path: str) -> BandChoice:
    """The choice by what the file says."""
    alphas = _tagged(bands, "alpha")
    alpha = alphas[0] if len(alphas) == 1 else None
    named = [_tagged(bands, color) for color in _COLORS]
    if all(len(numbers) == 1 for numbers in named):
        rgb = named[0][0], named[1][0], named[2][0]
        others = [number for number in range(1, len(bands) + 1) if number not in rgb]
        if len(others) == 1 and _says_nothing(bands[others[0] - 1]):
            return BandChoice(rgb, others[0], alpha_is_tagged=False)
        return BandChoice(rgb, alpha)
    colors = [number for number in range(1, len(bands) + 1) if number not in alphas]
    if len(colors) == 1 and bands[colors[0] - 1].interpretation == "palette":
        return BandChoice((colors[0],) * 3, alpha, has_palette=True)
    described = _by_description(bands)
    if described is not None:
        names = ", ".join(f"{color} {number} {bands[number - 1].description!r}" for color, number in described)
        red, green, blue = (number for _, number in described)
        return BandChoice((red, green, blue), alpha, note=f"bands by their names: {names}")
    if len(colors) == 3 and all(_says_nothing(bands[number - 1]) for number in colors):
        return BandChoice((colors[0], colors[1], colors[2]), alpha)
    if any(_is_complex(bands[number - 1]) for number in colors):
        raise _complex_error(bands, path)
    advice = "choose three by their numbers: --bands R,G,B"
    if len(colors) == 1:
        advice = f"if it is a grey photograph, repeat it: --bands {','.join([str(colors[0])] * 3)}"
    raise RasterError(f"{path}: cannot tell red, green and blue among {_listed(bands)}; {advice}")


def _by_description(bands: Sequence[Band]) -> list[tuple[str, int]] | None:
    """Colours with their bands by the descriptions, or None where these do not say."""
    names = [_tokens(band) for band in bands]
    heads = [tokens[0] if tokens else "" for tokens in names]
    is_16_bit = all(band.dtype in ("uint16", "int16") for band in bands)
    numbered = _NUMBERED if is_16_bit or _ONLY_NEWER & set(heads) else None
    for wanted in (_COLORS, ("r", "g", "b")):
        places = [[n for n, tokens in enumerate(names, start=1) if tokens == [name]] for name in wanted]
        if all(len(place) == 1 for place in places):
            return [(color, place[0]) for color, place in zip(_COLORS, places)]
    for codes in (_SENTINEL2, numbered):
        if codes is not None and all(heads.count(code) == 1 for code in codes):
            return [(color, heads.index(code) + 1) for color, code in zip(_COLORS, codes)]
    return None


def _says_nothing(band: Band) -> bool:
    return band.interpretation in _UNNAMED and not _tokens(band)


def _tokens(band: Band) -> list[str]:
    """Words of a description in lower case, without such as "band 3", which say nothing."""
    words = re.findall(r"[a-z0-9]+", (band.description or "").lower())
    words = [word for word in words if word not in _NAME_FILLERS]
    return [] if len(words) == 1 and words[0].isdecimal() else words


def _tagged(bands: Sequence[Band], interpretation: str) -> list[int]:
    return [number for number, band in enumerate(bands, start=1) if band.interpretation == interpretation]


def looks_transparent(alpha: np.ndarray, *, is_tagged: bool = True) -> bool:
    """Whether values of a band are those of a transparency and not, for example, of near infrared.

    Args:
        alpha: Some or all of its values.
        is_tagged: Whether the file calls the band a transparency.

    Returns:
        Of a tagged band, whether at least 90 % of the values other than 0 are the largest one, which is also so where
        all are 0. Of another one, whether all values are 0 or 255 and both occur.
    """
    if not is_tagged:
        return set(np.unique(alpha).tolist()) == {0, 255}
    opaque = alpha[alpha > 0]
    return not opaque.size or bool(np.mean(opaque == opaque.max()) >= _MIN_SHARE_ON)


def _listed(bands: Sequence[Band]) -> str:
    """The bands in words: "6 bands: 1 uint8 gray, 2 uint8 undefined ..."; long lists are cut."""
    shown = [
        f"{number} {band.dtype} {band.interpretation}" + (f" '{band.description}'" if band.description else "")
        for number, band in enumerate(bands[:12], start=1)
    ]
    more = f", and {len(bands) - 12} more" if len(bands) > 12 else ""
    return f"{len(bands)} band{'s' if len(bands) != 1 else ''}: {', '.join(shown)}{more}"
