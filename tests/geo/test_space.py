"""Room on the disk is asked for before any computing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from segearth_ov3.errors import RasterError, RasterWarning
from segearth_ov3.geo.options import Outputs
from segearth_ov3.geo.scene import check_scene, segment_scene
from segearth_ov3.geo.space import check_space, likely_bytes, shown_bytes

SIZE = (20_000, 20_000)


def with_room(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))


def paths_in(folder: Path) -> dict[str, Path]:
    return {"labels": folder / "c.tif", "scores": folder / "s.tif"}


def test_outputs_that_cannot_fit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_room(monkeypatch, 7_000_000)  # 11 bytes of each pixel, shortened a thousandfold, twice: rows and maps
    with pytest.raises(RasterError, match=r"c\.tif: .* has room for 7\.0 MB, and the outputs need at least 8\.8 MB"):
        check_space(paths_in(tmp_path), SIZE, classes=10)


def test_outputs_that_will_hardly_fit_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_room(monkeypatch, 1_000_000_000)
    with pytest.warns(RasterWarning, match=r"room for 1\.0 GB, and the outputs may need about 4\.1 GB"):
        check_space(paths_in(tmp_path), SIZE, classes=10)
    check_space(paths_in(tmp_path), SIZE, classes=10, warn=False)


def test_room_for_everything_is_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_room(monkeypatch, 5_000_000_000)
    check_space(paths_in(tmp_path), SIZE, classes=10)


def test_full_disk_is_found_before_anything_is_computed(
    write_raster: Callable[..., Path], rgb: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, outputs = write_raster(np.tile(rgb, (1, 100, 100))), Outputs(confidence=tmp_path / "sure.tif")
    with_room(monkeypatch, 100)
    with pytest.raises(RasterError, match="has room for 100 bytes, and the outputs need at least"):
        check_scene(scene, tmp_path / "c.tif", outputs=outputs)
    with pytest.raises(RasterError, match="has room for 100 bytes"):
        segment_scene(scene, tmp_path / "c.tif", lambda images: images, classes=["a", "b"], outputs=outputs)


def test_more_classes_need_more_room_for_scores_only(tmp_path: Path) -> None:
    few, many = (likely_bytes(paths_in(tmp_path), SIZE, classes) for classes in (2, 20))
    assert many["labels"] == few["labels"]
    assert many["scores"] == 10 * few["scores"]


@pytest.mark.parametrize(("count", "text"), [(999, "999 bytes"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (3e12, "3.0 TB")])
def test_bytes_have_a_unit(count: float, text: str) -> None:
    assert shown_bytes(count) == text
