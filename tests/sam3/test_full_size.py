"""The network at full size against `transformers.Sam3Model` with equal, deterministic weights.

transformers leaves the geometry token out where no box is given, and its trunk normalises with another epsilon; both
are set to the reference's ways (one box labelled as padding leaves exactly that token). The weights follow from key
and shape alone; how a key is called in transformers is read from the specification's table.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.layers import to_corners
from segearth_ov3.sam3.preprocess import preprocess
from segearth_ov3.sam3.random_weights import deterministic_tensor
from segearth_ov3.sam3.tokenizer import tokenize

PROMPTS = ["building", "swimming pool"]
TOLERANCES = {"logits": 5e-5, "boxes": 1e-5, "masks": 5e-4, "semantic": 1e-4, "presence": 2e-5}
PEAK_GIB = 8.0

T = TypeVar("T")

pytestmark = pytest.mark.slow


def fill(model: nn.Module, weights: Iterator[tuple[str, Tensor]]) -> None:
    """Overwrite all parameters of a model, one by one."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for key, tensor in weights:
            parameters.pop(key).copy_(tensor)
    assert not parameters, list(parameters)[:5]


def timed(name: str, forward: Callable[[], T]) -> T:
    """Run without gradients and say how long it took."""
    start = time.perf_counter()
    with torch.no_grad():
        result = forward()
    print(f"{name}: {time.perf_counter() - start:.1f} s for one image and {len(PROMPTS)} prompts")
    return result


def our_outputs(pixels: Tensor) -> dict[str, Tensor]:
    model = build_sam3(Sam3Config.base())
    shapes = [(key, tuple(parameter.shape)) for key, parameter in model.named_parameters()]
    fill(model, ((key, torch.from_numpy(deterministic_tensor(key, shape))) for key, shape in shapes))
    model.eval()
    grounding = timed("ours", lambda: model.ground(model.encode_image(pixels), model.encode_text(PROMPTS)))
    return {
        "logits": grounding.score_logits,
        "boxes": to_corners(grounding.boxes),
        "masks": grounding.mask_logits,
        "semantic": grounding.semantic_logits,
        "presence": grounding.presence_logits,
    }


def their_outputs(pixels: Tensor, table: Path) -> dict[str, Tensor]:
    transformers = pytest.importorskip("transformers", reason="the peer is the optional extra 'bench'")
    config = transformers.Sam3Config()
    config.vision_config.backbone_config.layer_norm_eps = 1e-5
    model = transformers.Sam3Model(config).eval()
    fill(model, their_weights(table))
    ids = tokenize(PROMPTS)
    padding_box = {"input_boxes": torch.zeros(1, 1, 4), "input_boxes_labels": torch.full((1, 1), -10)}

    def forward() -> list[Any]:
        vision = model.get_vision_features(pixels)
        return [
            model(vision_embeds=vision, input_ids=row, attention_mask=(row != 0).long(), **padding_box)
            for row in ids.split(1)
        ]

    outputs = timed("transformers", forward)
    return {
        "logits": torch.cat([out.pred_logits for out in outputs]),
        "boxes": torch.cat([out.pred_boxes for out in outputs]),
        "masks": torch.cat([out.pred_masks for out in outputs]),
        "semantic": torch.cat([out.semantic_seg[:, 0] for out in outputs]),
        "presence": torch.cat([out.presence_logits[:, 0] for out in outputs]),
    }


def their_weights(table: Path) -> Iterator[tuple[str, Tensor]]:
    """Deterministic weights under the names of transformers, by the specification's table of keys."""
    shapes = official_shapes(table.with_name("meta_state_dict.tsv"))
    for line in table.read_text().splitlines():
        if line.startswith("#"):
            continue
        key, op, names = [*line.split("\t"), ""][:3]
        if op == "none":
            continue
        tensor = torch.from_numpy(deterministic_tensor(key, shapes[key]))
        parts = {"split3": lambda t: t.chunk(3), "transpose": lambda t: [t.mT], "drop_row0": lambda t: [t[:, 1:]]}
        yield from zip(names.split(","), parts.get(op, lambda t: [t])(tensor))


def official_shapes(table: Path) -> dict[str, tuple[int, ...]]:
    rows = (line.split("\t") for line in table.read_text().splitlines() if not line.startswith("#"))
    return {row[0]: tuple(int(size) for size in row[1].split("x")) for row in rows}


def test_full_size_outputs_equal_transformers(shared_dir: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (3, 700, 900), dtype=np.uint8)
    image[:, 200:400, 300:600] = 40  # some structure beside the noise
    pixels = preprocess(torch.from_numpy(image), 1008)
    ours = our_outputs(pixels)
    own_peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    theirs = their_outputs(pixels, shared_dir / "sam3" / "meta_to_hf.tsv")
    print(f"peak memory: {own_peak_gib:.2f} GiB")
    differences = {name: (ours[name] - theirs[name]).abs().max().item() for name in TOLERANCES}
    print({name: f"{value:.1e}" for name, value in differences.items()})
    assert own_peak_gib < PEAK_GIB
    assert all(differences[name] < tolerance for name, tolerance in TOLERANCES.items()), differences
