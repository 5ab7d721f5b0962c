"""Describe, verify and convert checkpoints, in the memory of one tensor."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..sam3.build import build_sam3
from ..sam3.config import Sam3Config
from ..sam3.model import parameter_dtypes
from .digests import content_digest, file_digests
from .files import CheckpointFile, TensorSpec
from .keys import Naming
from .load import compute_dtype, match_model, open_checkpoint
from .matching import naming_of, read_tensor, split_unread, stored_dtype
from .sizes import OWN_FORMAT, config_metadata, config_of, has_published_sizes, release_of, stated_config
from .writing import Progress, write_safetensors


@dataclasses.dataclass(frozen=True)
class CheckpointInfo:
    """Facts about a checkpoint.

    Attributes:
        path: The file, or the index of several.
        files: All files that hold tensors.
        format: "official" (Meta's names), "huggingface", or "segearth_ov3" (written by this package).
        release: Release of SAM 3 that the weights are of, "3" or "3.1"; None where neither names nor metadata tell.
        config: Sizes of the network; None where they do not follow from the file.
        tensors: Tensors of the image model.
        parameters: Values in them.
        dtypes: Number of tensors by dtype, most frequent first.
        ignored: Names of the tensors that are not read, by reason.
        size_bytes: Size on disk of all files.
        sha256: Digest of the content, shortened, where it was asked for.
        file_sha256: Full SHA-256 of each file, in the order of `files`, where it was computed.
    """

    path: Path
    files: tuple[Path, ...]
    format: str
    release: str | None
    config: Sam3Config | None
    tensors: int
    parameters: int
    dtypes: dict[str, int]
    ignored: dict[str, tuple[str, ...]]
    size_bytes: int
    sha256: str | None = None
    file_sha256: tuple[str, ...] = ()


def inspect_checkpoint(path: str | Path | None, *, sha256: bool = False) -> CheckpointInfo:
    """Describe a checkpoint from its table of contents; no tensor is read.

    Args:
        path: File or folder; None takes the environment variable SEGEARTH_OV3_CHECKPOINT.
        sha256: Also compute the digest, which reads the file once.

    Returns:
        The description.

    Raises:
        CheckpointError: Nothing is there, it is damaged or refused, or the weights of another model.
    """
    file = open_checkpoint(path)
    naming = naming_of(file)
    config = stated_config(file, naming)
    if config is None and has_published_sizes(file, naming):
        config = Sam3Config.base()
    info = _describe(file, naming, config)
    return dataclasses.replace(info, sha256=content_digest(file.files)) if sha256 else info


def verify_checkpoint(
    path: str | Path | None, *, config: Sam3Config | None = None, progress: Progress | None = None
) -> CheckpointInfo:
    """Check that a checkpoint can be loaded: all tensors present, of the right shape, every value finite.

    Args:
        path: File or folder; None takes the environment variable SEGEARTH_OV3_CHECKPOINT.
        config: Sizes of the network where they do not follow from the file.
        progress: Called after each tensor with the number of finished and of all tensors.

    Returns:
        The description, with the SHA-256 of each file.

    Raises:
        CheckpointError: Something is wrong; the message names every tensor concerned, at most ten of each kind.
    """
    file = open_checkpoint(path)
    naming = naming_of(file)
    config = config or config_of(file, naming)
    match = match_model(file, naming, build_sam3(config, device="meta"))
    names = [name for source in match.sources.values() for name in source.keys]
    spoilt = []
    for done, name in enumerate(names, start=1):
        # the extremes are NaN if any value is, and need no copy of the tensor
        if not torch.stack(torch.aminmax(file.read(name))).isfinite().all():
            spoilt.append(name)
        if progress is not None:
            progress(done, len(names))
    if spoilt:
        listed = ", ".join(spoilt[:10])
        raise CheckpointError(f"{file.path}: {len(spoilt)} tensors hold values that are not finite: {listed}")
    return dataclasses.replace(_describe(file, naming, config), file_sha256=file_digests(file.files))


def convert_checkpoint(
    src: str | Path | None,
    dst: str | Path,
    *,
    dtype: torch.dtype | str | None = None,
    config: Sam3Config | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the image model of a checkpoint as one safetensors file of this package, which states sizes and release.

    Args:
        src: File or folder; None takes the environment variable SEGEARTH_OV3_CHECKPOINT.
        dst: File to write, named `*.safetensors`; it appears only when complete.
        dtype: Compute dtype the file is meant for; what the network keeps in float32 is stored in float32. A network
            loaded in that dtype is the same as from the source. None keeps the source's dtypes.
        config: Sizes of the network where they do not follow from the source.
        overwrite: Replace an existing file.
        progress: Called after each tensor with the number of finished and of all tensors.

    Returns:
        The file written.

    Raises:
        CheckpointError: The source does not fit the network, or the target exists, is the source itself or cannot be
            written.
        OptionError: Another dtype than float32, bfloat16 or float16.
    """
    if dtype is not None:
        dtype = compute_dtype(dtype)
    dst = Path(dst).expanduser()
    if dst.suffix != ".safetensors":
        raise CheckpointError(f"expected a target named *.safetensors, got {dst}")
    file = open_checkpoint(src)
    if dst.exists() and any(dst.samefile(part) for part in (file.path, *file.files)):
        raise CheckpointError(f"{dst} is the checkpoint to convert; choose another name for the result")
    naming = naming_of(file)
    config = config or config_of(file, naming)
    model = build_sam3(config, device="meta")
    sources = match_model(file, naming, model).sources
    wanted = parameter_dtypes(model, dtype) if dtype is not None else {}
    specs = {
        key: TensorSpec(tuple(value.shape), wanted.get(key) or stored_dtype(file, sources[key]))
        for key, value in model.state_dict().items()
    }

    def make(key: str) -> Tensor:
        return read_tensor(file, sources[key], torch.empty(specs[key].shape, dtype=specs[key].dtype))

    metadata = config_metadata(config, release_of(file, naming))
    write_safetensors(dst, specs, make, metadata=metadata, overwrite=overwrite, progress=progress)
    return dst


def checkpoint_hash(path: str | Path | None) -> str:
    """Compute a short digest of a checkpoint's content, which tells files of the same name apart; reads all of it.

    Args:
        path: As of `open_checkpoint`.

    Returns:
        The first 16 hexadecimal digits of SHA-256; of several files, over one after the other in the order of names.

    Raises:
        CheckpointError: Nothing is there, or it is damaged.
    """
    return content_digest(open_checkpoint(path).files)


def _describe(file: CheckpointFile, naming: Naming, config: Sam3Config | None) -> CheckpointInfo:
    """Facts from the table of contents."""
    ignored, _ = split_unread(file, naming, needed={})
    left_out = {name for names in ignored.values() for name in names}
    used = [spec for name, spec in file.specs.items() if name not in left_out]
    counts = Counter(str(spec.dtype).removeprefix("torch.") for spec in used)
    return CheckpointInfo(
        path=file.path,
        files=file.files,
        format=OWN_FORMAT if file.metadata.get("format") == OWN_FORMAT else naming.style,
        release=release_of(file, naming),
        config=config,
        tensors=len(used),
        parameters=sum(math.prod(spec.shape) for spec in used),
        dtypes=dict(counts.most_common()),
        ignored=ignored,
        size_bytes=sum(part.stat().st_size for part in file.files),
    )
