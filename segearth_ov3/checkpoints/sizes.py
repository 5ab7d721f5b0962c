"""Find the sizes of the network that a checkpoint holds.

Files of this package state them in their metadata, Hugging Face's in a `config.json` in the same folder. Meta's files
state nothing; their sizes are the published model's if the shapes of a few tensors are.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, OptionError
from ..sam3.config import Sam3Config
from .files import CheckpointFile, read_json
from .keys import RELEASES, Naming, find_release

OWN_FORMAT = "segearth_ov3"

_HUGGINGFACE_MODELS = ("sam3", "sam3_video")
_FORMER_FIELDS = {"text_projection_dim"}  # in files of the first edition; of a tensor that nothing reads
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
    """Return the sizes that follow from a file.

    Args:
        file: The file.
        naming: How it names tensors.

    Returns:
        The configuration.

    Raises:
        CheckpointError: The file states no sizes, and its shapes are not the published model's.
    """
    stated = stated_config(file, naming)
    if stated is not None:
        return stated
    different = _difference_to_published(file, naming)
    if different is None:
        return Sam3Config.base()
    raise CheckpointError(
        f"{file.path}: the sizes do not match the published model ({different}) and the file does not state its own; "
        f"pass config= (`checkpoint convert --config` writes a file that states them)"
    )


def stated_config(file: CheckpointFile, naming: Naming) -> Sam3Config | None:
    """Return the sizes that a file, or the `config.json` in its folder, states; None if nothing is stated.

    Raises:
        CheckpointError: What is stated cannot be used.
    """
    if file.metadata.get("format") == OWN_FORMAT:
        return _config_from_metadata(file)
    neighbour = file.path.with_name("config.json")
    if naming.style == "huggingface" and neighbour.is_file():
        return config_from_huggingface(neighbour)
    return None


def release_of(file: CheckpointFile, naming: Naming) -> str | None:
    """Return a file's release of SAM 3, "3" or "3.1"; None if neither its tensors nor its metadata tell."""
    stated = file.metadata.get("release")
    return find_release(file.specs, naming) or (stated if stated in RELEASES else None)


def has_published_sizes(file: CheckpointFile, naming: Naming) -> bool:
    """Return whether a few shapes that tell networks apart are those of the published model."""
    return _difference_to_published(file, naming) is None


def config_from_huggingface(path: Path) -> Sam3Config:
    """Read the sizes in a Hugging Face `config.json`, of the image model or of the video model that contains it.

    Args:
        path: The file. Fields that it leaves out have the published model's values.

    Returns:
        The configuration.

    Raises:
        CheckpointError: Not JSON, the configuration of another model, or sizes out of range.
    """
    content = read_json(path)
    if content.get("model_type") not in _HUGGINGFACE_MODELS:
        kind = reprlib.repr(content.get("model_type"))
        raise CheckpointError(f"{path} describes a model {kind}, expected 'sam3'")
    content = _section(content, "detector_config", path, default=content)
    trunk = _section(_section(content, "vision_config", path), "backbone_config", path)
    values = {ours: trunk[theirs] for ours, theirs in _TRUNK_FIELDS.items() if theirs in trunk}
    for section, fields in _FIELDS.items():
        part = _section(content, section, path)
        values.update({ours: part[theirs] for ours, theirs in fields.items() if theirs in part})
    if "global_attn_indexes" in trunk:
        values["global_blocks"] = trunk["global_attn_indexes"]
    config = _checked_config({**Sam3Config.base().to_dict(), **values}, path)
    trained_size = trunk.get("pretrain_image_size", config.position_grid * config.patch_size)
    if type(trained_size) is not int or trained_size < 1:
        raise CheckpointError(f"{path}: pretrain_image_size must be a whole number, got {reprlib.repr(trained_size)}")
    return _checked_config({**config.to_dict(), "position_grid": trained_size // config.patch_size}, path)


def _section(content: dict[str, Any], name: str, path: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a part of a configuration, which must be a table of names and values."""
    part = content.get(name, default or {})
    if not isinstance(part, dict):
        raise CheckpointError(f"{path} is damaged: expected {name} to be an object, got {reprlib.repr(part)}")
    return part


def config_from_file(path: Path) -> Sam3Config:
    """Read the sizes in a JSON file with all fields of `Sam3Config`.

    Raises:
        CheckpointError: Not JSON, or not a complete and consistent configuration.
    """
    return _checked_config(read_json(path), path)


def config_metadata(config: Sam3Config, release: str | None = None) -> dict[str, str]:
    """Return what a file of this package states about itself.

    Args:
        config: Sizes of the network.
        release: Release of SAM 3 whose weights it holds, "3" or "3.1"; None for other weights.
    """
    stated = {"format": OWN_FORMAT, "config": json.dumps(config.to_dict())}
    return stated if release is None else {**stated, "release": release}


def _config_from_metadata(file: CheckpointFile) -> Sam3Config:
    try:
        values = json.loads(file.metadata["config"])
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file.path} claims to be a {OWN_FORMAT} file but has no readable config") from error
    if not isinstance(values, dict):
        raise CheckpointError(f"{file.path}: expected the config to be a JSON object, got {reprlib.repr(values)}")
    return _checked_config(values, file.path)


def _checked_config(values: Mapping[str, Any], path: Path) -> Sam3Config:
    current = {name: value for name, value in values.items() if name not in _FORMER_FIELDS}
    try:
        return Sam3Config.from_dict(current)
    except OptionError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _difference_to_published(file: CheckpointFile, naming: Naming) -> str | None:
    """Describe the first tensor whose shape is not the published model's, or return None."""
    base = Sam3Config.base()
    expected = {
        "backbone.vision_backbone.trunk.patch_embed.proj.weight": (base.vit_dim, 3, base.patch_size, base.patch_size),
        "backbone.language_backbone.resizer.weight": (base.dim, base.text_width),
        "transformer.decoder.query_embed.weight": (base.queries, base.dim),
    }
    for key, shape in expected.items():
        (name,) = naming.source(key).keys
        if name in file.specs and file.specs[name].shape != shape:
            return f"{name} is {reprlib.repr(file.specs[name].shape)}, expected {shape}"
    return None
