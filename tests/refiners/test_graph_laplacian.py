from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.linalg import spsolve
from torch import Tensor

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.refiners import graph_laplacian as module
from segearth_ov3.refiners.base import RefinerContext
from segearth_ov3.refiners.graph_laplacian import GraphLaplacian, graph_laplacian, neighbour_weights

SIZES = [(5, 5), (4, 7), (1, 6), (2, 2), (1, 1)]
LAPLACIANS = pytest.mark.parametrize("normalized", [False, True], ids=["plain", "normalized"])
RADII = pytest.mark.parametrize("radius", [1, 2])
NO_CONTEXT = RefinerContext(torch.zeros(1, 3, 4, 4))


def random_tokens(shape: tuple[int, ...] = (2, 6, 5, 5), seed: int = 0) -> Tensor:
    """Neighbours are alike: noise on a common vector."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((*shape[:2], 1, 1), generator=generator) + torch.randn(shape, generator=generator)


def slow_laplacian(guide: np.ndarray, radius: int, temperature: float, normalized: bool) -> sparse.csc_matrix:
    """L (H*W, H*W) of one map (D, H, W), edge by edge."""
    _, height, width = guide.shape
    weights = np.zeros((height * width, height * width))
    for row in range(height):
        for column in range(width):
            for other_row in range(max(0, row - radius), min(height, row + radius + 1)):
                for other_column in range(max(0, column - radius), min(width, column + radius + 1)):
                    if (row, column) != (other_row, other_column):
                        one, other = guide[:, row, column], guide[:, other_row, other_column]
                        lengths = np.linalg.norm(one) * np.linalg.norm(other)
                        cosine = one @ other / lengths if lengths > 0 else 0.0
                        weight = math.exp((cosine - 1) / temperature)
                        weights[row * width + column, other_row * width + other_column] = weight
    degrees = weights.sum(axis=1)
    if not normalized:
        return sparse.csc_matrix(np.diag(degrees) - weights)
    scale = np.diag(1 / np.sqrt(np.where(degrees > 0, degrees, 1)))
    return sparse.csc_matrix(np.diag((degrees > 0).astype(float)) - scale @ weights @ scale)


def direct_solution(tokens: Tensor, lam: float, radius: int, temperature: float, normalized: bool) -> np.ndarray:
    """(I + λL)⁻¹ E by a sparse direct solver in float64, map by map."""
    solved = []
    for maps in tokens.double().numpy():
        laplacian = slow_laplacian(maps, radius, temperature, normalized)
        columns = maps.reshape(len(maps), -1).T  # (H*W, D)
        matrix = (sparse.identity(len(columns)) + lam * laplacian).tocsc()
        solved.append(spsolve(matrix, columns).reshape(columns.shape).T.reshape(maps.shape))
    return np.stack(solved)


def operator(guide: Tensor, **options: float) -> np.ndarray:
    """The matrix L (H*W, H*W) that the refiner's answers to unit maps follow from, λ = 1."""
    _, _, height, width = guide.shape
    units = torch.eye(height * width, dtype=torch.float64).view(1, -1, height, width)
    answers = graph_laplacian(units, guide=guide, tolerance=1e-7, **options)[0].flatten(1).T  # (H*W, H*W)
    return np.linalg.inv(answers.numpy()) - np.eye(height * width)


# ---- against a direct solver


@pytest.mark.parametrize("size", SIZES, ids=str)
@RADII
@LAPLACIANS
def test_agrees_with_a_sparse_direct_solver(size: tuple[int, int], radius: int, normalized: bool) -> None:
    tokens = random_tokens((2, 4, *size))
    found = graph_laplacian(tokens, lam=0.8, radius=radius, temperature=0.5, normalized=normalized)
    np.testing.assert_allclose(found, direct_solution(tokens, 0.8, radius, 0.5, normalized), atol=5e-5)


@pytest.mark.parametrize("lam", [1e-3, 0.1, 10, 30])
@LAPLACIANS
def test_agrees_with_a_sparse_direct_solver_for_weak_and_strong(lam: float, normalized: bool) -> None:
    tokens = random_tokens()
    found = graph_laplacian(tokens, lam=lam, normalized=normalized)
    np.testing.assert_allclose(found, direct_solution(tokens, lam, 1, 1.0, normalized), atol=1e-4)


@pytest.mark.parametrize("tolerance", [1e-1, 1e-3, 1e-5])
def test_residual_of_every_channel_is_below_the_tolerance(tolerance: float) -> None:
    tokens = random_tokens((3, 6, 8, 8)) * torch.logspace(-8, 8, 6)[:, None, None]
    found = graph_laplacian(tokens, lam=10, tolerance=tolerance).double().numpy()
    for before, after in zip(tokens.double().numpy(), found):
        matrix = np.eye(64) + 10 * slow_laplacian(before, 1, 1.0, False)
        columns = before.reshape(6, -1).T
        residuals = np.linalg.norm(columns - matrix @ after.reshape(6, -1).T, axis=0)
        assert (residuals / np.linalg.norm(columns, axis=0)).max() <= 1.1 * tolerance


# ---- the Laplacian


@RADII
@LAPLACIANS
def test_laplacian_is_symmetric(radius: int, normalized: bool) -> None:
    laplacian = operator(random_tokens((1, 6, 5, 4)), radius=radius, normalized=normalized)
    np.testing.assert_allclose(laplacian, laplacian.T, atol=1e-5)


@RADII
@LAPLACIANS
def test_laplacian_has_no_negative_eigenvalue(radius: int, normalized: bool) -> None:
    laplacian = operator(random_tokens((1, 6, 5, 4)), radius=radius, normalized=normalized)
    assert np.linalg.eigvalsh((laplacian + laplacian.T) / 2).min() > -1e-5


@RADII
def test_rows_of_the_plain_laplacian_sum_to_zero(radius: int) -> None:
    np.testing.assert_allclose(operator(random_tokens((1, 6, 5, 4)), radius=radius).sum(axis=1), 0, atol=1e-5)


@LAPLACIANS
def test_eigenvalues_of_the_normalized_laplacian_are_at_most_2(normalized: bool) -> None:
    largest = np.linalg.eigvalsh(operator(random_tokens((1, 6, 5, 4)), normalized=normalized)).max()
    assert (largest < 2) == normalized


@RADII
def test_weights_are_those_of_the_slow_loop(radius: int) -> None:
    guide = random_tokens((1, 6, 4, 5))
    laplacian = slow_laplacian(guide[0].double().numpy(), radius, 0.3, False).toarray()
    found = neighbour_weights(guide, radius=radius, temperature=0.3)[0]  # (H*W, K)
    np.testing.assert_allclose(found.sum(dim=1), laplacian.diagonal(), atol=1e-5)
    assert np.count_nonzero(found) == np.count_nonzero(laplacian) - len(laplacian)


def test_weight_between_equal_directions_is_1() -> None:
    vector = torch.tensor([3.0, -4.0]).view(1, 2, 1, 1)
    guide = vector * torch.tensor([[1.0, 7.0], [0.2, 100.0]])
    assert neighbour_weights(guide, temperature=0.01).unique().tolist() == pytest.approx([0, 1], abs=1e-4)


def test_infinite_temperature_joins_whatever_tokens_hold() -> None:
    weights = neighbour_weights(random_tokens(), temperature=math.inf)
    assert set(weights.unique().tolist()) == {0.0, 1.0}


# ---- what it does to tokens


@RADII
def test_constant_map_is_kept_to_the_last_bit(radius: int) -> None:
    tokens = torch.tensor([3.7, -0.1]).view(1, 2, 1, 1).expand(1, 2, 6, 7)
    assert torch.equal(graph_laplacian(tokens, lam=3, radius=radius), tokens)


def test_constant_map_is_kept_whatever_the_guide() -> None:
    tokens = torch.tensor([3.7, -0.1]).view(1, 2, 1, 1).expand(2, 2, 5, 5)
    torch.testing.assert_close(graph_laplacian(tokens, guide=random_tokens()), tokens, atol=1e-5, rtol=0)


def test_mean_of_every_channel_is_kept() -> None:
    tokens = random_tokens()
    torch.testing.assert_close(graph_laplacian(tokens).mean(dim=(2, 3)), tokens.mean(dim=(2, 3)), atol=1e-5, rtol=0)


def test_normalized_keeps_maps_that_follow_the_square_root_of_the_degree() -> None:
    guide = random_tokens((1, 6, 5, 5))
    degrees = neighbour_weights(guide).sum(dim=-1).view(1, 1, 5, 5)
    kept = graph_laplacian(degrees.sqrt(), guide=guide, normalized=True)
    torch.testing.assert_close(kept, degrees.sqrt(), atol=1e-5, rtol=0)


def test_is_linear_in_the_tokens_for_a_given_guide() -> None:
    first, second, guide = (random_tokens(seed=seed) for seed in (1, 2, 3))
    apart = 2 * graph_laplacian(first, guide=guide) - 3 * graph_laplacian(second, guide=guide)
    together = graph_laplacian(2 * first - 3 * second, guide=guide)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=0)


def test_tokens_are_their_own_guide() -> None:
    tokens = random_tokens()
    assert torch.equal(graph_laplacian(tokens), graph_laplacian(tokens, guide=tokens.clone()))


def two_regions() -> tuple[Tensor, Tensor]:
    """Tokens (1, 2, 8, 8) that point in one direction on the left and another on the right, clean and with noise."""
    clean = torch.zeros(1, 2, 8, 8)
    clean[:, 0, :, :4] = clean[:, 1, :, 4:] = 1
    return clean, clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))


def test_noise_goes_and_edges_stay_where_regions_are_unlike() -> None:
    clean, noisy = two_regions()
    found = graph_laplacian(noisy, lam=10, temperature=0.1)
    assert (found - clean).abs().mean() < 0.35 * (noisy - clean).abs().mean()


def test_edges_are_blurred_where_features_do_not_count() -> None:
    clean, noisy = two_regions()
    found = graph_laplacian(noisy, lam=10, temperature=1e6)
    assert (found - clean).abs().mean() > 2 * (noisy - clean).abs().mean()


def test_larger_lambda_makes_neighbours_more_alike() -> None:
    tokens = random_tokens()
    steps = [graph_laplacian(tokens, lam=lam).diff(dim=-1).abs().mean().item() for lam in (0, 0.1, 1, 10)]
    assert steps == sorted(steps, reverse=True)


# ---- numbers that are hard


def test_zero_tokens_are_at_right_angles_to_all() -> None:
    guide = random_tokens((1, 6, 1, 3))
    guide[..., 1] = 0
    weights = neighbour_weights(guide, temperature=0.5)
    assert weights[weights > 0].tolist() == pytest.approx([math.exp(-2)] * 4)


def test_map_of_zeros_stays_one() -> None:
    assert torch.equal(graph_laplacian(torch.zeros(1, 3, 4, 4)), torch.zeros(1, 3, 4, 4))


def test_dead_channel_stays_dead() -> None:
    tokens = random_tokens()
    tokens[:, 2] = 0
    assert torch.equal(graph_laplacian(tokens)[:, 2], tokens[:, 2])


@pytest.mark.parametrize("size", [1e-36, 1e-20, 1e-9, 1e12, 1e25])
def test_size_of_tokens_does_not_count(size: float) -> None:
    tokens = random_tokens()
    torch.testing.assert_close(graph_laplacian(size * tokens) / size, graph_laplacian(tokens), atol=1e-4, rtol=0)


def test_weak_channel_is_solved_like_the_others() -> None:
    sizes = torch.tensor([1, 1e-18, 1e-30, 1e18, 1, 1])[:, None, None]
    tokens = random_tokens()
    found = graph_laplacian(sizes * tokens, guide=tokens) / sizes
    torch.testing.assert_close(found, graph_laplacian(tokens), atol=1e-4, rtol=0)


def test_weights_that_vanish_leave_tokens_alone() -> None:
    tokens = torch.eye(4).view(1, 4, 2, 2)  # at right angles: exp(-1000) is 0 in float32
    assert torch.equal(graph_laplacian(tokens, temperature=0.001, normalized=True), tokens)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_solved_in_single_and_rounded_once(dtype: torch.dtype) -> None:
    tokens = random_tokens().to(dtype)
    assert torch.equal(graph_laplacian(tokens), graph_laplacian(tokens.float()).to(dtype))


@pytest.mark.parametrize("setting", ["medium", "high"])
def test_precision_of_matrix_products_has_no_influence(setting: str) -> None:
    tokens = random_tokens()
    expected = graph_laplacian(tokens)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        assert torch.equal(graph_laplacian(tokens), expected)
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("values", [1, 6 * 25 * 2, 10**9])
def test_groups_of_maps_give_what_all_at_once_give(values: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = random_tokens((5, 6, 5, 5))
    expected = graph_laplacian(tokens)
    monkeypatch.setattr(module, "CPU_GROUP_VALUES", values)
    torch.testing.assert_close(graph_laplacian(tokens), expected, atol=1e-4, rtol=0)


def test_guide_may_have_another_dtype() -> None:
    tokens = random_tokens()
    found = graph_laplacian(tokens, guide=tokens.double())
    torch.testing.assert_close(found, graph_laplacian(tokens), atol=1e-5, rtol=0)


# ---- mistakes


def test_error_without_convergence_says_what_to_change() -> None:
    message = (
        r"relative residual \d\.\de-\d\d after 2 iterations, expected 1\.0e-05; "
        r"raise max_iterations or tolerance, or lower lam"
    )
    with pytest.raises(OptionError, match=message):
        graph_laplacian(random_tokens(), max_iterations=2)


def test_refiner_gives_up_after_its_own_iterations() -> None:
    with pytest.raises(OptionError, match="after 3 iterations"):
        GraphLaplacian(max_iterations=3)(random_tokens(), NO_CONTEXT)


@pytest.mark.parametrize("change", ["max_iterations", "tolerance", "lam"])
def test_what_the_error_advises_helps(change: str) -> None:
    options = {"lam": 1, "tolerance": 1e-5, "max_iterations": 5}
    better = {"lam": 0.01, "tolerance": 0.2, "max_iterations": 100}
    with pytest.raises(OptionError, match=change):
        graph_laplacian(random_tokens(), **options)
    graph_laplacian(random_tokens(), **{**options, change: better[change]})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_tokens_that_are_not_finite_are_refused(value: float) -> None:
    tokens = random_tokens()
    tokens[1, 2, 3, 4] = value
    with pytest.raises(OptionError, match="expected finite tokens"):
        graph_laplacian(tokens)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lam": -1}, "lam must be a number from 0 to 100, got -1"),
        ({"lam": math.nan}, "lam must be a number .* got nan"),
        ({"lam": math.inf}, "lam must be a number .* got inf"),
        ({"radius": 3}, "radius must be one of 1, 2, got 3"),
        ({"temperature": 0}, "temperature must be a number from 0.001 to 1e\\+06, got 0"),
        ({"temperature": math.nan}, "temperature must be a number .* got nan"),
        ({"normalized": 1}, "normalized must be True or False, got 1"),
        ({"normalized": "no"}, "normalized must be True or False, got 'no'"),
        ({"tolerance": 0}, "tolerance must be a number from 1e-07 to 1, got 0"),
        ({"max_iterations": 0}, r"max_iterations must be a number from 1 .* got 0"),
        ({"max_iterations": 10.5}, "max_iterations must be a whole number, got 10.5"),
    ],
)
def test_wrong_parameter_is_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        GraphLaplacian(**options)
    with pytest.raises(OptionError, match=message):
        graph_laplacian(random_tokens(), **options)


def test_tokens_of_other_axes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected tokens \(N, D, H, W\), got \(3, 8, 8\)"):
        graph_laplacian(torch.zeros(3, 8, 8))


@pytest.mark.parametrize("shape", [(1, 6, 5, 5), (2, 6, 5, 4)], ids=str)
def test_guide_of_other_maps_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"expected guide \(2, _, 5, 5\), got .* one map for each map of tokens"):
        graph_laplacian(random_tokens(), guide=random_tokens(shape))


def test_defaults_are_lambda_1_over_8_neighbours_at_memory() -> None:
    tokens = random_tokens()
    np.testing.assert_allclose(
        GraphLaplacian()(tokens, NO_CONTEXT), direct_solution(tokens, 1.0, 1, 1.0, False), atol=5e-5
    )
    assert GraphLaplacian().at == "memory"
