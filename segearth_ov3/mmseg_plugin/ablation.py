"""Several variants of one configuration over its dataset, in one pass, image by image.

A file of variants is an mmengine configuration with two lists:

    variants = [
        dict(name='smoothing', refiners=[dict(type='smoothing', weight=0.2, at='memory')]),
        dict(name='thresholds retuned', prob_threshold=0.2, confidence_threshold=0.4)]
    sweeps = [
        dict(name='smoothing', refiners=[dict(type='smoothing', at='memory')],
             grid={'smoothing.weight': [0.1, 0.2], 'smoothing.kernel_size': [3, 5]})]

A variant may change the refiners and the fields of `engine.scores.FusionSettings`.
"""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import Config
from numpy.typing import NDArray

from ..engine.scores import FusionSettings
from ..engine.variants import Variant
from ..errors import DatasetError, OptionError
from ..metrics.ablation import VariantRun
from ..metrics.tokens import TokenDiagnostics
from ..refiners import build_refiners, describe_refiner, parse_refiner
from .records import ImageRecord

BASELINE = "no refiner"


class NamedVariant(NamedTuple):
    """A variant and what tables say about it.

    Attributes:
        name: Unique in a file.
        variant: What is computed.
        settings: Fields of the settings that differ from the baseline's.
        sweep: Name of the sweep it is a point of.
        parameters: Which point it is.
    """

    name: str
    variant: Variant
    settings: dict[str, Any]
    sweep: str | None = None
    parameters: Mapping[str, Any] = {}

    @property
    def refiners(self) -> list[dict[str, Any]]:
        """Its chain as plain dictionaries."""
        return [describe_refiner(refiner) for refiner in self.variant.refiners]

    def describe(self) -> dict[str, Any]:
        """Everything that makes it what it is, in plain JSON types."""
        return {
            "name": self.name,
            "refiners": self.refiners,
            "settings": self.settings,
            "sweep": self.sweep,
            "parameters": dict(self.parameters),
        }


def baseline_settings(model: Mapping[str, Any]) -> FusionSettings:
    """Return the score fusion of a configuration's model section.

    Raises:
        OptionError: A value is not admissible.
    """
    fields = [field.name for field in dataclasses.fields(FusionSettings)]
    return FusionSettings(**{name: model[name] for name in fields if name in model})


def check_variants_exist(path: str | Path) -> None:
    """Raise where there is no such file of variants.

    Raises:
        OptionError: There is none.
    """
    if not Path(path).is_file():
        raise OptionError(f"no such file of variants: {path}; configs/refiners has some")


def read_variants(path: str | Path, settings: FusionSettings) -> list[NamedVariant]:
    """Read a file of variants; the unrefined baseline is put in front.

    Args:
        path: See the module's docstring.
        settings: Those of the configuration; the baseline has them unchanged.

    Returns:
        Baseline, variants, points of the sweeps, in this order.

    Raises:
        OptionError: The file is none, a field or grid key is unknown, or a name occurs twice.
        UnknownNameError: There is no such refiner.
    """
    check_variants_exist(path)
    try:
        content = Config.fromfile(path).to_dict()
    except (OSError, SyntaxError, NameError) as error:
        raise OptionError(f"{path} is no file of variants: {error}") from error
    unknown = [key for key in content if key not in ("variants", "sweeps")]
    if unknown:
        raise OptionError(f"{path}: expected variants and sweeps only, got also {', '.join(unknown)}")
    for key in ("variants", "sweeps"):
        given = content.get(key, [])
        if not isinstance(given, (list, tuple)) or not all(isinstance(entry, Mapping) for entry in given):
            raise OptionError(f"{path}: expected {key} = [dict(name=...), ...], got {given!r}")
    entries = [*content.get("variants", []), *itertools.chain(*map(expand_sweep, content.get("sweeps", [])))]
    if not entries:
        raise OptionError(f"{path} has neither variants nor sweeps")
    named = [NamedVariant(BASELINE, Variant(settings), {})]
    named += [_variant(entry, settings) for entry in entries]
    names = [each.name for each in named]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise OptionError(f"{path}: expected a name of its own for each variant, got twice: {', '.join(doubled)}")
    return named


def expand_sweep(sweep: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Variants of all points of a grid, the last parameter running fastest.

    Args:
        sweep: As a variant, with a `grid` beside: "refiner.parameter" or a setting to the values it takes.

    Yields:
        Variants as in a file, with `sweep` and `parameters`.

    Raises:
        OptionError: There is no name or no grid, a list is empty, or a key names a refiner that is not in the chain.
    """
    grid = sweep.get("grid")
    if not isinstance(sweep.get("name"), str):
        raise OptionError(f"expected a name for each sweep, got {dict(sweep)!r}")
    keys, values = (list(grid), list(grid.values())) if isinstance(grid, Mapping) else ([], [])
    if not values or not all(isinstance(each, (list, tuple)) and each for each in values):
        raise OptionError(
            f"sweep {sweep.get('name')!r}: expected grid={{'smoothing.weight': [0.1, 0.2]}}, got {grid!r}"
        )
    base = {key: value for key, value in sweep.items() if key != "grid"}
    if isinstance(base.get("refiners"), (str, Mapping)):
        raise OptionError(f"expected a list of refiners, got one: {base['refiners']!r}; put it into [ ]")
    for point_values in itertools.product(*values):
        point = dict(zip(keys, point_values))
        entry = {**base, "refiners": [_as_dict(spec) for spec in base.get("refiners", [])]}
        for key, value in point.items():
            _set_parameter(entry, key, value)
        label = ", ".join(f"{key.rpartition('.')[2]}={value}" for key, value in point.items())
        yield {**entry, "name": f"{sweep.get('name')} {label}", "sweep": sweep.get("name"), "parameters": point}


def _set_parameter(entry: dict[str, Any], key: str, value: Any) -> None:
    """Set one parameter of a refiner of a chain, or a setting."""
    kind, dot, parameter = key.rpartition(".")
    if not dot:
        entry[key] = value
        return
    mine = [refiner for refiner in entry["refiners"] if refiner.get("type") == kind]
    if not mine:
        known = ", ".join(str(refiner.get("type")) for refiner in entry["refiners"]) or "none"
        raise OptionError(f"sweep {entry.get('name')!r}: grid key {key!r} names a refiner that is not there: {known}")
    for refiner in mine:
        refiner[parameter] = value


def _as_dict(spec: Any) -> dict[str, Any]:
    return parse_refiner(spec) if isinstance(spec, str) else dict(spec)


def _variant(entry: Mapping[str, Any], settings: FusionSettings) -> NamedVariant:
    values = dict(entry)
    name = values.pop("name", None)
    if not isinstance(name, str) or not name:
        raise OptionError(f"expected a name for each variant, got {dict(entry)!r}")
    sweep, parameters = values.pop("sweep", None), values.pop("parameters", {})
    refiners = build_refiners(values.pop("refiners", ()))
    known = [field.name for field in dataclasses.fields(FusionSettings)]
    for key in values:
        if key not in known:
            guess = difflib.get_close_matches(key, ["refiners", *known], n=1)
            hint = f"; did you mean {guess[0]!r}?" if guess else ""
            raise OptionError(
                f"variant {name!r} has an unknown field {key!r}, known: refiners, {', '.join(known)}{hint}"
            )
    return NamedVariant(
        name, Variant(dataclasses.replace(settings, **values), refiners), values, sweep, dict(parameters)
    )


def to_runs(variants: Sequence[NamedVariant], records: Sequence[ImageRecord]) -> list[VariantRun]:
    """Make what the report is computed from: one run per variant.

    Raises:
        DatasetError: There are no records.
    """
    if not records:
        raise DatasetError("no image was evaluated; is the dataset empty?")
    tables = [record.diagnostics for record in records if record.diagnostics is not None]
    means = _column_means(np.stack(tables)) if tables else None  # (K, 3)
    failures = {name: reason for record in records for name, reason in record.failures.items()}
    return [_run(named, index, records, means, failures.get(named.name)) for index, named in enumerate(variants)]


def _run(
    named: NamedVariant,
    index: int,
    records: Sequence[ImageRecord],
    means: list[list[float | None]] | None,
    failure: str | None,
) -> VariantRun:
    """One variant of the records; without counts if it has failed."""
    failed = failure is not None
    return VariantRun(
        name=named.name,
        confusions=None if failed else np.stack([record.confusion(index) for record in records]),
        image_seconds=[] if failed else [record.seconds[index] for record in records],
        refiners=named.refiners,
        settings=named.settings,
        diagnostics={}
        if failed or means is None
        else {name: (means[0][column], means[index][column]) for column, name in enumerate(TokenDiagnostics._fields)},
        sweep=named.sweep,
        parameters=named.parameters,
        failure=failure,
    )


def _column_means(tables: NDArray[np.float64]) -> list[list[float | None]]:
    """Means over images (I, K, 3) to (K, 3), without those that are undefined; None where all are."""
    counts = (~np.isnan(tables)).sum(0)
    sums = np.nansum(tables, axis=0)
    return [[float(total / count) if count else None for total, count in zip(*rows)] for rows in zip(sums, counts)]
