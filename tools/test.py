"""Measure segmentation on a benchmark set: mmengine's table on screen, results.json and pictures in a folder."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segearth_ov3.errors import OptionError, SegEarthError

if TYPE_CHECKING:
    from mmengine.config import Config, ConfigDict
    from mmengine.registry import Registry

SECTIONS = ("default_scope", "model", "test_dataloader", "test_evaluator", "custom_hooks")
EXAMPLES = """examples:
  python tools/test.py configs/segearth-ov3_loveda.py --checkpoint sam3.pt
  python tools/test.py configs/segearth-ov3_potsdam.py --data-root /data/Potsdam --show-dir pictures
  python tools/test.py configs/segearth-ov3_dubai.py --cfg-options model.dtype=bfloat16 \\
      test_dataloader.dataset.tiles=1,2
  torchrun --nproc_per_node 4 tools/test.py configs/segearth-ov3_loveda.py --launcher pytorch

Without --checkpoint, the environment variable SEGEARTH_OV3_CHECKPOINT names the weights.
"""


def key_value(text: str) -> str:
    """Check an argument of --cfg-options."""
    if "=" not in text:
        raise argparse.ArgumentTypeError(f"expected key=value, got {text!r}")
    return text


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="configuration, such as configs/segearth-ov3_loveda.py")
    parser.add_argument("--checkpoint", metavar="PATH", help="SAM 3 weights: sam3.pt, safetensors, or a folder")
    parser.add_argument("--data-root", metavar="DIR", help="folder of this set, instead of the configuration's")
    parser.add_argument("--out", metavar="DIR", help="where results.json goes (default: work_dirs/<config>)")
    parser.add_argument("--work-dir", metavar="DIR", help="where mmengine's logs go (default: the same)")
    parser.add_argument("--save-predictions", action="store_true", help="write class indices to <out>/predictions")
    parser.add_argument("--show-dir", metavar="DIR", help="write pictures image | label | prediction here")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        type=key_value,
        default=[],
        metavar="KEY=VALUE",
        help="change entries of the configuration, such as model.prob_threshold=0.3; lists as 1,2 or [1,2]",
    )
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none", help="how processes were started"
    )
    return parser.parse_args(arguments)


def read_config(args: argparse.Namespace) -> Config:
    """The configuration with the changes of the command line."""
    if not Path(args.config).is_file():
        known = sorted(str(path) for path in Path(args.config).parent.glob("*.py"))
        raise OptionError(f"no such configuration: {args.config}; there: {', '.join(known) or 'none'}")
    from mmengine.config import Config, DictAction  # slow, and not needed for the most common mistake

    try:
        config = Config.fromfile(args.config)
    except (OSError, SyntaxError) as error:
        raise OptionError(f"{args.config} is no configuration: {error}") from error
    missing = [name for name in SECTIONS if name not in config]
    if missing:
        raise OptionError(f"{args.config} is no configuration of this toolkit: it has no {', '.join(missing)}")
    if args.cfg_options:
        parsed = argparse.Namespace()
        DictAction([], "options")(argparse.ArgumentParser(), parsed, args.cfg_options)  # texts to numbers and lists
        check_option_keys(config, parsed.options)
        config.merge_from_dict(parsed.options)
    if args.checkpoint:
        config.model.checkpoint = args.checkpoint
    if args.data_root:
        config.test_dataloader.dataset.data_root = args.data_root
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


def check_option_keys(config: Config, options: dict[str, Any]) -> None:
    """Raise where a key leads nowhere; a last part that is new may be a keyword that the configuration leaves out."""
    for key in options:
        *parents, leaf = key.split(".")
        node: Any = config.to_dict()
        for depth, part in enumerate(parents):
            is_index = isinstance(node, list) and part.isdigit() and int(part) < len(node)
            if not is_index and not (isinstance(node, dict) and part in node):
                here = ".".join(parents[:depth]) or "the configuration"
                raise OptionError(f"--cfg-options {key}: no {part!r} in {here}")
            node = node[int(part)] if is_index else node[part]
        if not parents and leaf not in config:
            raise OptionError(f"--cfg-options {key}: no {leaf!r} in the configuration")


def check_keywords(config: ConfigDict, registry: Registry, where: str) -> None:
    """Raise where a section has a keyword that its class does not take."""
    import difflib
    import inspect

    cls = registry.get(config.type)
    if cls is None:
        raise OptionError(f"{where}: no class {config.type!r} is registered")
    known: set[str] = {"type"}
    for base in cls.__mro__:
        parameters = inspect.signature(base.__init__).parameters if "__init__" in vars(base) else {}
        known |= {name for name, entry in parameters.items() if entry.kind is not entry.VAR_KEYWORD} - {"self"}
        if parameters and not any(entry.kind is entry.VAR_KEYWORD for entry in parameters.values()):
            break
    for name in config:
        if name not in known:
            guess = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {guess[0]!r}?" if guess else ""
            raise OptionError(f"{where}: {config.type} has no option {name!r}{hint}")


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


def check_before_loading(config: Config) -> None:
    """Raise on every mistake that can be found without loading the weights."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS, MODELS

    from segearth_ov3.checkpoints.load import PATH_VARIABLE, check_device, open_checkpoint
    from segearth_ov3.datasets import SPECS
    from segearth_ov3.mmseg_plugin.datasets import build_dataset, check_class_count
    from segearth_ov3.mmseg_plugin.segmentor import read_vocabulary

    init_default_scope(config.default_scope)
    for key in ("type", "vocabulary"):
        if key not in config.model:
            raise OptionError(f"{config.filename}: model has no {key!r}")
    if config.model.get("device"):
        check_device(config.model.device)
    check_output_folders(config)
    check_keywords(config.model, MODELS, "model")
    check_keywords(config.test_dataloader.dataset, DATASETS, "test_dataloader.dataset")
    vocabulary = read_vocabulary(config.model.vocabulary, config.model.get("background", 0))
    spec = SPECS.get(config.get("dataset_name", ""))
    dataset = build_dataset(config.test_dataloader.dataset, spec)
    check_class_count(len(vocabulary), dataset.metainfo["classes"])
    checkpoint = config.model.get("checkpoint") or os.environ.get(PATH_VARIABLE)
    if checkpoint is None or not Path(checkpoint).exists():
        open_checkpoint(checkpoint)  # raises, and says where the weights come from
    if spec is not None and len(dataset) != spec.items and os.environ.get("RANK", "0") == "0":
        note = f"{len(dataset)} images; all of {spec.title} are {spec.items}: not comparable with published scores"
        print(note, file=sys.stderr)


def start_processes(launcher: str) -> None:
    """Join the processes of a distributed run that mmengine cannot join: those without a GPU."""
    import torch

    if launcher == "pytorch" and "RANK" not in os.environ:
        raise OptionError("--launcher pytorch: start with torchrun --nproc_per_node N tools/test.py ...")
    if launcher == "pytorch" and not torch.cuda.is_available():
        torch.distributed.init_process_group("gloo")


def run(args: argparse.Namespace) -> dict[str, float]:
    """Evaluate and return mmengine's metrics."""
    config = read_config(args)
    check_before_loading(config)
    import torch
    from mmengine.runner import Runner

    start_processes(args.launcher)
    try:
        return Runner.from_cfg(config).test()
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def one_line(error: SegEarthError | OSError) -> str:
    """The message alone, also of an error that a data loading process passed on with its traceback."""
    text = str(error).strip()
    if text.startswith("Caught "):
        return text.splitlines()[-1].partition(": ")[2]
    return " ".join(text.split())


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
