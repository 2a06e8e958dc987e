"""The window run by a benchmark: opened, waited for, closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PyQt6.QtCore import QCoreApplication, QEvent, QEventLoop, QTimer
from PyQt6.QtWidgets import QApplication

from app.gui.look.theme import apply_theme
from app.gui.main.window import MainWindow
from app.settings import Settings, Store

__all__ = ["Wait", "measured_window"]

Wait = Callable[[Callable[[], bool], float], bool]
"""`wait(until, seconds)` runs Qt's loop until something holds or the time is over; whether it holds."""

_POLL_MS = 50


@contextmanager
def measured_window(settings: Settings, settings_path: Path) -> Iterator[tuple[MainWindow, Wait]]:
    """A window of the usual size with these settings, and a way to wait while it runs."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(["gaussian-avatar"])
    apply_theme(app, settings.theme)
    window = MainWindow(Store(settings, settings_path))
    window.thumbnails.stop()
    try:
        window.resize(1180, 800)
        window.show()
        window.start()
        yield window, _wait
    finally:
        window.shut_down()
        window.close()
        window.deleteLater()
        QCoreApplication.sendPostedEvents(window, QEvent.Type.DeferredDelete)  # now, not when Python collects it


def _wait(until: Callable[[], bool], seconds: float) -> bool:
    loop, poll, over = QEventLoop(), QTimer(), QTimer()

    def look() -> None:
        if until():
            loop.quit()

    poll.timeout.connect(look)
    over.setSingleShot(True)
    over.timeout.connect(loop.quit)
    over.start(round(seconds * 1000))
    poll.start(_POLL_MS)
    loop.exec()
    poll.stop()
    over.stop()
    return until()
