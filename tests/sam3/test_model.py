"""Properties of the composed network: sharing, batching, precision, errors."""

from __future__ import annotations

import pytest
import torch
from golden import PROMPTS, TRIMMED_FILE, Golden, load_tiny
from torch.profiler import ProfilerActivity, profile

from segearth_ov3.errors import ShapeError
from segearth_ov3.sam3 import ops
from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.model import Sam3, parameter_dtypes, set_compute_dtype
from segearth_ov3.sam3.outputs import BoxPrompts, ImageFeatures, Prompt, TextFeatures
from segearth_ov3.sam3.preprocess import preprocess


@pytest.fixture(scope="module")
def model() -> Sam3:
    return load_tiny()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return preprocess(Golden(TRIMMED_FILE)["image_u8"], 224)


@pytest.fixture(scope="module")
def image(model: Sam3, pixels: torch.Tensor) -> ImageFeatures:
    return model.encode_image(pixels)


@pytest.fixture(scope="module")
def text(model: Sam3) -> TextFeatures:
    return model.encode_text(PROMPTS)


def test_text_is_multiplied_without_a_copy_of_the_weights_for_each_prompt() -> None:
    half = set_compute_dtype(load_tiny(), torch.bfloat16)
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU]) as seen:
        half.encode_text(PROMPTS)
    names = {event.key for event in seen.key_averages()}
    assert "aten::addmm" in names
    assert "aten::bmm" not in names


@pytest.mark.parametrize("images", [1, len(PROMPTS)])
def test_large_maps_read_their_prompts_one_after_another(
    monkeypatch: pytest.MonkeyPatch, model: Sam3, pixels: torch.Tensor, text: TextFeatures, images: int
) -> None:
    several = model.encode_image(torch.cat([pixels.roll(37 * index, -1) for index in range(images)]))
    encoder, prompt = model.transformer.encoder, model.prompt(several, text)
    start = several.fusion_tokens, several.fusion_queries, model.positions, prompt
    sizes = []
    together = encoder.read_together

    def seen(tokens: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        sizes.append(len(tokens))
        return together(tokens, *rest)

    monkeypatch.setattr(encoder, "read_together", seen)
    monkeypatch.setattr(ops, "CHUNK_TOKENS", several.fusion_tokens.shape[1])
    with torch.no_grad():
        torch.testing.assert_close(encoder(*start), together(*start), atol=1e-5, rtol=0)
    assert sizes == [1] * len(PROMPTS)


def test_images_of_a_batch_do_not_mix(model: Sam3, pixels: torch.Tensor, image: ImageFeatures) -> None:
    batch = model.encode_image(torch.cat((pixels.flip(-1), pixels)))
    for alone, together in zip(image.levels, batch.select(slice(1, 2)).levels):
        torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


def test_kept_masks_are_those_of_all_queries(model: Sam3, image: ImageFeatures, text: TextFeatures) -> None:
    grounding = model.ground(image, text)
    prompt = model.prompt(image, text)
    memory = model.fuse(image, prompt)
    detection = model.detect(memory, prompt)
    keep = torch.zeros(5, 20, dtype=torch.bool)
    keep[0, [3, 17]] = keep[2, 5] = keep[4, 0] = True  # prompts 1 and 3 keep none
    masks = model.segment(memory, detection, prompt, image, keep)
    assert masks.prompt_index.tolist() == [0, 0, 2, 4]
    assert masks.query_index.tolist() == [3, 17, 5, 0]
    torch.testing.assert_close(masks.mask_logits, grounding.mask_logits[keep], atol=1e-5, rtol=0)


def test_segment_without_kept_queries_still_gives_semantic_maps(
    model: Sam3, image: ImageFeatures, text: TextFeatures
) -> None:
    prompt = model.prompt(image, text)
    memory = model.fuse(image, prompt)
    keep = torch.zeros(5, 20, dtype=torch.bool)
    masks = model.segment(memory, model.detect(memory, prompt), prompt, image, keep)
    assert masks.mask_logits.shape == (0, 64, 64)
    assert masks.semantic_logits.shape == (5, 64, 64)


def test_steps_may_stop_for_some_prompts(model: Sam3, image: ImageFeatures, text: TextFeatures) -> None:
    prompt = model.prompt(image, text)
    memory = model.fuse(image, prompt)
    detection = model.detect(memory, prompt)
    going_on = torch.tensor([1, 4])
    keep = torch.ones(2, 20, dtype=torch.bool)
    some = model.segment(memory[going_on], detection.select(going_on), prompt.select(going_on), image, keep)
    grounding = model.ground(image, text)
    torch.testing.assert_close(some.semantic_logits, grounding.semantic_logits[going_on], atol=1e-5, rtol=0)


def test_padding_is_never_read(model: Sam3, image: ImageFeatures, text: TextFeatures) -> None:
    noise = 1e3 * torch.randn(text.tokens.shape, generator=torch.Generator().manual_seed(0))
    noisy = TextFeatures(torch.where(text.padding[..., None], noise, text.tokens), text.padding)
    for clean, disturbed in zip(model.ground(image, text), model.ground(image, noisy)):
        assert torch.equal(clean, disturbed)


def test_decoder_start_is_computed_once_without_gradients(model: Sam3) -> None:
    decoder = model.transformer.decoder
    with torch.no_grad():
        assert decoder.start() is decoder.start()


def test_decoder_start_follows_changed_weights() -> None:
    model = load_tiny()
    decoder = model.transformer.decoder
    with torch.no_grad():
        before = decoder.start().tokens
        decoder.query_embed.weight += 1
        model.eval()
        assert not torch.equal(before, decoder.start().tokens)


def rms(difference: torch.Tensor) -> float:
    return difference.square().mean().sqrt().item()


def test_decoder_start_follows_loaded_weights() -> None:
    model = load_tiny()
    decoder = model.transformer.decoder
    with torch.no_grad():
        before = decoder.start().tokens
        state = {key: value + 1 if "query_embed" in key else value for key, value in model.state_dict().items()}
        model.load_state_dict(state)
        assert not torch.equal(before, decoder.start().tokens)


def test_autocast_leaves_nothing_behind(model: Sam3, image: ImageFeatures, text: TextFeatures) -> None:
    fresh = load_tiny()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fresh.ground(image, text)
    assert torch.equal(fresh.ground(image, text).boxes, model.ground(image, text).boxes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_as_near_to_float32_as_autocast(pixels: torch.Tensor, dtype: torch.dtype) -> None:
    single, half = load_tiny(), load_tiny(dtype)
    assert half.dtype == dtype
    exact = single.ground(single.encode_image(pixels), single.encode_text(PROMPTS))
    actual = half.ground(half.encode_image(pixels), half.encode_text(PROMPTS))
    with torch.autocast("cpu", dtype=dtype):
        reference = single.ground(single.encode_image(pixels), single.encode_text(PROMPTS))
    for name in exact._fields:
        tensor, expected = getattr(actual, name), getattr(exact, name)
        assert tensor.dtype == torch.float32, name
        # the five presence logits are too few for a stable mean
        margin = 4 if name == "presence_logits" else 2.5
        assert 0 < rms(tensor - expected) < margin * rms(getattr(reference, name) - expected), name


def test_half_precision_keeps_norms_and_decoder_feed_forward_in_float32() -> None:
    dtypes = parameter_dtypes(build_sam3(Sam3Config.tiny(), "meta"), torch.bfloat16)
    single = {key for key, dtype in dtypes.items() if dtype == torch.float32}
    half = set(dtypes) - single
    assert {key for key in dtypes if "norm" in key or "ln_" in key} <= single
    assert {key for key in dtypes if "decoder.layers" in key and ".linear" in key} <= single
    assert "backbone.vision_backbone.trunk.blocks.0.mlp.fc1.weight" in half
    assert "transformer.decoder.layers.0.cross_attn.in_proj_weight" in half
    assert "segmentation_head.pixel_decoder.conv_layers.0.weight" in half


def test_network_is_differentiable() -> None:
    model = load_tiny().train().requires_grad_(True)
    image = model.encode_image(torch.zeros(1, 3, 224, 224))
    grounding = model.ground(image, model.encode_text(["road"]))
    sum(field.sum() for field in grounding).backward()
    unused = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    boxes_only = ("label_embed", "boxes_", "img_pre_norm")
    assert all(any(part in name for part in boxes_only) for name in unused), unused


def test_wrong_input_size_names_preprocess(model: Sam3) -> None:
    with pytest.raises(ShapeError, match=r"expected pixels \(B, 3, 224, 224\), got \(1, 3, 100, 224\); use sam3"):
        model.encode_image(torch.zeros(1, 3, 100, 224))


def test_number_of_images_must_be_one_or_that_of_prompts(model: Sam3, pixels: torch.Tensor, text: TextFeatures) -> None:
    batch = model.encode_image(torch.cat((pixels, pixels)))
    with pytest.raises(ShapeError, match="one image or of one for each of 5 prompts, got 2"):
        model.prompt(batch, text)


@pytest.mark.parametrize("with_boxes", [False, True])
def test_pairs_of_image_and_prompt_equal_images_one_by_one(
    model: Sam3, pixels: torch.Tensor, text: TextFeatures, with_boxes: bool
) -> None:
    batch = model.encode_image(torch.cat((pixels, pixels.flip(-1))))
    image_index, prompt_index = torch.tensor([0, 1, 1]), torch.tensor([0, 0, 3])
    boxes = BoxPrompts(
        torch.tensor([[[0.4, 0.5, 0.3, 0.2]], [[0.3, 0.3, 0.5, 0.2]], [[0.7, 0.6, 0.2, 0.4]]]),
        torch.ones(3, 1, dtype=torch.bool),
        torch.zeros(3, 1, dtype=torch.bool),
    )
    together = model.ground(batch.select(image_index), text.select(prompt_index), boxes if with_boxes else None)
    for pair, (image, prompt) in enumerate(zip(image_index.tolist(), prompt_index.tolist())):
        one = BoxPrompts(*(field[pair : pair + 1] for field in boxes)) if with_boxes else None
        alone = model.ground(batch.select(slice(image, image + 1)), text.select(slice(prompt, prompt + 1)), one)
        for name in alone._fields:
            torch.testing.assert_close(
                getattr(together, name)[pair], getattr(alone, name)[0], atol=5e-5, rtol=0, msg=name
            )


def test_set_compute_dtype_and_back_restores_float32() -> None:
    model = set_compute_dtype(load_tiny(torch.bfloat16), torch.float32)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_text_only_prompt_has_one_geometry_token(model: Sam3, image: ImageFeatures, text: TextFeatures) -> None:
    prompt = model.prompt(image, text)
    assert isinstance(prompt, Prompt)
    assert prompt.tokens.shape == (5, 33, 32)
    assert not prompt.padding[:, 32].any()
