from __future__ import annotations

import warnings

import pytest
import torch
from fake_model import FakeSam3
from golden import load_tiny

from segearth_ov3.engine import text_cache
from segearth_ov3.engine.text_cache import TextCache, encode_prompts, encode_vocabulary, warn_overlong
from segearth_ov3.errors import VocabularyError, VocabularyWarning
from segearth_ov3.sam3.model import Sam3, set_compute_dtype
from segearth_ov3.segmenter import Segmenter
from segearth_ov3.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_text("background; building,house,apartment block; road; low vegetation; water")


@pytest.fixture(scope="module")
def tiny() -> Sam3:
    """The smallest network."""
    return load_tiny()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_cached_features_equal_fresh_ones_bit_by_bit(tiny: Sam3, dtype: torch.dtype) -> None:
    set_compute_dtype(tiny, dtype)
    cache = TextCache(tiny)
    cache.features(VOCABULARY)
    with torch.no_grad():
        fresh = tiny.encode_text(list(VOCABULARY.prompts))
    cached = cache.features(VOCABULARY)
    assert cached.tokens.dtype == fresh.tokens.dtype
    assert torch.equal(cached.tokens, fresh.tokens)
    assert torch.equal(cached.padding, fresh.padding)


def test_vocabulary_is_encoded_once() -> None:
    model = FakeSam3()
    cache = TextCache(model)
    for _ in range(3):
        cache.features(VOCABULARY)
    assert model.calls["prompts encoded"] == len(VOCABULARY.prompts)


def test_other_compute_dtype_is_encoded_anew() -> None:
    model = FakeSam3()
    cache = TextCache(model)
    cache.features(VOCABULARY)
    model.dtype = torch.bfloat16
    cache.features(VOCABULARY)
    assert model.calls["prompts encoded"] == 2 * len(VOCABULARY.prompts)


def test_features_follow_the_order_of_the_prompts_over_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cache, "TEXT_CHUNK", 3)
    model = FakeSam3()
    features, whole = encode_vocabulary(model, VOCABULARY), model.encode_text(VOCABULARY.prompts)
    assert torch.equal(features.tokens, whole.tokens)
    assert torch.equal(features.padding, whole.padding)


def test_features_need_no_gradient(tiny: Sam3) -> None:
    tiny.backbone.language_backbone.resizer.requires_grad_()
    assert not encode_prompts(tiny, ["road"]).tokens.requires_grad


def words(count: int) -> str:
    """A prompt of so many tokens without start and end."""
    return " ".join(["road"] * count)


def test_overlong_prompts_are_named_in_one_warning() -> None:
    prompts = [words(31), words(30), *(f"{words(29 + count)} end" for count in range(2, 18))]
    with pytest.warns(VocabularyWarning) as caught:
        warn_overlong(Vocabulary.from_lines(prompts), context_length=32)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("the network reads 32 tokens of a prompt")
    assert f"cut off: '{words(31)}' (33), '{words(31)} end' (34), " in message
    assert message.endswith(" and 14 more; use fewer words")
    assert f"'{words(30)}'" not in message


def test_prompt_that_just_fits_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode_vocabulary(FakeSam3(), Vocabulary(((words(30),),)))


# ---- prompts that are the same to the network


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("café", "cafe\u0301"),
        ("house &amp garden", "house & garden"),
        ("STRASSE", "strasse"),
        ("ﬁeld", "field"),
        (f"{words(30)} north", f"{words(30)} south"),
    ],
)
def test_prompts_with_equal_tokens_are_refused(first: str, second: str) -> None:
    vocabulary = Vocabulary(((first,), ("water",)))
    object.__setattr__(vocabulary, "classes", ((first,), ("water",), (second,)))  # letter case is refused earlier
    with pytest.raises(VocabularyError, match="are the same to the network, which reads the first 32 tokens"):
        encode_vocabulary(FakeSam3(), vocabulary)


def test_prompt_without_tokens_is_refused() -> None:
    with pytest.raises(VocabularyError, match="prompt '&nbsp' has no letter, digit or sign"):
        encode_vocabulary(FakeSam3(), Vocabulary((("&nbsp",), ("water",))))


def test_equal_prompts_end_the_making_of_a_segmenter() -> None:
    with pytest.raises(VocabularyError, match="prompts 'café' and 'cafe\u0301' are the same"):
        Segmenter(FakeSam3(), Vocabulary.from_text("café; cafe\u0301; road"))
