"""Measure segmentation on a benchmark set: mmengine's table on screen, results.json and pictures in a folder."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arguments import add_config_arguments, check_config_exists, one_line

from segearth_ov3.errors import OptionError, SegEarthError

if TYPE_CHECKING:
    from mmengine.config import Config

EXAMPLES = """examples:
  python tools/test.py configs/segearth-ov3_loveda.py --checkpoint sam3.pt
  python tools/test.py configs/segearth-ov3_potsdam.py --data-root /data/Potsdam --show-dir pictures
  python tools/test.py configs/segearth-ov3_dubai.py --cfg-options model.dtype=bfloat16 \\
      test_dataloader.dataset.tiles=1,2
  torchrun --nproc_per_node 4 tools/test.py configs/segearth-ov3_loveda.py --launcher pytorch

Without --checkpoint, the environment variable SEGEARTH_OV3_CHECKPOINT names the weights.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="where results.json goes (default: work_dirs/<config>)")
    parser.add_argument("--work-dir", metavar="DIR", help="where mmengine's logs go (default: the same)")
    parser.add_argument("--save-predictions", action="store_true", help="write class indices to <out>/predictions")
    parser.add_argument("--show-dir", metavar="DIR", help="write pictures image | label | prediction here")
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="how processes were started"
    )
    return parser.parse_args(arguments)


def read_config(args: argparse.Namespace) -> Config:
    """The configuration with the changes of the command line."""
    check_config_exists(args.config)
    from segearth_ov3.mmseg_plugin.configuration import load_config

    config = load_config(args.config, args.cfg_options, checkpoint=args.checkpoint, data_root=args.data_root)
    out_dir = args.out or str(Path("work_dirs", Path(args.config).stem))
    config.work_dir = args.work_dir or out_dir
    config.launcher = args.launcher
    add_outputs(config, args, out_dir)
    return config


def add_outputs(config: Config, args: argparse.Namespace, out_dir: str) -> None:
    """Say in the configuration what is written where."""
    from mmengine.config import ConfigDict

    for hook in config.custom_hooks:
        if hook.type == "ResultsHook":
            hook.out_dir = out_dir
    if args.save_predictions:
        config.custom_hooks.append(ConfigDict(type="SavePredictionsHook", out_dir=str(Path(out_dir, "predictions"))))
    if args.show_dir:
        config.custom_hooks.append(ConfigDict(type="PicturesHook", out_dir=args.show_dir))


def check_output_folders(config: Config) -> None:
    """Make every folder that results go to, so that a wrong one is found out before hours of work."""
    for hook in config.custom_hooks:
        if folder := hook.get("out_dir"):
            try:
                Path(folder).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise OptionError(f"cannot write results to {folder}: {error.strerror}") from error
            if not os.access(folder, os.W_OK):
                raise OptionError(f"cannot write results to {folder}: no permission")


def start_processes(launcher: str) -> None:
    """Join the processes of a distributed run that mmengine cannot join: those without a GPU."""
    import torch

    if launcher == "pytorch" and "RANK" not in os.environ:
        raise OptionError("--launcher pytorch: start with torchrun --nproc_per_node N tools/test.py ...")
    if launcher == "pytorch" and not torch.cuda.is_available():
        torch.distributed.init_process_group("gloo")


def run(args: argparse.Namespace) -> dict[str, float]:
    """Evaluate and return mmengine's metrics."""
    from segearth_ov3.mmseg_plugin.configuration import check_before_loading

    config = read_config(args)
    check_output_folders(config)
    note = check_before_loading(config)
    if note and os.environ.get("RANK", "0") == "0":
        print(note, file=sys.stderr)
    import torch
    from mmengine.runner import Runner

    start_processes(args.launcher)
    try:
        return Runner.from_cfg(config).test()
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def main(arguments: Sequence[str] | None = None) -> int:
    args = parse_arguments(arguments)
    try:
        run(args)
    except (SegEarthError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
