"""The command with a network that is not there: `load_sam3` and `Segmenter` are replaced by recorders."""

from __future__ import annotations

import json
import re
import shlex
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import pytest
import rasterio
import torch
from click.testing import CliRunner, Result
from golden import load_tiny
from rasterio.transform import Affine

import segearth_ov3.checkpoints
import segearth_ov3.segmenter
from segearth_ov3.cli.main import main
from segearth_ov3.cli.options import resolve_device, resolve_dtype
from segearth_ov3.cli.segment import segment
from segearth_ov3.errors import OptionError
from segearth_ov3.refiners.lowpass import Lowpass
from segearth_ov3.refiners.smoothing import Smoothing
from segearth_ov3.version import __version__
from segearth_ov3.vocabulary import Vocabulary

CLASSES = "background; building,house; water"
ARGUMENTS = ["scene.tif", "classes.tif", "--classes", CLASSES, "--checkpoint", "weights/sam3.pt", "--device", "cpu"]


class FakeSegmentation(NamedTuple):
    labels: torch.Tensor
    scores: torch.Tensor


class Calls(types.SimpleNamespace):
    """What the command asked of the network."""

    load: tuple[Any, dict[str, Any]] | None = None
    options: dict[str, Any] | None = None
    vocabulary: Any = None
    with_scores: bool | None = None


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Replaces network and segmenter; the fake one labels by the red band in two steps of progress."""
    record = Calls()

    def load_sam3(path: Any, **options: Any) -> str:
        record.load = (path, options)
        return "the network"

    class Segmenter:
        def __init__(self, model: Any, vocabulary: Any, **options: Any) -> None:
            assert model == "the network"
            record.vocabulary, record.options = vocabulary, options

        def __call__(self, image: np.ndarray, progress: Callable[[int, int], None] | None = None) -> FakeSegmentation:
            assert progress is not None
            progress(1, 2)
            progress(2, 2)
            labels = torch.from_numpy(image[..., 0].astype(np.int64) % len(record.vocabulary))
            record.with_scores = True
            return FakeSegmentation(labels, torch.full((len(record.vocabulary), *labels.shape), 0.25))

        def predict_labels(self, image: np.ndarray, progress: Callable[[int, int], None] | None = None) -> torch.Tensor:
            labels = self(image, progress).labels
            record.with_scores = False
            return labels

        def describe(self) -> dict[str, Any]:
            return {"prob_threshold": record.options["prob_threshold"] if record.options else None, "window": None}

    monkeypatch.setattr(segearth_ov3.checkpoints, "load_sam3", load_sam3)
    monkeypatch.setattr(segearth_ov3.segmenter, "Segmenter", Segmenter)
    monkeypatch.delenv("SEGEARTH_OV3_CHECKPOINT", raising=False)
    return record


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with scene.tif (6 x 10 pixels of 10 m in UTM) and classes.txt."""
    monkeypatch.chdir(tmp_path)
    bands = np.random.default_rng(3).integers(1, 256, (3, 6, 10), dtype=np.uint8)
    bands[:, :, 9] = 0
    profile = {"crs": "EPSG:32636", "transform": Affine(10, 0, 452000, 0, -10, 36000), "nodata": 0}
    with rasterio.open(
        "scene.tif", "w", driver="GTiff", count=3, height=6, width=10, dtype="uint8", **profile
    ) as scene:
        scene.write(bands)
    Path("classes.txt").write_text("background\nbuilding,house\nwater\n")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["segment", *arguments])


def test_map_is_written(folder: Path, calls: Calls) -> None:
    result = run(*ARGUMENTS)
    assert (result.exit_code, result.exception) == (0, None)
    with rasterio.open("scene.tif") as scene, rasterio.open("classes.tif") as written:
        expected = np.where(scene.read(1) > 0, scene.read(1) % 3, 255)
        assert np.array_equal(written.read(1), expected)
        assert (written.crs, written.transform) == (scene.crs, scene.transform)


def test_standard_output_is_the_table(folder: Path, calls: Calls) -> None:
    result = run(*ARGUMENTS)
    with rasterio.open("classes.tif") as written:
        counts = np.bincount(written.read(1).ravel(), minlength=256)
    lines = [re.split(r"  +", line.strip()) for line in result.stdout.splitlines()]
    assert lines[0] == ["class", "pixels", "share", "hectares"]
    for line, name, count in zip(lines[1:], ("background", "building", "water"), counts):
        assert line == [name, str(count), f"{count / 54:.2%}", f"{count / 100:.4f}"]
    assert lines[4:] == [["(no data)", "6", "-", "-"]]


@pytest.mark.parametrize(("options", "with_scores"), [((), False), (("--confidence", "sure.tif"), True)])
def test_scores_are_computed_only_for_a_confidence_map(
    folder: Path, calls: Calls, options: tuple[str, ...], with_scores: bool
) -> None:
    assert run(*ARGUMENTS, *options).exit_code == 0
    assert calls.with_scores is with_scores


def test_progress_goes_to_standard_error(folder: Path, calls: Calls) -> None:
    result = run(*ARGUMENTS)
    assert "2/2" in result.stderr
    assert "segmenting" not in result.stdout


def test_quiet_shows_no_progress(folder: Path, calls: Calls) -> None:
    assert run(*ARGUMENTS, "--quiet").stderr == ""


def test_confidence_and_overlay_are_written(folder: Path, calls: Calls) -> None:
    result = run(*ARGUMENTS, "--confidence", "sure.tif", "--overlay", "overlay.png")
    assert result.exit_code == 0
    with rasterio.open("sure.tif") as written:
        assert np.nanmax(written.read(1)) == 0.25
    assert (folder / "overlay.png").read_bytes().startswith(b"\x89PNG")


def test_provenance_is_in_the_metadata(folder: Path, calls: Calls) -> None:
    run(*ARGUMENTS, "--prob-threshold", "0.125")
    with rasterio.open("classes.tif") as written:
        tags = written.tags()
    assert tags["SEGEARTH_OV3_VERSION"] == __version__
    assert tags["TIFFTAG_SOFTWARE"] == f"segearth-ov3 {__version__}"
    assert tags["SEGEARTH_OV3_CHECKPOINT"] == "sam3.pt"
    assert json.loads(tags["SEGEARTH_OV3_PROB_THRESHOLD"]) == 0.125
    assert json.loads(tags["CLASS_NAMES"]) == ["background", "building", "water"]


def test_checkpoint_device_and_precision_reach_the_loader(folder: Path, calls: Calls) -> None:
    run(*ARGUMENTS, "--dtype", "bfloat16")
    assert calls.load == ("weights/sam3.pt", {"device": "cpu", "dtype": torch.bfloat16})


def test_checkpoint_is_taken_from_the_environment(folder: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGEARTH_OV3_CHECKPOINT", "elsewhere.safetensors")
    run("scene.tif", "classes.tif", "--classes", CLASSES)
    assert calls.load is not None
    assert calls.load[0] == "elsewhere.safetensors"


def test_without_a_checkpoint_the_loader_is_asked_for_none(folder: Path, calls: Calls) -> None:
    run("scene.tif", "classes.tif", "--classes", CLASSES)
    assert calls.load is not None
    assert calls.load[0] is None


DEFAULTS = {
    "prob_threshold": 0.0,
    "confidence_threshold": 0.5,
    "use_semantic": True,
    "use_instance": True,
    "use_presence": True,
    "window": None,
    "stride": None,
    "refiners": (),
}


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ([], {}),
        (["--prob-threshold", "0.3"], {"prob_threshold": 0.3}),
        (["--confidence-threshold", "0.1"], {"confidence_threshold": 0.1}),
        (["--no-semantic"], {"use_semantic": False}),
        (["--no-instance"], {"use_instance": False}),
        (["--no-presence"], {"use_presence": False}),
        (["--window", "1008", "--stride", "756"], {"window": 1008, "stride": 756}),
        (["--refiner", "smoothing"], {"refiners": (Smoothing(),)}),
        (
            ["--refiner", "smoothing:weight=0.3,at=trunk", "--refiner", "lowpass:alpha=0.5"],
            {"refiners": (Smoothing(weight=0.3, at="trunk"), Lowpass(alpha=0.5))},
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_reach_the_segmenter(folder: Path, calls: Calls, arguments: list[str], changed: dict[str, Any]) -> None:
    run(*ARGUMENTS, *arguments)
    assert calls.options == {**DEFAULTS, **changed}


@pytest.mark.parametrize(("text", "index"), [("0", 0), ("2", 2), ("none", None)])
def test_background_reaches_the_vocabulary(folder: Path, calls: Calls, text: str, index: int | None) -> None:
    run(*ARGUMENTS, "--background", text)
    assert calls.vocabulary.background == index


def test_vocabulary_file_equals_inline_classes(folder: Path, calls: Calls) -> None:
    run(*ARGUMENTS)
    inline = calls.vocabulary
    run("scene.tif", "classes.tif", "--overwrite", "--vocab", "classes.txt")
    assert calls.vocabulary == inline


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scene.tif"], "Missing argument 'DST'"),
        (["scene.tif", "classes.tif"], "exactly one of --classes and --vocab"),
        ([*ARGUMENTS, "--vocab", "classes.txt"], "exactly one of --classes and --vocab"),
        ([*ARGUMENTS, "--no-semantic", "--no-instance"], "leave nothing to score"),
        ([*ARGUMENTS, "--stride", "10"], "--stride 10 needs a --window of at least 10"),
        ([*ARGUMENTS, "--stride", "10", "--window", "9"], "--stride 10 needs a --window of at least 10"),
        ([*ARGUMENTS, "--window", "0"], "Invalid value for '--window'"),
        ([*ARGUMENTS, "--prob-threshold", "1.5"], "Invalid value for '--prob-threshold'"),
        ([*ARGUMENTS, "--background", "-1"], "expected the index of a class (0, 1, ...) or none, got '-1'"),
        ([*ARGUMENTS, "--background", "sky"], "expected the index of a class (0, 1, ...) or none, got 'sky'"),
        ([*ARGUMENTS, "--device", "gpu"], "expected auto, cpu, cuda, cuda:0 or mps, got 'gpu'"),
        ([*ARGUMENTS, "--dtype", "int8"], "Invalid value for '--dtype'"),
        ([*ARGUMENTS, "--treshold", "0.1"], "No such option"),
    ],
)
def test_wrong_arguments_exit_with_2_and_show_the_usage(
    folder: Path, calls: Calls, arguments: list[str], message: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: main segment [OPTIONS] SRC DST")
    assert message in result.stderr
    assert calls.load is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--classes": "road; road"}, "prompt 'road' occurs before"),
        ({"--vocab": "nowhere.txt"}, "cannot read the vocabulary file nowhere.txt"),
        ({"--background": "7"}, "background must be None or the index of a class, 0 to 2, got 7"),
        ({"SRC": "nowhere.tif"}, "cannot read nowhere.tif: no such file"),
        ({"SRC": "classes.txt"}, "cannot read classes.txt: 'classes.txt' not recognized"),
        ({"DST": "nowhere/classes.tif"}, "the folder nowhere does not exist; create it first"),
        ({"DST": "scene.tif"}, "it is the source image"),
        ({"DST": "classes.png"}, "expected a name that ends with .tif or .tiff"),
        ({"--confidence": "nowhere/sure.tif"}, "the folder nowhere does not exist"),
        ({"--overlay": "overlay.gif"}, "expected a name that ends with .png"),
        ({"--overlay": "taken.png"}, "taken.png exists; use --overwrite"),
        ({"--refiner": "smothing"}, "unknown refiner 'smothing', known: clip_similarity, graph_laplacian, lowpass, sm"),
        ({"--refiner": ""}, "unknown refiner '', known: clip_similarity"),
        ({"--refiner": "smoothing:0.2"}, "expected name:key=value,key=value, got 'smoothing:0.2'"),
        ({"--refiner": "smoothing:wieght=0.2"}, "smoothing has no parameter wieght; it has weight, kernel_size, mode"),
        ({"--refiner": "smoothing:weight=high"}, "weight must be a number from 0 to 10, got 'high'"),
        ({"--refiner": "smoothing:at=neck"}, "at must be one of trunk, pyramid, memory, got 'neck'"),
    ],
    ids=lambda value: "" if isinstance(value, str) else " ".join(f"{key}={text}" for key, text in value.items()),
)
def test_bad_input_is_told_in_one_line_before_the_weights_are_loaded(
    folder: Path, calls: Calls, changes: dict[str, str], message: str
) -> None:
    (folder / "taken.png").touch()
    given = {"SRC": "scene.tif", "DST": "classes.tif", **changes}
    if "--vocab" not in given:
        given.setdefault("--classes", CLASSES)
    positional = [given.pop("SRC"), given.pop("DST")]
    result = run(*positional, *(text for option in given.items() for text in option))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert calls.load is None
    assert not (folder / "classes.tif").exists()


def test_missing_areas_are_a_warning(folder: Path, calls: Calls) -> None:
    with rasterio.open("scene.tif") as scene:
        bands, profile = scene.read(), {**scene.profile, "crs": None}
    with rasterio.open("scene.tif", "w", **profile) as scene:
        scene.write(bands)
    result = run(*ARGUMENTS, "--quiet")
    assert result.exit_code == 0
    assert result.stderr == (
        "Warning: scene.tif: no areas: the image has a transform but no coordinate reference system\n"
    )
    assert result.stdout.splitlines()[1].endswith("-")


def test_map_equals_what_the_real_segmenter_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the tiny network of the golden values in place of the checkpoint."""
    network = load_tiny()
    monkeypatch.setattr(segearth_ov3.checkpoints, "load_sam3", lambda path, **options: network)
    result = run(*ARGUMENTS, "--window", "6", "--prob-threshold", "0.1", "--confidence", "sure.tif")
    assert (result.exit_code, result.exception) == (0, None)
    vocabulary = Vocabulary.from_text(CLASSES)
    with rasterio.open("scene.tif") as scene:
        image, valid = scene.read().transpose(1, 2, 0), scene.read(1) > 0
    segmenter = segearth_ov3.segmenter.Segmenter(network, vocabulary, window=6, prob_threshold=0.1)
    labels, scores = segmenter(image)
    with rasterio.open("classes.tif") as classes, rasterio.open("sure.tif") as sure:
        assert np.array_equal(classes.read(1), np.where(valid, labels.numpy(), 255))
        assert np.array_equal(sure.read(1), np.where(valid, scores.amax(0).numpy(), np.nan), equal_nan=True)
        assert json.loads(classes.tags()["SEGEARTH_OV3_WINDOW"]) == 6


def test_refiner_acts_and_is_named_in_the_metadata(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_tiny()
    monkeypatch.setattr(segearth_ov3.checkpoints, "load_sam3", lambda path, **options: network)
    text = "smoothing:weight=0.2,at=memory"
    result = run(*ARGUMENTS, "--refiner", text, "--confidence", "sure.tif")
    assert (result.exit_code, result.exception) == (0, None)
    with rasterio.open("scene.tif") as scene:
        image, valid = scene.read().transpose(1, 2, 0), scene.read(1) > 0
    plain, refined = (
        segearth_ov3.segmenter.Segmenter(network, Vocabulary.from_text(CLASSES), refiners=refiners)(image).scores
        for refiners in ([], [text])
    )
    assert not torch.equal(plain, refined)
    with rasterio.open("classes.tif") as classes, rasterio.open("sure.tif") as sure:
        assert np.array_equal(sure.read(1), np.where(valid, refined.amax(0).numpy(), np.nan), equal_nan=True)
        described = {"type": "smoothing", "weight": 0.2, "kernel_size": 3, "mode": "residual", "at": "memory"}
        assert json.loads(classes.tags()["SEGEARTH_OV3_REFINERS"]) == [described]


def test_examples_in_the_help_run(folder: Path, calls: Calls) -> None:
    with click.Context(segment) as context:
        examples = re.findall(r"^ +segearth-ov3 (segment .*)$", segment.get_help(context), re.MULTILINE)
    assert len(examples) >= 3
    for example in examples:
        arguments = shlex.split(example)
        result = CliRunner().invoke(main, [*arguments, "--overwrite"])
        assert (result.exit_code, result.stderr.count("Error")) == (0, 0), example


@pytest.mark.parametrize(("name", "expected"), [("cpu", "cpu"), ("cuda:1", "cuda:1"), ("auto", "cuda")])
def test_devices_that_are_there_are_used(monkeypatch: pytest.MonkeyPatch, name: str, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device(name) == expected


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: name == "cuda:1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(OptionError, match=f"device {name}: PyTorch finds [01] CUDA devices here"):
        resolve_device(name)


def test_auto_falls_back_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu"


@pytest.mark.parametrize(
    ("name", "device", "capability", "expected"),
    [
        ("auto", "cpu", None, torch.float32),
        ("auto", "mps", None, torch.float32),
        ("auto", "cuda", (8, 0), torch.bfloat16),
        ("auto", "cuda:1", (9, 0), torch.bfloat16),
        ("auto", "cuda", (7, 5), torch.float32),
        ("float16", "cuda", (7, 5), torch.float16),
        ("bfloat16", "cpu", None, torch.bfloat16),
    ],
)
def test_precision_fits_the_device(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    device: str,
    capability: tuple[int, int] | None,
    expected: torch.dtype,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert resolve_dtype(name, device) is expected
