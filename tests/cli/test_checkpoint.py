"""`segearth-ov3 checkpoint` on files of a small network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoint_files import OFFICIAL_EXTRAS, SMALL, network_state, save_official, save_official_31, save_own
from click.testing import CliRunner, Result
from safetensors.torch import load_file
from torch import Tensor

import segearth_ov3.checkpoints
from segearth_ov3.checkpoints import checkpoint_hash, load_sam3
from segearth_ov3.cli.main import main
from segearth_ov3.errors import CheckpointError


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return network_state()


@pytest.fixture
def sizes(tmp_path: Path) -> Path:
    """The sizes of the small network as JSON."""
    path = tmp_path / "sizes.json"
    path.write_text(json.dumps(SMALL.to_dict()))
    return path


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["checkpoint", *map(str, arguments)])


def _rows(output: str) -> dict[str, str]:
    return {line[:11].strip(): line[11:] for line in output.splitlines()}


@pytest.mark.parametrize("command", ["info", "verify", "convert", "download"])
def test_help_shows_an_example(command: str) -> None:
    result = _run(command, "--help")
    assert result.exit_code == 0
    assert f"segearth-ov3 checkpoint {command}" in result.output.partition("Example:")[2]


# ---- info


def test_info_tells_form_and_sizes(state: dict[str, Tensor], tmp_path: Path) -> None:
    rows = _rows(_run("info", save_own(tmp_path, state)).output)
    assert rows["format"] == "segearth_ov3"
    assert rows["network"] == "224 px input, trunk 4 x 64, text 3 x 48, decoder 3 x 32"
    assert rows["dtypes"] == "float32 x 355"


def test_info_lists_what_is_not_read(state: dict[str, Tensor], tmp_path: Path) -> None:
    result = _run("info", save_official(tmp_path, state))
    for reason in OFFICIAL_EXTRAS.values():
        assert f"tensors: {reason}" in result.output


@pytest.mark.parametrize(
    ("save", "release"), [(save_official, "SAM 3"), (save_official_31, "SAM 3.1"), (save_own, "not stated")]
)
def test_info_prints_the_release(
    save: Callable[..., Path], release: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    assert _rows(_run("info", save(tmp_path, state)).output)["release"] == release


def test_info_says_where_sizes_are_unknown(state: dict[str, Tensor], tmp_path: Path) -> None:
    assert _rows(_run("info", save_official(tmp_path, state)).output)["network"].startswith("unknown")


def test_info_prints_the_digest_on_request(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_own(tmp_path, state)
    assert "sha256" not in _rows(_run("info", path).output)
    assert _rows(_run("info", path, "--sha256").output)["sha256"] == checkpoint_hash(path)


# ---- verify


def test_verify_reports_success_on_standard_output(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = save_own(tmp_path, state)
    result = _run("verify", path)
    assert result.exit_code == 0
    summary, digest = result.stdout.splitlines()
    assert summary.startswith(f"{path}: 355 tensors, ")
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == f"{path.name}: sha256 {expected}: unknown, not a published file"


def test_verify_recognises_a_published_file_by_its_digest() -> None:
    assert _run("verify", "demo").stdout.splitlines()[1].endswith(": demo.safetensors of this package")


def test_verify_shows_progress_on_standard_error(state: dict[str, Tensor], tmp_path: Path) -> None:
    assert "verifying" in _run("verify", save_own(tmp_path, state)).stderr


def test_verify_takes_sizes_from_a_file(state: dict[str, Tensor], sizes: Path, tmp_path: Path) -> None:
    assert _run("verify", save_official(tmp_path, state), "--config", sizes).exit_code == 0


def test_verify_takes_sizes_by_name(state: dict[str, Tensor], tmp_path: Path) -> None:
    result = _run("verify", save_official(tmp_path, state), "--config", "tiny")
    assert result.exit_code == 1
    assert "token_embedding.weight (expected (49408, 48), got (300, 48))" in result.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot read"),
        ("[1]", "expected a JSON object"),
        ('{"dim": 3}', "not a complete Sam3Config"),
        (json.dumps({**SMALL.to_dict(), "heads": 5}), "dim must be a multiple of heads"),
        (json.dumps({**SMALL.to_dict(), "dim": "wide"}), "sizes.json"),
    ],
)
def test_unusable_sizes_are_one_line(
    content: str, words: str, state: dict[str, Tensor], sizes: Path, tmp_path: Path
) -> None:
    sizes.write_text(content)
    result = _run("verify", save_own(tmp_path, state), "--config", sizes)
    error = result.stderr.strip().splitlines()[-1]
    assert (result.exit_code, error.startswith("Error: "), words in error) == (1, True, True)


# ---- convert


def test_convert_writes_a_file_that_says_its_sizes(state: dict[str, Tensor], sizes: Path, tmp_path: Path) -> None:
    target = tmp_path / "converted.safetensors"
    result = _run("convert", save_official(tmp_path, state), target, "--config", sizes)
    assert (result.exit_code, result.stdout) == (0, f"{target}\n")
    assert load_sam3(target).config == SMALL


def test_convert_stores_in_the_given_dtype(state: dict[str, Tensor], tmp_path: Path) -> None:
    target = tmp_path / "half.safetensors"
    _run("convert", save_own(tmp_path, state), target, "--dtype", "bfloat16")
    assert str(load_file(target)["geometry_encoder.final_proj.weight"].dtype) == "torch.bfloat16"


def test_convert_overwrites_only_on_request(state: dict[str, Tensor], tmp_path: Path) -> None:
    source, target = save_own(tmp_path, state), tmp_path / "there.safetensors"
    target.write_bytes(b"precious")
    refused = _run("convert", source, target)
    assert (refused.exit_code, "--overwrite" in refused.stderr, target.read_bytes()) == (1, True, b"precious")
    assert _run("convert", source, target, "--overwrite").exit_code == 0


# ---- download


@pytest.mark.parametrize(("options", "release"), [([], "3"), (["--release", "3.1"], "3.1")])
def test_download_prints_the_path_and_the_next_command(
    options: list[str], release: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segearth_ov3.checkpoints, "download_checkpoint", lambda folder, release: folder / release)
    result = _run("download", "--out", tmp_path, *options)
    assert result.stdout == f"{tmp_path}/{release}\n"
    assert f"export SEGEARTH_OV3_CHECKPOINT={tmp_path.resolve()}/{release}\n" in result.stderr


def test_download_without_access_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path, release: str) -> Path:
        raise CheckpointError("access is not granted")

    monkeypatch.setattr(segearth_ov3.checkpoints, "download_checkpoint", refuse)
    result = _run("download", "--out", tmp_path)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Error: access is not granted\n")


@pytest.mark.parametrize("command", ["info", "verify"])
def test_missing_file_is_one_line(command: str, tmp_path: Path) -> None:
    result = _run(command, tmp_path / "absent.pt")
    assert result.exit_code == 1
    assert result.stderr.strip().splitlines()[-1].startswith("Error: checkpoint ")
    assert "Traceback" not in result.output
