"""`segearth-ov3 refiners`: the token refiners that can be used, with parameters and defaults."""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Iterator
from typing import Any

import click

from ..errors import OptionError


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
def refiners(names: tuple[str, ...]) -> None:
    """List the token refiners: what each does, its parameters and their defaults.

    Without NAMEs, lists those of this package and of installed packages. A NAME may also be the dotted path of your own
    refiner in the working directory. docs/refiners.md gives the formulas.

    \b
    Examples:
      segearth-ov3 refiners
      segearth-ov3 refiners smoothing my_refiner.Centring
    """
    from ..refiners import REFINERS
    from ..refiners.finding import find_refiner

    if names:
        entries = [(name, find_refiner(name, REFINERS)) for name in names]
    else:
        entries = [*REFINERS.items(), *_offered()]
    click.echo("\n".join(describe(name, kind) for name, kind in entries))


def _offered() -> Iterator[tuple[str, Any]]:
    """Names and refiners of installed packages; of those that cannot be imported, the error."""
    from ..refiners import REFINERS
    from ..refiners.finding import GROUP, load_entry_point

    for point in sorted(importlib.metadata.entry_points(group=GROUP)):
        if point.name in REFINERS:
            yield point.name, OptionError("never used: a refiner of this package has the name")
            continue
        try:
            yield point.name, load_entry_point(point)
        except OptionError as error:
            yield point.name, error


def describe(name: str, kind: Any) -> str:
    """Name, purpose and parameters of a refiner, a line each.

    Args:
        name: Name or dotted path.
        kind: Class, function or refiner; or an error: why there is none.
    """
    if isinstance(kind, Exception):
        return f"{name}\n    unusable: {' '.join(str(kind).split())}"
    purpose = (inspect.getdoc(kind) or "").partition("\n")[0]
    is_generated = purpose.startswith(f"{getattr(kind, '__name__', '')}(")  # by dataclasses, from the signature
    lines = [name, "no description" if is_generated or not purpose else purpose]
    if isinstance(kind, type):
        hidden = {field.name for field in getattr(kind, "__dataclass_fields__", {}).values() if not field.repr}
        shown = [each for each in inspect.signature(kind).parameters.values() if each.name not in hidden]
        lines.append(", ".join(map(_parameter, shown)) or "no parameters")
    elif hasattr(kind, "at"):
        lines.append(f"no parameters; acts at {kind.at}")
    else:
        lines.append("at='memory', needs=()")
    return "\n    ".join(lines)


def _parameter(parameter: inspect.Parameter) -> str:
    """A parameter with its default, as it is written on the command line where that is possible."""
    default = parameter.default
    if default is parameter.empty:
        return f"{parameter.name} (required)"
    return f"{parameter.name}={default if isinstance(default, str) else repr(default)}"
