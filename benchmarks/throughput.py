"""How long an image takes from pixels to labels: ours beside `transformers` and PyPI's `sam3`, in one run.

    python benchmarks/throughput.py --device cuda --out throughput.json
    python benchmarks/throughput.py --device cpu --prompts 11 --repeats 3 --time-limit 3600 --out throughput-cpu.json
    python benchmarks/throughput.py --device cpu | python tools/fill_table.py docs/speed.md throughput-cpu -
    python benchmarks/throughput.py --config tiny --prompts 1,6                     # a try, in seconds

All get the same deterministic weights, the same image of the network's size, the text encoded beforehand, and give
labels by the same score fusion; the image is encoded once for all prompts. They take turns: one repetition of each,
then the next. Every compute dtype has a process of its own. Rows are left out, and say so, where they would not end
within the time limit.

With untrained weights every prompt is about as present as any other. The rows "25 % absent" and "75 % absent" shift
the presence logit, by a bias on its last layer, until that share of the prompts lies below the probability threshold
of 0.5; ours then skips their mask heads. They are apart from the other rows and no part of any ratio elsewhere.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from comparison import OURS, Clock, Group, failure
from harness import PRESETS, out_option, random_network, result_json, whole_numbers, write_result
from peers import BATCH, Task, build_transformers, prompt_words
from stages import Walk, count_flop, measure_peaks

from segearth_ov3.cli.options import DTYPES, DeviceType, resolve_device, resolve_dtype
from segearth_ov3.cli.process import Program
from segearth_ov3.metrics.report import markdown_table
from segearth_ov3.sam3.model import Sam3

Rows = list[dict[str, Any]]

SCHEMA = "segearth-ov3/throughput/1"
ABSENT_SHARES = (0.25, 0.75)
THRESHOLD = 0.5  # of the probability, in the rows with absent prompts


@dataclasses.dataclass(frozen=True)
class Configuration:
    """All that the numbers depend on, besides machine and software."""

    config: str
    device: str
    dtypes: tuple[str, ...]
    prompts: tuple[int, ...]
    repeats: int
    warmup: int
    threads: int
    seed: int
    time_limit_s: float
    absent: bool

    @property
    def tasks(self) -> list[tuple[int, float]]:
        """Number of prompts and absent share of every group of rows; absent ones for one vocabulary that all can do."""
        plain = [(count, 0.0) for count in self.prompts]
        middle = max([count for count in self.prompts if 4 <= count <= BATCH], default=None)
        return plain + [(middle, share) for share in ABSENT_SHARES if self.absent and middle is not None]

    def image(self) -> np.ndarray:
        """Noise with some structure, of the network's input size (R, R, 3)."""
        side = PRESETS[self.config]().image_size
        image = np.random.default_rng(self.seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
        image[side // 4 : side // 2, side // 3 : side // 2] = 40
        return image


def measure_dtype(
    configuration: Configuration, name: str, limit_s: float, exact: dict[Any, Any], before: Rows, out: Path | None
) -> tuple[Rows, dict[Any, Any]]:
    """Measure all rows of one compute dtype in this process, and write the result file after each task.

    Args:
        configuration: What to measure.
        name: The dtype.
        limit_s: Seconds that this dtype may take.
        exact: Our labels in float32 by task, if measured.
        before: Rows of other dtypes, for the result file.
        out: The result file, if wanted.

    Returns:
        Rows of this dtype, and our labels by task.
    """
    torch.set_num_threads(configuration.threads)
    clock, dtype, device = Clock(limit_s), resolve_dtype(name, configuration.device), configuration.device
    model = random_network(PRESETS[configuration.config](), dtype, device)
    peer, missing = None, None
    try:
        weights = model if dtype == torch.float32 else random_network(model.config, torch.float32, "cpu")
        peer = build_transformers(weights, dtype).to(device)
        del weights
    except ImportError as error:
        missing = f"transformers is not installed ({error})"
    flop_per_s = measure_peaks(device, dtype).flop_per_s
    rows: Rows = []
    for count, share in configuration.tasks:
        click.echo(f"{name}: {count} prompts, {share:.0%} absent", err=True)
        task = Task(prompt_words(count), THRESHOLD if share else 0.0)
        group = Group(model, peer, missing, clock, task, configuration.repeats, configuration.warmup)
        try:
            found, labels = group.measure(configuration.image(), share, exact.get((count, share)))
            exact = {(count, share): labels, **exact}
        except Exception as error:  # without ours nothing can be compared; the other tasks go on
            found = [{"system": OURS, "skipped": failure(error)}]
        flop = network_flop(model, task.prompts)
        for row in found:
            if row["system"] == OURS and "median_s" in row:
                row["share_of_peak"] = flop / row["median_s"] / flop_per_s
        rows += [{"dtype": name, "prompts": count, "absent_share": share, **row} for row in found]
        write_result(as_json(configuration, [*before, *rows]), out)
    return rows, exact


def network_flop(model: Sam3, prompts: Sequence[str]) -> int:
    """Operations of one image with its text encoded beforehand, a multiply-add counted as two."""
    side = model.config.image_size
    walk = Walk(model, torch.zeros((1, 3, side, side), device=model.device), list(prompts))
    return sum(flop for stage, flop in count_flop(walk).items() if stage != "text")


def measure_all(configuration: Configuration, out: Path | None) -> Rows:
    """Measure every compute dtype in a fresh process, one after another; float32 first, to compare others with."""
    clock = Clock(configuration.time_limit_s)
    rows: Rows = []
    exact: dict[Any, Any] = {}
    for position, dtype in enumerate(configuration.dtypes):
        share_s = clock.left_s / (len(configuration.dtypes) - position)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
            work = executor.submit(measure_dtype, configuration, dtype, share_s, exact, rows, out)
            try:
                found, exact = work.result()
            except BrokenProcessPool:  # killed, most likely for lack of memory; the file has the tasks before
                written = json.loads(out.read_text(encoding="utf-8"))["rows"] if out and out.exists() else rows
                first = {"dtype": dtype, "prompts": configuration.prompts[0], "absent_share": 0.0, "system": OURS}
                found = [*written[len(rows) :], {**first, "skipped": "failed: the process was killed"}]
        rows = [*rows, *found]
    return rows


def as_json(configuration: Configuration, rows: Rows) -> str:
    """The result file."""
    return result_json(SCHEMA, configuration.device, {"configuration": dataclasses.asdict(configuration), "rows": rows})


def times_ours(rows: Sequence[dict[str, Any]], row: dict[str, Any], dtype: str) -> str:
    """How many times the time of ours in a dtype, at the same task, a row took; empty for ours itself."""
    ours = {**row, "system": OURS, "dtype": dtype}
    found = [
        each["median_s"]
        for each in rows
        if "median_s" in each and all(each[key] == ours[key] for key in ("system", "dtype", "prompts", "absent_share"))
    ]
    if not found or (row["system"], row["dtype"]) == (OURS, dtype):
        return ""
    return f"{row['median_s'] / found[0]:.2f}×"


def agreement_cells(row: dict[str, Any]) -> list[str]:
    """Largest differences of presence and query scores, and equal labels, in a table's cells."""
    found = row.get("agreement")
    if found is None:
        share = row.get("labels_as_float32_with_margin")
        return ["", "", "" if share is None else f"{100 * share:.2f} % of float32's"]
    cells = [f"{found['presence']:.1e}", f"{found['query_scores']:.1e}"]
    return [*cells, f"{100 * found['labels_with_margin']:.2f} %"]


def activity_cells(row: dict[str, Any]) -> list[str]:
    """Launches, attention kernels and share of the measured peak of products, in a table's cells."""
    kernels = ", ".join(f"{count} {name}" for name, count in row.get("attention", {}).items())
    share = row.get("share_of_peak")
    return [str(row.get("launches", "")), kernels, "" if share is None else f"{100 * share:.0f} %"]


def as_markdown(result: dict[str, Any]) -> str:
    """The tables of a result: all prompts present first, absent ones apart."""
    heading = [
        "Dtype",
        "Prompts",
        "System",
        "Median, s",
        "Spread, s",
        "Of ours",
        "Of ours in bf16",
        "Peak, MiB",
        "Launches",
        "Attention kernels",
        "Of peak FLOP/s",
        "Δ presence",
        "Δ scores",
        "Equal labels",
    ]
    on_gpu = any("launches" in row for row in result["rows"])
    columns = [column for column, name in enumerate(heading) if on_gpu or name not in ("Launches", "Attention kernels")]
    parts = []
    for share in sorted({row["absent_share"] for row in result["rows"]}):
        cells = []
        for row in (each for each in result["rows"] if each["absent_share"] == share):
            head = [row["dtype"], str(row["prompts"]), row["system"]]
            if "skipped" in row:
                cells.append([*head, row["skipped"], *[""] * (len(heading) - 4)])
                continue
            times = [f"{row['median_s']:.3f}", f"{row['min_s']:.3f} – {row['max_s']:.3f}"]
            memory = [f"{row['peak_bytes'] / 2**20:.0f}", *activity_cells(row)]
            ratios = [times_ours(result["rows"], row, dtype) for dtype in (row["dtype"], "bfloat16")]
            cells.append([*head, *times, *ratios, *memory, *agreement_cells(row)])
        title = "All prompts present" if share == 0 else f"{share:.0%} of the prompts absent"
        table = [[line[column] for column in columns] for line in (heading, *cells)]
        parts.append(f"{title}:\n\n{markdown_table(table, left=(0, 2))}")
    setup = result["configuration"]
    parts.append(
        f"{setup['config']} network, one image of its size, at most {setup['repeats']} repetitions; "
        f"{result['device']}, {setup['threads']} threads, torch {result['versions']['torch']}, "
        f"commit {str(result['commit'])[:12]}, "
        f"{result['date']}. Labels are compared where the two best classes are at least 0.01 apart."
    )
    return "\n\n".join(parts)


def dtype_names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:
    """Turn "bfloat16,float32" into names, float32 first."""
    parts = [part.strip() for part in value.split(",")]
    unknown = [part for part in parts if part not in DTYPES or part == "auto"]
    if unknown:
        raise click.BadParameter(f"expected dtypes like float32,bfloat16, got {unknown[0]!r}", ctx, param)
    return tuple(sorted(set(parts), key=lambda name: name != "float32"))


@click.command(cls=Program)
@click.option("--config", type=click.Choice(list(PRESETS)), default="base", show_default=True, help="Network.")
@click.option("--device", type=DeviceType(), default="auto", show_default=True, help="auto, cpu, cuda, cuda:0 or mps.")
@click.option("--dtype", "dtypes", default="float32,bfloat16", show_default=True, callback=dtype_names)
@click.option("--prompts", default="1,6,11,16,60,150", show_default=True, callback=whole_numbers)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True)
@click.option("--warmup", type=click.IntRange(1), default=2, show_default=True, help="Runs that do not count.")
@click.option("--threads", type=click.IntRange(1), default=torch.get_num_threads(), help="On the CPU.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--time-limit", "time_limit_s", type=click.FloatRange(0), default=420.0, show_default=True, metavar="S")
@click.option("--absent/--no-absent", default=True, show_default=True, help="Rows with prompts below the bound.")
@out_option
def main(out: Path | None, **options: Any) -> None:
    """Time an image from pixels to labels beside the peers, and print tables.

    \b
    Example:
      python benchmarks/throughput.py --config tiny --device cpu --prompts 1,6 --repeats 2
    """
    configuration = Configuration(**{**options, "device": resolve_device(options["device"])})
    text = as_json(configuration, measure_all(configuration, out))
    write_result(text, out)
    click.echo(as_markdown(json.loads(text)))


if __name__ == "__main__":
    main()
