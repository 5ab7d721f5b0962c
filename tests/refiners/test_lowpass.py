from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.refiners.base import RefinerContext
from segearth_ov3.refiners.lowpass import Lowpass, lowpass

SIZES = [(8, 8), (9, 9), (7, 12), (10, 5), (1, 1)]
GAINS = {
    "ideal": lambda f, r, n: float(f <= r),
    "gaussian": lambda f, r, n: math.exp(-(f**2) / (2 * r**2)),
    "butterworth": lambda f, r, n: 1 / (1 + (f / r) ** (2 * n)),
}
SIDE = 24
NO_CONTEXT = RefinerContext(torch.zeros(1, 3, 4, 4))


def random_tokens(shape: tuple[int, ...] = (2, 3, 8, 8), seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def slow_lowpass(maps: np.ndarray, radius: float, alpha: float, shape: str, order: int, periods: int) -> np.ndarray:
    """The full complex spectrum, frequency by frequency, for maps (N, D, H, W) that count as periodic."""
    spectrum = np.fft.fft2(maps)
    rows, columns = maps.shape[-2:]
    for i in range(rows):
        for j in range(columns):
            up = (i if i <= rows // 2 else i - rows) / periods
            right = (j if j <= columns // 2 else j - columns) / periods
            spectrum[..., i, j] *= 1 - alpha + alpha * GAINS[shape](math.hypot(up, right), radius, order)
    return np.fft.ifft2(spectrum).real


def wave(vertical: float, horizontal: float, height: int = SIDE, width: int = SIDE, shift: float = 0.0) -> Tensor:
    """A cosine (1, 1, H, W) of so many cycles per map in both directions."""
    rows, columns = torch.arange(height).double() + shift, torch.arange(width).double() + shift
    phases = vertical * rows[:, None] / height + horizontal * columns / width
    return torch.cos(2 * math.pi * phases).float()[None, None]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("shape", GAINS)
def test_agrees_with_a_loop_over_all_frequencies(size: tuple[int, int], shape: str) -> None:
    tokens = random_tokens((2, 2, *size))
    expected = slow_lowpass(tokens.double().numpy(), 2.3, 0.7, shape, 3, 1)
    found = lowpass(tokens, radius=2.3, alpha=0.7, shape=shape, order=3)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("shape", GAINS)
def test_reflected_agrees_with_a_loop_over_the_mirrored_map(size: tuple[int, int], shape: str) -> None:
    tokens = random_tokens((2, 2, *size))
    height, width = size
    mirrored = np.pad(tokens.double().numpy(), ((0, 0), (0, 0), (0, height), (0, width)), mode="symmetric")
    expected = slow_lowpass(mirrored, 2.3, 0.7, shape, 3, 2)[..., :height, :width]
    found = lowpass(tokens, radius=2.3, alpha=0.7, shape=shape, order=3, padding="reflect")
    np.testing.assert_allclose(found, expected, atol=1e-6)


# ---- what is kept and what goes


@pytest.mark.parametrize("padding", ["none", "reflect"])
@pytest.mark.parametrize("shape", GAINS)
@pytest.mark.parametrize("radius", [0, 3])
def test_constant_map_is_kept(shape: str, padding: str, radius: float) -> None:
    tokens = torch.tensor([3.7, -0.1]).view(1, 2, 1, 1).expand(1, 2, 6, 7)
    kept = lowpass(tokens, radius=radius, alpha=1, shape=shape, padding=padding)
    torch.testing.assert_close(kept, tokens)


@pytest.mark.parametrize("cycles", [(0, 1), (3, 0), (-2, 3), (4, 3), (5, 0)], ids=str)
def test_low_frequency_is_kept(cycles: tuple[int, int]) -> None:
    tokens = wave(*cycles)
    torch.testing.assert_close(lowpass(tokens, radius=5, alpha=1), tokens, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cycles", [(0, 6), (6, 0), (-4, 4), (12, 0), (0, 12), (12, 12), (11, -3)], ids=str)
def test_high_frequency_is_removed(cycles: tuple[int, int]) -> None:
    assert lowpass(wave(*cycles), radius=5, alpha=1).abs().max() < 1e-5


@pytest.mark.parametrize(("cycles", "kept"), [(2.5, True), (3, True), (3.5, False), (12, False)])
def test_reflected_radius_counts_cycles_of_the_map_itself(cycles: float, kept: bool) -> None:
    tokens = wave(0, cycles, shift=0.5)  # goes on smoothly in the mirror image, half cycles too
    found = lowpass(tokens, radius=3, alpha=1, padding="reflect")
    torch.testing.assert_close(found, tokens if kept else torch.zeros_like(tokens), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("shape", "gain"), [("gaussian", math.exp(-0.5)), ("butterworth", 0.5)])
def test_smooth_shapes_have_their_gain_at_the_radius(shape: str, gain: float) -> None:
    tokens = wave(0, 4)
    torch.testing.assert_close(lowpass(tokens, radius=4, alpha=1, shape=shape), gain * tokens, atol=1e-6, rtol=0)


def test_axes_of_different_length_are_measured_by_their_own() -> None:
    low, high = wave(3, 0, 16, 10), wave(0, 4, 16, 10)
    torch.testing.assert_close(lowpass(low + high, radius=3, alpha=1), low, atol=1e-5, rtol=0)


def test_alpha_is_the_share_of_detail_that_goes() -> None:
    torch.testing.assert_close(lowpass(wave(0, 9), radius=5, alpha=0.3), 0.7 * wave(0, 9), atol=1e-6, rtol=0)


# ---- borders


def bright_border() -> Tensor:
    tokens = torch.zeros(1, 1, SIDE, SIDE)
    tokens[..., :2] = 1
    return tokens


def test_without_padding_a_border_leaks_into_the_opposite_one() -> None:
    assert lowpass(bright_border(), radius=3, alpha=1, shape="gaussian")[..., -1].mean() > 0.1


def test_with_reflection_a_border_does_not_leak_into_the_opposite_one() -> None:
    found = lowpass(bright_border(), radius=3, alpha=1, shape="gaussian", padding="reflect")
    assert found[..., -1].abs().max() < 1e-4


# ---- the rest


@pytest.mark.parametrize("padding", ["none", "reflect"])
def test_is_linear(padding: str) -> None:
    first, second = random_tokens(seed=1), random_tokens(seed=2)
    options = {"radius": 2, "alpha": 0.8, "padding": padding}
    apart = 2 * lowpass(first, **options) - 3 * lowpass(second, **options)
    torch.testing.assert_close(lowpass(2 * first - 3 * second, **options), apart, atol=1e-5, rtol=0)


def test_filtering_twice_with_the_ideal_shape_is_filtering_once() -> None:
    once = lowpass(random_tokens(), radius=2, alpha=1)
    torch.testing.assert_close(lowpass(once, radius=2, alpha=1), once, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 8e-3), (torch.float16, 1e-3)], ids=str)
def test_half_precision_is_filtered_in_single_and_rounded_once(dtype: torch.dtype, tolerance: float) -> None:
    tokens = random_tokens().to(dtype)
    single = lowpass(tokens.float(), radius=2, alpha=0.9)
    torch.testing.assert_close(lowpass(tokens, radius=2, alpha=0.9), single.to(dtype), atol=0, rtol=tolerance)


def test_defaults_are_a_fifth_of_an_ideal_filter_of_12_cycles_at_memory() -> None:
    tokens = random_tokens((1, 2, 30, 30))
    expected = slow_lowpass(tokens.double().numpy(), 12, 0.2, "ideal", 1, 1)
    np.testing.assert_allclose(Lowpass()(tokens, NO_CONTEXT), expected, atol=1e-6)
    assert Lowpass().at == "memory"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"radius": -1}, r"radius must be a number from 0 to 1e\+06, got -1"),
        ({"radius": math.inf}, "radius must be a number .* got inf"),
        ({"radius": math.nan}, "radius must be a number .* got nan"),
        ({"alpha": 1.5}, "alpha must be a number from 0 to 1, got 1.5"),
        ({"alpha": math.nan}, "alpha must be a number .* got nan"),
        ({"shape": "box"}, "shape must be one of ideal, gaussian, butterworth, got 'box'"),
        ({"padding": "zeros"}, "padding must be one of none, reflect, got 'zeros'"),
        ({"order": 0}, "order must be one of 1, 2, .* got 0"),
        ({"order": 1.5}, "order must be one of 1, 2, .* got 1.5"),
    ],
)
def test_wrong_parameter_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Lowpass(**options)
    with pytest.raises(OptionError, match=message):
        lowpass(random_tokens(), **options)


@pytest.mark.parametrize("shape", GAINS)
def test_largest_radius_keeps_everything(shape: str) -> None:
    tokens = random_tokens()
    torch.testing.assert_close(lowpass(tokens, radius=1e6, alpha=1, shape=shape), tokens, atol=1e-6, rtol=0)


def test_tokens_of_other_axes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected tokens \(N, D, H, W\), got \(3, 8, 8\)"):
        lowpass(random_tokens((3, 8, 8)))
