"""mmengine's runner with its log in a file: the terminal gets warnings only, above the progress bar."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import Runner

from ..messages import say


class QuietRunner(Runner):
    """A runner that logs to its file; only warnings and errors reach the terminal, on standard error."""

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **kwargs: Any) -> MMLogger:
        """Build mmengine's logger and replace its handler for the terminal."""
        logger = super().build_logger(log_level=log_level, log_file=log_file, **kwargs)
        for handler in list(logger.handlers):
            if type(handler) is logging.StreamHandler:  # not those that write to files
                logger.removeHandler(handler)
        logger.addHandler(_TerminalHandler(logging.WARNING))
        return logger


class _TerminalHandler(logging.Handler):
    """Writes each message as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        say(f"{record.levelname.capitalize()}: {' '.join(record.getMessage().split())}")
