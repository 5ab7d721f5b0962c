"""The network, the engine and the refiners on a GPU, against reference values, other kernels and the CPU.

Run with `python -m pytest -m gpu tests/test_gpu.py`. Without CUDA all of them are skipped.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import PROMPTS, TRIMMED_FILE, Golden, load_tiny
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from segearth_ov3.checkpoints import load_sam3
from segearth_ov3.engine.memory import automatic_chunk
from segearth_ov3.errors import LowMemoryWarning
from segearth_ov3.sam3 import ops
from segearth_ov3.sam3.attention import padding_bias
from segearth_ov3.sam3.model import Sam3, set_compute_dtype
from segearth_ov3.sam3.preprocess import preprocess
from segearth_ov3.segmenter import Segmenter
from segearth_ov3.vocabulary import Vocabulary

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

WORDS = Vocabulary.from_text("building; road; water; tree; grass; field", background=None)
DTYPES = [torch.float32, torch.bfloat16, torch.float16]
# of the outputs; half precision is compared by its mean, because rounding moves single queries far
FLOAT32 = {"presence_logit_dec": 1e-3, "pred_logits": 1e-3, "pred_boxes": 1e-4, "pred_masks": 1e-2}


@pytest.fixture(autouse=True)
def full_float32() -> Iterator[None]:
    """Float32 products in full precision, whatever the defaults are."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.fixture(scope="module")
def demo() -> Sam3:
    return load_sam3("demo", device="cuda")


def picture(height: int = 336, width: int = 336, seed: int = 0) -> np.ndarray:
    """Smooth noise with some structure (height, width, 3), uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 12, 12, generator=generator)
    image = F.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)[0]
    return (image * 255).byte().permute(1, 2, 0).numpy()


@torch.no_grad()
def test_reference_values_in_float32() -> None:
    golden, model = Golden(TRIMMED_FILE), load_tiny().cuda()
    found = model.ground(model.encode_image(preprocess(golden["image_u8"].cuda(), 224)), model.encode_text(PROMPTS))
    for index in range(len(PROMPTS)):
        one = slice(index, index + 1)
        outputs = {
            "presence_logit_dec": found.presence_logits[one, None],
            "pred_logits": found.score_logits[one, :, None],
            "pred_boxes": found.boxes[one],
            "pred_masks": found.mask_logits[one],
        }
        for name, output in outputs.items():
            assert golden.difference(f"p{index}.{name}", output.cpu()) < FLOAT32[name], name


@torch.no_grad()
@pytest.mark.parametrize("dtype", DTYPES[1:])
def test_half_precision_stays_near_float32(dtype: torch.dtype) -> None:
    pixels = preprocess(Golden(TRIMMED_FILE)["image_u8"].cuda(), 224)
    outputs = []
    for each in (torch.float32, dtype):
        model = load_tiny(each).cuda()
        outputs.append(model.ground(model.encode_image(pixels), model.encode_text(PROMPTS)))
    exact, half = outputs
    assert (half.presence_logits - exact.presence_logits).abs().max() < 0.1
    assert (half.semantic_logits - exact.semantic_logits).abs().mean() < 0.1


SHAPES = {
    "window": ((9, 16, 576, 64), (9, 16, 576, 64)),
    "global": ((1, 16, 5184, 64), (1, 16, 5184, 64)),
    "image": ((4, 8, 5184, 32), (4, 8, 5184, 32)),
    "prompt": ((4, 8, 5184, 32), (4, 8, 33, 32)),
    "queries": ((4, 8, 201, 32), (4, 8, 201, 32)),
    "boxes": ((4, 8, 201, 32), (4, 8, 5184, 32)),
}


def operands(name: str, dtype: torch.dtype, expanded: bool) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Queries, keys, values and bias as the network makes them; `expanded` queries have stride 0 over samples."""
    generator = torch.Generator("cuda").manual_seed(0)
    q_shape, k_shape = SHAPES[name]

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device="cuda").to(dtype)

    q, k, v = random(*q_shape), random(*k_shape), random(*k_shape)
    if expanded:
        q = q[:1].expand(q_shape)
    if name == "prompt":
        padding = torch.zeros(k_shape[0], k_shape[2], dtype=torch.bool, device="cuda")
        padding[1:, 20:] = True
        return q, k, v, padding_bias(padding, dtype)
    if name == "boxes":
        by_row, by_col = random(1, 8, 201, 72), random(1, 8, 201, 72)
        return q, k, v, ops.MapBias(by_row, by_col).dense(dtype)
    return q, k, v, None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("expanded", [False, True])
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    "backend", [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION]
)
def test_attention_kernels_agree(backend: SDPBackend, name: str, expanded: bool, dtype: torch.dtype) -> None:
    q, k, v, bias = operands(name, dtype, expanded)
    with sdpa_kernel(SDPBackend.MATH):
        exact = F.scaled_dot_product_attention(
            q.float(), k.float(), v.float(), attn_mask=None if bias is None else bias.float()
        )
    try:
        with sdpa_kernel(backend), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch warns about each reason why a kernel does not apply
            found = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    except RuntimeError as error:
        pytest.skip(f"{backend.name} does not take this: {str(error).splitlines()[0]}")
    error_size = (found.float() - exact).abs().max().item()
    assert error_size < {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 4e-3}[dtype]


@pytest.mark.parametrize("options", [{}, {"window": 336, "stride": 168}, {"window": 336, "window_batch": 3}])
def test_labels_equal_those_of_the_cpu(demo: Sam3, options: dict[str, int]) -> None:
    image = picture(504, 504)
    found = Segmenter(demo, WORDS, **options)(image)
    expected = Segmenter(load_sam3("demo", device="cpu"), WORDS, **options)(image)
    assert (found.scores.cpu() - expected.scores).abs().max() < 5e-3
    assert (found.labels.cpu() == expected.labels).float().mean() > 0.999


@pytest.mark.parametrize(
    "refiner", ["smoothing", "lowpass:at=trunk", "graph_laplacian", "clip_similarity:pretrained=random"]
)
def test_refiners_equal_those_of_the_cpu(demo: Sam3, refiner: str) -> None:
    image = picture()
    found = Segmenter(demo, WORDS, refiners=[refiner])(image)
    expected = Segmenter(load_sam3("demo", device="cpu"), WORDS, refiners=[refiner])(image)
    assert (found.labels.cpu() == expected.labels).float().mean() > 0.995


def test_batch_equals_single_images(demo: Sam3) -> None:
    images = [picture(seed=seed) for seed in range(3)]
    segmenter = Segmenter(demo, WORDS)
    together = segmenter.class_scores(images)
    for image, scores in zip(images, together):
        torch.testing.assert_close(scores, segmenter(image).scores, atol=2e-3, rtol=0)


@torch.no_grad()
def test_network_does_not_wait_for_the_device(demo: Sam3) -> None:
    pixels = preprocess(torch.from_numpy(picture()).permute(2, 0, 1).contiguous().cuda(), demo.config.image_size)
    text = demo.encode_text(WORDS.prompts)
    demo.ground(demo.encode_image(pixels), text)  # makes what is kept between images
    torch.cuda.set_sync_debug_mode("error")
    try:
        image = demo.encode_image(pixels)
        prompt = demo.prompt(image, text)
        demo.detect(demo.fuse(image, prompt), prompt)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.slow
def test_compiled_network_equals_the_eager_one() -> None:
    model = set_compute_dtype(load_sam3("demo", device="cuda"), torch.bfloat16)
    eager = Segmenter(model, WORDS)(picture())
    compiled = Segmenter(model, WORDS, compile=True)(picture())
    assert (compiled.labels == eager.labels).float().mean() > 0.99


@torch.no_grad()
def test_peak_memory_grows_by_chunks_not_by_prompts(demo: Sam3) -> None:
    def peak(prompts: int) -> int:
        words = Vocabulary(tuple((f"class {index}",) for index in range(prompts)), background=None)
        segmenter = Segmenter(demo, words, prompt_chunk=8, prob_threshold=0.5)
        segmenter.predict_labels(picture())
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        segmenter.predict_labels(picture())
        return torch.cuda.max_memory_allocated() - before

    maps = 4 * 336 * 336  # one float32 map per class is the result itself
    assert peak(64) - 64 * maps < 1.2 * (peak(8) - 8 * maps) + 64 * maps


def test_work_recovers_from_lack_of_memory(demo: Sam3) -> None:
    words = Vocabulary(tuple((f"class {index}",) for index in range(48)), background=None)
    expected = Segmenter(demo, words)(picture()).labels
    assert automatic_chunk(demo) >= 1
    segmenter = Segmenter(demo, words, prompt_chunk=48)
    segmenter.predict_labels(picture(64, 64))
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.reset_peak_memory_stats()
    segmenter(picture())
    peak = torch.cuda.max_memory_reserved()
    del segmenter
    torch.cuda.empty_cache()
    floor = torch.cuda.memory_reserved()
    torch.cuda.set_per_process_memory_fraction((floor + 0.6 * (peak - floor)) / total)
    try:
        with pytest.warns(LowMemoryWarning):
            found = Segmenter(demo, words, prompt_chunk=48)(picture()).labels
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert (found == expected).float().mean() > 0.999
