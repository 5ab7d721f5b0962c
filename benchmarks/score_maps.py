"""What it takes to fuse the masks of one prompt to a score map, in blocks of rows and with whole maps.

    python benchmarks/score_maps.py                                          # 1000 and 6000 pixels a side, 200 masks
    python benchmarks/score_maps.py --side 500 --masks 20                    # a try, in seconds

    way      how
    whole    some whole masks at a time within 256 MiB: upsample by torch, sigmoid, amplitude, maximum
    blocks   `engine.score_maps`

    masks    what
    objects  discs of 1 to 7 % of the side, as objects are: most blocks of rows are reached by few of them
    noise    every mask may win anywhere: none can be left out of a block

Times are CPU times of the process, which other programs on the machine change little. Every row has a process of its
own; the last column is the largest difference between the scores of both ways.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time

import click
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from segearth_ov3.cli.process import Program
from segearth_ov3.engine.score_maps import prompt_score_maps
from segearth_ov3.engine.scores import FusionSettings
from segearth_ov3.metrics.report import markdown_table
from segearth_ov3.sam3.outputs import Masks

MAP_SIDE = 288
WHOLE_BUDGET = 256 * 2**20


def make_masks(kind: str, count: int) -> tuple[Masks, Tensor]:
    """Masks of one prompt and the scores of their queries (1, count)."""
    generator = torch.Generator().manual_seed(0)
    scores = 0.5 + 0.5 * torch.rand((1, count), generator=generator)
    noise = torch.randn((count, MAP_SIDE, MAP_SIDE), generator=generator)
    semantic = 3 * torch.randn((1, MAP_SIDE, MAP_SIDE), generator=generator) - 3
    logits = 4 * noise
    if kind == "objects":
        steps = torch.arange(MAP_SIDE)
        rows, cols, sizes = torch.rand((3, count, 1, 1), generator=generator)
        radii = (0.01 + 0.06 * sizes) * MAP_SIDE
        distances = ((steps[:, None] - MAP_SIDE * rows) ** 2 + (steps - MAP_SIDE * cols) ** 2).sqrt()
        logits = (1.5 * (radii - distances)).clamp(-14, 9) + 0.3 * noise
        semantic = 0.6 * logits.amax(0, keepdim=True) - 2
    index = torch.arange(count)
    return Masks(logits, torch.zeros_like(index), index, semantic), scores


def whole_maps(masks: Masks, scores: Tensor, side: int) -> Tensor:
    """The score map (side, side) from whole masks."""
    amplitudes = scores[0, :, None, None]
    best = interpolate(masks.semantic_logits[None], size=(side, side), mode="bilinear")[0, 0].sigmoid_()
    together = max(1, WHOLE_BUDGET // (4 * side**2))
    for start in range(0, len(amplitudes), together):
        some = slice(start, start + together)
        maps = interpolate(masks.mask_logits[None, some], size=(side, side), mode="bilinear")[0]
        torch.maximum(best, maps.sigmoid_().mul_(amplitudes[some]).amax(0), out=best)
    return best


def block_maps(masks: Masks, scores: Tensor, side: int) -> Tensor:
    """The same by the engine."""
    (best,) = prompt_score_maps(masks, scores, torch.ones(1), (side, side), FusionSettings())
    return best


WAYS = {"whole": whole_maps, "blocks": block_maps}


def measure(way: str, kind: str, side: int, count: int, repeats: int, threads: int) -> tuple[list[float], int, Tensor]:
    """CPU seconds of each repetition, bytes that the peak rose by, and every 7th row and column of the map."""
    torch.set_num_threads(threads)
    masks, scores = make_masks(kind, count)
    WAYS[way](masks, scores, 64)  # warm-up
    before, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    for _ in range(repeats):
        start = time.process_time()
        found = WAYS[way](masks, scores, side)
        seconds.append(time.process_time() - start)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return seconds, grown * (1 if sys.platform == "darwin" else 1024), found[::7, ::7].clone()


@click.command(cls=Program)
@click.option("--side", "sides", type=click.IntRange(1), multiple=True, default=(1000, 6000), help="Pixels.")
@click.option("--masks", type=click.IntRange(1), default=200, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=3, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
def main(sides: tuple[int, ...], masks: int, repeats: int, threads: int) -> None:
    """Compare fusion in blocks of rows with whole maps, and print a table."""
    rows = [["Side", "Masks", "Way", "CPU s, median", "Spread", "Memory, MiB", "Difference"]]
    for side in sides:
        for kind in ("objects", "noise"):
            found = {}
            for way in WAYS:
                with multiprocessing.get_context("spawn").Pool(1) as pool:
                    seconds, grown, found[way] = pool.apply(measure, (way, kind, side, masks, repeats, threads))
                difference = float((found[way] - found["whole"]).abs().max())
                spread = f"{min(seconds):.2f} – {max(seconds):.2f}"
                times = [f"{statistics.median(seconds):.2f}", spread]
                rows.append([str(side), f"{masks} {kind}", way, *times, f"{grown / 2**20:.0f}", f"{difference:.1e}"])
                click.echo(f"{side}, {kind}, {way}", err=True)
    click.echo(f"{markdown_table(rows, left=(1, 2))}\n\n{threads} thread(s), torch {torch.__version__}")


if __name__ == "__main__":
    main()
