"""How a program ends: every end is an exit code and at most one line on standard error.

    0    done
    1    a mistake of the user, a failure of the machine, or a fault of the program (its traceback goes to a log file)
    2    wrong arguments
    129, 130, 143   stopped by SIGHUP (terminal closed), SIGINT (Ctrl-C) or SIGTERM; unfinished files are removed
    141  nobody reads standard output any more (`| head`)

A second Ctrl-C stops at once, without removing unfinished files. Messages that cannot be written (closed terminal, full
disk) are dropped, because the results matter more; data that cannot be written to standard output are an error.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import click

from ..errors import SegEarthError, is_out_of_memory
from ..messages import one_line_warnings, say

_WORDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}


class Advice(NamedTuple):
    """What the user can do, by options that the program has.

    Attributes:
        resume: After an interruption.
        memory: Where memory ran out.
    """

    resume: str = ""
    memory: str = ""


NO_ADVICE = Advice()


class Stopped(BaseException):
    """The process was asked to end by a signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class _Signals:
    """What has arrived: an import or a callback may turn the exception of a handler into another one."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.received: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self.process:  # a forked worker, which its parent stops
            if number != signal.SIGINT:
                os._exit(128 + number)
            return
        if self.received is not None:
            os._exit(128 + number)
        self.received = number
        raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)

    def handle_unraisable(self, event: Any) -> None:
        """Drop what destructors raise after a signal; repeat the signal if its own exception was lost in one."""
        if self.received is None:
            sys.__unraisablehook__(event)
        elif isinstance(event.exc_value, (KeyboardInterrupt, Stopped)):
            number, self.received = self.received, None
            threading.Timer(0.1, os.kill, (self.process, number)).start()


_signals = _Signals()


def was_stopped() -> bool:
    """Whether a signal has asked the process to end, even if a library has replaced its exception."""
    return _signals.received is not None


class _Output(io.FileIO):
    """Standard output; the program ends when it cannot be written."""

    _lost = False

    def write(self, data: Any) -> int:
        if self._lost:
            return len(data)
        try:
            return super().write(data) or 0
        except OSError as error:
            self._lost = True
            if error.errno == errno.EPIPE:
                raise SystemExit(128 + signal.SIGPIPE) from None
            say(f"Error: cannot write to standard output: {error.strerror}")
            raise SystemExit(1) from None


class _Messages(io.FileIO):
    """Standard error; what cannot be written is dropped."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data) or 0
        except OSError:
            return len(data)


@contextlib.contextmanager
def managed_process() -> Iterator[None]:
    """Let signals end the block with its clean-up, and make the standard streams safe to use.

    Streams that another program has put in the place of the process's own stay as they are.
    """
    _open_missing_streams()
    owns_process = sys.stdout is sys.__stdout__
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text_stream(_Messages(2, "w", closefd=False), sys.stderr, buffered=False)
    if owns_process:
        sys.stdout = _text_stream(_Output(1, "w", closefd=False), sys.stdout)
    earlier, earlier_hook = _install_handlers(), sys.unraisablehook
    sys.unraisablehook = _signals.handle_unraisable
    try:
        yield
    finally:
        sys.stdout.flush()
        if not owns_process:
            sys.unraisablehook = earlier_hook
        for number, handler in earlier.items():  # at the end of a process, a signal has nothing to clean up any more
            signal.signal(number, signal.SIG_DFL if owns_process else handler)


def exit_code_of(
    work: Callable[[], int | None],
    *,
    prefix: str = "Error",
    advise: Callable[[], Advice] = Advice,
    debug: bool = False,
) -> int:
    """Do a program's work and say in one line what went wrong.

    Args:
        work: Returns the exit code; None is 0.
        prefix: Before the line of an error.
        advise: Called when something went wrong.
        debug: Let errors through, so that their traceback is shown.

    Returns:
        The exit code of `work`, or one of those above.

    Raises:
        click.exceptions.ClickException, click.exceptions.Exit, click.Abort, SystemExit: As `work` raised them.
    """
    with one_line_warnings():
        try:
            return work() or 0
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            return _stopped(signal.SIGINT, advise().resume)
        except Stopped as stop:
            return _stopped(stop.exit_code - 128, advise().resume)
        except Exception as error:
            if _signals.received is not None:
                return _stopped(_signals.received, advise().resume)
            if debug:
                raise
            say(f"{prefix}: {describe(error, advise())}")
            return 1


class Program(click.Command):
    """A command that is a program: it ends as described above."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the program; its standard streams and signals are managed."""
        with managed_process():
            return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Do the work; what goes wrong becomes one line on standard error."""
        run = super().invoke
        debug = ctx.params.get("debug", False)
        ctx.exit(exit_code_of(lambda: run(ctx), advise=lambda: self.advice(ctx), debug=debug))

    def advice(self, ctx: click.Context) -> Advice:
        """What the user can do where the work was stopped or memory ran out."""
        return Advice()


def describe(error: Exception, advice: Advice = NO_ADVICE) -> str:
    """One line on an error; the traceback of one that nobody expected goes to a log file.

    Args:
        error: The error.
        advice: What the user can do.
    """
    if is_out_of_memory(error):
        return f"out of memory; {advice.memory or 'close other programs, or use a machine with more memory'}"
    text = " ".join(str(error).split())
    if text.startswith("Caught "):  # by a data loading process, which passes on its traceback
        text = str(error).strip().splitlines()[-1].partition(": ")[2]
    elif text.startswith("DataLoader worker"):
        reason = "a process that reads images was killed, usually because memory ran out; use fewer --workers"
        return f"{reason}; {advice.resume}" if advice.resume else reason
    if isinstance(error, SegEarthError):
        return text
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else text
    return f"{type(error).__name__}: {text}; this is a fault of the program, {_report(error)}"


def _report(error: Exception) -> str:
    """Save the traceback, and say where."""
    try:
        handle, path = tempfile.mkstemp(prefix="segearth-ov3-", suffix=".log")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{' '.join(sys.argv)}\n\n{''.join(traceback.format_exception(error))}")
    except OSError:
        return "please report it"
    return f"please report it with {path}"


def _stopped(number: int, resume: str) -> int:
    """Say that the work was stopped, unless nobody is there to read it."""
    if number in _WORDS:
        say(_WORDS[signal.Signals(number)] + (f"; {resume}" if resume else "."))
    return 128 + number


def _open_missing_streams() -> None:
    """Occupy closed standard streams, so that no file of the program gets their number.

    The output is opened for reading, so that writing to it fails, as it would have.
    """
    for number, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        if not _is_open(number):
            os.open(os.devnull, mode)  # gets the lowest free number


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _text_stream(raw: io.FileIO, like: Any, *, buffered: bool = True) -> io.TextIOWrapper:
    """A text stream around a raw one; letters that the encoding lacks are escaped."""
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(like, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=not buffered or raw.isatty(),
        write_through=not buffered,
    )


def _install_handlers() -> dict[int, Any]:
    """Handle signals that end a process, but those that are ignored (`nohup`); return the handlers of before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    _signals.process, _signals.received = os.getpid(), None
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    numbers = [getattr(signal, name) for name in names]
    return {
        number: signal.signal(number, _signals.handle)
        for number in numbers
        if signal.getsignal(number) not in (signal.SIG_IGN, None)
    }
