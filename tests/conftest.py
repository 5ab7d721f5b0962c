"""Fixtures shared by all tests."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest


def pytest_configure() -> None:
    """Let the processes that tests start hear signals, also where a shell runs the tests in the background."""
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGINT)):
        if signal.getsignal(number) is signal.SIG_IGN:  # a child would inherit it; a handler it does not
            signal.signal(number, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder `shared` beside the checkout, with the specification's golden files; skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"needs the folder {folder.name!r} beside the checkout")
    return folder


@pytest.fixture(scope="session")
def shared_data(shared_dir: Path) -> Path:
    """The real labelled samples in `shared/data`; skips where they are absent."""
    folder = shared_dir / "data"
    if not folder.is_dir():
        pytest.skip("needs the real samples in shared/data")
    return folder
