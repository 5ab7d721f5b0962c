"""The command with a network that is not there: `load_sam3` and `Segmenter` are replaced by recorders."""

from __future__ import annotations

import json
import re
import shlex
import types
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import torch
from click.testing import CliRunner, Result
from golden import load_tiny
from rasterio.transform import Affine

import segearth_ov3.checkpoints
import segearth_ov3.segmenter
from segearth_ov3.cli import options
from segearth_ov3.cli.evaluate import evaluate
from segearth_ov3.cli.main import RESUME_HINT, main
from segearth_ov3.cli.options import resolve_device, resolve_dtype
from segearth_ov3.cli.segment import segment
from segearth_ov3.engine import scores
from segearth_ov3.errors import OptionError
from segearth_ov3.geo.options import WindowOptions
from segearth_ov3.geo.scene import segment_scene
from segearth_ov3.refiners.lowpass import Lowpass
from segearth_ov3.refiners.smoothing import Smoothing
from segearth_ov3.version import __version__
from segearth_ov3.vocabulary import Vocabulary

CLASSES = "background; building,house; water"
ARGUMENTS = ["scene.tif", "classes.tif", "--classes", CLASSES, "--checkpoint", "weights/sam3.pt", "--device", "cpu"]


class Calls(types.SimpleNamespace):
    """What the command asked of the network."""

    load: tuple[Any, dict[str, Any]] | None = None
    options: dict[str, Any] | None = None
    vocabulary: Any = None
    batches: list[tuple[int, ...]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Replaces network and segmenter; the fake one labels by the red band, with scores 0.25 and 0."""
    record = Calls(batches=[])

    def load_sam3(path: Any, **options: Any) -> str:
        record.load = (path, options)
        return "the network"

    class Segmenter:
        background = None
        input_size = 1008

        def __init__(self, model: Any, vocabulary: Any, **options: Any) -> None:
            assert model == "the network"
            record.vocabulary, record.options = vocabulary, options
            self.prob_threshold = options["prob_threshold"]

        def class_scores(self, images: np.ndarray) -> torch.Tensor:
            record.batches.append(images.shape)
            labels = torch.from_numpy(images[..., 0].astype(np.int64) % len(record.vocabulary))  # (B, S, S)
            shape = len(images), len(record.vocabulary), *images.shape[1:3]
            return torch.zeros(shape).scatter_(1, labels[:, None], 0.25)

        def describe(self) -> dict[str, Any]:
            return {"checkpoint": "sam3.pt", "weights_sha256": "0123", "refiners": [], "window": None, "stride": None}

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


def test_progress_goes_to_standard_error(folder: Path, calls: Calls) -> None:
    result = run(*ARGUMENTS, "--window", "6")
    assert "2/2" in result.stderr
    assert "segmenting" not in result.stdout


def test_quiet_shows_no_progress(folder: Path, calls: Calls) -> None:
    assert run(*ARGUMENTS, "--quiet").stderr == ""


def test_colors_are_those_of_the_file(folder: Path, calls: Calls) -> None:
    Path("colors.csv").write_text("# class,colour\nwater,#010203\n", encoding="utf-8")
    assert run(*ARGUMENTS, "--colors", "colors.csv").exit_code == 0
    with rasterio.open("classes.tif") as written:
        assert written.colormap(1)[2] == (1, 2, 3, 255)
    assert 'color="#010203"' in Path("classes.qml").read_text(encoding="utf-8")


def test_a_mistake_in_the_colors_is_told_before_the_weights_are_loaded(folder: Path, calls: Calls) -> None:
    Path("colors.csv").write_text("\nwatter,#010203\n", encoding="utf-8")
    result = run(*ARGUMENTS, "--colors", "colors.csv")
    assert result.exit_code == 1
    assert (
        result.stderr.splitlines()[-1]
        == "Error: colors.csv, line 2: no class is called 'watter'; did you mean 'water'?"
    )
    assert calls.load is None
    assert not Path("classes.tif").exists()


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
    assert tags["SEGEARTH_OV3_WEIGHTS_SHA256"] == "0123"
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
    "compile": False,
    "prob_threshold": 0.0,
    "confidence_threshold": 0.5,
    "use_semantic": True,
    "use_instance": True,
    "presence": "full",
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
        (["--presence", "off"], {"presence": "off"}),
        (["--presence", "gate_only"], {"presence": "gate_only"}),
        (["--compile"], {"compile": True}),
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
        (["--classes", CLASSES], "Missing argument 'SRC'"),
        ([*ARGUMENTS, "third.tif"], "expected SRC and DST, got 3 paths; for many scenes add --out-dir DIR"),
        ([*ARGUMENTS, "--stride", "10"], "No such option"),
        ([*ARGUMENTS, "--window", "0"], "Invalid value for '--window'"),
        ([*ARGUMENTS, "--window-m", "0"], "Invalid value for '--window-m'"),
        ([*ARGUMENTS, "--overlap", "1"], "Invalid value for '--overlap'"),
        ([*ARGUMENTS, "--blending", "linear"], "Invalid value for '--blending'"),
        ([*ARGUMENTS, "--batch", "0"], "Invalid value for '--batch'"),
        ([*ARGUMENTS, "--bands", "3,2"], "expected R,G,B, got '3,2'"),
        ([*ARGUMENTS, "--bands", "red,green,blue"], "expected R,G,B, got 'red,green,blue'"),
        ([*ARGUMENTS, "--stretch", "2"], "expected LO,HI, got '2'"),
        ([*ARGUMENTS, "--nodata", "black"], "expected a number, auto or none, got 'black'"),
        ([*ARGUMENTS, "--alpha", "maybe"], "Invalid value for '--alpha'"),
        ([*ARGUMENTS, "--shard", "0/4"], "expected the part and the number of parts, 1/8 to 8/8, got '0/4'"),
        ([*ARGUMENTS, "--shard", "1/4"], "--shard is for many scenes; add --out-dir DIR"),
        ([*ARGUMENTS, "--summary", "all.csv"], "--summary is for many scenes; add --out-dir DIR"),
        ([*ARGUMENTS, "--name", "{stem}.tif"], "--name is for many scenes; add --out-dir DIR"),
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
        ({"--scores": "classes.tif"}, "cannot write classes.tif twice"),
        ({"--bands": "1,2,4"}, "there is no band 4, found 3 bands"),
        ({"--stretch": "98,2"}, "expected two percentiles, 0 to 100, the smaller one first, got 98,2"),
        ({"--range": "5,5"}, "expected a range of two values, the smaller one first, got 5,5"),
        ({"--alpha": "use"}, "expected a transparency besides the bands in use, found none"),
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


WINDOW_OPTIONS = ("--window", "6", "--overlap", "0.5", "--blending", "uniform", "--batch", "2")


def test_window_options_reach_the_scene(folder: Path, calls: Calls) -> None:
    assert run(*ARGUMENTS, *WINDOW_OPTIONS).exit_code == 0
    assert calls.batches == [(2, 6, 6, 3), (1, 6, 6, 3)]
    with rasterio.open("classes.tif") as written:
        tags = written.tags()
    assert (tags["SEGEARTH_OV3_WINDOW_PX"], tags["SEGEARTH_OV3_OVERLAP"]) == ("6", "0.5")


def test_window_in_metres_reaches_the_scene(folder: Path, calls: Calls) -> None:
    assert run(*ARGUMENTS, "--window-m", "60").exit_code == 0
    assert calls.batches[0] == (1, 6, 6, 3)


def test_reading_options_reach_the_scene(folder: Path, calls: Calls) -> None:
    reading = ("--bands", "3,1,1", "--range", "0,510", "--nodata", "none", "--alpha", "ignore")
    assert run(*ARGUMENTS, *reading).exit_code == 0
    with rasterio.open("scene.tif") as scene, rasterio.open("classes.tif") as classes:
        red = np.rint(scene.read(3) / 2).astype(int)
        assert np.array_equal(classes.read(1), red % 3)


def test_vrt_of_other_folders_needs_the_option_before_weights_are_loaded(folder: Path, calls: Calls) -> None:
    (folder / "maps").mkdir()
    with rasterio.open("scene.tif") as scene:
        rasterio.shutil.copy(scene, "maps/scene.vrt", driver="VRT")
    arguments = ("maps/scene.vrt", *ARGUMENTS[1:])
    result = run(*arguments)
    assert result.exit_code == 1
    assert "which lies outside of its folder; if you trust it, use --allow-outside" in result.stderr
    assert calls.load is None
    assert run(*arguments, "--allow-outside").exit_code == 0


def test_decisions_about_the_scene_are_told(folder: Path, calls: Calls) -> None:
    with rasterio.open("scene.tif") as scene:
        bands, profile = scene.read().astype(np.uint16), {**scene.profile, "dtype": "uint16"}
    with rasterio.open("scene.tif", "w", **profile) as scene:
        scene.write(bands)
    result = run(*ARGUMENTS)
    assert "Note: scene.tif: values become 8 bits by one stretch for the whole scene: " in result.stderr
    assert run(*ARGUMENTS, "--overwrite", "--quiet").stderr == ""


def test_interrupted_command_goes_on_with_resume(folder: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scene is higher than a band of rows; Ctrl-C comes while the last windows are scored."""
    with rasterio.open("scene.tif") as scene:
        profile = {**scene.profile, "height": 400}
    with rasterio.open("scene.tif", "w", **profile) as scene:
        scene.write(np.random.default_rng(0).integers(0, 256, (3, 400, 10), dtype=np.uint8))
    assert run(*ARGUMENTS, "--window", "20").exit_code == 0
    expected = Path("classes.tif").read_bytes()
    Path("classes.tif").unlink()
    whole = segearth_ov3.segmenter.Segmenter.class_scores
    count = len(calls.batches)

    def interrupted(self: Any, images: np.ndarray) -> torch.Tensor:
        if len(calls.batches) == 2 * count - 2:
            raise KeyboardInterrupt
        return whole(self, images)

    monkeypatch.setattr(segearth_ov3.segmenter.Segmenter, "class_scores", interrupted)
    result = run(*ARGUMENTS, "--window", "20", "--overwrite")
    assert (result.exit_code, result.stderr.strip().splitlines()[-1]) == (130, f"Interrupted; {RESUME_HINT}")
    assert not Path("classes.tif").exists()
    monkeypatch.setattr(segearth_ov3.segmenter.Segmenter, "class_scores", whole)
    changed = run(*ARGUMENTS, "--window", "20", "--resume", "--prob-threshold", "0.2", "--background", "0")
    assert changed.exit_code == 1
    assert "prob threshold was 0.0, is 0.2" in changed.stderr
    assert run(*ARGUMENTS, "--window", "20", "--resume").exit_code == 0
    assert Path("classes.tif").read_bytes() == expected


def test_map_equals_what_the_real_segmenter_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the tiny network of the golden values in place of the checkpoint; windows overlap from column 4 on."""
    network = load_tiny()
    monkeypatch.setattr(segearth_ov3.checkpoints, "load_sam3", lambda path, **options: network)
    options = ("--window", "6", "--overlap", "0", "--prob-threshold", "0.1", "--confidence", "sure.tif")
    result = run(*ARGUMENTS, *options)
    assert (result.exit_code, result.exception) == (0, None)
    segmenter = segearth_ov3.segmenter.Segmenter(network, Vocabulary.from_text(CLASSES), prob_threshold=0.1)
    with rasterio.open("scene.tif") as scene:
        labels, scores = segmenter(scene.read().transpose(1, 2, 0)[:, :6])
    with rasterio.open("classes.tif") as classes, rasterio.open("sure.tif") as sure:
        assert np.array_equal(classes.read(1)[:, :4], labels.numpy()[:, :4])
        np.testing.assert_allclose(sure.read(1)[:, :4], scores.amax(0).numpy()[:, :4], rtol=1e-6)


def test_refiner_acts_and_is_named_in_the_metadata(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_tiny()
    monkeypatch.setattr(segearth_ov3.checkpoints, "load_sam3", lambda path, **options: network)
    text = "smoothing:weight=0.2,at=memory"
    result = run(*ARGUMENTS, "--refiner", text, "--confidence", "sure.tif", "--window", "6", "--overlap", "0")
    assert (result.exit_code, result.exception) == (0, None)
    with rasterio.open("scene.tif") as scene:
        image = scene.read().transpose(1, 2, 0)[:, :6]  # the first window; the second one begins at column 4
    plain, refined = (
        segearth_ov3.segmenter.Segmenter(network, Vocabulary.from_text(CLASSES, background=None), refiners=refiners)(
            image
        ).scores
        for refiners in ([], [text])
    )
    assert not torch.equal(plain, refined)
    with rasterio.open("classes.tif") as classes, rasterio.open("sure.tif") as sure:
        np.testing.assert_allclose(sure.read(1)[:, :4], refined.amax(0).numpy()[:, :4], rtol=1e-6)
        described = {"type": "smoothing", "weight": 0.2, "kernel_size": 3, "mode": "residual", "at": "memory"}
        assert json.loads(classes.tags()["SEGEARTH_OV3_REFINERS"]) == [described]


COMMAS = "building, road, tree"


@pytest.mark.parametrize("classes", [COMMAS, "building"])
@pytest.mark.parametrize("options", [[], ["--prob-threshold", "0.3"], ["--background", "none"]], ids=" ".join)
def test_one_class_is_refused_before_weights_are_loaded(
    folder: Path, calls: Calls, classes: str, options: list[str]
) -> None:
    result = run("scene.tif", "classes.tif", "--classes", classes, *options)
    (line,) = result.stderr.splitlines()
    assert result.exit_code == 1
    assert line.startswith("Error: there is one class, 'building'")
    assert '"background; building' in line
    assert "--prob-threshold 0.3" in line
    assert ('("building; road; tree")' in line) == (classes == COMMAS)
    assert (calls.load, Path("classes.tif").exists()) == (None, False)


@pytest.mark.parametrize("output", ["--confidence", "--scores"])
def test_one_class_may_be_scored(folder: Path, calls: Calls, output: str) -> None:
    result = run("scene.tif", "classes.tif", "--classes", "building", output, "scores.tif")
    assert (result.exit_code, result.exception) == (0, None)


@pytest.mark.parametrize(
    ("classes", "options", "warning"),
    [
        ("building; road", ["--background", "1"], "--background has no effect without --prob-threshold"),
        ("building; road", ["--prob-threshold", "0.3"], "become class 0, 'building'; choose by --background N"),
        ("background; road", ["--prob-threshold", "0.3"], None),
        ("building; road", ["--background", "none"], None),
        ("building; road", [], None),
    ],
)
def test_background_that_may_be_meant_otherwise_is_warned_of(
    folder: Path, calls: Calls, classes: str, options: list[str], warning: str | None
) -> None:
    result = run("scene.tif", "classes.tif", "--classes", classes, *options, "--quiet")
    warned = [line for line in result.stderr.splitlines() if line.startswith("Warning")]
    assert result.exit_code == 0
    assert len(warned) == (warning is not None)
    assert warning is None or warning in warned[0]


def test_examples_in_the_help_run(folder: Path, calls: Calls) -> None:
    with click.Context(segment) as context:
        examples = re.findall(r"^ +segearth-ov3 (segment .*)$", segment.get_help(context), re.MULTILINE)
    assert len(examples) >= 3
    for example in examples:
        arguments = shlex.split(example)
        result = CliRunner().invoke(main, [*arguments, "--overwrite"])
        assert (result.exit_code, result.stderr.count("Error")) == (0, 0), example


def test_presence_has_the_values_of_the_score_fusion() -> None:
    assert options.PRESENCES == scores.PRESENCES


PAGES = [Path(__file__).parents[2] / "README.md", *(Path(__file__).parents[2] / "docs").rglob("*.md")]


@pytest.mark.parametrize("text", [*PAGES, main, segment, evaluate], ids=lambda text: text.name)
def test_examples_use_a_background_as_it_works(text: Path | click.Command) -> None:
    """A class "background" comes with a threshold, in every command and every snippet."""
    if isinstance(text, click.Command):
        with click.Context(text) as context:
            source = text.get_help(context)
    else:
        source = text.read_text(encoding="utf-8")
    for example in re.findall(
        r"^.*(?:--classes|from_text\() *\".*background[;,\"].*(?:\n.+){0,2}", source, re.MULTILINE
    ):
        assert re.search(r"--prob-threshold 0\.|prob_threshold=0\.|background=None|--background none", example), example


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


def test_resume_on_a_complete_scene_is_success_and_says_so(folder: Path, calls: Calls) -> None:
    first = run(*ARGUMENTS)
    batches = len(calls.batches)
    again = run(*ARGUMENTS, "--resume")
    assert (again.exit_code, again.stdout) == (0, first.stdout)
    assert again.stderr.splitlines()[-1] == "classes.tif is complete; nothing was left to do"
    assert len(calls.batches) == batches


def test_maps_made_from_python_have_the_tags_of_the_command(folder: Path) -> None:
    """With the demo's weights, by the lines of the documentation."""
    options = ["--classes", CLASSES, "--background", "none", "--checkpoint", "demo", "--device", "cpu"]
    assert run("scene.tif", "command.tif", *options, "--window", "64", "--scores", "scores.tif").exit_code == 0
    vocabulary = Vocabulary.from_text(CLASSES, background=None)
    segmenter = segearth_ov3.segmenter.Segmenter(segearth_ov3.checkpoints.load_sam3("demo"), vocabulary)
    segment_scene("scene.tif", "python.tif", segmenter, windows=WindowOptions(64))
    with rasterio.open("command.tif") as command, rasterio.open("python.tif") as python:
        assert command.tags() == python.tags()
        assert "SEGEARTH_OV3_WEIGHTS_SHA256" in python.tags()
        assert python.tags()["SEGEARTH_OV3_CHECKPOINT"].startswith("demo")
    segment_scene("scene.tif", "command.tif", segmenter, windows=WindowOptions(64), resume=True)
