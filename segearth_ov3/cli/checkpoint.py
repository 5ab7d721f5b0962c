"""`segearth-ov3 checkpoint`: describe, verify, convert and download the weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..messages import progress_function
from .choice import Choice

if TYPE_CHECKING:
    from ..checkpoints import CheckpointInfo
    from ..sam3.config import Sam3Config

DTYPES = ("float32", "bfloat16", "float16")
PRESETS = ("base", "demo", "tiny")

_path_argument = click.argument("path", type=click.Path(path_type=Path))
_config_option = click.option(
    "--config",
    metavar="FILE.json|base|demo|tiny",
    help="Sizes of the network, where they do not follow from the checkpoint: all fields of Sam3Config as JSON, or the "
    "name of a preset.",
)


@click.group("checkpoint")
def checkpoint() -> None:
    """Describe, verify, convert and download the weights of SAM 3 and SAM 3.1.

    Reads Meta's sam3.pt and sam3.1_multiplex.pt, Hugging Face's model.safetensors (also sharded, or the folder) and
    files of this package.
    """


@checkpoint.command("info")
@_path_argument
@click.option("--sha256", is_flag=True, help="Also print a short digest of the content; reads the whole file.")
def info(path: Path, sha256: bool) -> None:
    """Describe the checkpoint PATH without reading its tensors: release, format, sizes, and what is not read.

    \b
    Example:
      segearth-ov3 checkpoint info sam3.pt
    """
    from ..checkpoints import inspect_checkpoint

    _print_info(inspect_checkpoint(path, sha256=sha256))


@checkpoint.command("verify")
@_path_argument
@_config_option
def verify(path: Path, config: str | None) -> None:
    """Check that the checkpoint PATH can be loaded, and print its SHA-256.

    All tensors must be present, with the right shapes, and every value must be finite. The SHA-256 of each file is
    compared with those of published files, so a copy from elsewhere can be recognised.

    \b
    Example:
      segearth-ov3 checkpoint verify weights/
    """
    from ..checkpoints import verify_checkpoint
    from ..checkpoints.digests import PUBLISHED

    with progress_function("verifying", "tensor", leave=False) as progress:
        description = verify_checkpoint(path, config=_read_config(config), progress=progress)
    click.echo(f"{description.path}: {description.tensors} tensors, {description.parameters} values, all finite")
    for file, digest in zip(description.files, description.file_sha256, strict=True):
        click.echo(f"{file.name}: sha256 {digest}: {PUBLISHED.get(digest, 'unknown, not a published file')}")


@checkpoint.command("convert")
@click.argument("src", type=click.Path(path_type=Path))
@click.argument("dst", type=click.Path(path_type=Path))
@click.option("--dtype", type=Choice(DTYPES), help="Compute dtype to store for; default: as in SRC.")
@_config_option
@click.option("--overwrite", is_flag=True, help="Replace DST if it exists.")
def convert(src: Path, dst: Path, dtype: str | None, config: str | None, overwrite: bool) -> None:
    """Write the image model of the checkpoint SRC as one safetensors file DST.

    The file leaves out the video tracker and states its sizes and release. With --dtype bfloat16 it takes about 70 %
    of the space; what the network computes in float32 stays float32.

    \b
    Example:
      segearth-ov3 checkpoint convert sam3.pt sam3-bf16.safetensors --dtype bfloat16
    """
    from ..checkpoints import convert_checkpoint

    with progress_function("converting", "tensor", leave=False) as progress:
        written = convert_checkpoint(
            src,
            dst,
            dtype=dtype,
            config=_read_config(config),
            overwrite=overwrite,
            progress=progress,
        )
    click.echo(written)


@checkpoint.command("download")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("checkpoints"),
    show_default=True,
    help="Folder for the file.",
)
@click.option(
    "--release",
    type=click.Choice(["3", "3.1"]),
    default="3",
    show_default=True,
    help="SAM 3 or SAM 3.1: the same image network, trained again.",
)
def download(out: Path, release: str) -> None:
    """Download the official weights (3.5 GB) from Hugging Face.

    They are gated: ask for access on the page of facebook/sam3 or facebook/sam3.1 on Hugging Face, then log in with
    `hf auth login`.

    \b
    Example:
      segearth-ov3 checkpoint download --release 3.1 --out weights
    """
    from ..checkpoints import PATH_VARIABLE, download_checkpoint

    path = download_checkpoint(out, release=release)
    click.echo(f"next: export {PATH_VARIABLE}={path.resolve()}", err=True)
    click.echo(path)


def _read_config(config: str | None) -> Sam3Config | None:
    """Return the sizes that a preset's name or a JSON file means."""
    from ..checkpoints.sizes import config_from_file
    from ..sam3.config import Sam3Config

    if config is None:
        return None
    if config in PRESETS:
        preset: Sam3Config = getattr(Sam3Config, config)()
        return preset
    return config_from_file(Path(config))


def _print_info(description: CheckpointInfo) -> None:
    config = description.config
    if config is None:
        network = "unknown: not stated in the file, and not the published sizes"
    else:
        network = (
            f"{config.image_size} px input, trunk {config.vit_depth} x {config.vit_dim}, "
            f"text {config.text_layers} x {config.text_width}, decoder {config.decoder_layers} x {config.dim}"
        )
    rows = {
        "path": description.path,
        "files": len(description.files),
        "release": f"SAM {description.release}" if description.release else "not stated",
        "format": description.format,
        "network": network,
        "tensors": description.tensors,
        "parameters": description.parameters,
        "dtypes": ", ".join(f"{name} x {count}" for name, count in description.dtypes.items()),
        "size": f"{description.size_bytes / 1e6:.1f} MB",
    }
    if description.sha256 is not None:
        rows["sha256"] = description.sha256
    for name, value in rows.items():
        click.echo(f"{name:<11}{value}")
    for reason, names in description.ignored.items():
        click.echo(f"{'not read':<11}{len(names)} tensors: {reason}")
