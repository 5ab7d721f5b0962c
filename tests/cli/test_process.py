"""How programs end: streams that cannot be written, signals, and processes that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from segearth_ov3.cli.process import Advice, describe
from segearth_ov3.errors import DatasetError

COMMAND = [sys.executable, "-m", "segearth_ov3"]
PROGRAM = """
import os, sys, time
from pathlib import Path
from segearth_ov3.atomic import complete_or_absent
from segearth_ov3.cli.process import Advice, exit_code_of, managed_process

def work():
    with complete_or_absent(Path("result.txt")) as partial:
        partial.write_text("half")
        {body}

with managed_process():
    sys.exit(exit_code_of(work, advise=lambda: Advice("use --resume")))
"""


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash with `segearth-ov3` in it; a pipeline's exit code is that of its first command."""
    line = command.replace("segearth-ov3", " ".join(COMMAND)) + '; exit "${PIPESTATUS[0]}"'
    return subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False)


def start(body: str, folder: Path, **options: object) -> subprocess.Popen[str]:
    """Start a program that writes a file slowly, and wait until it has begun."""
    code = textwrap.dedent(PROGRAM).replace("{body}", body)
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True, **options
    )
    deadline = time.monotonic() + 30
    while not list(folder.glob(".result.txt.*/result.txt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


# ---- standard streams


@pytest.mark.parametrize(
    "command", ["segearth-ov3 datasets", "segearth-ov3 --help", "segearth-ov3 segment --help", "segearth-ov3 --version"]
)
def test_reader_that_goes_away_ends_a_command_in_silence(command: str, tmp_path: Path) -> None:
    done = shell(f"(sleep 0.5; {command}) | true", tmp_path)
    assert (done.returncode, done.stderr) == (141, "" if "datasets" not in command else NO_FOLDER)


NO_FOLDER = "No folder data; name the folder of all sets by --root or SEGEARTH_OV3_DATA.\n"


@pytest.mark.parametrize(
    ("target", "reason"), [(">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")]
)
@pytest.mark.parametrize("command", ["segearth-ov3 datasets --root .", "segearth-ov3 --help"])
def test_standard_output_that_cannot_be_written_is_one_line(
    command: str, target: str, reason: str, tmp_path: Path
) -> None:
    done = shell(f"{command} {target}", tmp_path)
    assert (done.returncode, done.stderr) == (1, f"Error: cannot write to standard output: {reason}\n")


@pytest.mark.parametrize("target", ["2>/dev/full", "2>&-", "<&- 2>&-"])
def test_messages_that_cannot_be_written_are_dropped(target: str, tmp_path: Path) -> None:
    done = shell(f"segearth-ov3 datasets {target}", tmp_path)
    assert (done.returncode, done.stdout.partition("\n")[0]) == (0, "Multi-class remote sensing")
    assert shell(f"segearth-ov3 datasets nowhere {target}", tmp_path).returncode == 1


def test_result_is_whole_when_its_table_cannot_be_written(tmp_path: Path) -> None:
    done = shell("segearth-ov3 demo --size 64 --out . --quiet >/dev/full 2>err.txt", tmp_path)
    assert done.returncode == 1
    last = (tmp_path / "err.txt").read_text().splitlines()[-1]
    assert last == "Error: cannot write to standard output: No space left on device"
    assert {"scene.tif", "truth.tif", "classes.tif", "overlay.png"} < {path.name for path in tmp_path.iterdir()}


def test_letters_that_the_terminal_lacks_are_escaped(tmp_path: Path) -> None:
    done = shell("PYTHONIOENCODING=ascii segearth-ov3 datasets gid", tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


def test_closed_streams_do_not_lend_their_numbers_to_files(tmp_path: Path) -> None:
    body = "Path('number.txt').write_text(str(os.open('other.txt', os.O_CREAT | os.O_RDWR)))"
    code = textwrap.dedent(PROGRAM).replace("{body}", body)
    (tmp_path / "program.py").write_text(code)
    subprocess.run(["bash", "-c", f"{sys.executable} program.py <&- >&- 2>&-"], cwd=tmp_path, check=True)
    assert int((tmp_path / "number.txt").read_text()) > 2


# ---- signals


@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "Interrupted; use --resume\n"),
        (signal.SIGTERM, 143, "Terminated; use --resume\n"),
        (signal.SIGHUP, 129, ""),
    ],
)
def test_signal_ends_the_work_and_removes_what_is_unfinished(number: int, code: int, line: str, tmp_path: Path) -> None:
    process = start("time.sleep(60)", tmp_path)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err, list(tmp_path.iterdir())) == (code, line, [])


def test_second_interruption_stops_during_clean_up(tmp_path: Path) -> None:
    process = start("try: time.sleep(60)\n        finally: Path('cleaning').touch(); time.sleep(60)", tmp_path)
    process.send_signal(signal.SIGINT)
    while not (tmp_path / "cleaning").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "")


def test_interruption_that_a_library_turns_into_another_error_is_still_one(tmp_path: Path) -> None:
    body = "try: time.sleep(60)\n        except KeyboardInterrupt: raise ImportError('numpy failed') from None"
    process = start(body, tmp_path)
    process.send_signal(signal.SIGINT)
    assert (process.communicate(timeout=30)[1], process.returncode) == ("Interrupted; use --resume\n", 130)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_that_a_destructor_loses_is_repeated(number: int, tmp_path: Path) -> None:
    body = "X = type('X', (), {'__del__': lambda self: time.sleep(60)}); X(); time.sleep(60)"
    process = start(body, tmp_path)
    time.sleep(0.2)
    process.send_signal(number)
    word = "Interrupted" if number == signal.SIGINT else "Terminated"
    assert (process.communicate(timeout=30)[1], process.returncode) == (f"{word}; use --resume\n", 128 + number)


def test_what_destructors_raise_after_a_signal_is_not_shown(tmp_path: Path) -> None:
    body = "x = type('X', (), {'__del__': lambda self: 1 / 0})(); time.sleep(60)"
    process = start(body, tmp_path)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == "Interrupted; use --resume\n"


def test_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    process = start("time.sleep(1)", tmp_path, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=30)
    assert (process.returncode, [path.name for path in tmp_path.iterdir()]) == (0, ["result.txt"])


def test_worker_process_leaves_an_interruption_to_its_parent(tmp_path: Path) -> None:
    body = "pid = os.fork(); time.sleep(60 if pid else 0.5); pid or os._exit(7)"
    process = start(body, tmp_path)
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    assert (process.communicate(timeout=30)[1], process.returncode) == ("Interrupted; use --resume\n", 130)


def test_terminal_that_dies_does_not_end_the_work(tmp_path: Path) -> None:
    """Messages go to a pseudo-terminal whose other side is closed; each write fails there with EIO."""
    main_side, other_side = os.openpty()
    code = "print('lost', file=sys.stderr, flush=True)\n        from segearth_ov3.messages import say; say('lost too')"
    (tmp_path / "program.py").write_text(textwrap.dedent(PROGRAM).replace("{body}", code))
    os.close(main_side)
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, stdout=other_side, stderr=other_side, check=False
    )
    os.close(other_side)
    assert (done.returncode, (tmp_path / "result.txt").read_text()) == (0, "half")


# ---- one line on an error


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"),
            "a process that reads images was killed, usually because memory ran out; use fewer --workers; use --resume",
        ),
        (
            DatasetError("Caught DatasetError in DataLoader worker process 0.\nTraceback: x\nDatasetError: no a.png"),
            "no a.png",
        ),
        (OSError(28, "No space left on device", "records.jsonl"), "records.jsonl: No space left on device"),
        (MemoryError(), "out of memory; use fewer classes"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "out of memory; use fewer classes"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_is_described_in_one_line(error: Exception, line: str) -> None:
    assert describe(error, Advice("use --resume", "use fewer classes")) == line


def test_fault_of_the_program_is_reported_even_without_a_folder_for_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    line = "KeyError: 'x'; this is a fault of the program, please report it"
    assert describe(KeyError("x")) == line


# ---- interruptions of commands at every stage


@pytest.mark.slow
def test_interrupted_command_never_shows_a_traceback(tmp_path: Path) -> None:
    for step in range(1, 40):
        folder = tmp_path / str(step)
        process = subprocess.Popen(
            [*COMMAND, "demo", "--size", "128", "--out", str(folder)], stderr=subprocess.PIPE, text=True
        )
        time.sleep(0.15 * step)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert "Traceback" not in err, (step, err)
        assert process.returncode in (0, 130, -2), (step, err)  # -2: before Python runs our code, or after it
