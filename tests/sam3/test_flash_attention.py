"""Compiled attention against the formula in float64; skipped where the installation or the processor lacks it."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from segearth_ov3.errors import StaleBuildWarning
from segearth_ov3.sam3 import ops
from segearth_ov3.sam3.attention import Attention
from segearth_ov3.sam3.cpu import attention, flash_attention
from segearth_ov3.sam3.ops import MapBias

TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 1e-2}
DTYPES = list(TOLERANCE)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def need(dtype: torch.dtype) -> None:
    if not flash_attention.handles(torch.zeros(1, 1, 1, 32, dtype=dtype)):
        pytest.skip(f"no compiled attention for {dtype} here")


def expected(q: Tensor, k: Tensor, v: Tensor, bias: MapBias | None = None) -> Tensor:
    """Of the formula, in float64: (N, n, D)."""
    scores = q.double() @ k.double().mT / q.shape[-1] ** 0.5
    if bias is not None:
        scores = scores + MapBias(*(term.double() for term in bias)).dense(torch.float64)
    return (scores.softmax(-1) @ v.double()).transpose(1, 2).flatten(2)


def check(q: Tensor, k: Tensor, v: Tensor, bias: MapBias | None = None, *, factor: float = 1) -> None:
    found = flash_attention.flash_attention(q, k, v, bias)
    assert found.dtype == q.dtype
    assert found.is_contiguous()
    torch.testing.assert_close(found.double(), expected(q, k, v, bias), atol=factor * TOLERANCE[q.dtype], rtol=0)


@pytest.fixture
def threads() -> Iterator[None]:
    count = torch.get_num_threads()
    yield
    torch.set_num_threads(count)


def test_is_there_where_installing_could_compile_it() -> None:
    found = importlib.metadata.distributions(name="segearth-ov3")
    origins = [json.loads(each.read_text("direct_url.json") or "{}") for each in found]
    if not any(origin.get("dir_info", {}).get("editable") for origin in origins):
        pytest.skip("the sources under test are not those that were installed")
    compiler = shutil.which(shlex.split(os.environ.get("CXX") or sysconfig.get_config_var("CXX") or "g++")[0])
    info = Path("/proc/cpuinfo")
    flags = info.read_text(encoding="utf-8").split() if info.exists() else []
    if compiler is None or platform.machine() != "x86_64" or "avx512bw" not in flags:
        pytest.skip("no compiler or no processor for it")
    macros = subprocess.run(
        [compiler, "-dM", "-E", "-x", "c++", os.devnull], capture_output=True, text=True, check=True
    ).stdout
    major = re.search(r"#define __GNUC__ (\d+)", macros)
    if "__clang__" in macros or major is None or int(major[1]) < 10 or flash_attention._parallel() is None:
        pytest.skip("another compiler, or another OpenMP in PyTorch")
    assert flash_attention.handles(torch.zeros(1, 1, 1, 32)), "install the package again to compile it"
    assert flash_attention.handles(torch.zeros(1, 1, 1, 32).bfloat16()) == ("avx512_bf16" in flags)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [32, 64])
@pytest.mark.parametrize("m", [1, 15, 16, 33, 64, 65, 576, 641, 1152])
@pytest.mark.parametrize("n", [1, 6, 47, 48, 100])
def test_equals_the_formula(dtype: torch.dtype, dim: int, n: int, m: int) -> None:
    need(dtype)
    q, k, v = (random(2, 3, count, dim, seed=seed, dtype=dtype) for seed, count in enumerate((n, m, m)))
    check(q, k, v)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize(("rows", "cols"), [(5, 20), (20, 5), (16, 72), (1, 7), (9, 64)])
def test_bias_is_of_row_and_column(dtype: torch.dtype, samples: int, rows: int, cols: int) -> None:
    need(dtype)
    m = rows * cols
    q, k, v = (random(2, 3, count, 32, seed=seed, dtype=dtype) for seed, count in enumerate((50, m, m)))
    check(
        q, k, v, MapBias(3 * random(samples, 3, 50, rows, seed=3), 3 * random(samples, 3, 50, cols, seed=4)), factor=4
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_bias_of_any_layout_and_dtype_counts(dtype: torch.dtype) -> None:
    need(dtype)
    q, k, v = (random(1, 2, count, 32, seed=seed, dtype=dtype) for seed, count in enumerate((9, 12, 12)))
    by_row, by_col = random(1, 9, 3, 2, seed=3).bfloat16(), random(1, 9, 4, 2, seed=4).bfloat16()
    check(q, k, v, MapBias(by_row.permute(0, 3, 1, 2), by_col.permute(0, 3, 1, 2)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_takes_views(dtype: torch.dtype) -> None:
    need(dtype)
    q, k, v = random(2, 70, 3, 4, 32, dtype=dtype).permute(2, 0, 3, 1, 4)  # as a fused projection gives them
    check(q, k, v)
    check(q, k[:1].expand(2, -1, -1, -1), v[:1].expand(2, -1, -1, -1))
    apart = random(2, 4, 32, 70, dtype=dtype).mT  # neighbouring channels are not neighbours in memory
    check(apart, apart, apart)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", [1, -1])
def test_scores_may_be_large_and_grow_from_block_to_block(dtype: torch.dtype, order: int) -> None:
    need(dtype)
    q, k, v = (random(1, 2, count, 64, seed=seed) for seed, count in enumerate((50, 2000, 2000)))
    k *= torch.linspace(0, 40, 2000)[:, None] if order > 0 else torch.linspace(40, 0, 2000)[:, None]
    check(q.to(dtype), k.to(dtype), v.to(dtype), factor=20)  # float32 itself tells scores of 300 only so well apart


def test_scores_of_bfloat16_are_not_rounded() -> None:
    need(torch.bfloat16)
    q, k, v = (random(1, 2, 600, 64, seed=seed, dtype=torch.bfloat16) for seed in range(3))
    truth = expected(q, k, v)
    error = (flash_attention.flash_attention(q, k, v).double() - truth).abs().mean()
    in_blocks = (attention.blockwise_attention(q, k, v, None).double() - truth).abs().mean()
    assert error < 0.6 * in_blocks


@pytest.mark.parametrize("dtype", DTYPES)
def test_not_a_number_stays_in_its_query(dtype: torch.dtype) -> None:
    need(dtype)
    q, k, v = (random(1, 2, 50, 32, seed=seed, dtype=dtype) for seed in range(3))
    clean = flash_attention.flash_attention(q, k, v)
    q[0, 1, 7, 3] = torch.nan
    found = flash_attention.flash_attention(q, k, v)
    assert found[0, 7, 32:].isnan().all()
    found[0, 7, 32:] = clean[0, 7, 32:]
    assert torch.equal(found, clean)


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_that_holds_nan_does_not_reach_the_result(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    need(dtype)
    empty = torch.Tensor.new_empty
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda self, *size: empty(self, *size).fill_(torch.nan))
    q, k, v = (random(1, 2, count, 32, seed=seed, dtype=dtype) for seed, count in enumerate((7, 70, 70)))
    check(q, k, v)


@pytest.mark.parametrize("dtype", DTYPES)
def test_result_does_not_depend_on_the_threads(threads: None, dtype: torch.dtype) -> None:
    need(dtype)
    q, k, v = (random(2, 4, 300, 32, seed=seed, dtype=dtype) for seed in range(3))
    assert q[0, :, :, 0].numel() * 300 >= flash_attention._THREAD_SCORES  # else one thread does it
    found = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        found.append(flash_attention.flash_attention(q, k, v))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_other_tensors_are_refused() -> None:
    assert not flash_attention.handles(torch.zeros(1, 1, 1, 48))
    assert not flash_attention.handles(torch.zeros(1, 1, 1, 32).half())
    assert not flash_attention.handles(torch.zeros(1, 1, 1, 32).double())
    assert not flash_attention.handles(torch.zeros(1, 1, 1, 32, device="meta"))


def test_gradients_go_another_way() -> None:
    q, k, v = (random(1, 2, 12, 32, seed=seed) for seed in range(3))
    bias = MapBias(random(1, 2, 12, 3, seed=3), random(1, 2, 12, 4, seed=4))
    for trained in (q, k, v, *bias):
        trained.requires_grad_()
        ops.attention(q, k, v, bias).square().sum().backward()
        assert trained.grad is not None
        trained.requires_grad_(False)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace` is deprecated")
def test_what_is_traced_goes_another_way() -> None:
    q, k, v = (random(1, 2, 12, 32, seed=seed) for seed in range(3))
    recorded = torch.jit.trace(lambda q, k, v: ops.attention(q, k, v), (q, k, v), check_trace=False)
    torch.testing.assert_close(recorded(2 * q, k, v).double(), expected(2 * q, k, v), atol=1e-5, rtol=0)
    with FakeTensorMode() as mode:
        assert ops.attention(*(mode.from_tensor(x) for x in (q, k, v))).shape == (1, 12, 64)


@pytest.mark.parametrize(
    ("k", "v", "bias"),
    [
        (torch.zeros(1, 2, 4, 32), torch.zeros(1, 2, 5, 32), None),
        (torch.zeros(1, 2, 4, 32), torch.zeros(1, 2, 4, 32).double(), None),
        (torch.zeros(1, 1, 4, 32), torch.zeros(1, 1, 4, 32), None),
        (torch.zeros(1, 2, 4, 64), torch.zeros(1, 2, 4, 64), None),
        (torch.zeros(1, 2, 0, 32), torch.zeros(1, 2, 0, 32), None),
        (torch.zeros(1, 2, 4, 32), torch.zeros(1, 2, 4, 32), (torch.zeros(1, 2, 3, 2), torch.zeros(1, 2, 3, 1))),
        (torch.zeros(1, 2, 4, 32), torch.zeros(1, 2, 4, 32), (torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2))),
    ],
)
def test_what_does_not_fit_is_told(k: Tensor, v: Tensor, bias: tuple[Tensor, Tensor] | None) -> None:
    with pytest.raises(ValueError, match="expected"):
        flash_attention.flash_attention(torch.zeros(1, 2, 3, 32), k, v, bias)
    with pytest.raises(ValueError, match="no compiled attention"):
        flash_attention.flash_attention(*(torch.zeros(1, 2, 3, 48) for _ in range(3)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_layer_uses_it_and_gives_the_same_without(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    need(dtype)
    layer, x = Attention(64, 2).to(dtype).requires_grad_(False), random(2, 40, 64, dtype=dtype)
    calls = []

    def spy(*args: Tensor) -> Tensor:
        calls.append(args)
        return flash_attention.flash_attention(*args)

    monkeypatch.setattr(attention, "flash_attention", spy)
    found = layer.attend(*layer.project(x, "qkv"))
    assert len(calls) == 1
    monkeypatch.setattr(attention, "handles", lambda q: False)
    torch.testing.assert_close(found, layer.attend(*layer.project(x, "qkv")), atol=TOLERANCE[dtype], rtol=0)
    assert len(calls) == 1


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Nothing is kept of what was found out about the installation, before and after."""
    for kept in (flash_attention._library, flash_attention._supports):
        kept.cache_clear()
    yield
    for kept in (flash_attention._library, flash_attention._supports):
        kept.cache_clear()


def test_installation_without_it_works(monkeypatch: pytest.MonkeyPatch, forgotten: None) -> None:
    monkeypatch.setattr(flash_attention.importlib.util, "find_spec", lambda name: None)
    q, k, v = (random(1, 2, 5, 32, seed=seed) for seed in range(3))
    assert not flash_attention.handles(q)
    torch.testing.assert_close(ops.attention(q, k, v).double(), expected(q, k, v), atol=1e-5, rtol=0)


def test_file_that_cannot_be_loaded_is_not_used(
    monkeypatch: pytest.MonkeyPatch, forgotten: None, tmp_path: Path
) -> None:
    broken = tmp_path / "_flash_attention.so"
    broken.write_bytes(b"not a library")
    spec = importlib.machinery.ModuleSpec("_flash_attention", None, origin=str(broken))
    monkeypatch.setattr(flash_attention.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(flash_attention, "_parallel", lambda: len)
    with pytest.warns(StaleBuildWarning, match="install the package again"):
        assert not flash_attention.handles(torch.zeros(1, 1, 1, 32))


def test_build_from_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch, forgotten: None) -> None:
    need(torch.float32)
    flash_attention._library.cache_clear()
    flash_attention._supports.cache_clear()
    monkeypatch.setattr(flash_attention, "_BUILD", 0)
    with pytest.warns(StaleBuildWarning, match="compiled from other sources .* install the package again"):
        assert not flash_attention.handles(torch.zeros(1, 1, 1, 32))
