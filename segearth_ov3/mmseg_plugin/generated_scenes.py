"""Generated scenes as an mmseg dataset: made on first use, then read like any other set.

data_root/
    scenes.json                 what the folder holds
    images/1000000.png ...      8-bit RGB, named by the seed
    labels/1000000.png ...      class indices
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from PIL import Image

from ..datasets import SPECS
from ..demo.scenes import DEMO_RES_RANGE_M, demo_resolution, generate_scene
from ..errors import DatasetError
from ..geo.output import replace_when_complete
from ..messages import progress_bar


@DATASETS.register_module()
class GeneratedScenesDataset(BaseSegDataset):
    """Aerial scenes with exact labels of the classes in `SPECS["demo"]`.

    Args:
        count: Number of scenes.
        side: Height and width of a scene, in pixels.
        first_seed: Seed of the first scene; the packaged model has seen none from 1 000 000 on.
        **kwargs: As in mmseg's `BaseSegDataset`; `data_root` is the folder that is filled on first use.

    Raises:
        DatasetError: The folder holds scenes of other settings.
    """

    METAINFO: ClassVar[dict[str, Any]] = {
        "classes": SPECS["demo"].classes,
        "palette": [list(color) for color in SPECS["demo"].palette],
    }

    def __init__(self, count: int = 50, side: int = 504, first_seed: int = 1_000_000, **kwargs: Any) -> None:
        self.count = count
        self.side = side
        self.first_seed = first_seed
        super().__init__(img_suffix=".png", seg_map_suffix=".png", **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Make what is missing, then list the scenes by seed."""
        make_scene_folder(Path(self.data_root or "."), self.count, self.side, self.first_seed)
        return super().load_data_list()


def make_scene_folder(folder: Path, count: int, side: int, first_seed: int) -> None:
    """Fill a folder with scenes; what is there already stays.

    Args:
        folder: Where the scenes go; made if needed.
        count: Number of scenes.
        side: Height and width in pixels.
        first_seed: Seed of the first scene.

    Raises:
        DatasetError: The folder holds scenes of other settings.
    """
    settings = {"count": count, "side": side, "first_seed": first_seed, "res_m": list(DEMO_RES_RANGE_M)}
    note = folder / "scenes.json"
    if note.exists() and (found := json.loads(note.read_text(encoding="utf-8"))) != settings:
        raise DatasetError(f"{folder} holds scenes of {found}, not of {settings}; name another folder by --data-root")
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    with replace_when_complete(note) as partial:
        partial.write_text(json.dumps(settings) + "\n", encoding="utf-8")
    seeds = [seed for seed in range(first_seed, first_seed + count) if not _paths(folder, seed)[1].exists()]
    for seed in progress_bar("making scenes", "scene", quiet=not seeds, iterable=seeds):
        scene = generate_scene((side, side), seed, res_m=demo_resolution(seed))
        for path, content in zip(_paths(folder, seed), (scene.image, scene.labels)):  # labels last: they mark the end
            _write_png(path, content)


def _paths(folder: Path, seed: int) -> tuple[Path, Path]:
    """Image and label file of a seed."""
    return folder / "images" / f"{seed}.png", folder / "labels" / f"{seed}.png"


def _write_png(path: Path, content: np.ndarray) -> None:
    with replace_when_complete(path) as partial:
        Image.fromarray(content).save(partial)
