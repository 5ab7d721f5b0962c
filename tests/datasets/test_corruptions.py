"""Corrupted images: the documented formulas, their order in strength, and what they depend on."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy import ndimage

from segearth_ov3.datasets.corruptions import CORRUPTIONS, Corruption
from segearth_ov3.demo.scenes import generate_scene
from segearth_ov3.errors import OptionError, ShapeError, UnknownNameError

KINDS = list(CORRUPTIONS)


@pytest.fixture(scope="module")
def scene() -> np.ndarray:
    """A generated aerial scene (120, 160, 3)."""
    return generate_scene((120, 160), seed=1).image


def error(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean((one.astype(float) - other.astype(float)) ** 2))


@pytest.mark.parametrize("kind", KINDS)
def test_higher_severity_is_further_from_the_image(scene, kind):
    errors = [error(Corruption(kind, severity).apply(scene, "a.png"), scene) for severity in range(1, 6)]
    assert errors == sorted(errors)
    assert 4 < errors[0] < errors[4] / 1.5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (5, 9), (64, 33)])
def test_shape_and_type_are_kept_and_the_image_not_changed(kind, size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    before = image.copy()
    corrupted = Corruption(kind, 3).apply(image, "a.png")
    assert (corrupted.shape, corrupted.dtype) == (image.shape, np.uint8)
    assert np.array_equal(image, before)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_layout_does_not_matter(scene, kind):
    expected = Corruption(kind, 2).apply(scene, "a.png")
    turned = np.ascontiguousarray(scene[..., ::-1])[..., ::-1]
    assert np.array_equal(Corruption(kind, 2).apply(turned, "a.png"), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_result_depends_on_image_and_name_alone(scene, kind):
    first = Corruption(kind, 4).apply(scene, "val/a.png")
    Corruption(kind, 4).apply(scene[:50], "val/b.png")  # another one between
    assert np.array_equal(Corruption(kind, 4).apply(scene, "val/a.png"), first)


@pytest.mark.parametrize(("kind", "differs"), [("noise", True), ("haze", True), ("blur", False), ("jpeg", False)])
def test_names_draw_different_noise_and_haze(scene, kind, differs):
    one, other = (Corruption(kind, 4).apply(scene, name) for name in ("a.png", "b.png"))
    assert np.array_equal(one, other) != differs


def test_noise_is_normal_with_the_stated_deviation():
    grey = np.full((400, 500, 3), 128, dtype=np.uint8)
    added = Corruption("noise", 1).apply(grey, "a.png").astype(float) - 128
    assert added.std() == pytest.approx(0.08 * 255, rel=0.01)
    assert abs(added.mean()) < 0.1
    assert np.mean(np.abs(added) < 0.08 * 255) == pytest.approx(0.6827, abs=0.02)  # rounding to integers widens it
    assert abs(np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]) < 0.01


def test_blur_agrees_with_a_convolution_in_float64(scene):
    offsets = np.arange(-12, 13)
    kernel = np.exp(-(offsets**2) / (2 * 3.0**2))
    kernel /= kernel.sum()
    expected = scene.astype(float)
    for axis in (0, 1):
        expected = ndimage.convolve1d(expected, kernel, axis=axis, mode="reflect")
    difference = Corruption("blur", 3).apply(scene, "a.png") - expected
    assert np.abs(difference).max() <= 0.51
    pillow = np.asarray(Image.fromarray(scene).filter(ImageFilter.GaussianBlur(3)), dtype=float)
    assert error(pillow[12:-12, 12:-12], expected[12:-12, 12:-12]) < 2  # repeated boxes, another edge


def test_jpeg_has_the_stated_quality(scene):
    file = io.BytesIO()
    Image.fromarray(scene).save(file, "JPEG", quality=10, subsampling=2)
    assert np.array_equal(Corruption("jpeg", 4).apply(scene, "a.png"), np.asarray(Image.open(file)))


@pytest.mark.parametrize("severity", range(1, 6))
def test_haze_mixes_the_image_with_one_light_by_a_smooth_share(severity):
    strength = (0.2, 0.4, 0.7, 1.1, 1.6)[severity - 1]
    dark, bright = (np.full((90, 130, 3), value, dtype=np.uint8) for value in (0, 255))
    veils = [Corruption("haze", severity).apply(image, "a.png").astype(float) for image in (dark, bright)]
    transmission = (veils[1] - veils[0]) / 255
    assert np.allclose(veils[0], 230 * (1 - transmission), atol=2)
    depth = -np.log(transmission) / strength
    assert 0.5 - 0.1 < depth.min() < depth.max() < 1.5 + 0.1
    assert depth.max() - depth.min() > 0.2
    assert max(np.abs(np.diff(transmission, axis=axis)).max() for axis in (0, 1)) < 0.06


def test_haze_leaves_its_own_light_as_it_is():
    light = np.full((20, 30, 3), 230, dtype=np.uint8)
    assert np.array_equal(Corruption("haze", 5).apply(light, "a.png"), light)


def test_text_names_kind_and_severity():
    assert Corruption.parse("haze:4") == Corruption("haze", 4)
    assert str(Corruption("haze", 4)) == "haze:4"


@pytest.mark.parametrize("text", ["noise", "noise:", "noise:x", "noise:-1", "noise:1.5", ":1x", ""])
def test_text_of_another_form_is_refused(text):
    with pytest.raises(OptionError, match=r"as kind:severity, such as noise:3"):
        Corruption.parse(text)


@pytest.mark.parametrize("severity", [0, 6, 2.5, None])
def test_other_severity_is_refused(severity):
    with pytest.raises(OptionError, match="severity of noise from 1 to 5"):
        Corruption("noise", severity)


def test_unknown_kind_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="unknown corruption 'fog', known: blur, haze, jpeg, noise"):
        Corruption.parse("fog:1")


def test_image_of_another_shape_or_type_is_refused():
    with pytest.raises(ShapeError, match=r"expected an RGB image \(H0, W0, 3\), got \(4, 4\)"):
        Corruption("blur", 1).apply(np.zeros((4, 4), np.uint8), "a")
    with pytest.raises(OptionError, match="expected an 8-bit image"):
        Corruption("blur", 1).apply(np.zeros((4, 4, 3), np.float32), "a")
