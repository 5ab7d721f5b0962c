"""Measure segmentation on several benchmark sets in one go: a JSON file per set and one table for all."""

from __future__ import annotations

import argparse
import glob
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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

from segearth_ov3.cli.process import describe
from segearth_ov3.errors import OptionError

if TYPE_CHECKING:
    from segearth_ov3.metrics.report import Report
    from segearth_ov3.mmseg_plugin.evaluation import NetworkCache

TABLE = "table.md"
EXAMPLES = """examples:
  python tools/benchmark.py "configs/segearth-ov3_*.py" --data-dir /data --checkpoint sam3.pt --out work_dirs/all
  python tools/benchmark.py configs/segearth-ov3_{loveda,potsdam}.py --checkpoint sam3.pt --out work_dirs/two --limit 20
  python tools/benchmark.py configs/segearth-ov3_loveda.py --data-root loveda=/elsewhere/LoveDA --out work_dirs/one
  python tools/benchmark.py "work_dirs/*/results.json" --out work_dirs/table      (only the table, of earlier results)
  torchrun --nproc_per_node 8 tools/benchmark.py "configs/segearth-ov3_*.py" --out work_dirs/all --resume \\
      --launcher pytorch

The weights are loaded once. A set that fails is reported at the end, the others go on, and the exit code is 1. Each set
has its folder in --out, named after its configuration, with results.json; table.md has all, with averages and published
scores. Without --checkpoint, the environment variable SEGEARTH_OV3_CHECKPOINT names the weights.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__, EXAMPLES)
    parser.add_argument("sources", nargs="+", metavar="CONFIG", help="configurations or earlier results.json; globs")
    add_model_arguments(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="where results and table.md go")
    parser.add_argument("--data-dir", metavar="DIR", help="folder of all sets, instead of data/ of the configurations")
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
    """Folder of the set of a configuration, where the command line names one."""
    from segearth_ov3.datasets import SPECS
    from segearth_ov3.mmseg_plugin.configuration import load_config

    config = load_config(path)
    name = config.get("dataset_name", "")
    roots = dict(entry.split("=", 1) for entry in args.data_root)
    if name in roots or not args.data_dir:
        return roots.get(name)
    folder = SPECS[name].root if name in SPECS else Path(config.test_dataloader.dataset.data_root).name
    return str(Path(args.data_dir, folder))


def measure(args: argparse.Namespace, path: Path, networks: NetworkCache) -> Report:
    """Evaluate one configuration."""
    from segearth_ov3.mmseg_plugin.configuration import check_before_loading
    from segearth_ov3.mmseg_plugin.evaluation import evaluate
    from segearth_ov3.mmseg_plugin.processes import first_then_others

    def prepare():
        config = read_config(args, str(path), data_root_of(args, path))
        config.log_level = "WARNING"
        return config, check_before_loading(config, args.limit)

    config, checked = first_then_others(prepare)
    return evaluate(config, checked, make_outputs(args, Path(args.out, path.stem)), networks)


def attempt(args: argparse.Namespace, path: Path, networks: NetworkCache) -> Report | str:
    """The report of a configuration or of an earlier results file, or what is wrong with it."""
    from segearth_ov3.metrics.report import Report

    try:
        return Report.from_json(path.read_text("utf-8")) if path.suffix == ".json" else measure(args, path, networks)
    except Exception as error:  # the other sets are evaluated nevertheless
        return describe(error, MEMORY)


def measure_all(args: argparse.Namespace, files: Sequence[Path]) -> tuple[list[Report], dict[str, str]]:
    """Reports of all sets that can be evaluated, and what is wrong with the others."""
    from segearth_ov3.metrics.report import summary
    from segearth_ov3.mmseg_plugin.evaluation import NetworkCache

    reports, failures, networks = [], {}, NetworkCache()
    for path in files:
        result = attempt(args, path, networks)
        if isinstance(result, str):
            failures[str(path) if path.suffix == ".json" else path.stem] = result
            say(f"error: {path}: {result}")
        else:
            reports.append(result)
            say(summary(result))
    return reports, failures


def say(text: str) -> None:
    """A line on the standard error output, once."""
    if is_first_process():
        print(text, file=sys.stderr)


def run(args: argparse.Namespace) -> int:
    """Evaluate all, write the table; returns the exit code."""
    files = find_files(args.sources)
    check_sets(files)
    from segearth_ov3.atomic import complete_or_absent
    from segearth_ov3.datasets.comparison import comparison_page
    from segearth_ov3.mmseg_plugin.processes import start_processes, stop_processes

    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    start_processes(args.launcher)
    try:
        reports, failures = measure_all(args, files)
    finally:
        stop_processes()
    if is_first_process():
        page = comparison_page(reports, failures)
        with complete_or_absent(folder / TABLE) as partial:
            partial.write_text(page, encoding="utf-8")
        print(page, end="")
    for name, reason in failures.items():
        say(f"failed: {name}: {reason}")
    return 1 if failures else 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_tool(lambda: run(parse_arguments(arguments)))


if __name__ == "__main__":
    sys.exit(main())
