"""The names of `mmcv.ops` in plain PyTorch, against formulas written out."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss as torchvision_focal_loss

from segearth_ov3.errors import OptionError, ShapeError
from segearth_ov3.mmseg_plugin import mmcv_ops

pytestmark = pytest.mark.mmseg


@pytest.fixture
def maps() -> torch.Tensor:
    """Feature maps (2, 3, 5, 7)."""
    return torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def decisions() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (6, 4), double, and true classes (6,)."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(6, 4, generator=generator, dtype=torch.float64) * 3, torch.tensor([0, 1, 2, 3, 1, 0])


def bilinear(maps: torch.Tensor, x: float, y: float) -> torch.Tensor:
    """Value (N, C) at pixel coordinates, zero outside, by the definition of bilinear interpolation."""
    height, width = maps.shape[-2:]
    value = torch.zeros(maps.shape[:2])
    for row in range(height):
        for col in range(width):
            value += maps[:, :, row, col] * max(0, 1 - abs(row - y)) * max(0, 1 - abs(col - x))
    return value


@pytest.mark.parametrize("align_corners", [False, True])
def test_point_sample_is_bilinear_interpolation(maps, align_corners):
    points = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.3, 0.8], [0.51, 0.02]])
    sampled = mmcv_ops.point_sample(maps, points.expand(2, -1, -1), align_corners=align_corners)
    for index, (x, y) in enumerate(points.tolist()):
        place = (x * 6, y * 4) if align_corners else (x * 7 - 0.5, y * 5 - 0.5)
        assert torch.allclose(sampled[:, :, index], bilinear(maps, *place), atol=1e-5)


def test_point_sample_reads_pixel_centres_unchanged(maps):
    cols, rows = torch.meshgrid(torch.arange(7), torch.arange(5), indexing="xy")
    points = torch.stack(((cols + 0.5) / 7, (rows + 0.5) / 5), dim=-1).expand(2, -1, -1, -1)  # (2, 5, 7, 2)
    assert torch.allclose(mmcv_ops.point_sample(maps, points), maps, atol=1e-5)


def test_point_sample_takes_the_nearest_pixel_on_request(maps):
    points = torch.tensor([[[0.9, 0.1]]]).expand(2, -1, -1)
    assert torch.equal(mmcv_ops.point_sample(maps, points, mode="nearest")[:, :, 0], maps[:, :, 0, 6])


def test_point_sample_refuses_points_of_another_shape(maps):
    with pytest.raises(ShapeError, match=r"points \(N, P, 2\) or \(N, A, B, 2\), got \(4, 2\)"):
        mmcv_ops.point_sample(maps, torch.zeros(4, 2))


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.0, 0.5), (1.5, 0.9)])
def test_focal_loss_equals_torchvision(decisions, gamma, alpha):
    logits, classes = decisions
    expected = torchvision_focal_loss(logits, F.one_hot(classes, 4).double(), alpha=alpha, gamma=gamma)
    assert torch.allclose(mmcv_ops.sigmoid_focal_loss(logits, classes, gamma, alpha, None, "none"), expected)


def test_focal_loss_without_focus_is_half_the_cross_entropy(decisions):
    logits, classes = decisions
    entropy = F.binary_cross_entropy_with_logits(logits, F.one_hot(classes, 4).double(), reduction="none")
    assert torch.allclose(mmcv_ops.sigmoid_focal_loss(logits, classes, 0.0, 0.5, reduction="none"), entropy / 2)


def test_focal_loss_of_no_class_has_no_true_term(decisions):
    logits, _ = decisions
    expected = torchvision_focal_loss(logits, torch.zeros_like(logits), alpha=0.25, gamma=2.0)
    nothing = torch.full((6,), 4)
    assert torch.allclose(mmcv_ops.sigmoid_focal_loss(logits, nothing, reduction="none"), expected)


def test_focal_loss_weighs_samples_by_their_true_class(decisions):
    logits, classes = decisions
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    plain = mmcv_ops.sigmoid_focal_loss(logits, classes, reduction="none")
    weighted = mmcv_ops.sigmoid_focal_loss(logits, classes, weight=weight, reduction="none")
    assert torch.allclose(weighted, plain * torch.tensor([1.0, 2.0, 3.0, 4.0, 2.0, 1.0])[:, None])


def test_focal_loss_reductions(decisions):
    plain = mmcv_ops.sigmoid_focal_loss(*decisions, reduction="none")
    assert torch.allclose(mmcv_ops.sigmoid_focal_loss(*decisions, reduction="sum"), plain.sum())
    assert torch.allclose(mmcv_ops.sigmoid_focal_loss(*decisions), plain.sum() / 6)


def test_focal_loss_of_extreme_logits_is_finite():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = mmcv_ops.sigmoid_focal_loss(logits, torch.tensor([1]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_focal_loss_has_the_gradient_of_its_values(decisions):
    logits, classes = decisions
    assert torch.autograd.gradcheck(lambda x: mmcv_ops.sigmoid_focal_loss(x, classes), logits.requires_grad_())


def test_focal_loss_refuses_an_unknown_reduction(decisions):
    with pytest.raises(OptionError, match="reduction 'none', 'mean' or 'sum', got 'max'"):
        mmcv_ops.sigmoid_focal_loss(*decisions, reduction="max")


def test_focal_loss_refuses_targets_of_another_length(decisions):
    with pytest.raises(ShapeError, match=r"got \(6, 4\) and \(2,\)"):
        mmcv_ops.sigmoid_focal_loss(decisions[0], torch.tensor([0, 1]))


@pytest.mark.parametrize("name", ["CrissCrossAttention", "PSAMask"])
def test_operator_that_is_not_supplied_says_so_when_constructed(name):
    with pytest.raises(OptionError, match=f"mmcv.ops.{name} needs mmcv with compiled operators"):
        getattr(mmcv_ops, name)("collect", 3)


@pytest.mark.skipif(mmcv_ops.has_compiled_ops(), reason="mmcv has its own operators here")
def test_supplied_module_is_what_mmseg_imports():
    assert sys.modules["mmcv.ops"].point_sample is mmcv_ops.point_sample
    assert importlib.import_module("mmseg.models.utils.point_sample").point_sample is mmcv_ops.point_sample


@pytest.mark.skipif(mmcv_ops.has_compiled_ops(), reason="mmcv has its own operators here")
def test_supplied_module_can_be_found_like_any_other():
    assert importlib.util.find_spec("mmcv.ops") is not None
    assert importlib.import_module("mmcv").ops is sys.modules["mmcv.ops"]


def test_compiled_operators_are_left_alone(monkeypatch):
    own = object()
    monkeypatch.setitem(sys.modules, "mmcv.ops", own)
    monkeypatch.setattr(mmcv_ops, "has_compiled_ops", lambda: True)
    assert mmcv_ops.install() is False
    assert sys.modules["mmcv.ops"] is own


def test_import_of_the_plugin_is_quiet_and_registers_its_classes():
    code = (
        "import segearth_ov3.mmseg_plugin, mmseg.models, mmseg.registry as r; "
        "assert 'SegEarthOV3Segmentor' in r.MODELS and 'DubaiAerialDataset' in r.DATASETS"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
