"""The classes of a segmentation, in words: one class per line, synonyms separated by commas, order = label index.

    # what follows a number sign is a comment
    background            index 0
    building,house        index 1, two prompts
    road                  index 2

Every word or phrase is one prompt to the network; a class is found where any of its prompts is. The words
"background" and "clutter" are prompts like any other: the index `background` says which class takes the pixels whose
best score is below the probability threshold, and without a threshold there are none.
"""

from __future__ import annotations

import dataclasses
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import VocabularyError, VocabularyWarning
from .text_files import read_small_file
from .words import clean_prompt, refuse_numbers, without_comment

Place = Callable[[int], str]


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Classes and the prompts that stand for them.

    Attributes:
        classes: For each class, in the order of the labels, its prompts: at least one, the first is its name.
            White space inside a prompt is collapsed, as the tokenizer does.
        background: Index of the class given where no class is confident; None gives every pixel its best class.

    Raises:
        VocabularyError: No class at all, an empty class or prompt, a prompt that occurs twice (in any letter case), a
            semicolon or control character in a prompt, or `background` is not the index of a class.
    """

    classes: tuple[tuple[str, ...], ...]
    background: int | None = 0

    def __post_init__(self) -> None:
        classes = _checked(self.classes, self.background, "vocabulary", lambda index: f"class {index}")
        object.__setattr__(self, "classes", classes)

    @classmethod
    def from_file(cls, path: str | Path, *, background: int | None = 0) -> Vocabulary:
        """Read a text file with one class per line and commas between synonyms.

        Args:
            path: UTF-8 file; a byte order mark, Windows line ends, a missing newline at the end and comments ("#") are
                accepted.
            background: As in the class.

        Returns:
            The vocabulary; the n-th line that is not a comment becomes class n - 1.

        Raises:
            VocabularyError: The file cannot be read, is not UTF-8, or its classes are not admissible; the message
                names file and line.
        """
        try:
            data = read_small_file(path)
        except OSError as error:
            raise VocabularyError(f"cannot read the vocabulary file {path}: {error.strerror}") from error
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise VocabularyError(f"{path}, line {line}: not UTF-8 text; save the file as UTF-8") from error
        lines = re.split(r"\r\n|\r|\n", text)
        if lines[-1] == "":  # what follows the newline at the end of the last line
            lines.pop()
        numbered = [(number, without_comment(line)) for number, line in enumerate(lines, start=1)]
        kept = [(number, line) for number, line in numbered if line is not None]
        classes = [line for _, line in kept]
        return cls._from_classes(classes, background, str(path), lambda index: f"line {kept[index][0]}")

    @classmethod
    def from_lines(cls, lines: Iterable[str], *, background: int | None = 0, source: str = "vocabulary") -> Vocabulary:
        """Take one class per string, with commas between synonyms.

        Args:
            lines: The classes in label order ("building,house").
            background: As in the class.
            source: Where the lines come from, for messages.

        Returns:
            The vocabulary.

        Raises:
            VocabularyError: The classes are not admissible; the message names source and line.
        """
        if isinstance(lines, str):
            raise VocabularyError(f"expected a list of lines, got the text {lines!r}; use Vocabulary.from_text")
        one_by_one = isinstance(lines, Iterable) and not isinstance(lines, (bytes, Mapping))
        classes: list[Any] = list(lines) if one_by_one else [lines]
        for line in classes:
            if not isinstance(line, str):
                raise VocabularyError(
                    f"{source}: expected one text per class, got {line!r}; write synonyms as 'building,house', or use "
                    f"Vocabulary([['building', 'house'], ['road']])"
                )
        return cls._from_classes(classes, background, source, lambda index: f"line {index + 1}")

    @classmethod
    def from_text(cls, text: str, *, background: int | None = 0) -> Vocabulary:
        """Take the inline form of the command line: "building,house; road; water".

        Args:
            text: Classes separated by semicolons, synonyms by commas.
            background: As in the class.

        Returns:
            The vocabulary.

        Raises:
            VocabularyError: The classes are not admissible; the message says which class of the text.

        Warns:
            VocabularyWarning: Commas look like separators of classes ("building, road, tree" among others).
        """
        if not isinstance(text, str):
            raise VocabularyError(f"expected one text, got {text!r}; use Vocabulary.from_lines for a list of classes")
        if "\n" in text or "\r" in text:
            raise VocabularyError("a list of classes in one text has no line breaks; separate classes by semicolons")
        classes = text.split(";") if text.strip() else []
        vocabulary = cls._from_classes(classes, background, f"classes {text!r}", lambda index: f"class {index}")
        _warn_of_commas(classes)
        return vocabulary

    @classmethod
    def _from_classes(cls, classes: Sequence[str], background: int | None, source: str, place: Place) -> Vocabulary:
        """Split the text of each class into its synonyms."""
        refuse_numbers(classes, source)
        synonyms = [text.split(",") if text.strip() else [] for text in classes]
        return cls(_checked(synonyms, background, source, place), background)

    @property
    def prompts(self) -> tuple[str, ...]:
        """All prompts (P,), class by class."""
        return tuple(prompt for synonyms in self.classes for prompt in synonyms)

    @property
    def class_index(self) -> tuple[int, ...]:
        """The class of each prompt (P,)."""
        return tuple(index for index, synonyms in enumerate(self.classes) for _ in synonyms)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The first prompt of each class (C,)."""
        return tuple(synonyms[0] for synonyms in self.classes)

    def __len__(self) -> int:
        """Number of classes C."""
        return len(self.classes)


def _checked(
    classes: Sequence[Sequence[str]], background: int | None, source: str, place: Place
) -> tuple[tuple[str, ...], ...]:
    """Return the classes with white space collapsed, or raise on the first thing that is not admissible."""
    if isinstance(classes, (str, bytes)) or not isinstance(classes, Sequence):
        raise VocabularyError(f"expected a tuple of prompts per class, got {classes!r}; use Vocabulary.from_text")
    if not classes:
        raise VocabularyError(f"{source}: expected at least one class, got none")
    first_places: dict[str, str] = {}
    cleaned = []
    for index, synonyms in enumerate(classes):
        where = f"{source}, {place(index)}"
        if isinstance(synonyms, str):
            raise VocabularyError(f"{where}: expected a tuple of prompts, got {synonyms!r}; write ({synonyms!r},)")
        if not isinstance(synonyms, Sequence):
            raise VocabularyError(f"{where}: expected a tuple of prompts, got {synonyms!r}")
        if not synonyms:
            raise VocabularyError(f"{where}: empty; every class needs at least one word")
        prompts = tuple(clean_prompt(prompt, where) for prompt in synonyms)
        for prompt in prompts:
            key = prompt.lower()
            if key in first_places:
                raise VocabularyError(f"{where}: prompt {prompt!r} occurs before, in {first_places[key]}; remove one")
            first_places[key] = place(index)
        cleaned.append(prompts)
    if background is not None and not (type(background) is int and 0 <= background < len(cleaned)):
        last = len(cleaned) - 1
        named = [index for index, prompts in enumerate(cleaned) if background in prompts]
        hint = f"; class {background!r} has index {named[0]}" if named else ""
        raise VocabularyError(
            f"{source}: background must be None or the index of a class, 0 to {last}, got {background!r}{hint}"
        )
    return tuple(cleaned)


def _warn_of_commas(classes: Sequence[str]) -> None:
    """Warn where one of several classes reads like a list of classes: "building, road, tree"."""
    for text in classes:
        synonyms = text.split(",")
        if len(classes) > 1 and len(synonyms) >= 3 and all(synonym[:1].isspace() for synonym in synonyms[1:]):
            warnings.warn(
                f"{text.strip()!r} is one class with {len(synonyms)} synonyms; separate classes by semicolons "
                f"(synonyms without spaces after the commas give no warning)",
                VocabularyWarning,
                stacklevel=3,
            )


def require_vocabulary(value: object) -> Vocabulary:
    """Return a vocabulary unchanged, or raise with the function that makes one of the value.

    Raises:
        VocabularyError: Not a vocabulary.
    """
    if isinstance(value, Vocabulary):
        return value
    if isinstance(value, os.PathLike) or (isinstance(value, str) and value.endswith(".txt")):
        remedy = f"pass Vocabulary.from_file({str(value)!r})"
    elif isinstance(value, str):
        remedy = f"pass Vocabulary.from_text({value!r})"
    elif isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value):
        remedy = f"pass Vocabulary.from_lines({list(value)!r})"
    else:
        remedy = "make one by Vocabulary.from_text, from_lines or from_file"
    raise VocabularyError(f"expected a Vocabulary, got {value!r}; {remedy}")


def require_several_classes(classes: Sequence[Sequence[str]]) -> None:
    """Raise where labels cannot say anything, because there is one class only and every pixel gets it.

    Args:
        classes: For each class its prompts, or just its name.

    Raises:
        VocabularyError: One class; the message has the remedies.
    """
    if len(classes) > 1:
        return
    prompts = list(classes[0])
    several = f'separate classes by semicolons or lines ("{"; ".join(prompts)}"), or ' if len(prompts) > 1 else ""
    synonyms = f" with the synonyms {', '.join(map(repr, prompts[1:]))}" if len(prompts) > 1 else ""
    raise VocabularyError(
        f"there is one class, {prompts[0]!r}{synonyms}, and every pixel would get it; {several}add a background and a "
        f'threshold: "background; {",".join(prompts)}" with --prob-threshold 0.3 (prob_threshold=0.3)'
    )


def warn_idle_background(vocabulary: Vocabulary, prob_threshold: float, *, stacklevel: int = 2) -> None:
    """Warn of a class "background" that takes no pixels by itself, because nothing is below a threshold of 0.

    Args:
        vocabulary: The classes; with `background=None` it is said that every pixel gets its best class.
        prob_threshold: Pixels whose best score is below it become background, 0 to 1.
        stacklevel: Of the warning, as seen from here.
    """
    named = [index for index, prompts in enumerate(vocabulary.classes) if "background" in map(str.lower, prompts)]
    if prob_threshold > 0 or vocabulary.background is None or not named:
        return
    index = "" if vocabulary.background in named else f" and --background {named[0]} (background={named[0]})"
    warnings.warn(
        f"class {vocabulary.class_names[named[0]]!r} gets only pixels where its word scores best, hardly any, because "
        f"the threshold is 0; give --prob-threshold 0.3 (prob_threshold=0.3){index}, or --background none "
        f"(background=None) if no class is meant for the rest",
        VocabularyWarning,
        stacklevel=stacklevel + 1,
    )
