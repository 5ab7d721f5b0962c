from __future__ import annotations

import pytest

from segearth_ov3.metrics.report import markdown_table
from segearth_ov3.table import format_table
from segearth_ov3.text_width import text_width


@pytest.mark.parametrize(
    ("text", "columns"),
    [("road", 4), ("建筑物", 6), ("Straße", 6), ("cafe\u0301", 4), ("도로", 4), ("x\x07", 2), ("", 0)],
)
def test_width_is_that_of_a_terminal(text: str, columns: int) -> None:
    assert text_width(text) == columns


def test_columns_are_aligned_whatever_the_letters() -> None:
    lines = format_table([("class", "pixels"), ("建筑物", "7"), ("cafe\u0301", "12345")]).splitlines()
    assert {text_width(line) for line in lines} == {len("class ") + 2 + len("pixels")}
    assert lines[1] == "建筑物       7"


def test_markdown_columns_are_aligned_whatever_the_letters() -> None:
    lines = markdown_table([["Class", "IoU"], ["建筑物", "7"], ["road", "12345"]]).splitlines()
    assert len({text_width(line) for line in lines}) == 1
