"""Loading of CLIP by name; no network is used, and "ViT-tiny" is a small model that these tests make open_clip know."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file
from tiny_clip import CONFIG, random_pixels, tiny_clip
from torch import Tensor

from segearth_ov3.errors import CheckpointError, OptionError
from segearth_ov3.refiners import clip_weights
from segearth_ov3.refiners.clip_encoder import ClipEncoder
from segearth_ov3.refiners.clip_weights import load_clip

NAME = "ViT-tiny"
REPOSITORY = "nobody/vit_tiny"
ADVICE = f"fetch open_clip_model.safetensors from {REPOSITORY} on Hugging Face, on another machine"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make open_clip know the tiny model, with one tag of each activation and one name with QuickGELU."""
    clip_weights._load.cache_clear()
    tags = {
        "openai": {"hf_hub": f"{REPOSITORY}/", "quick_gelu": True},
        "laion": {"hf_hub": f"{REPOSITORY}/laion.bin"},
        "old": {"url": "https://example.org/tiny.pt"},
    }
    quick = {"openai": tags["openai"]}
    for name, its_tags in ((NAME, tags), (f"{NAME}-quickgelu", quick), (f"{NAME}-openai", quick), (f"{NAME}-own", {})):
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, CONFIG)
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, its_tags)


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, Hugging Face switched off, and no way out in case it were not."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a test tried to use the network")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file as open_clip publishes them."""
    return save(tiny_clip().state_dict(), tmp_path / "open_clip_model.safetensors")


def save(state: dict[str, Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def refusal(pretrained: str | Path, model: str = NAME) -> str:
    """The message of a refusal, which is one line."""
    with pytest.raises(CheckpointError) as caught:
        load_clip(model, pretrained)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_same(found: ClipEncoder, model: open_clip.CLIP) -> None:
    expected = ClipEncoder(model)
    pixels = random_pixels()
    for a, b in zip(found.encode_image(pixels, [1, 4]), expected.encode_image(pixels, [1, 4])):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert torch.equal(found.encode_text(["road"]), expected.encode_text(["road"]))


def quick_gelus(encoder: ClipEncoder) -> int:
    return sum(isinstance(module, QuickGELU) for module in encoder.model.modules())


# ---- files


@pytest.mark.parametrize(
    "write",
    [
        lambda state, folder: save(state, folder / "a.safetensors"),
        lambda state, folder: save(state, folder / "a.pt"),
        lambda state, folder: save({"epoch": 3, "state_dict": state}, folder / "a.pt"),
        lambda state, folder: save({f"module.{key}": value for key, value in state.items()}, folder / "a.bin"),
        lambda state, folder: save({**state, "logit_scale": torch.ones(1)}, folder / "a.pt"),
    ],
    ids=["safetensors", "torch", "training", "parallel", "scale"],
)
def test_local_file_gives_the_saved_model(write: Callable[..., Path], tmp_path: Path) -> None:
    model = tiny_clip(seed=7)
    assert_same(load_clip(NAME, write(model.state_dict(), tmp_path)), model)


def test_weights_of_a_tag_are_those_of_its_file(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_clip, "download_pretrained", lambda tag: str(weights))
    assert_same(load_clip(NAME, "laion"), tiny_clip())


def test_file_found_in_the_cache_needs_no_network(weights: Path, tmp_path: Path) -> None:
    commit = "0" * 40
    folder = tmp_path / "cache" / f"models--{REPOSITORY.replace('/', '--')}"
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    weights.rename(folder / "snapshots" / commit / weights.name)
    assert_same(load_clip(NAME, "openai"), tiny_clip(quick_gelu=True))


def test_same_arguments_give_the_same_encoder(weights: Path) -> None:
    assert load_clip(NAME, weights) is load_clip(NAME, str(weights), torch.device("cpu"))


def test_slash_in_the_name_is_a_hyphen(weights: Path) -> None:
    assert load_clip(NAME.replace("-", "/"), weights) is load_clip(NAME, weights)


def test_loading_leaves_the_random_numbers_alone(weights: Path) -> None:
    before = torch.get_rng_state()
    load_clip(NAME, weights)
    assert torch.equal(torch.get_rng_state(), before)


def test_loaded_model_is_float32_and_frozen(tmp_path: Path) -> None:
    half = {key: value.half() for key, value in tiny_clip().state_dict().items()}
    encoder = load_clip(NAME, save(half, tmp_path / "half.safetensors"))
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


# ---- no weights


def test_random_encoder_is_open_clips_own_initialisation_and_always_the_same() -> None:
    torch.manual_seed(3)
    first = load_clip(NAME, "random")
    clip_weights._load.cache_clear()
    torch.manual_seed(4)
    second = load_clip(NAME, "random")
    assert first is not second
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.CLIP(**CONFIG)
    assert_same(first, model)
    assert_same(second, model)


def test_random_encoder_leaves_the_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    load_clip(NAME, "random")
    assert torch.equal(torch.get_rng_state(), before)


def test_random_encoder_has_the_activation_and_normalisation_of_the_published_weights() -> None:
    encoder = load_clip(f"{NAME}-openai", "random")
    assert quick_gelus(encoder) == 6
    assert encoder.mean.flatten().tolist() == pytest.approx(open_clip.OPENAI_DATASET_MEAN)


def test_random_encoder_of_an_unknown_model_is_refused() -> None:
    with pytest.raises(OptionError, match="open_clip has no model"):
        load_clip("ViT-tinny", "random")


# ---- activation


@pytest.mark.parametrize(
    ("model", "pretrained", "quick"),
    [
        (NAME, "openai", True),
        (NAME, "OpenAI", True),
        (NAME, "laion", False),
        (NAME, None, False),  # a file: published weights of the model differ, so its name decides
        (f"{NAME}-quickgelu", "openai", True),
        (f"{NAME}-quickgelu", None, True),
        (f"{NAME}-openai", None, True),  # a file: all published weights use QuickGELU
        (f"{NAME}-own", None, False),
    ],
)
def test_activation(
    model: str, pretrained: str | None, quick: bool, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_clip, "download_pretrained", lambda tag: str(weights))
    encoder = load_clip(model, pretrained or weights)
    assert quick_gelus(encoder) == (6 if quick else 0)  # 4 blocks of the image tower, 2 of the text tower
    assert_same(encoder, tiny_clip(quick_gelu=quick))


def test_activation_changes_the_features() -> None:
    plain, quick = (ClipEncoder(tiny_clip(quick_gelu=quick)) for quick in (False, True))
    pixels = random_pixels()
    assert (plain.encode_image(pixels, [4]).taps[0] - quick.encode_image(pixels, [4]).taps[0]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("model", "pretrained", "quick"),
    [
        ("ViT-L-14-336", "openai", True),
        ("ViT-L-14-336", None, True),
        ("ViT-L/14-336", "openai", True),
        ("ViT-L-14-336-quickgelu", "openai", True),
        ("ViT-L-14", "openai", True),
        ("ViT-L-14", "laion2b_s32b_b82k", False),
        ("ViT-L-14", None, False),
        ("ViT-L-14-quickgelu", None, True),
        ("ViT-B-32", None, False),
    ],
)
def test_activation_of_published_models(
    model: str, pretrained: str | None, quick: bool, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Built(Exception):
        """Instead of building a network of that size."""

    def build(**config: Any) -> None:
        raise Built(config["quick_gelu"])

    monkeypatch.setattr(open_clip, "CLIP", build)
    monkeypatch.setattr(open_clip, "download_pretrained", lambda tag: str(weights))
    with pytest.raises(Built, match=str(quick)):
        load_clip(model, pretrained or weights)


def test_tag_decides_the_normalisation(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tag = {"hf_hub": f"{REPOSITORY}/", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, NAME, {"half": tag})
    monkeypatch.setattr(open_clip, "download_pretrained", lambda tag: str(weights))
    encoder = load_clip(NAME, "half")
    assert encoder.mean.flatten().tolist() == pytest.approx(tag["mean"])
    assert encoder.std.flatten().tolist() == pytest.approx(tag["std"])


def test_file_gets_the_normalisation_of_openai(weights: Path) -> None:
    encoder = load_clip(NAME, weights)
    assert encoder.mean.flatten().tolist() == pytest.approx(open_clip.OPENAI_DATASET_MEAN)
    assert encoder.std.flatten().tolist() == pytest.approx(open_clip.OPENAI_DATASET_STD)


def test_published_weights_have_images_resized_bicubically() -> None:
    for model, tag in open_clip.list_pretrained():
        try:
            clip_weights._config(model)
        except OptionError:  # another kind of model, which is refused
            continue
        assert open_clip.get_pretrained_cfg(model, tag).get("interpolation", "bicubic") == "bicubic", model


# ---- refusals: the model


@pytest.mark.parametrize(
    ("model", "close"),
    [("ViT-L-14-363", "ViT-L-14-336"), ("ViT-B/23", "ViT-B-32"), ("resnet of my own", "did you mean ViT-L-14-336")],
)
def test_unknown_model_lists_close_names(model: str, close: str) -> None:
    with pytest.raises(OptionError, match=f"open_clip has no model .*did you mean .*{close.split()[-1]}"):
        load_clip(model)


@pytest.mark.parametrize("model", ["RN50", "ViT-B-16-SigLIP", "coca_ViT-B-32", "roberta-ViT-B-32", "ViT-L-14-CLIPA"])
def test_model_of_another_kind_is_refused(model: str) -> None:
    with pytest.raises(OptionError, match=f"own vision transformer and text .*got '{model}'; use one such as ViT-L-14"):
        load_clip(model)


# ---- refusals: tag and file


def test_unknown_tag_lists_tags_and_says_what_to_fetch() -> None:
    message = refusal("opanai")
    assert f"a tag of {NAME} (openai, laion, old) or a file of its weights, got 'opanai'" in message
    assert ADVICE in message


def test_missing_file_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path / "clip.safetensors")
    assert f"got '{tmp_path / 'clip.safetensors'}', which is neither" in message
    assert ADVICE in message


def test_folder_is_refused(tmp_path: Path) -> None:
    assert f"got folder {tmp_path}; fetch" in refusal(tmp_path)


def test_model_without_published_weights_asks_for_a_file() -> None:
    message = refusal("openai", f"{NAME}-own")
    assert "(it has none)" in message
    assert message.endswith("pass pretrained=PATH with a file of weights that open_clip has trained")


def test_no_network_says_which_file_to_fetch_and_how_to_pass_it() -> None:
    message = refusal("openai", f"{NAME}-openai")
    assert message.startswith(f"cannot fetch the weights 'openai' of {NAME}-openai: ")
    assert message.endswith(f"{ADVICE} if this one has no connection, and pass pretrained=PATH")


def test_default_model_without_network_names_the_published_file() -> None:
    message = refusal("openai", "ViT-L-14-336")
    page = "timm/vit_large_patch14_clip_336.openai on Hugging Face"
    assert f"fetch open_clip_model.safetensors from {page}," in message
    assert message.endswith("and pass pretrained=PATH")


def test_name_with_the_right_activation_is_advised_where_a_file_would_lose_it() -> None:
    assert refusal("openai").endswith(f"and pass pretrained=PATH with model={NAME}-quickgelu")


def test_weights_of_another_normalisation_are_not_advised_as_a_plain_file() -> None:
    message = refusal("laion2b_s32b_b82k", "ViT-L-14")
    assert message.endswith(
        "put it into this one's Hugging Face cache, as a plain file would be read with another mean"
    )


def test_advice_follows_the_tag() -> None:
    assert f"fetch laion.bin from {REPOSITORY} on Hugging Face, on" in refusal("laion")


def test_advice_for_weights_outside_hugging_face_is_their_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(tag: dict[str, Any]) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(open_clip, "download_pretrained", fail)
    message = refusal("old")
    assert "no route to host; fetch https://example.org/tiny.pt, on another machine" in message


# ---- refusals: what is in the file


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
def test_missing_and_unexpected_tensors_are_named(name: str, tmp_path: Path) -> None:
    state = tiny_clip().state_dict()
    state["visual.projection"] = state.pop("visual.proj")
    path = save(state, tmp_path / name)
    message = refusal(path)
    problems = "tensors 1 missing (visual.proj), 1 unexpected (visual.projection)"
    assert message.startswith(f"{path} does not fit {NAME}: {problems}; fetch")


def test_long_lists_of_tensors_are_cut(tmp_path: Path) -> None:
    message = refusal(save({"a": torch.ones(1)}, tmp_path / "a.pt"))
    total = len(tiny_clip().state_dict()) - 1  # without the scale of the loss
    assert (
        f"tensors {total} missing (ln_final.bias, ln_final.weight, positional_embedding, ...), 1 unexpected" in message
    )


def test_weights_of_another_image_size_are_not_stretched(tmp_path: Path) -> None:
    message = refusal(save(tiny_clip(image_size=28).state_dict(), tmp_path / "a.safetensors"))
    assert "1 of another shape (visual.positional_embedding: expected (10, 32), got (5, 32))" in message


def test_entry_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    state = {**tiny_clip().state_dict(), "visual.proj": 3}
    message = refusal(save(state, tmp_path / "a.pt"))
    assert "expected tensors by name, got entries that are not tensors (visual.proj)" in message


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5])
def test_damaged_file_is_refused(name: str, share: float, tmp_path: Path) -> None:
    path = save(tiny_clip().state_dict(), tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    message = refusal(path)
    assert str(path) in message
    assert "damaged" in message or "is no file of weights" in message
    assert ADVICE in message


def test_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.pt"
    path.write_text("<!doctype html><title>Sign in</title>")
    assert str(path) in refusal(path)


class Malicious:
    """Runs a command when a careless reader unpickles it."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("echo executed",)


def test_code_in_a_file_is_not_executed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.pt"
    torch.save({"state_dict": Malicious()}, path)
    assert re.search(r"contains code \((posix|nt)\.system\) and was refused", refusal(path))
    assert "executed" not in capfd.readouterr().out


def test_torchscript_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ViT-L-14-336px.pt"
    with torch.serialization._open_zipfile_writer(str(path)) as archive:
        archive.write_record("constants.pkl", b"x", 1)
    message = refusal(path)
    assert "is a TorchScript archive, which contains code, and was refused" in message
    assert ADVICE in message


def test_file_of_a_bare_tensor_is_refused(tmp_path: Path) -> None:
    torch.save(torch.ones(3), tmp_path / "a.pt")
    assert "holds a Tensor, expected tensors by name" in refusal(tmp_path / "a.pt")


# ---- full size


@pytest.mark.slow
def test_full_size_model_loads_from_a_local_file(tmp_path: Path) -> None:
    config = {**open_clip.get_model_config("ViT-L-14-336"), "quick_gelu": True}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.CLIP(**config)
    path = save(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    encoder = load_clip("ViT-L-14-336", path)
    assert (encoder.blocks, encoder.size, quick_gelus(encoder)) == (24, 336, 36)
    pixels, taps = random_pixels(side=504), (6, 12, 18, 24)
    features, expected = encoder.encode_image(pixels, taps), ClipEncoder(model).encode_image(pixels, taps)
    assert [tuple(each.shape) for each in features.taps] == [(1, 1024, 24, 24)] * 4
    assert features.patches.shape == (1, 768, 24, 24)
    for found, wanted in zip((*features.taps, features.patches), (*expected.taps, expected.patches)):
        assert torch.equal(found, wanted)
