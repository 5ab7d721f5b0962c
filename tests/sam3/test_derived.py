"""Tensors derived from parameters."""

from __future__ import annotations

import copy
import gc
from collections.abc import Hashable

import torch
from torch import Tensor

from segearth_ov3.sam3.derived import Derived


def doubling() -> tuple[Derived, list[Hashable]]:
    """A cache of doubled parameters, and the forms that it computed."""
    calls: list[Hashable] = []

    def double(parameter: Tensor, form: Hashable) -> Tensor:
        calls.append(form)
        return 2 * parameter

    return Derived(double), calls


def test_derived_tensor_is_computed_once_per_form() -> None:
    derived, calls = doubling()
    parameter = torch.nn.Parameter(torch.ones(3))
    for form in (None, "other", None, "other"):
        assert torch.equal(derived(parameter, form), torch.full((3,), 2.0))
    assert calls == [None, "other"]


def test_derived_tensor_follows_changes_in_place_and_of_data() -> None:
    derived, _ = doubling()
    parameter = torch.nn.Parameter(torch.ones(3))
    derived(parameter)
    with torch.no_grad():
        parameter.mul_(5)
    assert torch.equal(derived(parameter), torch.full((3,), 10.0))
    parameter.data = torch.full((3,), 7.0)
    assert torch.equal(derived(parameter), torch.full((3,), 14.0))
    parameter.data = parameter.data.bfloat16()
    assert derived(parameter).dtype == torch.bfloat16


def test_derived_tensor_disappears_with_its_parameter() -> None:
    derived, _ = doubling()
    parameter = torch.nn.Parameter(torch.ones(3))
    other = copy.deepcopy(parameter)
    derived(parameter), derived(other)
    assert len(derived) == 2
    del parameter
    gc.collect()
    assert len(derived) == 1
