"""Measure segmentation on a benchmark set: a table on screen, results.json and pictures in a folder."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arguments import (
    add_config_arguments,
    add_protocol_arguments,
    add_run_arguments,
    is_first_process,
    make_outputs,
    make_parser,
    read_config,
    run_tool,
)

if TYPE_CHECKING:
    from segearth_ov3.metrics.report import Report

EXAMPLES = """examples:
  python tools/test.py configs/segearth-ov3_loveda.py --checkpoint sam3.pt
  python tools/test.py configs/segearth-ov3_potsdam.py --data-root /data/Potsdam --show-dir pictures --limit 20
  python tools/test.py configs/segearth-ov3_loveda.py --window 512 --stride 341 --out work_dirs/loveda_windows
  python tools/test.py configs/segearth-ov3_loveda.py --corrupt haze:3 --out work_dirs/loveda_haze3
  python tools/test.py configs/segearth-ov3_dubai.py --cfg-options model.dtype=bfloat16 \\
      test_dataloader.dataset.tiles=1,2
  torchrun --nproc_per_node 4 tools/test.py configs/segearth-ov3_loveda.py --launcher pytorch --resume

Without --checkpoint, the environment variable SEGEARTH_OV3_CHECKPOINT names the weights. Several sets in one go, with
one table for all: tools/benchmark.py.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__, EXAMPLES)
    add_config_arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="where results.json goes (default: work_dirs/<config>)")
    parser.add_argument("--work-dir", metavar="DIR", help="where mmengine's logs go (default: the same)")
    parser.add_argument("--show-dir", metavar="DIR", help="write pictures image | label | prediction here")
    add_run_arguments(parser)
    add_protocol_arguments(parser)
    return parser.parse_args(arguments)


def folder_of(args: argparse.Namespace) -> Path:
    """Where results go."""
    return Path(args.out or Path("work_dirs", Path(args.config).stem))


def run(args: argparse.Namespace) -> Report:
    """Evaluate one configuration."""
    config = read_config(args, args.config, args.data_root)
    from segearth_ov3.mmseg_plugin.configuration import check_before_loading
    from segearth_ov3.mmseg_plugin.evaluation import evaluate
    from segearth_ov3.mmseg_plugin.processes import first_then_others, start_processes, stop_processes

    outputs = dataclasses.replace(
        make_outputs(args, folder_of(args)),
        pictures=Path(args.show_dir) if args.show_dir else None,
        logs=Path(args.work_dir) if args.work_dir else None,
    )
    start_processes(args.launcher)
    try:
        checked = first_then_others(lambda: check_before_loading(config, args.limit))
        if checked.note and is_first_process():
            print(checked.note, file=sys.stderr)
        return evaluate(config, checked, outputs)
    finally:
        stop_processes()


def work(args: argparse.Namespace) -> int:
    from segearth_ov3.metrics.report import to_markdown

    report = run(args)
    if is_first_process():
        print(to_markdown(report), end="")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_tool(lambda: parse_arguments(arguments), work, folder_of)


if __name__ == "__main__":
    sys.exit(main())
