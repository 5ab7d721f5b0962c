"""Images of one size together: equal to each alone; smaller pieces where memory runs out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_model import FakeSam3
from golden import load_tiny
from torch import Tensor

from segearth_ov3.engine import memory
from segearth_ov3.engine.chunks import plan_chunks
from segearth_ov3.engine.memory import WorkSize, automatic_chunk, container_bytes, free_bytes
from segearth_ov3.errors import LowMemoryWarning, OptionError, ShapeError, is_out_of_memory
from segearth_ov3.refiners.base import CustomRefiner, RefinerContext
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.outputs import Prompt
from segearth_ov3.segmenter import Segmenter
from segearth_ov3.vocabulary import Vocabulary

VOCABULARY = Vocabulary.from_text("ground; building,house; road")
PROMPTS = len(VOCABULARY.prompts)


def photos(count: int, height: int = 37, width: int = 29) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def segmenter(model: FakeSam3 | Sam3, **options: object) -> Segmenter:
    return Segmenter(model, VOCABULARY, **options)  # type: ignore[arg-type]


# ---- together as alone


@pytest.mark.parametrize("chunk", [1, 3, 4, 8, 11, 100])
def test_images_together_equal_each_alone(chunk: int) -> None:
    built = segmenter(FakeSam3(), prompt_chunk=chunk, confidence_threshold=0.2)
    together = built.class_scores(photos(5))
    assert (together.shape, together.dtype) == ((5, 3, 37, 29), torch.float32)
    for scores, image in zip(together, photos(5)):
        torch.testing.assert_close(scores, built(image).scores, atol=1e-6, rtol=0)


@pytest.mark.parametrize("chunk", [3, 8, 100])
def test_network_gives_images_together_what_it_gives_each_alone(chunk: int) -> None:
    refiners = ["smoothing:weight=2,at=trunk", "lowpass:radius=2,alpha=1,at=pyramid", "graph_laplacian:lam=3,at=memory"]
    built = segmenter(load_tiny(), prompt_chunk=chunk, confidence_threshold=0.08, refiners=refiners)
    together = built.class_scores(photos(3))
    for scores, image in zip(together, photos(3)):
        torch.testing.assert_close(scores, built(image).scores, atol=2e-5, rtol=0)


def test_each_image_is_encoded_once_and_all_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batches = FakeSam3(), []
    encode = model.encode_trunk
    monkeypatch.setattr(model, "encode_trunk", lambda pixels: batches.append(len(pixels)) or encode(pixels))
    segmenter(model).class_scores(photos(5))
    assert batches == [5]
    assert model.calls["images prepared"] == 5
    assert model.calls["prompts fused"] == 5 * PROMPTS


@pytest.mark.parametrize("batch", [2, 3, 4, 9])
def test_windows_of_one_image_may_go_together(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image, model, batches = photos(1, 60, 50)[0], FakeSam3(), []
    encode = model.encode_trunk
    monkeypatch.setattr(model, "encode_trunk", lambda pixels: batches.append(len(pixels)) or encode(pixels))
    seen: list[tuple[int, int]] = []
    windows = {"window": 24, "stride": 17, "confidence_threshold": 0.2}
    found = segmenter(model, window_batch=batch, **windows)(image, lambda *step: seen.append(step))
    expected = segmenter(FakeSam3(), **windows)(image)
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-6, rtol=0)
    assert torch.equal(found.labels, expected.labels)
    assert (max(batches), sum(batches)) == (min(batch, 12), 12)
    assert seen[-1] == (12, 12)


def test_windows_do_not_matter() -> None:
    scores = segmenter(FakeSam3(), window=16, stride=8).class_scores(photos(2))
    assert torch.equal(scores, segmenter(FakeSam3()).class_scores(photos(2)))


@pytest.mark.parametrize("give", [list, tuple, torch.from_numpy, lambda images: [torch.from_numpy(x) for x in images]])
def test_arrays_tensors_and_sequences_are_taken(give: object) -> None:
    expected = segmenter(FakeSam3()).class_scores(photos(2))
    assert torch.equal(segmenter(FakeSam3()).class_scores(give(photos(2))), expected)  # type: ignore[operator]


def test_refiners_are_told_which_image_and_prompt_a_row_is() -> None:
    contexts: list[tuple[int, RefinerContext]] = []

    def look(tokens: Tensor, context: RefinerContext) -> Tensor:
        contexts.append((len(tokens), context))
        return tokens

    segmenter(FakeSam3(), refiners=[CustomRefiner(function=look)], prompt_chunk=9).class_scores(photos(3))
    assert [rows for rows, _ in contexts] == [2 * PROMPTS, PROMPTS]
    images = [context.images.tolist() for _, context in contexts if context.images is not None]
    assert images == [[0] * PROMPTS + [1] * PROMPTS, [2] * PROMPTS]
    assert [context.prompts for _, context in contexts] == [VOCABULARY.prompts * 2, VOCABULARY.prompts]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 9, 100])
def test_chunks_cover_every_pair_once_and_in_order(size: int) -> None:
    for images, prompts in ((1, 1), (1, 7), (5, 1), (3, 4), (2, 11)):
        chunks = list(plan_chunks(images, prompts, size))
        assert sorted(row for chunk in chunks for row in chunk.rows) == [
            (image, prompt) for image in range(images) for prompt in range(prompts)
        ]
        assert max(len(chunk.rows) for chunk in chunks) <= size
        for image in range(images):
            of_image = [prompt for chunk in chunks for row, prompt in chunk.rows if row == image]
            assert of_image == list(range(prompts))


# ---- mistakes


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "expected one or more images of one size"),
        ([photos(1)[0], photos(1, 8, 9)[0]], r"images of one size \(H0, W0\), got \[\(8, 9\), \(37, 29\)\]"),
        (photos(1)[0], r"expected several images, got one; pass \[image\]"),
        (photos(2)[..., :1], "repeat the one band three times"),
    ],
)
def test_images_of_wrong_shape_are_refused(images: object, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        segmenter(FakeSam3()).class_scores(images)  # type: ignore[arg-type]


def test_images_that_are_not_8_bit_are_refused() -> None:
    with pytest.raises(OptionError, match="expected an 8-bit image"):
        segmenter(FakeSam3()).class_scores(photos(2) / 255)


@pytest.mark.parametrize("name", ["prompt_chunk", "window_batch"])
@pytest.mark.parametrize("value", [0, -1, 2.0, True, "8"])
def test_sizes_that_are_no_counts_are_refused(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=f"{name} must be a whole number of at least 1, got {value!r}"):
        segmenter(FakeSam3(), **{name: value})


# ---- the size of a chunk


def chunk_for(free: int | None, config: Sam3Config, monkeypatch: pytest.MonkeyPatch, device: str = "cpu") -> int:
    model = FakeSam3(config)
    model.device = torch.device(device)
    monkeypatch.setattr(memory, "free_bytes", lambda _: free)
    return automatic_chunk(model)  # type: ignore[arg-type]


def test_chunk_grows_with_the_free_memory_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    gigabytes = [0, 1, 2, 4, 6, 8, 16, 1000]
    chunks = [chunk_for(int(size * 1e9), Sam3Config.base(), monkeypatch) for size in gigabytes]
    assert chunks == [1, 1, 2, 4, 6, 8, 8, 8]
    assert chunk_for(10**12, Sam3Config.base(), monkeypatch, "cuda") == 12


def test_small_network_takes_more_prompts_into_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chunk_for(10**9, Sam3Config.demo(), monkeypatch) == 8


def test_unknown_memory_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chunk_for(None, Sam3Config.base(), monkeypatch) == 8
    assert free_bytes(torch.device("meta")) is None


def test_chunk_is_chosen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([1e9, 9e9])
    monkeypatch.setattr(memory, "free_bytes", lambda _: next(free))
    work = WorkSize(FakeSam3(Sam3Config.base()), None, 1)  # type: ignore[arg-type]
    assert (work.prompts, work.prompts) == (1, 1)


def test_memory_of_a_container_counts(tmp_path: Path) -> None:
    assert container_bytes(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("300\n")
    assert container_bytes(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    assert container_bytes(tmp_path) == 700


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="no /proc/meminfo on this system")
def test_free_memory_of_a_cpu_is_less_than_all() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < (free_bytes(torch.device("cpu")) or 0) < total


# ---- out of memory


class SmallSam3(FakeSam3):
    """Runs out of memory with more images or prompts than fit.

    Args:
        images, prompts: How many fit.
        error: What it raises.
    """

    def __init__(self, images: int, prompts: int, error: Exception | None = None) -> None:
        super().__init__()
        self.fits = images, prompts
        self.error = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        self.tried: list[tuple[str, int]] = []

    def encode_trunk(self, pixels: Tensor) -> Tensor:
        self._take("images", len(pixels), self.fits[0])
        return super().encode_trunk(pixels)

    def detect(self, memory: Tensor, prompt: Prompt):  # type: ignore[no-untyped-def]
        self._take("prompts", len(memory), self.fits[1])
        return super().detect(memory, prompt)

    def _take(self, what: str, count: int, fits: int) -> None:
        self.tried.append((what, count))
        if count > fits:
            raise self.error


def test_batch_is_halved_until_it_fits_and_then_the_chunk() -> None:
    model = SmallSam3(images=2, prompts=1)
    built = segmenter(model)
    with pytest.warns(LowMemoryWarning, match=r"out of memory with 5 image\(s\) and 4 prompt\(s\) at a time") as seen:
        scores = built.class_scores(photos(5))
    assert len(seen) == 1
    assert model.tried[:5] == [("images", 5), ("images", 2), ("prompts", 8), ("images", 1), ("prompts", 4)]
    torch.testing.assert_close(scores, segmenter(FakeSam3()).class_scores(photos(5)), atol=1e-6, rtol=0)


def test_what_did_not_fit_is_not_tried_again_nor_said_again() -> None:
    model = SmallSam3(images=2, prompts=100)
    built = segmenter(model)
    with pytest.warns(LowMemoryWarning):
        built.class_scores(photos(4))
    model.tried.clear()
    built.class_scores(photos(4))
    assert [count for what, count in model.tried if what == "images"] == [2, 2]


@pytest.mark.parametrize("windows", [{}, {"window": 20, "stride": 13}], ids=["whole", "windows"])
def test_one_image_goes_on_with_fewer_prompts(windows: dict[str, int]) -> None:
    built = segmenter(SmallSam3(images=1, prompts=1), **windows)
    with pytest.warns(LowMemoryWarning, match=r"with 1 image\(s\) and 4 prompt\(s\)") as seen:
        labels, scores = built(photos(1)[0])
    assert len(seen) == 1
    expected = segmenter(FakeSam3(), **windows)(photos(1)[0])
    torch.testing.assert_close(scores, expected.scores, atol=1e-6, rtol=0)
    assert torch.equal(labels, expected.labels)


def test_one_prompt_that_does_not_fit_is_an_error() -> None:
    with pytest.warns(LowMemoryWarning), pytest.raises(torch.OutOfMemoryError, match="Tried to allocate"):
        segmenter(SmallSam3(images=2, prompts=0)).class_scores(photos(2))


@pytest.mark.parametrize("error", [RuntimeError("shapes do not match"), ValueError("out of memory"), KeyError("x")])
def test_other_errors_are_not_swallowed(error: Exception) -> None:
    model = SmallSam3(images=1, prompts=1, error=error)
    with pytest.raises(type(error)):  # and no warning, since those are errors in tests
        segmenter(model).class_scores(photos(2))
    assert model.tried == [("images", 2)]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (
            RuntimeError("alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"),
            True,
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
    ids=str,
)
def test_lack_of_memory_is_told_from_other_errors(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) == expected


def test_cpu_without_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(raised.value)


def test_nothing_of_the_failed_work_is_kept() -> None:
    """Otherwise the second try would have less memory than the first."""
    alive: list[Tensor] = []

    class Big:
        def __init__(self) -> None:
            alive.append(self)  # type: ignore[arg-type]

        def __del__(self) -> None:
            freed.append(1)

    freed: list[int] = []

    def work(batch: slice) -> int:
        if batch.stop - batch.start > 1:
            big = Big()
            alive.clear()
            raise MemoryError(repr(big))
        return len(freed)

    with pytest.warns(LowMemoryWarning):
        assert [result for _, result in WorkSize(FakeSam3(), 4, 1).batches(2, 4, work)] == [1, 1]
