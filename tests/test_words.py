from __future__ import annotations

import re
from pathlib import Path

import pytest

from segearth_ov3.errors import VocabularyError
from segearth_ov3.vocabulary import Vocabulary
from segearth_ov3.words import clean_prompt


@pytest.mark.parametrize(
    "character",
    [
        "\x00",
        "\x07",
        "\x1b",
        "\x1c",
        "\x7f",
        "\x85",
        "\xad",
        "\u200b",
        "\u200e",
        "\u202e",
        "\u2066",
        "\u2060",
        "\ufeff",
    ],
    ids=lambda character: f"U+{ord(character):04X}",
)
def test_invisible_characters_are_refused(character: str) -> None:
    message = re.escape(f"class 1: prompt {'ro' + character + 'ad'!r} contains the invisible character U+")
    with pytest.raises(VocabularyError, match=message):
        Vocabulary((("tree",), (f"ro{character}ad",)))


def test_half_of_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(VocabularyError, match=r"invisible character U\+DCEA; remove it"):
        Vocabulary.from_text("for\udceat; road")


@pytest.mark.parametrize("prompt", ["خانه‌ها", "क्‍ष", "道路", "Straße", "café"])
def test_letters_of_every_script_are_kept(prompt: str) -> None:
    assert clean_prompt(prompt, "here") == prompt


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
def test_joiner_in_latin_words_is_refused(joiner: str) -> None:
    with pytest.raises(VocabularyError, match=r"invisible character U\+200"):
        clean_prompt(f"ro{joiner}ad", "here")


@pytest.mark.parametrize("space", ["\t", "\n", "\r\n", "\x0b", "\u00a0", "\u2003", "  "])
def test_white_space_is_collapsed(space: str) -> None:
    assert clean_prompt(f" parking{space}lot ", "here") == "parking lot"


# ---- comments and numbers


def test_comments_in_a_file_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("# classes of 2024\nbackground   # the rest\n  # buildings\nbuilding,house\nroad\t#1\nlot#5\n")
    assert Vocabulary.from_file(path).classes == (("background",), ("building", "house"), ("road",), ("lot#5",))


def test_line_of_an_error_counts_comments(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("# two classes\nroad\n# again\nroad\n")
    with pytest.raises(VocabularyError, match="line 4: prompt 'road' occurs before, in line 2"):
        Vocabulary.from_file(path)


def test_file_of_comments_has_no_class(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("# to do\n")
    with pytest.raises(VocabularyError, match="expected at least one class, got none"):
        Vocabulary.from_file(path)


@pytest.mark.parametrize(
    "text",
    [
        "0 background\n1 building\n",
        "1: road\n2: tree\n",
        "1. road\n2. tree\n3. car\n",
        "0\troad\n1\ttree\n",
        "0-a\n1-b\n",
    ],
)
def test_numbered_lines_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "classes.txt"
    path.write_text(text)
    with pytest.raises(VocabularyError, match=r"classes\.txt: expected classes in words, got .*remove the numbers"):
        Vocabulary.from_file(path)
    with pytest.raises(VocabularyError, match="remove the numbers"):
        Vocabulary.from_text(text.strip().replace("\n", ";"))


@pytest.mark.parametrize("lines", [["2 lane road", "4 lane road"], ["0 building"], ["1 road", "tree"], ["1", "2"]])
def test_numbers_that_belong_to_the_words_are_kept(lines: list[str]) -> None:
    assert Vocabulary.from_lines(lines).class_names == tuple(lines)
