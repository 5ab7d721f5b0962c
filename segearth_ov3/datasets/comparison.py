"""One page for the results of many sets: a table of all, averages, and what others published beside it.

The page is made from result files and from `published` alone, so that no number in it is typed. What keeps a result
from being compared stands in a numbered note at its set.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from ..errors import OptionError
from ..metrics.report import Report, count_of_images, format_score, markdown_table
from .published import AVERAGES, GENERAL_EIGHT, PUBLISHED, SEMANTIC_EIGHT, PublishedScore

GROUPS = {"semantic": ("eight semantic sets", SEMANTIC_EIGHT), "general": ("eight general sets", GENERAL_EIGHT)}
GRADES = (
    "Grades: P read in the authors' own repository, abstract or figure; Q a paper's number quoted by a third party; "
    "M measured by somebody else."
)
_NONE = "–"


def comparison_page(
    reports: Sequence[Report], failures: Mapping[str, str] | None = None, absent: Mapping[str, str] | None = None
) -> str:
    """Make the page.

    Args:
        reports: One per set.
        failures: Sets that could not be evaluated, with the reason.
        absent: Sets whose folder does not exist, with the folder.

    Returns:
        Markdown.

    Raises:
        OptionError: Two reports are of one set.
    """
    by_name = {report.dataset: report for report in reports}
    if len(by_name) < len(reports):
        names = [report.dataset for report in reports]
        raise OptionError(f"expected one result per set, got {', '.join(sorted(names))}")
    parts = ["# Results"]
    if reports:
        parts += [markdown_table(_own_rows(reports)), "\n".join([*_notes(reports), *_averages(by_name)])]
    if absent:
        parts.append("\n".join(f"- {name} not found: no folder {folder}" for name, folder in absent.items()))
    if failures:
        parts.append("\n".join(f"- **{name} failed**: {reason}" for name, reason in failures.items()))
    tables = list(_published_tables(by_name))
    if tables:
        parts += ["## Beside published scores", *tables, f"{GRADES}\n\n{_sources(by_name)}"]
    if reports:
        parts += ["## How they were measured", "\n".join(_provenance(reports))]
    return "\n\n".join(part for part in parts if part) + "\n"


def group_average(by_name: Mapping[str, Report], group: str) -> float | None:
    """Mean of the mIoU over a group of sets, in per cent; None unless all are there."""
    scores = [by_name[name].mIoU for name in GROUPS[group][1] if name in by_name]
    known = [score for score in scores if score is not None]
    return statistics.fmean(known) if len(known) == len(GROUPS[group][1]) else None


def _own_rows(reports: Sequence[Report]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("Set", "Images", "Cut", "Score", "", "mIoU", "aAcc", "mFscore", "s / image")]
    for report in reports:
        name, score = report.headline
        window, stride = (report.configuration.get(key) for key in ("window", "stride"))
        seconds = report.seconds_per_image
        rows.append(
            (
                _marked(report, reports),
                count_of_images(report),
                "whole" if window is None else f"{window} / {stride}",
                name,
                f"**{format_score(score)}**",
                *map(format_score, (report.mIoU, report.aAcc, report.mFscore)),
                _NONE if seconds is None else f"{seconds:.3f}",
            )
        )
    return rows


def _marked(report: Report, reports: Sequence[Report]) -> str:
    """Name of a set, with the number of its note."""
    noted = [each.dataset for each in reports if each.deviations]
    return f"{report.dataset} [{noted.index(report.dataset) + 1}]" if report.deviations else report.dataset


def _notes(reports: Sequence[Report]) -> list[str]:
    noted = [report for report in reports if report.deviations]
    return [
        f"- [{number}] {report.dataset} is not comparable with published scores: {'; '.join(report.deviations)}."
        for number, report in enumerate(noted, start=1)
    ]


def _averages(by_name: Mapping[str, Report]) -> list[str]:
    """A sentence per group of which a set is there."""
    lines = []
    for group, (title, names) in GROUPS.items():
        there = {name: score for name in names if name in by_name and (score := by_name[name].mIoU) is not None}
        missing = [name for name in names if name not in there]
        if there and missing:
            lines.append(
                f"- No average over the {title}: {', '.join(missing)} missing. Mean mIoU over the {len(there)} there "
                f"({', '.join(there)}): {format_score(statistics.fmean(there.values()))}, comparable with nothing."
            )
        elif there:
            doubt = [name for name in names if by_name[name].deviations]
            note = f"; not comparable, see the notes on {', '.join(doubt)}" if doubt else ""
            lines.append(f"- Average mIoU over the {title}: **{format_score(group_average(by_name, group))}**{note}.")
    return lines


def _columns(by_name: Mapping[str, Report]) -> Iterable[tuple[str, list[str]]]:
    """Title and sets of each table of published scores."""
    grouped = {name for _, names in GROUPS.values() for name in names}
    for title, names in GROUPS.values():
        yield f"mIoU, {title}", [name for name in names if name in by_name]
    others = [name for name in by_name if name not in grouped and _published(by_name[name])]
    for metric in ("mIoU", "IoU"):
        yield f"{metric}, other sets", [name for name in others if _metric(by_name[name]) == metric]


def _published_tables(by_name: Mapping[str, Report]) -> Iterable[str]:
    """A table per group: our row, then one row per method and who ran it."""
    for title, names in _columns(by_name):
        if not names:
            continue
        group = next((key for key, (words, _) in GROUPS.items() if title.endswith(words)), None)
        average = None if group is None else group_average(by_name, group)
        stated = AVERAGES[group] if group is not None and average is not None else ()
        reports = list(by_name.values())
        heading = [title, *(_marked(by_name[name], reports) for name in names), *(["average"] if stated else [])]
        ours = ["**ours**", *(f"**{format_score(by_name[name].headline[1])}**" for name in names)]
        rows = [heading, [*ours, f"**{format_score(average)}**"] if stated else ours]
        entries = [(name, score) for name in names for score in _published(by_name[name])]
        entries += [("average", score) for score in stated]
        for label, own in _by_method(entries).items():
            columns = [*names, "average"] if stated else names
            rows.append([label, *(" / ".join(own.get(name, [_NONE])) for name in columns)])
        yield markdown_table(rows)


def _by_method(entries: Sequence[tuple[str, PublishedScore]]) -> dict[str, dict[str, list[str]]]:
    """Cells of each row by column; rows of one method together, in the order of mention, trained methods last."""
    methods = list(dict.fromkeys(score.method for _, score in entries))
    rows: dict[str, dict[str, list[str]]] = {}
    for name, score in sorted(entries, key=lambda entry: (entry[1].trained, methods.index(entry[1].method))):
        rows.setdefault(_row_label(score), {}).setdefault(name, []).append(f"{score.score} [{score.grade}]")
    return rows


def _published(report: Report) -> list[PublishedScore]:
    """What others published of a set in the score that is reported of it."""
    return [score for score in PUBLISHED.get(report.dataset, ()) if score.metric == _metric(report)]


def _metric(report: Report) -> str:
    return report.headline[0].partition(" ")[0]


def _row_label(score: PublishedScore) -> str:
    """Who and under which circumstances."""
    rerun = f", rerun by {score.rerun_by}" if score.rerun_by else ""
    remark = f" ({score.remark})" if score.remark else ""
    return f"{score.method}{rerun}{remark}{' (trained)' if score.trained else ''}"


def _sources(by_name: Mapping[str, Report]) -> str:
    sources: dict[str, list[str]] = {}
    for report in by_name.values():
        for score in _published(report):
            methods = sources.setdefault(score.source, [])
            if score.method not in methods:
                methods.append(score.method)
    return "\n".join(f"- {', '.join(methods)}: {source}" for source, methods in sources.items())


def _provenance(reports: Sequence[Report]) -> list[str]:
    """Weights, device and versions; sets that share them share a line."""
    lines: dict[str, list[str]] = {}
    for report in reports:
        configuration, versions = report.configuration, report.versions
        weights = f"{configuration.get('checkpoint')} (sha256 {configuration.get('checkpoint_sha256')})"
        tools = ", ".join(f"{name} {versions[name]}" for name in ("segearth_ov3", "torch") if name in versions)
        commit = f", commit {report.commit}" if report.commit else ""
        line = f"weights {weights}; {report.device}, {report.dtype}; {tools}{commit}; {report.date[:10]}"
        lines.setdefault(line, []).append(report.dataset)
    return [f"- {', '.join(names)}: {line}" for line, names in lines.items()]
