"""`benchmarks/refiners.py` on the tiny network: what is timed, and the table made of it."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner

FILE = Path(__file__).resolve().parents[1] / "benchmarks" / "refiners.py"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("benchmarks_refiners", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def configuration(benchmark: ModuleType) -> object:
    return benchmark.Configuration("tiny", "cpu", "float32", 3, 2, 2, 1, torch.get_num_threads(), 0)


@pytest.mark.parametrize("place", ["trunk", "memory"])
@pytest.mark.parametrize("name", ["forward pass", "lowpass:radius=3"])
def test_every_setting_is_timed(benchmark: ModuleType, configuration: object, place: str, name: str) -> None:
    row = benchmark.measure(configuration, place, name)
    assert (row.place, row.name, len(row.seconds)) == (place, name, 2)
    assert min(row.seconds) > 0


def test_refiner_gets_all_tokens_of_its_place(benchmark: ModuleType, configuration: object) -> None:
    sizes = configuration.sizes
    trunk, memory = (
        [tuple(each.shape) for each in benchmark.random_tokens(configuration, at)] for at in ("trunk", "memory")
    )
    g = sizes.grid
    assert trunk == [(1, sizes.vit_dim, g, g)]
    assert memory == [(2, sizes.dim, g, g), (1, sizes.dim, g, g)]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="Linux alone says the peak since a moment")
def test_peak_counts_from_the_start_alone(benchmark: ModuleType) -> None:
    mib = 2**20
    bytes_before = torch.ones(200 * mib // 4)
    del bytes_before
    before = benchmark.start_peak("cpu")
    values = torch.ones(100 * mib // 4)
    assert 90 * mib < benchmark.peak("cpu") - before < 130 * mib
    del values


def test_table_relates_settings_to_the_forward_pass_of_their_place(
    benchmark: ModuleType, configuration: object
) -> None:
    rows = [
        benchmark.Row("trunk", "forward pass", [2.0, 1.0, 3.0], 2**21),
        benchmark.Row("trunk", "smoothing", [0.1, 0.5, 0.2], None),
        benchmark.Row("memory", "forward pass", [4.0], 2**20),
        benchmark.Row("memory", "smoothing", [1.0], 0),
    ]
    result = json.loads(benchmark.as_json(configuration, rows))
    assert [row["share_of_forward"] for row in result["rows"]] == [1.0, 0.1, 1.0, 0.25]
    lines = benchmark.as_markdown(result).splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert cells[2] == ["trunk", "forward pass", "2000.00", "1000.00 – 3000.00", "100.00 %", "2"]
    assert cells[3] == ["trunk", "smoothing", "200.00", "100.00 – 500.00", "10.00 %", "–"]
    assert lines[7].startswith("tiny network, 3 prompts in chunks of at most 2, 2 repetitions; cpu (")


def test_wrong_refiner_is_told_before_anything_is_timed(benchmark: ModuleType) -> None:
    result = CliRunner().invoke(benchmark.main, ["--config", "tiny", "--refiner", "smothing"])
    assert result.exit_code == 1
    assert "unknown refiner 'smothing'" in result.output
