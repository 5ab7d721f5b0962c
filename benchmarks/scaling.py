"""Where the time of an image goes: by stage against its floor, over prompts, windows and refiners, and by measure.

    python benchmarks/scaling.py --device cuda --dtype bfloat16 --ablate --out scaling.json
    python benchmarks/scaling.py --device cpu --ablate | python tools/fill_table.py docs/speed.md scaling-cpu -
    python benchmarks/scaling.py --device cpu --prompts 1,11 --windows 1 --repeats 2 --ablate
    python benchmarks/scaling.py --config tiny --ablate                              # a try, in seconds

The floor of a stage is explained in `stages`. Rows of prompts, windows and refiners are whole calls of
`Segmenter.predict_labels` with the text encoded beforehand; windows lie side by side, each of the network's size.
`--ablate` switches single measures off (`measures`), each in the stage where it acts. Everything is measured in one
process, since all of it compares parts of the same forward pass.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from harness import (
    PRESETS,
    out_option,
    peak,
    random_network,
    result_json,
    spread,
    start_peak,
    timed,
    whole_numbers,
    write_result,
)
from measures import measure_all
from peers import background_vocabulary, label_image, prompt_words
from stages import Walk, measure_peaks, profile

from segearth_ov3.cli.options import DTYPES, DeviceType, resolve_device, resolve_dtype
from segearth_ov3.cli.process import Program
from segearth_ov3.metrics.report import markdown_table
from segearth_ov3.refiners import build_refiners
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.segmenter import Segmenter

SCHEMA = "segearth-ov3/scaling/1"
DEFAULT_REFINERS = ("smoothing", "lowpass", "graph_laplacian")


@dataclasses.dataclass(frozen=True)
class Configuration:
    """All that the numbers depend on, besides machine and software."""

    config: str
    device: str
    dtype: str
    prompts: tuple[int, ...]
    stage_prompts: int
    windows: tuple[int, ...]
    refiners: tuple[str, ...]
    repeats: int
    warmup: int
    threads: int
    seed: int
    ablate: bool

    def image(self, windows: int) -> np.ndarray:
        """Noise, some windows wide (R, windows * R, 3)."""
        side = PRESETS[self.config]().image_size
        return np.random.default_rng(self.seed).integers(0, 256, (side, windows * side, 3), dtype=np.uint8)


def whole_calls(configuration: Configuration, model: Sam3) -> list[dict[str, Any]]:
    """A row per number of prompts, per number of windows, and per refiner."""
    side, most = model.config.image_size, max(configuration.prompts)
    settings: list[tuple[str, str, int, int, dict[str, Any]]] = [
        *(("prompts", str(count), count, 1, {}) for count in configuration.prompts),
        *(("windows", str(count), most, count, {"window": side}) for count in configuration.windows),
        *(("refiner", name, most, 1, {"refiners": [name]}) for name in configuration.refiners),
    ]
    rows = []
    for kind, value, prompts, windows, options in settings:
        click.echo(f"{kind}: {value}", err=True)
        segmenter = Segmenter(model, background_vocabulary(prompt_words(prompts)), **options)
        image = configuration.image(windows)
        before = start_peak(configuration.device)
        seconds = [
            timed(lambda run=segmenter, image=image: label_image(run, image), configuration.device)
            for _ in range(configuration.warmup + configuration.repeats)
        ][configuration.warmup :]
        peak_bytes = peak(configuration.device) - before
        row = {"kind": kind, "value": value, "prompts": prompts, "windows": windows}
        rows.append({**row, **spread(seconds), "peak_bytes": peak_bytes})
    return rows


@torch.no_grad()
def measure(configuration: Configuration) -> dict[str, Any]:
    """All parts of a result."""
    torch.set_num_threads(configuration.threads)
    device, dtype = configuration.device, resolve_dtype(configuration.dtype, configuration.device)
    model = random_network(PRESETS[configuration.config](), dtype, device)
    peaks = measure_peaks(device, dtype)
    pixels = torch.rand((1, 3, model.config.image_size, model.config.image_size)) * 2 - 1
    walk = Walk(model, pixels.to(device), list(prompt_words(configuration.stage_prompts)))
    click.echo("stages", err=True)
    result = {
        "peaks": peaks._asdict(),
        "stages": profile(walk, device, peaks, configuration.repeats, configuration.warmup),
    }
    if configuration.ablate:
        click.echo("measures", err=True)
        result["measures"] = measure_all(walk, device, configuration.repeats)
    walk.made.clear()
    return {**result, "calls": whole_calls(configuration, model)}


def stage_table(result: dict[str, Any]) -> str:
    """Stages against their floor."""
    heading = ["Stage", "Median, ms", "Spread, ms", "GFLOP", "MiB", "Floor, ms", "Floor of it"]
    rows = [
        [
            row["stage"],
            f"{1e3 * row['median_s']:.1f}",
            f"{1e3 * row['min_s']:.1f} – {1e3 * row['max_s']:.1f}",
            f"{row['flop'] / 1e9:.1f}",
            f"{row['bytes'] / 2**20:.0f}",
            f"{1e3 * row['floor_s']:.1f}",
            f"{100 * row['share_of_floor']:.0f} %",
        ]
        for row in result["stages"]
    ]
    peaks, count = result["peaks"], result["configuration"]["stage_prompts"]
    note = (
        f"One image and {count} prompts. Best of a large matrix product: {peaks['flop_per_s'] / 1e9:.0f} GFLOP/s; of a "
        f"copy: {peaks['bytes_per_s'] / 1e9:.0f} GB/s."
    )
    return f"{markdown_table([heading, *rows])}\n\n{note}"


def call_table(result: dict[str, Any]) -> str:
    """Whole calls over prompts, windows and refiners."""
    heading = ["Varied", "Value", "Prompts", "Windows", "Median, s", "Spread, s", "Peak, MiB"]
    rows = [
        [
            row["kind"],
            row["value"],
            str(row["prompts"]),
            str(row["windows"]),
            f"{row['median_s']:.3f}",
            f"{row['min_s']:.3f} – {row['max_s']:.3f}",
            f"{row['peak_bytes'] / 2**20:.0f}",
        ]
        for row in result["calls"]
    ]
    return markdown_table([heading, *rows], left=(0, 1))


def measure_table(result: dict[str, Any]) -> str:
    """What single measures brought."""
    heading = ["Measure", "Stage", "With, ms", "Without, ms", "Brings"]
    rows = [
        [
            row["measure"],
            row["stage"],
            f"{1e3 * row['with_s']:.1f}",
            f"{1e3 * row['without_s']:.1f}",
            f"{1e3 * (row['without_s'] - row['with_s']):.1f} ms",
        ]
        for row in result["measures"]
    ]
    return markdown_table([heading, *rows], left=(0, 1))


def as_markdown(result: dict[str, Any]) -> str:
    """All tables of a result."""
    setup = result["configuration"]
    parts = [stage_table(result), call_table(result)]
    if "measures" in result:
        parts.append(measure_table(result))
    parts.append(
        f"{setup['config']} network, {setup['dtype']}, {setup['repeats']} repetitions; {result['device']}, "
        f"{setup['threads']} threads, torch {result['versions']['torch']}, commit {str(result['commit'])[:12]}, "
        f"{result['date']}"
    )
    return "\n\n".join(parts)


@click.command(cls=Program)
@click.option("--config", type=click.Choice(list(PRESETS)), default="base", show_default=True, help="Network.")
@click.option("--device", type=DeviceType(), default="auto", show_default=True, help="auto, cpu, cuda, cuda:0 or mps.")
@click.option("--dtype", type=click.Choice(DTYPES), default="auto", show_default=True)
@click.option("--prompts", default="1,6,11,16", show_default=True, callback=whole_numbers, help="Of whole calls.")
@click.option("--stage-prompts", type=click.IntRange(1), default=4, show_default=True, help="Of the stage table.")
@click.option("--windows", default="1,2,4", show_default=True, callback=whole_numbers)
@click.option(
    "--refiner", "refiners", multiple=True, default=DEFAULT_REFINERS, show_default=True, metavar="NAME:KEY=VALUE,..."
)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--warmup", type=click.IntRange(0), default=1, show_default=True, help="Runs that do not count.")
@click.option("--threads", type=click.IntRange(1), default=torch.get_num_threads(), help="On the CPU.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--ablate", is_flag=True, help="Also say what single measures bring.")
@out_option
def main(out: Path | None, **options: Any) -> None:
    """Time stages, whole calls and single measures, and print tables.

    \b
    Example:
      python benchmarks/scaling.py --config tiny --device cpu --prompts 1,3 --repeats 2
    """
    build_refiners(options["refiners"])
    device = resolve_device(options["device"])
    dtype = str(resolve_dtype(options["dtype"], device)).removeprefix("torch.")
    configuration = Configuration(**{**options, "device": device, "dtype": dtype})
    fields = {"configuration": dataclasses.asdict(configuration), **measure(configuration)}
    text = result_json(SCHEMA, device, fields)
    write_result(text, out)
    click.echo(as_markdown(json.loads(text)))


if __name__ == "__main__":
    main()
