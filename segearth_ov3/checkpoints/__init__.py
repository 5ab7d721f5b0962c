"""Weights of SAM 3: loading, checking, converting and fetching them.

Three forms are read: Meta's `sam3.pt`, Hugging Face's safetensors (one file, sharded, or the folder), and safetensors
files of this package, which carry the sizes of their network. All are loaded strictly, and no code in a file is run.
"""

from .download import download_checkpoint
from .load import DEMO_NAME, DEMO_NOTE, PATH_VARIABLE, is_demo, load_sam3
from .manage import CheckpointInfo, checkpoint_hash, convert_checkpoint, inspect_checkpoint, verify_checkpoint

__all__ = [
    "DEMO_NAME",
    "DEMO_NOTE",
    "PATH_VARIABLE",
    "CheckpointInfo",
    "checkpoint_hash",
    "convert_checkpoint",
    "download_checkpoint",
    "inspect_checkpoint",
    "is_demo",
    "load_sam3",
    "verify_checkpoint",
]
