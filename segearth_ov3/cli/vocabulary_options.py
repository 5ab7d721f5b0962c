"""The classes of a command in words: where they come from, and what in them is probably meant otherwise."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ..errors import VocabularyWarning
from .options import CommandT, grouped

if TYPE_CHECKING:
    from ..vocabulary import Vocabulary


class BackgroundType(click.ParamType):
    """The index of a class, or "none"."""

    name = "N|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return the index, or "none" (None would mean to click that nothing was given)."""
        if isinstance(value, int) or value == "none":
            return value
        if not str(value).isdecimal():
            self.fail(f"expected the index of a class (0, 1, ...) or none, got {value!r}", param, ctx)
        return int(value)


@dataclasses.dataclass(frozen=True)
class VocabularyOptions:
    """Which classes to look for: in one text, or in a file."""

    classes: str | None
    vocab: str | None
    background: int | None
    background_given: bool

    def load(self, prob_threshold: float) -> Vocabulary:
        """Read the vocabulary.

        Args:
            prob_threshold: Of the score fusion, 0 to 1; decides which warnings about the background are due.

        Raises:
            click.UsageError: Not exactly one of the two sources is given.
            VocabularyError: The classes are not admissible.
        """
        from ..vocabulary import Vocabulary

        if (self.classes is None) == (self.vocab is None):
            raise click.UsageError("give the classes by exactly one of --classes and --vocab")
        if self.classes is not None:
            words = Vocabulary.from_text(self.classes, background=self.background)
        else:
            words = Vocabulary.from_file(str(self.vocab), background=self.background)
        self._warn(words, prob_threshold)
        return words

    def _warn(self, words: Vocabulary, prob_threshold: float) -> None:
        """Warn where a background was chosen that takes no pixels, or where one takes them that was not chosen."""
        if self.background_given and self.background is not None and prob_threshold == 0:
            note = "--background has no effect without --prob-threshold, such as --prob-threshold 0.3"
            warnings.warn(note, VocabularyWarning, stacklevel=3)
        first = words.class_names[0]
        if not self.background_given and prob_threshold > 0 and len(words) > 1 and first.lower() != "background":
            note = f"pixels below --prob-threshold become class 0, {first!r}; choose by --background N"
            warnings.warn(note, VocabularyWarning, stacklevel=3)


def vocabulary_options(command: CommandT) -> CommandT:
    """Add --classes, --vocab and --background as the argument `vocabulary`."""
    options = {
        "classes": click.option("--classes", metavar="TEXT", help='Classes in words: "building,house; road; water".'),
        "vocab": click.option("--vocab", metavar="FILE", help="Text file: a class per line, synonyms after commas."),
        "background": click.option(
            "--background",
            type=BackgroundType(),
            metavar="N|none",
            help="Class given where no score reaches --prob-threshold; none: always the best class  [default: 0]",
        ),
    }
    return grouped(command, "vocabulary", _vocabulary_from, options)


def _vocabulary_from(values: Mapping[str, Any]) -> VocabularyOptions:
    background = values["background"]
    chosen = {None: 0, "none": None}.get(background, background)
    return VocabularyOptions(values["classes"], values["vocab"], chosen, background_given=background is not None)
