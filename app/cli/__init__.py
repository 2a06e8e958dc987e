"""The command line: the only package that parses arguments.

Commands are thin: they turn text into the values of a function and its result into lines. What they call is imported
when they run, so that `--help` does not wait for torch or Qt.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes

from app.cli import batches, content, corpora, faces, gaussians, laboratory, speaking, training  # noqa: F401
from app.cli.terminal import complain, registry
from avatar.errors import UserError

__all__ = ["main"]

_FAMILIES = ("corpus", "train", "evaluate", "bench")

_log = logging.getLogger(__name__)


def main(args: Sequence[str] | None = None) -> int:
    """Run a command; expected errors become one line and exit code 2, an interrupt 130, anything else 1 and a log."""
    from app.log import configure, log_path

    configure()
    argv = list(sys.argv[1:] if args is None else args)
    if len(argv) > 1 and argv[0] in _FAMILIES and not argv[1].startswith("-"):
        argv[:2] = [f"{argv[0]} {argv[1]}"]  # the registry takes a command of two words as one name
    try:
        code = registry.cli(
            prog="gaussian-avatar",
            description="Talk, and watch a lifelike 3D Gaussian head speak with the emotion you pick.",
            args=argv or ["run"],
            config=(FlagCreatePairsOff, OmitArgPrefixes),
        )
    except UserError as error:
        return complain(str(error), 2)
    except KeyboardInterrupt as interrupt:
        return complain(str(interrupt) or "interrupted", 130)
    except OSError as error:
        _log.info("stopped by the system", exc_info=True)
        return complain(f"{error.filename or 'system'}: {error.strerror or error}", 1)
    except Exception as error:
        logging.getLogger().handlers[0].setLevel(logging.CRITICAL)  # the traceback goes to the file alone
        _log.exception("unexpected error")
        return complain(f"unexpected {type(error).__name__}: {error}; details are in {log_path()}", 1)
    return int(code or 0)
