"""Words to token ids: CLIP's byte-pair encoding, as open_clip ships it.

A row is start id, tokens, end id, zeros up to the context length. Over-long text is cut and still ends with the end
id. Id 0 is padding wherever it stands, as in the reference, although it is also the token of a "!" inside a longer
run of punctuation.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from open_clip.tokenizer import SimpleTokenizer

PADDING_ID = 0


@functools.lru_cache(maxsize=1)
def _tokenizer() -> SimpleTokenizer:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def tokenize(texts: Sequence[str], context_length: int = 32) -> Tensor:
    """Encode prompts.

    Args:
        texts: P prompts in plain words.
        context_length: Ids per row L, start and end included.

    Returns:
        Ids (P, L), int64.
    """
    return _tokenizer()(list(texts), context_length=context_length)


def count_tokens(text: str) -> int:
    """Ids that a prompt needs without truncation, start and end included."""
    return len(_tokenizer().encode(text)) + 2
