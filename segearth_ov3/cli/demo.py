"""`segearth-ov3 demo`: the whole path in the first minute, without weights, data or network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..messages import progress_function
from .options import DeviceType, overwrite_option, resolve_device
from .scenes import make_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..geo.ownership import Overwrite

WINDOW_PX, OVERLAP = 336, 0.5


@click.command()
@click.option(
    "--out",
    metavar="DIR",
    default="segearth-ov3-demo",
    show_default=True,
    help="Folder for the results, made if needed.",
)
@click.option(
    "--size", type=click.IntRange(64, 4096), default=784, show_default=True, help="Side of the scene, pixels."
)
@click.option("--seed", type=click.IntRange(min=0), default=1000238, show_default=True, help="Which scene.")
@click.option("--device", type=DeviceType(), default="auto", show_default=True, help="auto, cpu, cuda, cuda:0 or mps.")
@overwrite_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
def demo(out: str, size: int, seed: int, device: str, overwrite: Overwrite, quiet: bool) -> None:
    """Generate an aerial scene with known labels, segment it, and compare.

    Writes scene.tif, truth.tif, classes.tif and overlay.png, and prints areas and the mIoU against the truth. The
    model is a small one that comes with the package, for trying out and testing, not for maps; everything else is the
    code of `segearth-ov3 segment`. Seeds of 1000000 and more are scenes that the model has never seen.

    \b
    Examples:
      segearth-ov3 demo
      segearth-ov3 demo --out /tmp/demo --seed 1000007 --size 1024
    """
    folder = Path(out)
    source, truth, target, overlay = (
        folder / name for name in ("scene.tif", "truth.tif", "classes.tif", "overlay.png")
    )
    make_folder(folder)
    from ..checkpoints import DEMO_NAME
    from ..datasets import SPECS
    from ..demo.scenes import SCENE_CLASSES, SCENE_COLORS, demo_resolution, generate_scene, write_scene
    from ..geo.options import Outputs, WindowOptions
    from ..geo.output import PICTURE_SUFFIXES, check_destination
    from ..geo.ownership import is_generated_scene
    from ..geo.scene import segment_scene
    from ..geo.style import STYLE_SUFFIX, style_path
    from ..segmenter import Segmenter
    from ..vocabulary import Vocabulary
    from .options import ModelOptions

    for path in (source, truth):  # all, before the first is written
        check_destination(path, (), overwrite="force" if overwrite and is_generated_scene(path) else overwrite)
    check_destination(target, (), overwrite=overwrite)
    check_destination(overlay, (), overwrite=overwrite, suffixes=PICTURE_SUFFIXES)
    check_destination(style_path(target), (), overwrite=overwrite, suffixes=(STYLE_SUFFIX,))
    scene = generate_scene((size, size), seed, res_m=demo_resolution(seed))
    write_scene(scene, source, truth, overwrite=bool(overwrite))
    options = ModelOptions(DEMO_NAME, resolve_device(device), "float32")
    vocabulary = Vocabulary.from_lines(SCENE_CLASSES, background=None)
    segmenter = Segmenter(options.load(), vocabulary, confidence_threshold=SPECS["demo"].settings.confidence_threshold)
    try:
        with progress_function("segmenting", "window", quiet=quiet) as progress:
            report = segment_scene(
                source,
                target,
                segmenter,
                colors=SCENE_COLORS,
                windows=WindowOptions(WINDOW_PX, overlap=OVERLAP),
                outputs=Outputs(overlay=overlay),
                overwrite=overwrite or True,  # of an interrupted demo: what is complete was found above
                progress=progress,
            )
    except BaseException:
        for path in () if overwrite else (source, truth):  # so that the same command works again
            path.unlink()
        raise
    click.echo(str(report))
    click.echo(f"mIoU {mean_iou(target, scene.labels):.4f} against {truth}; look at {overlay}")


def mean_iou(class_map: Path, truth: NDArray) -> float:
    """mIoU of a written class map against true labels (H0, W0)."""
    import rasterio

    from ..demo.scenes import SCENE_CLASSES
    from ..metrics.confusion import compute_scores, confusion_matrix

    with rasterio.open(class_map) as raster:
        labels = raster.read(1)
    return compute_scores(confusion_matrix(truth, labels, len(SCENE_CLASSES))).miou
