"""What each variant of an evaluation is worth: schema of `ablation.json`, and the tables made from it.

All variants are compared with one baseline on the same images by a paired bootstrap, see `metrics.bootstrap`. A
difference is called significant, and printed bold, only if it stays so after Holm's correction for the number of
variants, and only from `MIN_IMAGES` images on. Scores and differences are in per cent, unrounded in the JSON; what is
not defined is null. `metrics.ablation_tables` makes tables from the report.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import OptionError, ShapeError
from .bootstrap import Interval, holm, paired_bootstrap
from .confusion import IntArray, Scores, compute_scores
from .provenance import checkout_commit, package_versions
from .report import read_fields, to_percent

SCHEMA = "segearth-ov3/ablation/2"
MIN_IMAGES = 20  # fewer images say too little about others to call a difference significant


@dataclasses.dataclass(frozen=True)
class VariantRun:
    """What was measured of one variant; dictionaries hold plain JSON types.

    Attributes:
        name: Unique among the variants.
        confusions: Of each image (I, C, C), rows are labels; the same images in the same order for all variants. None
            for a variant that failed.
        image_seconds: Time of each image (I); None where it was not measured.
        refiners: Chain in the order of action, each as in a configuration ("type" and parameters).
        settings: What else differs from the common configuration, such as `prob_threshold`.
        diagnostics: Numbers that describe the tokens: name to (before, after) refinement, NaN or None if undefined.
        sweep: Name of the sweep that this variant is a point of.
        parameters: Which point of the sweep it is, such as `{"weight": 0.2, "kernel_size": 3}`.
        failure: Why it could not be measured; None if it was.
    """

    name: str
    confusions: IntArray | None
    image_seconds: Sequence[float | None]
    refiners: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    diagnostics: Mapping[str, tuple[float | None, float | None]] = dataclasses.field(default_factory=dict)
    sweep: str | None = None
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    failure: str | None = None


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """A number that describes the tokens, before and after refinement; None where it is not defined."""

    name: str
    before: float | None
    after: float | None


@dataclasses.dataclass(frozen=True)
class VariantResult:
    """One variant; what is not explained here is as in `VariantRun`.

    Attributes:
        mIoU, aAcc: In per cent, see `metrics.confusion`.
        per_class_IoU: In label order (C).
        delta: mIoU minus that of the baseline in points of per cent, with its interval; None for the baseline.
        seconds_per_image: Mean time of the prediction; None if not measured.
        overhead_percent: Time added to that of the baseline, over the images measured in both; None for the baseline.
        p_holm: p of `delta` after Holm's correction for the number of variants; None where `delta` is.
        significant: Whether `p_holm` is at most 1 - level, from at least `MIN_IMAGES` images.
    """

    name: str
    refiners: tuple[dict[str, Any], ...]
    settings: dict[str, Any]
    mIoU: float | None
    aAcc: float | None
    per_class_IoU: tuple[float | None, ...]
    delta: Interval | None
    seconds_per_image: float | None
    overhead_percent: float | None
    diagnostics: tuple[Diagnostic, ...]
    sweep: str | None
    parameters: dict[str, Any]
    failure: str | None = None
    p_holm: float | None = None
    significant: bool = False

    @property
    def description(self) -> str:
        """Refiners and settings in one line: "smoothing(weight=0.2, at=memory) → lowpass(), prob_threshold=0.4"."""
        chain = [
            f"{refiner.get('type', 'refiner')}({_pairs({key: refiner[key] for key in refiner if key != 'type'})})"
            for refiner in self.refiners
        ]
        return ", ".join(part for part in (" → ".join(chain) or "no refiner", _pairs(self.settings)) if part)


@dataclasses.dataclass(frozen=True)
class OnePass:
    """What it cost to predict all variants together.

    Attributes:
        total_seconds: For all variants.
        baseline_seconds: For the baseline alone, over the same images.
        ratio: How many evaluations of the baseline take as long.
    """

    total_seconds: float
    baseline_seconds: float
    ratio: float

    @classmethod
    def of(cls, total_seconds: float, baseline_seconds: float) -> OnePass:
        """Compute the ratio; `baseline_seconds` is above 0."""
        return cls(total_seconds, baseline_seconds, total_seconds / baseline_seconds)


@dataclasses.dataclass(frozen=True)
class Resampling:
    """How intervals are found, see `metrics.bootstrap.paired_bootstrap`."""

    samples: int = 5000
    seed: int = 0
    level: float = 0.95


@dataclasses.dataclass(frozen=True)
class AblationReport:
    """One ablation.

    Attributes:
        dataset: Name of the benchmark set.
        config: Name of the configuration.
        images: Number of images I.
        classes: Names in label order (C).
        variants: The baseline first.
        one_pass: Cost of predicting all variants together; None if not measured.
        resampling: How intervals were found, with the seed.
        device: Name of the device ("cpu (x86_64)", "cuda (NVIDIA H200)").
        dtype: Of the network ("float32").
        configuration: All settings of the baseline, in plain JSON types.
        versions: Packages and their versions.
        commit: Of the checkout this package runs from, see `metrics.report`.
        date: UTC, ISO 8601.
        schema: Name and version of this structure.
    """

    dataset: str
    config: str
    images: int
    classes: tuple[str, ...]
    variants: tuple[VariantResult, ...]
    one_pass: OnePass | None
    resampling: Resampling
    device: str
    dtype: str
    configuration: dict[str, Any]
    versions: dict[str, str]
    commit: str | None
    date: str
    schema: str = SCHEMA

    def to_json(self) -> str:
        """The report as JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> AblationReport:
        """Inverse of `to_json`.

        Raises:
            OptionError: The text is not a report of this schema.
        """
        fields = read_fields(text, SCHEMA, "ablation")
        try:
            fields["classes"] = tuple(fields["classes"])
            fields["variants"] = tuple(_variant_from_json(entry) for entry in fields["variants"])
            fields["one_pass"] = None if fields["one_pass"] is None else OnePass(**fields["one_pass"])
            fields["resampling"] = Resampling(**fields["resampling"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise OptionError(f"expected an ablation file of schema {SCHEMA!r}, a field is off: {error}") from error


def make_ablation_report(
    baseline: VariantRun,
    variants: Sequence[VariantRun],
    classes: Sequence[str],
    *,
    dataset: str,
    config: str,
    device: str,
    dtype: str,
    configuration: Mapping[str, Any],
    one_pass: OnePass | None = None,
    resampling: Resampling | None = None,
) -> AblationReport:
    """Compute all scores, differences and intervals; versions, commit and date are those of the moment.

    Args:
        baseline: What the variants are compared with.
        variants: In the order of the tables.
        classes: Names of the classes (C,).
        dataset: Name of the benchmark set.
        config: Name of the configuration.
        device: Name of the device.
        dtype: Of the network.
        configuration: All settings of the baseline, in plain JSON types.
        one_pass: Cost of predicting all variants together.
        resampling: How to find intervals; None means the defaults.

    Returns:
        The report.

    Raises:
        OptionError: Two names are equal, the baseline failed, or the labels of a variant are not those of the baseline.
        ShapeError: The numbers of images or classes do not fit together.
    """
    runs = (baseline, *variants)
    names = [run.name for run in runs]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise OptionError(f"expected a name of its own for each variant, got {', '.join(doubled)} more than once")
    if baseline.confusions is None:
        raise OptionError(f"expected a baseline with counts, got one that failed: {baseline.failure}")
    resampling, images = resampling or Resampling(), len(baseline.confusions)
    return AblationReport(
        dataset=dataset,
        config=config,
        images=images,
        classes=tuple(classes),
        variants=_corrected([_result(run, baseline, len(classes), resampling) for run in runs], images, resampling),
        one_pass=one_pass,
        resampling=resampling,
        device=device,
        dtype=dtype,
        configuration=dict(configuration),
        versions=package_versions(),
        commit=checkout_commit(Path(__file__).resolve().parents[2]),
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )


def _result(run: VariantRun, baseline: VariantRun, classes: int, resampling: Resampling) -> VariantResult:
    scores, seconds = _scores(run, baseline, classes)
    is_compared = run is not baseline and run.failure is None
    return VariantResult(
        name=run.name,
        refiners=tuple(dict(refiner) for refiner in run.refiners),
        settings=dict(run.settings),
        mIoU=to_percent(scores.miou) if scores else None,
        aAcc=to_percent(scores.aacc) if scores else None,
        per_class_IoU=tuple(to_percent(iou) for iou in scores.iou) if scores else (None,) * classes,
        delta=_delta(run, baseline, resampling) if is_compared else None,
        seconds_per_image=statistics.fmean(seconds) if seconds else None,
        overhead_percent=_overhead(run.image_seconds, baseline.image_seconds) if is_compared else None,
        diagnostics=tuple(
            Diagnostic(name, _number(before), _number(after)) for name, (before, after) in run.diagnostics.items()
        ),
        sweep=run.sweep,
        parameters=dict(run.parameters),
        failure=run.failure,
    )


def _scores(run: VariantRun, baseline: VariantRun, classes: int) -> tuple[Scores | None, list[float]]:
    """Scores of a variant and the times that were measured; none if it failed."""
    if run.confusions is None or baseline.confusions is None:
        return None, []
    expected = (len(baseline.confusions), classes, classes)
    if run.confusions.shape != expected or len(run.image_seconds) != len(run.confusions):
        raise ShapeError(
            f"variant {run.name!r}: expected confusion matrices (I, C, C) = {expected} and a time for each image, "
            f"got {run.confusions.shape} and {len(run.image_seconds)} times"
        )
    known_seconds = [seconds for seconds in run.image_seconds if seconds is not None]
    return compute_scores(run.confusions.sum(axis=0)), known_seconds


def _corrected(results: Sequence[VariantResult], images: int, resampling: Resampling) -> tuple[VariantResult, ...]:
    """Results with p corrected for the number of variants; those that failed count, as they were tried."""
    compared = {result.name: result.delta.p for result in results if result.delta is not None}
    p_holm = dict(zip(compared, holm(list(compared.values()), rows=len(results) - 1)))
    accepted = 1 - resampling.level + 1e-12  # p is a fraction of whole numbers
    return tuple(
        dataclasses.replace(
            result,
            p_holm=p_holm.get(result.name),
            significant=images >= MIN_IMAGES and p_holm.get(result.name, 1.0) <= accepted,
        )
        for result in results
    )


def _delta(run: VariantRun, baseline: VariantRun, resampling: Resampling) -> Interval | None:
    assert run.confusions is not None
    assert baseline.confusions is not None
    try:
        interval = paired_bootstrap(baseline.confusions, run.confusions, **dataclasses.asdict(resampling))
    except OptionError as error:
        raise OptionError(f"variant {run.name!r}: {error}") from error
    return None if any(math.isnan(number) for number in dataclasses.astuple(interval)) else interval


def _overhead(seconds: Sequence[float | None], baseline_seconds: Sequence[float | None]) -> float | None:
    pairs = [
        (own, base) for own, base in zip(seconds, baseline_seconds, strict=True) if own is not None and base is not None
    ]
    total = sum(base for _, base in pairs)
    return 100 * (sum(own for own, _ in pairs) / total - 1) if total > 0 else None


def _variant_from_json(entry: dict[str, Any]) -> VariantResult:
    tuples = {name: tuple(entry[name]) for name in ("refiners", "per_class_IoU")}
    delta = None if entry["delta"] is None else Interval(**entry["delta"])
    diagnostics = tuple(Diagnostic(**each) for each in entry["diagnostics"])
    return VariantResult(**{**entry, **tuples, "delta": delta, "diagnostics": diagnostics})


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _pairs(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())
