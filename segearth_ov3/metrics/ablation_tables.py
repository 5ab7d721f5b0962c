"""Tables of an ablation, made from its report alone: Markdown, CSV and LaTeX.

The baseline comes first, then the variants in the order given. (Longer than other files: the three tables show the same
fields in the same words.)
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from ..atomic import complete_or_absent
from .ablation import MIN_IMAGES, AblationReport, VariantResult
from .bootstrap import Interval
from .report import format_score, markdown_table

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
        delta = f"**{delta}**" if variant.significant else delta
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
        ["variant", "refiners", "settings", "mIoU", "aAcc", "delta", "delta_low", "delta_high", "p", "p_holm"]
        + [
            "significant",
            "failure",
            "seconds_per_image",
            "overhead_percent",
            *(f"IoU {name}" for name in report.classes),
        ]
        + [f"{name} {when}" for name in names for when in ("before", "after")]
    ]
    for variant in report.variants:
        delta = variant.delta
        texts = [variant.name, *(json.dumps(each, ensure_ascii=False) for each in (variant.refiners, variant.settings))]
        scores = [variant.mIoU, variant.aAcc, *((delta.delta, delta.low, delta.high) if delta else [None] * 3)]
        chances = [_cell(p, ".4g") for p in (delta.p if delta else None, variant.p_holm)]
        verdict = "" if delta is None else ("yes" if variant.significant else "no")
        numbers = [(variant.seconds_per_image, ".3f"), (variant.overhead_percent, ".2f")]
        numbers += [(iou, ".2f") for iou in variant.per_class_IoU]
        numbers += [(number, ".4g") for name in names for number in _before_after(variant, name)]
        rows.append(
            [*texts, *(_cell(score, ".2f") for score in scores), *chances, verdict, variant.failure or ""]
            + [_cell(*number) for number in numbers]
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
        lines.append(_latex_row(cells, bold=(2, 3) if variant.significant else ()))
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


def _notes(report: AblationReport) -> list[str]:
    """What must be known to read the table, in sentences."""
    how = report.resampling
    notes = [
        f"Δ is the difference to the first row in points of mIoU, with the {_level(report)} interval of a paired, "
        f"studentised bootstrap over {report.images} image{'s' * (report.images != 1)} ({how.samples} draws, seed "
        f"{how.seed}). It assumes independent images; tiles of one scene are not.",
        _note_on_chance(report),
    ]
    notes += [f"{variant.name} failed: {variant.failure}." for variant in report.variants if variant.failure]
    if report.one_pass:
        cost = report.one_pass
        notes.append(
            f"All {len(report.variants)} rows took {cost.total_seconds:.1f} s in one pass, {cost.ratio:.2f} times the "
            f"{cost.baseline_seconds:.1f} s of the first row alone."
        )
    commit = f", commit {report.commit[:12]}{'-dirty' * report.commit.endswith('-dirty')}" if report.commit else ""
    notes.append(f"{report.dataset}, {report.config}; {report.device}, {report.dtype}{commit}, {report.date}.")
    return notes


def _note_on_chance(report: AblationReport) -> str:
    """What bold means, and how often chance alone makes a row bold."""
    rows, chance = len(report.variants) - 1, f"{100 * (1 - report.resampling.level):g} %"
    if report.images < MIN_IMAGES:
        return f"No difference is bold: that takes at least {MIN_IMAGES} images."
    if (least := rows / (report.resampling.samples + 1)) > 1 - report.resampling.level:
        return (
            f"No difference can be bold: with {rows} rows and {report.resampling.samples} draws, Holm's correction "
            f"gives p of {least:.2g} or more; ask for more draws."
        )
    if rows == 1:
        return f"Bold: the interval excludes 0, which happens by chance in about {chance} of such comparisons or fewer."
    return (
        f"Bold: the difference is significant after Holm's correction for {rows} rows; if no row had any effect, at "
        f"least one would be bold by chance in about {chance} of such tables or fewer. An interval of a row that is "
        f"not bold may exclude 0 by chance."
    )


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


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _markdown(text: str) -> str:
    return text.translate(_MARKDOWN_LETTERS)


def _latex(text: str) -> str:
    return text.translate(_LATEX_LETTERS)


def _latex_row(cells: Sequence[str], bold: Sequence[int] = ()) -> str:
    escaped = [_latex(cell) for cell in cells]
    return " & ".join(rf"\textbf{{{cell}}}" if i in bold else cell for i, cell in enumerate(escaped)) + r" \\"
