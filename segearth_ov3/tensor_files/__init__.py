"""Open files of named tensors that may come from anywhere: safetensors, and what `torch.save` writes.

Nothing in a file runs, and a file that lies about its content is refused before it costs memory or time.
"""

from .containers import TensorContent, check_count, open_tensor_file

__all__ = ["TensorContent", "check_count", "open_tensor_file"]
