from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.refiners.base import RefinerContext
from segearth_ov3.refiners.smoothing import Smoothing, smoothing

SHAPES = [(2, 3, 9, 9), (1, 2, 8, 5), (1, 2, 2, 3), (1, 1, 1, 1)]
NO_CONTEXT = RefinerContext(torch.zeros(1, 3, 4, 4))


def random_tokens(shape: tuple[int, ...] = (2, 3, 8, 8), seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def scipy_mean(tokens: Tensor, size: int) -> np.ndarray:
    """Mean over the existing neighbours: the filtered map over the filtered indicator of the map, zeros outside."""
    maps = tokens.double().numpy()
    window = (1, 1, size, size)
    sums = ndimage.uniform_filter(maps, window, mode="constant")
    return sums / ndimage.uniform_filter(np.ones_like(maps), window, mode="constant")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("size", [3, 5, 7])
def test_residual_adds_the_mean_of_scipy(shape: tuple[int, ...], size: int) -> None:
    tokens = random_tokens(shape)
    expected = tokens.numpy() + 0.3 * scipy_mean(tokens, size)
    np.testing.assert_allclose(smoothing(tokens, weight=0.3, kernel_size=size), expected, atol=1e-6)


@pytest.mark.parametrize("size", [3, 5, 7])
def test_blend_replaces_a_share_by_the_mean_of_scipy(size: int) -> None:
    tokens = random_tokens()
    expected = 0.7 * tokens.numpy() + 0.3 * scipy_mean(tokens, size)
    np.testing.assert_allclose(smoothing(tokens, weight=0.3, kernel_size=size, mode="blend"), expected, atol=1e-6)


def test_border_is_averaged_over_existing_neighbours() -> None:
    tokens = torch.arange(9.0).view(1, 1, 3, 3)
    mean = smoothing(tokens, weight=1, mode="blend")[0, 0]
    corner, edge, middle = (0 + 1 + 3 + 4) / 4, (0 + 1 + 2 + 3 + 4 + 5) / 6, 4
    torch.testing.assert_close(torch.stack((mean[0, 0], mean[0, 1], mean[1, 1])), torch.tensor([corner, edge, middle]))


@pytest.mark.parametrize(("mode", "factor"), [("blend", 1.0), ("residual", 1.4)])
def test_constant_map_stays_constant(mode: str, factor: float) -> None:
    tokens = torch.tensor([3.7, -0.1]).view(1, 2, 1, 1).expand(1, 2, 6, 7)
    torch.testing.assert_close(smoothing(tokens, weight=0.4, kernel_size=5, mode=mode), factor * tokens)


@pytest.mark.parametrize("mode", ["blend", "residual"])
def test_is_linear(mode: str) -> None:
    first, second = random_tokens(seed=1), random_tokens(seed=2)
    apart = 2 * smoothing(first, mode=mode) - 3 * smoothing(second, mode=mode)
    torch.testing.assert_close(smoothing(2 * first - 3 * second, mode=mode), apart, atol=1e-5, rtol=0)


def test_channels_do_not_mix() -> None:
    tokens = torch.zeros(1, 3, 5, 5)
    tokens[0, 1] = random_tokens((5, 5))
    assert smoothing(tokens)[0, [0, 2]].abs().max() == 0


@pytest.mark.parametrize("symmetry", [lambda t: t.flip(-1), lambda t: t.flip(-2), lambda t: t.transpose(-1, -2)])
def test_turning_the_map_turns_the_result(symmetry: object) -> None:
    tokens = random_tokens()
    torch.testing.assert_close(smoothing(symmetry(tokens)), symmetry(smoothing(tokens)))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 2e-2), (torch.float16, 3e-3)], ids=str)
def test_half_precision_agrees_with_single(dtype: torch.dtype, tolerance: float) -> None:
    tokens = random_tokens().to(dtype)
    single = smoothing(tokens.float(), weight=1, kernel_size=7)
    torch.testing.assert_close(smoothing(tokens, weight=1, kernel_size=7).float(), single, atol=tolerance, rtol=0)


def test_defaults_are_a_fifth_of_a_3x3_mean_at_memory() -> None:
    tokens = random_tokens()
    expected = tokens + 0.2 * torch.from_numpy(scipy_mean(tokens, 3)).float()
    torch.testing.assert_close(Smoothing()(tokens, NO_CONTEXT), expected)
    assert Smoothing().at == "memory"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_size": 4}, "kernel_size must be one of 3, 5, 7, got 4"),
        ({"mode": "add"}, "mode must be one of residual, blend, got 'add'"),
        ({"weight": -0.1}, "weight must be a number from 0 to 10, got -0.1"),
        ({"weight": float("nan")}, "weight must be a number .* got nan"),
        ({"weight": float("inf")}, "weight must be a number .* got inf"),
        ({"weight": "0.2"}, "weight must be a number .* got '0.2'"),
        ({"weight": 1.1, "mode": "blend"}, "weight must be a number from 0 to 1, got 1.1"),
    ],
)
def test_wrong_parameter_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Smoothing(**options)
    with pytest.raises(OptionError, match=message):
        smoothing(random_tokens(), **options)


def test_tokens_of_other_axes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected tokens \(N, D, H, W\), got \(3, 8, 8\)"):
        smoothing(random_tokens((3, 8, 8)))
