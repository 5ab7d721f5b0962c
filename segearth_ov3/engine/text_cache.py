"""Text features of a vocabulary, encoded once instead of once per image.

The text side of the network sees no image, so nothing is lost by keeping its output. Cached and fresh features come
out of the same function and are stored as it returns them, without a change of precision: they are equal bit by bit.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ..errors import VocabularyError, VocabularyWarning
from ..sam3.outputs import TextFeatures
from ..sam3.tokenizer import count_tokens, tokenize
from ..vocabulary import Vocabulary

if TYPE_CHECKING:
    from ..sam3.model import Sam3

_SHOWN = 3  # overlong prompts that a warning names
TEXT_CHUNK = 64


def encode_vocabulary(model: Sam3, vocabulary: Vocabulary) -> TextFeatures:
    """Encode every prompt of a vocabulary; name over-long ones in a warning.

    Args:
        model: The network; its context length is the most tokens a prompt may have, start and end included.
        vocabulary: P prompts.

    Returns:
        Features (P, L, D) in the order of `vocabulary.prompts`.

    Raises:
        VocabularyError: See `check_tokens`.
    """
    check_tokens(vocabulary, model.config.context_length)
    warn_overlong(vocabulary, model.config.context_length)
    return encode_prompts(model, vocabulary.prompts)


@torch.no_grad()
def encode_prompts(model: Sam3, prompts: Sequence[str]) -> TextFeatures:
    """Encode prompts, at most `TEXT_CHUNK` at a time to bound memory.

    Args:
        model: The network.
        prompts: P prompts in words, at least one.

    Returns:
        Features (P, L, D) in the order of `prompts`; up to `TEXT_CHUNK` prompts they are `model.encode_text(prompts)`.
    """
    chunks = [model.encode_text(prompts[start : start + TEXT_CHUNK]) for start in range(0, len(prompts), TEXT_CHUNK)]
    return TextFeatures(*(torch.cat(parts) for parts in zip(*chunks)))


def check_tokens(vocabulary: Vocabulary, context_length: int) -> None:
    """Raise where two prompts are the same to the network, which would make one of them useless.

    Args:
        vocabulary: The prompts.
        context_length: Most tokens of a prompt, start and end included.

    Raises:
        VocabularyError: Two prompts have equal tokens (they differ in letter case, HTML entities or Unicode form, or
            after the last token that is read), or a prompt has none.
    """
    first: dict[tuple[int, ...], str] = {}
    for prompt, ids in zip(vocabulary.prompts, tokenize(vocabulary.prompts, context_length).tolist()):
        if count_tokens(prompt) <= 2:  # start and end
            raise VocabularyError(f"prompt {prompt!r} has no letter, digit or sign that the network reads; remove it")
        other = first.setdefault(tuple(ids), prompt)
        if other is not prompt:
            raise VocabularyError(
                f"prompts {other!r} and {prompt!r} are the same to the network, which reads the first "
                f"{context_length} tokens without letter case and Unicode form; remove one"
            )


def warn_overlong(vocabulary: Vocabulary, context_length: int) -> None:
    """Warn once about all prompts that the network will not read to their end.

    Args:
        vocabulary: The prompts.
        context_length: Most tokens of a prompt, start and end included.
    """
    counts = {prompt: count_tokens(prompt) for prompt in vocabulary.prompts}
    overlong = [f"{prompt!r} ({tokens})" for prompt, tokens in counts.items() if tokens > context_length]
    if overlong:
        shown = ", ".join(overlong[:_SHOWN]) + (f" and {len(overlong) - _SHOWN} more" if len(overlong) > _SHOWN else "")
        warnings.warn(
            f"the network reads {context_length} tokens of a prompt, start and end included, and the ends of these are "
            f"cut off: {shown}; use fewer words",
            VocabularyWarning,
            stacklevel=2,
        )


class TextCache:
    """Text features of one model, kept by vocabulary, device and compute dtype.

    Moving the model or changing its compute dtype makes the features anew; changing its weights in place does not.

    Args:
        model: The network.
    """

    def __init__(self, model: Sam3) -> None:
        self._model = model
        self._features: dict[tuple[tuple[str, ...], torch.device, torch.dtype], TextFeatures] = {}

    def features(self, vocabulary: Vocabulary) -> TextFeatures:
        """Features of the vocabulary's prompts, as `encode_vocabulary` returns them.

        Args:
            vocabulary: P prompts.

        Returns:
            Features (P, L, D); the same tensors at every call, not to be changed in place.
        """
        key = (vocabulary.prompts, self._model.device, self._model.dtype)
        if key not in self._features:
            self._features[key] = encode_vocabulary(self._model, vocabulary)
        return self._features[key]
