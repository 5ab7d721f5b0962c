"""CLIP's weights: from the name of an open_clip model, and a tag or a file, to a frozen encoder.

Weights of a tag are fetched from Hugging Face once, and then found in its cache. Files are safetensors or PyTorch's;
nothing in them is executed. They must fit the model exactly: open_clip itself would stretch position embeddings of
another image size without a word.

OpenAI's models (and some later ones) use the activation QuickGELU, x·σ(1.702x), instead of GELU, which no file says.
Here a tag decides by what open_clip knows about it. For a file the name decides (".../ViT-B-32-quickgelu"), except
where all published weights of that model use QuickGELU: "ViT-L-14-336" has only OpenAI's, so its files are read as
such. Likewise a tag decides by which mean and deviation images are normalised, and files get OpenAI's, which all
published weights but one share. For a model of one's own with other settings, pass a `ClipEncoder`.

The tag "random" stands for no weights at all: open_clip's own initialisation from a fixed seed. It says what an encoder
that has learnt nothing does to a score, which a real one has to beat.
"""

from __future__ import annotations

import difflib
import functools
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, OptionError, printable
from ..tensor_files import open_tensor_file
from .clip_encoder import MEAN, STD, ClipEncoder

MODEL = "ViT-L-14-336"
PRETRAINED = "openai"
RANDOM = "random"

_SEED = 0

_QUICK = "-quickgelu"
_FILE_NAME = "open_clip_model.safetensors"  # what open_clip looks for first in a repository on Hugging Face
_UNUSED = ("logit_scale", "logit_bias")  # of CLIP's loss; some files lack them or give them another shape
logger = logging.getLogger(__name__)


class _Settings(NamedTuple):
    """What no file of weights says.

    Attributes:
        quick_gelu: Activation QuickGELU instead of GELU.
        mean: Of the images, RGB in [0, 1].
        std: Likewise.
    """

    quick_gelu: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load_clip(
    model: str = MODEL, pretrained: str | Path = PRETRAINED, device: str | torch.device = "cpu"
) -> ClipEncoder:
    """Load a CLIP, once per process: the same arguments give the same encoder.

    Args:
        model: Name of a model of open_clip with its own vision transformer and text transformer, such as ViT-B-32.
        pretrained: Tag that open_clip knows for this model, or a local file of its weights; "random" for none.
        device: Where it goes.

    Returns:
        The encoder, float32.

    Raises:
        OptionError: open_clip has no such model, or it is of another kind.
        CheckpointError: There is no such tag or file, the weights cannot be fetched, or they do not fit. The message
            says what to do.
    """
    place = torch.empty(0, device=device).device  # "cuda" becomes "cuda:0"
    return _load(model.replace("/", "-"), str(pretrained), place)


@functools.cache
def _load(model: str, pretrained: str, device: torch.device) -> ClipEncoder:
    import open_clip

    config = _config(model)
    tag = open_clip.get_pretrained_cfg(model, pretrained)
    path = None
    if pretrained != RANDOM:
        path = _fetch(model, pretrained, tag) if tag else _local_file(model, pretrained)
    settings = _settings(model, tag)
    logger.info("CLIP %s from %s, %s", model, path or "no weights at all", settings)
    with torch.random.fork_rng(devices=[]):  # it is filled with random weights first
        torch.default_generator.manual_seed(_SEED)  # of the CPU alone; `torch.manual_seed` would reach the others too
        network = open_clip.CLIP(**config, quick_gelu=settings.quick_gelu)
    if path is not None:
        _fill(network, _read(path, model), path, model)
    return ClipEncoder(network, mean=settings.mean, std=settings.std, name=model).to(device)


def _config(model: str) -> dict[str, Any]:
    """Arguments of `open_clip.CLIP`."""
    import open_clip

    known = open_clip.list_models()
    if model not in known:
        close = difflib.get_close_matches(model, known, n=3, cutoff=0.5) or [MODEL]
        raise OptionError(f"open_clip has no model {model!r}; did you mean {' or '.join(close)}?")
    config: dict[str, Any] = open_clip.get_model_config(model)
    vision, text = config["vision_cfg"], config["text_cfg"]
    others = {"timm_model_name", "hf_model_name", "hf_tokenizer_name"} & {*vision, *text}
    if others or config.get("custom_text") or not isinstance(vision.get("layers", 12), int):
        message = f"expected a model with open_clip's own vision transformer and text transformer, got {model!r}"
        raise OptionError(f"{message}; use one such as {MODEL}, or pass a ClipEncoder of your own")
    config.pop("quick_gelu", None)
    return config


def _settings(model: str, tag: Mapping[str, Any] | None = None) -> _Settings:
    """What a model needs besides its weights, by their tag, or for a file; see the top of this file."""
    if tag:
        return _Settings(bool(tag.get("quick_gelu")), tag.get("mean", MEAN), tag.get("std", STD))
    tags = _tags(model).values()
    quick_gelu = model.endswith(_QUICK) or (bool(tags) and all(each.get("quick_gelu") for each in tags))
    return _Settings(quick_gelu, MEAN, STD)


def _tags(model: str) -> dict[str, Mapping[str, Any]]:
    """What open_clip knows about the published weights of a model."""
    import open_clip

    return {name: open_clip.get_pretrained_cfg(model, name) for name in open_clip.list_pretrained_tags_by_model(model)}


def _local_file(model: str, pretrained: str) -> Path:
    path = Path(pretrained).expanduser()
    if path.is_file():
        return path
    tags = _tags(model)
    wanted = f"a tag of {model} ({', '.join(tags) or 'it has none'}) or a file of its weights"
    what = f"folder {path}" if path.is_dir() else f"{pretrained!r}, which is neither"
    raise CheckpointError(f"expected pretrained to be {wanted}, got {what}; {_advice(model)}")


def _fetch(model: str, pretrained: str, tag: Mapping[str, Any]) -> Path:
    """The file of a tag's weights, from the cache or the network."""
    import open_clip

    try:
        return Path(open_clip.download_pretrained(tag))
    except Exception as error:  # whatever the HTTP client in use raises
        message = f"cannot fetch the weights {pretrained!r} of {model}: {_first_line(error)}"
        raise CheckpointError(f"{message}; {_advice(model, tag)}") from error


def _advice(model: str, tag: Mapping[str, Any] | None = None) -> str:
    """Which file to get and how to pass it: that of a tag, or of the model's first one."""
    tag = tag or next(iter(_tags(model).values()), None)
    if tag is None:
        return "pass pretrained=PATH with a file of weights that open_clip has trained"
    folder, _, name = str(tag.get("hf_hub", "")).rpartition("/")
    source = f"{name or _FILE_NAME} from {folder} on Hugging Face" if folder else str(tag.get("url"))
    wanted, plain = _settings(model, tag), _settings(model)
    option = "pass pretrained=PATH"
    if wanted.quick_gelu and not plain.quick_gelu:
        option += f" with model={model}{_QUICK}"
    if wanted[1:] != plain[1:]:
        option = "put it into this one's Hugging Face cache, as a plain file would be read with another mean"
    return f"fetch {source}, on another machine if this one has no connection, and {option}"


def _read(path: Path, model: str) -> dict[str, Tensor]:
    """Return the tensors of a file by name."""
    try:
        tensors = open_tensor_file(path).open_mapping()
    except CheckpointError as error:
        raise CheckpointError(f"{str(error).removesuffix('; fetch it again')}; {_advice(model)}") from error
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def _fill(network: nn.Module, state: Mapping[str, Tensor], path: Path, model: str) -> None:
    """Copy weights into a network, all of them or none."""
    own = {key: value for key, value in network.state_dict().items() if key not in _UNUSED}
    given = {key: value for key, value in state.items() if key not in _UNUSED}
    shapes = {key: tuple(value.shape) for key, value in given.items()}
    problems = [
        _listed("missing", own.keys() - given.keys()),
        _listed("unexpected", given.keys() - own.keys()),
        _listed(
            "of another shape",
            (
                f"{key}: expected {tuple(own[key].shape)}, got {shapes[key]}"
                for key in own.keys() & given.keys()
                if tuple(own[key].shape) != shapes[key]
            ),
        ),
    ]
    found = ", ".join(filter(None, problems))
    if found:
        raise CheckpointError(f"{path} does not fit {model}: tensors {found}; {_advice(model)}")
    network.load_state_dict(given, strict=False)


def _listed(what: str, entries: Iterable[str], most: int = 3) -> str:
    """ "2 missing (a, b)"; empty where there are none."""
    entries = sorted(entries)
    names = ", ".join(map(printable, entries[:most])) + (", ..." if len(entries) > most else "")
    return f"{len(entries)} {what} ({names})" if entries else ""


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
