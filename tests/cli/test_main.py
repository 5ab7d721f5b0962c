from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from segearth_ov3.cli import main as main_module
from segearth_ov3.cli.main import COMMANDS, main
from segearth_ov3.errors import CheckpointError, RasterWarning, UnknownNameError
from segearth_ov3.version import __version__


def run_command(
    monkeypatch: pytest.MonkeyPatch, body: object, *arguments: str, options: Sequence[click.Parameter] = ()
) -> Result:
    """Run `segearth-ov3 probe`, a command with the given body."""
    command = click.Command("probe", callback=body, params=list(options))  # type: ignore[arg-type]
    monkeypatch.setattr(main_module, "probe", command, raising=False)
    monkeypatch.setitem(COMMANDS, "probe", main_module._Command("segearth_ov3.cli.main:probe", "Try it."))
    return CliRunner().invoke(main, [*arguments, "probe"])


def test_help_lists_every_command_with_its_purpose() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name, command in COMMANDS.items():
        assert f"{name} " in result.stdout
        assert command.short_help in result.stdout


def test_version_is_printed() -> None:
    assert CliRunner().invoke(main, ["--version"]).stdout == f"segearth-ov3, version {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_be_loaded_under_its_name(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {name} ")


def test_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["segmnt"])
    assert result.exit_code == 2
    assert "No such command 'segmnt'" in result.stderr


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (CheckpointError("no weights;\n  ask for them"), "Error: no weights; ask for them\n"),
        (UnknownNameError("unknown refiner 'x'"), "Error: unknown refiner 'x'\n"),
    ],
)
def test_errors_of_the_package_are_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    def body() -> None:
        raise error

    result = run_command(monkeypatch, body)
    assert (result.exit_code, result.stderr, result.stdout) == (1, line, "")


def test_debug_shows_where_an_error_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    error = CheckpointError("no weights")

    def body() -> None:
        raise error

    assert run_command(monkeypatch, body, "--debug").exception is error


def test_mistakes_in_the_program_are_one_line_and_a_log_with_the_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = run_command(monkeypatch, lambda: 1 / 0)
    (log,) = tmp_path.glob("segearth-ov3-*.log")
    line = f"Error: ZeroDivisionError: division by zero; this is a fault of the program, please report it with {log}\n"
    assert (result.exit_code, result.stderr) == (1, line)
    assert "Traceback (most recent call last)" in log.read_text()
    assert "ZeroDivisionError: division by zero" in log.read_text()


def test_errors_of_the_system_name_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_command(monkeypatch, lambda: Path("/nowhere/x").read_bytes())
    assert (result.exit_code, result.stderr) == (1, "Error: /nowhere/x: No such file or directory\n")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate")], ids=repr)
def test_lack_of_memory_names_options_of_the_command(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def body(**values: object) -> None:
        raise error

    options = [click.Option(["--dtype"]), click.Option(["--resume"])]
    result = run_command(monkeypatch, body, options=options)
    assert (result.exit_code, result.stderr) == (1, "Error: out of memory; use --dtype bfloat16\n")
    assert "close other programs" in run_command(monkeypatch, body).stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_hints_on_memory_work_in_each_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hint is given by option, so the values it names must be admissible there."""
    module, _, attribute = COMMANDS[name].place.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    for option, value in [("--dtype", "bfloat16"), ("--device", "cpu")]:
        for param in command.params:
            if option in param.opts:
                param.type.convert(value, param, None)


def test_interruption_of_a_command_that_resumes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(**values: object) -> None:
        raise KeyboardInterrupt

    result = run_command(monkeypatch, body, options=[click.Option(["--resume"], is_flag=True)])
    expected = "Interrupted; repeat the command with --resume to continue\n"
    assert (result.exit_code, result.stderr) == (130, expected)


def test_unknown_command_is_answered_with_the_closest() -> None:
    assert "No such command 'segmnt'. Did you mean 'segment'?" in CliRunner().invoke(main, ["segmnt"]).stderr


def test_interruption_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def body() -> None:
        raise KeyboardInterrupt

    result = run_command(monkeypatch, body)
    assert (result.exit_code, result.stderr) == (130, "Interrupted.\n")


def test_warnings_of_the_package_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def body() -> None:
        warnings.warn("no areas:\n no place", RasterWarning, stacklevel=1)

    result = run_command(monkeypatch, body)
    assert (result.exit_code, result.stderr) == (0, "Warning: no areas: no place\n")


def test_handling_of_warnings_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = warnings.showwarning, list(warnings.filters)
    run_command(monkeypatch, lambda: None)
    assert (warnings.showwarning, list(warnings.filters)) == before


@pytest.mark.parametrize(
    ("value", "message"),
    [("bfloat", "did you mean 'bfloat16'?"), ("double", "'double' is not one of 'auto', 'float32'")],
)
def test_wrong_word_of_an_option_is_answered_with_the_closest(value: str, message: str) -> None:
    result = CliRunner().invoke(main, ["segment", "a.tif", "b.tif", "--dtype", value])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
