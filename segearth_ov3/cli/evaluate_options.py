"""Options of `evaluate`: which images and labels, what labels mean, and how the evaluation runs."""

from __future__ import annotations

import dataclasses
import glob
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import CommandT, grouped

if TYPE_CHECKING:
    from ..datasets.label_values import ColorTable


@dataclasses.dataclass(frozen=True)
class OwnData:
    """Which images and labels, and what the labels mean."""

    images: str
    labels: str | None
    label_map: str | None
    colors: str | None

    def color_table(self, classes: tuple[str, ...]) -> ColorTable | None:
        """Read --colors; None where labels are indices."""
        from ..datasets.label_values import read_color_table

        return None if self.colors is None else read_color_table(self.colors, classes)

    def dataset(self, classes: tuple[str, ...]) -> dict[str, Any]:
        """Return the arguments of `LabelledImages`, with paths relative to an absolute folder."""
        from ..datasets.label_values import read_label_map

        sources = [Path(os.path.abspath(source)) for source in (self.images, self.labels) if source is not None]
        root = Path(os.path.commonpath([source.parent for source in sources]))
        while glob.has_magic(str(root)):
            root = root.parent
        names = [source.relative_to(root).as_posix() for source in sources]
        found: dict[str, Any] = {
            "images": names[0],
            "labels": names[1] if len(names) > 1 else None,
            "classes": list(classes),
        }
        if self.label_map is not None:
            found["label_map"] = read_label_map(self.label_map, len(classes))
        if (table := self.color_table(classes)) is not None:
            found["palette"] = [table.colors[table.indices.index(index)] for index in range(len(classes))]
        return {"data_root": str(root), **found}


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """How the images are cut and read ahead, and what is written."""

    window: int | None
    stride: int | None
    limit: int | None
    headline: str | None
    out: str | None
    show_dir: str | None
    save_predictions: bool
    save_config: str | None
    batch_size: int | None
    workers: int | None
    resume: bool
    overwrite: bool

    def __post_init__(self) -> None:
        if self.stride is not None and (self.window is None or self.stride > self.window):
            raise click.UsageError("--stride needs --window, and is at most as large")
        if self.resume and self.overwrite:
            raise click.UsageError("give --resume or --overwrite, not both")
        if self.save_config is not None and not self.save_config.endswith(".py"):
            raise click.UsageError(f"--save-config: expected a name that ends with .py, got {self.save_config}")

    @property
    def loader(self) -> dict[str, int]:
        """Entries of the data loader."""
        values = {"batch_size": self.batch_size, "num_workers": self.workers}
        return {key: value for key, value in values.items() if value is not None}


def data_options(command: CommandT) -> CommandT:
    """Add the arguments IMAGES and LABELS, --label-map and --colors as the argument `data`."""
    options = {
        "paths": click.argument("paths", nargs=-1, metavar="IMAGES LABELS | PAIRS.csv"),
        "label_map": click.option(
            "--label-map",
            metavar="FILE",
            help='Class index by label value, a line each: "255: 1" or "7: ignore"; also as text: 255:1,7:ignore.',
        ),
        "colors": click.option(
            "--colors", metavar="FILE", help='Labels are colours; a line each: "building,#ff0000" or "ignore,0,0,0".'
        ),
    }
    return grouped(command, "data", _data_from, options)


def run_options(command: CommandT) -> CommandT:
    """Add the options of the run as the argument `run`."""
    pixels, count = click.IntRange(min=1), click.IntRange(min=1)
    options = {
        "window": click.option("--window", type=pixels, metavar="PX", help="Side of windows  [default: whole images]"),
        "stride": click.option("--stride", type=pixels, metavar="PX", help="Step between windows  [default: the side]"),
        "limit": click.option("--limit", type=count, metavar="N", help="Only N images, spread evenly over all."),
        "headline": click.option(
            "--headline",
            metavar="CLASS|mIoU",
            help="Score that heads the results  [default: of two classes, the one that is no background; else mIoU]",
        ),
        "out": click.option("--out", metavar="DIR", help="Folder of the results  [default: work_dirs/NAME]"),
        "show_dir": click.option("--show-dir", metavar="DIR", help="Write pictures image | label | prediction here."),
        "save_predictions": click.option(
            "--save-predictions", is_flag=True, help="Write class indices to OUT/predictions."
        ),
        "save_config": click.option(
            "--save-config", metavar="FILE.py", help="Write a configuration for tools/test.py, ablate.py, benchmark.py."
        ),
        "batch_size": click.option("--batch-size", type=count, metavar="N", help="Images per forward pass."),
        "workers": click.option("--workers", type=click.IntRange(min=0), metavar="N", help="Reading processes."),
        "resume": click.option("--resume", is_flag=True, help="Continue an interrupted run in --out."),
        "overwrite": click.option("--overwrite", is_flag=True, help="Replace an earlier run in --out."),
    }
    return grouped(command, "run", lambda values: RunOptions(**values), options)


def _data_from(values: Mapping[str, Any]) -> OwnData:
    paths = values["paths"]
    is_table = len(paths) == 1 and paths[0].lower().endswith(".csv")
    if not is_table and len(paths) != 2:
        raise click.UsageError(f"expected IMAGES and LABELS, or one CSV file of pairs, got {len(paths)} paths")
    if values["label_map"] is not None and values["colors"] is not None:
        raise click.UsageError("give --label-map or --colors, not both; colours without a class: ignore,#rrggbb")
    return OwnData(paths[0], None if is_table else paths[1], values["label_map"], values["colors"])
