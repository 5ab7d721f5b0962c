"""Changes of the protocol, and what the results say of them."""

from __future__ import annotations

import itertools

import pytest
from evaluation_tools import config_of
from mmengine.config import Config

from segearth_ov3.datasets.corruptions import Corruption
from segearth_ov3.errors import OptionError
from segearth_ov3.mmseg_plugin.configuration import load_config
from segearth_ov3.mmseg_plugin.processes import start_processes, together
from segearth_ov3.mmseg_plugin.protocol import Protocol, spread_indices

pytestmark = pytest.mark.mmseg


@pytest.fixture
def config() -> Config:
    return load_config(config_of("loveda"), checkpoint="sam3.pt")


@pytest.mark.parametrize("total", [1, 2, 7, 100, 1669])
@pytest.mark.parametrize("limit", [1, 2, 3, 50, 99])
def test_chosen_images_are_spread_over_the_set(total, limit):
    indices = spread_indices(total, limit)
    assert len(indices) == min(limit, total)
    assert indices == sorted(set(indices))
    assert 0 <= indices[0] <= indices[-1] < total
    gaps = {after - before for before, after in itertools.pairwise(indices)}
    assert not gaps or max(gaps) - min(gaps) <= 1
    assert abs(indices[0] - (total - 1 - indices[-1])) <= 1  # as far from the beginning as from the end


def test_nothing_wanted_changes_nothing(config):
    before = config.to_dict()
    Protocol().apply(config)
    assert config.to_dict() == before


def test_window_without_a_stride_has_no_stride_left_from_before(config):
    config.model.update(window=64, stride=8)
    Protocol(window=32).apply(config)
    assert (config.model.window, config.model.stride) == (32, None)


def test_stride_alone_changes_the_windows_that_are_there(config):
    config.model.window = 64
    Protocol(stride=8).apply(config)
    assert (config.model.window, config.model.stride) == (64, 8)


def test_corruption_follows_the_loading_of_the_image(config):
    Protocol(corrupt=Corruption("blur", 2)).apply(config)
    steps = config.test_dataloader.dataset.pipeline
    assert [step.type for step in steps] == ["LoadPicture", "CorruptPicture", "LoadLabels", "PackSegInputs"]


def test_pipeline_that_loads_no_image_is_told(config):
    config.test_dataloader.dataset.pipeline = [{"type": "LoadLabels"}]
    with pytest.raises(OptionError, match="--corrupt: no step of the pipeline loads an image"):
        Protocol(corrupt=Corruption("blur", 2)).apply(config)


@pytest.mark.parametrize(
    ("launcher", "variable"),
    [("pytorch", "RANK"), ("slurm", "SLURM_PROCID"), ("mpi", "OMPI_COMM_WORLD_LOCAL_RANK")],
)
def test_launcher_that_was_not_used_is_told(monkeypatch, launcher, variable):
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(OptionError, match=f"--launcher {launcher}: no {variable} in the environment; start with"):
        start_processes(launcher)


def test_slurm_without_a_gpu_is_told(monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(OptionError, match="--launcher slurm needs GPUs, and there is none here"):
        start_processes("slurm")


@pytest.mark.parametrize(
    ("messages", "said"),
    [([None, "no space", None], "process 1: no space"), ([None, None], None)],
)
def test_failure_of_another_process_is_raised(monkeypatch, messages, said):
    monkeypatch.setattr("segearth_ov3.mmseg_plugin.processes.all_gather_object", lambda own: messages)
    if said is None:
        assert together(lambda: 3) == 3
    else:
        with pytest.raises(Exception, match=said):
            together(lambda: 3)


def test_own_failure_is_raised_as_it_is():
    with pytest.raises(ZeroDivisionError):
        together(lambda: 1 / 0)
