"""Compiled steps: the plain results, and one compilation for all images and all vocabularies.

The backend "eager" of `torch.compile` traces like any other and then runs the traced operators as they are, which is
quick; whether shapes are fixed, and whether a step can be traced as a whole, does not depend on the backend.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
import torch
from golden import load_tiny

from segearth_ov3.errors import OptionError
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.outputs import Grounding
from segearth_ov3.segmenter import Segmenter
from segearth_ov3.vocabulary import Vocabulary

WORDS = ["building", "road", "swimming pool", "agricultural land with crops", "a"]
CHUNK = 2


@pytest.fixture(scope="module")
def model() -> Sam3:
    return load_tiny()


@pytest.fixture(scope="module")
def compiled() -> Iterator[Sam3]:
    torch.compiler.reset()
    yield load_tiny().compile_steps(CHUNK, backend="eager")
    torch.compiler.reset()


def pixels(seed: int, images: int = 1) -> torch.Tensor:
    return torch.rand((images, 3, 224, 224), generator=torch.Generator().manual_seed(seed)) * 2 - 1


@torch.no_grad()
def ground(model: Sam3, seed: int, words: list[str], images: int = 1) -> Grounding:
    return model.ground(model.encode_image(pixels(seed, images)), model.encode_text(words))


def assert_same(one: Grounding, other: Grounding) -> None:
    for name in one._fields:
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=1e-4, rtol=0, msg=name)


@pytest.mark.parametrize("words", [WORDS[:1], WORDS[:2], WORDS], ids=len)
def test_compiled_steps_give_the_plain_results(model: Sam3, compiled: Sam3, words: list[str]) -> None:
    assert_same(ground(compiled, 0, words), ground(model, 0, words))


def test_several_images_give_the_plain_results(model: Sam3, compiled: Sam3) -> None:
    assert_same(ground(compiled, 0, WORDS[:3], images=3), ground(model, 0, WORDS[:3], images=3))


def test_nothing_is_compiled_again_for_other_images_and_vocabularies(compiled: Sam3) -> None:
    ground(compiled, 0, WORDS[:3])
    with torch.compiler.set_stance("fail_on_recompile"):
        for seed, words in enumerate((WORDS, WORDS[:1], WORDS[2:4], ["field"] * 7), start=1):
            ground(compiled, seed, words)


def test_other_shapes_are_noticed(compiled: Sam3) -> None:
    """The check above can fail: an image of its own for each prompt is another shape."""
    ground(compiled, 0, WORDS[:3])
    other = load_tiny().compile_steps(CHUNK + 1, backend="eager")
    with torch.compiler.set_stance("fail_on_recompile"), pytest.raises(RuntimeError, match="recompile"):
        ground(other, 0, WORDS[:3])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_generated_code_gives_the_plain_results(dtype: torch.dtype) -> None:
    torch.compiler.reset()
    one, other = ground(load_tiny(dtype).compile_steps(CHUNK), 0, WORDS), ground(load_tiny(dtype), 0, WORDS)
    tolerance = 1e-4 if dtype == torch.float32 else 0.3
    for name in one._fields:
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=tolerance, rtol=0, msg=name)


@pytest.mark.parametrize("prompts", [0, -1, 2.0, True])
def test_prompts_of_a_step_must_be_positive(model: Sam3, prompts: object) -> None:
    with pytest.raises(OptionError, match="whole number from 1, got"):
        model.compile_steps(prompts)  # type: ignore[arg-type]


def test_segmenter_compiles_once_and_labels_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, quick = load_tiny(), load_tiny()
    monkeypatch.setattr(Sam3, "compile_steps", functools.partialmethod(Sam3.compile_steps, backend="eager"))
    words, fewer = (Vocabulary.from_text(text) for text in ("building; road; water; tree; car", "building; field"))
    images = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    first = Segmenter(quick, words, compile=True, prompt_chunk=2)
    torch.testing.assert_close(first(images[0]).scores, Segmenter(plain, words)(images[0]).scores, atol=1e-4, rtol=0)
    with torch.compiler.set_stance("fail_on_recompile"):
        first(images[1])
        other = Segmenter(quick, fewer, compile=True, prompt_chunk=2)
        scores = other(images[1]).scores
    torch.testing.assert_close(scores, Segmenter(plain, fewer)(images[1]).scores, atol=1e-4, rtol=0)
    assert other.describe()["compile"] is True
