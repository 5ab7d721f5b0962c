"""Token refiners: training-free changes of SAM 3's tokens before its decoder reads them.

REFINERS                 name -> class, one line each
build_refiners(specs)    from Python objects, dicts (mmengine configurations) or texts (command line)
describe_refiner(r)      back to a dict that builds it again
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import OptionError, SegEarthError
from .base import PLACES, CustomRefiner, Refiner, RefinerContext, check_place
from .clip_similarity import ClipSimilarity
from .finding import find_refiner
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
        specs: Each a refiner; or a mapping with a name, class or function as "type" and with its parameters; or a text
            as `parse_refiner` reads it. Names are those of `finding`.

    Returns:
        The refiners.

    Raises:
        UnknownNameError: There is no refiner of that name; the message lists the known ones.
        OptionError: A module cannot be imported, a parameter is unknown, missing or not admissible, a description is
            none of the three, or what it describes is no refiner or cannot be hashed, as sharing work between variants
            requires.
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
    """Name and parameters of a refiner, in plain JSON types; injected objects are left out, odd values are texts.

    Refiners of this package have their name in `REFINERS`, others their dotted path.
    """
    names = {kind: name for name, kind in REFINERS.items()}
    if isinstance(refiner, CustomRefiner):
        return {"type": _dotted(refiner.function), "at": refiner.at}
    name = names.get(type(refiner)) or _dotted(type(refiner))
    if not dataclasses.is_dataclass(refiner):
        return {"type": name, "at": refiner.at}
    fields = (field.name for field in dataclasses.fields(refiner) if field.repr)
    return {"type": name, **{field: _plain(getattr(refiner, field)) for field in fields}}


def _dotted(thing: Any) -> str:
    """Module and name of a class or function; of a callable object, those of its class."""
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"


def _build(spec: RefinerSpec) -> Refiner:
    if isinstance(spec, str):
        spec = parse_refiner(spec)
    if not isinstance(spec, Mapping):
        if isinstance(spec, Refiner) and not isinstance(spec, type):
            return _checked(spec)
        raise OptionError(f"expected a refiner, a dict with a type, or a text like smoothing:weight=0.2, got {spec!r}")
    values = dict(spec)
    if "type" not in values:
        raise OptionError(f"expected a refiner's name, class or function as 'type', got {spec!r}")
    name = values.pop("type")
    kind = find_refiner(name, REFINERS) if isinstance(name, str) else name
    if isinstance(kind, Refiner) and not isinstance(kind, type):
        if values:
            raise OptionError(f"{name} is a finished refiner and takes no parameters, got {', '.join(values)}")
        return _checked(kind)
    if callable(kind) and not isinstance(kind, type):
        kind, values = CustomRefiner, {"function": kind, **values}
    if not isinstance(kind, type):
        raise OptionError(f"expected a refiner's class or a function (tokens, context), got {name!r}: {kind!r}")
    return _checked(_construct(kind, values, name if isinstance(name, str) else _dotted(name)))


def _construct(kind: type[Any], values: Mapping[str, Any], name: str) -> Any:
    """Call a class with parameters that it has."""
    signature = inspect.signature(kind)
    known = list(signature.parameters)
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    for value in values:
        if value not in known and not takes_any:
            near = difflib.get_close_matches(str(value), known, n=1)
            guess = f"; did you mean {near[0]!r}?" if near else ""
            raise OptionError(f"{name} has no parameter {value}; it has {', '.join(known) or 'none'}{guess}")
    try:
        signature.bind(**values)
    except TypeError as error:
        raise OptionError(f"{name}: {error}; it has {', '.join(known)}") from error
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    try:
        return kind(**plain)
    except SegEarthError:
        raise
    except Exception as error:
        raise OptionError(f"{name} cannot be made: {type(error).__name__}: {error}") from error


def _checked(refiner: object) -> Refiner:
    """The same object, if it is a refiner that variants can be grouped by."""
    if not isinstance(refiner, Refiner):
        raise OptionError(f"expected a refiner, which can be called and has at and needs, got {refiner!r}")
    try:
        hash(refiner)
    except TypeError as error:
        raise OptionError(f"{refiner!r} cannot be hashed ({error}); make it a dataclass with frozen=True") from error
    check_place(refiner.at, refiner.needs)
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
