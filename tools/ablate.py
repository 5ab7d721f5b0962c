"""Compare token refiners and thresholds: many variants of one configuration in one pass over the images."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arguments import (
    add_config_arguments,
    add_limit_argument,
    add_resume_arguments,
    check_config_exists,
    make_parser,
    run_tool,
)

from segearth_ov3.errors import OptionError
from segearth_ov3.messages import progress_bar, say

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config

    from segearth_ov3.metrics.ablation import AblationReport, OnePass
    from segearth_ov3.mmseg_plugin.ablation import NamedVariant
    from segearth_ov3.mmseg_plugin.ablation_run import AblationRun
    from segearth_ov3.mmseg_plugin.records import ImageRecord
PICTURES = ("*_gain_*.png", "*_loss_*.png")
RESULTS = ("ablation.*", "deltas.png", "sweep_*.png", *(f"pictures/{each}" for each in PICTURES))
EXAMPLES = """examples:
  python tools/ablate.py configs/segearth-ov3_demo.py --variants configs/refiners/seed.py --out work_dirs/refiners
  python tools/ablate.py configs/segearth-ov3_loveda.py --variants configs/refiners/sweeps.py --out table \\
      --checkpoint sam3.pt --diagnostics --limit 200
  python tools/ablate.py configs/segearth-ov3_dubai.py --variants configs/refiners/thresholds.py --out table \\
      --cfg-options test_dataloader.dataset.tiles=7 --resume

The unrefined baseline is always included. All variants see each image once and share what they have in common. A
variant that fails is reported in its row while the others continue, and the exit code is 1. --resume continues an
interrupted run.
"""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__, EXAMPLES)
    add_config_arguments(parser)
    parser.add_argument("--variants", required=True, metavar="FILE", help="what to compare, see configs/refiners")
    parser.add_argument("--out", required=True, metavar="DIR", help="tables, plots, pictures and records go here")
    parser.add_argument(
        "--diagnostics", action="store_true", help="also measure the tokens without labels, see docs/refiners.md"
    )
    parser.add_argument(
        "--pictures", type=int, default=3, metavar="N", help="images of largest gain and loss to draw (default: 3)"
    )
    parser.add_argument("--samples", type=int, default=5000, metavar="N", help="bootstrap draws (default: 5000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the bootstrap (default: 0)")
    add_limit_argument(parser)
    add_resume_arguments(parser)
    return parser.parse_args(arguments)


def read_inputs(args: argparse.Namespace) -> tuple[Config, list[NamedVariant]]:
    """Read the configuration and the variants, and find what is wrong with the arguments."""
    if args.samples < 1 or args.pictures < 0 or args.seed < 0:
        raise OptionError("--samples must be at least 1, --pictures and --seed at least 0")
    check_config_exists(args.config)
    from segearth_ov3.mmseg_plugin.ablation import baseline_settings, check_variants_exist, read_variants
    from segearth_ov3.mmseg_plugin.configuration import load_config

    check_variants_exist(args.variants)
    config = load_config(args.config, args.cfg_options, checkpoint=args.checkpoint, data_root=args.data_root)
    return config, read_variants(args.variants, baseline_settings(config.model))


def prepare(args: argparse.Namespace, config: Config, variants: Sequence[NamedVariant]) -> AblationRun:
    """Check everything that can be checked without weights, then load them."""
    from segearth_ov3.mmseg_plugin.ablation_run import AblationRun
    from segearth_ov3.mmseg_plugin.configuration import check_before_loading

    checked = check_before_loading(config, args.limit)
    if checked.note:
        say(checked.note)
    return AblationRun(config, variants, checked.dataset, diagnostics=args.diagnostics)


def evaluate(ablation: AblationRun, path: Path) -> list[ImageRecord]:
    """Records of all images, in order; those that the file already has are not made again."""
    records, names = ablation.open_records(path), ablation.names()
    missing = {name for name in names if name not in records.records}
    with progress_bar("measuring", "image", total=len(names), initial=len(names) - len(missing)) as bar:
        for record in ablation.measure(missing):
            records.add(record)
            bar.update()
    return [records.records[name] for name in names]


def make_report(ablation: AblationRun, records: Sequence[ImageRecord], args: argparse.Namespace) -> AblationReport:
    """The report of all records."""
    from segearth_ov3.metrics.ablation import Resampling, make_ablation_report
    from segearth_ov3.mmseg_plugin.ablation import to_runs
    from segearth_ov3.mmseg_plugin.evaluation import device_name

    settings = ablation.segmentor.describe()
    baseline, *others = to_runs(ablation.variants, records)
    return make_ablation_report(
        baseline,
        others,
        ablation.classes,
        dataset=ablation.config.get("dataset_name") or type(ablation.dataset).__name__,
        config=Path(args.config).name,
        device=device_name(settings["device"]),
        dtype=settings["dtype"],
        configuration={**settings, "data": ablation.data},
        one_pass=one_pass(records),
        resampling=Resampling(samples=args.samples, seed=args.seed),
    )


def one_pass(records: Sequence[ImageRecord]) -> OnePass | None:
    """What all variants together cost in evaluations of the baseline, over the images that were timed."""
    from segearth_ov3.metrics.ablation import OnePass

    pairs = [(record.total_seconds, record.seconds[0]) for record in records]
    timed = [(total, baseline) for total, baseline in pairs if total is not None and baseline is not None]
    return OnePass.of(sum(total for total, _ in timed), sum(baseline for _, baseline in timed)) if timed else None


def image_gains(records: Sequence[ImageRecord], variant: int) -> np.ndarray:
    """mIoU of each image by a variant less that of the baseline (I,), per cent points."""
    import numpy as np

    from segearth_ov3.metrics.confusion import compute_scores

    def of(index: int) -> np.ndarray:
        return np.array([100 * compute_scores(record.confusion(index)).miou for record in records])

    return of(variant) - of(0)


def draw_pictures(
    ablation: AblationRun, report: AblationReport, records: Sequence[ImageRecord], folder: Path, count: int
) -> None:
    """Images of largest gain and loss of the best and of the worst variant: image | label | baseline | variant."""
    import numpy as np

    from segearth_ov3.atomic import complete_or_absent
    from segearth_ov3.geo.overlay import render_panels

    folder.mkdir(exist_ok=True)
    colors = [tuple(color) for color in ablation.dataset.metainfo["palette"]]
    deltas = {index: entry.delta.delta for index, entry in enumerate(report.variants) if entry.delta}
    for variant in sorted({max(deltas, key=deltas.get), min(deltas, key=deltas.get)} if deltas else ()):
        gains = np.nan_to_num(image_gains(records, variant))
        order = np.argsort(gains, kind="stable")
        chosen = {records[i].image: gains[i] for i in (*order[:count], *order[len(order) - count :]) if gains[i] != 0}
        for name, panels in ablation.compare(set(chosen), variant):
            title, labels = panels.pop()
            panels.append((f"{title}: {chosen[name]:+.2f}", labels))
            kind = "gain" if chosen[name] > 0 else "loss"
            stem = re.sub(r"[^\w.-]+", "_", f"{title}_{kind}_{Path(name).with_suffix('')}")
            with complete_or_absent(folder / f"{stem}.png") as partial:
                render_panels(panels, ablation.classes, colors).save(partial)


def find_earlier(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """What an earlier run has left: all files of the names that this tool writes, and nothing else."""
    return [path for pattern in patterns for path in folder.glob(pattern)]


def run(args: argparse.Namespace) -> AblationReport:
    """Evaluate, report, draw."""
    config, variants = read_inputs(args)
    from segearth_ov3.mmseg_plugin.records import RECORDS
    from segearth_ov3.mmseg_plugin.workfolder import check_leftovers, hold_folder

    folder = Path(args.out)
    with hold_folder(folder):
        records, results = find_earlier(folder, [RECORDS]), find_earlier(folder, RESULTS)
        check_leftovers(folder, records, results, resume=args.resume, overwrite=args.overwrite)
        ablation = prepare(args, config, variants)
        if args.overwrite:
            for path in (*records, *results):
                path.unlink()
        return measure_and_report(args, ablation, folder)


def measure_and_report(args: argparse.Namespace, ablation: AblationRun, folder: Path) -> AblationReport:
    """Measure what is missing; the tables come before the pictures, which can fail on their own."""
    from segearth_ov3.metrics.ablation_plots import write_plots
    from segearth_ov3.metrics.ablation_tables import to_markdown, write_report
    from segearth_ov3.mmseg_plugin.records import RECORDS

    records = evaluate(ablation, folder / RECORDS)
    report = make_report(ablation, records, args)
    write_report(report, folder)
    print(to_markdown(report))
    write_plots(report, folder)
    if args.pictures:
        draw_pictures(ablation, report, records, folder / "pictures", args.pictures)
    say(f"written to {folder}")
    return report


def work(args: argparse.Namespace) -> int:
    failed = [variant for variant in run(args).variants if variant.failure]
    for variant in failed:
        say(f"failed: {variant.name}: {variant.failure}")
    return 1 if failed else 0


def main(arguments: Sequence[str] | None = None) -> int:
    return run_tool(lambda: parse_arguments(arguments), work, lambda args: Path(args.out))


if __name__ == "__main__":
    sys.exit(main())
