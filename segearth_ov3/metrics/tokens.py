"""What a network's own outputs say about its tokens, without labels: three numbers per map, to compare refiners by.

    energy divergence    KL(p ∥ w): p_i = ‖t_i‖ / Σ‖t‖ is where the energy of the tokens lies, w where the decoder looks
    mask contrast        InfoNCE: are tokens inside a mask nearer to its mean token than those outside (van den Oord et
                         al., 2018; the mean token is the masked average pooling of Zhang et al., 2020, "SG-One")
    boundary sharpness   1 − cosine between neighbours across a mask's border, less that between neighbours inside it

Masks are brought to the tokens' grid by area interpolation; a token is inside where that gives more than 0.5, so that
objects too small to cover half a token do not count. The first number sees lengths of tokens only, the other two
their directions and the masks: to compare tokens before and after refinement, give the same masks to both. Everything
is computed in float32, or in float64 where tokens are float64; a token of zeros has cosine 0 with every other. What
is undefined is NaN, which means over maps should leave out (`torch.nanmean`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import OptionError
from ..shapes import check_shape

INSIDE = 0.5


class TokenDiagnostics(NamedTuple):
    """Three numbers per map, NaN where undefined.

    Attributes:
        energy_divergence: (N,), from 0 (energy lies where the decoder looks) upwards, in nats.
        mask_contrast: (N,), from 0 (masks are well separated) upwards, in nats.
        boundary_sharpness: (N,), -2 to 2; high: tokens change at borders of masks, not inside them.
    """

    energy_divergence: Tensor
    mask_contrast: Tensor
    boundary_sharpness: Tensor


def token_diagnostics(
    tokens: Tensor,
    importance: Tensor,
    mask_probs: Tensor,
    prompt_index: Tensor,
    scores: Tensor,
    *,
    top_k: int = 5,
    temperature: float = 0.1,
) -> TokenDiagnostics:
    """All three numbers for the maps of N prompts.

    Args:
        tokens: One map per prompt (N, D, H, W), any floating dtype.
        importance: Where the decoder looks (N, H, W), not negative, any scale.
        mask_probs: Masks of all prompts (K, h, w), 0 to 1, at any resolution.
        prompt_index: The prompt each mask belongs to (K,), int64.
        scores: Confidence of each mask (K,).
        top_k: Masks of a prompt that count, at least 1: those of highest score.
        temperature: As for `mask_contrast`.

    Returns:
        Numbers of N prompts.

    Raises:
        ShapeError: The arguments disagree about a size.
        OptionError: An option or an index is out of range.
    """
    sizes = check_shape("tokens", tokens, "N D H W")
    grid = (sizes["H"], sizes["W"])
    masks = top_masks(mask_probs, prompt_index, scores, prompts=sizes["N"], grid=grid, top_k=top_k)
    return TokenDiagnostics(
        energy_divergence(tokens, importance),
        mask_contrast(tokens, masks, temperature=temperature),
        boundary_sharpness(tokens, masks),
    )


def top_masks(
    mask_probs: Tensor, prompt_index: Tensor, scores: Tensor, *, prompts: int, grid: tuple[int, int], top_k: int = 5
) -> Tensor:
    """The most confident masks of every prompt on the grid of its tokens.

    Args:
        mask_probs: (K, h, w), 0 to 1.
        prompt_index: The prompt each mask belongs to (K,), int64, in any order.
        scores: (K,); of equal ones the earlier mask comes first.
        prompts: N.
        grid: Height and width of the grid, in tokens.
        top_k: Masks per prompt k, at least 1.

    Returns:
        (N, k, H, W), mean probability in the area of each token, best score first; empty masks (zeros) where a prompt
        has fewer than k, which the other functions leave out.

    Raises:
        ShapeError: The arguments disagree about K.
        OptionError: `top_k` is not positive or a prompt does not exist.
    """
    if type(top_k) is not int or top_k < 1:
        raise OptionError(f"top_k must be a whole number of at least 1, got {top_k!r}")
    count = check_shape("mask probabilities", mask_probs, "K h w")["K"]
    check_shape("prompt_index", prompt_index, str(count))
    check_shape("scores", scores, str(count))
    if count and not 0 <= int(prompt_index.min()) <= int(prompt_index.max()) < prompts:
        raise OptionError(f"prompt_index must lie in 0 to {prompts - 1}, got {prompt_index.unique().tolist()}")
    order = scores.argsort(descending=True, stable=True)
    order = order[prompt_index[order].argsort(stable=True)]  # by prompt, then by score
    prompt = prompt_index[order]
    rank = torch.arange(count, device=prompt.device) - torch.searchsorted(prompt, prompt)  # 0 = best of its prompt
    chosen = rank < top_k
    probs = functional.interpolate(mask_probs[order[chosen], None].float(), size=grid, mode="area")[:, 0]
    masks = probs.new_zeros(prompts, top_k, *grid)
    masks[prompt[chosen], rank[chosen]] = probs
    return masks


def energy_divergence(tokens: Tensor, importance: Tensor, *, eps: float = 1e-12) -> Tensor:
    """Kullback-Leibler divergence KL(p ∥ w) of the tokens' energy p from the decoder's attention w.

    Args:
        tokens: (N, D, H, W); p is the share of each token in the sum of Euclidean norms.
        importance: (N, H, W), not negative, any scale; w is the share of each token.
        eps: Lower bound of w, so that energy where nobody looks costs much but not infinitely much: up to
            p · log(p / eps) a token.

    Returns:
        (N,), at least 0 up to rounding; NaN where all tokens or all importances are 0.

    Raises:
        ShapeError: The maps have different sizes.
    """
    sizes = check_shape("tokens", tokens, "N D H W")
    check_shape("importance", importance, f"{sizes['N']} {sizes['H']} {sizes['W']}", hint="one map per map of tokens")
    energy = torch.linalg.vector_norm(_exact(tokens), dim=1).flatten(1)  # (N, H*W)
    weight = importance.to(energy.dtype).flatten(1)
    p = energy / energy.sum(1, keepdim=True)
    w = (weight / weight.sum(1, keepdim=True)).clamp(min=eps)
    return torch.special.xlogy(p, p / w).sum(1)


def mask_contrast(tokens: Tensor, masks: Tensor, *, temperature: float = 0.1) -> Tensor:
    """InfoNCE of the tokens inside masks against those outside, mean over the masks of each map.

    With c_i the cosine between token i and the prototype Σ m_i t_i / Σ m_i over the tokens inside a mask m:

        loss = Σ_inside m_i · −log( e^(c_i/τ) / (e^(c_i/τ) + Σ_outside e^(c_o/τ)) ) / Σ_inside m_i

    Tokens that are all alike give log(1 + number outside).

    Args:
        tokens: (N, D, H, W).
        masks: Probabilities per token (N, k, H, W), as `top_masks` returns them.
        temperature: τ, above 0; small values look at the most similar tokens outside only.

    Returns:
        (N,), at least 0, low = well separated; masks with no token inside or none outside are left out, and NaN
        stands where none is left.

    Raises:
        ShapeError: Tokens and masks have different sizes.
        OptionError: `temperature` is not positive.
    """
    if not temperature > 0:
        raise OptionError(f"temperature must be above 0, got {temperature}")
    _check_masks(tokens, masks)
    maps = _exact(tokens).flatten(2)  # (N, D, H*W)
    masks = masks.flatten(2).to(maps.dtype)  # (N, k, H*W)
    inside = masks > INSIDE
    weights = masks * inside
    prototypes = functional.normalize(weights @ maps.transpose(1, 2), dim=-1)  # (N, k, D)
    logits = prototypes @ functional.normalize(maps, dim=1) / temperature  # (N, k, H*W)
    outside = logits.masked_fill(inside, -torch.inf).logsumexp(dim=-1, keepdim=True)  # (N, k, 1)
    loss = (weights * functional.softplus(outside - logits)).sum(-1) / weights.sum(-1)  # (N, k), NaN: none inside
    return loss.masked_fill(inside.all(-1), torch.nan).nanmean(dim=1)


def boundary_sharpness(tokens: Tensor, masks: Tensor) -> Tensor:
    """How much more tokens differ across the borders of masks than inside them, mean over the masks of each map.

    The distance of two tokens is 1 − cosine. The boundary of a mask is the mask without its 3 x 3 erosion, which
    takes the world beyond the grid as inside: a mask that runs into the image's border has no boundary there. Compared
    are the mean distance over pairs of 4-neighbours with exactly one end in the mask (the other is then on the
    boundary's far side) and that over pairs with both ends in the eroded mask. Their difference is returned and not
    their ratio, because the ratio grows without bound as tokens inside become equal, as smoothing makes them.

    Args:
        tokens: (N, D, H, W).
        masks: Probabilities per token (N, k, H, W), as `top_masks` returns them.

    Returns:
        (N,), -2 to 2, high = sharp; masks that lack either kind of pair are left out, and NaN stands where none is
        left.

    Raises:
        ShapeError: Tokens and masks have different sizes.
    """
    _check_masks(tokens, masks)
    inside = masks > INSIDE
    boundary = inside ^ _eroded(inside)
    distances = _neighbour_distances(_exact(tokens))[:, None]  # (N, 1, E)
    (first, second), (edge_first, edge_second) = _pair_ends(inside), _pair_ends(boundary)  # (N, k, E)
    across = first ^ second
    within = (first & ~edge_first) & (second & ~edge_second)
    return (_masked_mean(distances, across) - _masked_mean(distances, within)).nanmean(dim=1)


def _exact(tokens: Tensor) -> Tensor:
    """Tokens in the dtype of the computation."""
    return tokens if tokens.dtype == torch.float64 else tokens.float()


def _check_masks(tokens: Tensor, masks: Tensor) -> None:
    """Make sure that masks belong to tokens."""
    sizes = check_shape("tokens", tokens, "N D H W")
    pattern = f"{sizes['N']} k {sizes['H']} {sizes['W']}"
    check_shape("masks", masks, pattern, hint="bring them to the tokens' grid by top_masks")


def _eroded(inside: Tensor) -> Tensor:
    """Tokens (N, k, H, W), bool, all of whose neighbours in the grid are inside too, diagonal ones included."""
    return functional.max_pool2d((~inside).float(), 3, stride=1, padding=1) == 0  # padding never wins a maximum


def _neighbour_distances(maps: Tensor) -> Tensor:
    """1 − cosine of the E pairs of 4-neighbours of maps (N, D, H, W), in the order of `_pair_ends`: (N, E)."""
    units = functional.normalize(maps, dim=1)
    in_rows = (units[..., :-1] * units[..., 1:]).sum(1)  # (N, H, W - 1)
    in_cols = (units[..., :-1, :] * units[..., 1:, :]).sum(1)  # (N, H - 1, W)
    return 1 - torch.cat((in_rows.flatten(1), in_cols.flatten(1)), dim=1)


def _pair_ends(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Values of maps (N, k, H, W) at both ends of the E pairs of 4-neighbours, those in a row first: (N, k, E) each."""
    first = torch.cat((maps[..., :-1].flatten(2), maps[..., :-1, :].flatten(2)), dim=2)
    second = torch.cat((maps[..., 1:].flatten(2), maps[..., 1:, :].flatten(2)), dim=2)
    return first, second


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of values (N, 1, E) where mask (N, k, E) is true: (N, k), NaN where it never is."""
    return (values * mask).sum(-1) / mask.sum(-1)
