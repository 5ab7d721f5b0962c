"""Token refiners: training-free changes of SAM 3's tokens before its decoder reads them.

REFINERS                 name -> class, one line each
build_refiners(specs)    from Python objects, dicts (mmengine configurations) or texts (command line)
describe_refiner(r)      back to a dict that builds it again
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import OptionError
from ..registry import lookup
from .base import PLACES, CustomRefiner, Refiner, RefinerContext
from .clip_similarity import ClipSimilarity
from .graph_laplacian import GraphLaplacian
from .lowpass import Lowpass
from .smoothing import Smoothing

__all__ = [
    "PLACES",
    "REFINERS",
    "CustomRefiner",
    "Refiner",
    "RefinerContext",
    "RefinerSpec",
    "build_refiners",
    "describe_refiner",
    "parse_refiner",
]

REFINERS: dict[str, type[Any]] = {
    "smoothing": Smoothing,
    "lowpass": Lowpass,
    "clip_similarity": ClipSimilarity,
    "graph_laplacian": GraphLaplacian,
}

RefinerSpec = Refiner | Mapping[str, Any] | str


def build_refiners(specs: Iterable[RefinerSpec]) -> tuple[Refiner, ...]:
    """Make refiners from descriptions; the order is kept.

    Args:
        specs: Each a refiner; or a mapping with the name, or a function, as "type" and parameters beside it; or a text
            as `parse_refiner` reads it.

    Returns:
        The refiners.

    Raises:
        UnknownNameError: There is no refiner of that name; the message lists the known ones.
        OptionError: A parameter is unknown, missing or not admissible, a description is none of the three, or what it
            describes is no refiner or cannot be hashed, which the sharing of work between variants needs.
    """
    if isinstance(specs, (str, Mapping)) or not isinstance(specs, Iterable):
        raise OptionError(f"expected a list of refiners, got one: {specs!r}; put it into [ ]")
    return tuple(_build(spec) for spec in specs)


def parse_refiner(text: str) -> dict[str, Any]:
    """Read a refiner from a text like "lowpass:radius=12,alpha=0.2,at=memory".

    Args:
        text: Name, then parameters after a colon; a value of several numbers is put into brackets: "taps=(6,12)".

    Returns:
        The mapping that `build_refiners` takes.

    Raises:
        OptionError: Not of that form.
    """
    name, _, rest = text.partition(":")
    spec: dict[str, Any] = {"type": name.strip()}
    for part in _split(rest):
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise OptionError(f"expected name:key=value,key=value, got {text!r}; for example smoothing:weight=0.2")
        if key.strip() in spec:
            raise OptionError(f"{key.strip()} is given twice in {text!r}")
        spec[key.strip()] = _value(value.strip())
    return spec


def describe_refiner(refiner: Refiner) -> dict[str, Any]:
    """Name and parameters of a refiner, in plain JSON types; injected objects are left out, odd values are texts."""
    names = {kind: name for name, kind in REFINERS.items()}
    if isinstance(refiner, CustomRefiner):
        function = refiner.function
        return {"type": getattr(function, "__qualname__", type(function).__qualname__), "at": refiner.at}
    if not dataclasses.is_dataclass(refiner):
        return {"type": type(refiner).__qualname__, "at": refiner.at}
    fields = (field.name for field in dataclasses.fields(refiner) if field.repr)
    plain = {name: _plain(getattr(refiner, name)) for name in fields}
    return {"type": names.get(type(refiner), type(refiner).__qualname__), **plain}


def _build(spec: RefinerSpec) -> Refiner:
    if isinstance(spec, str):
        spec = parse_refiner(spec)
    if not isinstance(spec, Mapping):
        if isinstance(spec, Refiner) and not isinstance(spec, type):
            return _checked(spec)
        raise OptionError(f"expected a refiner, a dict with a type, or a text like smoothing:weight=0.2, got {spec!r}")
    values = dict(spec)
    kind = values.pop("type", None)
    if callable(kind) and not isinstance(kind, type):
        kind, values = CustomRefiner, {"function": kind, **values}
    elif not isinstance(kind, type):
        kind = lookup(REFINERS, str(kind), "refiner")
    signature = inspect.signature(kind)
    known = list(signature.parameters)
    unknown = [name for name in values if name not in known]
    if unknown:
        raise OptionError(f"{spec['type']} has no parameter {', '.join(unknown)}; it has {', '.join(known)}")
    try:
        signature.bind(**values)
    except TypeError as error:
        raise OptionError(f"{spec['type']}: {error}; it has {', '.join(known)}") from error
    return _checked(
        kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    )


def _checked(refiner: object) -> Refiner:
    """The same object, if it is a refiner that variants can be grouped by."""
    if not isinstance(refiner, Refiner):
        raise OptionError(f"expected a refiner, which can be called and has at and needs, got {refiner!r}")
    try:
        hash(refiner)
    except TypeError as error:
        raise OptionError(f"{refiner!r} cannot be hashed ({error}); make it a dataclass with frozen=True") from error
    return refiner


def _plain(value: Any) -> Any:
    """As JSON holds it; what it cannot hold becomes a text."""
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    is_plain = math.isfinite(value) if isinstance(value, float) else isinstance(value, (bool, int, str, type(None)))
    return value if is_plain else str(value)


def _split(text: str) -> list[str]:
    """Split at commas that are not inside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part.strip()]


def _value(text: str) -> Any:
    """A number, truth value, None or tuple where the text is one; else the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)
