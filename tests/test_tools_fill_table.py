"""`tools/fill_table.py`: what is printed gets into a page, and nothing else of the page changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from fill_table import fill, main, section

from segearth_ov3.errors import OptionError

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = "above\n\n<!-- table a -->\nold\n\nold\n<!-- end a -->\n\n<!-- table ab -->\n<!-- end ab -->\nbelow\n"
FIRST = "| x |\n|--:|\n| 1 |\n\nnote #2"
PRINTED = f"# Title\n\n{FIRST}\n\n## Empty\n\n## Tokens, before → after\n\n| y |\n|--:|\n| \\1 |\n"


def test_text_stands_between_its_markers_and_the_rest_is_kept() -> None:
    expected = PAGE.replace("old\n\nold", "\n| \\1 | \\g<0> |\n")
    assert fill(PAGE, "a", "\n| \\1 | \\g<0> |\n\n") == expected
    assert fill(PAGE, "ab", "new") == PAGE.replace("<!-- end ab", "\nnew\n\n<!-- end ab")


def test_filling_twice_changes_nothing_more() -> None:
    once = fill(PAGE, "a", "new")
    assert fill(once, "a", "new") == once != PAGE


@pytest.mark.parametrize(
    "page",
    [
        "nothing",
        "<!-- table a -->\n",
        "<!-- end a -->\n<!-- table a -->\n",
        "<!-- table a -->\n<!-- end a -->\n" * 2,
        "<!-- table a -->\n<!-- table b -->\n<!-- end b -->\n<!-- end a -->\n",
        "text <!-- table a -->\n<!-- end a -->\n",
    ],
)
def test_page_without_the_pair_of_markers_is_refused(page: str) -> None:
    with pytest.raises(OptionError, match="expected the lines <!-- table a --> and <!-- end a --> once each"):
        fill(page, "a", "new")


@pytest.mark.parametrize("text", ["", " \n", "<!-- end a -->\n"])
def test_text_that_would_spoil_the_page_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="expected Markdown without markers for a, got"):
        fill(PAGE, "a", text)


@pytest.mark.parametrize(("heading", "expected"), [("", FIRST), ("Title", FIRST), ("Tok", "| y |\n|--:|\n| \\1 |")])
def test_section_goes_to_the_next_heading(heading: str, expected: str) -> None:
    assert section(PRINTED, heading).strip() == expected


def test_text_without_headings_is_its_own_first_section() -> None:
    assert section("| x |\n") == "| x |\n"


def test_empty_text_has_no_section() -> None:
    with pytest.raises(OptionError, match="expected Markdown, got nothing"):
        section("\n")


@pytest.mark.parametrize("heading", ["Nothing", "Empty"])
def test_section_that_is_not_there_is_told_with_the_others(heading: str) -> None:
    with pytest.raises(
        OptionError, match=f"begins with '{heading}'; there: 'Title', 'Empty', 'Tokens, before → after'"
    ):
        section(PRINTED, heading)


@pytest.mark.parametrize(
    ("options", "expected"), [([], "| x |"), (["--section", "Tok"], "| y |"), (["--whole"], "# Title\n")]
)
def test_command_fills_the_page(tmp_path: Path, options: list[str], expected: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    result = CliRunner().invoke(main, [str(page), "a", "-", *options], input=PRINTED)
    assert result.exit_code == 0, result.output
    assert page.read_text(encoding="utf-8").startswith(f"above\n\n<!-- table a -->\n\n{expected}")
    assert [each.name for each in tmp_path.iterdir()] == ["page.md"]


def test_command_that_fails_leaves_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    result = CliRunner().invoke(main, [str(page), "c", "-"], input=PRINTED)
    assert result.exit_code == 1
    assert "tables of the page: a, ab" in result.output
    assert page.read_text(encoding="utf-8") == PAGE


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_marker_of_the_documents_can_be_filled(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"^<!-- (?:table|end) (\S+) -->$", text, re.MULTILINE):
        fill(text, name, "new")
