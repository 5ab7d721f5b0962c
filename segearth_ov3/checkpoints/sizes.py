"""The sizes of the network that a checkpoint file holds.

They follow from the file where it says them itself: files of this package do in their metadata, those of Hugging Face
in a `config.json` beside them. Official files say nothing; they are the published model's if their shapes are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, OptionError
from ..sam3.config import Sam3Config
from .files import CheckpointFile
from .keys import Naming

OWN_FORMAT = "segearth_ov3"

_HUGGINGFACE_MODELS = ("sam3", "sam3_video")
_TRUNK_FIELDS = {
    "vit_dim": "hidden_size",
    "vit_depth": "num_hidden_layers",
    "vit_heads": "num_attention_heads",
    "vit_mlp_dim": "intermediate_size",
    "image_size": "image_size",
    "patch_size": "patch_size",
    "window": "window_size",
}
_FIELDS = {
    "text_config": {
        "text_width": "hidden_size",
        "text_layers": "num_hidden_layers",
        "text_heads": "num_attention_heads",
        "text_projection_dim": "projection_dim",
        "context_length": "max_position_embeddings",
        "vocab_size": "vocab_size",
    },
    "geometry_encoder_config": {"geometry_layers": "num_layers", "roi_size": "roi_size"},
    "detr_encoder_config": {
        "dim": "hidden_size",
        "heads": "num_attention_heads",
        "ffn_dim": "intermediate_size",
        "fusion_layers": "num_layers",
    },
    "detr_decoder_config": {"decoder_layers": "num_layers", "queries": "num_queries"},
}


def config_of(file: CheckpointFile, naming: Naming) -> Sam3Config:
    """The sizes that follow from a file.

    Args:
        file: The file.
        naming: How it names tensors.

    Returns:
        The configuration.

    Raises:
        CheckpointError: The file does not say, and its shapes are not the published model's.
    """
    said = said_config(file, naming)
    if said is not None:
        return said
    different = _difference_to_published(file, naming)
    if different is None:
        return Sam3Config.base()
    raise CheckpointError(
        f"{file.path}: the sizes do not match the published model ({different}) and the file does not say its own; "
        f"pass config= (`checkpoint convert --config` writes a file that says them)"
    )


def said_config(file: CheckpointFile, naming: Naming) -> Sam3Config | None:
    """The sizes that a file, or the `config.json` beside it, says; None if nothing is said.

    Raises:
        CheckpointError: What is said cannot be used.
    """
    if file.metadata.get("format") == OWN_FORMAT:
        return _config_from_metadata(file)
    beside = file.path.with_name("config.json")
    if naming.style == "huggingface" and beside.is_file():
        return config_from_huggingface(beside)
    return None


def has_published_sizes(file: CheckpointFile, naming: Naming) -> bool:
    """Whether the telling shapes in a file are those of the published model."""
    return _difference_to_published(file, naming) is None


def config_from_huggingface(path: Path) -> Sam3Config:
    """The sizes in a Hugging Face `config.json`, of the image model or of the video model that contains it.

    Args:
        path: The file. Fields that it leaves out have the published model's values.

    Returns:
        The configuration.

    Raises:
        CheckpointError: Not JSON, or the configuration of another model.
    """
    content = _read_json(path)
    if content.get("model_type") not in _HUGGINGFACE_MODELS:
        raise CheckpointError(f"{path} describes a model {content.get('model_type')!r}, expected 'sam3'")
    content = _section(content, "detector_config", path, default=content)
    values: dict[str, Any] = {}
    trunk = _section(_section(content, "vision_config", path), "backbone_config", path)
    values.update({ours: trunk[theirs] for ours, theirs in _TRUNK_FIELDS.items() if theirs in trunk})
    for section, fields in _FIELDS.items():
        part = _section(content, section, path)
        values.update({ours: part[theirs] for ours, theirs in fields.items() if theirs in part})
    if "global_attn_indexes" in trunk:
        values["global_blocks"] = tuple(trunk["global_attn_indexes"])
    if "pretrain_image_size" in trunk:
        values["position_grid"] = trunk["pretrain_image_size"] // trunk.get("patch_size", Sam3Config().patch_size)
    return _checked_config({**Sam3Config.base().to_dict(), **values}, path)


def _section(content: dict[str, Any], name: str, path: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """A part of a configuration, which must be a table of names and values."""
    part = content.get(name, default or {})
    if not isinstance(part, dict):
        raise CheckpointError(f"{path} is damaged: expected {name} to be an object, got {part!r}")
    return part


def config_from_file(path: Path) -> Sam3Config:
    """The sizes in a JSON file with all fields of `Sam3Config`.

    Raises:
        CheckpointError: Not JSON, or not a complete and consistent configuration.
    """
    return _checked_config(_read_json(path), path)


def config_metadata(config: Sam3Config) -> dict[str, str]:
    """What a file of this package says about itself."""
    return {"format": OWN_FORMAT, "config": json.dumps(config.to_dict())}


def _config_from_metadata(file: CheckpointFile) -> Sam3Config:
    try:
        values = json.loads(file.metadata["config"])
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{file.path} says it is a {OWN_FORMAT} file but carries no readable config") from error
    return _checked_config(values, file.path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path} as JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"expected a JSON object in {path}, got {type(content).__name__}")
    return content


def _checked_config(values: Mapping[str, Any], path: Path) -> Sam3Config:
    try:
        return Sam3Config.from_dict(values)
    except (OptionError, TypeError, ZeroDivisionError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _difference_to_published(file: CheckpointFile, naming: Naming) -> str | None:
    """The first telling tensor whose shape is not the published model's, in words, or None."""
    base = Sam3Config.base()
    telling = {
        "backbone.vision_backbone.trunk.patch_embed.proj.weight": (base.vit_dim, 3, base.patch_size, base.patch_size),
        "backbone.language_backbone.resizer.weight": (base.dim, base.text_width),
        "transformer.decoder.query_embed.weight": (base.queries, base.dim),
    }
    for key, shape in telling.items():
        (name,) = naming.source(key).keys
        if name in file.specs and file.specs[name].shape != shape:
            return f"{name} is {file.specs[name].shape}, expected {shape}"
    return None
