"""Every benchmark set from a tiny fake of its download to a score: prepare, configuration, mmengine's test loop.

The demo model predicts; what it predicts does not matter. Labels are compared with the classes that the fake was made
from, and the score is computed again from the saved predictions, by code that shares nothing with the package.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fake_downloads import MAKERS
from fake_pixels import IGNORED, Truth
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from prepare_data.command import RECIPES, main

import segearth_ov3.mmseg_plugin  # noqa: F401  (registers the classes)
from segearth_ov3.datasets import SPECS

pytestmark = [
    pytest.mark.mmseg,
    pytest.mark.filterwarnings("ignore::segearth_ov3.errors.DatasetWarning"),  # sets of few images lack classes
    pytest.mark.filterwarnings("ignore:'pkgutil.find_loader' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Mean of empty slice:RuntimeWarning"),  # of mmseg, where no class is hit
]

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
SINGLE = [name for name in MAKERS if SPECS[name].group != "change"]
PAIRS = [name for name in MAKERS if SPECS[name].group == "change"]

# how a prepared name says which part of an image it is: pattern at its end, order of the numbers
CORNERS, ROWS_FIRST, CORNER_AND_SIZE, ROW_AND_COLUMN = "x0 y0 x1 y1", "y0 y1 x0 x1", "x0 y0 w h", "row column"
CUTS = {
    "isaid": ROWS_FIRST,
    "uavid": ROWS_FIRST,
    "potsdam": CORNERS,
    "vaihingen": CORNERS,
    "inria": CORNERS,
    "gid": CORNER_AND_SIZE,
    "levir_cd": ROW_AND_COLUMN,
    "whu_cd": ROW_AND_COLUMN,
}


def test_every_set_has_a_recipe_and_a_fake():
    names = {name for name, spec in SPECS.items() if spec.group != "generated"}
    assert set(RECIPES) == set(MAKERS) == names


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Truth]]:
    """Prepare a set once; returns its root and the true classes by image."""

    @functools.cache
    def prepare(name: str) -> tuple[Path, Truth]:
        folder = tmp_path_factory.mktemp(name)
        truth = MAKERS[name](folder / "download")
        assert main([name, "--src", str(folder / "download"), "--out", str(folder / "data"), "--partial"]) == 0
        return folder / "data" / SPECS[name].root, truth

    return prepare


def expected_labels(name: str, stem: str, truth: Truth) -> np.ndarray:
    """True classes of a prepared image (H0, W0), found by what its name says."""
    order = CUTS.get(name)
    if order is None:
        return truth[stem]
    count = len(order.split())
    source, *numbers = re.fullmatch(r"(.*?)" + r"_(-?\d+)" * count, stem).groups()
    said = dict(zip(order.split(), map(int, numbers)))
    if order == ROW_AND_COLUMN:
        said = {"x0": 512 * said["column"], "y0": 512 * said["row"], "w": 512, "h": 512}
    x0, y0 = said["x0"], said["y0"]
    x1, y1 = said.get("x1", x0 + said.get("w", 0)), said.get("y1", y0 + said.get("h", 0))
    part = np.full((y1 - y0, x1 - x0), IGNORED, dtype=np.uint8)
    inside = truth[source][y0:y1, x0:x1]
    part[: inside.shape[0], : inside.shape[1]] = inside
    return part


def read_label(name: str, path: Path) -> np.ndarray:
    """Class indices of a prepared label, 255 where a pixel does not count."""
    stored = np.asarray(Image.open(path)).astype(int)
    if name == "dubai":
        from benchmark_samples import read_dubai_label

        return np.where((labels := read_dubai_label(path)) < 0, IGNORED, labels)
    if SPECS[name].reduce_zero_label:
        stored = np.where((stored == 0) | (stored == IGNORED), IGNORED, stored - 1)
    return stored


def items(name: str, root: Path) -> dict[str, tuple[Path, Path]]:
    """Image and label file of every prepared item, by name."""
    spec = SPECS[name]
    images = root / spec.image_dir
    found = {}
    for path in sorted(images.rglob(f"*{spec.image_suffix}")):
        stem = path.relative_to(images).as_posix().removesuffix(spec.image_suffix)
        label_stem = stem.replace("/images/", "/masks/") if name == "dubai" else stem
        found[stem] = (path, root / spec.label_dir / f"{label_stem}{spec.label_suffix}")
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_prepared_labels_are_the_true_classes(prepared, name):
    root, truth = prepared(name)
    found = items(name, root)
    sources = {
        stem if name not in CUTS else re.sub(rf"(_-?\d+){{{len(CUTS[name].split())}}}$", "", stem) for stem in found
    }
    assert sources == set(truth)
    for stem, (image, label) in found.items():
        expected = expected_labels(name, stem, truth)
        assert np.array_equal(read_label(name, label), expected), stem
        with Image.open(image) as opened:
            assert opened.size == expected.shape[::-1]


@pytest.mark.parametrize("name", SINGLE)
def test_score_equals_an_independent_computation(prepared, evaluate, name):
    root, truth = prepared(name)
    results, predictions = evaluate(name, root, f"test_dataloader.dataset.indices={count_of(name)}")
    found = list(items(name, root))[: count_of(name)]
    assert results["images"] == len(found)
    count = len(SPECS[name].classes)
    matrix = np.zeros((count, count), dtype=int)
    for stem in found:
        expected = expected_labels(name, stem, truth)
        predicted = np.asarray(Image.open(predictions / f"{stem}{suffix_of_prediction(name)}"))
        counted = expected != IGNORED
        np.add.at(matrix, (expected[counted], predicted[counted]), 1)
    hits, union = np.diag(matrix), matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    iou = np.array([100 * hit / whole if whole else np.nan for hit, whole in zip(hits, union)])
    reported = [np.nan if entry["IoU"] is None else entry["IoU"] for entry in results["per_class"]]
    np.testing.assert_allclose(reported, iou, atol=1e-9)
    assert results["mIoU"] == pytest.approx(np.nanmean(iou))


def count_of(name: str) -> int:
    """How many images are segmented: one where there are many prompts, each of which takes its time."""
    return 1 if len(SPECS[name].classes) > 25 else 4


def suffix_of_prediction(name: str) -> str:
    """End of the names of saved predictions: that of the image with .png instead of its extension."""
    return str(Path(f"x{SPECS[name].image_suffix}").with_suffix(".png"))[1:]


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_are_loaded_with_their_label(prepared, name):
    root, truth = prepared(name)
    config = Config.fromfile(CONFIGS / "_base_" / f"{name}.py")
    config.test_dataloader.dataset.data_root = str(root)
    config.test_dataloader.num_workers = 0
    loader = Runner.build_dataloader(config.test_dataloader)
    spec = SPECS[name]
    assert len(loader) == len(items(name, root))
    for batch in loader:
        (sample,), (pixels,) = batch["data_samples"], batch["inputs"]
        stem = Path(sample.img_path).stem
        expected = expected_labels(name, stem, truth)
        assert np.array_equal(sample.gt_sem_seg.data[0].numpy(), expected)
        assert pixels.shape == (6, *expected.shape)
        for part, folder in ((pixels[:3], spec.image_dir), (pixels[3:], spec.after_dir)):
            rgb = np.asarray(Image.open(root / folder / f"{stem}.png"))
            assert np.array_equal(part.flip(0).permute(1, 2, 0).numpy(), rgb)
