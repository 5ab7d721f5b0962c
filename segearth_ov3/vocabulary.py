"""The classes of a segmentation, in words: one class per line, synonyms separated by commas, order = label index.

    background            index 0
    building,house        index 1, two prompts
    road                  index 2

Every word or phrase is one prompt to the network; a class is found where any of its prompts is. The words
"background" and "clutter" are prompts like any other: which class takes the pixels where nothing is confident is
said by `background`, an index.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .errors import VocabularyError

Place = Callable[[int], str]


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Classes and the prompts that stand for them.

    Attributes:
        classes: For each class, in the order of the labels, its prompts: at least one, the first is its name.
            White space inside a prompt is collapsed, as the tokenizer does.
        background: Index of the class given where no class is confident; None gives every pixel its best class.

    Raises:
        VocabularyError: No class at all, an empty class or prompt, a prompt that occurs twice (in whatever letter
            case), a semicolon in a prompt, or `background` is not the index of a class.
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
            path: UTF-8 file; a byte order mark, Windows line ends and a missing newline at the end are accepted.
            background: As in the class.

        Returns:
            The vocabulary; line n becomes class n - 1.

        Raises:
            VocabularyError: The file cannot be read, is not UTF-8, or its classes are not admissible; the message
                names file and line.
        """
        try:
            data = Path(path).read_bytes()
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
        return cls.from_lines(lines, background=background, source=str(path))

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
        classes = [line.split(",") if line.strip() else [] for line in lines]
        return cls(_checked(classes, background, source, lambda index: f"line {index + 1}"), background)

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
        """
        if "\n" in text or "\r" in text:
            raise VocabularyError("a list of classes in one text has no line breaks; separate classes by semicolons")
        classes = [part.split(",") if part.strip() else [] for part in text.split(";")] if text.strip() else []
        return cls(_checked(classes, background, f"classes {text!r}", lambda index: f"class {index}"), background)

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
    if not classes:
        raise VocabularyError(f"{source}: expected at least one class, got none")
    first_places: dict[str, str] = {}
    cleaned = []
    for index, synonyms in enumerate(classes):
        where = f"{source}, {place(index)}"
        if isinstance(synonyms, str):
            raise VocabularyError(f"{where}: expected a tuple of prompts, got {synonyms!r}; write ({synonyms!r},)")
        if not synonyms:
            raise VocabularyError(f"{where}: empty; every class needs at least one word")
        prompts = tuple(_cleaned(prompt, where) for prompt in synonyms)
        for prompt in prompts:
            key = prompt.lower()
            if key in first_places:
                raise VocabularyError(f"{where}: prompt {prompt!r} occurs before, in {first_places[key]}; remove one")
            first_places[key] = place(index)
        cleaned.append(prompts)
    if background is not None and not (type(background) is int and 0 <= background < len(cleaned)):
        last = len(cleaned) - 1
        raise VocabularyError(
            f"{source}: background must be None or the index of a class, 0 to {last}, got {background!r}"
        )
    return tuple(cleaned)


def _cleaned(prompt: str, where: str) -> str:
    """Collapse the white space of a prompt, or raise where it cannot be one."""
    if not isinstance(prompt, str):
        raise VocabularyError(f"{where}: a prompt must be text, got {prompt!r}")
    words = " ".join(prompt.split())
    if not words:
        raise VocabularyError(f"{where}: empty synonym; is there a comma too many?")
    if ";" in words:
        raise VocabularyError(
            f"{where}: semicolon in prompt {words!r}; synonyms are separated by commas, and classes by semicolons "
            f"only in the inline form"
        )
    return words
