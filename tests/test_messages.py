"""Lines, warnings and bars on standard error."""

from __future__ import annotations

import io
import logging
import sys
import warnings

import pytest

from segearth_ov3.errors import RasterWarning
from segearth_ov3.messages import one_line_warnings, progress_bar, progress_function, say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(text: str) -> list[str]:
    """The lines of a terminal after a text with carriage returns; letters of earlier states are overwritten."""
    return [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n")]


def test_warning_beside_a_bar_has_a_line_of_its_own_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with one_line_warnings(), progress_bar("segmenting", "window", total=3) as bar:
        bar.update()
        warnings.warn("no areas", RasterWarning, stacklevel=1)
        bar.update()
    assert "Warning: no areas" in shown(sys.stderr.getvalue())


def test_warning_beside_a_bar_has_a_line_of_its_own_in_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("segearth_ov3.messages.LOG_INTERVAL_S", 0)
    with one_line_warnings(), progress_bar("segmenting", "window", total=3) as bar:
        bar.update()
        warnings.warn("no areas", RasterWarning, stacklevel=1)
        bar.update(2)
    err = capsys.readouterr().err
    assert "\r" not in err
    lines = err.splitlines()
    assert "Warning: no areas" in lines
    assert {line.partition(":")[0] for line in lines} == {"segmenting", "Warning"}
    assert "3/3" in lines[-1]


def test_log_has_the_first_and_the_last_state_of_short_work(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("segmenting", "window", total=200) as bar:
        for _ in range(200):
            bar.update()
    first, last = capsys.readouterr().err.splitlines()
    assert "0/200" in first
    assert "200/200" in last


def test_quiet_bar_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("segmenting", "window", quiet=True, total=1) as bar:
        bar.update()
    assert capsys.readouterr().err == ""


def test_equal_warnings_are_shown_once_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with one_line_warnings():
        for name in ("a", "a", "b", "a"):
            warnings.warn(name, RasterWarning, stacklevel=1)
    assert capsys.readouterr().err.splitlines() == ["Warning: a", "Warning: b", "Warning: 3 times: a"]


def test_warning_of_another_package_is_one_line_with_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    with one_line_warnings():
        warnings.simplefilter("default")
        warnings.warn_explicit("old\n call", UserWarning, "/venv/lib/python3/site-packages/timm/layers.py", 3)
        warnings.warn_explicit("mine", UserWarning, "/home/me/refiner.py", 3)
    assert capsys.readouterr().err.splitlines() == [
        "Warning: timm: old call (UserWarning)",
        "Warning: refiner.py: mine (UserWarning)",
    ]


def test_say_prints_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("ready")
    assert capsys.readouterr().err == "ready\n"


def test_progress_function_shows_nothing_before_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), progress_function("reading", "row"):
        1 / 0  # noqa: B018
    assert capsys.readouterr().err == ""


def test_progress_function_begins_with_what_was_done_before(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_function("reading", "row") as show:
        show(3, 5)
        show(5, 5)
    first, last = capsys.readouterr().err.splitlines()
    assert "3/5" in first
    assert "5/5" in last


def test_logged_warnings_are_lines_with_the_name_of_their_package(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with one_line_warnings():
        for _ in range(16):
            logging.getLogger("rasterio._env").warning("CPLE_AppDefined in\n %s", "scene.tif")
        logging.getLogger("segearth_ov3.checkpoints").warning("Note: for trying out")
        logging.getLogger("rasterio").info("opened")
    assert capsys.readouterr().err.splitlines() == [
        "Warning: rasterio: CPLE_AppDefined in scene.tif",
        "Note: for trying out",
        "Warning: 16 times: rasterio: CPLE_AppDefined in scene.tif",
    ]
    assert logging.getLogger().handlers == []


def test_equal_states_of_a_bar_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_function("polygonizing", "row") as show:
        show(784, 784)
    assert len(capsys.readouterr().err.splitlines()) == 1
