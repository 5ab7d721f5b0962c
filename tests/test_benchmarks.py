"""The benchmark scripts run from end to end at the smallest size and write what they promise."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from segearth_ov3.sam3.cpu.flash_attention import handles

ROOT = Path(__file__).resolve().parents[1]


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / script), "--config", "tiny", "--device", "cpu", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def throughput(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    pytest.importorskip("transformers", reason="the peer is the optional extra 'bench'")
    folder = tmp_path_factory.mktemp("throughput")
    out = folder / "result.json"
    arguments = ("--prompts", "1,4", "--repeats", "1", "--warmup", "1", "--threads", "1")
    done = run("throughput.py", *arguments, "--out", str(out))
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text(encoding="utf-8")), done.stdout


def rows_of(result: dict[str, Any], **wanted: Any) -> list[dict[str, Any]]:
    return [row for row in result["rows"] if all(row[key] == value for key, value in wanted.items())]


def test_throughput_has_every_system_and_dtype(throughput: tuple[dict[str, Any], str]) -> None:
    result, _ = throughput
    for dtype in ("float32", "bfloat16"):
        found = rows_of(result, dtype=dtype, prompts=4, absent_share=0.0)
        assert [row["system"] for row in found] == [
            "segearth_ov3",
            "transformers, one by one",
            "transformers, batched",
            "sam3 (PyPI)",
        ]
        assert all(row["median_s"] > 0 and row["repeats"] == 1 for row in found[:3])
        assert found[3]["skipped"] == "PyPI's sam3 runs on CUDA only"


@pytest.mark.parametrize(
    ("dtype", "tolerance", "labels"), [("float32", 1e-4, 0.9999), ("bfloat16", 0.2, 0.8)], ids=["float32", "bfloat16"]
)
def test_throughput_compares_equal_work(
    throughput: tuple[dict[str, Any], str], dtype: str, tolerance: float, labels: float
) -> None:
    found = [row for row in rows_of(throughput[0], dtype=dtype) if "agreement" in row]
    assert len(found) == 7  # 1 prompt in one way; 4 prompts in two ways at three absent shares
    for row in found:
        assert row["agreement"]["presence"] < tolerance
        assert row["agreement"]["query_scores"] < tolerance
        assert row["agreement"]["labels_with_margin"] >= labels


def test_throughput_prints_tables_with_ratios(throughput: tuple[dict[str, Any], str]) -> None:
    result, printed = throughput
    assert printed.startswith("All prompts present:\n\n| Dtype ")
    assert "25% of the prompts absent" in printed
    peer, ours = (
        rows_of(result, dtype=dtype, prompts=4, absent_share=0.0, system=system)[0]["median_s"]
        for dtype, system in (("float32", "transformers, batched"), ("bfloat16", "segearth_ov3"))
    )
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines()]
    line = next(each for each in cells if each[:3] == ["float32", "4", "transformers, batched"])
    assert line[6] == f"{peer / ours:.2f}×"  # across dtypes
    assert result["schema"] == "segearth-ov3/throughput/1"
    assert {"torch", "transformers"} <= set(result["versions"])
    assert {"configuration", "device", "commit", "date"} <= set(result)


def test_throughput_without_time_says_so(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the peer is the optional extra 'bench'")
    out = tmp_path / "result.json"
    arguments = ("--prompts", "1,2", "--dtype", "float32", "--time-limit", "0.001", "--threads", "1")
    done = run("throughput.py", *arguments, "--out", str(out))
    assert done.returncode == 0, done.stderr
    second = rows_of(json.loads(out.read_text(encoding="utf-8")), prompts=2)
    assert all("beyond the time limit" in row["skipped"] for row in second[:2])


def test_scaling_tells_stages_calls_and_measures(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    arguments = ("--prompts", "1,3", "--windows", "2", "--repeats", "1", "--threads", "1", "--refiner", "smoothing")
    done = run("scaling.py", *arguments, "--ablate", "--out", str(out))
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text(encoding="utf-8"))
    stages = {row["stage"]: row for row in result["stages"]}
    assert list(stages) == ["trunk", "pyramid", "prepare", "text", "fuse", "detect", "segment", "fuse scores"]
    assert all(row["floor_s"] > 0 and row["median_s"] > 0 for row in stages.values())
    # by hand for the smallest network: patches, then per block the linear layers and the products of attention
    tokens, width, hidden = 256, 64, 296
    linear = tokens * width * (4 * width + 2 * hidden)
    blocks = 4 * linear + 2 * 2 * tokens * width * (64 + 256)  # two blocks see windows of 64 tokens, two all 256
    assert stages["trunk"]["flop"] == 2 * (tokens * 3 * 14 * 14 * width + blocks)
    assert [row["kind"] for row in result["calls"]] == ["prompts", "prompts", "windows", "refiner"]
    compiled = sum(row["measure"] == "attention by compiled code" for row in result["measures"])
    assert compiled == (3 if handles(torch.zeros(1, 1, 1, 32)) else 0)
    assert len(result["measures"]) == 14 + compiled
    assert "\n| trunk " in done.stdout


def test_refiner_costs_still_run(tmp_path: Path) -> None:
    out = tmp_path / "result.json"
    arguments = ("--refiner", "smoothing", "--repeats", "1", "--warmup", "0", "--prompts", "2", "--threads", "1")
    done = run("refiners.py", *arguments, "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert len(json.loads(out.read_text(encoding="utf-8"))["rows"]) == 4


@pytest.mark.parametrize("script", ["throughput.py", "scaling.py", "refiners.py"])
def test_a_result_without_a_folder_is_refused_before_anything_is_measured(tmp_path: Path, script: str) -> None:
    done = run(script, "--out", str(tmp_path / "missing" / "result.json"))
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        f"Error: Invalid value for '--out': no folder {tmp_path / 'missing'}"
    )
    assert not (tmp_path / "missing").exists()
