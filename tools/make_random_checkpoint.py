"""Write a checkpoint with deterministic, untrained weights, for tests and benchmarks without the official ones.

    python tools/make_random_checkpoint.py --config base random-base.safetensors      # 3.4 GB, one tensor in memory

Equal commands write equal files on every machine.
"""

from __future__ import annotations

from pathlib import Path

import click
import torch

from segearth_ov3.checkpoints.files import TensorSpec
from segearth_ov3.checkpoints.sizes import config_from_file, config_metadata
from segearth_ov3.checkpoints.writing import write_safetensors
from segearth_ov3.cli.process import Program
from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.random_weights import deterministic_tensor

PRESETS = {"base": Sam3Config.base, "demo": Sam3Config.demo, "tiny": Sam3Config.tiny}


def write_random_checkpoint(out: Path, config: Sam3Config, *, overwrite: bool = False) -> None:
    shapes = {key: tuple(value.shape) for key, value in build_sam3(config, device="meta").state_dict().items()}
    write_safetensors(
        out,
        {key: TensorSpec(shape, torch.float32) for key, shape in shapes.items()},
        lambda key: torch.from_numpy(deterministic_tensor(key, shapes[key])),
        metadata=config_metadata(config),
        overwrite=overwrite,
    )


@click.command(cls=Program, help=__doc__.split("\n", 1)[0])
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--config", default="base", show_default=True, metavar="FILE.json|base|demo|tiny", help="Sizes.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
def main(out: Path, config: str, overwrite: bool) -> None:
    sizes = PRESETS[config]() if config in PRESETS else config_from_file(Path(config))
    write_random_checkpoint(out, sizes, overwrite=overwrite)
    click.echo(out)


if __name__ == "__main__":
    main()
