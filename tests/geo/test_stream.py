"""Windows, strips and interruptions: the same labels, to the last byte, however the work is cut."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segearth_ov3.errors import RasterError
from segearth_ov3.geo.options import FunctionPredictor, Outputs, WindowOptions
from segearth_ov3.geo.scene import segment_scene
from segearth_ov3.geo.unfinished import partial_folder

CLASSES = ("a", "b", "c")
Writer = Callable[..., Path]


def placed(height: int, width: int) -> np.ndarray:
    """Bands (3, H, W), uint8, that say where a pixel is: row, column, and the higher digits of both."""
    rows, cols = np.mgrid[:height, :width]
    return np.stack([rows % 256, cols % 256, rows // 256 * 16 + cols // 256]).astype(np.uint8)


def by_place(images: np.ndarray) -> np.ndarray:
    """Scores (B, 3, S, S), float64, that depend on the place in the scene and, much less, on that in the window."""
    row = images[..., 0] + images[..., 2] // 16 * 256.0
    col = images[..., 1] + images[..., 2] % 16 * 256.0
    down, across = np.mgrid[: images.shape[1], : images.shape[2]] / images.shape[1]
    waves = [np.sin(row * n / 9 + col / 7) + 0.2 * np.cos(3 * down + n * across) for n in (1, 2, 3)]
    return np.stack(waves, axis=1) / 3 + 0.5


def segment(scene: Path, name: str, predict: Callable[[np.ndarray], Any] = by_place, **options: Any) -> np.ndarray:
    """Labels (H0, W0) of a scene with all maps written."""
    folder = scene.parent
    outputs = Outputs(folder / f"{name}-sure.tif", folder / f"{name}-scores.tif")
    run = {key: options.pop(key) for key in ("resume", "overwrite") if key in options}
    windows = WindowOptions(**{"window": 40, "overlap": 0.3, **options})
    predictor = FunctionPredictor(predict, description={"function": "by_place"})
    segment_scene(scene, folder / f"{name}.tif", predictor, classes=CLASSES, windows=windows, outputs=outputs, **run)
    with rasterio.open(folder / f"{name}.tif") as written:
        return written.read(1)


def all_bytes(scene: Path, name: str) -> list[bytes]:
    """Contents of all maps of a run."""
    return [(scene.parent / f"{name}{part}.tif").read_bytes() for part in ("", "-sure", "-scores")]


@pytest.fixture
def scene(write_raster: Writer) -> Path:
    """A scene of 600 x 150 pixels, two and a bit bands of rows, with a hole."""
    bands = placed(600, 150)
    bands[:, 270:300, 20:60] = 254
    return write_raster(bands, nodata=254)


def counting(predict: Callable[[np.ndarray], np.ndarray] = by_place) -> tuple[list[int], Callable[..., np.ndarray]]:
    """A predictor that notes the sizes of its batches."""
    batches: list[int] = []

    def run(images: np.ndarray) -> np.ndarray:
        batches.append(len(images))
        return predict(images)

    return batches, run


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 120)),
    window=st.integers(1, 60),
    overlap=st.floats(0, 0.7),
    blending=st.sampled_from(["cosine", "uniform", "centre"]),
    strips=st.tuples(st.integers(7, 130), st.integers(7, 130)),
    batches=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_strips_and_batches_change_nothing(
    write_raster: Writer,
    size: tuple[int, int],
    window: int,
    overlap: float,
    blending: str,
    strips: tuple[int, int],
    batches: tuple[int, int],
) -> None:
    window = max(window, max(size) // 8)
    scene = write_raster(placed(*size))
    results = [
        segment(scene, "c", window=window, overlap=overlap, blending=blending, strip_px=s, batch=b, overwrite=True)
        for s, b in zip(strips, batches)
    ]
    assert np.array_equal(*results)


def test_maps_of_strips_are_the_same_bytes(scene: Path) -> None:
    segment(scene, "whole")
    segment(scene, "strips", strip_px=31)
    assert all_bytes(scene, "whole") == all_bytes(scene, "strips")


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (39, 41), (40, 40), (256, 40), (257, 30), (3, 700)])
def test_every_size_is_labelled_like_one_array(write_raster: Writer, size: tuple[int, int]) -> None:
    """Without a part that depends on the window, windows must not show at all."""

    def plain(images: np.ndarray) -> np.ndarray:
        row, col = images[..., 0] + images[..., 2] // 16 * 256.0, images[..., 1] + images[..., 2] % 16 * 256.0
        return np.stack([np.sin(row * n / 9 + col / 7) for n in (1, 2, 3)], axis=1)

    scene = write_raster(placed(*size))
    expected = plain(placed(*size).transpose(1, 2, 0)[None])[0].argmax(axis=0)
    assert np.array_equal(segment(scene, "classes", plain), expected)


def test_windows_without_a_valid_pixel_are_skipped(write_raster: Writer) -> None:
    bands = placed(200, 400)
    bands[:, :, 60:] = 254
    batches, predict = counting()
    labels = segment(write_raster(bands, nodata=254), "classes", predict, window=50, overlap=0.0)
    assert sum(batches) == 4 * 2
    assert (labels[:, 60:] == 255).all()
    assert (labels[:, :60] < 3).all()


def test_neighbours_of_what_is_not_valid_see_its_mean_colour(write_raster: Writer) -> None:
    bands = np.full((3, 20, 20), 40, np.uint8)
    bands[:, :, :5] = 80
    bands[:, 10:] = 254
    seen = []

    def look(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return np.zeros((1, 3, 20, 20))

    segment(write_raster(bands, nodata=254), "classes", look, window=20)
    assert (seen[0][0, 10:] == 50).all()
    assert np.array_equal(seen[0][0, :10], bands[:, :10].transpose(1, 2, 0))


def test_windows_go_in_batches_of_one_row(scene: Path) -> None:
    batches, predict = counting()
    segment(scene, "classes", predict, batch=3)
    assert set(batches) == {3, 2}  # five windows across


def test_progress_counts_all_windows_of_all_strips(scene: Path) -> None:
    told: list[tuple[int, int]] = []
    segment_scene(
        scene,
        scene.parent / "c.tif",
        by_place,
        classes=CLASSES,
        windows=WindowOptions(40, overlap=0.3, strip_px=60),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[0][0] == 0
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1]
    assert len({total for _, total in told}) == 1


class Stopped(Exception):
    pass


def stopping(after: int, error: type[BaseException] = Stopped) -> Callable[[np.ndarray], np.ndarray]:
    """A predictor that fails after some windows."""
    calls = iter(range(10**6))

    def run(images: np.ndarray) -> np.ndarray:
        if next(calls) >= after:
            raise error
        return by_place(images)

    return run


@pytest.mark.parametrize("strip_px", [None, 70])
@pytest.mark.parametrize("after", [60, 75, 104])
def test_interrupted_run_goes_on_and_writes_the_same_bytes(scene: Path, after: int, strip_px: int | None) -> None:
    segment(scene, "whole", strip_px=strip_px)
    with pytest.raises(Stopped):
        segment(scene, "parts", stopping(after), strip_px=strip_px)
    assert not (scene.parent / "parts.tif").exists()
    batches, predict = counting()
    segment(scene, "parts", predict, strip_px=strip_px, resume=True)
    assert all_bytes(scene, "whole") == all_bytes(scene, "parts")
    assert 0 < sum(batches) < 110
    assert not partial_folder(scene.parent / "parts.tif").exists()


def test_ctrl_c_keeps_the_finished_rows_and_gives_no_file(scene: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        segment(scene, "parts", stopping(70, KeyboardInterrupt))
    assert sorted(path.name for path in scene.parent.iterdir()) == [".parts.tif.partial", "scene.tif"]


def test_run_without_a_finished_row_leaves_nothing(scene: Path) -> None:
    with pytest.raises(Stopped):
        segment(scene, "parts", stopping(5))
    assert [path.name for path in scene.parent.iterdir()] == ["scene.tif"]


def test_unfinished_work_is_neither_lost_nor_used_by_accident(scene: Path) -> None:
    with pytest.raises(Stopped):
        segment(scene, "parts", stopping(75))
    with pytest.raises(RasterError, match=r"continue with --resume .*, or start again with --overwrite"):
        segment(scene, "parts")


def test_overwrite_starts_anew(scene: Path) -> None:
    with pytest.raises(Stopped):
        segment(scene, "parts", stopping(75))
    batches, predict = counting()
    segment(scene, "parts", predict, overwrite=True)
    assert sum(batches) == 21 * 5


def test_resume_without_unfinished_work_is_an_ordinary_run(scene: Path) -> None:
    batches, predict = counting()
    segment(scene, "parts", predict, resume=True)
    assert sum(batches) == 21 * 5


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"overlap": 0.35}, "overlap was 0.3, is 0.35"),
        ({"window": 41}, "window px was 40, is 41"),
        ({"blending": "centre"}, 'blending was "cosine", is "centre"'),
        ({"batch": 2}, "batch was 1, is 2"),
        ({"strip_px": 80}, "strips was "),
    ],
)
def test_resume_with_another_setting_is_refused_and_names_it(
    scene: Path, changed: dict[str, Any], difference: str
) -> None:
    with pytest.raises(Stopped):
        segment(scene, "parts", stopping(75))
    with pytest.raises(RasterError, match="cannot resume, because the interrupted run had other settings") as caught:
        segment(scene, "parts", resume=True, **changed)
    assert difference in str(caught.value)
    assert partial_folder(scene.parent / "parts.tif").exists()


def test_resume_with_another_scene_is_refused(scene: Path, write_raster: Writer) -> None:
    with pytest.raises(Stopped):
        segment(scene, "parts", stopping(75))
    write_raster(placed(600, 150), nodata=254)
    with pytest.raises(RasterError, match=r"source time was \[\d+\], is \[\d+\]; source sha256 was"):
        segment(scene, "parts", resume=True)


KILLED = """
    import os, signal, sys
    import numpy as np
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    import geo.test_stream as stream
    from segearth_ov3.geo import journal

    count = iter(range(10**6))
    add = journal.Journal.add

    def add_and_die(self, strip, band, arrays):
        add(self, strip, band, arrays)
        if next(count) == {bands}:
            with self._file as file:  # half of another record, as if killed in the middle of writing
                file.write(journal._HEADER.pack(b"rows", 0, 9, 1, 999) + bytes(30))
            os.kill(os.getpid(), signal.SIGKILL)

    journal.Journal.add = add_and_die
    if {in_results}:
        import segearth_ov3.geo.maps as maps
        maps.MapWriter.check_complete = lambda self: os.kill(os.getpid(), signal.SIGKILL)
    stream.segment(Path({scene!r}), "parts", strip_px=70)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize(("bands", "in_results"), [(0, False), (4, False), (99, True)])
def test_killed_run_goes_on_and_writes_the_same_bytes(scene: Path, bands: int, in_results: bool) -> None:
    tests = str(Path(__file__).resolve().parents[1])
    code = textwrap.dedent(KILLED).format(tests=tests, bands=bands, in_results=in_results, scene=str(scene))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(tests).parent), tests])}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert not (scene.parent / "parts.tif").exists()
    segment(scene, "whole", strip_px=70)
    segment(scene, "parts", strip_px=70, resume=True)
    assert all_bytes(scene, "whole") == all_bytes(scene, "parts")
    assert not [path.name for path in scene.parent.iterdir() if path.name.startswith(".")]


def test_memory_does_not_depend_on_the_height(write_raster: Writer) -> None:
    """Peak of Python's and numpy's allocations, for scenes of 400 and of 2000 rows."""
    import tracemalloc

    peaks = []
    for height in (400, 2000):
        scene = write_raster(placed(height, 100))
        tracemalloc.start()
        segment(scene, f"classes{height}", window=64)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0] + 2**20
