"""Files that are no checkpoints, or lie about what is in them: JSON, safetensors, and everything else but PyTorch's."""

from __future__ import annotations

import functools
import json
import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save, save_file

from segearth_ov3.sam3.build import build_sam3
from segearth_ov3.sam3.config import Sam3Config

SIZES = {
    **Sam3Config.tiny().to_dict(),
    "image_size": 56,
    "position_grid": 2,
    "window": 2,
    "vit_dim": 16,
    "vit_depth": 1,
    "vit_mlp_dim": 16,
    "global_blocks": [0],
    "vocab_size": 20,
    "text_layers": 1,
    "geometry_layers": 1,
    "fusion_layers": 1,
    "decoder_layers": 1,
}
ABSURD: tuple[Any, ...] = (0, -1, 10**18, 1.5, "3")
Case = Callable[[Path], Path]


@functools.cache
def state() -> dict[str, torch.Tensor]:
    config = Sam3Config.from_dict(SIZES)
    shapes = {key: value.shape for key, value in build_sam3(config, "meta").state_dict().items()}
    return {key: torch.full(shape, 0.5) for key, shape in shapes.items()}


def own_metadata(config: str) -> dict[str, str]:
    return {"format": "segearth_ov3", "config": config}


def with_config(config: str) -> Case:
    def write(folder: Path) -> Path:
        save_file(state(), folder / "own.safetensors", metadata=own_metadata(config))
        return folder / "own.safetensors"

    return write


def with_bytes(name: str, content: bytes | Callable[[], bytes]) -> Case:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content())
        return folder / name

    return write


# ---- sizes that a file states


def config_cases() -> Iterator[tuple[str, Case]]:
    for field in SIZES:
        for value in ABSURD:
            if value != SIZES[field]:
                yield f"config {field}={value!r}", with_config(json.dumps({**SIZES, field: value}))
    for blocks in ([10**9], ["a"], [[0]], [0.5], [True], list(range(10**5)), "0"):
        yield f"config global_blocks={str(blocks)[:20]}", with_config(json.dumps({**SIZES, "global_blocks": blocks}))
    for name, text in {
        "nothing": "",
        "list": "[]",
        "text": '"x"',
        "null": "null",
        "nested": "[" * 10**6,
        "nested objects": '{"a":' * 10**5,
        "digits": '{"dim":' + "9" * 10**6 + "}",
        "nan": json.dumps({**SIZES, "dim": float("nan")}),
        "unknown": json.dumps({**SIZES, "x" * 10**6: 1}),
    }.items():
        yield f"config {name}", with_config(text)


def huggingface_cases() -> Iterator[tuple[str, Case]]:
    def beside(config: str) -> Case:
        def write(folder: Path) -> Path:
            save_file({"detr_decoder.query_embed.weight": torch.ones(2, 2)}, folder / "model.safetensors")
            (folder / "config.json").write_text(config)
            return folder

        return write

    sections = {
        "vision_config": {"backbone_config": ("hidden_size", "num_hidden_layers", "image_size", "pretrain_image_size")},
        "text_config": ("vocab_size", "num_hidden_layers"),
        "detr_decoder_config": ("num_queries",),
    }
    for section, fields in sections.items():
        names = fields["backbone_config"] if isinstance(fields, dict) else fields
        for field in names:
            for value in (-1, 10**18, "3", None, [1]):
                inner: Any = {field: value}
                inner = {"backbone_config": inner} if isinstance(fields, dict) else inner
                yield f"config.json {field}={value!r}", beside(json.dumps({"model_type": "sam3", section: inner}))
    for name, text in {
        "nested": "[" * 10**6,
        "list": "[]",
        "type": '{"model_type": ["sam3"]}',
        "section": '{"model_type": "sam3", "vision_config": 3}',
        "blocks": '{"model_type": "sam3", "vision_config": {"backbone_config": {"global_attn_indexes": 7}}}',
    }.items():
        yield f"config.json {name}", beside(text)


# ---- safetensors


def header(entries: dict[str, Any] | str, length: int | None = None, data: int = 64) -> bytes:
    text = (entries if isinstance(entries, str) else json.dumps(entries)).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(data)


def entry(shape: list[Any], start: int = 0, stop: int = 64, dtype: str = "F32") -> dict[str, Any]:
    return {"detector.backbone.vision_backbone.x": {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}}


def safetensors_cases() -> Iterator[tuple[str, Case]]:
    whole = functools.partial(save, state(), own_metadata(json.dumps(SIZES)))
    for seed in range(20):
        yield (
            f"safetensors bytes {seed}",
            with_bytes("own.safetensors", lambda seed=seed: mutated(whole(), seed, 30_000)),
        )
    for share in (0.0001, 0.01, 0.3, 0.9, 0.9999):
        yield f"safetensors cut {share}", with_bytes("x.safetensors", lambda share=share: cut(whole(), share))
    lies: dict[str, bytes] = {
        "length 0": header(entry([16]), 0),
        "length 1": header(entry([16]), 1),
        "length 2^40": header(entry([16]), 1 << 40),
        "length 2^63": header(entry([16]), 1 << 63),
        "shape": header(entry([1 << 20])),
        "shape 2^60": header(entry([1 << 60, 0], 0, 0), data=0),
        "shape overflow": header(entry([1 << 40, 1 << 40])),
        "shape negative": header(entry([-16])),
        "shape text": header(entry(["16"])),
        "shape of 10^5 axes": header(entry([1] * 10**5, 0, 4), data=4),
        "offset beyond": header(entry([16], 0, 1 << 40)),
        "offset reversed": header(entry([16], 64, 0)),
        "offset gap": header(entry([8], 32, 64)),
        "dtype unknown": header(entry([16], dtype="X9")),
        "dtype int": header(entry([64], dtype="I8")),
        "dtype float8": header(entry([64], dtype="F8_E4M3")),
        "dtype float4": header(entry([128], dtype="F4")),
        "dtype complex": header(entry([8], dtype="C64")),
        "nested": header("[" * 10**6),
        "nested metadata": header('{"__metadata__":' + '{"a":' * 10**5),
        "list": header("[]"),
        "empty object": header("{}", data=0),
        "name with line ends": header(
            {"detector.backbone.vision_backbone.\n\x1b[31m\n": {**entry([16])["detector.backbone.vision_backbone.x"]}}
        ),
        "name of 10^6": header(
            {"backbone.vision_backbone." + "x" * 10**6: entry([16])["detector.backbone.vision_backbone.x"]}
        ),
    }
    for name, content in lies.items():
        yield f"safetensors {name}", with_bytes("x.safetensors", content)
    for count in (60_000, 300_000):
        yield f"safetensors {count} tensors", with_bytes("x.safetensors", functools.partial(crowd, count))


def crowd(count: int) -> bytes:
    names = (f"tracker.{index}" for index in range(count))
    table = {name: {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for name in names}
    return header(
        {**table, "backbone.vision_backbone.x": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}}, data=0
    )


def mutated(content: bytes, seed: int, span: int) -> bytes:
    """Change, insert or remove a few bytes within the first `span`."""
    random = np.random.default_rng(seed)
    changed = bytearray(content)
    for _ in range(random.integers(1, 5)):
        where = int(random.integers(min(span, len(changed))))
        action = random.integers(3)
        if action == 0:
            changed[where] = int(random.integers(256))
        elif action == 1:
            changed[where:where] = random.bytes(3)
        else:
            del changed[where : where + 2]
    return bytes(changed)


def cut(content: bytes, share: float) -> bytes:
    return content[: max(1, int(len(content) * share))]


# ---- several files


def index_cases() -> Iterator[tuple[str, Case]]:
    many = json.dumps({"weight_map": {str(number): f"{number}.safetensors" for number in range(10**5)}})
    for name, text in {
        "nested": "[" * 10**6,
        "number": "3",
        "map of lists": '{"weight_map": {"a": [1]}}',
        "map of numbers": '{"weight_map": {"a": 1}}',
        "map of null": '{"weight_map": {"a": null}}',
        "outside": '{"weight_map": {"a": "../../etc/passwd"}}',
        "nul": '{"weight_map": {"a": "x\\u0000.safetensors"}}',
        "line end": '{"weight_map": {"a": "x\\n.safetensors"}}',
        "surrogate": '{"weight_map": {"a": "x\\ud800.safetensors"}}',
        "long name": '{"weight_map": {"a": "' + "x" * 10**5 + '"}}',
        "dots": '{"weight_map": {"a": ".."}}',
        "itself": '{"weight_map": {"a": "model.safetensors.index.json"}}',
        "many": many,
    }.items():
        yield f"index {name}", with_bytes("model.safetensors.index.json", text.encode())


# ---- what is no checkpoint at all


def other_cases() -> Iterator[tuple[str, Case]]:
    for suffix in (".pt", ".safetensors"):
        for name, content in {
            "empty": b"",
            "one byte": b"\x80",
            "web page": b"<!DOCTYPE html><html><title>Sign in</title></html>",
            "page after a blank line": b"\n\n  <html><body>404</body></html>",
            "xml": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
            "json error": b'{"error":"Invalid credentials"}',
            "lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "text": b"hello world, this is no checkpoint\n" * 10,
            "zeros": bytes(1000),
            "gzip": b"\x1f\x8b" + bytes(100),
            "zip header": b"PK\x03\x04" + bytes(100),
        }.items():
            yield f"{name}{suffix}", with_bytes(f"x{suffix}", content)
    for name, make in {
        "pipe": lambda path: os.mkfifo(path),
        "link to /dev/zero": lambda path: path.symlink_to("/dev/zero"),
        "link to itself": lambda path: path.symlink_to(path),
        "folder": lambda path: path.mkdir(),
        "folder in place of a shard": lambda path: [path.mkdir(), (path / "model.safetensors").mkdir()],
    }.items():
        yield name, functools.partial(special, make)
    for name in ("x" * 300, "~nobody-of-this-name/x.pt", "x\0y.pt"):
        yield f"name {name[:30]!r}", lambda folder, name=name: Path(name) if name.startswith("~") else folder / name


def special(make: Callable[[Path], object], folder: Path) -> Path:
    make(folder / "x.pt")
    return folder / "x.pt"
