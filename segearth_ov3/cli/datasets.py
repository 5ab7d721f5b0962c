"""`segearth-ov3 datasets`: the benchmark sets, which of them are there, where to get the others, under which terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..datasets import DatasetSpec

_GROUPS = {
    "semantic": "Multi-class remote sensing",
    "building": "Buildings",
    "road": "Roads",
    "water": "Water",
    "general": "General scenes",
    "change": "Change detection (facts and loading only)",
    "generated": "Generated",
}


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--root",
    metavar="DIR",
    default="data",
    show_default=True,
    envvar="SEGEARTH_OV3_DATA",
    show_envvar=True,
    help="Folder of all sets.",
)
@click.option("--found", "only_found", is_flag=True, help="Only sets that are there.")
def datasets(names: tuple[str, ...], root: str, only_found: bool) -> None:
    """List the benchmark sets: whether each is found, its licence, and where to get it.

    With NAMEs, show all that is known of these sets: classes, layout, published scores.

    \b
    Examples:
      segearth-ov3 datasets
      segearth-ov3 datasets --root /disk/data --found
      segearth-ov3 datasets loveda wbs_si
    """
    from ..datasets import SPECS
    from ..registry import lookup

    folder = Path(root)
    if not folder.is_dir():
        click.echo(f"No folder {folder}; name the folder of all sets by --root or SEGEARTH_OV3_DATA.", err=True)
    if names:
        texts = [describe(lookup(SPECS, name, "benchmark set"), folder) for name in names]
        click.echo("\n\n".join(texts))
        return
    specs = [spec for spec in SPECS.values() if not only_found or count_items(spec, folder)[0]]
    click.echo(table(specs, folder))


def table(specs: Sequence[DatasetSpec], root: Path) -> str:
    """Two lines per set under the heading of its group: what is there and the terms, then where to get it."""
    width = max((len(spec.name) for spec in specs), default=0)
    lines: list[str] = []
    for group, heading in _GROUPS.items():
        members = [spec for spec in specs if spec.group == group]
        lines += ["", heading] * bool(members)
        for spec in members:
            lines.append(f"  {spec.name:{width}}  {status(spec, root)}; {spec.title}; licence: {spec.licence}")
            lines.append(f"  {'':{width}}  {spec.homepage}")
    return "\n".join(lines[1:]) or f"no benchmark set in {root}; see segearth-ov3 datasets"


def describe(spec: DatasetSpec, root: Path) -> str:
    """All that is known of a set."""
    settings = spec.settings
    fallback = "none" if settings.background is None else spec.classes[settings.background]
    window = f", window {settings.window}, stride {settings.stride}" if settings.window else ""
    later = f", {spec.after_dir}/*{spec.image_suffix}" if spec.after_dir else ""
    rows = {
        "status": status(spec, root),
        "licence": spec.licence,
        "get it from": spec.homepage,
        "images": f"{root / spec.root}/{spec.image_dir}/*{spec.image_suffix}{later}",
        "labels": f"{root / spec.root}/{spec.label_dir}/*{spec.label_suffix}"
        + ("; 0 is ignored, classes start at 1" if spec.reduce_zero_label else "; classes start at 0"),
        f"{len(spec.classes)} classes": ", ".join(spec.classes),
        "words": f"configs/vocab/{spec.vocabulary}, " + ("our own" if spec.own_words else "as published"),
        "thresholds": f"prob {settings.prob_threshold:g}, conf {settings.confidence_threshold:g}, fallback {fallback}"
        + window,
        "score": spec.metric + ("" if spec.foreground is None else f" of {spec.classes[spec.foreground]}"),
        "prepare": f"python tools/prepare_data/prepare.py {spec.name} --src DIR --out {root}",
        "evaluate": f"python tools/test.py configs/segearth-ov3_{spec.name}.py --checkpoint sam3.pt",
    }
    if spec.group == "generated":
        del rows["prepare"]
    if spec.group == "change":
        del rows["evaluate"]
    width = max(map(len, rows))
    lines = [f"{spec.name}: {spec.title}", *(f"  {name:{width}}  {text}" for name, text in rows.items())]
    lines += [f"  {'published' if not place else '':{width}}  {score}" for place, score in enumerate(spec.published)]
    return "\n".join(lines)


def status(spec: DatasetSpec, root: Path) -> str:
    """Whether a set is there: "found, 1669 images", "incomplete: ...", "not found"."""
    images, labels = count_items(spec, root)
    if not images:
        return "made on first use" if spec.group == "generated" else "not found"
    if images != labels:
        return f"incomplete: {images} images, {labels} labels"
    if spec.items_certain and spec.items not in (None, images):
        return f"incomplete: {images} of {spec.items} images"
    if spec.items is None:
        return f"found, {images} images; how many the whole set has is not known"
    if images != spec.items:
        return f"found, {images} images; the whole set is believed to have {spec.items}"
    return f"found, {images} images"


def count_items(spec: DatasetSpec, root: Path) -> tuple[int, int]:
    """Number of images and of labels of the evaluated part; 0, 0 where the set is not there."""
    images, labels = (root / spec.root / folder for folder in (spec.image_dir, spec.label_dir))
    if not spec.id_list:
        return _count(images, spec.image_suffix), _count(labels, spec.label_suffix)
    names = _listed(root / spec.root / spec.id_list)
    counts = [
        sum((folder / f"{name}{suffix}").is_file() for name in names)
        for folder, suffix in ((images, spec.image_suffix), (labels, spec.label_suffix))
    ]
    return counts[0], counts[1]


def _count(folder: Path, suffix: str) -> int:
    return sum(1 for _ in _files(folder, suffix)) if folder.is_dir() else 0


def _files(folder: Path, suffix: str) -> Iterator[Path]:
    return (path for path in folder.rglob(f"*{suffix}") if not path.name.startswith("."))


def _listed(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split() if path.is_file() else []
