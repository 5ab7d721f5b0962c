"""Arguments, messages and exit codes that the evaluation tools share."""

from __future__ import annotations

import argparse
import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from segearth_ov3.cli.process import Advice, exit_code_of, managed_process
from segearth_ov3.errors import OptionError

if TYPE_CHECKING:
    from mmengine.config import Config

    from segearth_ov3.mmseg_plugin.evaluation import Outputs

RESUME = "repeat the command with --resume to continue"
MEMORY = "use --cfg-options model.dtype=bfloat16 or model.prompt_chunk=1"
LAUNCHERS = ["none", "pytorch", "slurm", "mpi"]
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def make_parser(description: str | None, epilog: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Which weights, and which changes of the configuration."""
    parser.add_argument(
        "--checkpoint", metavar="PATH", help="SAM 3 weights: sam3.pt, safetensors, or a folder; demo: the model inside"
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        type=key_value,
        default=[],
        metavar="KEY=VALUE",
        help="change entries of the configuration, such as model.prob_threshold=0.3; lists as 1,2 or [1,2]",
    )


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """One configuration, with which weights, data and changes."""
    parser.add_argument("config", help="configuration, such as configs/segearth-ov3_loveda.py")
    add_model_arguments(parser)
    parser.add_argument("--data-root", metavar="DIR", help="folder of this set, instead of the configuration's")


def add_protocol_arguments(parser: argparse.ArgumentParser) -> None:
    """What of the images is evaluated, and how they are cut; each is recorded in the results."""
    group = parser.add_argument_group("other than published (recorded in the results, and marked in tables)")
    group.add_argument("--mode", choices=["whole", "window"], help="whole images or windows (default: as published)")
    group.add_argument("--window", type=int, metavar="PX", help="side of the windows in pixels")
    group.add_argument("--stride", type=int, metavar="PX", help="step from window to window (default: the side)")
    group.add_argument(
        "--corrupt", metavar="KIND:N", help="noise, blur, jpeg or haze on the images, severity 1 to 5, such as noise:3"
    )
    add_limit_argument(group)


def add_resume_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do about an earlier run in the output folder."""
    before = parser.add_mutually_exclusive_group()
    before.add_argument(
        "--resume", action="store_true", help="continue the run in --out, or begin one where there is none"
    )
    before.add_argument("--overwrite", action="store_true", help="remove the earlier run in --out and start over")


def add_limit_argument(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    parser.add_argument("--limit", type=int, metavar="N", help="only N images, spread evenly over the set")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """What is written, and by how many processes."""
    add_resume_arguments(parser)
    parser.add_argument("--save-predictions", action="store_true", help="write class indices to <out>/predictions")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images that go through the network together")
    parser.add_argument("--workers", type=int, metavar="N", help="processes that read images ahead")
    parser.add_argument("--launcher", choices=LAUNCHERS, default="none", help="how several processes were started")


def key_value(text: str) -> str:
    """Check an argument of --cfg-options."""
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"expected key=value, got {text!r}")
    return text


def read_config(args: argparse.Namespace, path: str, data_root: str | None) -> Config:
    """A configuration with the changes of the command line.

    Raises:
        SegEarthError: It is none, or a change is not admissible.
    """
    check_config_exists(path)
    from segearth_ov3.datasets.corruptions import Corruption
    from segearth_ov3.mmseg_plugin.configuration import load_config
    from segearth_ov3.mmseg_plugin.protocol import Protocol

    corrupt = Corruption.parse(args.corrupt) if args.corrupt else None
    protocol = Protocol(args.mode, args.window, args.stride, corrupt)
    config = load_config(path, args.cfg_options, checkpoint=args.checkpoint, data_root=data_root)
    protocol.apply(config)
    for option, key, least in (("batch_size", "batch_size", 1), ("workers", "num_workers", 0)):
        if (value := getattr(args, option)) is not None:
            if value < least:
                raise OptionError(f"--{option.replace('_', '-')} must be at least {least}, got {value}")
            config.test_dataloader[key] = value
    config.launcher = args.launcher
    return config


def make_outputs(args: argparse.Namespace, folder: Path) -> Outputs:
    """What is written where."""
    from segearth_ov3.mmseg_plugin.evaluation import Outputs

    return Outputs(folder, resume=args.resume, overwrite=args.overwrite, predictions=args.save_predictions)


def check_config_exists(path: str) -> None:
    """Raise on the most common mistake, before slow imports.

    Raises:
        OptionError: There is no such file; the message lists its neighbours.
    """
    if not Path(path).is_file():
        known = sorted(str(neighbour) for neighbour in Path(path).parent.glob("*.py"))
        raise OptionError(f"no such configuration: {path}; there: {', '.join(known) or 'none'}")


def is_first_process() -> bool:
    """Whether this is the only process, or the first of several."""
    return os.environ.get("RANK", "0") == "0"


def run_tool(
    parse: Callable[[], argparse.Namespace],
    work: Callable[[argparse.Namespace], int],
    folder_of: Callable[[argparse.Namespace], Path],
    memory: str = MEMORY,
) -> int:
    """Do a tool's work, its arguments included; whatever goes wrong becomes one line.

    Args:
        parse: Returns the arguments.
        work: Returns the exit code.
        folder_of: Where the tool keeps its work, for messages.
        memory: What to do where memory ran out.

    Returns:
        The exit code: that of `work`, or one of `segearth_ov3.cli.process`.
    """
    kept = ""

    def parse_and_work() -> int:
        nonlocal kept
        args = parse()
        kept = f"what was measured is kept in {folder_of(args)}; {RESUME}"
        try:
            return work(args)
        except OSError as error:
            if error.errno in _FULL:
                raise OptionError(f"{error.filename or folder_of(args)}: {error.strerror}; {kept}") from error
            raise

    logging.raiseExceptions = False  # a log on a full disk must not print tracebacks over the message
    try:
        with managed_process():
            return exit_code_of(parse_and_work, prefix="error", advise=lambda: Advice(kept, memory))
    finally:
        logging.raiseExceptions = True
