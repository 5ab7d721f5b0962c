"""Arguments and messages that the evaluation tools share."""

from __future__ import annotations

import argparse
from pathlib import Path

from segearth_ov3.errors import OptionError, SegEarthError


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Which configuration, with which weights, data and changes."""
    parser.add_argument("config", help="configuration, such as configs/segearth-ov3_loveda.py")
    parser.add_argument(
        "--checkpoint", metavar="PATH", help="SAM 3 weights: sam3.pt, safetensors, or a folder; demo: the model inside"
    )
    parser.add_argument("--data-root", metavar="DIR", help="folder of this set, instead of the configuration's")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        type=key_value,
        default=[],
        metavar="KEY=VALUE",
        help="change entries of the configuration, such as model.prob_threshold=0.3; lists as 1,2 or [1,2]",
    )


def key_value(text: str) -> str:
    """Check an argument of --cfg-options."""
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"expected key=value, got {text!r}")
    return text


def check_config_exists(path: str) -> None:
    """Raise on the most common mistake, before slow imports.

    Raises:
        OptionError: There is no such file; the message lists its neighbours.
    """
    if not Path(path).is_file():
        known = sorted(str(neighbour) for neighbour in Path(path).parent.glob("*.py"))
        raise OptionError(f"no such configuration: {path}; there: {', '.join(known) or 'none'}")


def one_line(error: SegEarthError | OSError) -> str:
    """The message alone, also of an error that a data loading process passed on with its traceback."""
    text = str(error).strip()
    if text.startswith("Caught "):
        return text.splitlines()[-1].partition(": ")[2]
    return " ".join(text.split())
