"""Checkpoint files of every supported form, made for a small network; shapes and names are those of real files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from segearth_ov3.checkpoints.huggingface_keys import huggingface_source
from segearth_ov3.checkpoints.sizes import config_metadata
from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.random_weights import deterministic_state_dict

SMALL = dataclasses.replace(Sam3Config.tiny(), vocab_size=300)

# what real files hold beyond the network's tensors, with the reason the package gives for not reading it
OFFICIAL_EXTRAS = {
    "tracker.maskmem_tpos_enc": "video tracker",
    "tracker.sam_mask_decoder.iou_token.weight": "video tracker",
    "detector.backbone.vision_backbone.sam2_convs.0.conv_1x1.weight": "second neck, for the video tracker",
    "detector.backbone.vision_backbone.convs.3.conv_3x3.bias": "coarsest pyramid level, never read",
    "detector.geometry_encoder.points_pool_project.weight": "point prompts, out of reach of texts and boxes",
    "detector.segmentation_head.pixel_decoder.norms.2.weight": "third upsampling stage, never run",
    "detector.backbone.language_backbone.encoder.text_projection": "projection of the pooled text, never read",
}
HUGGINGFACE_EXTRAS = {
    "tracker_model.memory_attention.layers.0.linear1.weight": "video tracker",
    "tracker_neck.fpn_layers.0.proj1.weight": "second neck, for the video tracker",
    "detector_model.vision_encoder.neck.fpn_layers.3.proj2.bias": "coarsest pyramid level, never read",
    "detector_model.mask_decoder.pixel_decoder.conv_layers.2.weight": "third upsampling stage, never run",
    "detector_model.text_encoder.text_projection.weight": "projection of the pooled text, never read",
}
NECKS_31 = "necks of SAM 3.1's video tracker"
ROTARY = "rotary tables, recomputed from the sizes"
TRACKER_TENSORS_31 = 457


def network_state(config: Sam3Config = SMALL) -> dict[str, Tensor]:
    """Deterministic weights under the network's own names."""
    shapes = {key: tuple(value.shape) for key, value in build_sam3(config, "meta").state_dict().items()}
    return {key: torch.from_numpy(value) for key, value in deterministic_state_dict(shapes).items()}


def official_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The entries of `sam3.pt`: with the prefix, the tracker, rotary tables and parts that are never read."""
    rotary = torch.polar(torch.ones(64, 8), torch.ones(64, 8))  # complex64
    return {
        **{f"detector.{key}": value for key, value in state.items()},
        **{key: torch.ones(2, 2) for key in OFFICIAL_EXTRAS},
        "detector.backbone.vision_backbone.trunk.blocks.0.attn.freqs_cis": rotary,
    }


def extras_31() -> dict[str, str]:
    """What SAM 3.1's file holds beyond the network's tensors, by reason; its tracker has many more real names."""
    necks = {0: ("dconv_2x2_0", "dconv_2x2_1"), 1: ("dconv_2x2",), 2: ()}
    names = [
        f"detector.backbone.vision_backbone.{neck}_convs.{level}.{layer}.{leaf}"
        for neck in ("interactive", "propagation")
        for level, layers in necks.items()
        for layer in (*layers, "conv_1x1", "conv_3x3")
        for leaf in ("weight", "bias")
    ]
    tracker = [f"tracker.model.interactive_sam_mask_decoder.part.{index}" for index in range(TRACKER_TENSORS_31)]
    common = {
        key: reason for key, reason in OFFICIAL_EXTRAS.items() if not key.startswith("tracker.") and "convs." not in key
    }
    return {**common, **dict.fromkeys(names, NECKS_31), **dict.fromkeys(tracker, "video tracker")}


def official_state_31(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The entries of `sam3.1_multiplex.pt`: no fourth pyramid level, other necks, another tracker."""
    depth = sum(key.endswith("attn.qkv.bias") for key in state)
    rotary = {
        f"detector.backbone.vision_backbone.trunk.blocks.{block}.attn.freqs_cis": torch.ones(
            4, 2, dtype=torch.complex64
        )
        for block in range(depth)
    }
    return {
        **{f"detector.{key}": value for key, value in state.items()},
        **{key: torch.ones(2, 2) for key in extras_31()},
        **rotary,
    }


def huggingface_state(state: dict[str, Tensor], prefix: str = "detector_model.") -> dict[str, Tensor]:
    """The entries of Hugging Face's `model.safetensors`, which with the prefix is that of the video model."""
    entries: dict[str, Tensor] = {}
    for key, value in state.items():
        op, names = huggingface_source(key)
        parts = {
            "same": lambda value=value: [value],
            "split3": lambda value=value: torch.tensor_split(value, 3),
            "drop_row0": lambda value=value: [value[:, 1:]],
        }[op]()
        entries.update({prefix + name: part.clone().contiguous() for name, part in zip(names, parts, strict=True)})
    if prefix:
        entries.update({key: torch.ones(2) for key in HUGGINGFACE_EXTRAS})
    return entries


def huggingface_config(config: Sam3Config) -> dict[str, object]:
    """The `config.json` of the image model."""
    width = {"hidden_size": config.dim, "num_attention_heads": config.heads, "intermediate_size": config.ffn_dim}
    trunk = {
        "hidden_size": config.vit_dim,
        "num_hidden_layers": config.vit_depth,
        "num_attention_heads": config.vit_heads,
        "intermediate_size": config.vit_mlp_dim,
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "window_size": config.window,
        "global_attn_indexes": list(config.global_blocks),
        "pretrain_image_size": config.position_grid * config.patch_size,
    }
    text = {
        "hidden_size": config.text_width,
        "num_hidden_layers": config.text_layers,
        "num_attention_heads": config.text_heads,
        "max_position_embeddings": config.context_length,
        "vocab_size": config.vocab_size,
    }
    return {
        "model_type": "sam3",
        "vision_config": {"backbone_config": trunk, "fpn_hidden_size": config.dim},
        "text_config": text,
        "geometry_encoder_config": {"num_layers": config.geometry_layers, "roi_size": config.roi_size, **width},
        "detr_encoder_config": {"num_layers": config.fusion_layers, **width},
        "detr_decoder_config": {
            "num_layers": config.decoder_layers,
            "num_queries": config.queries,
            **width,
        },
    }


def save_own(folder: Path, state: dict[str, Tensor], config: Sam3Config = SMALL) -> Path:
    """A file of this package, written by the safetensors library."""
    save_file(state, folder / "own.safetensors", metadata=config_metadata(config))
    return folder / "own.safetensors"


def save_official(folder: Path, state: dict[str, Tensor], config: Sam3Config = SMALL) -> Path:
    """Meta's form, tensors at the top."""
    torch.save(official_state(state), folder / "sam3.pt")
    return folder / "sam3.pt"


def save_official_nested(folder: Path, state: dict[str, Tensor], config: Sam3Config = SMALL) -> Path:
    """Meta's form, tensors under "model"."""
    torch.save({"model": official_state(state)}, folder / "nested.pt")
    return folder / "nested.pt"


def save_official_31(folder: Path, state: dict[str, Tensor], config: Sam3Config = SMALL) -> Path:
    """SAM 3.1 in Meta's form."""
    torch.save(official_state_31(state), folder / "sam3.1_multiplex.pt")
    return folder / "sam3.1_multiplex.pt"


def save_huggingface(folder: Path, state: dict[str, Tensor], config: Sam3Config = SMALL) -> Path:
    """Hugging Face's form: one file and, as on the Hub, the configuration of the video model."""
    folder = folder / "single"
    folder.mkdir()
    save_file(huggingface_state(state), folder / "model.safetensors")
    content = {"model_type": "sam3_video", "detector_config": huggingface_config(config)}
    (folder / "config.json").write_text(json.dumps(content))
    return folder / "model.safetensors"


def save_huggingface_folder(folder: Path, state: dict[str, Tensor], config: Sam3Config = SMALL) -> Path:
    """The folder of `save_huggingface`."""
    return save_huggingface(folder, state, config).parent


def save_huggingface_sharded(folder: Path, state: dict[str, Tensor], config: Sam3Config = SMALL) -> Path:
    """Hugging Face's form in three files with an index, names without prefix; the folder is returned."""
    folder = folder / "sharded"
    folder.mkdir()
    entries = huggingface_state(state, prefix="")
    weight_map = {}
    for shard in range(3):
        name = f"model-{shard + 1:05d}-of-00003.safetensors"
        part = {key: entries[key] for key in list(entries)[shard::3]}
        save_file(part, folder / name)
        weight_map.update(dict.fromkeys(part, name))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    (folder / "config.json").write_text(json.dumps(huggingface_config(config)))
    return folder


FORMS = {
    "own": save_own,
    "official": save_official,
    "official-nested": save_official_nested,
    "official-3.1": save_official_31,
    "huggingface": save_huggingface,
    "huggingface-folder": save_huggingface_folder,
    "huggingface-sharded": save_huggingface_sharded,
}
