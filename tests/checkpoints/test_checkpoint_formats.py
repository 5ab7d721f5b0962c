"""Every supported form of checkpoint gives the same network."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import FORMS, OFFICIAL_EXTRAS, SMALL, network_state, official_state, save_official, save_own
from safetensors.torch import save_file
from torch import Tensor

from segearth_ov3.checkpoints import DEMO_NOTE, load_sam3
from segearth_ov3.checkpoints.files import CheckpointFile, TensorFile
from segearth_ov3.checkpoints.keys import Naming
from segearth_ov3.checkpoints.sizes import config_metadata, config_of
from segearth_ov3.errors import CheckpointError, OptionError
from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config
from segearth_ov3.sam3.model import parameter_dtypes

POSITIONS = "backbone.vision_backbone.trunk.pos_embed"
SAYS_ITS_SIZES = [name for name in FORMS if not name.startswith("official")]


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return network_state()


def _unequal(model: torch.nn.Module, state: dict[str, Tensor]) -> list[str]:
    """Names of the tensors that differ in shape, dtype or value."""
    loaded = model.state_dict()
    assert loaded.keys() == state.keys()
    return [key for key in state if loaded[key].dtype != state[key].dtype or not torch.equal(loaded[key], state[key])]


@pytest.mark.parametrize("form", [name for name in FORMS if not name.startswith("huggingface")])
def test_own_and_official_forms_give_equal_tensors(form: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    assert _unequal(load_sam3(FORMS[form](tmp_path, state), config=SMALL), state) == []


@pytest.mark.parametrize("form", [name for name in FORMS if name.startswith("huggingface")])
def test_hugging_face_forms_give_equal_tensors_but_the_row_never_read(
    form: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    positions = state[POSITIONS].clone()
    positions[:, 0] = 0
    assert _unequal(load_sam3(FORMS[form](tmp_path, state)), {**state, POSITIONS: positions}) == []


@pytest.mark.parametrize("form", SAYS_ITS_SIZES)
def test_sizes_follow_from_the_file(form: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    assert load_sam3(FORMS[form](tmp_path, state)).config == SMALL


def test_published_sizes_follow_from_the_shapes() -> None:
    published = build_sam3(Sam3Config.base(), "meta").state_dict()
    file = CheckpointFile(Path("sam3.pt"), [TensorFile(Path("sam3.pt"), lambda: published)], {})
    assert config_of(file, Naming("official", "")) == Sam3Config.base()


def test_given_config_wins_over_the_file(state: dict[str, Tensor], tmp_path: Path) -> None:
    other = Sam3Config(**{**SMALL.to_dict(), "image_size": 336, "global_blocks": (0,)})  # no shape depends on these
    assert load_sam3(save_own(tmp_path, state), config=other).config == other


def test_network_is_ready_for_inference(state: dict[str, Tensor], tmp_path: Path) -> None:
    model = load_sam3(save_own(tmp_path, state))
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_loaded_network_computes_like_a_built_one(state: dict[str, Tensor], tmp_path: Path) -> None:
    built = build_sam3(SMALL).eval()
    built.load_state_dict(state)
    pixels = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = built.encode_image(pixels)
    loaded = load_sam3(save_own(tmp_path, state)).encode_image(pixels)
    torch.testing.assert_close(loaded.fusion_tokens, expected.fusion_tokens, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_tensors_are_stored_in_the_dtype_they_are_used_in(
    dtype: torch.dtype, state: dict[str, Tensor], tmp_path: Path
) -> None:
    model = load_sam3(save_own(tmp_path, state), dtype=dtype)
    dtypes = parameter_dtypes(model, dtype)
    assert model.dtype == dtype
    assert _unequal(model, {key: value.to(dtypes[key]) for key, value in state.items()}) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("save", [save_own, save_official])
def test_half_precision_files_are_cast_up(
    dtype: torch.dtype, save: Callable[..., Path], state: dict[str, Tensor], tmp_path: Path
) -> None:
    half = {key: value.to(dtype) for key, value in state.items()}
    model = load_sam3(save(tmp_path, half), config=SMALL)
    assert _unequal(model, {key: value.float() for key, value in half.items()}) == []


def test_official_names_without_prefix_load_from_safetensors(state: dict[str, Tensor], tmp_path: Path) -> None:
    save_file(state, tmp_path / "plain.safetensors")
    assert _unequal(load_sam3(tmp_path / "plain.safetensors", config=SMALL), state) == []


def test_header_length_is_not_taken_for_a_magic_number(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "own.bin"
    for padding in range(0, 256, 8):
        save_file(state, path, metadata={**config_metadata(SMALL), "padding": "x" * padding})
        if path.read_bytes()[0] == 0x80:  # with which a pickle starts
            break
    assert path.read_bytes()[0] == 0x80
    assert _unequal(load_sam3(path), state) == []


def test_torch_files_of_before_1_6_load(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(official_state(state), tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert _unequal(load_sam3(tmp_path / "old.pt", config=SMALL), state) == []


def test_golden_file_loads_under_its_official_names(shared_dir: Path) -> None:
    path = shared_dir / "sam3" / "golden_small" / "model.safetensors"
    model = load_sam3(path, config=Sam3Config.tiny())
    assert _unequal(model, network_state(Sam3Config.tiny())) == []


def test_ignored_tensors_are_logged_with_the_reason(
    state: dict[str, Tensor], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save_official(tmp_path, state)
    with caplog.at_level(logging.INFO, logger="segearth_ov3"):
        load_sam3(path, config=SMALL)
    for reason in {*OFFICIAL_EXTRAS.values(), "rotary tables, recomputed from the sizes"}:
        assert reason in caplog.text


def test_path_comes_from_the_environment(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGEARTH_OV3_CHECKPOINT", str(save_own(tmp_path, state)))
    assert load_sam3().config == SMALL


def test_argument_wins_over_the_environment(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGEARTH_OV3_CHECKPOINT", str(tmp_path / "absent.pt"))
    assert load_sam3(save_own(tmp_path, state)).config == SMALL


def test_working_directory_is_not_searched(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_official(tmp_path, state)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGEARTH_OV3_CHECKPOINT", raising=False)
    with pytest.raises(
        CheckpointError, match=r"page of facebook/sam3 on Hugging Face.*segearth-ov3 checkpoint download"
    ):
        load_sam3(config=SMALL)


def test_other_dtypes_are_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"expected dtype float32, bfloat16 or float16, got torch\.float64"):
        load_sam3(save_own(tmp_path, state), dtype=torch.float64)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16"])
def test_dtype_may_be_given_by_name(name: str) -> None:
    assert load_sam3("demo", dtype=name).dtype == getattr(torch, name)


@pytest.mark.parametrize("dtype", ["half", "fp16", "float64", torch.int8, None])
def test_other_dtypes_are_refused_with_the_known_names(dtype: Any) -> None:
    with pytest.raises(OptionError, match="expected dtype float32, bfloat16 or float16, got "):
        load_sam3("demo", dtype=dtype)


def test_network_knows_the_name_of_its_checkpoint(state: dict[str, Tensor], tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    path = save_own(tmp_path / "weights", state).rename(tmp_path / "weights" / "model.safetensors")
    names = [load_sam3(place).checkpoint_name for place in (path, path.parent, "demo")]
    assert names == ["model.safetensors", "weights", f"demo ({DEMO_NOTE})"]
