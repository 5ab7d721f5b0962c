"""Tensors computed from parameters, kept as long as the parameter lives and until it changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary


class _Entry(NamedTuple):
    """A derived tensor, and the state of the parameter that it was computed from."""

    state: tuple[object, ...]
    value: Tensor


class Derived:
    """Cache of a function of parameters.

    Args:
        function: Called with the parameter, detached; a second argument selects one of several forms.
    """

    def __init__(self, function: Callable[[Tensor, Hashable], Tensor]) -> None:
        self._function = function
        self._entries: WeakTensorKeyDictionary = WeakTensorKeyDictionary()

    def __call__(self, parameter: Tensor, form: Hashable = None) -> Tensor:
        """Return the derived tensor, computed at first use and after every change of the parameter.

        Args:
            parameter: The parameter itself, not a view of it.
            form: Passed to the function; each form is kept.

        Returns:
            The derived tensor, without gradient.
        """
        version = 0 if parameter.is_inference() else parameter._version
        state = (parameter.data_ptr(), version, parameter.dtype, parameter.device)
        forms: dict[Hashable, _Entry] = self._entries.setdefault(parameter, {})
        entry = forms.get(form)
        if entry is None or entry.state != state:
            with torch.no_grad():
                entry = forms[form] = _Entry(state, self._function(parameter.detach(), form))
        return entry.value

    def __len__(self) -> int:
        """Number of parameters with derived tensors."""
        return len(self._entries)
