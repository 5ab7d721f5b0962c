"""The result of one evaluation: schema of `results.json`, and the table made from it.

Scores are in per cent, unrounded; a score that is not defined (a class that does not occur) is null. Everything that
the numbers depend on stands beside them: configuration, versions, commit, device, dtype and date.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..errors import OptionError
from ..text_width import pad, text_width
from .confusion import IntArray, compute_scores
from .provenance import checkout_commit, package_versions

SCHEMA = "segearth-ov3/results/3"
_BACKGROUND_NAMES = {"background", "clutter", "other", "others", "rest", "none", "unlabeled", "unlabelled", "unchanged"}


@dataclasses.dataclass(frozen=True)
class ClassResult:
    """One class: scores in per cent (None where not defined) and how many pixels it has."""

    name: str
    IoU: float | None
    Acc: float | None
    Precision: float | None
    Fscore: float | None
    label_pixels: int
    predicted_pixels: int


@dataclasses.dataclass(frozen=True)
class Report:
    """One evaluation.

    Attributes:
        dataset: Name of the benchmark set.
        mIoU, aAcc, mAcc, mFscore: Means in per cent as mmseg takes them, see `metrics.confusion`.
        mFscore_missed_as_zero: Mean F-score in which a class that is never hit counts 0.
        headline_class: Class whose IoU is the headline; None where it is the mIoU.
        foreground_IoU: IoU of `headline_class`; None without one.
        per_class: One entry per class, in label order.
        images: Number of images.
        images_of: Number of images of the whole set; more than `images` if only a part was evaluated. None where it
            is not known.
        deviations: What keeps the result from being compared with published ones, in words.
        digests: Of words, label rule, list of images and label counts: results that were measured on the same data
            have the same ones.
        seconds_per_image: Mean time of the prediction alone, without reading the files; None if not measured.
        seconds_per_image_median: Its median.
        device: Name of the device ("cpu (x86_64)", "cuda (NVIDIA H200)").
        dtype: Of the network ("float32").
        configuration: All settings, in plain JSON types.
        versions: Packages and their versions.
        commit: Of the checkout this package runs from, with "-dirty" if files are changed; None if it is no checkout.
        date: UTC, ISO 8601.
        confusion: Rows are labels, columns predictions, in pixels.
        schema: Name and version of this structure.
    """

    dataset: str
    mIoU: float | None
    aAcc: float | None
    mAcc: float | None
    mFscore: float | None
    mFscore_missed_as_zero: float | None
    headline_class: str | None
    foreground_IoU: float | None
    per_class: tuple[ClassResult, ...]
    images: int
    images_of: int | None
    deviations: tuple[str, ...]
    digests: dict[str, str]
    seconds_per_image: float | None
    seconds_per_image_median: float | None
    device: str
    dtype: str
    configuration: dict[str, Any]
    versions: dict[str, str]
    commit: str | None
    date: str
    confusion: tuple[tuple[int, ...], ...]
    schema: str = SCHEMA

    @property
    def headline(self) -> tuple[str, float | None]:
        """Name and value of the score that the field reports for such a set."""
        if self.headline_class is not None:
            return f"IoU {self.headline_class}", self.foreground_IoU
        return "mIoU", self.mIoU

    def to_json(self) -> str:
        """The report as JSON text, one line per row of the confusion matrix."""
        fields = dataclasses.asdict(self)
        rows = ",\n    ".join(json.dumps(list(row)) for row in fields.pop("confusion"))
        head = json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False).removesuffix("\n}")
        return f'{head},\n  "confusion": [\n    {rows}\n  ]\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Inverse of `to_json`.

        Raises:
            OptionError: The text is not a report of this schema.
        """
        fields = read_fields(text, SCHEMA, "results")
        if set(fields) != {field.name for field in dataclasses.fields(cls)}:
            raise OptionError(f"expected a results file of schema {SCHEMA!r}, a field is off; evaluate again")
        deviations = tuple(fields.pop("deviations"))
        per_class = tuple(ClassResult(**entry) for entry in fields.pop("per_class"))
        confusion = tuple(tuple(row) for row in fields.pop("confusion"))
        return cls(**fields, per_class=per_class, confusion=confusion, deviations=deviations)


def read_fields(text: str, schema: str, kind: str) -> dict[str, Any]:
    """Read JSON that says of which schema it is.

    Args:
        text: The file's content.
        schema: Name and version that is expected.
        kind: What the file is, for messages ("results").

    Returns:
        The fields.

    Raises:
        OptionError: No JSON, or of another schema.
    """
    expected = f"expected {'an' if kind[0] in 'aeiou' else 'a'} {kind} file"
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        raise OptionError(f"{expected}, got text that is not JSON: {error}") from error
    found = fields.get("schema") if isinstance(fields, dict) else None
    if found != schema:
        raise OptionError(f"{expected} of schema {schema!r}, got {found!r}; run it again")
    return fields


def make_report(
    confusion: IntArray,
    classes: Sequence[str],
    *,
    dataset: str,
    image_seconds: Sequence[float | None],
    device: str,
    dtype: str,
    configuration: Mapping[str, Any],
    images_of: int | Literal["unknown"] | None = None,
    deviations: Sequence[str] = (),
    digests: Mapping[str, str] | None = None,
    headline_class: str | None = None,
) -> Report:
    """Compute the scores and collect what they depend on; versions, commit and date are those of the moment.

    Args:
        confusion: (C, C) counts over all images, rows are labels.
        classes: Names of the classes (C,).
        dataset: Name of the benchmark set.
        image_seconds: Time of each image; None where it was not measured.
        device: Name of the device.
        dtype: Of the network.
        configuration: All settings, in plain JSON types.
        images_of: Number of images of the whole set; None means that all were evaluated.
        deviations: What keeps the result from being compared with published ones.
        digests: Of words, label rule, images and label counts.
        headline_class: Class whose IoU is the headline; None for the mIoU.

    Returns:
        The report.

    Raises:
        OptionError: The number of names is not C, or the headline is none of them.
    """
    if len(classes) != confusion.shape[1]:
        raise OptionError(
            f"expected {confusion.shape[1]} class names, one per column of the matrix, got {len(classes)}"
        )
    scores = compute_scores(confusion)
    known_seconds = [seconds for seconds in image_seconds if seconds is not None]
    return Report(
        dataset=dataset,
        mIoU=to_percent(scores.miou),
        aAcc=to_percent(scores.aacc),
        mAcc=to_percent(scores.macc),
        mFscore=to_percent(scores.mfscore),
        mFscore_missed_as_zero=to_percent(scores.mfscore_missed_as_zero),
        headline_class=headline_class,
        foreground_IoU=None if headline_class is None else to_percent(scores.iou[_place(headline_class, classes)]),
        per_class=tuple(
            ClassResult(
                name=name,
                IoU=to_percent(scores.iou[index]),
                Acc=to_percent(scores.acc[index]),
                Precision=to_percent(scores.precision[index]),
                Fscore=to_percent(scores.fscore[index]),
                label_pixels=int(confusion[index].sum()),
                predicted_pixels=int(confusion[:, index].sum()),
            )
            for index, name in enumerate(classes)
        ),
        images=len(image_seconds),
        images_of=len(image_seconds) if images_of is None else None if images_of == "unknown" else images_of,
        deviations=tuple(deviations),
        digests=dict(digests or {}),
        seconds_per_image=statistics.fmean(known_seconds) if known_seconds else None,
        seconds_per_image_median=statistics.median(known_seconds) if known_seconds else None,
        device=device,
        dtype=dtype,
        configuration=dict(configuration),
        versions=package_versions(),
        commit=checkout_commit(Path(__file__).resolve().parents[2]),
        date=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def choose_headline(classes: Sequence[str], wanted: str | None) -> str | None:
    """Choose the class whose IoU is the headline of a set.

    Args:
        classes: Names of the classes.
        wanted: Name of a class, "mIoU", or None: of two classes, the one that is not called background or similar.

    Returns:
        The class, or None for the mIoU.

    Raises:
        OptionError: `wanted` is neither "mIoU" nor a class.
    """
    if wanted is not None:
        return None if wanted == "mIoU" else classes[_place(wanted, classes)]
    objects = [name for name in classes if name.lower() not in _BACKGROUND_NAMES]
    return objects[0] if len(classes) == 2 and len(objects) == 1 else None


def _place(headline: str, classes: Sequence[str]) -> int:
    """Index of the class that the headline names."""
    if headline not in classes:
        raise OptionError(f"headline: expected mIoU or one of {', '.join(classes)}, got {headline!r}")
    return list(classes).index(headline)


def to_markdown(report: Report) -> str:
    """Make the table of a report: one row per class, then the means, then how they came about."""
    labelled = sum(entry.label_pixels for entry in report.per_class)
    rows: list[tuple[str, ...]] = [("Class", "IoU", "Acc", "Precision", "F-score", "Label share")]
    rows += [
        (
            entry.name,
            *map(format_score, (entry.IoU, entry.Acc, entry.Precision, entry.Fscore)),
            format_score(100 * entry.label_pixels / labelled if labelled else None),
        )
        for entry in report.per_class
    ]
    rows.append(("**mean**", *map(format_score, (report.mIoU, report.mAcc, None, report.mFscore)), ""))
    notes = [f"Not comparable with published scores: {'; '.join(report.deviations)}."] if report.deviations else []
    return "\n\n".join([markdown_table(rows), summary(report), *notes]) + "\n"


def summary(report: Report) -> str:
    """The report in one line."""
    speed = "" if report.seconds_per_image is None else f", {report.seconds_per_image:.3f} s per image"
    name, score = report.headline
    foreground = "" if name == "mIoU" else f"{name} {format_score(score)}, "
    return (
        f"{report.dataset}: {foreground}mIoU {format_score(report.mIoU)}, aAcc {format_score(report.aAcc)}, "
        f"mFscore {format_score(report.mFscore)} on {count_of_images(report)} images; "
        f"{report.device}, {report.dtype}{speed}"
    )


def count_of_images(report: Report) -> str:
    """Say how many images were evaluated, and of how many if that is not all: "2 of 1669", "40 of unknown"."""
    if report.images == report.images_of:
        return str(report.images)
    return f"{report.images} of {'unknown' if report.images_of is None else report.images_of}"


def markdown_table(rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """Make a table that reads well as plain text too.

    Args:
        rows: Cells of each line, the heading first.
        left: Columns that are set to the left, from 0; the others are set to the right.

    Returns:
        Lines of equal length, without a line break at the end.
    """
    widths = [max(text_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (pad(cell, w, right=i not in left) for i, (cell, w) in enumerate(zip(row, widths)))
        lines.append(f"| {' | '.join(cells)} |")
    rules = ("-" * (w + 2) if i in left else "-" * (w + 1) + ":" for i, w in enumerate(widths))
    lines.insert(1, f"|{'|'.join(rules)}|")
    return "\n".join(lines)


def format_score(percent: float | None) -> str:
    """Two decimals, as the field prints them; a dash where there is no score."""
    return "–" if percent is None else f"{percent:.2f}"


def to_percent(fraction: float | np.floating) -> float | None:
    """A fraction in per cent; None for NaN, which JSON does not have."""
    return None if math.isnan(fraction) else 100 * float(fraction)
