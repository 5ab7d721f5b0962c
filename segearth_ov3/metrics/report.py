"""The result of one evaluation: schema of `results.json`, and the table made from it.

Scores are in per cent, unrounded; a score that is not defined (a class that does not occur) is null. Everything that
the numbers depend on stands beside them: configuration, versions, commit, device, dtype and date.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import math
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OptionError
from ..version import __version__
from .confusion import IntArray, compute_scores

SCHEMA = "segearth-ov3/results/1"
PACKAGES = (
    "torch",
    "torchvision",
    "open_clip_torch",
    "mmsegmentation",
    "mmengine",
    "mmcv",
    "mmcv-lite",
    "numpy",
    "pillow",
    "opencv-python",
)


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
        per_class: One entry per class, in label order.
        images: Number of images.
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
    per_class: tuple[ClassResult, ...]
    images: int
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
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise OptionError(f"expected a results file, got text that is not JSON: {error}") from error
        schema = fields.get("schema") if isinstance(fields, dict) else None
        names = {field.name for field in dataclasses.fields(cls)}
        if schema != SCHEMA or set(fields) != names:
            raise OptionError(f"expected a results file of schema {SCHEMA!r}, got {schema!r}; evaluate again")
        per_class = tuple(ClassResult(**entry) for entry in fields.pop("per_class"))
        confusion = tuple(tuple(row) for row in fields.pop("confusion"))
        return cls(**fields, per_class=per_class, confusion=confusion)


def make_report(
    confusion: IntArray,
    classes: Sequence[str],
    *,
    dataset: str,
    image_seconds: Sequence[float | None],
    device: str,
    dtype: str,
    configuration: Mapping[str, Any],
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

    Returns:
        The report.

    Raises:
        OptionError: The number of names is not C.
    """
    if len(classes) != len(confusion):
        raise OptionError(f"expected {len(confusion)} class names, one per row of the matrix, got {len(classes)}")
    scores = compute_scores(confusion)
    known_seconds = [seconds for seconds in image_seconds if seconds is not None]
    return Report(
        dataset=dataset,
        mIoU=to_percent(scores.miou),
        aAcc=to_percent(scores.aacc),
        mAcc=to_percent(scores.macc),
        mFscore=to_percent(scores.mfscore),
        mFscore_missed_as_zero=to_percent(scores.mfscore_missed_as_zero),
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
    return f"{markdown_table(rows)}\n\n{summary(report)}\n"


def summary(report: Report) -> str:
    """The report in one line."""
    speed = "" if report.seconds_per_image is None else f", {report.seconds_per_image:.3f} s per image"
    return (
        f"{report.dataset}: mIoU {format_score(report.mIoU)}, aAcc {format_score(report.aAcc)}, "
        f"mFscore {format_score(report.mFscore)} on {report.images} images; "
        f"{report.device}, {report.dtype}{speed}"
    )


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Make a table that reads well as plain text too.

    Args:
        rows: Cells of each line, the heading first. The first column is set to the left, the others to the right.

    Returns:
        Lines of equal length, without a line break at the end.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [_row(row, widths) for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2 - bool(i)) + ":" * bool(i) for i, width in enumerate(widths)) + "|")
    return "\n".join(lines)


def format_score(percent: float | None) -> str:
    """Two decimals, as the field prints them; a dash where there is no score."""
    return "–" if percent is None else f"{percent:.2f}"


def to_percent(fraction: float | np.floating) -> float | None:
    """A fraction in per cent; None for NaN, which JSON does not have."""
    return None if math.isnan(fraction) else 100 * float(fraction)


def package_versions() -> dict[str, str]:
    """Versions of Python, this package and those of its dependencies that are installed and bear on the numbers."""
    installed = {distribution.name: distribution.version for distribution in importlib.metadata.distributions()}
    own = {"python": platform.python_version(), "segearth_ov3": __version__}
    return own | {name: installed[name] for name in PACKAGES if name in installed}


def checkout_commit(folder: Path) -> str | None:
    """The git commit of a folder that is the top of a checkout.

    Args:
        folder: Where `.git` would be; folders above are not searched.

    Returns:
        The hash, with "-dirty" if tracked files are changed; None if the folder is no checkout, has no commit yet, or
        git is not installed.
    """
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return result.stdout.strip() or None if result.returncode == 0 else None


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    return "| " + " | ".join([first, *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:]))]) + " |"
