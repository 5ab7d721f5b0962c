from __future__ import annotations

import io
import sys
import types

import pytest

from segearth_ov3.geo.progress import is_watched, windows_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(option: object, *steps: tuple[int, int]) -> None:
    with windows_progress(option) as show:  # type: ignore[arg-type]
        for step in steps:
            if show is not None:
                show(*step)


def test_function_is_called_unchanged() -> None:
    seen: list[tuple[int, int]] = []
    run(lambda done, total: seen.append((done, total)), (1, 3), (3, 3))
    assert seen == [(1, 3), (3, 3)]


def test_bar_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    run("bar", (2, 5), (5, 5))
    assert "5/5" in sys.stderr.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("option", ["bar", None])
def test_nothing_is_printed_where_nobody_looks(option: object, capfd: pytest.CaptureFixture[str]) -> None:
    run(option, (1, 1))
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize(
    ("shell", "watched"), [(types.SimpleNamespace(kernel=1), True), (types.SimpleNamespace(), False), (None, False)]
)
def test_notebook_is_told_from_a_script(monkeypatch: pytest.MonkeyPatch, shell: object, watched: bool) -> None:
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert is_watched() == watched
