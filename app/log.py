"""Logging to a rotating file in the platform's log folder; warnings also to standard error."""

from __future__ import annotations

import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from avatar.home import log_dir

__all__ = ["configure", "log_path"]

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_path() -> Path:
    """The log file."""
    return log_dir() / "gaussian-avatar.log"


def configure(verbose: bool = False) -> None:
    """Set up logging for the process, once. A folder that cannot be written is done without."""
    root = logging.getLogger()
    if root.handlers:
        return
    root.setLevel(logging.INFO)
    console = logging.StreamHandler()
    console.setLevel(logging.INFO if verbose else logging.WARNING)
    console.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    root.addHandler(console)
    try:
        log_path().parent.mkdir(parents=True, exist_ok=True)
        file = RotatingFileHandler(log_path(), maxBytes=1_000_000, backupCount=3, encoding="utf-8", delay=True)
    except OSError as error:
        root.info("no log file: %s", error)
        return
    file.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(file)
