"""What a prompt may contain, and what a list of prompts must not look like."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from .errors import VocabularyError

_JOINERS = "\u200c\u200d"  # written inside words of Persian and of Indian languages
_NUMBERED = re.compile(r"\s*(\d+)\s*[.:)\-\t ]\s*(?=[^\W\d])")


def clean_prompt(prompt: object, where: str) -> str:
    """Collapse the white space of a prompt, as the tokenizer does.

    Args:
        prompt: The prompt.
        where: Source and place, for messages.

    Returns:
        The prompt without white space at its ends, with single spaces inside.

    Raises:
        VocabularyError: Not text, empty, or with a semicolon or an invisible character that is not white space.
    """
    if not isinstance(prompt, str):
        raise VocabularyError(f"{where}: a prompt must be text, got {prompt!r}")
    for character in prompt:
        if _is_refused(character, prompt):
            raise VocabularyError(
                f"{where}: prompt {prompt!r} contains the invisible character U+{ord(character):04X}; remove it"
            )
    words = " ".join(prompt.split())
    if not words:
        raise VocabularyError(f"{where}: empty synonym; is there a comma too many?")
    if ";" in words:
        raise VocabularyError(
            f"{where}: semicolon in prompt {words!r}; synonyms are separated by commas, and classes by semicolons "
            f"only in the inline form"
        )
    return words


def _is_refused(character: str, prompt: str) -> bool:
    """Whether a character cannot be seen but changes what the prompt is, or how a text with it is displayed."""
    if character in "\t\n\v\f\r":
        return False
    if character in _JOINERS:
        return prompt.translate(dict.fromkeys(map(ord, _JOINERS))).isascii()
    return unicodedata.category(character) in (
        "Cc",
        "Cf",
        "Cs",
    )  # control, format (bidirectional, zero width), half pairs


def without_comment(line: str) -> str | None:
    """Remove a comment from a line of a vocabulary file.

    Args:
        line: A line; a comment begins with "#" at its start or after white space.

    Returns:
        What is before the comment; None where the line is nothing but a comment.
    """
    if line.lstrip().startswith("#"):
        return None
    return re.split(r"\s#", line, maxsplit=1)[0]


def refuse_numbers(classes: Sequence[str], source: str) -> None:
    """Raise where classes are numbered ("0 background", "1: building"), which would become part of the prompts.

    Args:
        classes: Text of each class, in label order.
        source: Where they come from, for messages.

    Raises:
        VocabularyError: Two classes or more begin with consecutive numbers from 0 or 1.
    """
    matches = [_NUMBERED.match(text) for text in classes]
    if len(classes) < 2 or not all(matches):
        return
    numbers = [int(match[1]) for match in matches if match]
    if numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        raise VocabularyError(
            f"{source}: expected classes in words, got {classes[0].strip()!r}, {classes[1].strip()!r}; remove the "
            f"numbers, the order of the classes is their number, counted from 0"
        )
