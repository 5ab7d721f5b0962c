"""Fonts for pictures and plots: one that has the letters of the texts, whichever alphabet they are of.

Pillow's own font has the letters of ASCII. DejaVu Sans, which comes with matplotlib, has those of the Latin, Greek and
Cyrillic alphabets. Others are looked for in the fonts of the system.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .errors import FontWarning

if TYPE_CHECKING:
    from PIL import ImageFont

_ASCII = frozenset(map(chr, range(32, 127))) | {"…", "°", "\N{NO-BREAK SPACE}"}


class _Font(NamedTuple):
    """A font file, the letters it has, and whether it is bold or italic."""

    path: str
    letters: frozenset[int]
    is_styled: bool


def picture_font(texts: Iterable[str], size_px: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Choose a font for texts drawn by Pillow.

    Args:
        texts: All texts that are drawn with it.
        size_px: Height of the letters.

    Returns:
        The font; one with as many of the letters as any has, if none has them all.

    Warns:
        FontWarning: No font has them all; once for the same letters.
    """
    from PIL import ImageFont

    letters = frozenset().union(*texts)
    if letters <= _ASCII:
        return ImageFont.load_default(size_px)
    return ImageFont.truetype(_choose(letters).path, size_px)


@contextlib.contextmanager
def plot_fonts(texts: Iterable[str]) -> Iterator[None]:
    """Let matplotlib draw texts with a font that has their letters, within the block; arguments as of `picture_font`.

    Warns:
        FontWarning: As `picture_font`; matplotlib's own warnings about letters are left out.
    """
    import matplotlib as mpl
    from matplotlib.font_manager import FontProperties, fontManager

    letters = frozenset().union(*texts)
    families = ["DejaVu Sans"]
    if not letters <= _ASCII:
        path = _choose(letters).path
        fontManager.addfont(path)
        families.append(FontProperties(fname=path).get_name())
    with mpl.rc_context({"font.family": families}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from")
        yield


@functools.cache
def _choose(letters: frozenset[str]) -> _Font:
    """The font with most of some letters, which warns about those it has not."""
    codes = {ord(letter) for letter in letters if not letter.isspace()}
    best = _read_font(_dejavu())
    if not codes <= best.letters:
        found = [best, *_system_fonts()]
        best = min(found, key=lambda font: (len(codes - font.letters), font.is_styled))
    missing = "".join(map(chr, sorted(codes - best.letters)))
    if missing:
        warnings.warn(
            f"no font of this system has the letters {missing}, which are drawn as boxes; install one that has them, "
            f"such as Noto (on Debian and Ubuntu the packages fonts-noto-cjk and fonts-noto-core)",
            FontWarning,
            stacklevel=4,
        )
    return best


def _dejavu() -> str:
    import matplotlib as mpl

    return str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


@functools.cache
def _system_fonts() -> list[_Font]:
    """All fonts of the system that can be drawn in any size, in the order of their paths."""
    from matplotlib.font_manager import findSystemFonts

    found = (_read_font(path) for path in sorted(findSystemFonts()))
    return [font for font in found if font.letters]


def _read_font(path: str) -> _Font:
    """Letters of a font; none where it is damaged or has pictures in place of outlines."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):  # FreeType cannot read it, so nothing can be drawn with it
        return _Font(path, frozenset(), False)
    letters = frozenset(font.get_charmap()) if font.scalable else frozenset()
    return _Font(path, letters, bool(font.style_flags))
