"""What it costs to segment a large scene besides the network, and whether windows can be seen in the result.

    python benchmarks/scenes.py --out scenes.json
    python benchmarks/scenes.py --size 4000 --seam-scenes 1        # a try

    streaming   a generated scene of 20 000 x 20 000 pixels, 10 classes, and a predictor that costs next to nothing:
                pixels per second, time outside of the predictor (waiting for reading and blending, and the writing at
                the end; and as processor time of all threads), peak memory; as one strip and in several, which has to
                give the same labels
    network     the demo model on a smaller scene: the share of time outside of it
    seams       the demo model on generated scenes, by two plans of windows that are shifted against each other: how
                many labels differ near the borders of windows and how many away from them

Every run has a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import rasterio
from harness import out_option, result_json, write_result
from rasterio.transform import Affine
from rasterio.windows import Window

from segearth_ov3.cli.process import Program
from segearth_ov3.demo.scenes import SCENE_CLASSES, demo_resolution, generate_scene
from segearth_ov3.geo.options import WindowOptions
from segearth_ov3.geo.scene import segment_scene
from segearth_ov3.geo.tiles import plan_scene
from segearth_ov3.metrics.report import markdown_table
from segearth_ov3.segmenter import Segmenter
from segearth_ov3.vocabulary import Vocabulary

SCHEMA = "segearth-ov3/scenes/2"
CLASSES = [f"class {index}" for index in range(10)]
DEMO_WINDOW, OVERLAP = 336, 0.25
NEAR_PX = 16
PLACE: dict[str, Any] = {"crs": "EPSG:32633", "transform": Affine(0.3, 0, 400_000, 0, -0.3, 5_800_000)}
TILED: dict[str, Any] = {"driver": "GTiff", "dtype": "uint8", "count": 3, "tiled": True, "compress": "lzw"}


class Timed:
    """A predictor whose time is added up."""

    def __init__(self, predict: Callable[[np.ndarray], Any]) -> None:
        self._predict = predict
        self.seconds = self.cpu_seconds = 0.0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Scores of windows."""
        start, cpu_start = time.perf_counter(), time.thread_time()
        scores = np.asarray(self._predict(images))
        self.seconds += time.perf_counter() - start
        self.cpu_seconds += time.thread_time() - cpu_start
        return scores


def trivial_scores(images: np.ndarray) -> np.ndarray:
    """Scores of ten classes (B, 10, S, S): the nearer red is to a class's level, the higher."""
    red = images[..., 0].astype(np.float32) / 255
    return np.stack([1 - abs(red - index / 9) for index in range(10)], axis=1)


def write_large_scene(path: Path, size: int) -> None:
    """A pattern in 8-bit RGB, in blocks; without data outside of a tilted band that covers about two thirds."""
    rows, cols = np.mgrid[:1024, :1024]
    pattern = np.stack([(np.sin(rows / 40 + k) * np.cos(cols / 60 - k) + 1.02) * 126 for k in range(3)])
    pattern = pattern.astype(np.uint8)  # 2 and more: 0 is no data
    options = {**TILED, "height": size, "width": size, "blockxsize": 512, "blockysize": 512, "nodata": 0}
    with rasterio.open(path, "w", bigtiff="if_safer", sparse_ok=True, **options, **PLACE) as raster:
        for row in range(0, size, 1024):
            for col in range(0, size, 1024):
                if abs(row - col) < 0.42 * size:
                    height, width = min(1024, size - row), min(1024, size - col)
                    raster.write(pattern[:, :height, :width], window=Window(col, row, width, height))


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure_streaming(scene: Path, target: Path, strip_px: int | None) -> dict[str, Any]:
    """One pass over the large scene with the trivial predictor."""
    predict, before = Timed(trivial_scores), peak_bytes()
    start, cpu_start = time.perf_counter(), time.process_time()
    report = segment_scene(scene, target, predict, classes=CLASSES, windows=WindowOptions(1008, strip_px=strip_px))
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    pixels = report.valid_pixels + report.invalid_pixels
    return {
        "strip_px": strip_px,
        "seconds": seconds,
        "outside_s": seconds - predict.seconds,
        "cpu_s": cpu_seconds,
        "outside_cpu_s": cpu_seconds - predict.cpu_seconds,
        "pixels_per_s": pixels / seconds,
        "pixels_per_cpu_s_outside": pixels / (cpu_seconds - predict.cpu_seconds),
        "valid_share": report.valid_pixels / pixels,
        "peak_bytes": peak_bytes() - before,
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
    }


def demo_predictor() -> Callable[[np.ndarray], np.ndarray]:
    """Class scores of the demo model."""
    from segearth_ov3.checkpoints import DEMO_NAME, load_sam3

    vocabulary = Vocabulary.from_lines(SCENE_CLASSES, background=None)
    segmenter = Segmenter(load_sam3(DEMO_NAME), vocabulary, confidence_threshold=0.3)
    return lambda images: segmenter.class_scores(images).numpy()


def write_demo_scene(path: Path, image: np.ndarray) -> None:
    height, width = image.shape[:2]
    with rasterio.open(path, "w", **TILED, height=height, width=width, **PLACE) as raster:
        raster.write(image.transpose(2, 0, 1))


def measure_network(folder: Path, size: int) -> dict[str, Any]:
    """The demo model on a generated scene."""
    write_demo_scene(folder / "demo.tif", generate_scene((size, size), 1_000_157, res_m=0.3).image)
    predict = Timed(demo_predictor())
    predict(np.zeros((1, DEMO_WINDOW, DEMO_WINDOW, 3), np.uint8))  # the first call sets up what others reuse
    predict.seconds = 0.0
    start = time.perf_counter()
    segment_scene(
        folder / "demo.tif",
        folder / "demo-classes.tif",
        predict,
        classes=SCENE_CLASSES,
        windows=WindowOptions(DEMO_WINDOW, overlap=OVERLAP),
    )
    seconds = time.perf_counter() - start
    return {"size": size, "seconds": seconds, "share_outside": 1 - predict.seconds / seconds}


def borders_near(length: int, overlap: float, shift: int) -> np.ndarray:
    """Whether a pixel of an axis lies within 16 pixels of a border of a window; the axis begins at `shift`."""
    plan = plan_scene((length - shift, length - shift), DEMO_WINDOW, overlap)
    borders = set(plan.row_starts) | {start + plan.side for start in plan.row_starts}
    inner = np.array(sorted(borders - {0, length - shift})) + shift
    pixels = np.arange(length)[:, None] + 0.5
    return (abs(pixels - inner) <= NEAR_PX).any(axis=1)


def measure_seams(folder: Path, seeds: list[int], size: int) -> list[dict[str, Any]]:
    """Labels of two plans, one shifted by half a stride, compared near borders and away from them."""
    predict, known = demo_predictor(), {}

    def remembered(images: np.ndarray) -> np.ndarray:
        key = hashlib.sha256(images.tobytes()).digest()
        if key not in known:
            known[key] = predict(images)
        return known[key]

    ways = [("cosine", OVERLAP), ("uniform", OVERLAP), ("centre", OVERLAP), ("uniform", 0.0)]
    counts = {way: np.zeros((2, 2), int) for way in ways}  # away and near; same and different
    for seed in seeds:
        image = generate_scene((size, size), seed, res_m=demo_resolution(seed)).image
        for blending, overlap in ways:
            shift = round(DEMO_WINDOW * (1 - overlap)) // 2
            options = WindowOptions(DEMO_WINDOW, overlap=overlap, blending=blending)
            labels = []
            for part in (image, image[shift:, shift:]):
                write_demo_scene(folder / "seams.tif", part)
                target = folder / "seams-classes.tif"
                segment_scene(
                    folder / "seams.tif", target, remembered, classes=SCENE_CLASSES, windows=options, overwrite=True
                )
                with rasterio.open(target) as written:
                    labels.append(written.read(1))
            near = borders_near(size, overlap, 0) | borders_near(size, overlap, shift)
            near_here = (near[:, None] | near)[shift:, shift:]
            differs = labels[0][shift:, shift:] != labels[1]
            np.add.at(counts[blending, overlap], (near_here.astype(int), differs.astype(int)), 1)
    return [
        {
            "blending": blending,
            "overlap": overlap,
            "differing_near": float(table[1, 1] / table[1].sum()),
            "differing_away": float(table[0, 1] / table[0].sum()),
        }
        for (blending, overlap), table in counts.items()
    ]


def measure_all(folder: Path, size: int, strip_px: int, network_size: int, seam_scenes: int) -> dict[str, Any]:
    """Everything, each run in a fresh process."""
    scene = folder / "large.tif"
    write_large_scene(scene, size)
    seeds = [1_000_157 + 10 * index for index in range(seam_scenes)]
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        whole = pool.apply(measure_streaming, (scene, folder / "whole.tif", size))
        strips = pool.apply(measure_streaming, (scene, folder / "strips.tif", strip_px))
        network = pool.apply(measure_network, (folder, network_size))
        seams = pool.apply(measure_seams, (folder, seeds, 1008)) if seeds else []
    return {"size": size, "streaming": [whole, strips], "network": network, "seams": seams}


def as_markdown(result: dict[str, Any]) -> str:
    """Tables of a result."""
    runs = [
        ["Strips, px", "s", "s outside", "CPU s", "CPU s outside", "Mpx / s", "Mpx / CPU s outside", "MiB", "SHA-256"]
    ]
    for run in result["streaming"]:
        rates = [f"{run[key] / 1e6:.1f}" for key in ("pixels_per_s", "pixels_per_cpu_s_outside")]
        seconds = [f"{run[key]:.1f}" for key in ("seconds", "outside_s", "cpu_s", "outside_cpu_s")]
        peak = f"{run['peak_bytes'] / 2**20:.0f}"
        runs.append([str(run["strip_px"]), *seconds, *rates, peak, run["sha256"][:12]])
    seams = [["Blending", "Overlap", f"Differ within {NEAR_PX} px of a border, %", "Differ elsewhere, %"]]
    for row in result["seams"]:
        shares = [f"{100 * row[key]:.2f}" for key in ("differing_near", "differing_away")]
        seams.append([row["blending"], f"{row['overlap']:g}", *shares])
    network = result["network"]
    return "\n\n".join(
        [
            f"Streaming, {result['size']} x {result['size']} pixels, {len(CLASSES)} classes, trivial predictor:",
            markdown_table(runs),
            f"Demo model, {network['size']} x {network['size']} pixels: {network['seconds']:.1f} s, "
            f"{100 * network['share_outside']:.1f} % outside of the network",
            markdown_table(seams),
        ]
    )


@click.command(cls=Program)
@click.option("--size", type=click.IntRange(1008), default=20_000, show_default=True, help="Side of the large scene.")
@click.option("--strip", "strip_px", type=click.IntRange(1), default=6000, show_default=True, help="Of the second run.")
@click.option("--network-size", type=click.IntRange(336), default=1500, show_default=True, help="For the demo model.")
@click.option("--seam-scenes", type=click.IntRange(0), default=2, show_default=True, help="Scenes to find seams in.")
@out_option
def main(size: int, strip_px: int, network_size: int, seam_scenes: int, out: Path | None) -> None:
    """Measure how scenes are read, blended and written, and print tables.

    \b
    Example:
      python benchmarks/scenes.py --size 4000 --seam-scenes 1
    """
    with tempfile.TemporaryDirectory() as folder:
        result = measure_all(Path(folder), size, strip_px, network_size, seam_scenes)
    write_result(result_json(SCHEMA, "cpu", result), out)
    click.echo(as_markdown(result))
    hashes = {run["sha256"] for run in result["streaming"]}
    if len(hashes) != 1:
        raise click.ClickException("strips changed the labels")


if __name__ == "__main__":
    main()
