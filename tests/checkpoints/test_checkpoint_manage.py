"""Inspecting, verifying, converting and hashing checkpoints."""

from __future__ import annotations

import hashlib
import json
import math
import resource
import shutil
from pathlib import Path

import pytest
import torch
from checkpoint_files import (
    FORMS,
    HUGGINGFACE_EXTRAS,
    OFFICIAL_EXTRAS,
    SMALL,
    network_state,
    save_huggingface,
    save_huggingface_sharded,
    save_official,
    save_own,
)
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from segearth_ov3.checkpoints import (
    checkpoint_hash,
    convert_checkpoint,
    inspect_checkpoint,
    load_sam3,
    verify_checkpoint,
)
from segearth_ov3.checkpoints.files import CheckpointFile, TensorFile, TensorSpec
from segearth_ov3.checkpoints.sizes import config_from_huggingface
from segearth_ov3.checkpoints.writing import write_safetensors
from segearth_ov3.errors import CheckpointError, OptionError
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.model import parameter_dtypes

DECODER_NORM = "transformer.decoder.norm.weight"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return network_state()


# ---- inspect


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("own", "segearth_ov3"),
        ("official", "official"),
        ("official-nested", "official"),
        ("official-3.1", "official"),
        ("huggingface", "huggingface"),
        ("huggingface-folder", "huggingface"),
        ("huggingface-sharded", "huggingface"),
    ],
)
def test_inspect_tells_the_form(form: str, expected: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    assert inspect_checkpoint(FORMS[form](tmp_path, state)).format == expected


@pytest.mark.parametrize("form", ["own", "official"])
def test_inspect_counts_tensors_and_values_of_the_image_model(
    form: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    info = inspect_checkpoint(FORMS[form](tmp_path, state))
    values = sum(math.prod(value.shape) for value in state.values())
    assert (info.tensors, info.parameters, info.dtypes) == (len(state), values, {"float32": len(state)})


def test_inspect_counts_every_dtype(state: dict[str, Tensor], tmp_path: Path) -> None:
    mixed = {key: value.to(torch.bfloat16) if value.ndim > 1 else value for key, value in state.items()}
    matrices = sum(value.ndim > 1 for value in state.values())
    info = inspect_checkpoint(save_own(tmp_path, mixed))
    assert info.dtypes == {"bfloat16": matrices, "float32": len(state) - matrices}


@pytest.mark.parametrize(("form", "extras"), [("official", OFFICIAL_EXTRAS), ("huggingface", HUGGINGFACE_EXTRAS)])
def test_inspect_lists_what_is_not_read_by_reason(
    form: str, extras: dict[str, str], state: dict[str, Tensor], tmp_path: Path
) -> None:
    ignored = inspect_checkpoint(FORMS[form](tmp_path, state)).ignored
    assert {name: reason for reason, names in ignored.items() for name in names if name in extras} == extras


def test_inspect_leaves_unknown_sizes_open(state: dict[str, Tensor], tmp_path: Path) -> None:
    assert inspect_checkpoint(save_official(tmp_path, state)).config is None


def test_inspect_tells_the_size_of_all_files(state: dict[str, Tensor], tmp_path: Path) -> None:
    folder = save_huggingface_sharded(tmp_path, state)
    shards = sorted(folder.glob("*.safetensors"))
    info = inspect_checkpoint(folder)
    assert sorted(info.files) == shards
    assert info.size_bytes == sum(shard.stat().st_size for shard in shards)


@pytest.mark.parametrize("form", ["own", "official", "huggingface-sharded"])
def test_inspect_reads_no_tensor(
    form: str, state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(self: TensorFile, key: str) -> Tensor:
        raise AssertionError(f"{key} was read")

    monkeypatch.setattr(TensorFile, "read", read)
    assert inspect_checkpoint(FORMS[form](tmp_path, state)).tensors > 0


# ---- hash


def test_hash_is_the_start_of_the_files_sha256(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_own(tmp_path, state)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert checkpoint_hash(path) == expected
    assert inspect_checkpoint(path, sha256=True).sha256 == expected


def test_hash_of_shards_depends_on_every_shard(state: dict[str, Tensor], tmp_path: Path) -> None:
    folder = save_huggingface_sharded(tmp_path, state)
    before = checkpoint_hash(folder)
    last = folder / "model-00003-of-00003.safetensors"
    content = bytearray(last.read_bytes())
    content[-1] ^= 1
    last.write_bytes(content)
    assert checkpoint_hash(folder) != before


# ---- verify


@pytest.mark.parametrize("form", FORMS)
def test_verify_passes_a_sound_checkpoint(form: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    assert verify_checkpoint(FORMS[form](tmp_path, state), config=SMALL).config == SMALL


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_verify_names_tensors_with_values_that_are_not_finite(
    value: float, dtype: torch.dtype, state: dict[str, Tensor], tmp_path: Path
) -> None:
    spoilt = {key: tensor.to(dtype, copy=True) for key, tensor in state.items()}
    spoilt[DECODER_NORM][3] = value
    with pytest.raises(CheckpointError, match=rf"1 tensors hold values that are not finite: {DECODER_NORM}"):
        verify_checkpoint(save_own(tmp_path, spoilt))


def test_verify_ignores_what_is_not_read(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "sam3.pt"
    content = {f"detector.{key}": value for key, value in state.items()}
    torch.save({**content, "tracker.x": torch.tensor([math.nan])}, path)
    assert verify_checkpoint(path, config=SMALL).tensors == len(state)


def test_verify_is_strict(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_own(tmp_path, {key: value for key, value in state.items() if key != DECODER_NORM})
    with pytest.raises(CheckpointError, match=f"1 of 355 tensors missing: {DECODER_NORM}"):
        verify_checkpoint(path)


# ---- convert


@pytest.mark.parametrize("form", FORMS)
def test_converted_file_loads_to_the_same_network(form: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    src = FORMS[form](tmp_path, state)
    dst = convert_checkpoint(src, tmp_path / "converted.safetensors", config=SMALL)
    converted, original = load_sam3(dst).state_dict(), load_sam3(src, config=SMALL).state_dict()
    assert [key for key in original if not torch.equal(converted[key], original[key])] == []


def test_converted_file_is_read_by_the_safetensors_library(state: dict[str, Tensor], tmp_path: Path) -> None:
    dst = convert_checkpoint(save_official(tmp_path, state), tmp_path / "converted.safetensors", config=SMALL)
    loaded = load_file(dst)
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], state[key]) for key in state)


def test_converted_file_says_format_and_sizes(state: dict[str, Tensor], tmp_path: Path) -> None:
    dst = convert_checkpoint(save_official(tmp_path, state), tmp_path / "converted.safetensors", config=SMALL)
    with safe_open(dst, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "segearth_ov3"
    assert Sam3Config.from_dict(json.loads(metadata["config"])) == SMALL


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_conversion_to_half_precision_changes_no_half_precision_network(
    dtype: torch.dtype, state: dict[str, Tensor], tmp_path: Path
) -> None:
    src = save_own(tmp_path, state)
    dst = convert_checkpoint(src, tmp_path / "half.safetensors", dtype=dtype)
    converted, original = load_sam3(dst, dtype=dtype).state_dict(), load_sam3(src, dtype=dtype).state_dict()
    assert [key for key in original if not torch.equal(converted[key], original[key])] == []


def test_conversion_stores_only_what_is_used_so_in_half_precision(state: dict[str, Tensor], tmp_path: Path) -> None:
    dst = convert_checkpoint(save_own(tmp_path, state), tmp_path / "half.safetensors", dtype=torch.bfloat16)
    expected = parameter_dtypes(load_sam3(dst), torch.bfloat16)
    assert {key: value.dtype for key, value in load_file(dst).items()} == expected


def test_conversion_keeps_the_dtypes_of_the_source_by_default(state: dict[str, Tensor], tmp_path: Path) -> None:
    mixed = {key: value.half() if value.ndim > 1 else value for key, value in state.items()}
    dst = convert_checkpoint(save_own(tmp_path, mixed), tmp_path / "converted.safetensors")
    assert all(torch.equal(value, mixed[key]) for key, value in load_file(dst).items())


def test_conversion_reports_progress(state: dict[str, Tensor], tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    convert_checkpoint(
        save_own(tmp_path, state),
        tmp_path / "converted.safetensors",
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(done, len(state)) for done in range(1, len(state) + 1)]


def test_existing_file_is_not_overwritten(state: dict[str, Tensor], tmp_path: Path) -> None:
    (tmp_path / "there.safetensors").write_bytes(b"precious")
    with pytest.raises(CheckpointError, match=r"exists; choose another name or pass overwrite=True \(--overwrite\)"):
        convert_checkpoint(save_own(tmp_path, state), tmp_path / "there.safetensors")
    assert (tmp_path / "there.safetensors").read_bytes() == b"precious"


@pytest.mark.parametrize("spelling", ["same", "dotted", "symlink", "hardlink", "shard"])
def test_file_is_not_converted_onto_itself(spelling: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    src = save_huggingface_sharded(tmp_path, state) if spelling == "shard" else save_own(tmp_path, state)
    link = tmp_path / "link.safetensors"
    if spelling == "symlink":
        link.symlink_to(src)
    elif spelling == "hardlink":
        link.hardlink_to(src)
    targets = {
        "same": src,
        "dotted": tmp_path / ".." / tmp_path.name / src.name,
        "shard": src / "model-00001-of-00003.safetensors",
    }
    dst = targets.get(spelling, link)
    before = dst.read_bytes()
    with pytest.raises(CheckpointError, match="is the checkpoint to convert; choose another name"):
        convert_checkpoint(src, dst, overwrite=True)
    assert dst.read_bytes() == before


def test_full_disk_is_named_before_anything_is_written(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    src = save_own(tmp_path, state)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(CheckpointError, match=r"cannot write .*x\.safetensors: it takes .* GB, and 0\.00 GB are free"):
        convert_checkpoint(src, tmp_path / "x.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == [src.name]


def test_error_of_the_disk_is_named_and_leaves_nothing(state: dict[str, Tensor], tmp_path: Path) -> None:
    src = save_own(tmp_path, state)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))  # no file may grow beyond
    try:
        with pytest.raises(CheckpointError, match=r"cannot write .*x\.safetensors: File too large"):
            convert_checkpoint(src, tmp_path / "x.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == [src.name]


def test_error_of_a_caller_is_not_blamed_on_the_target(state: dict[str, Tensor], tmp_path: Path) -> None:
    def close(done: int, total: int) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        convert_checkpoint(save_own(tmp_path, state), tmp_path / "x.safetensors", progress=close)


def test_folder_as_target_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").mkdir()
    with pytest.raises(CheckpointError, match="exists and is not a regular file"):
        convert_checkpoint(save_own(tmp_path, state), tmp_path / "x.safetensors", overwrite=True)


def test_interrupted_conversion_leaves_the_old_file_and_nothing_else(state: dict[str, Tensor], tmp_path: Path) -> None:
    src = save_own(tmp_path, state)
    (tmp_path / "there.safetensors").write_bytes(b"precious")

    def interrupt(done: int, total: int) -> None:
        if done == 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_checkpoint(src, tmp_path / "there.safetensors", overwrite=True, progress=interrupt)
    assert (tmp_path / "there.safetensors").read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own.safetensors", "there.safetensors"]


def test_unwritable_target_is_one_line(state: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot write .*absent.*: No such file or directory"):
        convert_checkpoint(save_own(tmp_path, state), tmp_path / "absent" / "x.safetensors")


def test_target_must_be_named_as_what_it_is(state: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected a target named \*\.safetensors, got .*x\.pt"):
        convert_checkpoint(save_own(tmp_path, state), tmp_path / "x.pt")


def test_conversion_refuses_other_dtypes(state: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="expected dtype float32, bfloat16 or float16"):
        convert_checkpoint(save_own(tmp_path, state), tmp_path / "x.safetensors", dtype=torch.int8)


# ---- the parts


def test_written_tensors_start_at_multiples_of_their_item_size(tmp_path: Path) -> None:
    tensors = {
        "odd": torch.ones(3, dtype=torch.bfloat16),
        "single": torch.arange(5.0),
        "half": torch.ones(1, dtype=torch.float16),
        "double": torch.ones(2, dtype=torch.float64),
    }
    specs = {name: TensorSpec(tuple(value.shape), value.dtype) for name, value in tensors.items()}
    write_safetensors(tmp_path / "x.safetensors", specs, tensors.__getitem__, metadata={})
    loaded = load_file(tmp_path / "x.safetensors")
    assert all(value.data_ptr() % value.element_size() == 0 for value in loaded.values())
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_published_configuration_of_hugging_face_is_the_base(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "sam3", "vision_config": {}}')
    assert config_from_huggingface(tmp_path / "config.json") == Sam3Config.base()


def test_transformers_writes_what_is_read(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="compares with transformers' own writer")
    small = {"num_attention_heads": 2, "num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 48}
    block = {"num_attention_heads": 2, "num_layers": 2, "hidden_size": 32, "intermediate_size": 40}
    trunk = {**small, "image_size": 224, "window_size": 8, "pretrain_image_size": 112, "global_attn_indexes": [1]}
    content = transformers.Sam3Config(
        vision_config={"backbone_config": {"model_type": "sam3_vit_model", **trunk}, "fpn_hidden_size": 32},
        text_config={**small, "intermediate_size": 128, "projection_dim": 16, "vocab_size": 300},
        geometry_encoder_config={**block, "num_layers": 1},
        detr_encoder_config=block,
        detr_decoder_config={**block, "num_layers": 3, "num_queries": 10},
        mask_decoder_config={"hidden_size": 32, "num_attention_heads": 2},
    )
    theirs = transformers.Sam3Model(content)
    theirs.save_pretrained(tmp_path)
    ours = load_sam3(tmp_path)
    fused = ours.state_dict()["transformer.encoder.layers.1.cross_attn_image.in_proj_weight"]
    parts = [theirs.detr_encoder.layers[1].cross_attn.get_submodule(f"{part}_proj").weight for part in "qkv"]
    assert (ours.config.position_grid, ours.config.global_blocks, ours.config.decoder_layers) == (8, (1,), 3)
    assert torch.equal(fused, torch.cat(parts))


def test_huggingface_config_beside_the_file_is_needed_for_other_sizes(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_huggingface(tmp_path, state)
    path.with_name("config.json").unlink()
    with pytest.raises(CheckpointError, match="pass config="):
        load_sam3(path)


def test_mapping_is_opened_anew_after_every_sixteenth() -> None:
    openings = []

    def open_mapping() -> dict[str, Tensor]:
        openings.append(1)
        return dict.fromkeys(map(str, range(320)), torch.empty(1 << 20, device="meta", dtype=torch.uint8))

    file = CheckpointFile(Path("x"), [TensorFile(Path("x"), open_mapping)], {})
    for key in file.specs:
        file.read(key)
    assert len(openings) == 1 + 16  # the first for the table of contents
