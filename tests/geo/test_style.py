from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as Xml

from segearth_ov3.geo.style import render_style, style_path, write_style

CLASSES = ("building", 'Straße & "Weg" <1>')
COLORS = [(222, 45, 8), (0, 208, 70)]


def test_style_has_an_entry_per_class() -> None:
    root = Xml.fromstring(render_style(CLASSES, COLORS))
    renderer = root.find("pipe/rasterrenderer")
    assert root.tag == "qgis"
    assert renderer is not None
    assert (renderer.get("type"), renderer.get("band")) == ("paletted", "1")
    entries = [entry.attrib for entry in renderer.iterfind("colorPalette/paletteEntry")]
    assert entries == [
        {"value": "0", "color": "#de2d08", "alpha": "255", "label": CLASSES[0]},
        {"value": "1", "color": "#00d046", "alpha": "255", "label": CLASSES[1]},
    ]


def test_style_has_the_document_type_of_qgis() -> None:
    assert render_style(CLASSES, COLORS).startswith("<!DOCTYPE qgis ")


def test_style_lies_where_qgis_looks_for_it(tmp_path: Path) -> None:
    write_style(style_path(tmp_path / "classes.v2.tif"), CLASSES, COLORS)
    assert [path.name for path in tmp_path.iterdir()] == ["classes.v2.qml"]
    assert (tmp_path / "classes.v2.qml").read_text(encoding="utf-8") == render_style(CLASSES, COLORS)
