"""Starting and ending the window."""

from __future__ import annotations

import logging
import signal
import sys
from pathlib import Path
from typing import Literal

from PyQt6.QtCore import QTimer
from PyQt6.QtGui import QSurfaceFormat
from PyQt6.QtWidgets import QApplication

from app.audio_file import open_audio
from app.gui.look.theme import apply_theme
from app.gui.main.crash_marker import CrashMarker
from app.gui.main.notices import CRASHED
from app.gui.main.window import MainWindow
from app.gui.view.surface import surface_format
from app.live.device_list import find_device
from app.live.source import Source
from app.settings import LEAST_GAUSSIANS, Store, load_settings, settings_path
from avatar.errors import UserError
from avatar.render import BACKENDS

__all__ = ["run_application"]

_log = logging.getLogger(__name__)
_SAFE = {"backend": "cpu", "picture": "512x512", "max_gaussians": LEAST_GAUSSIANS, "background": "colour"}


def run_application(
    audio_file: Path | None = None,
    device: str | None = None,
    avatar: str | None = None,
    backend: str | None = None,
    track: int | None = None,
    channel: int | None = None,
    lookahead_ms: Literal[70, 30, 10] | None = None,
) -> int:
    """See `app.gui.run`."""
    if backend is not None and backend not in ("auto", *BACKENDS):
        raise UserError(f"unknown renderer {backend!r}: choose auto, {', '.join(BACKENDS)}")
    if audio_file is not None:
        open_audio(audio_file, track=track, channel=channel)
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        QSurfaceFormat.setDefaultFormat(surface_format())  # macOS wants to know before there is an application
        app = QApplication(sys.argv[:1])
    app.setApplicationName("Gaussian Avatar")
    app.setDesktopFileName("gaussian-avatar")
    settings, problem = load_settings()
    store = Store(settings)
    if device is not None:
        store.change(source="device", device=find_device(device))
    if channel is not None and audio_file is None:
        if channel < 1:
            raise UserError(f"channel {channel}: channels are counted from 1")
        store.change(channel=channel)
    if lookahead_ms is not None:
        store.change(lookahead_ms=lookahead_ms)
    if backend is not None:
        store.change(backend=backend)
    apply_theme(app, settings.theme)
    first = Source(file=audio_file, track=track, channel=channel) if audio_file is not None else None
    window = MainWindow(store, first=first)
    window.show()
    QTimer.singleShot(0, lambda: window.start(avatar))
    if problem:
        window.banner.put_up(problem, "warn", "settings")
    marker = CrashMarker(settings_path().parent)
    if marker.set():
        window.banner.put_up(
            window.tr("The last run did not end cleanly."),
            "warn",
            CRASHED,
            ((window.tr("Use safe settings"), lambda: _be_safe(window, store)),),
        )
    app.aboutToQuit.connect(window.shut_down)
    # Python sees an interrupt only while it runs: the window's timers see to that.
    signal.signal(signal.SIGINT, lambda *_: window.close())
    try:
        return app.exec()
    finally:
        window.shut_down()
        marker.clear()


def _be_safe(window: MainWindow, store: Store) -> None:
    window.banner.take_down()
    store.change(**_SAFE)
