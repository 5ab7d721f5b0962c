"""Training-free, open-vocabulary segmentation of remote-sensing images on SAM 3.

The public names load on first use, so that importing the package costs nothing.

Example:
    >>> from segearth_ov3 import Segmenter, Vocabulary, load_sam3
    >>> vocabulary = Vocabulary.from_text("background; building,house; road")
    >>> segmenter = Segmenter(load_sam3("sam3.pt"), vocabulary, prob_threshold=0.3)
    >>> labels, scores = segmenter(image)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from .checkpoints import load_sam3
    from .geo.scene import segment_scene
    from .refiners import REFINERS
    from .sam3.config import Sam3Config
    from .segmenter import Segmentation, Segmenter
    from .vocabulary import Vocabulary

__all__ = [
    "REFINERS",
    "Sam3Config",
    "Segmentation",
    "Segmenter",
    "Vocabulary",
    "__version__",
    "load_sam3",
    "segment_scene",
]

_MODULES = {
    "REFINERS": ".refiners",
    "Sam3Config": ".sam3.config",
    "Segmentation": ".segmenter",
    "Segmenter": ".segmenter",
    "Vocabulary": ".vocabulary",
    "load_sam3": ".checkpoints",
    "segment_scene": ".geo.scene",
}


def __getattr__(name: str) -> Any:
    """Load the module that has a public name."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name], __name__), name)
    globals()[name] = value  # from now on an ordinary attribute
    return value


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted({*globals(), *__all__})
