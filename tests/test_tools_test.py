"""`tools/test.py` from files to results: the whole loop of mmengine, with a stand-in or a tiny network.

The same mIoU is computed again from the saved predictions, by code that shares nothing with the package.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from benchmark_samples import independent_iou, make_dubai, make_loveda, read_dubai_label, read_reduced_label
from evaluation_tools import ROOT, config_of, load_tool, quicken_logs, report_of, save_tiny_weights
from fake_model import FakeSam3
from PIL import Image
from safetensors.torch import save_file

from segearth_ov3.metrics.report import Report

pytestmark = [
    pytest.mark.mmseg,
    # from Python 3.12 on, both from mmengine's way of working: how it looks for mmcv's operators, and loader processes
    pytest.mark.filterwarnings("ignore:'pkgutil.find_loader' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::segearth_ov3.errors.DatasetWarning"),  # sets of two images lack classes
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

TOOL = ROOT / "tools" / "test.py"
IN_PROCESS = ["test_dataloader.num_workers=0"]

Run = Callable[..., Path]


@pytest.fixture(autouse=True)
def _quick_logs(monkeypatch):
    quicken_logs(monkeypatch)


@pytest.fixture(scope="module")
def tool():
    """The tool as a module."""
    return load_tool("test")


@pytest.fixture
def evaluate(tool, monkeypatch, tmp_path) -> Run:
    """Run the tool with a stand-in for the network; returns the folder with the results."""
    from segearth_ov3.mmseg_plugin import segmentor

    monkeypatch.setattr(segmentor, "load_sam3", lambda path, **_: FakeSam3())
    weights = tmp_path / "weights.safetensors"
    save_file({}, weights)
    runs = itertools.count()

    def run(
        name: str | Path, root: Path, *arguments: str, options: tuple[str, ...] = (), out: Path | None = None
    ) -> Path:
        out = out or tmp_path / f"out{next(runs)}"
        config = name if isinstance(name, Path) else config_of(name)
        command = [str(config), "--data-root", str(root), "--out", str(out)]
        command += ["--checkpoint", str(weights), "--save-predictions", *arguments]
        assert tool.main([*command, "--cfg-options", *IN_PROCESS, *options]) == 0
        return out

    return run


def assert_equal_scores(report: Report, iou: np.ndarray) -> None:
    """Compare with IoU per class (C,), NaN where not defined."""
    assert [entry.IoU for entry in report.per_class] == pytest.approx(
        [None if np.isnan(value) else value for value in iou], abs=1e-6
    )
    assert report.mIoU == pytest.approx(np.nanmean(iou), abs=1e-6)


def indexed_pairs(root: Path, out: Path, labels: str = "ann_dir/val") -> list[tuple[Path, Path]]:
    """Label and prediction files of a set in mmseg's layout."""
    return [(path, out / "predictions" / path.name) for path in sorted((root / labels).glob("*.png"))]


def dubai_pairs(root: Path, out: Path) -> list[tuple[Path, Path]]:
    """Mask and prediction files of the Dubai set for which there is a prediction."""
    predictions = sorted((out / "predictions").glob("Tile */images/*.png"))
    return [(root / path.parts[-3] / "masks" / path.name, path) for path in predictions]


def test_miou_equals_an_independent_computation_where_zero_is_ignored(evaluate, tmp_path):
    root = make_loveda(tmp_path / "LoveDA")
    out = evaluate("loveda", root, options=("model.prob_threshold=0.2",))
    assert_equal_scores(report_of(out), independent_iou(indexed_pairs(root, out), 7, read_reduced_label))


def test_miou_equals_an_independent_computation_on_colour_and_palette_masks(evaluate, tmp_path):
    root = make_dubai(tmp_path / "dubai")
    out = evaluate("dubai", root)
    pairs = dubai_pairs(root, out)
    assert len(pairs) == 4
    assert_equal_scores(report_of(out), independent_iou(pairs, 5, read_dubai_label))


@pytest.mark.parametrize(("name", "folder", "classes"), [("loveda", "loveda", 7), ("potsdam", "potsdam", 6)])
def test_miou_equals_an_independent_computation_on_real_samples(evaluate, shared_data, name, folder, classes):
    root = shared_data / "mmseg_fixtures" / f"pseudo_{folder}_dataset"
    out = evaluate(name, root, options=(*REAL_LAYOUT, "model.prob_threshold=0.2"))
    pairs = indexed_pairs(root, out, "ann_dir")
    assert len(pairs) == report_of(out).images > 0
    assert_equal_scores(report_of(out), independent_iou(pairs, classes, read_reduced_label))


REAL_LAYOUT = (
    "test_dataloader.dataset.data_prefix.img_path=img_dir",
    "test_dataloader.dataset.data_prefix.seg_map_path=ann_dir",
)


def test_miou_equals_an_independent_computation_on_real_false_colour_images(evaluate, shared_data):
    root = shared_data / "mmseg_fixtures" / "pseudo_vaihingen_dataset"
    out = evaluate("vaihingen", root, options=(*REAL_LAYOUT, "model.prob_threshold=0"))
    assert_equal_scores(report_of(out), independent_iou(indexed_pairs(root, out, "ann_dir"), 6, read_reduced_label))


def test_miou_equals_an_independent_computation_on_real_dubai_images(evaluate, shared_data):
    root = shared_data / "dubai_aerial"
    options = ("test_dataloader.dataset.tiles=1,2", "test_dataloader.dataset.parts=1,2")
    out = evaluate("dubai", root, options=options)
    pairs = dubai_pairs(root, out)
    assert len(pairs) == 4
    assert_equal_scores(report_of(out), independent_iou(pairs, 5, read_dubai_label))


def test_predictions_are_of_several_classes(evaluate, tmp_path):
    """Otherwise the comparisons above would prove little."""
    out = evaluate("dubai", make_dubai(tmp_path / "dubai"))
    assert sum(entry.predicted_pixels > 0 for entry in report_of(out).per_class) >= 3


def test_batches_of_images_of_different_sizes_change_nothing(evaluate, tmp_path):
    root = make_dubai(tmp_path / "dubai")
    confusions = [
        report_of(evaluate("dubai", root, options=(f"test_dataloader.batch_size={size}",))).confusion for size in (1, 3)
    ]
    assert confusions[0] == confusions[1]


def test_ignored_pixels_do_not_count(evaluate, tmp_path):
    root = make_dubai(tmp_path / "dubai")
    total = sum(sum(row) for row in report_of(evaluate("dubai", root)).confusion)
    assert total == sum((read_dubai_label(path) >= 0).sum() for path in root.glob("Tile */masks/*.png"))


def test_scores_agree_with_those_of_mmsegs_own_metric(evaluate, tmp_path, monkeypatch):
    from mmseg.evaluation import IoUMetric

    metrics: dict[str, float] = {}
    compute = IoUMetric.compute_metrics
    monkeypatch.setattr(IoUMetric, "compute_metrics", lambda self, results: keep(metrics, compute(self, results)))
    config = tmp_path / "both.py"
    metric = "dict(type='IoUMetric', iou_metrics=['mIoU', 'mFscore'])"
    config.write_text(f"_base_ = '{config_of('loveda')}'\ntest_evaluator = [{metric}]\n")
    report = report_of(evaluate(config, make_loveda(tmp_path / "LoveDA")))
    for name in ("mIoU", "aAcc", "mAcc", "mFscore"):
        assert metrics[name] == pytest.approx(getattr(report, name), abs=0.00501), name


def keep(target: dict[str, float], found: dict[str, float]) -> dict[str, float]:
    target.update(found)
    return found


def test_table_is_on_screen(evaluate, tmp_path, capfd):
    out = evaluate("loveda", make_loveda(tmp_path / "LoveDA"))
    assert capfd.readouterr().out.endswith((out / "results.md").read_text(encoding="utf-8"))


def test_results_say_what_they_depend_on(evaluate, tmp_path):
    out = evaluate("loveda", make_loveda(tmp_path / "LoveDA"), options=("model.prob_threshold=0.25",))
    report = report_of(out)
    assert (report.dataset, report.images, report.dtype) == ("loveda", 2, "float32")
    assert report.device.startswith("cpu (")
    assert report.seconds_per_image > 0
    assert report.configuration["prob_threshold"] == 0.25
    assert report.configuration["classes"][1] == ["building", "house"]
    assert report.configuration["checkpoint"] == "weights.safetensors"
    assert report.configuration["config"] == "segearth-ov3_loveda.py"
    assert {"torch", "mmsegmentation", "mmengine"} <= set(report.versions)


def test_table_is_written_beside_the_results(evaluate, tmp_path):
    table = (evaluate("loveda", make_loveda(tmp_path / "LoveDA")) / "results.md").read_text(encoding="utf-8")
    assert table.startswith("| Class")
    assert table.count("\n|") == 1 + 7 + 1


def test_predictions_are_8_bit_grey_images_of_class_indices(evaluate, tmp_path):
    out = evaluate("loveda", make_loveda(tmp_path / "LoveDA"))
    with Image.open(out / "predictions" / "0.png") as image:
        assert (image.mode, image.size) == ("L", (56, 40))
        assert np.asarray(image).max() < 7


def test_pictures_show_image_label_and_prediction(evaluate, tmp_path, monkeypatch):
    from segearth_ov3.mmseg_plugin import hooks

    panels: list[list[tuple[str, np.ndarray]]] = []
    render = hooks.render_panels
    monkeypatch.setattr(hooks, "render_panels", lambda given, *rest: panels.append(given) or render(given, *rest))
    root = make_loveda(tmp_path / "LoveDA")
    out = evaluate("loveda", root, "--show-dir", str(tmp_path / "pictures"))
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["0.png", "1.png"]
    assert [title for title, _ in panels[0]] == ["image", "label", "prediction"]
    stored = read_reduced_label(root / "ann_dir/val/0.png")
    for (_, content), expected in zip(
        panels[0],
        (
            np.asarray(Image.open(root / "img_dir/val/0.png")),
            np.where(stored < 0, 255, stored),
            np.asarray(Image.open(out / "predictions/0.png")),
        ),
    ):
        assert np.array_equal(content, expected)


def test_pictures_of_equal_names_in_several_folders_are_kept_apart(evaluate, tmp_path):
    evaluate("dubai", make_dubai(tmp_path / "dubai"), "--show-dir", str(tmp_path / "pictures"))
    assert len(list((tmp_path / "pictures").glob("Tile */images/image_part_00?.png"))) == 4


def test_logs_go_to_the_work_folder(evaluate, tmp_path):
    out = evaluate("loveda", make_loveda(tmp_path / "LoveDA"), "--work-dir", str(tmp_path / "logs"))
    assert list((tmp_path / "logs").rglob("*.log"))
    assert not list(out.rglob("*.log"))


def test_incomplete_set_is_called_not_comparable(evaluate, tmp_path, capsys):
    evaluate("loveda", make_loveda(tmp_path / "LoveDA"))
    assert "2 images; all of LoveDA (val) are 1669: not comparable with published scores" in capsys.readouterr().err


@pytest.fixture(scope="module")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a tiny network with deterministic random weights."""
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


def test_real_network_runs_the_whole_way_from_a_checkpoint(tool, small_weights, tmp_path):
    root, out = make_dubai(tmp_path / "dubai"), tmp_path / "out"
    command = [str(ROOT / "configs" / "segearth-ov3_dubai.py"), "--data-root", str(root), "--out", str(out)]
    command += ["--checkpoint", str(small_weights), "--save-predictions", "--cfg-options", *IN_PROCESS]
    assert tool.main(command) == 0
    assert_equal_scores(report_of(out), independent_iou(dubai_pairs(root, out), 5, read_dubai_label))


def failed(tool, capsys, *arguments: str) -> str:
    """Run the tool on a mistake; returns the one line it says."""
    assert tool.main(list(arguments)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_missing_configuration_lists_those_that_exist(tool, capsys):
    line = failed(tool, capsys, str(ROOT / "configs" / "segearth-ov3_atlantis.py"))
    assert "no such configuration" in line
    assert "segearth-ov3_loveda.py" in line


def test_configuration_of_something_else_is_refused(tool, capsys, tmp_path):
    (tmp_path / "other.py").write_text("model = dict(type='SegEarthOV3Segmentor')\n")
    line = failed(tool, capsys, str(tmp_path / "other.py"))
    assert "other.py is no configuration of this toolkit: it has no default_scope, test_dataloader" in line


def test_configuration_that_fails_is_one_line(tool, capsys, tmp_path):
    (tmp_path / "mine.py").write_text("model = dict(type=Segmentor)\n")
    line = failed(tool, capsys, str(tmp_path / "mine.py"))
    assert "mine.py is no configuration: NameError: name 'Segmentor' is not defined" in line


def test_missing_data_are_said_with_their_source(tool, capsys, tmp_path):
    root = str(tmp_path / "nowhere")
    line = failed(tool, capsys, config_of("loveda"), "--data-root", root, "--checkpoint", "demo")
    assert "nowhere/img_dir/val; pass --data-root, or run tools/prepare_data/prepare.py loveda" in line
    assert "get the set from https://zenodo.org" in line


def test_missing_checkpoint_is_said(tool, capsys, tmp_path, monkeypatch):
    root = make_loveda(tmp_path / "LoveDA")
    line = failed(tool, capsys, config_of("loveda"), "--data-root", str(root), "--checkpoint", "nowhere.pt")
    assert "nowhere.pt does not exist" in line


def test_forgotten_checkpoint_names_the_environment_variable(tool, capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("SEGEARTH_OV3_CHECKPOINT", raising=False)
    line = failed(tool, capsys, config_of("loveda"), "--data-root", str(make_loveda(tmp_path / "LoveDA")))
    assert "SEGEARTH_OV3_CHECKPOINT" in line


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("model.prob_treshold=0.3", "has no option 'prob_treshold'; did you mean 'prob_threshold'?"),
        ("modle.prob_threshold=0.3", "--cfg-options modle.prob_threshold: no 'modle' in the configuration"),
        ("test_dataloader.datset.indices=1", "no 'datset' in test_dataloader"),
        ("test_dataloader.dataset.indexes=1", "BenchmarkDataset has no option 'indexes'; did you mean 'indices'?"),
        ("log_levl=INFO", "no 'log_levl' in the configuration"),
        ("test_evaluator.7.type=a", "no '7' in test_evaluator"),
        ("model.type=Segmenter", "no class 'Segmenter' is registered"),
        ("model.vocabulary=nowhere.txt", "cannot read the vocabulary file nowhere.txt"),
        ("test_evaluator.type=IoUMetric", "no 'type' in test_evaluator"),
        ("headline=buildings", "headline: expected mIoU or one of background, building"),
        ("test_dataloader.dataset.label_map=255:9", "'255:9': expected the index of a class, 0 to 6, or ignore"),
        ("model.background=9", "background must be None or the index of a class, 0 to 6, got 9"),
    ],
)
def test_mistake_in_an_option_is_said(tool, capsys, tmp_path, option, message):
    root = make_loveda(tmp_path / "LoveDA")
    options = ["--data-root", str(root), "--checkpoint", "demo", "--cfg-options", option]
    assert message in failed(tool, capsys, config_of("loveda"), *options)


def test_vocabulary_that_does_not_fit_the_classes_is_said(tool, capsys, tmp_path):
    option = f"model.vocabulary={ROOT / 'configs' / 'vocab' / 'dubai.txt'}"
    root = make_loveda(tmp_path / "LoveDA")
    arguments = ["--data-root", str(root), "--checkpoint", "demo", "--cfg-options", option]
    line = failed(tool, capsys, config_of("loveda"), *arguments)
    assert "the vocabulary has 5 classes and the dataset 7 (background, building" in line


def test_option_without_a_value_ends_in_usage(tool, capsys):
    with pytest.raises(SystemExit) as stop:
        tool.main([config_of("loveda"), "--cfg-options", "model.prob_threshold"])
    assert stop.value.code == 2
    assert "expected key=value, got 'model.prob_threshold'" in capsys.readouterr().err


def test_distributed_run_without_torchrun_says_how_to_start(tool, evaluate, capsys, tmp_path, monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(AssertionError):
        evaluate("loveda", make_loveda(tmp_path / "LoveDA"), "--launcher", "pytorch")
    assert "error: --launcher pytorch: no RANK in the environment; start with torchrun" in capsys.readouterr().err


def test_damaged_picture_read_by_another_process_is_one_line(tool, small_weights, capsys, tmp_path):
    root = make_dubai(tmp_path / "dubai")
    damaged = root / "Tile 2/images/image_part_001.jpg"
    damaged.write_bytes(damaged.read_bytes()[:800])
    options = ["--data-root", str(root), "--out", str(tmp_path / "out"), "--checkpoint", str(small_weights)]
    assert tool.main([config_of("dubai"), *options, "--cfg-options", "test_dataloader.num_workers=1"]) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: cannot read {damaged}: ")
    assert "Traceback" not in last


def test_damaged_label_is_found_before_the_weights_are_loaded(tool, capsys, tmp_path, monkeypatch):
    from segearth_ov3.mmseg_plugin import segmentor

    monkeypatch.setattr(segmentor, "load_sam3", lambda *given, **options: pytest.fail("the weights were loaded"))
    root = make_dubai(tmp_path / "dubai")
    (root / "Tile 1/masks/image_part_001.png").write_bytes(b"no picture")
    line = failed(tool, capsys, config_of("dubai"), "--data-root", str(root), "--checkpoint", "demo")
    assert "Tile 1/masks/image_part_001.png: not an image" in line


@pytest.mark.parametrize(
    ("evaluator", "message"),
    [
        ("[dict(type='IouMetric')]", "test_evaluator.0: no class 'IouMetric' is registered"),
        (
            "[dict(type='IoUMetric', iou_metric=['mIoU'])]",
            "test_evaluator.0: IoUMetric has no option 'iou_metric'; did",
        ),
        ("['IoUMetric']", "test_evaluator.0: expected dict(type=...) of a metric, got 'IoUMetric'"),
    ],
)
def test_unknown_evaluator_is_one_line(tool, capsys, tmp_path, evaluator, message):
    config = tmp_path / "mine.py"
    vocabulary = ROOT / "configs/vocab/loveda.txt"
    config.write_text(
        f"_base_ = '{config_of('loveda')}'\nmodel = dict(vocabulary='{vocabulary}')\ntest_evaluator = {evaluator}\n"
    )
    root = make_loveda(tmp_path / "LoveDA")
    assert message in failed(tool, capsys, str(config), "--data-root", str(root))


def test_log_of_mmengine_goes_to_its_file_only(evaluate, tmp_path, capfd):
    out = evaluate("loveda", make_loveda(tmp_path / "LoveDA"))
    screen = capfd.readouterr()
    assert screen.out == (out / "results.md").read_text(encoding="utf-8")
    assert "mmengine" not in screen.err
    (log,) = out.rglob("*.log")
    assert "mmengine - INFO" in log.read_text(encoding="utf-8")


def test_command_without_a_configuration_file_has_no_traceback(tmp_path):
    command = [sys.executable, str(TOOL), "nowhere.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert (result.returncode, result.stderr) == (1, "error: no such configuration: nowhere.py; there: none\n")


def test_help_has_examples(tool, capsys):
    with pytest.raises(SystemExit):
        tool.parse_arguments(["--help"])
    screen = capsys.readouterr().out
    assert "python tools/test.py configs/segearth-ov3_loveda.py --checkpoint sam3.pt" in screen
