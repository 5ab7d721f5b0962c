"""Records of images, generated."""

from __future__ import annotations

import numpy as np

from segearth_ov3.mmseg_plugin.records import ImageRecord, PixelCounts


def record(image: str = "a.png", seed: int = 0, confusions: np.ndarray | None = None, **changes: object) -> ImageRecord:
    """Two variants, three classes, one number undefined."""
    rng = np.random.default_rng(seed)
    random = rng.integers(0, 5, (2, 3, 3)) * rng.integers(0, 2, (2, 3, 3))
    diagnostics = rng.normal(size=(2, 3))
    diagnostics[1, 2] = np.nan
    counts = tuple(PixelCounts.of(each) for each in (random if confusions is None else confusions))
    return ImageRecord(image, counts, [0.1, 0.2 / 3], 0.25, diagnostics)._replace(**changes)
