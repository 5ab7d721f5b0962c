from __future__ import annotations

from xml.etree import ElementTree as Xml

import pytest

from segearth_ov3.geo.report import ClassArea, SceneReport

REPORT = SceneReport(
    classes=(ClassArea("building", 1200, 0.75, 3.0), ClassArea("<b>road</b> & rail", 400, 0.25, None)),
    valid_pixels=1600,
    invalid_pixels=37,
    no_area_reason=None,
    notes=("bands 1, 2, 3 are <red>, green, blue",),
    warnings=("no pixel & no area",),
)


def test_report_prints_as_a_table() -> None:
    assert str(REPORT).splitlines() == [
        "class               pixels   share  hectares",
        "building              1200  75.00%    3.0000",
        "<b>road</b> & rail     400  25.00%         -",
        "(no data)               37       -         -",
    ]


def test_report_is_a_table_in_a_notebook() -> None:
    page = Xml.fromstring(f"<div>{REPORT._repr_html_()}</div>")
    cells = [["".join(cell.itertext()) for cell in row] for row in page.iter("tr")]
    assert cells == [list(row) for row in REPORT.rows()]
    assert [each.text for each in page.iter("p")] == [
        "Note: bands 1, 2, 3 are <red>, green, blue",
        "Warning: no pixel & no area",
    ]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_names_cannot_become_html(name: str) -> None:
    report = SceneReport((ClassArea(name, 1, 1.0, None),), 1, 0, None)
    assert {each.tag for each in Xml.fromstring(report._repr_html_()).iter()} == {"table", "tr", "th", "td"}
