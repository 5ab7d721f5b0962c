from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from segearth_ov3.errors import VocabularyError, VocabularyWarning
from segearth_ov3.vocabulary import Vocabulary, require_several_classes, warn_idle_background

LOVEDA = "background\nbuilding,house\nroad\nwater\nbarren,bareland,soil\nforest,tree\nagricultural\n"


def write(folder: Path, data: bytes | str) -> Path:
    path = folder / "classes.txt"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def published_counts(shared_dir: Path) -> dict[str, tuple[int, int, int | None]]:
    """Classes, prompts and fallback of every file, from the table in the folder's README."""
    counts = {}
    for line in (shared_dir / "vocab" / "README.md").read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and ".txt" in cells[0]:
            fallback = None if cells[4] == "off" else int(cells[4])
            counts.update(dict.fromkeys(cells[0].split(", "), (int(cells[2]), int(cells[3]), fallback)))
    return counts


def test_published_files_load_with_their_counts(shared_dir: Path) -> None:
    expected = published_counts(shared_dir)
    loaded = {path.name: Vocabulary.from_file(path) for path in (shared_dir / "vocab").glob("*.txt")}
    assert {name: (len(v), len(v.prompts)) for name, v in loaded.items()} == {
        name: (classes, prompts) for name, (classes, prompts, _) in expected.items()
    }


def test_published_fallbacks_are_admissible(shared_dir: Path) -> None:
    for name, (_, _, fallback) in published_counts(shared_dir).items():
        assert Vocabulary.from_file(shared_dir / "vocab" / name, background=fallback).background == fallback


def test_published_words_are_unchanged(shared_dir: Path) -> None:
    for path in (shared_dir / "vocab").glob("*.txt"):
        lines = [",".join(synonyms) for synonyms in Vocabulary.from_file(path).classes]
        assert "\n".join(lines) + "\n" == path.read_text("utf-8")


def test_line_number_is_label_index(tmp_path: Path) -> None:
    vocabulary = Vocabulary.from_file(write(tmp_path, LOVEDA))
    assert vocabulary.class_names == ("background", "building", "road", "water", "barren", "forest", "agricultural")


def test_prompts_and_their_classes_are_flat_and_in_order() -> None:
    vocabulary = Vocabulary.from_text("building,house; road; water,river,lake")
    assert vocabulary.prompts == ("building", "house", "road", "water", "river", "lake")
    assert vocabulary.class_index == (0, 0, 1, 2, 2, 2)


def test_length_is_the_number_of_classes() -> None:
    assert len(Vocabulary.from_text("building,house; road; water")) == 3


def test_inline_form_and_lines_agree() -> None:
    lines = Vocabulary.from_lines(["building,house", "road", "low vegetation"], background=None)
    assert Vocabulary.from_text(" building , house;road ;low  vegetation", background=None) == lines


@pytest.mark.parametrize(
    "data",
    [
        LOVEDA.rstrip("\n"),
        LOVEDA.replace("\n", "\r\n"),
        LOVEDA.replace("\n", "\r"),
        b"\xef\xbb\xbf" + LOVEDA.encode(),
        LOVEDA.replace(",", " ,\t"),
    ],
    ids=["no newline at the end", "windows line ends", "old mac line ends", "byte order mark", "white space"],
)
def test_harmless_variants_of_a_file_load_alike(tmp_path: Path, data: bytes | str) -> None:
    assert Vocabulary.from_file(write(tmp_path, data)) == Vocabulary.from_lines(LOVEDA.splitlines())


def test_background_by_its_name_gets_the_index() -> None:
    with pytest.raises(VocabularyError, match="got 'road'; class 'road' has index 1"):
        Vocabulary.from_text("building; street,road", background="road")  # type: ignore[arg-type]


def test_prompts_may_be_in_any_script(tmp_path: Path) -> None:
    assert Vocabulary.from_file(write(tmp_path, "Straße\n道路\n")).prompts == ("Straße", "道路")


@pytest.mark.parametrize("background", [0, 2, None])
def test_background_is_kept(background: int | None) -> None:
    assert Vocabulary.from_text("a; b; c", background=background).background == background


@pytest.mark.parametrize("background", [-1, 3, True, 1.0])
def test_background_out_of_range_names_the_range(background: int) -> None:
    message = re.escape(f"background must be None or the index of a class, 0 to 2, got {background!r}")
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.from_text("a; b; c", background=background)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("road\n\nwater\n", "line 2: empty; every class"),
        ("road\n \t\nwater\n", "line 2: empty; every class"),
        ("road\nwater\n\n", "line 3: empty; every class"),
        ("\nroad\n", "line 1: empty; every class"),
        ("road\nwater,,lake\n", "line 2: empty synonym; is there a comma too many"),
        ("road\nwater,\n", "line 2: empty synonym"),
        ("road,track\nwater\nRoad\n", "line 3: prompt 'Road' occurs before, in line 1"),
        ("road\nwater,lake,water\n", "line 2: prompt 'water' occurs before, in line 2"),
        ("parking  lot\nwater\nparking lot\n", "line 3: prompt 'parking lot' occurs before, in line 1"),
        ("road\nwater;lake\n", "line 2: semicolon in prompt 'water;lake'"),
        ("", "expected at least one class, got none"),
    ],
)
def test_unusable_file_is_refused_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(VocabularyError, match=re.escape(message)) as caught:
        Vocabulary.from_file(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("data", [b"road\nfor\xeat\n", "road\nforêt\n".encode("utf-16")])
def test_file_that_is_not_utf8_is_refused_with_file_and_line(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(VocabularyError, match=r"classes\.txt, line [12]: not UTF-8 text; save the file as UTF-8"):
        Vocabulary.from_file(write(tmp_path, data))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match=r"cannot read the vocabulary file .*none\.txt: No such file"):
        Vocabulary.from_file(tmp_path / "none.txt")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("road; ; water", "class 1: empty; every class"),
        ("road; water;", "class 2: empty; every class"),
        ("road; water, ", "class 1: empty synonym"),
        ("road; water; road", "class 2: prompt 'road' occurs before, in class 0"),
        (" ", "expected at least one class, got none"),
        ("road\nwater", "no line breaks; separate classes by semicolons"),
    ],
)
def test_unusable_inline_form_is_refused_with_its_class(text: str, message: str) -> None:
    with pytest.raises(VocabularyError, match=re.escape(message)):
        Vocabulary.from_text(text)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ((), "expected at least one class"),
        (("road", "water"), "expected a tuple of prompts, got 'road'; write ('road',)"),
        ((("road",), ()), "class 1: empty"),
        ((("road", 5),), "a prompt must be text, got 5"),
    ],
)
def test_unusable_classes_are_refused_by_the_constructor(classes: tuple, message: str) -> None:
    with pytest.raises(VocabularyError, match=re.escape(message)):
        Vocabulary(classes)


def test_one_text_in_place_of_lines_is_refused() -> None:
    with pytest.raises(VocabularyError, match=r"use Vocabulary\.from_text"):
        Vocabulary.from_lines("road")


def test_vocabulary_can_be_a_key() -> None:
    assert len({Vocabulary([["road"], ["water"]]), Vocabulary.from_text("road; water")}) == 1


def test_vocabulary_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Vocabulary.from_text("road").background = None


# ---- what is probably meant otherwise


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "building, road, tree",
            r"one class, 'building' with the synonyms 'road', 'tree', .* \(\"building; road; tree\"\)",
        ),
        ("building", r"one class, 'building', .*every pixel would get it; add a background and a threshold"),
        ("building,house", r"\"background; building,house\" with --prob-threshold 0\.3 \(prob_threshold=0\.3\)"),
    ],
)
def test_one_class_is_refused_where_labels_are_wanted(text: str, message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        require_several_classes(Vocabulary.from_text(text).classes)


def test_two_classes_are_enough() -> None:
    require_several_classes(Vocabulary.from_text("background; building").classes)


@pytest.mark.parametrize("text", ["background; building, road, tree", "a, b, c; d", "sky; tree,  car,\tbus , van"])
def test_commas_that_look_like_separators_of_classes_give_a_warning(text: str) -> None:
    with pytest.warns(VocabularyWarning, match=r"is one class with \d synonyms; separate classes by semicolons"):
        Vocabulary.from_text(text)


@pytest.mark.parametrize("text", ["background; water,lake,river", "a, b; c", "a,b, c; d"])
def test_synonyms_give_no_warning(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Vocabulary.from_text(text)


@pytest.mark.parametrize(
    ("text", "background", "threshold"),
    [
        ("background; building", 0, 0.3),
        ("background; building", None, 0.0),
        ("ground; building", 0, 0.0),
    ],
)
def test_background_that_works_as_said_gives_no_warning(text: str, background: int | None, threshold: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_idle_background(Vocabulary.from_text(text, background=background), threshold)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("background; building", r"the threshold is 0; give --prob-threshold 0\.3 \(prob_threshold=0\.3\), or"),
        ("building; Background,rest", r"\(prob_threshold=0\.3\) and --background 1 \(background=1\), or"),
    ],
)
def test_background_without_threshold_gives_a_warning(text: str, remedy: str) -> None:
    with pytest.warns(VocabularyWarning, match=remedy):
        warn_idle_background(Vocabulary.from_text(text), 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vocabulary("a; b"), r"got 'a; b'; use Vocabulary\.from_text"),
        (lambda: Vocabulary.from_text(["a", "b"]), r"expected one text, got \['a', 'b'\]; use Vocabulary\.from_lines"),
        (lambda: Vocabulary.from_lines([["a", "b"], ["c"]]), r"got \['a', 'b'\]; write synonyms as 'building,house'"),
        (lambda: Vocabulary.from_lines({0: "a"}), r"expected one text per class, got \{0: 'a'\}"),
        (lambda: Vocabulary.from_lines(None), "expected one text per class, got None"),
        (lambda: Vocabulary((5, ("a",))), "class 0: expected a tuple of prompts, got 5"),
    ],
)
def test_other_types_get_help(make: Callable[[], Vocabulary], message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        make()
