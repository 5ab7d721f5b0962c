"""Refiners by name: those of this package, of installed packages, and of the user's own files.

    smoothing              a key of `REFINERS`
    sharpening             an entry point of the group `segearth_ov3.refiners`, in an installed package
    my_refiner.Centring    a class, a function or a finished refiner in a module; files in the working directory count

Importing a module runs its code, so the working directory is searched only for names with a dot, and last: a file there
never takes the place of an installed module.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import OptionError, UnknownNameError
from ..registry import lookup

GROUP = "segearth_ov3.refiners"


def find_refiner(name: str, registry: Mapping[str, Any]) -> Any:
    """Find what a name stands for.

    Args:
        name: See above.
        registry: The refiners of this package by name.

    Returns:
        A class, a function or a refiner; `build_refiners` checks it.

    Raises:
        UnknownNameError: There is no such name.
        OptionError: The module cannot be imported, or lacks the attribute.
    """
    if name in registry:
        return registry[name]
    offers = [point for point in importlib.metadata.entry_points(group=GROUP) if point.name == name]
    if len({point.value for point in offers}) > 1:
        values = ", ".join(sorted(point.value for point in offers))
        raise OptionError(f"several packages offer a refiner {name!r}; name one of {values.replace(':', '.')}")
    if offers:
        return load_entry_point(offers[0])
    module, dot, attribute = name.rpartition(".")
    if dot:
        return _attribute(_import(module), attribute)
    known = {**registry, **{point.name: None for point in importlib.metadata.entry_points(group=GROUP)}}
    try:
        return lookup(known, name, "refiner")
    except UnknownNameError as error:
        raise UnknownNameError(f"{error}; a refiner of your own is named by FILE.CLASS, without .py") from None


def load_entry_point(point: importlib.metadata.EntryPoint) -> Any:
    """Import what an installed package offers.

    Raises:
        OptionError: It cannot be imported; the message names the package.
    """
    try:
        return _attribute(_import(point.module), point.attr)
    except OptionError as error:
        package = f"the package {point.dist.name}" if point.dist else "an installed package"
        raise OptionError(f"refiner {point.name!r} of {package}: {error}") from error


def _import(name: str) -> ModuleType:
    """Import a module, if need be from the working directory."""
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.append(os.getcwd())  # for good: the module may import its neighbours later
    importlib.invalidate_caches()  # the file may be newer than the last look into its folder
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise OptionError(_failure(name, error)) from error
        near = difflib.get_close_matches(error.name, sorted(path.stem for path in Path().glob("*.py")), n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise OptionError(
            f"no module {error.name!r} for a refiner, neither in {os.getcwd()} nor among the installed packages{guess}"
        ) from error
    except (Exception, SystemExit) as error:
        raise OptionError(_failure(name, error)) from error


def _failure(name: str, error: BaseException) -> str:
    """Why a module cannot be imported: the error and the last line outside of Python's own import machinery."""
    place = name
    if isinstance(error, SyntaxError) and error.filename:
        place = f"{error.filename}, line {error.lineno}"
    elif frames := [frame for frame in traceback.extract_tb(error.__traceback__)[2:] if frame.filename[:1] != "<"]:
        own = [frame for frame in frames if Path(frame.filename).stem in name.split(".")] or frames
        place = f"{own[-1].filename}, line {own[-1].lineno}"
    return f"importing {name} failed ({place}): {type(error).__name__}: {error}"


def _attribute(module: ModuleType, name: str) -> Any:
    """What a module calls by a name."""
    if hasattr(module, name):
        return getattr(module, name)
    near = difflib.get_close_matches(name, [each for each in vars(module) if each[0] != "_"], n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    place = getattr(module, "__file__", None) or module.__name__
    raise OptionError(f"{place} has no {name!r}{guess}")
