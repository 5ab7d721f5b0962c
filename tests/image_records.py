"""Records of images, generated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


class LabelledFolder:
    """Images and labels of a folder, as far as records need a dataset."""

    def __init__(self, folder: Path, names: str) -> None:
        self.data_prefix = {"img_path": str(folder)}
        self._infos = [
            {"img_path": str(folder / f"{name}.png"), "seg_map_path": str(folder / f"{name}.txt")} for name in names
        ]
        for info in self._infos:
            for path in info.values():
                Path(path).write_text("0")

    def __len__(self) -> int:
        return len(self._infos)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return self._infos[index]
