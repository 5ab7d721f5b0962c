"""What each token refiner costs, beside the forward pass it sits in, measured in the same run on the same device.

    python benchmarks/refiners.py --config base --device cuda --dtype bfloat16 --out refiner-costs.json
    python benchmarks/refiners.py --config tiny                                      # a try, in seconds

    place    forward pass                                      tokens
    trunk    encode_trunk of one image                         (1, 1024, 72, 72)
    memory   fuse, detect, segment of 12 prompts, in chunks    (chunk, 256, 72, 72)

Weights are deterministic and untrained, which changes no time. No mask is kept, which makes the forward pass as short
and the share of the refiners as large as it can be. Tokens are float32 and contiguous, as the network hands them on at
both places whatever its compute dtype. Half of their variance is smooth over the map and half is noise, since solvers
take the longer the more alike neighbours are. Every setting has a process of its own.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from harness import PRESETS, out_option, peak, random_network, result_json, spread, start_peak, timed, write_result
from torch import Tensor
from torch.nn import functional

from segearth_ov3.cli.options import DTYPES, DeviceType, resolve_device, resolve_dtype
from segearth_ov3.cli.process import Program
from segearth_ov3.metrics.report import markdown_table
from segearth_ov3.refiners import RefinerContext, build_refiners
from segearth_ov3.sam3.config import Sam3Config

SCHEMA = "segearth-ov3/refiner-costs/1"
PLACES = ("trunk", "memory")
FORWARD = "forward pass"
DEFAULT_REFINERS = (
    "smoothing",
    "smoothing:kernel_size=7",
    "lowpass",
    "lowpass:padding=reflect",
    "graph_laplacian:lam=0.1",
    "graph_laplacian",
    "graph_laplacian:radius=2",
)


@dataclasses.dataclass(frozen=True)
class Configuration:
    """All that the numbers depend on, besides machine and software."""

    config: str
    device: str
    dtype: str
    prompts: int
    prompt_chunk: int
    repeats: int
    warmup: int
    threads: int
    seed: int

    @property
    def sizes(self) -> Sam3Config:
        """Of the network."""
        return PRESETS[self.config]()

    @property
    def chunks(self) -> list[int]:
        """How many prompts go through the network at a time."""
        starts = range(0, self.prompts, self.prompt_chunk)
        return [min(self.prompt_chunk, self.prompts - start) for start in starts]

    def generator(self) -> torch.Generator:
        """The same every time."""
        return torch.Generator().manual_seed(self.seed)


class Row(NamedTuple):
    """One setting: seconds of every repetition, and bytes at the peak beyond what was there before, if known."""

    place: str
    name: str
    seconds: list[float]
    peak_bytes: int | None

    @property
    def median(self) -> float:
        """Of the seconds."""
        return statistics.median(self.seconds)


def random_pixels(configuration: Configuration) -> Tensor:
    side = configuration.sizes.image_size
    return torch.rand((1, 3, side, side), generator=configuration.generator()) * 2 - 1


def random_tokens(configuration: Configuration, place: str) -> list[Tensor]:
    """One map of the trunk, or the maps of each chunk of prompts."""
    sizes, generator = configuration.sizes, configuration.generator()
    g = sizes.grid
    rows, width = ([1], sizes.vit_dim) if place == "trunk" else (configuration.chunks, sizes.dim)
    found = []
    for count in rows:
        coarse = torch.randn((count, width, 8, 8), generator=generator)
        smooth = functional.interpolate(coarse, size=(g, g), mode="bicubic")
        tokens = smooth / smooth.std() + torch.randn((count, width, g, g), generator=generator)
        found.append(tokens.to(configuration.device))
    return found


def forward_pass(configuration: Configuration, place: str) -> Callable[[], object]:
    """The part of the network that a refiner at a place stands in."""
    dtype = resolve_dtype(configuration.dtype, configuration.device)
    model = random_network(configuration.sizes, dtype, configuration.device)
    pixels = random_pixels(configuration).to(configuration.device)
    if place == "trunk":
        return lambda: model.encode_trunk(pixels)
    image = model.encode_image(pixels)
    texts = [model.encode_text([f"class {row}" for row in range(count)]) for count in configuration.chunks]

    def forward() -> None:
        for text in texts:
            prompt = model.prompt(image, text)
            memory = model.fuse(image, prompt)
            detection = model.detect(memory, prompt)
            model.segment(memory, detection, prompt, image, torch.zeros_like(detection.score_logits, dtype=torch.bool))

    return forward


def refiner_pass(configuration: Configuration, place: str, text: str) -> Callable[[], object]:
    """A refiner on all tokens of a place; what it computes once per image is computed every time."""
    (refiner,) = build_refiners([text])
    refiner = dataclasses.replace(refiner, at=place)
    tokens, pixels = random_tokens(configuration, place), random_pixels(configuration).to(configuration.device)

    def forward() -> None:
        context = RefinerContext(pixels)
        for chunk in tokens:
            refiner(chunk, context.with_prompts(f"class {row}" for row in range(len(chunk))))

    return forward


@torch.no_grad()
def measure(configuration: Configuration, place: str, name: str) -> Row:
    """Time one setting in this process."""
    torch.set_num_threads(configuration.threads)
    make = forward_pass if name == FORWARD else lambda *args: refiner_pass(*args, name)
    work = make(configuration, place)
    before = start_peak(configuration.device)
    seconds = [timed(work, configuration.device) for _ in range(configuration.warmup + configuration.repeats)]
    return Row(place, name, seconds[configuration.warmup :], peak(configuration.device) - before)


def measure_all(configuration: Configuration, refiners: tuple[str, ...]) -> list[Row]:
    """Every setting in a fresh process, one after another."""
    settings = [(place, name) for place in PLACES for name in (FORWARD, *refiners)]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        rows = []
        for place, name in settings:
            click.echo(f"{place}: {name}", err=True)
            rows.append(pool.apply(measure, (configuration, place, name)))
    return rows


def as_json(configuration: Configuration, rows: list[Row]) -> str:
    forwards = {row.place: row.median for row in rows if row.name == FORWARD}
    fields = {
        "configuration": dataclasses.asdict(configuration),
        "dtype": str(resolve_dtype(configuration.dtype, configuration.device)).removeprefix("torch."),
        "rows": [
            {
                "place": row.place,
                "name": row.name,
                **spread(row.seconds),
                "share_of_forward": row.median / forwards[row.place],
                "peak_bytes": row.peak_bytes,
            }
            for row in rows
        ],
    }
    return result_json(SCHEMA, configuration.device, fields)


def as_markdown(result: dict[str, Any]) -> str:
    """The table of a result; times in ms."""
    setup = result["configuration"]
    rows = [["Place", "Setting", "Median, ms", "Spread, ms", "Of the forward pass", "Peak, MiB"]]
    for row in result["rows"]:
        median, low, high = (f"{1000 * row[key]:.2f}" for key in ("median_s", "min_s", "max_s"))
        share = f"{100 * row['share_of_forward']:.2f} %"
        peak_mib = "–" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:.0f}"
        rows.append([row["place"], row["name"], median, f"{low} – {high}", share, peak_mib])
    note = (
        f"{setup['config']} network, {setup['prompts']} prompts in chunks of at most {setup['prompt_chunk']}, "
        f"{setup['repeats']} repetitions; {result['device']}, {result['dtype']}, {setup['threads']} threads, "
        f"torch {result['versions']['torch']}"
    )
    return f"{markdown_table(rows, left=(0, 1))}\n\n{note}"


@click.command(cls=Program)
@click.option("--config", type=click.Choice(list(PRESETS)), default="base", show_default=True, help="Network.")
@click.option("--device", type=DeviceType(), default="auto", show_default=True, help="auto, cpu, cuda, cuda:0 or mps.")
@click.option("--dtype", type=click.Choice(DTYPES), default="auto", show_default=True, help="Of the forward pass.")
@click.option(
    "--refiner",
    "refiners",
    multiple=True,
    default=DEFAULT_REFINERS,
    metavar="NAME:KEY=VALUE,...",
    help="What to measure, repeatable; the place is chosen by the benchmark.  [default: a list of settings]",
)
@click.option("--prompts", type=click.IntRange(1), default=12, show_default=True)
@click.option("--prompt-chunk", type=click.IntRange(1), default=8, show_default=True, help="Prompts at a time.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--warmup", type=click.IntRange(0), default=2, show_default=True, help="Runs that do not count.")
@click.option("--threads", type=click.IntRange(1), default=torch.get_num_threads(), help="On the CPU.")
@click.option("--seed", type=int, default=0, show_default=True)
@out_option
def main(refiners: tuple[str, ...], out: Path | None, **options: Any) -> None:
    """Measure what token refiners cost beside the forward pass they sit in, and print a table.

    \b
    Example:
      python benchmarks/refiners.py --config tiny --device cpu --refiner smoothing --refiner lowpass:radius=6
    """
    build_refiners(refiners)
    configuration = Configuration(**{**options, "device": resolve_device(options["device"])})
    text = as_json(configuration, measure_all(configuration, refiners))
    write_result(text, out)
    click.echo(as_markdown(json.loads(text)))


if __name__ == "__main__":
    main()
