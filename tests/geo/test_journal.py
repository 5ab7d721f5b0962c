"""The records themselves; that interrupted runs write the same bytes is in test_stream.py."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segearth_ov3.errors import RasterError, RasterWarning
from segearth_ov3.geo.journal import BAND_ROWS, Journal, Layer
from segearth_ov3.geo.unfinished import open_journal, partial_folder

LAYERS = {"labels": Layer("uint8", 1), "scores": Layer("float32", 3)}
SIZE = (BAND_ROWS + 10, 7)
STRIPS = [range(4), range(4, 7)]


class Ended(Exception):
    pass


@contextlib.contextmanager
def journal_of(destination: Path, settings: dict[str, Any] | None = None, **options: bool) -> Iterator[Journal]:
    with open_journal(destination, settings or {"window": 5}, LAYERS, SIZE, STRIPS, **options) as journal:
        yield journal


def arrays(strip: int, band: int) -> dict[str, np.ndarray]:
    """Layers of a record, different for each."""
    shape = (BAND_ROWS if band == 0 else 10), len(STRIPS[strip])
    rng = np.random.default_rng(10 * strip + band)
    return {"labels": rng.integers(0, 9, (1, *shape)), "scores": rng.random((3, *shape))}


def end_after(
    destination: Path, records: list[tuple[int, int]], settings: dict[str, Any] | None = None, **options: bool
) -> None:
    """A run that adds some records and ends with an error."""
    with contextlib.suppress(Ended), journal_of(destination, settings, **options) as journal:
        for strip, band in records:
            journal.add(strip, band, arrays(strip, band))
        raise Ended


def test_strips_come_back_side_by_side(tmp_path: Path) -> None:
    with journal_of(tmp_path / "c.tif") as journal:
        for band in (0, 1):
            for strip in (1, 0):
                journal.add(strip, band, arrays(strip, band))
        for band in (0, 1):
            read = journal.read(band)
            for name, layer in LAYERS.items():
                whole = np.concatenate([arrays(strip, band)[name] for strip in (0, 1)], axis=2)
                assert read[name].dtype == layer.dtype
                assert np.array_equal(read[name], whole.astype(layer.dtype))
    assert list(tmp_path.iterdir()) == []


def test_finished_rows_are_those_from_the_top_without_a_gap(tmp_path: Path) -> None:
    end_after(tmp_path / "c.tif", [(0, 0), (1, 1)])
    with contextlib.suppress(Ended), journal_of(tmp_path / "c.tif", resume=True) as journal:
        assert [journal.finished_rows(strip) for strip in (0, 1)] == [BAND_ROWS, 0]
        journal.add(0, 1, arrays(0, 1))
        assert journal.finished_rows(0) == SIZE[0]
        raise Ended


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_record_that_was_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    end_after(tmp_path / "c.tif", [(0, 0), (0, 1)])
    rows = partial_folder(tmp_path / "c.tif") / "rows"
    rows.write_bytes(rows.read_bytes()[:-cut])
    end_after(tmp_path / "c.tif", [(0, 1)], resume=True)
    with contextlib.suppress(Ended), journal_of(tmp_path / "c.tif", resume=True) as journal:
        assert journal.finished_rows(0) == SIZE[0]
        journal.add(1, 1, arrays(1, 1))
        assert journal.finished_rows(1) == 0
        raise Ended


@pytest.mark.parametrize("tail", [b"\0" * 200, b"rows" + b"\0" * 30, b"rows", b"\x07" * 99])
def test_rubbish_at_the_end_is_dropped(tmp_path: Path, tail: bytes) -> None:
    """After a power failure a file may end in zeros."""
    end_after(tmp_path / "c.tif", [(0, 0), (1, 0)])
    rows = partial_folder(tmp_path / "c.tif") / "rows"
    before = rows.read_bytes()
    rows.write_bytes(before + tail)
    message = rf"rows is damaged after {len(before)} of {len(before) + len(tail)} bytes; rows from there are computed"
    warned = pytest.warns(RasterWarning, match=message) if len(tail) > 4 else contextlib.nullcontext()
    with warned:
        end_after(tmp_path / "c.tif", [], resume=True)
    assert rows.read_bytes() == before


def test_damaged_record_is_computed_again_with_a_warning(tmp_path: Path) -> None:
    end_after(tmp_path / "c.tif", [(0, 0), (1, 0)])
    rows = partial_folder(tmp_path / "c.tif") / "rows"
    content = bytearray(rows.read_bytes())
    content[100] ^= 1
    rows.write_bytes(content)
    with pytest.warns(RasterWarning, match=r"rows is damaged after 0 of \d+ bytes; rows from there are computed again"):
        end_after(tmp_path / "c.tif", [], resume=True)
    end_after(tmp_path / "c.tif", [(0, 0)])


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, None], ids=["empty", "cut", "list", "nested", "gone"])
def test_damaged_settings_are_one_line_and_lose_no_row(tmp_path: Path, text: str | None) -> None:
    end_after(tmp_path / "c.tif", [(0, 0)])
    folder = partial_folder(tmp_path / "c.tif")
    before = (folder / "rows").read_bytes()
    (folder / "settings.json").unlink() if text is None else (folder / "settings.json").write_text(text)
    for options in ({}, {"resume": True}):
        with pytest.raises(RasterError, match=r"settings\.json is damaged .*; start again with --overwrite"):
            end_after(tmp_path / "c.tif", [], **options)
    assert (folder / "rows").read_bytes() == before
    end_after(tmp_path / "c.tif", [(1, 0)], overwrite=True)
    assert (folder / "settings.json").read_text() == '{"window": 5}'


def test_record_of_another_size_is_one_line(tmp_path: Path) -> None:
    """Its checksum is right, so only the layers can tell."""
    end_after(tmp_path / "c.tif", [(0, 0), (0, 1), (1, 0), (1, 1)])
    rows = partial_folder(tmp_path / "c.tif") / "rows"
    for content in (zlib.compress(b"short"), zlib.compress(bytes(10**7)), b"not compressed"):
        start = b"".join(_record(0, 0, content))
        rows.write_bytes(start)
        with (
            contextlib.suppress(Ended),
            journal_of(tmp_path / "c.tif", resume=True) as journal,
        ):
            for strip, band in ((0, 1), (1, 0), (1, 1)):
                journal.add(strip, band, arrays(strip, band))
            with pytest.raises(RasterError, match=r"rows is damaged \(record of strip 0, band 0\).*--overwrite"):
                journal.read(0)
            raise Ended


def _record(strip: int, band: int, content: bytes) -> tuple[bytes, bytes]:
    checksum = zlib.crc32(content, zlib.crc32(struct.pack("<II", strip, band)))
    return struct.pack("<4sIIIQ", b"rows", strip, band, checksum, len(content)), content


@pytest.mark.parametrize("linked", ["", "settings.json", "rows", "lock"])
@pytest.mark.parametrize("options", [{}, {"resume": True}, {"overwrite": True}])
def test_symbolic_link_in_the_place_of_the_journal_is_refused(
    tmp_path: Path, linked: str, options: dict[str, bool]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("not mine")
    folder = partial_folder(tmp_path / "c.tif")
    if linked:
        folder.mkdir()
        (folder / linked).symlink_to(elsewhere / "kept")
    else:
        folder.symlink_to(elsewhere)
    with pytest.raises(RasterError, match="is a symbolic link, which is not followed; remove it"):
        end_after(tmp_path / "c.tif", [], **options)
    assert [(path.name, path.read_text()) for path in elsewhere.iterdir()] == [("kept", "not mine")]


def test_discarded_records_are_removed(tmp_path: Path) -> None:
    with contextlib.suppress(Ended), journal_of(tmp_path / "c.tif") as journal:
        journal.add(0, 0, arrays(0, 0))
        journal.discard()
        raise Ended
    assert list(tmp_path.iterdir()) == []


FULL = """
    import resource, signal, sys
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from geo.test_journal import arrays, journal_of

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with journal_of(Path({destination!r})) as journal:
        journal.add(0, 0, arrays(0, 0))
        size = (journal.folder / "rows").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5000, size + 5000))
        journal.add(1, 0, arrays(1, 0))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs limits of processes")
def test_file_that_cannot_grow_is_one_error_and_keeps_what_is_finished(tmp_path: Path) -> None:
    """The operating system takes a part of the record and refuses the rest, as on a full disk."""
    tests = str(Path(__file__).resolve().parents[1])
    code = textwrap.dedent(FULL).format(tests=tests, destination=str(tmp_path / "c.tif"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(tests).parent), tests])}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False, text=True)
    assert "RasterError: cannot write to" in ended.stderr.splitlines()[-1]
    assert "continue with --resume" in ended.stderr.splitlines()[-1]
    with contextlib.suppress(Ended), journal_of(tmp_path / "c.tif", resume=True) as journal:
        assert journal.finished_rows(0) == BAND_ROWS
        raise Ended


def test_full_disk_is_one_line_and_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    end_after(tmp_path / "c.tif", [(0, 0)])
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RasterError, match=r"partial: No space left on device; .* make room and continue with --resume"):
        end_after(tmp_path / "c.tif", [(1, 0)], resume=True)
    monkeypatch.undo()
    with contextlib.suppress(Ended), journal_of(tmp_path / "c.tif", resume=True) as journal:
        assert journal.finished_rows(0) == BAND_ROWS
        raise Ended


def test_nan_among_the_settings_is_equal_to_itself(tmp_path: Path) -> None:
    settings = {"nodata": float("nan"), "window": (5, 5)}
    end_after(tmp_path / "c.tif", [(0, 0)], settings)
    with contextlib.suppress(Ended), journal_of(tmp_path / "c.tif", settings, resume=True) as journal:
        assert journal.finished_rows(0) == BAND_ROWS
        raise Ended


def test_long_settings_that_differ_at_their_end_are_told_apart(tmp_path: Path) -> None:
    words = ["a class with a long name"] * 50
    end_after(tmp_path / "c.tif", [(0, 0)], {"classes": words})
    with pytest.raises(RasterError, match=r"classes was \[.*\.\.\. \(\w{8}\), is \[.*\.\.\. \(\w{8}\); repeat"):
        end_after(tmp_path / "c.tif", [], {"classes": [*words, "one more"]}, resume=True)


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    with (
        journal_of(tmp_path / "c.tif"),
        pytest.raises(RasterError, match=r"c\.tif: another process is working on it; wait for it to end"),
    ):
        end_after(tmp_path / "c.tif", [], resume=True)
