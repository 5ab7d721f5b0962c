"""`tools/ablate.py` from files to tables; each variant against `tools/test.py` of a configuration that has it."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from benchmark_samples import make_loveda
from evaluation_tools import ROOT, config_of, load_tool, quicken_logs
from fake_model import FakeSam3
from golden import load_tiny
from PIL import Image
from safetensors.torch import save_file

from segearth_ov3.metrics.ablation import AblationReport, VariantResult
from segearth_ov3.metrics.report import Report
from segearth_ov3.sam3.model import Sam3

pytestmark = [
    pytest.mark.mmseg,
    # from Python 3.12 on, both from mmengine's way of working: how it looks for mmcv's operators, and loader processes
    pytest.mark.filterwarnings("ignore:'pkgutil.find_loader' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

CONFIG = Path(config_of("loveda"))
SIZES = ((40, 56), (33, 47), (36, 36))
# on random images the scores of the tiny network are 0.05 to 0.25
OPTIONS = ("test_dataloader.num_workers=0", "model.prob_threshold=0.15", "model.confidence_threshold=0.08")

VARIANTS = """
variants = [
    dict(name='memory', refiners=[dict(type='graph_laplacian', lam=3, at='memory')]),
    dict(name='chain', refiners=['smoothing:weight=2,at=trunk', dict(type='lowpass', radius=1, alpha=1, at='pyramid')]),
    dict(name='retuned', prob_threshold=0.0, confidence_threshold=0.1),
]
sweeps = [
    dict(name='smooth & tuned', refiners=[dict(type='smoothing', at='memory', mode='blend')],
         grid={'smoothing.weight': [0.5, 1.0], 'prob_threshold': [0.0, 0.2]}),
]
"""
POINT = "smooth & tuned weight=1.0, prob_threshold=0.2"
NAMES = ["no refiner", "memory", "chain", "retuned"] + [
    f"smooth & tuned weight={weight}, prob_threshold={threshold}" for weight in (0.5, 1.0) for threshold in (0.0, 0.2)
]
AS_CONFIGURATIONS = {
    "no refiner": "model = dict()",
    "chain": "model = dict(refiners=[dict(type='smoothing', weight=2, at='trunk'), "
    "dict(type='lowpass', radius=1, alpha=1, at='pyramid')])",
    "retuned": "model = dict()",
    POINT: "model = dict(refiners=[dict(type='smoothing', weight=1.0, mode='blend', at='memory')])",
}
AS_OPTIONS = {
    "retuned": ("model.prob_threshold=0.0", "model.confidence_threshold=0.1"),
    POINT: ("model.prob_threshold=0.2",),
}
THRESHOLDS = "variants = [dict(name='objects', use_semantic=False), dict(name='high', prob_threshold=0.6)]\n"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """The tool as a module."""
    return load_tool("ablate")


def use(patch: pytest.MonkeyPatch, model: Sam3 | FakeSam3) -> None:
    """Let the next runs have this network, whatever the weights."""
    from segearth_ov3.mmseg_plugin import segmentor

    patch.setattr(segmentor, "load_sam3", lambda path, **_: model)


def run(tool: ModuleType, folder: Path, *arguments: str, options: tuple[str, ...] = OPTIONS) -> tuple[int, str, str]:
    """Run the tool on the set and the variants in a folder; returns its exit code and what it says."""
    out, err = io.StringIO(), io.StringIO()
    command = [str(CONFIG), "--data-root", str(folder / "LoveDA"), "--checkpoint", str(folder / "weights.safetensors")]
    command += ["--variants", str(folder / "variants.py"), "--out", str(folder / "out"), "--samples", "20"]
    command += ["--pictures", "0", *arguments, "--cfg-options", *options]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = tool.main(command)
    return code, out.getvalue(), err.getvalue()


def fill(folder: Path, variants: str) -> Path:
    """A folder with a set, variants, and a file where the weights should be."""
    make_loveda(folder / "LoveDA", SIZES)
    (folder / "variants.py").write_text(variants)
    save_file({}, folder / "weights.safetensors")
    return folder


@pytest.fixture(scope="module")
def finished(tool: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run of the tiny network with diagnostics and pictures."""
    folder = fill(tmp_path_factory.mktemp("ablation"), VARIANTS)
    with pytest.MonkeyPatch.context() as patch:
        use(patch, load_tiny())
        code, out, err = run(tool, folder, "--diagnostics", "--pictures", "1")
    assert code == 0, err
    return SimpleNamespace(folder=folder, out=folder / "out", screen=out, messages=err, report=report_of(folder))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a run of a stand-in for the network, which knows no refiners."""
    use(monkeypatch, FakeSam3())
    return fill(tmp_path, THRESHOLDS)


def report_of(folder: Path) -> AblationReport:
    return AblationReport.from_json((folder / "out" / "ablation.json").read_text(encoding="utf-8"))


def records_of(folder: Path) -> list[dict[str, Any]]:
    """The records of a run, without the line that says of which."""
    return [json.loads(line) for line in (folder / "out" / "records.jsonl").read_text().splitlines()[1:]]


def result(report: AblationReport, name: str) -> VariantResult:
    (found,) = (entry for entry in report.variants if entry.name == name)
    return found


# ---- numbers


@pytest.fixture(scope="module")
def alone(finished: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """Some variants, each by `tools/test.py` with a configuration of its own."""
    tool, folder = load_tool("test"), tmp_path_factory.mktemp("alone")
    reports = {}
    with pytest.MonkeyPatch.context() as patch:
        use(patch, load_tiny())
        quicken_logs(patch)
        for number, (name, model) in enumerate(AS_CONFIGURATIONS.items()):
            config, out = folder / f"variant_{number}.py", folder / str(number)
            config.write_text(f"_base_ = '{CONFIG}'\n{model}\n")
            command = [str(config), "--data-root", str(finished.folder / "LoveDA"), "--out", str(out)]
            command += ["--checkpoint", str(finished.folder / "weights.safetensors"), "--cfg-options", *OPTIONS]
            assert tool.main([*command, *AS_OPTIONS.get(name, ())]) == 0
            reports[name] = Report.from_json((out / "results.json").read_text(encoding="utf-8"))
    return reports


@pytest.mark.parametrize("name", AS_CONFIGURATIONS)
def test_scores_equal_those_of_the_evaluation_alone(finished, alone, name):
    found, expected = result(finished.report, name), alone[name]
    assert found.mIoU == pytest.approx(expected.mIoU, abs=1e-9)
    assert found.aAcc == pytest.approx(expected.aAcc, abs=1e-9)
    assert found.per_class_IoU == pytest.approx([entry.IoU for entry in expected.per_class], abs=1e-9)


@pytest.mark.parametrize("name", AS_CONFIGURATIONS)
def test_every_pixel_is_counted_as_by_the_evaluation_alone(finished, alone, name):
    total = np.zeros(7 * 7, dtype=np.int64)
    for record in records_of(finished.folder):
        places, counts = record["counts"][NAMES.index(name)]
        total[places] += counts
    assert total.reshape(7, 7).tolist() == [list(row) for row in alone[name].confusion]


def test_evaluation_alone_had_the_refiners_of_the_variant(finished, alone):
    for name, report in alone.items():
        assert tuple(report.configuration["refiners"]) == result(finished.report, name).refiners


def test_variants_have_scores_of_their_own(finished):
    """Otherwise the comparisons above would prove little."""
    scores = [entry.mIoU for entry in finished.report.variants]
    assert len(set(scores)) == len(scores) == len(NAMES)


def test_differences_are_to_the_first_row(finished):
    baseline, *others = finished.report.variants
    assert baseline.delta is None
    for entry in others:
        assert entry.delta.delta == pytest.approx(entry.mIoU - baseline.mIoU, abs=1e-9)


def test_baseline_has_no_refiner_even_where_the_configuration_has_some(tool, tmp_path, monkeypatch):
    use(monkeypatch, load_tiny())
    fill(tmp_path, "variants = [dict(name='same')]\n")
    config = tmp_path / "config.py"
    config.write_text(f"_base_ = '{CONFIG}'\nmodel = dict(refiners=['smoothing:weight=1'])\n")
    command = [str(config), "--data-root", str(tmp_path / "LoveDA"), "--out", str(tmp_path / "out"), "--pictures", "0"]
    command += ["--checkpoint", str(tmp_path / "weights.safetensors"), "--variants", str(tmp_path / "variants.py")]
    assert tool.main([*command, "--cfg-options", *OPTIONS, "test_dataloader.dataset.indices=1"]) == 0
    report = report_of(tmp_path)
    assert report.configuration["refiners"] == []
    assert [entry.refiners for entry in report.variants] == [(), ()]


# ---- what is written


def test_report_says_what_was_compared(finished):
    report = finished.report
    assert [entry.name for entry in report.variants] == NAMES
    assert (report.dataset, report.config, report.images, report.dtype) == ("loveda", CONFIG.name, 3, "float32")
    assert report.device.startswith("cpu (")
    assert (report.resampling.samples, report.resampling.seed) == (20, 0)
    assert report.configuration["prob_threshold"] == 0.15
    assert report.configuration["data"]["type"] == "BenchmarkDataset"
    point = result(report, POINT)
    assert point.parameters == {"smoothing.weight": 1.0, "prob_threshold": 0.2}
    assert (point.sweep, point.settings) == ("smooth & tuned", {"prob_threshold": 0.2})
    assert result(report, "chain").refiners[1]["type"] == "lowpass"


def test_times_are_of_all_images_but_the_first(finished):
    first, *others = records_of(finished.folder)
    assert (first["seconds"], first["total_seconds"]) == ([None] * len(NAMES), None)
    cost = finished.report.one_pass
    assert cost.total_seconds == pytest.approx(sum(record["total_seconds"] for record in others))
    assert cost.baseline_seconds == pytest.approx(sum(record["seconds"][0] for record in others))
    assert min(min(record["seconds"]) for record in others) > 0


def test_tables_are_written(finished):
    table = (finished.out / "ablation.md").read_text(encoding="utf-8")
    assert finished.screen == table + "\n"
    with (finished.out / "ablation.csv").open(encoding="utf-8") as file:
        assert [row["variant"] for row in csv.DictReader(file)] == NAMES
    assert r"smooth \& tuned" in (finished.out / "ablation.tex").read_text(encoding="utf-8")


def test_plots_are_written(finished):
    for name in ("deltas.png", "sweep_1_smooth_tuned.png"):
        with Image.open(finished.out / name) as image:
            assert min(image.size) > 100


def test_nothing_else_is_left_behind(finished):
    names = {"ablation.json", "ablation.md", "ablation.csv", "ablation.tex", "records.jsonl", "pictures", ".lock"}
    assert {path.name for path in finished.out.iterdir()} == names | {"deltas.png", "sweep_1_smooth_tuned.png"}


def test_messages_name_the_folder_and_what_is_not_comparable(finished):
    assert f"written to {finished.out}" in finished.messages
    assert "3 images; all of LoveDA (val) are 1669: not comparable" in finished.messages


def test_pictures_are_of_the_best_and_of_the_worst_variant(finished):
    deltas = {entry.name: entry.delta.delta for entry in finished.report.variants[1:]}
    chosen = {max(deltas, key=deltas.get), min(deltas, key=deltas.get)}
    stems = ["".join(letter if letter.isalnum() or letter in "_.-" else " " for letter in name) for name in chosen]
    found = sorted(path.name for path in (finished.out / "pictures").iterdir())
    assert 1 <= len(found) <= 2 * len(chosen)
    for name in found:
        assert any(name.startswith("_".join(stem.split()) + "_") for stem in stems)
        assert name.rpartition("_")[0].endswith(("_gain", "_loss"))


def test_pictures_show_image_label_and_both_predictions(tool, folder, monkeypatch):
    from segearth_ov3.geo import overlay

    panels: list[list[tuple[str, np.ndarray]]] = []
    render = overlay.render_panels
    monkeypatch.setattr(overlay, "render_panels", lambda given, *rest: panels.append(given) or render(given, *rest))
    assert run(tool, folder, "--pictures", "9")[0] == 0
    assert len(panels) == len(list((folder / "out" / "pictures").iterdir())) > 3
    for (_, image), (_, label), (baseline, before), (title, after) in panels:
        assert (image.dtype, image.shape[:2]) == (np.uint8, label.shape)
        name, _, gain = title.rpartition(": ")
        assert (baseline, name in ("objects", "high")) == ("no refiner", True)
        assert float(gain) == pytest.approx(miou(label, after) - miou(label, before), abs=0.005001)


def miou(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean IoU of one image in per cent."""
    predictions, labels = predictions[labels != 255], labels[labels != 255]
    hits = [((labels == index) & (predictions == index)).sum() for index in range(7)]
    unions = [((labels == index) | (predictions == index)).sum() for index in range(7)]
    return 100 * float(np.mean([hit / union for hit, union in zip(hits, unions) if union]))


def test_no_pictures_are_drawn_where_none_are_wanted(tool, folder):
    assert run(tool, folder)[0] == 0
    assert not (folder / "out" / "pictures").exists()


def test_diagnostics_stand_before_and_after(finished):
    for entry in finished.report.variants:
        names = [each.name for each in entry.diagnostics]
        assert names == ["energy_divergence", "mask_contrast", "boundary_sharpness"]
        assert all(np.isfinite([each.before, each.after]).all() for each in entry.diagnostics)
    baseline, memory, chain, retuned = finished.report.variants[:4]
    for entry in (baseline, retuned):
        assert all(each.after == each.before for each in entry.diagnostics)
    for entry in (memory, chain):
        assert all(each.after != each.before for each in entry.diagnostics)
    assert "## Tokens, before → after refinement" in finished.screen


def test_diagnostics_are_left_out_unless_wanted(tool, folder):
    assert run(tool, folder)[0] == 0
    assert all(entry.diagnostics == () for entry in report_of(folder).variants)


# ---- interruption


def without_times(report: AblationReport) -> dict[str, Any]:
    fields = json.loads(report.to_json())
    for entry in fields["variants"]:
        del entry["seconds_per_image"], entry["overhead_percent"]
    for name in ("date", "one_pass"):
        del fields[name]
    return fields


def test_run_interrupted_within_a_line_goes_on_to_the_same_report(tool, folder):
    assert run(tool, folder)[0] == 0
    whole, path = report_of(folder), folder / "out" / "records.jsonl"
    header, first, second, _ = path.read_text().splitlines(keepends=True)
    path.write_text(header + first + second[:40])
    assert run(tool, folder, "--resume")[0] == 0
    assert path.read_text().startswith(header + first)
    assert [record["image"] for record in records_of(folder)] == ["0.png", "1.png", "2.png"]
    assert without_times(report_of(folder)) == without_times(whole)


def test_earlier_run_is_kept_unless_it_is_to_be_resumed_or_replaced(tool, folder):
    run(tool, folder)
    before = (folder / "out" / "records.jsonl").read_text()
    code, _, err = run(tool, folder)
    assert (code, "out holds an earlier run; --resume continues it, --overwrite replaces it" in err) == (1, True)
    assert (folder / "out" / "records.jsonl").read_text() == before


def test_resuming_begins_where_nothing_is(tool, folder):
    assert run(tool, folder, "--resume")[0] == 0
    assert report_of(folder).images == 3


def test_folder_in_which_another_run_works_is_refused(tool, folder):
    from segearth_ov3.mmseg_plugin.workfolder import hold_folder

    with hold_folder(folder / "out"):
        code, _, err = run(tool, folder, "--resume")
    assert (code, "out: another process is working on it" in err) == (1, True)


def test_full_disk_keeps_what_was_measured_and_says_how_to_continue(tool, folder, monkeypatch):
    from segearth_ov3.mmseg_plugin.records import RecordFile

    add = RecordFile.add

    def fill_after_two(file, record):
        if len(file.records) == 2:
            monkeypatch.setattr(Path, "open", fail_without_space)
        add(file, record)

    monkeypatch.setattr(RecordFile, "add", fill_after_two)
    code, _, err = run(tool, folder)
    assert code == 1
    last = err.splitlines()[-1]
    assert last.startswith(
        f"error: cannot write {folder / 'out' / 'records.jsonl'}: No space left on device; the 2 images"
    )
    assert last.endswith("repeat the command with --resume to continue")
    monkeypatch.undo()
    assert len(records_of(folder)) == 2


def fail_without_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_limit_takes_a_part_of_the_set(tool, folder):
    assert run(tool, folder, "--limit", "2")[0] == 0
    report = report_of(folder)
    assert (report.images, report.configuration["data"]["indices"]) == (2, [0, 2])


def test_run_that_goes_on_predicts_only_what_is_missing(tool, folder, monkeypatch):
    run(tool, folder)
    path = folder / "out" / "records.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    model = FakeSam3()
    use(monkeypatch, model)
    assert run(tool, folder, "--resume")[0] == 0
    assert model.calls["images encoded"] == 1


def test_finished_run_predicts_nothing_again(tool, folder, monkeypatch):
    run(tool, folder)
    whole, model = report_of(folder), FakeSam3()
    use(monkeypatch, model)
    assert run(tool, folder, "--resume")[0] == 0
    assert model.calls["images encoded"] == 0
    assert report_of(folder).variants == whole.variants


def test_interruption_by_hand_keeps_what_is_there(tool, folder, monkeypatch):
    model, encode = FakeSam3(), FakeSam3.encode_trunk

    def interrupt(pixels):
        if model.calls["images encoded"] == 2:
            raise KeyboardInterrupt
        return encode(model, pixels)

    monkeypatch.setattr(model, "encode_trunk", interrupt)
    use(monkeypatch, model)
    code, _, err = run(tool, folder)
    kept = f"what was measured is kept in {folder / 'out'}; repeat the command with --resume to continue"
    assert (code, err.splitlines()[-1]) == (130, f"Interrupted; {kept}")
    assert [record["image"] for record in records_of(folder)] == ["0.png", "1.png"]


def test_records_of_other_variants_are_refused_and_kept(tool, folder):
    run(tool, folder)
    before = (folder / "out" / "records.jsonl").read_text()
    (folder / "variants.py").write_text(THRESHOLDS.replace("0.6", "0.5"))
    code, _, err = run(tool, folder, "--resume")
    assert code == 1
    assert err.splitlines()[-1].startswith("error: ")
    assert (
        "holds another run, different in variants.2.settings.prob_threshold (0.6 there, 0.5 here)"
        in err.splitlines()[-1]
    )
    assert (folder / "out" / "records.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("option", "different"),
    [
        ("model.prompt_chunk=3", "configuration.prompt_chunk (None there, 3 here)"),
        ("test_dataloader.dataset.indices=2", "data.indices (None there, 2 here)"),
    ],
)
def test_records_of_other_settings_are_refused(tool, folder, option, different):
    run(tool, folder)
    code, _, err = run(tool, folder, "--resume", options=(*OPTIONS, option))
    assert (code, f"different in {different};" in err) == (1, True)


def test_records_of_other_weights_of_the_same_name_are_refused(tool, folder):
    run(tool, folder)
    save_file({"other": torch.zeros(1)}, folder / "weights.safetensors")
    code, _, err = run(tool, folder, "--resume")
    assert (code, "different in configuration.checkpoint_sha256 (" in err) == (1, True)


def test_overwrite_begins_anew(tool, folder):
    run(tool, folder)
    (folder / "variants.py").write_text(THRESHOLDS.replace("0.6", "0.5"))
    assert run(tool, folder, "--overwrite")[0] == 0
    assert report_of(folder).variants[2].settings == {"prob_threshold": 0.5}
    assert len(records_of(folder)) == 3


def test_overwrite_removes_what_the_earlier_run_has_drawn_and_nothing_else(tool, folder):
    assert run(tool, folder, "--pictures", "9")[0] == 0
    pictures = folder / "out" / "pictures"
    own = [pictures / "mine.png", folder / "out" / "notes.txt"]
    for path in own:
        path.touch()
    assert len(list(pictures.iterdir())) > 1
    assert run(tool, folder, "--overwrite")[0] == 0
    assert list(pictures.iterdir()) == own[:1]
    assert own[1].exists()


# ---- variants that fail

FAILING = """
def break_later(tokens, context):
    break_later.first = first = getattr(break_later, 'first', tokens.clone())
    if not first.equal(tokens):
        raise ValueError('no second map')
    return tokens

variants = [
    dict(name='breaks', refiners=[dict(type=break_later, at='trunk')]),
    dict(name='smooth', refiners=['smoothing:weight=2,at=trunk']),
    dict(name='unsolved', refiners=['graph_laplacian:lam=50,max_iterations=1,at=memory']),
]
"""


@pytest.fixture
def failing(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with variants of which one never converges and one breaks on the second image."""
    use(monkeypatch, load_tiny())
    return fill(tmp_path, FAILING)


def test_variant_that_fails_has_its_reason_and_the_others_are_measured(tool, failing):
    code, out, err = run(tool, failing, "--diagnostics", "--pictures", "1")
    report = report_of(failing)
    assert (code, report.images) == (1, 3)
    breaks, unsolved = result(report, "breaks"), result(report, "unsolved")
    assert "variants.py, line 5): ValueError: no second map" in breaks.failure
    assert breaks.failure.endswith("(on 1.png)")
    assert "tolerance" in unsolved.failure
    assert unsolved.failure.endswith("(on 0.png)")
    assert (breaks.mIoU, unsolved.mIoU) == (None, None)
    assert f"failed: breaks: {breaks.failure}" in err.splitlines()
    assert f"unsolved failed: {unsolved.failure}." in out.replace("\\_", "_")
    assert err.count("Traceback") == 0


def test_variants_beside_a_failing_one_have_the_scores_they_have_alone(tool, failing):
    run(tool, failing, "--diagnostics")
    beside = report_of(failing)
    (failing / "variants.py").write_text("variants = [dict(name='smooth', refiners=['smoothing:weight=2,at=trunk'])]\n")
    assert run(tool, failing, "--diagnostics", "--overwrite")[0] == 0
    for name in ("no refiner", "smooth"):
        found, expected = result(beside, name), result(report_of(failing), name)
        assert (found.mIoU, found.per_class_IoU) == (expected.mIoU, expected.per_class_IoU)
        assert found.diagnostics == expected.diagnostics


def test_failed_variant_stays_failed_when_the_run_is_resumed(tool, failing):
    run(tool, failing)
    whole, path = report_of(failing), failing / "out" / "records.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert run(tool, failing, "--resume")[0] == 1
    assert [entry.failure for entry in report_of(failing).variants] == [entry.failure for entry in whole.variants]
    assert result(report_of(failing), "smooth").mIoU == result(whole, "smooth").mIoU


def test_failure_of_the_baseline_ends_the_run(tool, failing, monkeypatch):
    model = FakeSam3()

    def fail(pixels):
        raise RuntimeError("the network is broken")

    monkeypatch.setattr(model, "encode_trunk", fail)
    use(monkeypatch, model)
    (failing / "variants.py").write_text(THRESHOLDS)
    code, _, err = run(tool, failing)
    assert (code, "error: RuntimeError: the network is broken" in err) == (1, True)
    assert not (failing / "out" / "ablation.json").exists()


# ---- mistakes


@pytest.fixture
def unloaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, where loading the weights is a mistake."""
    from segearth_ov3.mmseg_plugin import segmentor

    monkeypatch.setattr(segmentor, "load_sam3", lambda *_, **__: pytest.fail("the weights were loaded"))
    return folder


def last_line(tool: ModuleType, folder: Path, *arguments: str, options: tuple[str, ...] = OPTIONS) -> str:
    """Run the tool on a mistake; returns what it says, which is one line below the note on the number of images."""
    code, out, err = run(tool, folder, *arguments, options=options)
    lines = [line for line in err.splitlines() if "not comparable" not in line]
    assert (code, out, len(lines)) == (1, "", 1)
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--samples", "0"), "--samples must be at least 1"),
        (("--pictures", "-1"), "--pictures and --seed at least 0"),
        (("--seed", "-1"), "--pictures and --seed at least 0"),
        (("--variants", "nowhere.py"), "no such file of variants: nowhere.py"),
        (("--variants", "nowhere.py", "--data-root", "nowhere"), "no such file of variants: nowhere.py"),
        (("--checkpoint", "nowhere.pt", "--data-root", "nowhere"), "nowhere.pt does not exist"),
        (("--limit", "0"), "--limit must be at least 1"),
        (("--checkpoint", "nowhere.pt"), "nowhere.pt does not exist"),
        (("--data-root", "nowhere"), "nowhere/img_dir/val; pass --data-root, or run tools/prepare_data"),
    ],
)
def test_wrong_argument_is_one_line_before_the_weights_are_loaded(tool, unloaded, arguments, message):
    assert message in last_line(tool, unloaded, *arguments)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ("variants = [dict(name='a', refiners=['blur'])]", "unknown refiner 'blur', known: clip_similarity"),
        ("variants = [dict(name='a', refiners=['smoothing:weight=-1'])]", "weight must be a number from 0 to 10"),
        ("variants = [dict(name='a', prob_treshold=0.1)]", "did you mean 'prob_threshold'?"),
        ("variants = [dict(name='a'", "is no file of variants"),
    ],
)
def test_mistake_in_the_variants_is_one_line_before_the_weights_are_loaded(tool, unloaded, variants, message):
    (unloaded / "variants.py").write_text(variants + "\n")
    assert message in last_line(tool, unloaded)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("model.prob_treshold=0.3", "has no option 'prob_treshold'; did you mean 'prob_threshold'?"),
        ("model.prob_threshold=1.5", "prob_threshold must lie in 0 to 1, got 1.5"),
        ("model.vocabulary=nowhere.txt", "cannot read the vocabulary file nowhere.txt"),
        ("model.prob_threshold=low", "expected prob_threshold as a number, got 'low'"),
    ],
)
def test_mistake_in_an_option_is_one_line_before_the_weights_are_loaded(tool, unloaded, option, message):
    assert message in last_line(tool, unloaded, options=(*OPTIONS, option))


def test_folder_that_cannot_be_made_is_one_line(tool, folder):
    (folder / "out").touch()
    assert "out" in last_line(tool, folder)


def test_forgotten_variants_end_in_usage(tool, capsys):
    with pytest.raises(SystemExit) as stop:
        tool.main([str(CONFIG), "--out", "table"])
    assert stop.value.code == 2
    assert "the following arguments are required: --variants" in capsys.readouterr().err


def test_command_without_a_configuration_file_has_no_traceback(tmp_path):
    command = [sys.executable, str(ROOT / "tools" / "ablate.py"), "nowhere.py", "--variants", "v.py", "--out", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (1, "error: no such configuration: nowhere.py; there: none\n")
    assert list(tmp_path.iterdir()) == []


def test_help_has_examples(tool, capsys):
    with pytest.raises(SystemExit):
        tool.parse_arguments(["--help"])
    screen = capsys.readouterr().out
    assert "python tools/ablate.py configs/segearth-ov3_loveda.py --variants configs/refiners/" in screen


@pytest.mark.parametrize("name", ["ablate", "benchmark", "test"])
def test_files_in_the_examples_of_the_help_exist(name):
    examples = load_tool(name).EXAMPLES
    paths = re.findall(r"\bconfigs/[\w/-]+\.py", examples)
    assert paths
    assert [path for path in paths if not (ROOT / path).is_file()] == []
