"""PyTorch files that are damaged, lie about what is in them, or grow when they are unpacked."""

from __future__ import annotations

import functools
import io
import pickle
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hostile_files import Case, cut, mutated, state, with_bytes


def torch_bytes(content: Any, *, old: bool = False) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not old)
    return stream.getvalue()


def archive(pickled: bytes, *, compress: bool = False, members: dict[str, bytes] | None = None) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as file:
        for name, content in {
            "data.pkl": pickled,
            "version": b"3\n",
            "byteorder": b"little",
            **(members or {}),
        }.items():
            file.writestr(f"archive/{name}", content)
    return stream.getvalue()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x09" + struct.pack("<q", value) + b"\0"


def storage(items: int, key: str = "0", kind: str = "FloatStorage") -> bytes:
    return b"(" + text("storage") + f"ctorch\n{kind}\n".encode() + text(key) + text("cpu") + number(items) + b"tQ"


def tensor(items: int, size: int, stride: int, offset: int = 0) -> bytes:
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n("
    hooks = b"ccollections\nOrderedDict\n)R"
    return (
        rebuild
        + storage(items)
        + number(offset)
        + number(size)
        + b"\x85"
        + number(stride)
        + b"\x85\x89"
        + hooks
        + b"tR"
    )


def named(value: bytes, name: str = "detector.backbone.vision_backbone.x") -> bytes:
    return b"\x80\x02}" + text(name) + value + b"s."


def call(function: str, *arguments: bytes) -> bytes:
    module, _, name = function.rpartition(".")
    return f"c{module}\n{name}\n(".encode() + b"".join(arguments) + b"tR"


def torch_cases() -> Iterator[tuple[str, Case]]:
    entries = {f"detector.{key}": value for key, value in state().items()}
    for old in (False, True):
        kind = "old torch" if old else "torch"
        whole = torch_bytes({"model": entries}, old=old)
        middle = max(whole.find(b"PK\x01\x02"), 0)  # directory of a zip archive
        for seed in range(15):
            yield (
                f"{kind} bytes {seed}",
                with_bytes("x.pt", lambda seed=seed, whole=whole: mutated(whole, seed, 20_000)),
            )
        if not old:
            for seed in range(15):
                tail = functools.partial(mutated, whole[middle:], seed, 10**6)
                yield (
                    f"{kind} directory {seed}",
                    with_bytes("x.pt", lambda tail=tail, whole=whole, middle=middle: whole[:middle] + tail()),
                )
        for share in (0.0001, 0.01, 0.3, 0.9, 0.9999):
            yield f"{kind} cut {share}", with_bytes("x.pt", lambda share=share, whole=whole: cut(whole, share))
    yield "torch with a comment", with_bytes("x.pt", torch_bytes(entries)[:-2] + b"\x05\x00hello")
    yield "torch with a tail", with_bytes("x.pt", torch_bytes(entries) + b"hello")
    yield from pickle_cases()
    yield from archive_cases()


def pickle_cases() -> Iterator[tuple[str, Case]]:
    data = {"data/0": bytes(64)}
    doublings = b"".join(b"h%ch%c\x86q%c" % (index, index, index + 1) for index in range(60))
    nest = b"\x80\x02K\x00\x85q\x00" + doublings + b"}h\x3cK\x01s."
    pickles: dict[str, bytes] = {
        "bytearray": named(call("builtins.bytearray", number(1 << 34))),
        "bytearray of python 2": named(call("__builtin__.bytearray", number(1 << 34))),
        "FloatTensor": named(call("torch.FloatTensor", number(1 << 33))),
        "Tensor": named(call("torch.Tensor", number(1 << 33))),
        "UntypedStorage": named(call("torch.storage.UntypedStorage", number(1 << 40))),
        "meta tensor": named(
            call(
                "torch._utils._rebuild_meta_tensor_no_storage",
                b"ctorch\nfloat32\n",
                number(1 << 60) + b"\x85",
                number(1) + b"\x85",
                b"\x89",
            )
        ),
        "code": named(call("os.system", text("echo executed"))),
        "code by getattr": named(call("builtins.getattr", text("x"), text("y"))),
        "storage lie": named(tensor(1 << 40, 16, 1)),
        "storage negative": named(tensor(-16, 16, 1)),
        "size beyond": named(tensor(16, 1 << 40, 1)),
        "size negative": named(tensor(16, -1, 1)),
        "stride beyond": named(tensor(16, 16, 1 << 40)),
        "stride 0": named(tensor(16, 1 << 60, 0)),
        "offset beyond": named(tensor(16, 16, 1, 1 << 40)),
        "storage of another name": named(tensor(16, 16, 1).replace(text("0"), text("../0"))),
        "nested tuples as key": nest,
        "a dictionary in itself": b"\x80\x02}q\x00" + text("model") + b"h\x00s.",
        "a list in itself": named(b"]q\x01h\x01a"),
        "2 million instructions": b"\x80\x02" + b"N" * 2 * 10**6 + b".",
        "10^6 nested lists": b"\x80\x02" + b"(" * 10**6 + b"t" * 10**6 + b".",
        "300000 entries": b"\x80\x02}("
        + tensor(16, 16, 1)
        + b"q\x010"
        + b"".join(text(f"tracker.{i}") + b"h\x01" for i in range(300_000))
        + b"u.",
        "length beyond": b"\x80\x02X\xff\xff\xff\xffabc",
        "no stop": b"\x80\x02}",
        "empty stack": b"\x80\x020.",
        "number": b"\x80\x02K\x01.",
        "protocol 5": pickle.dumps({"x": 1}, protocol=5),
        "integers": torch_pickle(torch.ones(4, dtype=torch.int64)),
        "set": named(call("builtins.set", b"]")),
        "counter": named(call("collections.Counter", b"]")),
        "name with line ends": b"\x80\x02}" + text("backbone.vision_backbone.\n\x1b[31m") + tensor(16, 16, 1) + b"s.",
        "name of 10^6": b"\x80\x02}" + text("backbone.vision_backbone." + "x" * 10**6) + tensor(16, 16, 1) + b"s.",
    }
    for name, content in pickles.items():
        yield f"pickle {name}", with_bytes("x.pt", archive(content, members=data))
        yield f"bare pickle {name}", with_bytes("x.pt", content)
    magic = (
        pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2) + pickle.dumps({}, protocol=2)
    )
    for name in ("bytearray", "storage lie", "size beyond", "nested tuples as key", "code", "300000 entries"):
        yield (
            f"old pickle {name}",
            with_bytes("x.pt", magic + pickles[name] + pickle.dumps(["0"], protocol=2) + bytes(100)),
        )


def torch_pickle(value: torch.Tensor) -> bytes:
    with zipfile.ZipFile(io.BytesIO(torch_bytes({"detector.backbone.vision_backbone.x": value}))) as file:
        return file.read(next(name for name in file.namelist() if name.endswith("data.pkl")))


def archive_cases() -> Iterator[tuple[str, Case]]:
    data = {"data/0": bytes(64)}
    sound = named(tensor(16, 16, 1))
    large = b"\x80\x02X" + struct.pack("<I", 1 << 30) + bytes(1 << 20)
    yield "archive with a packed pickle", with_bytes("x.pt", lambda: archive(large, compress=True))
    yield "archive with a pickle of 2 GB", packed_bomb
    yield "archive with packed tensors", with_bytes("x.pt", lambda: archive(sound, compress=True, members=data))
    yield (
        "archive of 120000 members",
        with_bytes("x.pt", lambda: archive(sound, members={f"data/{i}": b"" for i in range(120_000)})),
    )
    yield (
        "archive with two pickles",
        with_bytes(
            "x.pt",
            lambda: archive(sound, members={**data, "DATA.PKL": named(call("builtins.bytearray", number(1 << 34)))}),
        ),
    )
    yield "archive without a pickle", with_bytes("x.pt", lambda: zipped({"a.txt": b"x"}))
    yield "archive with two folders", with_bytes("x.pt", lambda: zipped({"a/data.pkl": sound, "b/data.pkl": sound}))
    yield (
        "archive that is TorchScript",
        with_bytes("x.pt", lambda: zipped({"a/constants.pkl": b"", "a/data.pkl": sound})),
    )
    yield "archive without its tensors", with_bytes("x.pt", lambda: archive(sound))
    yield (
        "archive marked as encrypted",
        with_bytes(
            "x.pt",
            lambda: archive(sound, members=data).replace(
                b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
            ),
        ),
    )


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return stream.getvalue()


def packed_bomb(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "x.pt", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/version", b"3\n")
        with file.open("archive/data.pkl", "w", force_zip64=True) as member:
            member.write(b"\x80\x02" + b"X" + struct.pack("<I", 2_000_000_000))
            for _ in range(2000):
                member.write(bytes(1_000_000))
    return folder / "x.pt"
