"""A window that is typed into."""

from __future__ import annotations

from typing import Any

from app.gui.main.window import MainWindow


def take_keys(window: MainWindow, qtbot: Any) -> None:
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow, timeout=5000)
