"""`segearth-ov3 evaluate` from files to results, with a tiny network; scores are computed again from predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner, Result
from evaluation_tools import ROOT, load_tool, quicken_logs, report_of, save_tiny_weights
from mmengine.config import Config
from PIL import Image

from segearth_ov3.cli.evaluate import set_name
from segearth_ov3.cli.main import main
from segearth_ov3.geo.raster import without_georeference_warning
from segearth_ov3.metrics.report import Report
from segearth_ov3.mmseg_plugin import segmentor

pytestmark = [
    pytest.mark.mmseg,
    # from Python 3.12 on, both from mmengine's way of working: how it looks for mmcv's operators, and loader processes
    pytest.mark.filterwarnings("ignore:'pkgutil.find_loader' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

CLASSES = "grass; building,house; road"
RED, BLUE, GREY, WHITE = (255, 0, 0), (0, 0, 255), (90, 90, 90), (255, 255, 255)


@pytest.fixture(autouse=True)
def _quick_logs(monkeypatch):
    quicken_logs(monkeypatch)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """Three images with labels 0 to 2 and 255."""
    rng = np.random.default_rng(5)
    for folder in ("images", "labels"):
        (tmp_path / "town" / folder).mkdir(parents=True)
    for number in range(3):
        size = (30 + number, 40)
        label = np.kron(rng.integers(0, 3, (4, 5)), np.ones((8, 8)))[: size[0]].astype(np.uint8)
        label[0, :3] = 255
        Image.fromarray(label).save(tmp_path / f"town/labels/{number}.png")
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / f"town/images/{number}.jpg")
    return tmp_path / "town"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def evaluate(*arguments: object, weights: Path, out: Path) -> Report:
    """Run the command; return its report."""
    result = run(*arguments, "--checkpoint", weights, "--out", out, "--workers", 0, "--save-predictions")
    assert result.exit_code == 0, result.output
    report = report_of(out)
    assert result.stdout == (out / "results.md").read_text(encoding="utf-8")
    return report


def confusion(labels: dict[str, np.ndarray], predictions: Path, classes: int) -> tuple[tuple[int, ...], ...]:
    """Counts of label and prediction, by code that shares nothing with the package; labels by stem."""
    counts = np.zeros((classes, classes), dtype=int)
    for stem, label in labels.items():
        predicted = np.asarray(Image.open(predictions / f"{stem}.png"))
        for true in range(classes):
            for found in range(classes):
                counts[true, found] += ((label == true) & (predicted == found)).sum()
    return tuple(map(tuple, counts.tolist()))


def labels_of(town: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.asarray(Image.open(path)) for path in sorted((town / "labels").iterdir())}


def test_folders_of_images_and_indices_give_the_score_of_an_independent_computation(town, weights, tmp_path):
    out = tmp_path / "out"
    report = evaluate(town / "images", town / "labels", "--classes", CLASSES, weights=weights, out=out)
    assert report.confusion == confusion(labels_of(town), out / "predictions", 3)
    assert (report.dataset, report.images, report.headline[0]) == ("town", 3, "mIoU")
    assert [entry.name for entry in report.per_class] == ["grass", "building", "road"]
    assert sum(entry.predicted_pixels > 0 for entry in report.per_class) > 1


def test_binary_masks_of_any_depth_are_mapped(town, weights, tmp_path):
    labels = {stem: (label == 1).astype(int) for stem, label in labels_of(town).items()}
    (tmp_path / "map.txt").write_text("# roofs\n255: 1\n")
    found = []
    for number, (name, dtype) in enumerate((("8 bit", "uint8"), ("16 bit", "uint16"), ("RGB", "uint8"))):
        folder = tmp_path / name
        folder.mkdir()
        for stem, label in labels.items():
            mask = Image.fromarray((255 * label).astype(dtype))
            (mask.convert("RGB") if name == "RGB" else mask).save(folder / f"{stem}.png")
        label_map = "255: 1" if number else tmp_path / "map.txt"
        options = ["--classes", "background; building", "--label-map", label_map]
        out = tmp_path / f"out{number}"
        found.append(evaluate(town / "images", folder, *options, weights=weights, out=out))
        assert found[-1].confusion == confusion(labels, out / "predictions", 2)
    assert found[0].headline == found[1].headline == ("IoU building", found[2].per_class[1].IoU)


def test_colours_are_classes(town, weights, tmp_path):
    colors = np.array([GREY, RED, BLUE], dtype=np.uint8)
    (tmp_path / "masks").mkdir()
    for stem, label in labels_of(town).items():
        mask = np.where((label == 255)[..., None], np.uint8(WHITE), colors[np.minimum(label, 2)])
        Image.fromarray(mask).save(tmp_path / f"masks/{stem}.png")
    (tmp_path / "colors.txt").write_text("road,0,0,255\ngrass,#5A5A5A\nbuilding,#FF0000\nignore,255,255,255\n")
    options = ["--classes", CLASSES, "--colors", tmp_path / "colors.txt", "--show-dir", tmp_path / "pictures"]
    out = tmp_path / "out"
    report = evaluate(town / "images", tmp_path / "masks", *options, weights=weights, out=out)
    assert report.confusion == confusion(labels_of(town), out / "predictions", 3)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["0.png", "1.png", "2.png"]


def test_table_of_16_bit_scenes_with_many_bands(town, weights, tmp_path):
    rng = np.random.default_rng(1)
    lines = ["image,label"]
    for stem, label in labels_of(town).items():
        shape = {"driver": "GTiff", "count": 5, "height": label.shape[0], "width": label.shape[1], "dtype": "uint16"}
        with without_georeference_warning(), rasterio.open(tmp_path / f"s{stem}.tif", "w", **shape) as raster:
            raster.write(rng.integers(0, 4096, (5, *label.shape)).astype("uint16"))
        lines.append(f"s{stem}.tif,town/labels/{stem}.png")
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    options = ["--classes", CLASSES, "--bands", "4,3,2"]
    report = evaluate(tmp_path / "pairs.csv", *options, weights=weights, out=tmp_path / "out")
    labels = {f"s{stem}": label for stem, label in labels_of(town).items()}
    assert report.confusion == confusion(labels, tmp_path / "out/predictions", 3)


def test_limit_windows_and_headline_are_used(town, weights, tmp_path):
    options = ["--classes", CLASSES, "--limit", 2, "--window", 24, "--stride", 16, "--headline", "road"]
    report = evaluate(town / "images", town / "labels", *options, weights=weights, out=tmp_path / "out")
    assert (report.images, report.images_of, report.headline[0]) == (2, 3, "IoU road")
    assert (report.configuration["window"], report.configuration["stride"]) == (24, 16)


@pytest.fixture
def saved(town, weights, tmp_path) -> tuple[Report, Path]:
    """The report of a run that saved its configuration, and that."""
    options = ["--classes", CLASSES, "--save-config", tmp_path / "my_set.py", "--prob-threshold", 0.1]
    options += ["--refiner", "smoothing:weight=0.2,at=memory", "--label-map", "1:0,0:1", "--window", 24]
    report = evaluate(town / "images", town / "labels", *options, weights=weights, out=tmp_path / "out")
    return report, tmp_path / "my_set.py"


def test_saved_configuration_gives_the_same_result_with_the_tools(saved, tmp_path, monkeypatch):
    report, config = saved
    monkeypatch.chdir(tmp_path)
    assert load_tool("test").main([str(config), "--out", "again"]) == 0
    assert report_of(Path("again")).confusion == report.confusion
    assert report_of(Path("again")).headline == report.headline
    assert load_tool("benchmark").main([str(config), "--out", "sets", "--data-dir", "elsewhere"]) == 0
    assert report_of(Path("sets/my_set")).confusion == report.confusion


def test_saved_configuration_can_be_ablated(saved, tmp_path, monkeypatch):
    _, config = saved
    monkeypatch.chdir(tmp_path)
    variants = ROOT / "configs/refiners/thresholds.py"
    arguments = [str(config), "--variants", str(variants), "--out", "ablation", "--pictures", "0", "--samples", "10"]
    assert load_tool("ablate").main(arguments) == 0
    assert (tmp_path / "ablation/ablation.json").exists()


def test_saved_configuration_follows_data_that_moved(saved, town, tmp_path):
    report, config = saved
    town.rename(tmp_path / "moved")
    out = str(tmp_path / "again")
    assert load_tool("test").main([str(config), "--out", out, "--data-root", str(tmp_path / "moved")]) == 0
    assert report_of(Path(out)).confusion == report.confusion


def test_earlier_run_is_kept_resumed_or_replaced_as_asked(town, weights, tmp_path):
    options = [town / "images", town / "labels", "--checkpoint", weights, "--out", tmp_path / "out", "--workers", 0]
    assert run(*options, "--classes", CLASSES).exit_code == 0
    refused = run(*options, "--classes", CLASSES)
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "holds an earlier run; --resume continues it, --overwrite replaces it" in refused.stderr
    assert run(*options, "--classes", CLASSES, "--resume").exit_code == 0
    assert "holds another run" in run(*options, "--classes", "grass; hut; road", "--resume").stderr
    assert run(*options, "--classes", "grass; hut; road", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--classes", "a; b"], "labels/0.png: values [2] are no class; expected 0 to 1"),
        (["--classes", CLASSES, "--label-map", "0:7"], "'0:7': expected the index of a class, 0 to 2, or ignore"),
        (["--classes", CLASSES, "--label-map", "nowhere.txt"], "cannot read nowhere.txt: No such file"),
        (["--classes", CLASSES, "--colors", "nowhere.txt"], "cannot read nowhere.txt: No such file"),
        (["--classes", CLASSES, "--headline", "roof"], "headline: expected mIoU or one of grass, building, road"),
        (["--classes", CLASSES, "--save-config", "nowhere/a.py"], "the folder nowhere does not exist; create it first"),
        (["--classes", CLASSES, "--checkpoint", "nowhere.pt"], "nowhere.pt does not exist"),
    ],
)
def test_mistake_is_one_line_before_the_weights_are_loaded(town, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(segmentor, "load_sam3", lambda *given, **options: pytest.fail("the weights were loaded"))
    result = run(town / "images", town / "labels", "--checkpoint", "demo", *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "work_dirs").exists()


def test_missing_label_is_named(town):
    (town / "labels/1.png").unlink()
    result = run(town / "images", town / "labels", "--classes", CLASSES, "--checkpoint", "demo")
    assert "1 of 3 images have no label" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected IMAGES and LABELS, or one CSV file of pairs, got 0 paths"),
        (["images"], "got 1 paths"),
        (["a", "b", "--classes", "a", "--label-map", "1:0", "--colors", "c.txt"], "--label-map or --colors, not both"),
        (["a", "b", "--classes", "a", "--stride", "9"], "--stride needs --window"),
        (["a", "b", "--classes", "a", "--window", "8", "--stride", "9"], "at most as large"),
        (["a", "b", "--classes", "a", "--resume", "--overwrite"], "--resume or --overwrite, not both"),
        (["a", "b", "--classes", "a", "--save-config", "my_set"], "expected a name that ends with .py"),
        (["a", "b"], "exactly one of --classes and --vocab"),
    ],
)
def test_wrong_arguments_end_in_usage(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_set_never_takes_the_name_of_a_benchmark_set():
    assert set_name(Path("/data/inria")) == "own_inria"
    assert set_name(Path("/data/My town")) == "My_town"


def test_entries_of_the_saved_configuration_are_those_of_the_shipped_ones():
    from segearth_ov3.mmseg_plugin.own_config import LOADER, RUNTIME, label_step, pipeline

    shipped = Config.fromfile(ROOT / "configs/_base_/default_runtime.py").to_dict()
    loader = shipped.pop("test_dataloader")
    assert pipeline(label_step(None)) == shipped.pop("test_pipeline") == loader.pop("dataset")["pipeline"]
    assert loader == LOADER
    assert {key: value for key, value in shipped.items() if key not in ("model", "headline")} == RUNTIME


def test_one_class_is_refused_before_anything_is_read(tmp_path):
    result = run(tmp_path / "images", tmp_path / "labels", "--classes", "building, road, tree")
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 1
    assert "there is one class, 'building' with the synonyms 'road', 'tree'" in line
    assert '("building; road; tree")' in line
