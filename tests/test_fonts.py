from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from segearth_ov3 import fonts
from segearth_ov3.errors import FontWarning
from segearth_ov3.fonts import picture_font, plot_fonts
from segearth_ov3.geo.overlay import render_panels

NOWHERE = "\ue123"  # of the private use area


@pytest.fixture(autouse=True)
def _no_memory() -> Iterator[None]:
    yield
    fonts._choose.cache_clear()
    fonts._system_fonts.cache_clear()


@pytest.fixture
def system_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only font of the system: 道 and 路 are full squares, and nothing else is there."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord("道"): "square", ord("路"): "square"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "square": (1000, 0)})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": "Squares", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    path = tmp_path / "squares.ttf"
    builder.save(path)
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(tmp_path / "damaged.ttf"), str(path)])
    return path


def drawn(text: str) -> bytes:
    return bytes(picture_font([text], 20).getmask(text))


@pytest.mark.parametrize("letter", "éßŁőЖΩ−×Δ²")
def test_letters_of_european_alphabets_are_not_boxes(letter: str) -> None:
    box = bytes(picture_font([letter], 20).getmask(NOWHERE))
    assert drawn(letter) != box


def test_letters_beyond_are_found_in_the_fonts_of_the_system(system_font: Path) -> None:
    mask = np.array(picture_font(["道路"], 20).getmask("道路"))
    assert mask.size == 20 * 40
    assert (mask == 255).all()


def test_fonts_of_the_system_are_not_read_for_letters_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: pytest.fail("system fonts were read"))
    picture_font(["road", "Straße"], 20)


def test_missing_letters_are_named_once(system_font: Path) -> None:
    with pytest.warns(FontWarning, match=rf"has the letters {NOWHERE}, .* fonts-noto-cjk"):
        picture_font(["道", NOWHERE], 20)
    picture_font([NOWHERE, "道"], 30)  # warnings are errors


def test_legends_and_titles_are_drawn_with_these_fonts(system_font: Path) -> None:
    labels = np.zeros((600, 600), int)
    picture = np.asarray(render_panels([("道", labels)], ["路"], [(255, 0, 0)]))
    ink = (picture == (32, 32, 36)).all(axis=-1)
    assert ink[:30].any(), "title"
    assert ink[-30:].any(), "legend"


def test_plots_draw_letters_of_the_system_without_a_warning(system_font: Path) -> None:
    def draw(text: str) -> np.ndarray:
        figure = Figure(figsize=(1, 1), dpi=50)
        canvas = FigureCanvasAgg(figure)
        with plot_fonts([text]), warnings.catch_warnings(record=True) as warned:
            figure.text(0, 0.3, text, fontsize=20)
            canvas.draw()
        assert not warned
        return np.asarray(canvas.buffer_rgba())[..., 0]

    assert (draw("道路") == 0).mean() > 2 * (draw("oo") == 0).mean()
