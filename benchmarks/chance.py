"""Measure how often an ablation reports a difference where there is none, for several kinds of intervals.

    python benchmarks/chance.py | python tools/fill_table.py docs/measuring.md chance -
    python benchmarks/chance.py --images 9 --repeats 100                                   # a try, in seconds

Evaluations are simulated: a baseline and variants whose errors are drawn from the same distribution, image by image, so
that every reported difference is chance. Images have few of the classes, some classes are rare, and errors of one image
belong together, as in real sets. Columns:

    percentile, BCa    intervals of one comparison that exclude 0, by `scipy.stats.bootstrap`
    studentised        the same by `metrics.bootstrap`, which the tables use
    bold               tables of several variants with at least one bold row (none below 20 images, by design)
"""

from __future__ import annotations

from collections.abc import Sequence

import click
import numpy as np
import scipy.stats
from numpy.typing import NDArray

from segearth_ov3.metrics.ablation import Resampling, VariantRun, make_ablation_report
from segearth_ov3.metrics.report import markdown_table

PRESENCE = (1.0, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1)  # share of the images that have each class
PIXELS = 10_000
IntArray = NDArray[np.int64]


def simulate(images: int, sides: int, generator: np.random.Generator) -> IntArray:
    """Confusion matrices (sides, I, C, C) of evaluations that differ by chance alone; labels are the same."""
    classes = len(PRESENCE)
    shares = generator.gamma(0.7, 1.0, (images, classes)) * (generator.random((images, classes)) < PRESENCE)
    shares[:, 0] += 1e-3
    labels = np.floor(PIXELS * shares / shares.sum(axis=1, keepdims=True)).astype(np.int64)  # (I, C)
    difficulty = generator.normal(1.0, 0.8, (images, classes))
    confusions = np.zeros((sides, images, classes, classes), dtype=np.int64)
    for side in confusions:
        accuracy = 1 / (1 + np.exp(-difficulty - 0.4 * generator.standard_t(3, (images, classes))))
        side += spread(labels, accuracy, generator)
    return confusions


def spread(labels: IntArray, accuracy: NDArray[np.float64], generator: np.random.Generator) -> IntArray:
    """Confusion matrices (I, C, C) of images with so many pixels (I, C) of each class and such accuracies (I, C)."""
    images, classes = labels.shape
    hits = generator.binomial(labels, accuracy)
    towards = generator.dirichlet(np.full(classes, 0.3), (images, classes))
    misses = generator.multinomial(labels - hits, towards)  # (I, C, C); some fall on the right class again
    misses[:, np.arange(classes), np.arange(classes)] += hits
    return misses


def scipy_excludes_zero(pair: IntArray, method: str, draws: int, seed: int) -> bool:
    """Whether the interval of `scipy.stats.bootstrap` for the difference of two sides (2, I, C, C) excludes 0."""
    hits = np.diagonal(pair, axis1=2, axis2=3)  # (2, I, C)
    unions = pair.sum(axis=3) + pair.sum(axis=2) - hits

    def delta(images: NDArray[np.int64], axis: int = -1) -> NDArray[np.float64]:
        above, below = hits[:, images].sum(axis=-2), unions[:, images].sum(axis=-2)  # (2, ..., C)
        iou = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
        means = np.nanmean(iou, axis=-1)
        return means[1] - means[0]

    low, high = scipy.stats.bootstrap(
        (np.arange(pair.shape[1]),),
        delta,
        n_resamples=draws,
        method=method,
        random_state=np.random.default_rng(seed),
        batch=500,
    ).confidence_interval
    return bool(low > 0 or high < 0)


def rates(images: int, rows: int, repeats: int, draws: int, seed: int) -> dict[str, float]:
    """Share of simulated evaluations in which each kind of interval reports a difference."""
    generator = np.random.default_rng([seed, images])
    counts = dict.fromkeys(("percentile", "BCa", "studentised", "bold"), 0)
    names = [f"variant {row}" for row in range(rows)]
    for repeat in range(repeats):
        sides = simulate(images, rows + 1, generator)
        for method in ("percentile", "BCa"):
            counts[method] += scipy_excludes_zero(sides[:2], method, draws, repeat)
        runs = [VariantRun(name, side, [None] * images) for name, side in zip(["baseline", *names], sides)]
        report = make_ablation_report(
            runs[0],
            runs[1:],
            [f"class {index}" for index in range(len(PRESENCE))],
            dataset="simulated",
            config="",
            device="",
            dtype="",
            configuration={},
            resampling=Resampling(draws, repeat),
        )
        first = report.variants[1].delta
        counts["studentised"] += first is not None and first.excludes_zero
        counts["bold"] += any(variant.significant for variant in report.variants)
    return {name: count / repeats for name, count in counts.items()}


def numbers(context: click.Context, option: click.Parameter, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"expected whole numbers such as 5,20,50, got {text!r}") from error


@click.command(help=__doc__.split("\n", 1)[0])
@click.option("--images", default="5,9,20,50,200", callback=numbers, help="Images of a set.  [default: 5,9,20,50,200]")
@click.option("--rows", default=10, type=click.IntRange(1), show_default=True, help="Variants of a table.")
@click.option("--repeats", default=500, type=click.IntRange(1), show_default=True, help="Simulated evaluations.")
@click.option("--draws", default=999, type=click.IntRange(1), show_default=True, help="Bootstrap draws.")
@click.option("--seed", default=0, type=click.IntRange(0), show_default=True)
def main(images: Sequence[int], rows: int, repeats: int, draws: int, seed: int) -> None:
    table = [("Images", "percentile, %", "BCa, %", "studentised, %", f"tables of {rows} rows with a bold one, %")]
    for count in images:
        found = rates(count, rows, repeats, draws, seed)
        table.append((str(count), *(f"{100 * share:.1f}" for share in found.values())))
    click.echo(markdown_table(table))
    click.echo(
        f"\n{repeats} simulated evaluations without any difference in each line, {len(PRESENCE)} classes, {draws} "
        f"draws, level 95 %, seed {seed}."
    )


if __name__ == "__main__":
    main()
