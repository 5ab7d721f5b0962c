"""What each measure that makes the network fast is worth: its stage with it and without it, in turns."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable
from typing import Any, NamedTuple
from unittest import mock

import torch
import torch.nn.functional as F
from harness import timed
from stages import Walk
from torch import Tensor

from segearth_ov3.sam3 import ops
from segearth_ov3.sam3.cpu import attention, onednn
from segearth_ov3.sam3.layers import to_tokens

Work = Callable[[], Any]


class Measure(NamedTuple):
    """One measure: its name, the stage it acts in, that stage with it and without it."""

    name: str
    stage: str
    fast: Work
    plain: Work


def measures(walk: Walk) -> list[Measure]:
    """Return all measures that can be switched off on the network's device."""
    model, count = walk.model, len(walk.prompts)
    image, prompt, memory = walk.get("prepare"), walk.get("prompt"), walk.get("fuse")
    detection, encoder, decoder = walk.get("detect"), model.transformer.encoder, model.transformer.decoder
    every = torch.ones_like(detection.score_logits, dtype=torch.bool).cpu()
    some = torch.zeros_like(every)
    some[:, :1] = True

    def stage(name: str) -> Work:
        return lambda: walk.run(name)

    def switched(name: str, *patches: Callable[[], Any]) -> Work:
        def work() -> Any:
            with contextlib.ExitStack() as stack:
                for patch in patches:
                    stack.enter_context(patch())
                return walk.run(name)

        return work

    def linear_off() -> Any:
        def linear(x: Tensor, weight: Tensor, bias: Tensor, activation: str, rows: slice | None = None) -> Tensor:
            if rows is not None:
                weight, bias = weight[rows], bias[rows]
            return ops._ACTIVATIONS[activation](F.linear(x, weight, bias))

        return mock.patch.object(onednn, "linear", linear)

    def compiled_off() -> Any:
        return mock.patch.object(attention, "handles", return_value=False)

    def blocks_off() -> Any:
        return mock.patch.object(attention, "blockwise_attention", return_value=None)

    def of_attention(name: str) -> list[Measure]:
        in_blocks, fused = switched(name, compiled_off), switched(name, compiled_off, blocks_off)
        blocks = Measure("without compiled code: attention in blocks", name, in_blocks, fused)
        if not attention.handles(torch.zeros(1, 1, 1, 32, dtype=model.dtype, device=model.device)):
            return [blocks]
        return [Measure("attention by compiled code", name, stage(name), in_blocks), blocks]

    def chunks_off() -> Any:
        return mock.patch.object(ops, "in_chunks", lambda function, x, dim, size=0: function(x))

    def start_off() -> Any:
        return mock.patch.object(decoder, "start", decoder._make_start)

    def samples_first() -> Any:
        tower = model.backbone.language_backbone.encoder.transformer
        stack = contextlib.ExitStack()
        for part in (tower, *(block.attn for block in tower.resblocks)):
            stack.enter_context(mock.patch.object(part, "batch_first", True))
        return stack

    def first_layer_per_prompt() -> Tensor:
        coarse = to_tokens(image.levels[2]).float().expand(count, -1, -1)
        return encoder(*encoder.start(coarse, model.positions), model.positions, prompt)

    def the_other_way() -> None:
        if model.device.type == "cpu":
            encoder.read_together(image.fusion_tokens, image.fusion_queries, model.positions, prompt)
        else:
            for row in range(count):
                model.fuse(image, prompt.select(slice(row, row + 1)))

    anywhere = [
        Measure(
            "maps with channels last in memory",
            "pyramid",
            stage("pyramid"),
            lambda: model.encode_pyramid(walk.get("trunk").contiguous()),
        ),
        Measure("first layer's self-attention once per image", "fuse", stage("fuse"), first_layer_per_prompt),
        Measure("prompts one by one on a CPU, together elsewhere", "fuse", stage("fuse"), the_other_way),
        Measure("first layer's start once per checkpoint", "detect", stage("detect"), switched("detect", start_off)),
        Measure("pyramid's share once, phases at low resolution", "segment", stage("segment"), lambda: _in_full(walk)),
        Measure(
            "masks of kept queries only (1 of all)",
            "segment",
            lambda: model.segment(memory, detection, prompt, image, some),
            lambda: model.segment(memory, detection, prompt, image, every),
        ),
        Measure("text with tokens first", "text", stage("text"), switched("text", samples_first)),
        Measure("text encoded once per vocabulary", "text", lambda: None, stage("text")),
    ]
    if model.device.type != "cpu":
        return anywhere
    return [
        Measure("linear layers by oneDNN", "trunk", stage("trunk"), switched("trunk", linear_off)),
        Measure("tokens in chunks", "trunk", stage("trunk"), switched("trunk", chunks_off)),
        *of_attention("trunk"),
        Measure("linear layers by oneDNN", "fuse", stage("fuse"), switched("fuse", linear_off)),
        *of_attention("fuse"),
        *of_attention("detect"),
        *anywhere,
    ]


def _in_full(walk: Walk) -> Tensor:
    """The stage "segment" with the pixel decoder as it is published."""
    head, levels = walk.model.segmentation_head, walk.get("prepare").levels
    decoder = head.pixel_decoder

    def forward(x: Tensor, bases: tuple[Tensor, Tensor]) -> Tensor:
        for conv, norm, level in zip(decoder.conv_layers, decoder.norms, (levels[1], levels[0])):
            x = F.relu(norm(conv(level + F.interpolate(x, scale_factor=2.0, mode="nearest"))))
        return x

    with mock.patch.object(decoder, "forward", forward):
        return walk.run("segment")


@torch.no_grad()
def measure_all(walk: Walk, device: str, repeats: int) -> list[dict[str, Any]]:
    """A row per measure: medians of the stage with and without it, taken in turns after one run of each."""
    rows = []
    for each in measures(walk):
        each.fast(), each.plain()
        times = [(timed(each.fast, device), timed(each.plain, device)) for _ in range(repeats)]
        fast_s, plain_s = (statistics.median(values) for values in zip(*times))
        rows.append({"measure": each.name, "stage": each.stage, "with_s": fast_s, "without_s": plain_s})
    return rows
