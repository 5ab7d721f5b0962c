"""`tools/benchmark.py`: several sets, one network, one table; in one process and in two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from benchmark_samples import make_dubai, make_loveda
from evaluation_tools import ROOT, config_of, load_tool, quicken_logs, report_of, run_in_processes, save_tiny_weights

from segearth_ov3.metrics.report import Report

pytestmark = [
    pytest.mark.mmseg,
    # from Python 3.12 on, both from mmengine's way of working: how it looks for mmcv's operators, and loader processes
    pytest.mark.filterwarnings("ignore:'pkgutil.find_loader' is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::segearth_ov3.errors.DatasetWarning"),  # sets of three images lack classes
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return load_tool("benchmark")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """LoveDA with three images, Dubai with five, another LoveDA whose second picture is damaged, and tiny weights."""
    folder = tmp_path_factory.mktemp("sets")
    dubai = make_dubai(folder / "data" / "dubai_aerial", tiles=(1, 2, 3))
    (dubai / "Tile 3/images/image_part_002.jpg").unlink()
    make_loveda(folder / "data" / "LoveDA", ((40, 56), (33, 47), (20, 30)))
    bad = make_loveda(folder / "data" / "bad", ((20, 30), (30, 20), (20, 20)))
    damaged = bad / "img_dir/val/1.png"
    damaged.write_bytes(damaged.read_bytes()[:800])
    config = folder / "damaged.py"
    config.write_text(
        f"_base_ = '{config_of('loveda')}'\n"
        f"model = dict(vocabulary='{ROOT / 'configs' / 'vocab' / 'loveda.txt'}')\n"
        "dataset_name = 'bad'\n"
        "test_dataloader = dict(dataset=dict(data_root='data/bad'))\n"
    )
    return SimpleNamespace(
        data=folder / "data", damaged=config, weights=save_tiny_weights(folder / "tiny.safetensors"), folder=folder
    )


@pytest.fixture(scope="module")
def command(sets: SimpleNamespace) -> list[str]:
    """Arguments of all runs; the damaged set comes first."""
    configs = [str(sets.damaged), config_of("dubai"), config_of("loveda")]
    return [*configs, "--data-dir", str(sets.data), "--checkpoint", str(sets.weights), "--workers", "0"]


@pytest.fixture(scope="module")
def finished(tool: ModuleType, command: list[str], tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A run of all three in one process."""
    from segearth_ov3.mmseg_plugin import segmentor

    out, loads = tmp_path_factory.mktemp("benchmark") / "out", []
    load = segmentor.load_sam3
    with pytest.MonkeyPatch.context() as patch:
        quicken_logs(patch)
        patch.setattr(segmentor, "load_sam3", lambda *given, **options: loads.append(given) or load(*given, **options))
        code = tool.main([*command, "--out", str(out), "--save-predictions"])
    return SimpleNamespace(out=out, code=code, loads=loads)


def test_network_is_loaded_once_for_all_sets(finished):
    assert len(finished.loads) == 1


def test_failed_set_is_reported_and_the_others_go_on(finished):
    assert finished.code == 1
    folders = sorted(path.parent.name for path in finished.out.glob("*/results.json"))
    assert folders == ["segearth-ov3_dubai", "segearth-ov3_loveda"]
    table = (finished.out / "table.md").read_text()
    assert "- **damaged failed**: cannot read " in table
    assert "img_dir/val/1.png" in table


def test_table_has_the_scores_of_the_files(finished):
    table = (finished.out / "table.md").read_text()
    for name in ("dubai", "loveda"):
        report = report_of(finished.out / f"segearth-ov3_{name}")
        (row,) = [line for line in table.splitlines() if line.startswith(f"| {name}")]
        assert f"**{report.mIoU:.2f}**" in row
        assert f"{report.aAcc:.2f}" in row


def test_table_can_be_made_again_from_the_files(tool, finished, tmp_path):
    assert tool.main([str(finished.out / "*" / "results.json"), "--out", str(tmp_path)]) == 0
    before = (finished.out / "table.md").read_text().splitlines()
    assert (tmp_path / "table.md").read_text().splitlines() == [
        line for number, line in enumerate(before) if not ("failed" in line or ("failed" in before[number - 1]))
    ]


def test_folder_of_a_single_set_can_be_named(tool, sets, tmp_path, monkeypatch):
    quicken_logs(monkeypatch)
    root = make_loveda(tmp_path / "elsewhere", ((20, 30),))
    command = [config_of("loveda"), "--data-root", f"loveda={root}", "--out", str(tmp_path / "out")]
    assert tool.main([*command, "--checkpoint", str(sets.weights), "--workers", "0"]) == 0
    assert report_of(tmp_path / "out" / "segearth-ov3_loveda").images == 1


def test_earlier_results_are_kept_unless_asked(tool, finished, command, capsys):
    before = (finished.out / "segearth-ov3_dubai" / "results.json").read_bytes()
    assert tool.main([*command[1:], "--out", str(finished.out)]) == 1
    assert "segearth-ov3_dubai holds an earlier run; --resume continues it" in capsys.readouterr().err
    assert (finished.out / "segearth-ov3_dubai" / "results.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere*.py", "--out", "out"), "error: no such file: nowhere*.py"),
        (("a/one.py", "b/one.py", "--out", "out"), "error: two configurations are called one"),
        (("a/two.py", "b/three.py", "--out", "out"), "error: a/two.py and b/three.py are both of the set loveda"),
    ],
    ids=["no file", "one name", "one set"],
)
def test_mistake_is_one_line(tool, capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    for folder in "ab":
        Path(folder).mkdir()
        Path(folder, "one.py").touch()
    for path in ("a/two.py", "b/three.py"):
        Path(path).write_text(f"_base_ = '{config_of('loveda')}'\n", encoding="utf-8")
    assert tool.main(list(arguments)) == 1
    assert capsys.readouterr().err.startswith(message)
    assert not Path("out").exists()


def test_set_that_is_absent_is_not_found_and_no_failure(tool, command, tmp_path, monkeypatch, capsys):
    from segearth_ov3.mmseg_plugin import segmentor

    quicken_logs(monkeypatch)
    sets = [command[2], config_of("potsdam"), config_of("uavid")]
    assert tool.main([*sets, *command[3:], "--out", str(tmp_path)]) == 0
    table, said = (tmp_path / "table.md").read_text(), capsys.readouterr().err
    assert f"- segearth-ov3_potsdam not found: no folder {command[4]}/Potsdam" in table
    assert "not found: segearth-ov3_uavid: no folder" in said
    assert "failed" not in table + said
    monkeypatch.setattr(segmentor, "load_sam3", lambda *_, **__: pytest.fail("the weights were loaded"))
    assert tool.main([config_of("potsdam"), *command[3:], "--out", str(tmp_path / "none")]) == 1
    assert "no set was found; name their folder by --data-dir" in capsys.readouterr().err


def test_folder_that_was_named_must_exist(tool, command, tmp_path, capsys):
    arguments = [config_of("potsdam"), *command[3:], "--data-root", "potsdam=nowhere", "--out", str(tmp_path)]
    assert tool.main(arguments) == 1
    assert "no such folder or file: nowhere/img_dir/val" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("root", "variable", "expected"),
    [
        ("data/LoveDA", None, "/sets/LoveDA"),
        ("data/mine/LoveDA", None, "/sets/mine/LoveDA"),
        ("/elsewhere/LoveDA", None, None),
        ("other/LoveDA", None, None),
        ("{{$SEGEARTH_OV3_DATA:data}}/LoveDA", "/archive", "/sets/LoveDA"),
        ("{{$SEGEARTH_OV3_DATA:data}}/LoveDA", None, "/sets/LoveDA"),
        ("/elsewhere/LoveDA", "/archive", None),
    ],
)
def test_data_dir_takes_the_place_of_the_common_folder_only(tool, tmp_path, monkeypatch, root, variable, expected):
    monkeypatch.delenv("SEGEARTH_OV3_DATA", raising=False)
    if variable:
        monkeypatch.setenv("SEGEARTH_OV3_DATA", variable)
    config = tmp_path / "own.py"
    config.write_text(
        f"_base_ = '{config_of('loveda')}'\nmodel = dict(vocabulary='words.txt')\n"
        f"test_dataloader = dict(dataset=dict(data_root='{root}'))\n"
    )
    args = tool.parse_arguments([str(config), "--data-dir", "/sets", "--out", "out"])
    assert tool.data_root_of(args, config) == expected


def test_interruption_keeps_the_finished_sets_in_the_table(tool, command, tmp_path, monkeypatch, capsys):
    from segearth_ov3.mmseg_plugin import evaluation

    quicken_logs(monkeypatch)
    measure, sets = evaluation._measure, []

    def stop_at_the_second(config, *rest):
        sets.append(config.dataset_name)
        if len(sets) == 2:
            raise KeyboardInterrupt
        return measure(config, *rest)

    monkeypatch.setattr(evaluation, "_measure", stop_at_the_second)
    assert tool.main([*command[1:], "--out", str(tmp_path)]) == 130
    assert "| dubai" in (tmp_path / "table.md").read_text()
    kept = f"Interrupted; what was measured is kept in {tmp_path}; repeat the command with --resume to continue"
    assert capsys.readouterr().err.splitlines()[-1] == kept
    assert tool.main([*command[1:], "--out", str(tmp_path), "--resume"]) == 0
    assert "| loveda" in (tmp_path / "table.md").read_text()


def test_folder_in_which_another_benchmark_works_is_refused(tool, command, tmp_path, capsys):
    from segearth_ov3.mmseg_plugin.workfolder import hold_folder

    with hold_folder(tmp_path):
        assert tool.main([*command, "--out", str(tmp_path), "--resume"]) == 1
    assert f"error: {tmp_path}: another process is working on it" in capsys.readouterr().err
    assert not (tmp_path / "table.md").exists()


def test_unusable_results_file_is_reported(tool, finished, tmp_path):
    (tmp_path / "old.json").write_text("{}")
    good = str(finished.out / "segearth-ov3_dubai" / "results.json")
    assert tool.main([str(tmp_path / "old.json"), good, "--out", str(tmp_path)]) == 1
    table = (tmp_path / "table.md").read_text()
    assert "old.json failed**: expected a results file of schema" in table
    assert "| dubai" in table


def test_help_has_examples(tool, capsys):
    with pytest.raises(SystemExit):
        tool.parse_arguments(["--help"])
    assert "python tools/benchmark.py" in capsys.readouterr().out


def test_command_without_a_configuration_file_has_no_traceback(tmp_path):
    command = [sys.executable, str(ROOT / "tools" / "benchmark.py"), "nowhere.py", "--out", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (1, "error: no such file: nowhere.py\n")
    assert list(tmp_path.iterdir()) == []


# ---- two processes


def same(report: Report) -> dict[str, object]:
    """What must not depend on the number of processes."""
    fields = json.loads(report.to_json())
    return {name: value for name, value in fields.items() if name != "date" and not name.startswith("seconds")}


def interrupted(finished: Path, out: Path, images: int) -> None:
    """Leave in a folder what a run is left with that is interrupted after some images."""
    header, *lines = (finished / "records.jsonl").read_text().splitlines(keepends=True)
    out.mkdir(parents=True)
    (out / "records.jsonl").write_text(header + "".join(lines[:images]))
    for line in lines[:images]:
        path = Path("predictions", json.loads(line)["image"]).with_suffix(".png")
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_bytes((finished / path).read_bytes())


def test_two_processes_give_what_one_gives(finished, command, tmp_path):
    """Five images of which one is done, and three; the first set fails in the second process only, and both go on."""
    interrupted(finished.out / "segearth-ov3_dubai", tmp_path / "segearth-ov3_dubai", images=1)
    done = run_in_processes(2, "benchmark.py", *command, "--out", str(tmp_path), "--save-predictions", "--resume")
    assert "img_dir/val/1.png" in done.stderr
    assert done.returncode == 1
    for name in ("segearth-ov3_dubai", "segearth-ov3_loveda"):
        assert same(report_of(tmp_path / name)) == same(report_of(finished.out / name))
        assert sorted(path.name for path in (tmp_path / name).glob("records*")) == ["records.jsonl"]
        lines = (tmp_path / name / "records.jsonl").read_text().splitlines()
        assert len(lines) == 1 + report_of(tmp_path / name).images
        for path in (finished.out / name / "predictions").rglob("*.png"):
            assert path.read_bytes() == (tmp_path / path.relative_to(finished.out)).read_bytes()
    assert "- **damaged failed**" in (tmp_path / "table.md").read_text()


def test_two_processes_are_refused_where_another_run_works(command, tmp_path):
    """The first of them holds the lock for both; the other one ends with it instead of waiting."""
    from segearth_ov3.mmseg_plugin.workfolder import hold_folder

    with hold_folder(tmp_path):
        done = run_in_processes(2, "benchmark.py", *command[1:], "--out", str(tmp_path), "--resume")
    assert done.returncode != 0
    assert f"{tmp_path}: another process is working on it" in done.stderr
    assert not list(tmp_path.glob("*/records*.jsonl"))
