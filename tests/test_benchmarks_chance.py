"""`benchmarks/chance.py`: how often a difference is reported where there is none."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

FILE = Path(__file__).resolve().parents[1] / "benchmarks" / "chance.py"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("benchmarks_chance", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_simulated_sides_have_equal_labels_and_other_errors(benchmark: ModuleType) -> None:
    first, second, third = benchmark.simulate(30, 3, np.random.default_rng(0))
    for other in (second, third):
        assert np.array_equal(other.sum(axis=2), first.sum(axis=2))
        assert not np.array_equal(other, first)
    assert (first.sum(axis=(0, 2)) > 0).all()


def test_few_images_seldom_give_a_difference_by_chance(benchmark: ModuleType) -> None:
    """Nine images: percentile intervals excluded 0 in 8 to 20 % of such simulations."""
    found = benchmark.rates(9, rows=2, repeats=120, draws=199, seed=0)
    assert found["studentised"] <= 0.07 < found["percentile"]
    assert found["BCa"] > found["percentile"]
    assert found["bold"] == 0


def test_tables_of_many_rows_seldom_have_a_bold_one_by_chance(benchmark: ModuleType) -> None:
    assert benchmark.rates(25, rows=8, repeats=60, draws=399, seed=0)["bold"] <= 0.1


def test_table_is_printed(benchmark: ModuleType) -> None:
    arguments = ["--images", "5,20", "--repeats", "2", "--rows", "2", "--draws", "30"]
    result = CliRunner().invoke(benchmark.main, arguments, catch_exceptions=False)
    heading, _, *rows, _, note = result.output.splitlines()
    assert "tables of 2 rows with a bold one, %" in heading
    assert [row.split("|")[1].strip() for row in rows] == ["5", "20"]
    assert note == (
        "2 simulated evaluations without any difference in each line, 7 classes, 30 draws, level 95 %, seed 0."
    )
