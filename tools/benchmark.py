"""Measure segmentation on several benchmark sets in one go: a JSON file per set and one table for all."""

from __future__ import annotations

import argparse
import contextlib
import glob
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from arguments import (
    MEMORY,
    add_model_arguments,
    add_protocol_arguments,
    add_run_arguments,
    is_first_process,
    key_value,
    make_outputs,
    make_parser,
    read_config,
    run_tool,
)

from segearth_ov3.cli.process import Advice, describe
from segearth_ov3.errors import OptionError

if TYPE_CHECKING:
    from mmengine.config import Config

    from segearth_ov3.metrics.report import Report
    from segearth_ov3.mmseg_plugin.evaluation import NetworkCache

TABLE = "table.md"
DATA_VARIABLE = "SEGEARTH_OV3_DATA"
EXAMPLES = """examples:
  python tools/benchmark.py "configs/segearth-ov3_*.py" --data-dir /data --checkpoint sam3.pt --out work_dirs/all
  python tools/benchmark.py configs/segearth-ov3_{loveda,potsdam}.py --checkpoint sam3.pt --out work_dirs/two --limit 20
  python tools/benchmark.py configs/segearth-ov3_loveda.py --data-root loveda=/elsewhere/LoveDA --out work_dirs/one
  python tools/benchmark.py "work_dirs/*/results.json" --out work_dirs/table      (only the table, of earlier results)
  torchrun --nproc_per_node 8 tools/benchmark.py "configs/segearth-ov3_*.py" --out work_dirs/all --resume \\
      --launcher pytorch

The weights are loaded once. A set that fails is reported at the end while the others continue, and the exit code is 1.
A set whose folder does not exist is reported as not found, which is no failure unless no set is found at all. Each set
has its folder in --out, named after its configuration, with results.json; table.md has all, with averages and published
scores. --resume continues an interrupted run. Without --checkpoint, the environment variable SEGEARTH_OV3_CHECKPOINT
names the weights.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__, EXAMPLES)
    parser.add_argument("sources", nargs="+", metavar="CONFIG", help="configurations or earlier results.json; globs")
    add_model_arguments(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="where results and table.md go")
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="folder of all sets, instead of data/; sets that lie elsewhere stay",
    )
    parser.add_argument(
        "--data-root", nargs="+", type=key_value, default=[], metavar="SET=DIR", help="folders of single sets"
    )
    add_run_arguments(parser)
    add_protocol_arguments(parser)
    return parser.parse_args(arguments)


def find_files(patterns: Sequence[str]) -> list[Path]:
    """Files of names and globs, in the order given, each once.

    Raises:
        OptionError: A pattern fits nothing, or two configurations have one name.
    """
    files: dict[Path, None] = {}
    for pattern in patterns:
        found = sorted(glob.glob(pattern))
        if not found:
            raise OptionError(f"no such file: {pattern}")
        files.update(dict.fromkeys(map(Path, found)))
    stems = [path.stem for path in files if path.suffix != ".json"]
    if doubled := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise OptionError(f"two configurations are called {', '.join(doubled)}; evaluate them into an --out each")
    return list(files)


def check_sets(files: Sequence[Path]) -> None:
    """Refuse two sources of one set before anything is measured: the table has one line for each.

    Raises:
        OptionError: There are two.
    """
    from segearth_ov3.metrics.report import Report
    from segearth_ov3.mmseg_plugin.configuration import load_config

    sources: dict[str, Path] = {}
    for path in files:
        try:
            is_report = path.suffix == ".json"
            name = Report.from_json(path.read_text("utf-8")).dataset if is_report else load_config(path).dataset_name
        except Exception:  # what is wrong with a source is told when its turn comes
            continue
        if name in sources:
            raise OptionError(f"{sources[name]} and {path} are both of the set {name}; one table takes one of them")
        sources[name] = path


def data_root_of(args: argparse.Namespace, path: Path) -> str | None:
    """Folder of the set of a configuration, where the command line names one; None leaves the configuration's.

    --data-dir takes the place of the folder of all sets, data/ or the variable SEGEARTH_OV3_DATA. A configuration whose
    set lies elsewhere keeps its folder.
    """
    from segearth_ov3.mmseg_plugin.configuration import load_config

    config = load_config(path)
    name = config.get("dataset_name", "")
    roots = dict(entry.split("=", 1) for entry in args.data_root)
    root, default = Path(config.test_dataloader.dataset.data_root), Path(os.environ.get(DATA_VARIABLE, "data"))
    if name in roots:
        return roots[name]
    if args.data_dir and root.is_relative_to(default):
        return str(Path(args.data_dir, root.relative_to(default)))
    return None


def absent_folder(config: Config, named: bool) -> str | None:
    """Folder of the set of a configuration, where it does not exist; one that was named, or is made on first use, must.

    Args:
        config: With its final folder.
        named: Whether the command line names the folder of this set.
    """
    from segearth_ov3.datasets import SPECS

    spec = SPECS.get(config.get("dataset_name", ""))
    root = Path(config.test_dataloader.dataset.data_root)
    made_on_first_use = spec is not None and spec.group == "generated"
    return None if named or made_on_first_use or root.is_dir() else str(root)


def measure(args: argparse.Namespace, path: Path, networks: NetworkCache) -> Report:
    """Evaluate one configuration.

    Raises:
        AbsentSet: The folder of its set does not exist.
    """
    from segearth_ov3.mmseg_plugin.configuration import check_before_loading
    from segearth_ov3.mmseg_plugin.evaluation import evaluate
    from segearth_ov3.mmseg_plugin.processes import first_then_others, in_first, together

    def read() -> Config:
        return read_config(args, str(path), data_root_of(args, path))

    config = together(read)
    named = {entry.partition("=")[0] for entry in args.data_root}
    if folder := in_first(lambda: absent_folder(config, config.get("dataset_name") in named)):
        raise AbsentSet(folder)
    checked = first_then_others(lambda: check_before_loading(config, args.limit))
    return evaluate(config, checked, make_outputs(args, Path(args.out, path.stem)), networks)


class AbsentSet(Exception):
    """The folder of a set does not exist."""


class Outcome(NamedTuple):
    """What became of the sources: reports, and by name what failed and whose folder does not exist."""

    reports: list[Report]
    failed: dict[str, str]
    absent: dict[str, str]


def attempt(args: argparse.Namespace, path: Path, networks: NetworkCache, outcome: Outcome) -> None:
    """Evaluate a configuration, or read an earlier results file, and note what came of it."""
    from segearth_ov3.metrics.report import Report, summary

    try:
        report = Report.from_json(path.read_text("utf-8")) if path.suffix == ".json" else measure(args, path, networks)
    except AbsentSet as absent:
        outcome.absent[path.stem] = str(absent)
        say(f"not found: {path.stem}: no folder {absent}")
    except Exception as error:  # the other sets continue after any error
        reason = describe(error, Advice(memory=MEMORY))
        outcome.failed[str(path) if path.suffix == ".json" else path.stem] = reason
        say(f"error: {path}: {reason}")
    else:
        outcome.reports.append(report)
        say(summary(report))


def say(text: str) -> None:
    """A line on the standard error output, once."""
    if is_first_process():
        print(text, file=sys.stderr)


def write_table(folder: Path, outcome: Outcome) -> None:
    """Write and print the table of all that was measured."""
    from segearth_ov3.atomic import complete_or_absent
    from segearth_ov3.datasets.comparison import comparison_page

    page = comparison_page(outcome.reports, outcome.failed, outcome.absent)
    with complete_or_absent(folder / TABLE) as partial:
        partial.write_text(page, encoding="utf-8")
    print(page, end="")


def run(args: argparse.Namespace) -> int:
    """Evaluate all, write the table; returns the exit code."""
    files = find_files(args.sources)
    check_sets(files)
    from segearth_ov3.mmseg_plugin.evaluation import NetworkCache
    from segearth_ov3.mmseg_plugin.processes import start_processes, stop_processes, together
    from segearth_ov3.mmseg_plugin.workfolder import hold_folder

    folder, networks, outcome = Path(args.out), NetworkCache(), Outcome([], {}, {})
    start_processes(args.launcher)
    with contextlib.ExitStack() as held:
        held.callback(stop_processes)
        together(lambda: held.enter_context(hold_folder(folder)) if is_first_process() else None)
        try:
            for path in files:
                attempt(args, path, networks, outcome)
        finally:  # also after an interruption by hand: the table has what was finished
            if is_first_process():
                write_table(folder, outcome)
    for name, reason in outcome.failed.items():
        say(f"failed: {name}: {reason}")
    if not outcome.reports and outcome.absent:
        say("no set was found; name their folder by --data-dir, or single ones by --data-root SET=DIR")
    return 1 if outcome.failed or not outcome.reports else 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_tool(lambda: parse_arguments(arguments), run, lambda args: Path(args.out))


if __name__ == "__main__":
    sys.exit(main())
