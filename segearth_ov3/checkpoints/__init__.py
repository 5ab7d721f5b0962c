"""Load, verify, convert and download the weights of SAM 3 and SAM 3.1.

Three forms are read: Meta's `sam3.pt` and `sam3.1_multiplex.pt`, Hugging Face's safetensors (one file, sharded, or the
folder), and safetensors files of this package, which state the sizes of their network. All are loaded strictly: every
tensor is used, or skipped for a reason that is logged. No code in a file runs.
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
