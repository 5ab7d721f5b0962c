"""A digest of a network's weights: equal for equal weights in memory, wherever they were loaded from."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def weights_digest(module: nn.Module) -> str:
    """Return the SHA-256 of names, dtypes, shapes and bytes of all parameters and persistent buffers.

    Args:
        module: The network, on any device. One tensor at a time is copied to the host.

    Returns:
        64 hexadecimal digits. Weights rounded to another dtype have another digest.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
