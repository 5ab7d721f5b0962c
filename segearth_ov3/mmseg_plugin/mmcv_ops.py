"""What mmseg imports from `mmcv.ops`, in plain PyTorch, for an mmcv that was built without its compiled operators.

mmcv's own wheels need a compiler or an old torch; `mmcv-lite` installs everywhere but its `mmcv.ops` fails on import,
and with it `import mmseg.models`. mmseg 1.2 takes four names from there: `point_sample` and `sigmoid_focal_loss` are
functions and complete here; `CrissCrossAttention` and `PSAMask` belong to two decode heads that no configuration of
this package uses, so they say what is missing when somebody constructs them.

`install` must run before mmseg is imported; importing `segearth_ov3.mmseg_plugin` does it.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import warnings
from types import ModuleType
from typing import Literal

import mmcv
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import OptionError, ShapeError

MODULE_NAME = "mmcv.ops"


def point_sample(
    input: Tensor,
    points: Tensor,
    align_corners: bool = False,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
) -> Tensor:
    """Read feature maps at points given in fractions of their width and height.

    Args:
        input: Maps (N, C, H, W).
        points: (x, y) in [0, 1], either a list (N, P, 2) or a grid (N, A, B, 2). With `align_corners` 0 and 1 are the
            centres of the outermost pixels, without it their outer edges.
        align_corners: See `points`.
        mode: Interpolation, as in `torch.nn.functional.grid_sample`.
        padding_mode: What lies outside, as in `torch.nn.functional.grid_sample`.

    Returns:
        Values (N, C, P) or (N, C, A, B).

    Raises:
        ShapeError: Points have neither of the two shapes.
    """
    if points.ndim not in (3, 4) or points.shape[-1] != 2:
        raise ShapeError(f"expected points (N, P, 2) or (N, A, B, 2), got {tuple(points.shape)}")
    grid = points if points.ndim == 4 else points[:, :, None]  # (N, P, 1, 2)
    values = F.grid_sample(input, 2 * grid - 1, mode=mode, padding_mode=padding_mode, align_corners=align_corners)
    return values if points.ndim == 4 else values[..., 0]


def sigmoid_focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    alpha: float = 0.25,
    weight: Tensor | None = None,
    reduction: Literal["none", "mean", "sum"] = "mean",
) -> Tensor:
    """Focal loss of C independent yes/no decisions per sample (Lin et al. 2017).

    Args:
        input: Logits (N, C).
        target: True class (N,), 0 to C - 1; C stands for "none of them".
        gamma: How much decisions that are right already count less; 0 is plain cross-entropy.
        alpha: Share of the true class in the loss, 0 to 1; the others have 1 - alpha.
        weight: Factor (C,) for the samples of each true class.
        reduction: "none" gives (N, C), "sum" the sum, "mean" the sum divided by N.

    Returns:
        The loss.

    Raises:
        ShapeError: Logits are not (N, C) or targets not (N,).
        OptionError: Unknown reduction.
    """
    if input.ndim != 2 or target.shape != input.shape[:1]:
        raise ShapeError(f"expected logits (N, C) and classes (N,), got {tuple(input.shape)} and {tuple(target.shape)}")
    is_true = F.one_hot(target.long(), input.shape[1] + 1)[:, :-1].bool()  # (N, C)
    signed_logits = torch.where(is_true, input, -input)  # the logit of deciding right
    error_probs = torch.sigmoid(-signed_logits)
    share = torch.where(is_true, alpha, 1 - alpha)
    loss = -share * error_probs**gamma * F.logsigmoid(signed_logits)
    if weight is not None:
        loss = loss * weight[target.long()][:, None]
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "mean":
        return loss.sum() / input.shape[0]
    raise OptionError(f"expected reduction 'none', 'mean' or 'sum', got {reduction!r}")


class CrissCrossAttention(nn.Module):
    """Stands in for the operator of CCNet; constructing it fails."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise _needs_compiled_mmcv(type(self).__name__)


class PSAMask(nn.Module):
    """Stands in for the operator of PSANet; constructing it fails."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        raise _needs_compiled_mmcv(type(self).__name__)


def get_compiler_version() -> str:
    """Compiler of mmcv's operators, which `mmcv.utils.collect_env` asks for: none."""
    return "n/a"


def get_compiling_cuda_version() -> str:
    """CUDA of mmcv's operators, which `mmcv.utils.collect_env` asks for: none."""
    return "n/a"


SUPPLIED = (
    point_sample,
    sigmoid_focal_loss,
    CrissCrossAttention,
    PSAMask,
    get_compiler_version,
    get_compiling_cuda_version,
)


def has_compiled_ops() -> bool:
    """Whether the installed mmcv was built with its compiled operators."""
    return importlib.util.find_spec("mmcv._ext") is not None


def install() -> bool:
    """Make `mmcv.ops` importable: leave a compiled one alone, else put this module's names in its place.

    Returns:
        Whether this module's names are used.
    """
    if has_compiled_ops():
        return False
    if MODULE_NAME not in sys.modules:
        module = build_module()
        sys.modules[MODULE_NAME] = module
        mmcv.ops = module
    with warnings.catch_warnings():
        # mmcv-lite advises to install mmcv for an operator that nothing here uses
        warnings.filterwarnings("ignore", "Fail to import ``MultiScaleDeformableAttention``", UserWarning)
        importlib.import_module("mmcv.cnn.bricks.transformer")
    return True


def build_module() -> ModuleType:
    """A module called `mmcv.ops` with the names of this file that mmseg asks for."""
    spec = importlib.machinery.ModuleSpec(MODULE_NAME, loader=None, origin=__name__)
    module = importlib.util.module_from_spec(spec)
    module.__doc__ = __doc__
    for entry in SUPPLIED:
        setattr(module, entry.__name__, entry)
    return module


def _needs_compiled_mmcv(name: str) -> OptionError:
    return OptionError(
        f"mmcv.ops.{name} needs mmcv with compiled operators, and mmcv-lite is installed; "
        f"replace it (pip uninstall mmcv-lite; pip install mmcv==2.1.0) or choose another decode head"
    )
