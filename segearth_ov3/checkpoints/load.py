"""Load a network from a checkpoint, ready for inference."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch

from ..errors import CheckpointError, OptionError
from ..finite import is_finite
from ..sam3.build import build_sam3
from ..sam3.config import Sam3Config
from ..sam3.model import Sam3, parameter_dtypes
from .files import CheckpointFile, find_checkpoint_file, open_checkpoint_file
from .keys import Naming
from .matching import Match, match_network, naming_of, read_tensor
from .sizes import config_of

PATH_VARIABLE = "SEGEARTH_OV3_CHECKPOINT"
DEMO_NAME = "demo"
DEMO_NOTE = "the demo checkpoint is for trying out and testing, not for maps"
_DEMO_FILE = Path(__file__).parents[1] / "demo" / "demo.safetensors"
COMPUTE_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

logger = logging.getLogger(__name__)


def load_sam3(
    path: str | Path | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str = torch.float32,
    config: Sam3Config | None = None,
) -> Sam3:
    """Load SAM 3 from a checkpoint of any supported form.

    The tensors are copied one by one straight to the device and dtype they are used in, so no second copy of the
    model is ever in memory.

    Args:
        path: File, index of a sharded checkpoint, or folder with either: Meta's `sam3.pt` or `sam3.1_multiplex.pt`,
            Hugging Face's `model.safetensors`, or a file of this package; "demo" is the small model inside this
            package, for trying out and testing, not for maps. None takes the environment variable
            SEGEARTH_OV3_CHECKPOINT; the working directory is never searched.
        device: Where the network goes.
        dtype: Compute dtype of the matrix products: float32, bfloat16 or float16, as torch has it or by name. Norms,
            embeddings and the text tower stay float32.
        config: Sizes of the network; needed only where they do not follow from the file. They replace those that the
            file states.

    Returns:
        The network in evaluation mode, gradients off.

    Raises:
        CheckpointError: There is no such file, it is damaged or refused, does not fit the network, or has values that
            are not finite in this dtype.
        OptionError: Another dtype, or PyTorch does not find the device.

    Example:
        >>> model = load_sam3("sam3.pt", device="cuda", dtype="bfloat16")
    """
    dtype = compute_dtype(dtype)
    check_device(device)
    file = open_checkpoint(path)
    if is_demo(path):
        logger.warning("Note: %s.", DEMO_NOTE)
    naming = naming_of(file)
    model = build_sam3(config or config_of(file, naming), device="meta")
    match = match_model(file, naming, model)
    for reason, names in match.ignored.items():
        logger.info("%s: %d tensors not read (%s)", file.path, len(names), reason)
    dtypes = parameter_dtypes(model, dtype)
    state = {}
    for key, empty in model.state_dict().items():
        target = torch.empty(empty.shape, dtype=dtypes[key], device=device)
        state[key] = read_tensor(file, match.sources[key], target)
        if not is_finite(state[key]):  # a ReLU may hide it from the scores
            raise CheckpointError(
                f"{file.path}: values of {key} are not finite as {str(dtypes[key]).removeprefix('torch.')}; check the "
                f"file with `segearth-ov3 checkpoint verify`, and use float32 or bfloat16 if it is right"
            )
    model.load_state_dict(state, strict=True, assign=True)
    model.checkpoint_name = _name_of(path)
    return model.to(device).requires_grad_(False).eval()


def _name_of(path: str | Path | None) -> str:
    """Return how provenance names a checkpoint: its file or folder, without the folders above."""
    chosen = str(path if path is not None else os.environ[PATH_VARIABLE])
    return f"{DEMO_NAME} ({DEMO_NOTE})" if is_demo(path) else Path(chosen).name


def open_checkpoint(path: str | Path | None) -> CheckpointFile:
    """Open a checkpoint without reading its tensors.

    Args:
        path: File, folder or "demo"; None takes the environment variable SEGEARTH_OV3_CHECKPOINT.

    Returns:
        The file.

    Raises:
        CheckpointError: No path is given, nothing is there, or the file is damaged or refused.
    """
    chosen = path if path is not None else os.environ.get(PATH_VARIABLE)
    if not chosen:
        raise CheckpointError(
            f"no checkpoint given: pass a path or set {PATH_VARIABLE}; SAM 3's weights are gated: ask for access on "
            f"the page of facebook/sam3 on Hugging Face, then run `segearth-ov3 checkpoint download`; to try the "
            f"toolkit without them, use --checkpoint {DEMO_NAME}"
        )
    if is_demo(chosen):
        return open_checkpoint_file(_DEMO_FILE)
    try:
        path = Path(chosen).expanduser()
    except RuntimeError as error:
        raise CheckpointError(f"cannot read checkpoint {chosen}: {error}") from error
    return open_checkpoint_file(find_checkpoint_file(path))


def is_demo(path: str | Path | None) -> bool:
    """Return whether a path, or the environment variable in its place, names the model inside this package."""
    return str(path if path is not None else os.environ.get(PATH_VARIABLE)) == DEMO_NAME


def match_model(file: CheckpointFile, naming: Naming, model: Sam3) -> Match:
    """Find every tensor of a model, which may be on "meta", in a file; see `match_network`."""
    return match_network(file, naming, {key: tuple(value.shape) for key, value in model.state_dict().items()})


def check_device(device: str | torch.device) -> None:
    """Make sure that a device is there.

    Raises:
        OptionError: PyTorch does not know such a device, or does not find it on this machine.
    """
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise OptionError(f"expected a device such as cpu, cuda, cuda:0 or mps, got {device!r}") from error
    if wanted.type == "mps" and not torch.backends.mps.is_available():
        raise OptionError("device mps: PyTorch finds no Apple GPU here; use cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted.type == "cuda" and (wanted.index or 0) >= count:
        raise OptionError(f"device {device}: PyTorch finds {count} CUDA devices here; use one of them or cpu")


def compute_dtype(dtype: torch.dtype | str) -> torch.dtype:
    """Return a dtype that the network can compute in.

    Args:
        dtype: The dtype itself or its name ("float16").

    Raises:
        OptionError: It is none that the network can compute in.
    """
    found = COMPUTE_DTYPES.get(str(dtype).removeprefix("torch."))
    if found is None:
        raise OptionError(f"expected dtype float32, bfloat16 or float16, got {dtype}")
    return found
