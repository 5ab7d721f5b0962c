"""The stages of the network on one image and some prompts: what each takes, and the least that it could take.

The floor of a stage is the longer of two times: its matrix products and convolutions at the speed of a large matrix
product on the same device in the same dtype, and its weights, inputs and outputs at the speed of a large copy, each
moved once. Operations are counted by tracing the stage without computing it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from unittest import mock

import torch
from harness import spread, timed
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from segearth_ov3.engine.scores import labels_from_scores
from segearth_ov3.sam3 import cpu, ops
from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.model import Sam3
from segearth_ov3.sam3.outputs import TextFeatures

NAMES = ("trunk", "pyramid", "prepare", "text", "fuse", "detect", "segment", "fuse scores")


def _attention_flop(q: Any, k: Any, v: Any, *others: Any, out_shape: Any = None, **options: Any) -> int:
    return sdpa_flop_count(q, k, v)


# the one attention operator that the counter does not know
_CPU_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flop}


@dataclasses.dataclass
class Walk:
    """All intermediates of one image and P prompts, each made when first asked for.

    Args:
        model: The network, on whatever device.
        pixels: (1, 3, R, R).
        prompts: In words.
    """

    model: Sam3
    pixels: Tensor
    prompts: list[str]
    made: dict[str, Any] = dataclasses.field(default_factory=dict)

    def run(self, stage: str) -> Any:
        """Compute one stage from the intermediates before it."""
        model, get = self.model, self.get
        head = model.segmentation_head
        if stage == "trunk":
            return model.encode_trunk(self.pixels)
        if stage == "pyramid":
            return model.encode_pyramid(get("trunk"))
        if stage == "prepare":
            return model.prepare(get("trunk"), get("pyramid"))
        if stage == "text":
            return model.encode_text(self.prompts)
        if stage == "prompt":
            return model.prompt(get("prepare"), get("text"))
        if stage == "fuse":
            return model.fuse(get("prepare"), get("prompt"))
        if stage == "detect":
            return model.detect(get("fuse"), get("prompt"))
        if stage == "segment":  # no query is kept with untrained weights
            return head.semantic_seg_head(head.embed_pixels(get("fuse"), get("prompt"), get("prepare").pixel_bases))
        maps = nn.functional.interpolate(get("segment").float(), size=self.pixels.shape[-2:], mode="bilinear")
        return labels_from_scores(maps[:, 0].sigmoid(), 0.0, None)

    def get(self, stage: str) -> Any:
        """The result of a stage, computed once."""
        if stage not in self.made:
            self.made[stage] = self.run(stage)
        return self.made[stage]

    def inputs(self, stage: str) -> list[Any]:
        """What a stage reads, beside weights."""
        before = {
            "trunk": (),
            "pyramid": ("trunk",),
            "prepare": ("pyramid",),
            "text": (),
            "fuse": ("prepare", "prompt"),
            "detect": ("fuse", "prompt"),
            "segment": ("fuse", "prompt", "prepare"),
            "fuse scores": ("segment",),
        }[stage]
        if stage == "trunk":
            return [self.pixels]
        if "prepare" not in before:
            return [self.get(name) for name in before]
        image = self.get("prepare")
        read = image.pixel_bases if stage == "segment" else (image.fusion_tokens, image.fusion_queries)
        return [read, *(self.get(name) for name in before if name != "prepare")]

    def weights(self, stage: str) -> Iterable[Tensor]:
        """Parameters that a stage reads."""
        model = self.model
        vision, decoder = model.backbone.vision_backbone, model.segmentation_head.pixel_decoder
        parts: dict[str, tuple[nn.Module, ...]] = {
            "trunk": (vision.trunk,),
            "pyramid": (vision.convs,),
            "prepare": (model.geometry_encoder, decoder),
            "text": (model.backbone.language_backbone,),
            "fuse": (model.transformer.encoder,),
            "detect": (model.transformer.decoder, model.dot_prod_scoring),
            "segment": (model.segmentation_head,),
            "fuse scores": (),
        }
        return [parameter for part in parts[stage] for parameter in part.parameters()]


class Peaks(NamedTuple):
    """What the device reaches at best: FLOP/s of a matrix product and bytes/s of a copy."""

    flop_per_s: float
    bytes_per_s: float


@torch.no_grad()
def measure_peaks(device: str, dtype: torch.dtype) -> Peaks:
    """Best of several large products and copies."""
    side = 8192 if torch.device(device).type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    flop_s = min(timed(lambda: ops.linear(a, b, None), device) for _ in range(8))
    large = torch.zeros(2**26, device=device)  # 256 MiB
    other = torch.empty_like(large)
    copy_s = min(timed(lambda: other.copy_(large), device) for _ in range(5))
    return Peaks(2 * side**3 / flop_s, 2 * large.numel() * large.element_size() / copy_s)


def count_flop(walk: Walk) -> dict[str, int]:
    """Operations of every stage, a multiply-add counted as two."""
    torch.backends.mha.set_fastpath_enabled(False)  # it hides products from the counter
    try:
        with mock.patch.object(cpu, "supports", return_value=False):
            found = {"text": _flop_of(walk, "text")}  # words cannot be traced
            with FakeTensorMode():
                model = build_sam3(walk.model.config).eval().requires_grad_(False)
                text = TextFeatures(*(torch.empty(field.shape, dtype=field.dtype) for field in walk.get("text")))
                traced = Walk(model, torch.empty(walk.pixels.shape), walk.prompts, {"text": text})
                return {stage: found.get(stage) or _flop_of(traced, stage) for stage in NAMES}
    finally:
        torch.backends.mha.set_fastpath_enabled(True)


def _flop_of(walk: Walk, stage: str) -> int:
    walk.get(stage)
    with FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter:
        walk.run(stage)
    return counter.get_total_flops()


def count_bytes(walk: Walk, stage: str) -> int:
    """Bytes of the weights, inputs and outputs of a stage."""
    return sum(
        tensor.numel() * tensor.element_size()
        for tensor in (*walk.weights(stage), *_tensors(walk.inputs(stage)), *_tensors(walk.get(stage)))
    )


@torch.no_grad()
def profile(walk: Walk, device: str, peaks: Peaks, repeats: int, warmup: int) -> list[dict[str, Any]]:
    """A row per stage: seconds, operations, bytes, and the share of its time that its floor takes."""
    flop = count_flop(walk)
    rows = []
    for stage in NAMES:
        walk.get(stage)
        work: Callable[[], Any] = lambda stage=stage: walk.run(stage)  # noqa: E731
        seconds = [timed(work, device) for _ in range(warmup + repeats)][warmup:]
        moved = count_bytes(walk, stage)
        floor_s = max(flop[stage] / peaks.flop_per_s, moved / peaks.bytes_per_s)
        row = {"stage": stage, **spread(seconds), "flop": flop[stage], "bytes": moved, "floor_s": floor_s}
        rows.append({**row, "share_of_floor": floor_s / row["median_s"]})
    return rows


def _tensors(values: Any) -> list[Tensor]:
    """All tensors in nested tuples and lists."""
    if isinstance(values, Tensor):
        return [values]
    return [tensor for value in values for tensor in _tensors(value)] if isinstance(values, (tuple, list)) else []
