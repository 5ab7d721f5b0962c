"""Locks between processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest

from segearth_ov3.errors import DatasetError, RasterError
from segearth_ov3.locks import exclusive_lock

HOLDER = """
import sys, time
from pathlib import Path
from segearth_ov3.errors import RasterError
from segearth_ov3.locks import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), "held", RasterError):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock `tmp_path / "lock"`."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_second_process_is_refused_by_name(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    lock = exclusive_lock(tmp_path / "lock", "work_dirs/demo", DatasetError)
    with pytest.raises(DatasetError, match=r"^work_dirs/demo: another process is working on it"), lock:
        pass


def test_killed_process_leaves_the_lock_free(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with exclusive_lock(tmp_path / "lock", "map.tif", RasterError):
        assert (tmp_path / "lock").exists()


def test_lock_is_free_after_an_error_inside(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(KeyError), exclusive_lock(tmp_path / "lock", "map.tif", RasterError):
            raise KeyError


def test_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(RasterError, match="has no locks"), exclusive_lock(tmp_path / "lock", "map.tif", RasterError):
        pass
