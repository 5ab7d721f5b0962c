"""Reference values of the SAM 3 image model at a tiny size, and the network with the same weights.

The values were computed by Meta's reference implementation (commit 99d02f2) in float32 on a CPU. Its weights follow
from key and shape alone, so only inputs, intermediates and outputs are stored. `tests/data/golden_small.safetensors`
holds a part of them (large maps are thinned out as `TRIMS` says); the complete file is used too where it is at hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.model import Sam3, set_compute_dtype
from segearth_ov3.sam3.random_weights import deterministic_state_dict

PROMPTS = ("building", "road", "swimming pool", "agricultural land with crops", "a")
RUNS = ("p0", "p1", "p2", "p3", "p4", "box1", "box2")
THRESHOLD = 0.046
TRIMMED_FILE = Path(__file__).parent / "data" / "golden_small.safetensors"

# what is kept of a tensor in the trimmed file; "*." stands for any run
TRIMS: dict[str, Any] = {
    "fpn.0": np.s_[:, ::8],
    "*.pixel_embed": np.s_[:, ::4],
    "*.pred_masks": np.s_[:, :4],
    "*.post.masks_logits_first4": np.s_[:1, ::4, ::4],
}


class Golden:
    """Reference values by name, with the same trimming applied to what is compared with them."""

    def __init__(self, path: Path) -> None:
        self.trimmed = path == TRIMMED_FILE
        self.values = load_file(path)

    def __getitem__(self, name: str) -> Tensor:
        return self.values[name]

    def difference(self, name: str, tensor: Tensor) -> float:
        """Largest absolute difference of a full tensor to the reference value, shapes compared too."""
        if self.trimmed:
            tensor = tensor[TRIMS.get(name, TRIMS.get("*." + name.partition(".")[2], ()))]
        expected = self.values[name]
        assert tuple(tensor.shape) == tuple(expected.shape), (name, tuple(tensor.shape), tuple(expected.shape))
        return (tensor.to(torch.float64) - expected.to(torch.float64)).abs().max().item()


def load_tiny(dtype: torch.dtype = torch.float32) -> Sam3:
    """The network of the reference values, ready for inference."""
    model = build_sam3(Sam3Config.tiny(), "meta")
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    weights = {key: torch.from_numpy(value) for key, value in deterministic_state_dict(shapes).items()}
    model.load_state_dict(weights, strict=True, assign=True)
    return set_compute_dtype(model, dtype).eval().requires_grad_(False)
