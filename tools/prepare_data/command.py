"""The command line of `prepare.py`."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from segearth_ov3.cli.process import Advice, exit_code_of, managed_process
from segearth_ov3.datasets import SPECS, DatasetSpec
from segearth_ov3.errors import DatasetError, OptionError
from segearth_ov3.registry import lookup

from .change import CHANGE
from .checking import Checked, check_prepared, note_on_labels
from .converting import Layout, Work, convert, layout_of, plan
from .cropped import CROPPED
from .extraction import EXTRACTION
from .general import GENERAL
from .pixels import Notes
from .recipe import Recipe, Source
from .whole import WHOLE

RECIPES: dict[str, Recipe] = {**WHOLE, **CROPPED, **EXTRACTION, **GENERAL, **CHANGE}

_SHARES_NAMED = 20
RESUME = "repeat the command to continue"
MEMORY = "use fewer --workers"

EXAMPLES = """examples:
  python tools/prepare_data/prepare.py potsdam --layout
  python tools/prepare_data/prepare.py potsdam --src ~/downloads/isprs --dry-run
  python tools/prepare_data/prepare.py potsdam --src ~/downloads/isprs
  python tools/prepare_data/prepare.py wbs_si --src ~/downloads/wbs --published
  python tools/prepare_data/prepare.py potsdam --check

A second run writes what is missing only. Whole images are not copied where the file system can give a file a second
name. `segearth-ov3 datasets` says where to get each set.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="prepare.py",
        description="Bring a downloaded benchmark set into the layout that its configuration reads, and check it.",
        epilog=f"sets: {', '.join(RECIPES)}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("set", help="name of the set")
    parser.add_argument("--src", metavar="DIR", type=Path, help="folder with the unpacked download")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get("SEGEARTH_OV3_DATA", "data")),
        help="folder of all sets; the set gets a folder in it (default: SEGEARTH_OV3_DATA, else data)",
    )
    parser.add_argument("--layout", action="store_true", help="show the layout that is expected in --src, and stop")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written, and stop")
    parser.add_argument("--check", action="store_true", help="only check what was prepared before; needs no --src")
    parser.add_argument("--partial", action="store_true", help="take what is there, though it is not the whole set")
    parser.add_argument("--published", action="store_true", help="as the published converter does, faults included")
    parser.add_argument("--overwrite", action="store_true", help="write files that are there again")
    parser.add_argument("--workers", metavar="N", type=int, default=min(4, os.cpu_count() or 1), help="threads")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    def work() -> int:
        run(parse_arguments(arguments))
        return 0

    with managed_process():
        return exit_code_of(work, prefix="error", advise=lambda: Advice(RESUME, MEMORY))


def run(args: argparse.Namespace) -> None:
    """Carry out a command.

    Raises:
        SegEarthError: A mistake of the user, or the download is not what it should be.
        OSError: A file cannot be written.
    """
    recipe = choose_recipe(args.set, published=args.published)
    spec = SPECS[args.set]
    if args.layout:
        print(f"{spec.title}\nget it from {spec.homepage}\nlicence: {spec.licence}\n\n{drawing(recipe)}")
        return
    layout = layout_of(spec, args.out, published=args.published)
    if args.check:
        report(layout, check_prepared(layout, workers=args.workers))
        return
    if args.src is None:
        raise OptionError("give the folder with the unpacked download by --src; --layout shows what belongs there")
    prepare(recipe, layout, args)


def prepare(recipe: Recipe, layout: Layout, args: argparse.Namespace) -> None:
    """Find, convert and check."""
    works = plan(recipe, recipe.find(Source(args.src, args.partial)))
    check_count(layout.spec, sum(len(work.items) for work in works), partial=args.partial)
    if args.dry_run:
        print(forecast(layout, works))
        return
    notes = Notes()
    written = convert(recipe, layout, works, overwrite=args.overwrite, workers=args.workers, notes=notes)
    for text, count in notes.counts.items():
        print(f"{count} {text}", file=sys.stderr)
    names = [item.name for work in works for item in work.items]
    checked = check_prepared(layout, names, workers=args.workers)
    print(f"{written} written, {len(names) - written} were there")
    report(layout, checked)


def choose_recipe(name: str, *, published: bool) -> Recipe:
    """The recipe of a set.

    Raises:
        SegEarthError: There is no such set, or its published way does not differ.
    """
    recipe = lookup(RECIPES, name, "benchmark set")
    if not published:
        return recipe
    if recipe.published is None:
        differing = [other for other, entry in RECIPES.items() if entry.published]
        raise OptionError(
            f"--published: {name} is prepared as published anyway; the ways differ for {', '.join(differing)}"
        )
    return recipe.published


def check_count(spec: DatasetSpec, found: int, *, partial: bool) -> None:
    """Compare the number of images with what is known.

    Raises:
        DatasetError: It differs from a number that is certain, and a part will not do.
    """
    if spec.items in (None, found):
        return
    if spec.items_certain and not partial:
        raise DatasetError(
            f"{spec.title}: expected {spec.items} images, found {found}; get the download again, or go on with what "
            f"is there by --partial"
        )
    about = "" if spec.items_certain else "about "
    print(f"{found} images; all of {spec.title} are {about}{spec.items}", file=sys.stderr)


def forecast(layout: Layout, works: Sequence[Work]) -> str:
    """What a run would do."""
    names = [item.name for work in works for item in work.items]
    there = sum(layout.image(name).is_file() and layout.label(name).is_file() for name in names)
    return (
        f"{len(works)} images in the download give {len(names)} of {layout.spec.title}; {there} are there, "
        f"{len(names) - there} would be written, such as\n  {layout.image(names[0])}\n  {layout.label(names[0])}"
    )


def report(layout: Layout, checked: Checked) -> None:
    """Print what was found in a prepared set, and what is odd about its labels."""
    print(summary(layout, checked))
    if checked.pixels.any() and (note := note_on_labels(layout.spec, checked)):
        print(f"warning: {note}", file=sys.stderr)


def summary(layout: Layout, checked: Checked) -> str:
    """What was found in a prepared set, and how to go on."""
    spec = layout.spec
    lines = [f"{spec.name}: {checked.images} images in {layout.root}; names, sizes and labels are right"]
    if checked.pixels.any():
        lines.append(f"pixels by stored label: {shares(checked.pixels)}")
    if spec.group != "change":
        lines.append(
            f"next: python tools/test.py configs/segearth-ov3_{spec.name}.py --checkpoint sam3.pt --data-root "
            f'"{layout.root}"'
        )
    return "\n".join(lines)


def shares(pixels: np.ndarray) -> str:
    """The most frequent values of a count per value (256,), in per cent."""
    order = np.argsort(-pixels, kind="stable")[: np.count_nonzero(pixels)]
    named = ", ".join(f"{value}: {100 * pixels[value] / pixels.sum():.1f} %" for value in order[:_SHARES_NAMED])
    return named + (f", and {len(order) - _SHARES_NAMED} more values" if len(order) > _SHARES_NAMED else "")


def drawing(recipe: Recipe) -> str:
    """The source layout of a set."""
    find = recipe.find.func if isinstance(recipe.find, partial) else recipe.find
    text = inspect.getdoc(find) or ""
    return f"{text}\n\nThe published way: {recipe.difference}." if recipe.difference else text
