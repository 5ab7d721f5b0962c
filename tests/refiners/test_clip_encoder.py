from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from tiny_clip import BLOCKS, EMBEDDING, PATCHES, SIZE, WIDTH, CountingEncoder, random_pixels, tiny_clip
from torch import Tensor

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.refiners.clip_encoder import ClipEncoder, cut_crops, resize_pixels, stitch_maps

TAPS = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def encoder() -> ClipEncoder:
    return ClipEncoder(tiny_clip(), name="tiny")


def block_outputs(encoder: ClipEncoder, pictures: Tensor) -> list[Tensor]:
    """What each block of the image tower puts out in a forward pass of open_clip itself, class token included."""
    outputs: list[Tensor] = []
    blocks = encoder.visual.transformer.resblocks
    handles = [block.register_forward_hook(lambda *args: outputs.append(args[2])) for block in blocks]
    with torch.no_grad():
        encoder.visual(pictures)
    for handle in handles:
        handle.remove()
    return outputs


def clip_input(encoder: ClipEncoder, pixels: Tensor, grid: str = "whole") -> Tensor:
    """What the first layer of the image tower gets to see."""
    seen: list[Tensor] = []
    handle = encoder.visual.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    encoder.encode_image(pixels, [1], grid)
    handle.remove()
    return seen[0]


def to_map(tokens: Tensor) -> Tensor:
    """Tokens (B, 1 + p*p, D) to maps (B, D, p, p), position by position."""
    result = torch.zeros(len(tokens), tokens.shape[2], PATCHES, PATCHES)
    for row in range(PATCHES):
        for column in range(PATCHES):
            result[:, :, row, column] = tokens[:, 1 + row * PATCHES + column]
    return result


# ---- features


@pytest.mark.parametrize("tap", TAPS)
def test_tap_is_the_output_of_that_block_counted_from_1(encoder: ClipEncoder, tap: int) -> None:
    pixels = random_pixels(2)
    expected = to_map(block_outputs(encoder, clip_input(encoder, pixels))[tap - 1])
    (found,) = encoder.encode_image(pixels, [tap]).taps
    torch.testing.assert_close(found, expected)


def test_blocks_differ_from_each_other(encoder: ClipEncoder) -> None:
    maps = encoder.encode_image(random_pixels(), TAPS).taps
    assert all((a - b).abs().max() > 0.1 for a, b in itertools.pairwise(maps))


@pytest.mark.parametrize("taps", [(4, 2), (2, 4), [2, 4, 2]], ids=str)
def test_taps_come_from_first_to_last_block(encoder: ClipEncoder, taps: tuple[int, ...]) -> None:
    maps = encoder.encode_image(random_pixels(), taps).taps
    assert len(maps) == 2
    for tap, found in zip((2, 4), maps):
        assert torch.equal(found, encoder.encode_image(random_pixels(), [tap]).taps[0])


@pytest.mark.parametrize("taps", [(1,), (4,), (1, 4)], ids=str)
def test_patches_are_projected_as_open_clip_does(taps: tuple[int, ...]) -> None:
    encoder, pixels = ClipEncoder(tiny_clip()), random_pixels(2)
    pictures = clip_input(encoder, pixels)
    found = encoder.encode_image(pixels, taps).patches
    encoder.visual.output_tokens = True  # open_clip's own forward pass then gives the normalised patches too
    with torch.no_grad():
        _, tokens = encoder.visual(pictures)  # (B, p*p, D)
        padded = torch.cat([tokens[:, :1], tokens], dim=1) @ encoder.visual.proj
    torch.testing.assert_close(found, to_map(padded))


def test_class_token_projected_the_same_way_is_the_image_embedding(encoder: ClipEncoder) -> None:
    pictures = clip_input(encoder, random_pixels())
    with torch.no_grad():
        token = block_outputs(encoder, pictures)[-1][:, 0]
        torch.testing.assert_close(
            encoder.visual.ln_post(token) @ encoder.visual.proj, encoder.model.encode_image(pictures)
        )


def test_sizes_of_whole_maps(encoder: ClipEncoder) -> None:
    features = encoder.encode_image(random_pixels(2), (1, 4))
    assert [tuple(each.shape) for each in features.taps] == [(2, WIDTH, PATCHES, PATCHES)] * 2
    assert features.patches.shape == (2, EMBEDDING, PATCHES, PATCHES)


def test_images_of_a_batch_do_not_mix(encoder: ClipEncoder) -> None:
    pixels = random_pixels(3, side=3 * SIZE)
    together = encoder.encode_image(pixels, [2], "tiled").taps[0]
    for image in range(3):
        alone = encoder.encode_image(pixels[image : image + 1], [2], "tiled").taps[0]
        torch.testing.assert_close(together[image : image + 1], alone)


def test_model_of_half_precision_gives_float32_maps() -> None:
    exact = ClipEncoder(tiny_clip()).encode_image(random_pixels(), [4])
    rough = ClipEncoder(tiny_clip().to(torch.bfloat16)).encode_image(random_pixels(), [4])
    for found, expected in zip((rough.taps[0], rough.patches), (exact.taps[0], exact.patches)):
        assert found.dtype == torch.float32
        assert torch.nn.functional.cosine_similarity(found, expected).min() > 0.99


# ---- what CLIP sees


def test_picture_is_normalised_as_open_clip_does(encoder: ClipEncoder) -> None:
    image = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    expected = open_clip.image_transform(SIZE, is_train=False)(Image.fromarray(image))
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255 * 2 - 1
    torch.testing.assert_close(clip_input(encoder, pixels)[0], expected)


def test_own_mean_and_std_are_used() -> None:
    encoder = ClipEncoder(tiny_clip(), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0))
    seen = clip_input(encoder, torch.zeros(1, 3, SIZE, SIZE))[0, :, 0, 0]
    torch.testing.assert_close(seen, torch.tensor([0.8, 1.2, 0.1]))


@pytest.mark.parametrize("side", [20, 42, 100, 126])
def test_resizing_is_that_of_pillow_within_rounding(side: int) -> None:
    image = np.random.default_rng(0).integers(
        90, 166, (63, 63, 3), dtype=np.uint8
    )  # Pillow clips twice, so no extremes
    resized = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC), dtype=np.float32)
    found = resize_pixels(torch.from_numpy(image).permute(2, 0, 1)[None] / 255 * 2 - 1, side)
    levels = (found[0].permute(1, 2, 0) + 1) / 2 * 255
    assert np.abs(levels.numpy() - resized).max() < 1.2


def test_resizing_stays_within_the_range_of_images() -> None:
    edges = (torch.arange(30) % 10 < 5).float().mul(2).sub(1).expand(1, 3, 30, 30)
    assert resize_pixels(edges, 45).abs().max() <= 1


@pytest.mark.parametrize(
    ("side", "tiles"), [(126, 3), (42, 1), (20, 1), (5, 1), (62, 1), (63, 2), (84, 2), (110, 3), (130, 3)]
)
def test_tiled_input_is_the_nearest_multiple_of_the_size(encoder: ClipEncoder, side: int, tiles: int) -> None:
    features = encoder.encode_image(random_pixels(side=side), [1], "tiled")
    assert features.taps[0].shape[-2:] == (tiles * PATCHES, tiles * PATCHES)
    assert features.patches.shape[-2:] == (tiles * PATCHES, tiles * PATCHES)


def test_tiled_map_is_that_of_crops_encoded_one_by_one(encoder: ClipEncoder) -> None:
    pixels = random_pixels(2, side=3 * SIZE)  # no symmetry, so that swapped axes show
    tiled = encoder.encode_image(pixels, [2, 4], "tiled")
    for image in range(2):
        for down in range(3):
            for right in range(3):
                crop = pixels[image : image + 1, :, down * SIZE : (down + 1) * SIZE, right * SIZE : (right + 1) * SIZE]
                alone = encoder.encode_image(crop, [2, 4])
                rows = slice(down * PATCHES, (down + 1) * PATCHES)
                columns = slice(right * PATCHES, (right + 1) * PATCHES)
                torch.testing.assert_close(tiled.taps[0][image, :, rows, columns], alone.taps[0][0])
                torch.testing.assert_close(tiled.taps[1][image, :, rows, columns], alone.taps[1][0])
                torch.testing.assert_close(tiled.patches[image, :, rows, columns], alone.patches[0])


def test_all_crops_go_through_the_network_in_one_batch(encoder: ClipEncoder) -> None:
    assert clip_input(encoder, random_pixels(2, side=3 * SIZE), "tiled").shape == (18, 3, SIZE, SIZE)


def test_stitching_undoes_cutting() -> None:
    maps = torch.randn(2, 5, 12, 12, generator=torch.Generator().manual_seed(0))
    crops = cut_crops(maps, 3)  # (18, 5, 4, 4)
    assert torch.equal(stitch_maps(crops.flatten(2).transpose(1, 2), 3), maps)


# ---- text


def test_text_embedding_is_that_of_open_clip(encoder: ClipEncoder) -> None:
    prompts = ["road", "low vegetation"]
    with torch.no_grad():
        expected = encoder.model.encode_text(open_clip.tokenize(prompts), normalize=True)
    torch.testing.assert_close(encoder.encode_text(prompts), expected)


def test_list_of_prompts_is_read_once() -> None:
    encoder = CountingEncoder()
    for _ in range(3):
        encoder.encode_text(["road", "water"])
    encoder.encode_text(("road", "water"))
    assert encoder.prompts_read == 2


def test_other_list_of_prompts_is_read_anew() -> None:
    encoder = CountingEncoder()
    first = encoder.encode_text(["road", "water"])
    torch.testing.assert_close(encoder.encode_text(["water", "road"]), first.flip(0))


def test_own_tokenizer_is_used() -> None:
    def tokenizer(prompts: list[str]) -> Tensor:
        return open_clip.tokenize([prompt.upper() + " roof" for prompt in prompts])

    found = ClipEncoder(tiny_clip(), tokenizer=tokenizer).encode_text(["road"])
    torch.testing.assert_close(found, ClipEncoder(tiny_clip()).encode_text(["road roof"]))


# ---- frozen


def test_weights_are_frozen(encoder: ClipEncoder) -> None:
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not any(module.training for module in encoder.model.modules())


def test_features_need_no_gradient(encoder: ClipEncoder) -> None:
    encoder.visual.proj.requires_grad_()
    features = encoder.encode_image(random_pixels().requires_grad_(), [1])
    encoder.visual.proj.requires_grad_(False)
    assert not features.taps[0].requires_grad
    assert not features.patches.requires_grad


def test_pixels_are_left_as_they_were(encoder: ClipEncoder) -> None:
    pixels = random_pixels(side=SIZE)
    before = pixels.clone()
    encoder.encode_image(pixels, [1])
    assert torch.equal(pixels, before)


# ---- refusals


@pytest.mark.parametrize("taps", [(0,), (5,), (1, -1), ()], ids=str)
def test_block_that_is_not_there_is_refused(encoder: ClipEncoder, taps: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match=rf"from 1 to {BLOCKS} of tiny, got .*; every quarter .* taps=\(1, 2, 3, 4\)"):
        encoder.encode_image(random_pixels(), taps)


def test_unknown_grid_is_refused(encoder: ClipEncoder) -> None:
    with pytest.raises(OptionError, match="grid must be one of whole, tiled, got 'tile'"):
        encoder.encode_image(random_pixels(), [1], "tile")


def test_image_that_is_not_square_is_refused(encoder: ClipEncoder) -> None:
    with pytest.raises(ShapeError, match=r"expected pixels \(B, 3, R, R\), got \(1, 3, 42, 40\)"):
        encoder.encode_image(torch.zeros(1, 3, 42, 40), [1])


@pytest.mark.parametrize(
    ("vision", "reason"),
    [
        ({"layers": (1, 1, 1, 1), "width": 8, "image_size": 32}, "got ModifiedResNet in odd"),
        ({"attentional_pool": True, "attn_pooler_heads": 8}, "odd pools them by attention or has none"),
        ({"image_size": (42, 28)}, r"square images, odd reads \(42, 28\)"),
    ],
    ids=["resnet", "attention", "oblong"],
)
def test_other_image_tower_is_refused(vision: dict[str, Any], reason: str) -> None:
    with pytest.raises(OptionError, match=f"expected a CLIP of open_clip with a VisionTransformer.*{reason}"):
        ClipEncoder(tiny_clip(**vision), name="odd")


def test_something_else_than_a_clip_is_refused() -> None:
    with pytest.raises(OptionError, match="got NoneType in CLIP; use a model such as ViT-L-14-336"):
        ClipEncoder(torch.nn.Linear(1, 1))
