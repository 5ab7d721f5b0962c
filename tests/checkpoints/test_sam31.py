"""SAM 3.1's file: loaded strictly, its necks and tracker skipped by name, its raw logits used as SAM 3's."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from checkpoint_files import (
    NECKS_31,
    ROTARY,
    SMALL,
    TRACKER_TENSORS_31,
    extras_31,
    network_state,
    official_state_31,
    save_official,
    save_official_31,
    save_own,
)
from click.testing import CliRunner
from reference_formula import reference_prompt_scores
from safetensors import safe_open
from torch import Tensor

from segearth_ov3.checkpoints import convert_checkpoint, inspect_checkpoint, load_sam3, verify_checkpoint
from segearth_ov3.checkpoints.files import CheckpointFile, TensorFile
from segearth_ov3.checkpoints.load import match_model
from segearth_ov3.checkpoints.matching import naming_of
from segearth_ov3.cli.main import main
from segearth_ov3.engine.scores import FusionSettings
from segearth_ov3.errors import CheckpointError
from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.segmenter import Segmenter
from segearth_ov3.vocabulary import Vocabulary

# tensors that SAM 3.1's file holds beyond the network's, at full size
FULL_SIZE_UNREAD = {
    NECKS_31: 36,
    ROTARY: 32,
    "video tracker": TRACKER_TENSORS_31,
    "projection of the pooled text, never read": 1,
    "point prompts, out of reach of texts and boxes": 6,
    "third upsampling stage, never run": 4,
}
TEXT_PROJECTION = "detector.backbone.language_backbone.encoder.text_projection"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return network_state()


def _rows(path: Path) -> list[list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def full_size(shared_dir: Path) -> dict[str, Tensor]:
    """All 1623 entries at full size, each one number seen through a view, so that they take no memory."""
    rows = {key: (shape, dtype) for key, shape, dtype, *_ in _rows(shared_dir / "sam3" / "meta_state_dict.tsv")}
    for change, key, shape, dtype in _rows(shared_dir / "sam3" / "sam31_detector_delta.tsv"):
        if change == "added":
            rows[key] = (shape, dtype)
        else:
            del rows[key]
    entries = {
        f"detector.{key}": torch.full((1,), 0.5, dtype=getattr(torch, dtype)).expand(*map(int, shape.split("x")))
        for key, (shape, dtype) in rows.items()
    }
    tracker = {key: torch.ones(1) for key, reason in extras_31().items() if reason == "video tracker"}
    assert (len(entries), len(tracker)) == (1166, 457)
    return {**entries, **tracker}


# ---- every key


def test_full_list_of_keys_is_read_or_skipped_by_name(full_size: dict[str, Tensor]) -> None:
    file = CheckpointFile(Path("sam3.1.pt"), [TensorFile(Path("sam3.1.pt"), lambda: full_size)], {})
    match = match_model(file, naming_of(file), build_sam3(Sam3Config.base(), "meta"))
    assert {reason: len(names) for reason, names in match.ignored.items()} == FULL_SIZE_UNREAD
    assert len(match.sources) == len(full_size) - sum(FULL_SIZE_UNREAD.values())


def test_full_size_file_is_described(full_size: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(full_size, tmp_path / "sam3.1_multiplex.pt")
    info = inspect_checkpoint(tmp_path / "sam3.1_multiplex.pt")
    assert (info.release, info.config, info.tensors) == ("3.1", Sam3Config.base(), 1087)
    assert {reason: len(names) for reason, names in info.ignored.items()} == FULL_SIZE_UNREAD


@pytest.mark.slow
def test_full_size_file_loads(full_size: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(full_size, tmp_path / "sam3.1_multiplex.pt")
    model = load_sam3(tmp_path / "sam3.1_multiplex.pt", dtype="bfloat16")
    assert all((value == 0.5).all() for value in model.state_dict().values())


def test_small_file_has_the_necks_of_the_full_one(full_size: dict[str, Tensor]) -> None:
    necks = {key for key in full_size if "interactive_convs" in key or "propagation_convs" in key}
    assert {key for key, reason in extras_31().items() if reason == NECKS_31} == necks


# ---- loading


def test_small_file_loads_every_tensor(state: dict[str, Tensor], tmp_path: Path) -> None:
    loaded = load_sam3(save_official_31(tmp_path, state), config=SMALL).state_dict()
    assert loaded.keys() == state.keys()
    assert [key for key in state if not torch.equal(loaded[key], state[key])] == []


def test_what_is_not_read_is_listed(state: dict[str, Tensor], tmp_path: Path) -> None:
    info = inspect_checkpoint(save_official_31(tmp_path, state))
    counts = Counter(extras_31().values())
    assert {reason: len(names) for reason, names in info.ignored.items()} == {**counts, ROTARY: SMALL.vit_depth}


@pytest.mark.parametrize("suffix", ["_real", "_imag"])
def test_real_valued_rotary_tables_are_skipped(suffix: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    entries = official_state_31(state)
    tables = {f"{key}{suffix}": value.real.clone() for key, value in entries.items() if key.endswith("freqs_cis")}
    torch.save({**entries, **tables}, tmp_path / "real.pt")
    info = inspect_checkpoint(tmp_path / "real.pt")
    assert len(info.ignored[ROTARY]) == 2 * SMALL.vit_depth


@pytest.mark.parametrize("projection", [None, torch.ones(7, 7), torch.ones(3, dtype=torch.int8)], ids=str)
def test_text_projection_may_be_absent_or_of_any_shape(
    projection: Tensor | None, state: dict[str, Tensor], tmp_path: Path
) -> None:
    entries = official_state_31(state)
    del entries[TEXT_PROJECTION]
    torch.save(entries if projection is None else {**entries, TEXT_PROJECTION: projection}, tmp_path / "x.pt")
    assert verify_checkpoint(tmp_path / "x.pt", config=SMALL).tensors == len(state)


@pytest.mark.parametrize("key", ["backbone.vision_backbone.other_convs.0.bias", "backbone.vision_backbone.freqs_cis"])
def test_loading_is_strict(key: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({**official_state_31(state), f"detector.{key}": torch.ones(1)}, tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=f"1 unexpected: detector.{key}"):
        load_sam3(tmp_path / "x.pt", config=SMALL)


@pytest.mark.parametrize("wrapper", ["module.", "model.", "module.model."])
def test_names_with_a_wrapper_load(wrapper: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({wrapper + key: value for key, value in official_state_31(state).items()}, tmp_path / "x.pt")
    assert verify_checkpoint(tmp_path / "x.pt", config=SMALL).release == "3.1"


@pytest.mark.parametrize(
    "wrappers", [["model"], ["state_dict"], ["model_state_dict"], ["module"], ["state_dict", "model"]]
)
def test_entries_of_training_programs_are_opened(wrappers: list[str], state: dict[str, Tensor], tmp_path: Path) -> None:
    content: dict[str, object] = dict(official_state_31(state))
    for wrapper in wrappers:
        content = {"epoch": 3, "optimizer": {"state": {0: torch.ones(2)}, "betas": (0.9, 0.999)}, wrapper: content}
    torch.save(content, tmp_path / "x.pt")
    assert verify_checkpoint(tmp_path / "x.pt", config=SMALL).release == "3.1"


# ---- the release


@pytest.mark.parametrize(("save", "release"), [(save_official, "3"), (save_official_31, "3.1"), (save_own, None)])
def test_conversion_keeps_the_release(
    save: object, release: str | None, state: dict[str, Tensor], tmp_path: Path
) -> None:
    dst = convert_checkpoint(save(tmp_path, state), tmp_path / "converted.safetensors", config=SMALL)
    assert inspect_checkpoint(dst).release == release
    with safe_open(dst, framework="pt") as file:
        assert file.metadata().get("release") == release


# ---- scores


def test_raw_logits_are_multiplied_by_presence_once(tmp_path: Path) -> None:
    state = network_state(Sam3Config.tiny())
    old, new = (
        load_sam3(save(tmp_path, state), config=Sam3Config.tiny()) for save in (save_official, save_official_31)
    )
    vocabulary = Vocabulary.from_text("tree; building,house; road", background=None)
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    settings = FusionSettings(confidence_threshold=0.05)
    scores = [Segmenter(model, vocabulary, confidence_threshold=0.05)(image).scores for model in (old, new)]
    assert torch.equal(*scores)
    expected = reference_prompt_scores(new, image, vocabulary, settings)
    classes = np.stack([expected[0], expected[1:3].max(0), expected[3]])
    np.testing.assert_allclose(scores[1].numpy(), classes, rtol=0, atol=1e-5)
    presence = torch.sigmoid(
        new.ground(new.encode_image(torch.zeros(1, 3, 224, 224)), new.encode_text(["road"])).presence_logits
    )
    assert 0.05 < presence.item() < 0.95  # a second factor would be seen


# ---- from the file to a map


def test_segment_maps_a_scene_with_3_1(tmp_path: Path) -> None:
    weights = load_sam3("demo").state_dict()
    official = save_official_31(tmp_path, weights)
    converted = convert_checkpoint(official, tmp_path / "sam31.safetensors", config=Sam3Config.demo())
    image = np.random.default_rng(0).integers(0, 256, (3, 48, 64), dtype=np.uint8)
    profile = {"driver": "GTiff", "height": 48, "width": 64, "count": 3, "dtype": "uint8", "crs": "EPSG:32632"}
    with rasterio.open(tmp_path / "scene.tif", "w", transform=Affine(1, 0, 5e5, 0, -1, 5e6), **profile) as scene:
        scene.write(image)
    labels = []
    for name, checkpoint in (("old.tif", "demo"), ("new.tif", converted)):
        options = ["--classes", "tree; building; road", "--background", "none", "--checkpoint", str(checkpoint)]
        result = CliRunner().invoke(main, ["segment", str(tmp_path / "scene.tif"), str(tmp_path / name), *options])
        assert result.exit_code == 0, result.output
        with rasterio.open(tmp_path / name) as written:
            labels.append(written.read(1))
    np.testing.assert_array_equal(*labels)
