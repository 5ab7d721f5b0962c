"""Options that several commands share, each group handed to the command as one value."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .choice import Choice

if TYPE_CHECKING:
    import torch

    from ..refiners import Refiner
    from ..sam3.model import Sam3

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

DTYPES = ("auto", "float32", "bfloat16", "float16")
PRESENCES = ("full", "gate_only", "off")  # of engine.scores, which imports torch


class DeviceType(click.ParamType):
    """A device name that PyTorch understands, or "auto"."""

    name = "DEVICE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the form; whether the device is there is found out when it is used."""
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
            self.fail(f"expected auto, cpu, cuda, cuda:0 or mps, got {value!r}", param, ctx)
        return str(value)


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Which weights to use, where and how precisely."""

    checkpoint: str | None
    device: str
    dtype: str

    def load(self) -> Sam3:
        """Load the network.

        Raises:
            CheckpointError: The weights are missing or unusable.
            OptionError: The device is not there.
        """
        device = resolve_device(self.device)
        dtype = resolve_dtype(self.dtype, device)
        from ..checkpoints import load_sam3

        return load_sam3(self.checkpoint, device=device, dtype=dtype)


@dataclasses.dataclass(frozen=True)
class ScoreOptions:
    """How scores become labels, by the names of `Segmenter`."""

    prob_threshold: float
    confidence_threshold: float
    use_semantic: bool
    use_instance: bool
    presence: str


def model_options(command: CommandT) -> CommandT:
    """Add --checkpoint, --device and --dtype as the argument `model`."""
    options = {
        "checkpoint": click.option(
            "--checkpoint",
            metavar="PATH",
            envvar="SEGEARTH_OV3_CHECKPOINT",
            show_envvar=True,
            help="Weights of SAM 3: sam3.pt, safetensors, or a folder with them; demo: the small model inside.",
        ),
        "device": click.option(
            "--device",
            type=DeviceType(),
            default="auto",
            show_default=True,
            help="auto, cpu, cuda, cuda:0 or mps; auto takes an accelerator if there is one.",
        ),
        "dtype": click.option(
            "--dtype",
            type=Choice(DTYPES),
            default="auto",
            show_default=True,
            help="Precision; auto: bfloat16, as published, on CUDA where possible, else float32. float16 may overflow.",
        ),
    }
    return grouped(command, "model", lambda values: ModelOptions(**values), options)


def score_options(command: CommandT) -> CommandT:
    """Add the thresholds and switches of the score fusion as the argument `scores`."""
    probability = click.FloatRange(0, 1)
    options = {
        "prob_threshold": click.option(
            "--prob-threshold",
            type=probability,
            metavar="P",
            default=0.0,
            show_default=True,
            help="Pixels whose best score is below it become background.",
        ),
        "confidence_threshold": click.option(
            "--confidence-threshold",
            type=probability,
            metavar="P",
            default=0.5,
            show_default=True,
            help="Objects scored no higher are left out.",
        ),
        "no_semantic": click.option("--no-semantic", is_flag=True, help="Leave out the semantic maps."),
        "no_instance": click.option("--no-instance", is_flag=True, help="Leave out the object masks."),
        "presence": click.option(
            "--presence",
            type=Choice(PRESENCES),
            default="full",
            show_default=True,
            help="Weight by the presence of a class in the image; gate_only: all but the last product.",
        ),
    }
    return grouped(command, "scores", _scores_from, options)


def refiner_option(command: CommandT) -> CommandT:
    """Add --refiner as the argument `refiners`, built."""
    return click.option(
        "--refiner",
        "refiners",
        multiple=True,
        callback=_refiners_from,
        metavar="NAME:KEY=VALUE,...",
        help="Refine the tokens, for example smoothing:weight=0.2,at=memory; repeat for a chain. See docs/refiners.md.",
    )(command)


def overwrite_option(command: CommandT) -> CommandT:
    """Add --overwrite and --force as the argument `overwrite`: False, True or "force"."""
    options = {
        "overwrite": click.option("--overwrite", is_flag=True, help="Replace existing outputs of this tool."),
        "force": click.option("--force", is_flag=True, help="Replace any existing file, also one of another program."),
    }
    return grouped(command, "overwrite", lambda values: "force" if values["force"] else values["overwrite"], options)


def resolve_device(name: str) -> str:
    """Turn "auto" into the best device of this machine, and make sure that any other one is there.

    Args:
        name: "auto", "cpu", "mps", "cuda" or "cuda:N".

    Returns:
        A device name for torch.

    Raises:
        OptionError: The device is not available.
    """
    import torch

    from ..checkpoints.load import check_device

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    check_device(name)
    return name


def resolve_dtype(name: str, device: str) -> torch.dtype:
    """Turn a precision's name into a dtype; "auto" depends on the device.

    Args:
        name: One of `DTYPES`.
        device: As returned by `resolve_device`.

    Returns:
        The dtype of the network's matrix products.
    """
    from ..checkpoints.load import compute_dtype

    if name == "auto":
        import torch

        has_bfloat16 = device.startswith("cuda") and torch.cuda.get_device_capability(device) >= (8, 0)
        name = "bfloat16" if has_bfloat16 else "float32"
    return compute_dtype(name)


def _refiners_from(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[Refiner, ...]:
    if not values:
        return ()
    from ..refiners import build_refiners

    return build_refiners(values)


def _scores_from(values: Mapping[str, Any]) -> ScoreOptions:
    if values["no_semantic"] and values["no_instance"]:
        raise click.UsageError("--no-semantic and --no-instance together leave nothing to score; drop one")
    return ScoreOptions(
        values["prob_threshold"],
        values["confidence_threshold"],
        use_semantic=not values["no_semantic"],
        use_instance=not values["no_instance"],
        presence=values["presence"],
    )


def grouped(
    command: CommandT,
    name: str,
    build: Callable[[Mapping[str, Any]], object],
    options: Mapping[str, Callable[[Any], Any]],
) -> CommandT:
    """Add options, by the names of their values, to a command that gets them as one argument made by `build`."""

    @functools.wraps(command)
    def with_group(*args: Any, **values: Any) -> Any:
        group = {key: values.pop(key) for key in options}
        return command(*args, **values, **{name: build(group)})

    decorated: Any = with_group
    for option in reversed(list(options.values())):  # decorators apply from the last to the first
        decorated = option(decorated)
    return decorated
