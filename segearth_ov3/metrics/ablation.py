"""What each variant of an evaluation is worth: schema of `ablation.json`, and the tables made from it.

All variants are compared with one baseline on the same images by a paired bootstrap, see `metrics.bootstrap`. Scores
and differences are in per cent, unrounded in the JSON; what is not defined is null. Tables are made from the report
alone, the baseline first, then the variants in the order given. (Longer than other files: the three tables show the
same fields in the same words, and stand beside the schema that they must follow.)
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..atomic import complete_or_absent
from ..errors import OptionError, ShapeError
from .bootstrap import Interval, paired_bootstrap
from .confusion import IntArray, compute_scores
from .provenance import checkout_commit, package_versions
from .report import format_score, markdown_table, read_fields, to_percent

SCHEMA = "segearth-ov3/ablation/1"

_NONE = "–"
_MARKDOWN_LETTERS = str.maketrans({**{letter: f"\\{letter}" for letter in "\\`*|<$"}, "\n": " "})
_LATEX_TEXT = ("backslash", "asciitilde", "asciicircum", "less", "greater", "bar")
_LATEX_MATH = r"- \times \to \leq \geq \Delta \alpha \beta \gamma \lambda \mu \sigma \tau"
_LATEX_LETTERS = str.maketrans(
    {letter: f"\\{letter}" for letter in "&%$#_{}"}
    | {letter: f"{{{letter}}}" for letter in "[]*"}  # at the start of a row they would be options of the one before
    | {letter: f"\\text{name}{{}}" for letter, name in zip("\\~^<>|", _LATEX_TEXT)}
    | {letter: f"${name}$" for letter, name in zip("−×→≤≥Δαβγλμστ", _LATEX_MATH.split())}
    | {'"': "''", "\n": " "}
)


@dataclasses.dataclass(frozen=True)
class VariantRun:
    """What was measured of one variant; dictionaries hold plain JSON types.

    Attributes:
        name: Unique among the variants.
        confusions: Of each image (I, C, C), rows are labels; the same images in the same order for all variants.
        image_seconds: Time of each image (I); None where it was not measured.
        refiners: Chain in the order of action, each as in a configuration ("type" and parameters).
        settings: What else differs from the common configuration, such as `prob_threshold`.
        diagnostics: Numbers that describe the tokens: name to (before, after) refinement, NaN or None if undefined.
        sweep: Name of the sweep that this variant is a point of.
        parameters: Which point of the sweep it is, such as `{"weight": 0.2, "kernel_size": 3}`.
    """

    name: str
    confusions: IntArray
    image_seconds: Sequence[float | None]
    refiners: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    diagnostics: Mapping[str, tuple[float | None, float | None]] = dataclasses.field(default_factory=dict)
    sweep: str | None = None
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)


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

    @property
    def excludes_zero(self) -> bool:
        """Whether there is a difference and its interval lies on one side of 0."""
        return self.delta is not None and self.delta.excludes_zero

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

    samples: int = 2000
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
        OptionError: Two names are equal, or the labels of a variant are not those of the baseline.
        ShapeError: The numbers of images or classes do not fit together.
    """
    runs = (baseline, *variants)
    names = [run.name for run in runs]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise OptionError(f"expected a name of its own for each variant, got {', '.join(doubled)} more than once")
    resampling = resampling or Resampling()
    return AblationReport(
        dataset=dataset,
        config=config,
        images=len(baseline.confusions),
        classes=tuple(classes),
        variants=tuple(_result(run, baseline, len(classes), resampling) for run in runs),
        one_pass=one_pass,
        resampling=resampling,
        device=device,
        dtype=dtype,
        configuration=dict(configuration),
        versions=package_versions(),
        commit=checkout_commit(Path(__file__).resolve().parents[2]),
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )


def write_report(report: AblationReport, folder: Path) -> list[Path]:
    """Write `ablation.json` and the tables `ablation.md`, `.csv` and `.tex`, each whole or not at all.

    Args:
        report: The report.
        folder: An existing folder; files of these names are replaced.

    Returns:
        The four files.
    """
    texts = {"json": report.to_json(), "md": to_markdown(report), "csv": to_csv(report), "tex": to_latex(report)}
    paths = []
    for suffix, text in texts.items():
        path = folder / f"ablation.{suffix}"
        with complete_or_absent(path) as partial:
            partial.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def to_markdown(report: AblationReport) -> str:
    """Make the page of a report: scores and differences, what the variants are, IoU per class, token diagnostics."""
    rows = [("Variant", "mIoU", f"Δ mIoU [{_level(report)}]", "aAcc", "s / image", "Overhead %")]
    for variant in report.variants:
        delta = (
            _NONE if variant.delta is None else f"{format_signed(variant.delta.delta)} {format_interval(variant.delta)}"
        )
        delta = f"**{delta}**" if variant.excludes_zero else delta
        scores = format_score(variant.mIoU), delta, format_score(variant.aAcc)
        rows.append((_markdown(variant.name), *scores, *_times(variant)))
    parts = [f"# Variants on {_markdown(report.dataset)}", markdown_table(rows), "\n".join(_notes(report))]
    parts += ["## What the variants are", _description_list(report)]
    rows_per_class = [("Variant", *map(_markdown, report.classes), "mean")]
    for variant in report.variants:
        scores_per_class = map(format_score, (*variant.per_class_IoU, variant.mIoU))
        rows_per_class.append((_markdown(variant.name), *scores_per_class))
    parts += ["## IoU per class", markdown_table(rows_per_class)]
    if names := _diagnostic_names(report):
        parts += ["## Tokens, before → after refinement", markdown_table(_diagnostic_rows(report, names))]
    return "\n\n".join(parts) + "\n"


def to_csv(report: AblationReport) -> str:
    """Make a table with a line per variant and a column for each number; what is not defined is an empty cell."""
    names = _diagnostic_names(report)
    rows: list[list[str]] = [
        ["variant", "refiners", "settings", "mIoU", "aAcc", "delta", "delta_low", "delta_high", "excludes_zero"]
        + ["seconds_per_image", "overhead_percent", *(f"IoU {name}" for name in report.classes)]
        + [f"{name} {when}" for name in names for when in ("before", "after")]
    ]
    for variant in report.variants:
        delta = variant.delta
        texts = [variant.name, *(json.dumps(each, ensure_ascii=False) for each in (variant.refiners, variant.settings))]
        scores = [variant.mIoU, variant.aAcc, *(dataclasses.astuple(delta) if delta else [None] * 3)]
        certain = "" if delta is None else ("yes" if delta.excludes_zero else "no")
        numbers = [(variant.seconds_per_image, ".3f"), (variant.overhead_percent, ".2f")]
        numbers += [(iou, ".2f") for iou in variant.per_class_IoU]
        numbers += [(number, ".4g") for name in names for number in _before_after(variant, name)]
        rows.append(
            [*texts, *(_cell(score, ".2f") for score in scores), certain, *(_cell(*number) for number in numbers)]
        )
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


def to_latex(report: AblationReport) -> str:
    r"""Make a table to be included with `\input`; the document needs `\usepackage{booktabs}`.

    Letters of names may be Latin ones, common signs, and those of Greek that stand for parameters.
    """
    heading = ("Variant", "mIoU", "Δ", f"{_level(report)} interval", "aAcc", "s / image", "Overhead %")
    lines = [r"\begin{table}", r"\centering", r"\footnotesize", rf"\caption{{Variants on {_latex(report.dataset)}.}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(heading) - 1)}}}", r"\toprule", _latex_row(heading), r"\midrule"]
    for index, variant in enumerate(report.variants):
        delta = (
            ["–", "–"]
            if variant.delta is None
            else [format_signed(variant.delta.delta), format_interval(variant.delta)]
        )
        cells = [variant.name, format_score(variant.mIoU), *delta, format_score(variant.aAcc), *_times(variant)]
        lines.append(_latex_row(cells, bold=(2, 3) if variant.excludes_zero else ()))
        if index == 0 and len(report.variants) > 1:
            lines.append(r"\midrule")
    lines += [r"\bottomrule", r"\end{tabular}", "", r"\smallskip"]
    lines += [r"\begin{minipage}{\linewidth}", *map(_latex, _notes(report)), r"\end{minipage}"]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def format_signed(number: float) -> str:
    """Two decimals with a sign, which a small difference keeps when it is rounded to 0: "+0.42", "−0.00"."""
    return f"{number:+.2f}".replace("-", "−") if number else "0.00"


def format_interval(interval: Interval) -> str:
    """The ends of an interval: "[−0.10, +0.95]"."""
    return f"[{format_signed(interval.low)}, {format_signed(interval.high)}]"


def _result(run: VariantRun, baseline: VariantRun, classes: int, resampling: Resampling) -> VariantResult:
    expected = (len(baseline.confusions), classes, classes)
    if run.confusions.shape != expected or len(run.image_seconds) != len(run.confusions):
        raise ShapeError(
            f"variant {run.name!r}: expected confusion matrices (I, C, C) = {expected} and a time for each image, "
            f"got {run.confusions.shape} and {len(run.image_seconds)} times"
        )
    scores = compute_scores(run.confusions.sum(axis=0))
    known_seconds = [seconds for seconds in run.image_seconds if seconds is not None]
    return VariantResult(
        name=run.name,
        refiners=tuple(dict(refiner) for refiner in run.refiners),
        settings=dict(run.settings),
        mIoU=to_percent(scores.miou),
        aAcc=to_percent(scores.aacc),
        per_class_IoU=tuple(to_percent(iou) for iou in scores.iou),
        delta=None if run is baseline else _delta(run, baseline, resampling),
        seconds_per_image=statistics.fmean(known_seconds) if known_seconds else None,
        overhead_percent=None if run is baseline else _overhead(run.image_seconds, baseline.image_seconds),
        diagnostics=tuple(
            Diagnostic(name, _number(before), _number(after)) for name, (before, after) in run.diagnostics.items()
        ),
        sweep=run.sweep,
        parameters=dict(run.parameters),
    )


def _delta(run: VariantRun, baseline: VariantRun, resampling: Resampling) -> Interval | None:
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


def _notes(report: AblationReport) -> list[str]:
    """What must be known to read the table, in sentences."""
    how = report.resampling
    notes = [
        f"Δ is the difference to the first row in points of mIoU, with the {_level(report)} interval of a paired "
        f"bootstrap over {report.images} images ({how.samples} draws, seed {how.seed}).",
        "Bold: the interval excludes 0. Intervals are not corrected for the number of variants: of those without any "
        f"effect, about {100 * (1 - how.level):g} % exclude 0 by chance.",
    ]
    if report.one_pass:
        cost = report.one_pass
        notes.append(
            f"All {len(report.variants)} rows took {cost.total_seconds:.1f} s in one pass, {cost.ratio:.2f} times the "
            f"{cost.baseline_seconds:.1f} s of the first row alone."
        )
    commit = f", commit {report.commit[:12]}{'-dirty' * report.commit.endswith('-dirty')}" if report.commit else ""
    notes.append(f"{report.dataset}, {report.config}; {report.device}, {report.dtype}{commit}, {report.date}.")
    return notes


def _description_list(report: AblationReport) -> str:
    return "\n".join(f"- {_markdown(variant.name)}: {_markdown(variant.description)}" for variant in report.variants)


def _diagnostic_names(report: AblationReport) -> list[str]:
    """Names over all variants, in the order of their first mention."""
    return list(dict.fromkeys(each.name for variant in report.variants for each in variant.diagnostics))


def _diagnostic_rows(report: AblationReport, names: Sequence[str]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("Variant", *map(_markdown, names))]
    for variant in report.variants:
        pairs = [_before_after(variant, name) for name in names]
        cells = (" → ".join(_cell(number, ".4g") or _NONE for number in pair) for pair in pairs)
        rows.append((_markdown(variant.name), *cells))
    return rows


def _before_after(variant: VariantResult, name: str) -> tuple[float | None, float | None]:
    return next(((each.before, each.after) for each in variant.diagnostics if each.name == name), (None, None))


def _times(variant: VariantResult) -> tuple[str, str]:
    overhead = variant.overhead_percent
    return _cell(variant.seconds_per_image, ".3f") or _NONE, _NONE if overhead is None else format_signed(overhead)


def _level(report: AblationReport) -> str:
    return f"{100 * report.resampling.level:g} %"


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _pairs(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items())


def _markdown(text: str) -> str:
    return text.translate(_MARKDOWN_LETTERS)


def _latex(text: str) -> str:
    return text.translate(_LATEX_LETTERS)


def _latex_row(cells: Sequence[str], bold: Sequence[int] = ()) -> str:
    escaped = [_latex(cell) for cell in cells]
    return " & ".join(rf"\textbf{{{cell}}}" if i in bold else cell for i, cell in enumerate(escaped)) + r" \\"
