"""Fake downloads, the preparing command, and the test loop of mmengine with the demo model, loaded once."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_downloads import MAKERS
from prepare_data.command import main

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
Evaluate = Callable[..., tuple[dict[str, Any], Path]]


@pytest.fixture
def download(tmp_path):
    """Make the fake download of a set; returns its folder."""

    def make(name: str) -> Path:
        MAKERS[name](tmp_path / "download")
        return tmp_path / "download"

    return make


@pytest.fixture
def prepare(tmp_path, capsys):
    """Run the command on the fake download; returns exit code, standard output and standard error."""

    def run(name: str, *arguments: str, partial: bool = True) -> tuple[int, str, str]:
        source = ["--src", str(tmp_path / "download")] if "--check" not in arguments else []
        options = ["--partial"] if partial else []
        code = main([name, *source, "--out", str(tmp_path / "data"), *options, *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@functools.cache
def demo_model(path: str, **options: object) -> object:
    from segearth_ov3.checkpoints import load_sam3

    return load_sam3(path, **options)


@functools.cache
def environment() -> dict[str, Any]:
    from mmengine.utils.dl_utils import collect_env

    return collect_env()


@pytest.fixture
def evaluate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Evaluate:
    """Evaluate a set in a folder, with further options of the configuration; returns results and predictions."""
    from mmengine.config import Config
    from mmengine.runner import runner

    from segearth_ov3.mmseg_plugin import segmentor
    from segearth_ov3.mmseg_plugin.configuration import check_before_loading, load_config
    from segearth_ov3.mmseg_plugin.evaluation import Outputs
    from segearth_ov3.mmseg_plugin.evaluation import evaluate as evaluate_set

    monkeypatch.setattr(segmentor, "load_sam3", demo_model)
    # what takes most of the time, and is of no interest here: the log's text of a configuration, and of the machine
    monkeypatch.setattr(Config, "pretty_text", property(lambda config: ""))
    monkeypatch.setattr(runner, "collect_env", environment)

    def run(name: str, root: Path, *options: str) -> tuple[dict[str, Any], Path]:
        options = ("test_dataloader.num_workers=0", "model.device=cpu", *options)
        path = CONFIGS / f"segearth-ov3_{name}.py"
        config = load_config(path, options, checkpoint="demo", data_root=str(root))
        evaluate_set(config, check_before_loading(config), Outputs(tmp_path / "work", predictions=True))
        return json.loads((tmp_path / "work/results.json").read_text()), tmp_path / "work/predictions"

    return run
