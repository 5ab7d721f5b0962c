"""Everything that can be wrong with a checkpoint is said in one line that names the file and what to do."""

from __future__ import annotations

import json
import os
import pickle
import sys
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import (
    SMALL,
    huggingface_state,
    network_state,
    official_state,
    save_huggingface,
    save_huggingface_sharded,
    save_official,
    save_official_31,
    save_own,
)
from safetensors.torch import save_file
from torch import Tensor

from segearth_ov3.checkpoints import inspect_checkpoint, load_sam3
from segearth_ov3.errors import CheckpointError

DECODER_NORM = "transformer.decoder.norm.weight"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return network_state()


class Malicious:
    """Runs a command when a careless reader unpickles it."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("echo executed",)


def _message(path: Path, **options: Any) -> str:
    """The message of the refusal, which is one line and names the file."""
    with pytest.raises(CheckpointError) as caught:
        load_sam3(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def _cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


# ---- the file


def test_missing_file_says_what_to_run(tmp_path: Path) -> None:
    message = _message(tmp_path / "sam3.pt")
    assert "does not exist" in message
    assert "segearth-ov3 checkpoint download" in message


def test_folder_without_weights_is_refused(tmp_path: Path) -> None:
    assert "holds no weights" in _message(tmp_path)


def test_folder_with_several_checkpoints_asks_for_one(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors"):
        save_file({"x": torch.ones(1)}, tmp_path / name)
    assert "several checkpoints (a.safetensors, b.safetensors); name one" in _message(tmp_path)


@pytest.mark.parametrize("other", ["sam3.pt", "model.safetensors"])
def test_folder_with_both_releases_asks_for_one(other: str, tmp_path: Path) -> None:
    for name in (other, "sam3.1_multiplex.pt"):
        (tmp_path / name).write_bytes(b"x")
    message = _message(tmp_path)
    assert "several checkpoints" in message
    assert other in message
    assert "sam3.1_multiplex.pt" in message


def test_folder_with_sam_3_1_alone_is_found(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_official_31(tmp_path, state)
    assert inspect_checkpoint(tmp_path).path == path


def test_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sam3.pt").touch()
    assert "is empty" in _message(tmp_path / "sam3.pt")


def test_unreadable_file_is_refused(state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    path = save_own(tmp_path, state)
    monkeypatch.setattr(Path, "open", refuse)
    assert _message(path) == f"cannot read checkpoint {path}: Permission denied"


@pytest.mark.parametrize("share", [0.00001, 0.001, 0.5, 0.999])
def test_truncated_safetensors_is_refused(share: float, state: dict[str, Tensor], tmp_path: Path) -> None:
    assert "is truncated or damaged" in _message(_cut(save_own(tmp_path, state), share))


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_truncated_torch_file_is_refused(share: float, state: dict[str, Tensor], tmp_path: Path) -> None:
    assert "is truncated or damaged" in _message(_cut(save_official(tmp_path, state), share), config=SMALL)


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_truncated_old_torch_file_is_refused(share: float, state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(official_state(state), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert "is truncated or damaged" in _message(_cut(tmp_path / "old.pt", share), config=SMALL)


def test_cause_of_a_damage_is_chained(state: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_sam3(_cut(save_own(tmp_path, state), 0.5))
    assert type(caught.value.__cause__).__name__ == "SafetensorError"


def test_web_page_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "page.pt").write_text("<!doctype html><title>Sign in</title>")
    assert "is a web page" in _message(tmp_path / "page.pt")


def test_lfs_pointer_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "Git LFS pointer" in _message(tmp_path / "model.safetensors")


# ---- code


@pytest.mark.parametrize("zipped", [True, False])
def test_pickle_with_code_is_refused(zipped: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = {"model": {DECODER_NORM: Malicious()}}
    torch.save(content, tmp_path / "evil.pt", _use_new_zipfile_serialization=zipped)
    message = _message(tmp_path / "evil.pt")
    assert "contains code (posix.system) and was refused" in message or "contains code (nt.system)" in message
    assert "executed" not in capfd.readouterr().out


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_bare_pickle_with_code_is_refused(protocol: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Malicious(), protocol=protocol))
    assert "contains code" in _message(tmp_path / "evil.pkl")
    assert "executed" not in capfd.readouterr().out


def test_refusal_does_not_repeat_the_advice_to_load_code(tmp_path: Path) -> None:
    torch.save({"model": Malicious()}, tmp_path / "evil.pt")
    assert "weights_only" not in _message(tmp_path / "evil.pt")


def test_ultralytics_model_is_refused_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("ultralytics")
    module.Model = type("Model", (), {"__module__": "ultralytics"})
    monkeypatch.setitem(sys.modules, "ultralytics", module)
    torch.save({"model": module.Model()}, tmp_path / "yolo.pt")
    assert "contains code (ultralytics.Model); this looks like a YOLO" in _message(tmp_path / "yolo.pt")


def test_whole_module_is_refused_as_code(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    assert "contains code (torch.nn.modules.linear.Linear)" in _message(tmp_path / "module.pt")


def test_torchscript_is_refused_as_code(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "clip.pt", "w") as archive:
        archive.writestr("clip/constants.pkl", b"")
        archive.writestr("clip/code/model.py", b"")
    assert "TorchScript archive, which contains code" in _message(tmp_path / "clip.pt")


# ---- other content


@pytest.mark.parametrize("content", [[1, 2], torch.ones(3)])
def test_other_content_than_named_tensors_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "list.pt")
    assert "expected tensors by name" in _message(tmp_path / "list.pt")


def test_training_state_of_another_model_is_named(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {"x": torch.ones(1)}}, tmp_path / "training.pt")
    assert "its tensors are x" in _message(tmp_path / "training.pt")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("memory_attention.layers.0.norm1.bias", "this looks like a SAM 2 checkpoint"),
        ("mask_decoder.iou_prediction_head.layers.0.weight", "this looks like a SAM 1 checkpoint"),
        ("visual.conv1.weight", "this looks like a CLIP checkpoint"),
        ("model.0.conv.weight", "this looks like a YOLO/Ultralytics checkpoint"),
        ("layer1.0.conv1.weight", "its tensors are layer1.0.conv1.weight"),
    ],
)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_other_models_are_named(key: str, words: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"other{suffix}"
    if suffix == ".pt":
        torch.save({"model": {key: torch.ones(1)}}, path)
    else:
        save_file({key: torch.ones(1)}, path)
    message = _message(path)
    assert "is not a SAM 3 checkpoint" in message
    assert words in message


def test_unknown_sizes_ask_for_a_config(state: dict[str, Tensor], tmp_path: Path) -> None:
    message = _message(save_official(tmp_path, state))
    assert "the sizes do not match the published model" in message
    assert "pass config=" in message


# ---- the tensors


def test_missing_tensors_are_counted_and_the_first_ten_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    absent = sorted(key for key in state if key.startswith("transformer.encoder."))
    kept = {key: value for key, value in state.items() if key not in absent}
    message = _message(save_own(tmp_path, kept))
    named = [key for key in absent if key in message]
    assert f"{len(absent)} of {len(state)} tensors missing" in message
    assert len(named) == 10
    assert message.endswith(", ...")


def test_missing_tensor_is_named_as_in_the_file(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_huggingface(tmp_path, state)
    entries = huggingface_state(state)
    del entries["detector_model.detr_encoder.layers.0.self_attn.k_proj.weight"]
    save_file(entries, path)
    words = "tensors missing: detector_model.detr_encoder.layers.0.self_attn.k_proj.weight"
    assert words in _message(path)


@pytest.mark.parametrize("key", ["transformer.decoder.norm.gamma", "backbone.vision_backbone.convs.4.conv_1x1.bias"])
def test_unexpected_tensors_are_named(key: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_own(tmp_path, {**state, key: torch.ones(1)})
    assert f"1 unexpected: {key}" in _message(path)


def test_wrong_shape_is_named_with_both_shapes(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_own(tmp_path, {**state, DECODER_NORM: torch.ones(5)})
    assert f"1 of wrong shape: {DECODER_NORM} (expected (32,), got (5,))" in _message(path)


def test_wrong_shape_of_a_part_is_named_as_in_the_file(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_huggingface(tmp_path, state)
    name = "detector_model.mask_decoder.prompt_cross_attn.v_proj.bias"
    save_file({**huggingface_state(state), name: torch.ones(96)}, path)
    assert f"{name} (expected (32,), got (96,))" in _message(path)


def test_quantised_tensors_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_own(tmp_path, {**state, DECODER_NORM: state[DECODER_NORM].to(torch.int8)})
    assert f"not floating-point of 16 to 64 bits: {DECODER_NORM} (torch.int8)" in _message(path)


def test_all_kinds_of_faults_are_told_at_once(state: dict[str, Tensor], tmp_path: Path) -> None:
    faulty = {**state, DECODER_NORM: torch.ones(5), "surplus": torch.ones(1)}
    del faulty["transformer.decoder.norm.bias"]
    message = _message(save_own(tmp_path, faulty))
    assert all(words in message for words in ("1 of 355 tensors missing", "1 unexpected", "1 of wrong shape"))


# ---- what stands beside or inside the file


def test_missing_shard_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    folder = save_huggingface_sharded(tmp_path, state)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"1 of the 3 files .* are missing: model-00002-of-00003\.safetensors"):
        load_sam3(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 1}}'])
def test_damaged_index_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(content)
    assert "index" in _message(path)


def test_index_may_not_leave_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"a": "../model.safetensors"}}))
    assert "names files outside its folder: '../model.safetensors'" in _message(path)


def test_configuration_of_another_model_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_huggingface(tmp_path, state)
    path.with_name("config.json").write_text('{"model_type": "clip"}')
    with pytest.raises(CheckpointError, match="describes a model 'clip', expected 'sam3'"):
        load_sam3(path)


@pytest.mark.parametrize(
    ("config", "words"), [("{", "has no readable config"), ('{"dim": 3}', "not a complete Sam3Config")]
)
def test_damaged_own_configuration_is_refused(
    config: str, words: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "own.safetensors"
    save_file(state, path, metadata={"format": "segearth_ov3", "config": config})
    assert words in _message(path)
