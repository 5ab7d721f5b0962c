from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segearth_ov3.errors import DatasetError
from segearth_ov3.mmseg_plugin.loading import LoadLabels, LoadPicture

pytestmark = pytest.mark.mmseg


@pytest.fixture
def cut_short(tmp_path: Path) -> Path:
    """A PNG of noise of which the second half is missing."""
    path = tmp_path / "tile_7.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def test_damaged_picture_is_named(cut_short: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot read .*tile_7\.png: .*truncated.*; get the file again"):
        LoadPicture(imdecode_backend="pillow")({"img_path": str(cut_short)})


def test_damaged_label_is_named(cut_short: Path) -> None:
    results = {"seg_map_path": str(cut_short), "reduce_zero_label": False, "label_map": None, "seg_fields": []}
    with pytest.raises(DatasetError, match=r"cannot read .*tile_7\.png: .*truncated"):
        LoadLabels()(results)


def test_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"cannot read .*nowhere\.png: No such file"):
        LoadPicture(imdecode_backend="pillow")({"img_path": str(tmp_path / "nowhere.png")})


def test_label_of_colours_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 5, 3), dtype=np.uint8)).save(tmp_path / "colours.png")
    results = {"seg_map_path": str(tmp_path / "colours.png"), "reduce_zero_label": False, "seg_fields": []}
    with pytest.raises(DatasetError, match=r"colours\.png: expected one channel of class indices, got \(4, 5, 3\)"):
        LoadLabels()(results)
