"""`tools/test.py` other than in one go over a whole set: interrupted, in part, in windows, corrupted, in batches."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from benchmark_samples import independent_iou, make_dubai, make_loveda, read_reduced_label
from evaluation_tools import ROOT, config_of, load_tool, quicken_logs, report_of, save_tiny_weights
from fake_model import FakeSam3
from PIL import Image

from segearth_ov3.datasets.corruptions import Corruption
from segearth_ov3.datasets.words import SHIPPED_WORDS
from segearth_ov3.metrics.report import Report

pytestmark = [
    pytest.mark.mmseg,
    # from Python 3.12 on, both from mmengine's way of working: how it looks for mmcv's operators, and loader processes
    pytest.mark.filterwarnings("ignore:'pkgutil.find_loader' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

SIZES = [(40, 56), (33, 47), (40, 56), (36, 36), (40, 56)]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("test")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Two sets of five images, three of them of one size, and weights of a tiny network."""
    folder = tmp_path_factory.mktemp("sets")
    dubai = make_dubai(folder / "dubai", tiles=(1, 2, 3))
    (dubai / "Tile 3/images/image_part_002.jpg").unlink()
    loveda = make_loveda(folder / "LoveDA", SIZES)
    return SimpleNamespace(loveda=loveda, dubai=dubai, weights=save_tiny_weights(folder / "tiny.safetensors"))


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeSam3:
    """A stand-in for the network, which counts what it does."""
    from segearth_ov3.mmseg_plugin import segmentor

    quicken_logs(monkeypatch)
    fake = FakeSam3()
    monkeypatch.setattr(segmentor, "load_sam3", lambda path, **_: fake)
    return fake


@pytest.fixture
def run(tool: ModuleType, sets: SimpleNamespace, tmp_path: Path):
    """Run the tool on LoveDA into `out`; returns the exit code."""

    def run(*arguments: str, out: Path | None = None, options: tuple[str, ...] = ()) -> int:
        command = [config_of("loveda"), "--data-root", str(sets.loveda), "--checkpoint", str(sets.weights)]
        command += ["--out", str(out or tmp_path / "out"), "--workers", "0", *arguments]
        return tool.main([*command, "--cfg-options", "model.prob_threshold=0.2", *options])

    return run


def without_times(report: Report) -> dict[str, object]:
    fields = json.loads(report.to_json())
    return {name: value for name, value in fields.items() if name != "date" and not name.startswith("seconds")}


def interrupt_after(images: int, model: FakeSam3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run be interrupted by hand at some image."""
    encode = FakeSam3.encode_trunk

    def encode_or_stop(pixels):
        if model.calls["images encoded"] == images:
            monkeypatch.setattr(model, "encode_trunk", lambda pixels: encode(model, pixels))
            raise KeyboardInterrupt
        return encode(model, pixels)

    monkeypatch.setattr(model, "encode_trunk", encode_or_stop)


# ---- interruption


def test_interrupted_run_goes_on_to_the_results_of_an_uninterrupted_one(run, model, monkeypatch, tmp_path, capsys):
    assert run("--resume", out=tmp_path / "whole") == 0  # begins where nothing is
    model.calls.clear()
    interrupt_after(2, model, monkeypatch)
    assert run() == 130
    kept = f"what was measured is kept in {tmp_path / 'out'}; repeat the command with --resume to continue"
    assert capsys.readouterr().err.splitlines()[-1] == f"Interrupted; {kept}"
    assert not (tmp_path / "out" / "results.json").exists()
    assert run("--resume") == 0
    assert model.calls["images encoded"] == 5
    assert without_times(report_of(tmp_path / "out")) == without_times(report_of(tmp_path / "whole"))


def test_line_cut_off_by_the_interruption_is_predicted_again(run, model, tmp_path):
    assert run() == 0
    whole, path = report_of(tmp_path / "out"), tmp_path / "out" / "records.jsonl"
    header, first, second, *_ = path.read_text().splitlines(keepends=True)
    path.write_text(header + first + second[:30])
    model.calls.clear()
    assert run("--resume") == 0
    assert model.calls["images encoded"] == 4
    assert without_times(report_of(tmp_path / "out")) == without_times(whole)


def test_finished_run_predicts_nothing_again(run, model, tmp_path):
    assert run() == 0
    whole = report_of(tmp_path / "out")
    model.calls.clear()
    assert run("--resume") == 0
    assert model.calls["images encoded"] == 0
    assert report_of(tmp_path / "out").seconds_per_image == whole.seconds_per_image
    assert without_times(report_of(tmp_path / "out")) == without_times(whole)


def test_records_of_several_processes_are_put_together(run, model, tmp_path):
    assert run() == 0
    whole, path = report_of(tmp_path / "out"), tmp_path / "out" / "records.jsonl"
    header, *lines = path.read_text().splitlines(keepends=True)
    path.write_text(header + "".join(lines[::2]))
    path.with_name("records.1.jsonl").write_text(header + "".join(lines[1:3]))
    model.calls.clear()
    assert run("--resume") == 0
    assert model.calls["images encoded"] == 1
    assert without_times(report_of(tmp_path / "out")) == without_times(whole)
    assert sorted(file.name for file in (tmp_path / "out").glob("records*")) == ["records.jsonl"]


def test_image_that_two_processes_have_predicted_counts_once(run, model, monkeypatch, tmp_path):
    from segearth_ov3.mmseg_plugin import evaluation

    assert run(out=tmp_path / "once") == 0
    monkeypatch.setattr(evaluation, "all_gather_object", lambda own: [own, own])
    assert run() == 0
    assert without_times(report_of(tmp_path / "out")) == without_times(report_of(tmp_path / "once"))
    assert len((tmp_path / "out" / "records.jsonl").read_text().splitlines()) == 1 + 5


def test_second_run_into_a_folder_is_refused_while_the_first_one_works(run, model, monkeypatch, tmp_path, capsys):
    assert run(out=tmp_path / "alone") == 0
    encode, codes = FakeSam3.encode_trunk, []

    def encode_beside_another_run(pixels):
        monkeypatch.setattr(model, "encode_trunk", lambda pixels: encode(model, pixels))
        codes.extend([run("--resume", options=("model.prob_threshold=0.6",)), run("--overwrite")])
        return encode(model, pixels)

    monkeypatch.setattr(model, "encode_trunk", encode_beside_another_run)
    assert run() == 0
    assert codes == [1, 1]
    assert f"error: {tmp_path / 'out'}: another process is working on it" in capsys.readouterr().err
    assert without_times(report_of(tmp_path / "out")) == without_times(report_of(tmp_path / "alone"))


def test_records_of_two_runs_are_never_put_together(run, model, tmp_path, capsys):
    """What two runs of different settings left in one file before folders were locked."""
    assert run() == 0
    assert run(out=tmp_path / "other", options=("model.prob_threshold=0.6",)) == 0
    path = tmp_path / "out" / "records.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    others = (tmp_path / "other" / "records.jsonl").read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], *others[2:]]))
    assert run("--resume") == 1
    assert f"{path}, line 3 is a record of another run" in capsys.readouterr().err.splitlines()[-1]


def test_weights_of_another_name_and_equal_content_are_the_same_run(run, model, sets, tmp_path):
    assert run() == 0
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(sets.weights.read_bytes())
    model.calls.clear()
    assert run("--resume", "--checkpoint", str(copy)) == 0
    assert model.calls["images encoded"] == 0


@pytest.mark.parametrize(
    ("arguments", "options", "different"),
    [
        ((), ("model.confidence_threshold=0.1",), "confidence_threshold (0.5 there, 0.1 here)"),
        (("--window", "32"), (), "window (None there, 32 here)"),
        (("--limit", "3"), (), "data.indices (None there, 3 entries here)"),
        (("--corrupt", "noise:2"), (), "data.pipeline (3 entries there, 4 entries here)"),
        (("--save-predictions",), (), "save_predictions (False there, True here)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_changed_settings_are_refused_and_named(run, model, tmp_path, capsys, arguments, options, different):
    assert run() == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("re*")}
    assert run("--resume", *arguments, options=options) == 1
    assert different in capsys.readouterr().err.splitlines()[-1]
    assert {path: path.read_bytes() for path in before} == before


def test_results_are_not_replaced_without_being_asked(run, model, tmp_path, capsys):
    assert run() == 0
    before = (tmp_path / "out" / "results.json").read_bytes()
    model.calls.clear()
    assert run() == 1
    assert "out holds an earlier run; --resume continues it, --overwrite" in capsys.readouterr().err
    assert model.calls["images encoded"] == 0
    assert (tmp_path / "out" / "results.json").read_bytes() == before


def test_results_without_records_are_not_replaced_by_resuming(run, model, tmp_path, capsys):
    assert run() == 0
    (tmp_path / "out" / "records.jsonl").unlink()
    assert run("--resume") == 1
    assert "out holds results without records; --overwrite replaces them" in capsys.readouterr().err


def test_overwriting_begins_anew(run, model, tmp_path):
    assert run("--save-predictions") == 0
    (tmp_path / "out" / "notes.txt").touch()
    assert run("--overwrite", options=("model.prob_threshold=0.4",)) == 0
    assert report_of(tmp_path / "out").configuration["prob_threshold"] == 0.4
    assert not (tmp_path / "out" / "predictions").exists()
    assert (tmp_path / "out" / "notes.txt").exists()


def test_mistake_removes_nothing_of_an_earlier_run(run, model, tmp_path):
    assert run() == 0
    assert run("--overwrite", options=("model.prob_threshold=2",)) == 1
    assert report_of(tmp_path / "out").images == 5


# ---- part of a set


def test_limit_takes_images_spread_over_the_set_and_says_so(run, model, tmp_path):
    assert run("--limit", "2", "--save-predictions") == 0
    report = report_of(tmp_path / "out")
    assert (report.images, report.images_of) == (2, 1669)
    assert report.configuration["data"]["indices"] == [1, 3]
    assert sorted(path.name for path in (tmp_path / "out" / "predictions").iterdir()) == ["1.png", "3.png"]
    assert "2 of 1669 images" in report.deviations
    assert "on 2 of 1669 images" in (tmp_path / "out" / "results.md").read_text()


def test_incomplete_set_of_doubtful_size_is_not_taken_for_complete(tool, sets, model, tmp_path, capsys):
    """Of VDD nobody counted the images; five were found."""
    config = tmp_path / "vdd.py"
    config.write_text(
        f"_base_ = '{config_of('loveda')}'\nmodel = dict(vocabulary='{ROOT}/configs/vocab/loveda.txt')\n"
        "dataset_name = 'vdd'\n"
    )
    command = [str(config), "--data-root", str(sets.loveda), "--checkpoint", str(sets.weights), "--workers", "0"]
    assert tool.main([*command, "--out", str(tmp_path / "out")]) == 0
    assert "5 images; all of VDD (test) are about 80: not comparable" in capsys.readouterr().err
    report = report_of(tmp_path / "out")
    assert report.images_of is None
    assert "5 images, where the whole set is believed to have 80" in report.deviations
    assert "on 5 of unknown images" in (tmp_path / "out" / "results.md").read_text()


def test_results_have_digests_of_what_was_measured(run, model, tmp_path):
    assert run() == 0
    assert run("--limit", "3", out=tmp_path / "part") == 0
    assert run(out=tmp_path / "reduced", options=("test_dataloader.dataset.reduce_zero_label=False",)) == 1  # label 7
    whole, part = report_of(tmp_path / "out").digests, report_of(tmp_path / "part").digests
    assert set(whole) == {"words", "label_rule", "images", "label_pixels"}
    assert (whole["words"], whole["label_rule"]) == (part["words"], part["label_rule"])
    assert whole["words"] == SHIPPED_WORDS["loveda"]
    assert (whole["images"] != part["images"], whole["label_pixels"] != part["label_pixels"]) == (True, True)


def test_results_name_dtype_and_weights(run, model, tmp_path):
    assert run() == 0
    report = report_of(tmp_path / "out")
    assert report.dtype == report.configuration["dtype"] == "float32"
    assert len(report.configuration["weights_sha256"]) > 8


def test_limit_above_the_number_of_images_takes_all(run, model, tmp_path):
    assert run("--limit", "9") == 0
    assert report_of(tmp_path / "out").images == 5


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("--limit", "0"), (), "--limit must be at least 1 image, got 0"),
        (("--limit", "1"), ("test_dataloader.dataset.indices=2",), "give --limit or test_dataloader.dataset.indices"),
        (("--mode", "window"), (), "segearth-ov3_loveda.py has no windows: give their side by --window PX"),
        (("--stride", "8"), (), "segearth-ov3_loveda.py has no windows: give their side by --window PX"),
        (("--mode", "whole", "--window", "8"), (), "--mode whole has no windows"),
        (("--window", "0"), (), "--window must be at least 1 pixel, got 0"),
        (("--window", "8", "--stride", "9"), (), "stride"),
        (("--corrupt", "rain:1"), (), "unknown corruption 'rain', known: blur, haze, jpeg, noise"),
        (("--corrupt", "noise:6"), (), "expected a severity of noise from 1 to 5, got 6"),
        (("--corrupt", "noise"), (), "expected a corruption as kind:severity, such as noise:3, got 'noise'"),
        (("--batch-size", "0"), (), "--batch-size must be at least 1, got 0"),
        (("--workers", "-1"), (), "--workers must be at least 0, got -1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistake_is_one_line(run, model, tmp_path, capsys, arguments, options, message):
    assert run(*arguments, options=options) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
    assert not (tmp_path / "out" / "results.json").exists()


# ---- windows and corruption


def test_windows_are_taken_recorded_and_marked(run, model, tmp_path):
    assert run("--window", "32", "--stride", "16") == 0
    report = report_of(tmp_path / "out")
    assert (report.configuration["window"], report.configuration["stride"]) == (32, 16)
    assert model.calls["images encoded"] > 5
    assert {"window 32 (published None)", "stride 16 (published None)"} <= set(report.deviations)


def test_whole_images_can_be_had_where_the_configuration_has_windows(run, model, tmp_path):
    options = ("model.window=32", "model.stride=32")
    assert run("--mode", "window", options=options) == 0
    assert model.calls["images encoded"] > 5
    model.calls.clear()
    assert run("--mode", "whole", out=tmp_path / "whole", options=options) == 0
    assert model.calls["images encoded"] == 5
    assert report_of(tmp_path / "whole").configuration["window"] is None


def test_network_sees_the_corrupted_image_and_the_results_say_so(run, model, sets, tmp_path, monkeypatch):
    from segearth_ov3.segmenter import Segmenter

    seen = []
    predict = Segmenter.predict_labels
    monkeypatch.setattr(Segmenter, "predict_labels", lambda self, image: seen.append(image) or predict(self, image))
    assert run("--corrupt", "noise:3", "--limit", "1") == 0
    image = np.asarray(Image.open(sets.loveda / "img_dir/val/2.png").convert("RGB"))
    assert np.array_equal(seen[0].numpy(), Corruption("noise", 3).apply(image, "val/2.png"))
    report = report_of(tmp_path / "out")
    assert "corrupted by noise:3" in report.deviations
    assert {"type": "CorruptPicture", "kind": "noise", "severity": 3} in report.configuration["data"]["pipeline"]


# ---- batches and processes that read ahead


@pytest.mark.parametrize("arguments", [("--batch-size", "3"), ("--workers", "2", "--batch-size", "2")], ids=" ".join)
def test_batches_and_reading_ahead_change_no_label(tool, sets, tmp_path, monkeypatch, arguments):
    quicken_logs(monkeypatch)
    command = [config_of("loveda"), "--data-root", str(sets.loveda), "--checkpoint", str(sets.weights)]
    command += ["--save-predictions", "--corrupt", "haze:2"]
    options = ["--cfg-options", "model.prob_threshold=0.15", "model.confidence_threshold=0.08"]
    for name, more in (("one", ("--workers", "0")), ("more", arguments)):
        assert tool.main([*command, "--out", str(tmp_path / name), *more, *options]) == 0
    assert report_of(tmp_path / "more").confusion == report_of(tmp_path / "one").confusion
    for path in (tmp_path / "one" / "predictions").iterdir():
        assert path.read_bytes() == (tmp_path / "more" / "predictions" / path.name).read_bytes()


def test_saved_predictions_of_a_corrupted_part_give_the_reported_scores(run, model, sets, tmp_path):
    """All switches at once, against a computation that shares nothing with the package."""
    assert run("--limit", "3", "--corrupt", "jpeg:5", "--window", "32", "--batch-size", "2", "--save-predictions") == 0
    predictions = sorted((tmp_path / "out" / "predictions").iterdir())
    pairs = [(sets.loveda / "ann_dir/val" / path.name, path) for path in predictions]
    assert len(pairs) == 3
    assert report_of(tmp_path / "out").mIoU == pytest.approx(np.nanmean(independent_iou(pairs, 7, read_reduced_label)))


def test_pictures_do_not_replace_images(run, sets, model, capsys):
    (folder,) = {path.parent for path in (sets.loveda / "img_dir").rglob("*.png")}
    before = [path.read_bytes() for path in sorted(folder.iterdir())]
    assert run("--show-dir", str(folder)) == 1
    assert "it is an image or a label of the data; choose another folder" in capsys.readouterr().err
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == before
