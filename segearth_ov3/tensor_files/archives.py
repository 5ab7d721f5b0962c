"""Check the zip archive that `torch.save` writes before PyTorch opens it.

`torch.save` stores its members uncompressed, in one folder, without a comment. An archive that differs is refused: it
could unpack to any size, or show one content to this check and another to PyTorch.
"""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import BinaryIO

from ..errors import CheckpointError, printable
from .pickles import PickleCheck

MOST_PICKLE_BYTES = 32 << 20  # SAM 3.1's pickle has less than 1 MB
_MOST_MEMBERS = 100_000  # one for each tensor
_MOST_DIRECTORY_BYTES = 16 << 20

_END = struct.Struct("<4s4H2LH")  # end of the directory
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")


def check_archive(path: Path) -> None:
    """Make sure that an archive holds a pickle of tensors, and as many bytes as it states.

    Args:
        path: The file, which starts like a zip archive.

    Raises:
        CheckpointError: It is a TorchScript archive, or not as `torch.save` writes it.
        RefusedPickle: Its pickle holds something else than tensors, numbers and texts.
        ValueError: It is truncated or damaged.
    """
    with path.open("rb") as file:
        _check_directory_size(file)
        try:
            with zipfile.ZipFile(file) as archive:
                members = {member.filename: member for member in archive.infolist()}
                _check_members(path, members, len(archive.infolist()))
                pickled = next(name for name in members if name.endswith("/data.pkl"))
                content = archive.read(pickled)
        except (zipfile.BadZipFile, RuntimeError) as error:  # the latter: encrypted, or of a newer zip version
            raise ValueError(str(error)) from error
    check = PickleCheck()
    check.check(io.BytesIO(content))
    folder = pickled.removesuffix("data.pkl")
    for key, size in check.storages.items():
        member = members.get(f"{folder}data/{key}")
        if member is None or member.file_size < size:
            raise ValueError(f"storage {printable(key)} is missing or too short")


def _check_directory_size(file: BinaryIO) -> None:
    """Check that the directory of members, whose place the end of the archive gives, is there and of usual size."""
    size = file.seek(0, io.SEEK_END)
    end = size - _END.size
    if end < 0:
        raise ValueError("the file is too short")
    magic, _, _, _, members, length, start, comment = _END.unpack(_read_at(file, end, _END.size))
    if magic != b"PK\x05\x06" or comment:
        raise ValueError("the directory at its end is missing")
    locator = end - _END64_LOCATOR.size
    if locator >= _END64.size:
        magic64, _, position, _ = _END64_LOCATOR.unpack(_read_at(file, locator, _END64_LOCATOR.size))
        if magic64 == b"PK\x06\x07":
            end = locator - _END64.size
            *_, members, length, start = _END64.unpack(_read_at(file, end, _END64.size))
            if position != end:
                raise ValueError("malformed directory")
    if start + length != end:
        raise ValueError("malformed directory")
    if members > _MOST_MEMBERS or length > _MOST_DIRECTORY_BYTES:
        raise ValueError(f"it has {members} members, more than {_MOST_MEMBERS}")


def _read_at(file: BinaryIO, position: int, size: int) -> bytes:
    file.seek(position)
    return file.read(size)


def _check_members(path: Path, members: dict[str, zipfile.ZipInfo], count: int) -> None:
    if any(name.endswith("/constants.pkl") for name in members):
        raise CheckpointError(f"checkpoint {path} is a TorchScript archive, which contains code, and was refused")
    if not any(name.endswith("/data.pkl") for name in members):
        raise CheckpointError(f"{path} is a zip archive but not a PyTorch file; unpack it and name the file in it")
    packed = [member for member in members.values() if member.compress_type != zipfile.ZIP_STORED]
    if packed:
        unpacked = sum(member.file_size for member in packed)
        raise CheckpointError(
            f"checkpoint {path} was refused: {len(packed)} of its members are compressed ({unpacked / 1e9:.1f} GB when "
            f"unpacked), which torch.save never does; fetch it again"
        )
    # names that differ in case only are one name to PyTorch
    if len({name.lower() for name in members}) < count or len({name.partition("/")[0] for name in members}) > 1:
        raise ValueError("its members are not named as torch.save does")
    others = sum(member.file_size for name, member in members.items() if "/data/" not in name)
    if others > MOST_PICKLE_BYTES:
        raise ValueError(f"{others / 1e6:.0f} MB of it are not tensors")
