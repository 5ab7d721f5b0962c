"""Graph Laplacian: tokens are drawn towards those neighbours that look like them, edges between unlike ones stay.

A node is a token, an edge joins two tokens at most `radius` rows and columns apart. Its weight grows with the cosine of
their angle, w = exp((cos − 1) / temperature), 1 for tokens of equal direction. With W the matrix of weights and D the
diagonal matrix of their sums by node, the refined tokens E′ minimise

    ‖E′ − E‖² + λ · Σ over edges of w · ‖e′_i − e′_j‖²,    that is    (I + λL) E′ = E,  L = D − W,

or, normalised, with L = I − D^(−1/2) W D^(−1/2). I + λL is symmetric and positive definite, so conjugate gradients
solve it; its eigenvalues lie between 1 and 1 + 2λ·max(D) (normalised: 1 + 2λ), which bounds the iterations by about
the square root of that number times the digits wanted.

M. R. Hestenes and E. Stiefel, "Methods of conjugate gradients for solving linear systems", 1952.
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import OptionError
from ..shapes import check_shape
from .base import RefinerContext, check_choice, check_place, check_range

CPU_GROUP_VALUES = 2**21  # 8 MB of float32 per vector, of which the solver holds six


def graph_laplacian(
    tokens: Tensor,
    *,
    guide: Tensor | None = None,
    lam: float = 1.0,
    radius: int = 1,
    temperature: float = 1.0,
    normalized: bool = False,
    tolerance: float = 1e-5,
    max_iterations: int = 100,
) -> Tensor:
    """Solve (I + λL) E′ = E for all channels of all maps at once.

    Args:
        tokens: E (N, D, g, g), floating; computed in float32 at least.
        guide: Tokens whose directions give the weights (N, D', g, g); None: `tokens` themselves. With a guide of its
            own the result is linear in `tokens`.
        lam: λ, 0 to 100; 0 changes nothing, large values make regions of like tokens uniform. From about 30 on float32
            and the default number of iterations may miss the default tolerance, which is an error.
        radius: 1 joins a token with the 8 around it, 2 with the 24 within two rows and columns.
        temperature: 0.001 to 1e6. Small: only tokens of nearly equal direction are joined; very large: all
            neighbours equally, whatever they hold.
        normalized: Which Laplacian. The plain one keeps constant maps; the normalised one weights nodes alike however
            strongly they are joined, and keeps maps that follow the square root of the sum of weights.
        tolerance: Largest norm of E − (I + λL) E′ in any channel of any map, relative to that of E; 1e-7 to 1.
        max_iterations: Steps after which to give up, at least 1.

    Returns:
        As `tokens`: shape, dtype, device; the same tensor where `lam` is 0.

    Raises:
        OptionError: A number is not admissible, the tolerance was not reached, or tokens are not finite.
        ShapeError: `tokens` has not four axes, or `guide` has other maps.
    """
    _check(lam, radius, temperature, normalized, tolerance, max_iterations)
    check_shape("tokens", tokens, "N D H W")
    if lam == 0 or tokens.numel() == 0:
        return tokens
    count, _, height, width = tokens.shape
    if guide is None:
        guide = tokens
    check_shape("guide", guide, f"{count} _ {height} {width}", hint="one map for each map of tokens")
    weights = neighbour_weights(guide, radius=radius, temperature=temperature)  # (N, g*g, K)
    nodes = _node_table(height, width, radius, tokens.device)  # (g*g, 1 + K)
    coefficients = _coefficients(weights, nodes, lam, normalized)  # (N, g*g, 1 + K)
    columns = _to_columns(tokens)  # (N, g*g, D)
    peaks = _peaks(columns, dim=1)  # (N, 1, D): every channel is solved at the same size, so that no square underflows
    solved = _solve(columns / peaks, coefficients.to(columns.dtype), nodes, tolerance, max_iterations) * peaks
    return solved.to(tokens.dtype).transpose(1, 2).unflatten(2, (height, width))  # (N, D, g, g)


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphLaplacian:
    """Draw tokens towards similar neighbours; edges between unlike tokens stay.

    The attributes are the parameters of `graph_laplacian`.

    Attributes:
        lam: Strength λ; 0 changes nothing.
        radius: Distance of the neighbours that a token is joined with, 1 or 2.
        temperature: How alike tokens must be to be joined; small values ask for more.
        normalized: Which Laplacian.
        tolerance: Largest relative residual of any channel.
        max_iterations: Steps after which to give up with an error.
        at: Where it acts, one of `PLACES`.

    Raises:
        OptionError: A number is not admissible.
    """

    lam: float = 1.0
    radius: int = 1
    temperature: float = 1.0
    normalized: bool = False
    tolerance: float = 1e-5
    max_iterations: int = 100
    at: str = "memory"
    needs: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        _check(self.lam, self.radius, self.temperature, self.normalized, self.tolerance, self.max_iterations)
        check_place(self.at, self.needs)

    def __call__(self, tokens: Tensor, context: RefinerContext) -> Tensor:
        """Solve for tokens (N, D, g, g)."""
        return graph_laplacian(
            tokens,
            lam=self.lam,
            radius=self.radius,
            temperature=self.temperature,
            normalized=self.normalized,
            tolerance=self.tolerance,
            max_iterations=self.max_iterations,
        )


def neighbour_weights(guide: Tensor, *, radius: int = 1, temperature: float = 1.0) -> Tensor:
    """Weights of the edges of every token.

    Args:
        guide: (N, D, g, g), floating.
        radius: 1 or 2.
        temperature: 0.001 to 1e6.

    Returns:
        (N, g*g, K), float32 at least, 0 to 1: K = 8 or 24 neighbours, row by row as in a printed window without its
        middle; 0 where a neighbour would lie outside of the map.
    """
    count, _, height, width = guide.shape
    nodes = _to_columns(guide)  # (N, g*g, D)
    units = functional.normalize(nodes / _peaks(nodes, dim=2), dim=2)  # zeros stay zeros: their cosine with any is 0
    offsets = _offsets(radius)
    weights = units.new_zeros(count, height * width, len(offsets))
    for index in range(len(offsets) // 2, len(offsets)):  # the first half are the same edges from their other end
        rows, columns = offsets[index]
        if rows >= height or abs(columns) >= width:
            continue
        step = rows * width + columns  # from a token to that neighbour
        cosine = (units[:, :-step] * units[:, step:]).sum(dim=-1)  # (N, g*g - step)
        weight = torch.exp((cosine.clamp(-1, 1) - 1) / temperature)
        weight = weight * _has_neighbour(height, width, rows, columns, guide.device)[:-step]
        weights[:, :-step, index] = weight
        weights[:, step:, -1 - index] = weight
    return weights


def _offsets(radius: int) -> list[tuple[int, int]]:
    """Rows and columns to each neighbour; an offset and its opposite are equally far from the ends of the list."""
    steps = range(-radius, radius + 1)
    return [(rows, columns) for rows in steps for columns in steps if (rows, columns) != (0, 0)]


def _has_neighbour(height: int, width: int, rows: int, columns: int, device: torch.device) -> Tensor:
    """Which tokens (g*g,) have a neighbour so many rows and columns away; bool."""
    row = torch.arange(height, device=device)[:, None] + rows
    column = torch.arange(width, device=device) + columns
    return ((row >= 0) & (row < height) & (column >= 0) & (column < width)).flatten()


def _node_table(height: int, width: int, radius: int, device: torch.device) -> Tensor:
    """Every token's own number, then those of its neighbours (g*g, 1 + K), int32; its own again where there is none."""
    own = torch.arange(height * width, dtype=torch.int32, device=device)
    others = [
        torch.where(_has_neighbour(height, width, rows, columns, device), own + (rows * width + columns), own)
        for rows, columns in _offsets(radius)
    ]
    return torch.stack((own, *others), dim=-1)


def _coefficients(weights: Tensor, nodes: Tensor, lam: float, normalized: bool) -> Tensor:
    """The entries of I + λL that may differ from 0, in the order of `nodes`: (N, g*g, K) to (N, g*g, 1 + K)."""
    degrees = weights.sum(dim=-1)  # (N, g*g)
    if normalized:
        scale = torch.where(degrees > 0, degrees, 1).rsqrt()
        weights = weights * scale[..., None] * scale[:, nodes[:, 1:].long()]  # (N, g*g, K)
        degrees = (degrees > 0).to(weights.dtype)  # a token without neighbours stays as it is
    return torch.cat((1 + lam * degrees[..., None], -lam * weights), dim=-1)


def _to_columns(tokens: Tensor) -> Tensor:
    """(N, D, g, g) to (N, g*g, D), contiguous, float32 at least."""
    columns = tokens.flatten(2).transpose(1, 2)
    return columns.to(torch.promote_types(tokens.dtype, torch.float32)).contiguous()


def _peaks(values: Tensor, dim: int) -> Tensor:
    """Largest absolute value along an axis, kept as an axis of length 1; never 0, so that one can divide by it."""
    return values.abs().amax(dim=dim, keepdim=True).clamp_min(torch.finfo(values.dtype).tiny)


@torch.library.custom_op(
    "segearth_ov3::solve_graph_laplacian",
    mutates_args=(),
    schema="(Tensor columns, Tensor coefficients, Tensor nodes, float tolerance, int max_iterations) -> Tensor",
)
def _solve(columns: Tensor, coefficients: Tensor, nodes: Tensor, tolerance: float, max_iterations: int) -> Tensor:
    """Solve N sparse systems for columns (N, g*g, D); one operation to `torch.compile`, since it stops by numbers.

    The entries of the matrices are `coefficients` (N, g*g, 1 + K), the columns they stand in `nodes` (g*g, 1 + K).
    """
    solution = columns.clone()
    group = len(columns)
    if columns.device.type == "cpu":  # vectors that stay in the cache save two thirds of the time
        group = max(1, CPU_GROUP_VALUES // columns[0].numel())
    for start in range(0, len(columns), group):
        some = slice(start, start + group)
        matrix = _Matrix.of_maps(coefficients[some], nodes)
        _conjugate_gradients(matrix, columns[some], solution[some], tolerance, max_iterations)
    return solution


@_solve.register_fake
def _(columns: Tensor, coefficients: Tensor, nodes: Tensor, tolerance: float, max_iterations: int) -> Tensor:
    return torch.empty_like(columns)


class _Matrix(NamedTuple):
    """Matrices of N maps, by the entries that may differ from 0: values and numbers of nodes (N*g*g, 1 + K)."""

    values: Tensor
    nodes: Tensor

    @classmethod
    def of_maps(cls, coefficients: Tensor, nodes: Tensor) -> _Matrix:
        count, size, _ = coefficients.shape
        first = torch.arange(0, count * size, size, dtype=nodes.dtype, device=nodes.device)  # node of each map
        return cls(coefficients.flatten(0, 1), (nodes + first[:, None, None]).flatten(0, 1))

    def times(self, columns: Tensor) -> Tensor:
        """Products with all columns (N, g*g, D)."""
        # a sum of weighted rows per node, in one pass, and in float32 whatever autocast and TF32 say
        product = functional.embedding_bag(
            self.nodes, columns.flatten(0, 1), per_sample_weights=self.values, mode="sum"
        )
        return product.view(columns.shape)


def _conjugate_gradients(
    matrix: _Matrix, columns: Tensor, solution: Tensor, tolerance: float, max_iterations: int
) -> None:
    """Improve `solution` (N, g*g, D) in place until every column's residual is small; steps are the columns' own."""
    scratch = torch.empty_like(columns)  # fresh memory for every product would cost more than the product

    def dot(left: Tensor, right: Tensor) -> Tensor:
        return torch.mul(left, right, out=scratch).sum(dim=1, keepdim=True)  # (N, 1, D)

    tiny = torch.finfo(columns.dtype).tiny  # keeps 0 / 0, of columns that are solved exactly, at 0
    norms = dot(columns, columns).sqrt_().clamp_min_(tiny)
    iterations = 0
    while True:
        residual = columns - matrix.times(solution)  # the true one: the one below drifts away from it by rounding
        squared = dot(residual, residual)
        worst = _finite_maximum(squared.sqrt() / norms)
        if worst <= tolerance:
            return
        direction = residual.clone()
        while worst > tolerance:
            if iterations == max_iterations:
                raise OptionError(
                    f"graph_laplacian: relative residual {worst:.1e} after {iterations} iterations, expected "
                    f"{tolerance:.1e}; raise max_iterations or tolerance, or lower lam"
                )
            iterations += 1
            image = matrix.times(direction)
            step = squared / dot(direction, image).clamp_min_(tiny)
            solution.addcmul_(direction, step)
            residual.addcmul_(image, step, value=-1)
            previous, squared = squared, dot(residual, residual)
            direction.mul_(squared / previous.clamp_min_(tiny)).add_(residual)
            worst = _finite_maximum(squared.sqrt() / norms)


def _finite_maximum(residuals: Tensor) -> float:
    worst = float(residuals.max())
    if not math.isfinite(worst):
        raise OptionError("graph_laplacian: expected finite tokens, got NaN or infinity")
    return worst


def _check(
    lam: float, radius: int, temperature: float, normalized: bool, tolerance: float, max_iterations: int
) -> None:
    check_choice("radius", radius, (1, 2))
    check_range({"lam": lam}, 0, 100)
    check_range({"temperature": temperature}, 0.001, 1e6)
    check_range({"tolerance": tolerance}, 1e-7, 1)
    check_range({"max_iterations": max_iterations}, 1, 1e6)
    if not isinstance(max_iterations, int):
        raise OptionError(f"max_iterations must be a whole number, got {max_iterations!r}")
    if not isinstance(normalized, bool):
        raise OptionError(f"normalized must be True or False, got {normalized!r}")
