"""Everything in the package that has device-dependent code, as scenarios for `pretend_cuda.PretendCuda`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from pretend_cuda import PretendCuda


def tiny_model(dtype: torch.dtype, size: str = "tiny") -> Any:
    """The network with deterministic weights, on the CPU."""
    from segearth_ov3.sam3.build import build_sam3
    from segearth_ov3.sam3.config import Sam3Config
    from segearth_ov3.sam3.model import set_compute_dtype
    from segearth_ov3.sam3.random_weights import deterministic_tensor

    model = build_sam3(getattr(Sam3Config, size)(), "meta")
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    weights = {key: torch.from_numpy(deterministic_tensor(key, shape)) for key, shape in shapes.items()}
    model.load_state_dict(weights, assign=True)
    return set_compute_dtype(model, dtype).eval().requires_grad_(False)


def tiny_clip() -> Any:
    """The smallest CLIP that has everything."""
    import open_clip

    from segearth_ov3.refiners.clip_encoder import ClipEncoder

    vision = {"image_size": 42, "patch_size": 14, "width": 32, "layers": 4, "head_width": 8}
    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
    return ClipEncoder(open_clip.CLIP(24, vision, text), name="tiny")


WORDS = ("building", "road,street", "water", "tree", "car", "field")


def words(count: int) -> Any:
    """A vocabulary of so many prompts, the first of which is the background."""
    from segearth_ov3.vocabulary import Vocabulary

    return Vocabulary(tuple((f"{WORDS[i % 6].split(',')[0]} {i}",) for i in range(count)), background=0)


def picture(seed: int, height: int = 240, width: int = 200) -> Any:
    """Noise (height, width, 3), uint8."""
    import numpy as np

    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


LOW = {"prob_threshold": 0.2, "confidence_threshold": 0.2}  # untrained weights are sure of nothing


def segmenter(model: Any, prompts: int, chunk: int, **options: Any) -> Any:
    from segearth_ov3.segmenter import Segmenter

    return Segmenter(model, words(prompts), prompt_chunk=chunk, **{**LOW, **options})


def _labels(model: Any, images: int, prompts: int, chunk: int, **options: Any) -> None:
    run = segmenter(model, prompts, chunk, **options)
    for seed in range(images):
        run.predict_labels(picture(seed)).cpu()


def _scores(model: Any, images: int, prompts: int, chunk: int, **options: Any) -> None:
    run = segmenter(model, prompts, chunk, **options)
    for seed in range(images):
        run(picture(seed)).scores.cpu()


def _batch(model: Any, images: int, prompts: int, chunk: int) -> None:
    run = segmenter(model, prompts, chunk)
    for seed in range(images):
        run.class_scores([picture(seed), picture(seed + 100)]).cpu()


def _images_together(model: Any, images: int, prompts: int, chunk: int) -> None:
    """Batches whose images share the chunks of prompts, and windows likewise."""
    _batch(model, images, prompts, 2 * prompts)
    _windows(model, images, prompts, 4 * prompts)


def _windows(model: Any, images: int, prompts: int, chunk: int, **options: Any) -> None:
    run = segmenter(model, prompts, chunk, window=200, stride=150, **options)
    for seed in range(images):
        run.predict_labels(picture(seed, 350, 350)).cpu()


def _with(*refiners: Any) -> Callable[..., None]:
    def scenario(model: Any, images: int, prompts: int, chunk: int) -> None:
        _labels(model, images, prompts, chunk, refiners=list(refiners))

    return scenario


def _clip(**options: Any) -> Callable[..., None]:
    def scenario(model: Any, images: int, prompts: int, chunk: int) -> None:
        encoder = tiny_clip().to(model.device)
        refiner = {"type": "clip_similarity", "encoder": encoder, "taps": (1, 2, 4), **options}
        _labels(model, images, prompts, chunk, refiners=[refiner])

    return scenario


def _ablation(model: Any, images: int, prompts: int, chunk: int, observed: bool = True) -> None:
    """Four variants, measured and observed, as `tools/ablate.py --diagnostics` does it."""
    from segearth_ov3.engine.observer import TokenObserver
    from segearth_ov3.engine.predictor import VariantPredictor
    from segearth_ov3.engine.scores import FusionSettings
    from segearth_ov3.engine.variants import Variant, VariantClock
    from segearth_ov3.refiners import build_refiners

    plain = FusionSettings(**LOW)
    chains = ([], ["smoothing"], ["lowpass:at=trunk", "graph_laplacian:at=memory"])
    variants = [Variant(plain, build_refiners(chain)) for chain in chains]
    variants.append(Variant(FusionSettings(prob_threshold=0.1, confidence_threshold=0.3)))
    observer = TokenObserver(model, len(variants), plain) if observed else None
    run = VariantPredictor(model, words(prompts), variants, prompt_chunk=chunk, observe=observer)
    for seed in range(images):
        clock = VariantClock(len(variants), model.device)
        run.labels(picture(seed), clock=clock).cpu()
        if observer:
            [[float(x) for x in numbers] for numbers in observer.take()]


def _boxes(model: Any, images: int, prompts: int, chunk: int) -> None:
    from segearth_ov3.sam3.outputs import BoxPrompts
    from segearth_ov3.sam3.postprocess import postprocess
    from segearth_ov3.sam3.preprocess import preprocess

    with torch.no_grad():
        text = model.encode_text(list(words(prompts).prompts))
        for seed in range(images):
            pixels = preprocess(torch.from_numpy(picture(seed)).permute(2, 0, 1).contiguous().to("cuda"), 224)
            features = model.encode_image(pixels)
            boxes = torch.rand(prompts, 2, 4, device="cuda") * 0.3 + 0.3
            flags = torch.ones(prompts, 2, dtype=torch.bool, device="cuda")
            found = model.ground(features, text, BoxPrompts(boxes, flags, ~flags))
            postprocess(found, 0, (300, 200), 0.2).masks.cpu()
            model.ground(features, text)


def _mmseg(model: Any, images: int, prompts: int, chunk: int, batch: int = 1) -> None:
    """What mmengine's test loop does with a batch, and the record hook after it."""
    from mmseg.structures import SegDataSample

    from segearth_ov3.metrics.confusion import confusion_matrix
    from segearth_ov3.mmseg_plugin.segmentor import Network, SegEarthOV3Segmentor

    network = Network(model, "tiny", "0")
    lines = [synonyms[0] for synonyms in words(prompts).classes]
    net = SegEarthOV3Segmentor(lines, network=network, prompt_chunk=chunk, keep_scores=batch > 1, **LOW)
    for seed in range(images):
        pictures = [torch.from_numpy(picture(seed + 50 * i)).permute(2, 0, 1).contiguous() for i in range(batch)]
        data = {"inputs": pictures, "data_samples": [SegDataSample() for _ in pictures]}
        for sample in net.test_step(data):
            labels = sample.pred_sem_seg.data[0].cpu().numpy()
            confusion_matrix(labels, labels, prompts)


def _scene(model: Any, images: int, prompts: int, chunk: int) -> None:
    """`segearth-ov3 segment` on a raster."""
    import tempfile
    import warnings

    import rasterio

    from segearth_ov3.geo.options import WindowOptions
    from segearth_ov3.geo.scene import segment_scene

    run = segmenter(model, prompts, chunk)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(images):
            path, image = f"{folder}/{seed}.tif", picture(seed, 300, 300)
            with rasterio.open(path, "w", driver="GTiff", height=300, width=300, count=3, dtype="uint8") as raster:
                raster.write(image.transpose(2, 0, 1))
            names = run.vocabulary.class_names
            segment_scene(path, f"{folder}/{seed}-c.tif", run, classes=names, windows=WindowOptions(224, batch=2))


def _out_of_memory(model: Any, images: int, prompts: int, chunk: int) -> None:
    """Memory runs out in the first two attempts."""
    import warnings

    from segearth_ov3.sam3.model import Sam3

    failures, real = [0, 0], Sam3.fuse

    def fuse(self: Any, *args: Any) -> Any:
        if failures:
            failures.pop()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(self, *args)

    with mock.patch.object(Sam3, "fuse", fuse), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _batch(model, images, prompts, chunk)


def _compiled(model: Any, images: int, prompts: int, chunk: int) -> None:
    """The way of `--compile` around the compiled functions, which are not compiled here: nothing could trace this."""
    with mock.patch.object(torch, "compile", lambda step, **options: step):
        run = segmenter(model, prompts, chunk, compile=True)
        for seed in range(images):
            run.predict_labels(picture(seed)).cpu()
    model._compiled = None


SCENARIOS: dict[str, Callable[..., None]] = {
    "labels": _labels,
    "scores": _scores,
    "semantic only": lambda *a: _labels(*a, use_instance=False),
    "batch": _batch,
    "images together": _images_together,
    "windows": _windows,
    "smoothing": _with("smoothing", "smoothing:at=trunk,mode=blend"),
    "lowpass": _with("lowpass", "lowpass:at=trunk,padding=reflect", "lowpass:at=pyramid,shape=gaussian"),
    "graph_laplacian": _with("graph_laplacian"),
    "graph_laplacian at trunk, normalized": _with("graph_laplacian:at=trunk,normalized=True,radius=2"),
    "clip affinity": _clip(),
    "clip affinity at trunk, tiled": _clip(at="trunk", grid="tiled"),
    "clip text": _clip(mode="text"),
    "ablation, clock and observer": _ablation,
    "ablation, clock only": lambda *a: _ablation(*a, observed=False),
    "boxes, ground, postprocess": _boxes,
    "mmseg": _mmseg,
    "mmseg, batch of 2": lambda *a: _mmseg(*a, batch=2),
    "scene": _scene,
    "out of memory": _out_of_memory,
    "compiled path": _compiled,
}

# images, prompts, prompts of a chunk: enough to tell what happens per image, per chunk and per prompt
SETTINGS = {"A": (1, 3, 3), "B": (2, 3, 3), "C": (1, 6, 3), "D": (1, 6, 6)}


@contextlib.contextmanager
def one_thread_and_python_solver() -> Iterator[None]:
    """Lets the solver of graph_laplacian, one opaque operator to PyTorch, be seen inside."""
    from segearth_ov3.refiners import graph_laplacian

    with mock.patch.object(graph_laplacian, "_solve", graph_laplacian._solve._init_fn):
        yield


def watch(scenario: Callable[..., None], setting: tuple[int, int, int], dtype: torch.dtype, size: str) -> PretendCuda:
    """Run one scenario and return what happened after the model was in place."""
    from segearth_ov3.engine.upsampling import upsampler

    upsampler.cache_clear()
    gpu = PretendCuda()
    with gpu, one_thread_and_python_solver():
        model = tiny_model(dtype, size).to("cuda")
        gpu.events.clear()
        gpu.kernels.clear()
        gpu.kernel_names.clear()
        gpu.uploaded_bytes = gpu.downloaded_bytes = 0
        scenario(model, *setting)
    return gpu


def frequencies(runs: dict[str, PretendCuda], kind: str) -> list[tuple[tuple[str, str], dict[str, float]]]:
    """How often each event happens once, per image, per chunk and per prompt, from the four settings."""
    counts = {name: gpu.counts(kind) for name, gpu in runs.items()}
    rows = []
    for key in sorted(set().union(*counts.values())):
        a, b, c, d = (counts[name][key] for name in "ABCD")
        chunk, prompt = c - d, (d - a) / 3
        image = b - a - chunk - 3 * prompt
        rows.append((key, {"once": a - image - chunk - 3 * prompt, "image": image, "chunk": chunk, "prompt": prompt}))
    return rows
