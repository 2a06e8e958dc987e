"""What tests of the window share: a window on a stand-in engine. Qt runs offscreen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PyQt6.QtCore import QSettings

from app.gui.look.theme import apply_theme
from app.gui.main import window as window_module
from app.gui.main.window import MainWindow
from app.live.session import LiveSession
from app.settings import Settings, Store


@pytest.fixture
def make_window(
    qtbot: Any,
    qapp: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stand_in_avatar: Any,
    loudness_driver: Any,
    plain_renderer: Any,
    sound_system: Any,
) -> Iterator[Callable[..., MainWindow]]:
    monkeypatch.setenv("GAUSSIAN_AVATAR_HOME", str(tmp_path / "home"))
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(tmp_path / "qt"))
    monkeypatch.setattr(MainWindow, "_watch_devices", lambda self: None)
    monkeypatch.setattr(window_module, "names", lambda: ["stand-in", "another"])
    monkeypatch.setattr(window_module, "default_name", lambda: "stand-in")
    monkeypatch.setattr("app.gui.main.bridge.available_renderers", lambda: {"cpu": "ok", "opengl": "no GPU here"})
    monkeypatch.setattr("app.live.avatars.default_name", lambda: "stand-in")

    def open_avatar(name: Any) -> Any:
        if "broken" in str(name):
            from avatar.errors import UserError

            raise UserError(f"{Path(str(name)).name}: not an avatar")
        return stand_in_avatar

    monkeypatch.setattr("app.live.avatars.open_avatar", open_avatar)
    made: list[MainWindow] = []

    def make(settings: Settings | None = None, avatar: str | None = None, **options: Any) -> MainWindow:
        settings = settings or Settings(theme="dark", folder=str(tmp_path / "videos"))
        store = Store(settings, tmp_path / "settings.json")
        apply_theme(qapp, settings.theme)

        def open_renderer(name: str, notice: Any) -> Any:
            return plain_renderer("cpu" if name == "auto" else name)

        def make_session(*args: Any, **more: Any) -> LiveSession:
            more |= {"make_driver": loudness_driver, "open_renderer": open_renderer}
            return LiveSession(*args, **more)

        window = MainWindow(store, make_session, **options)
        monkeypatch.setattr(window.thumbnails, "request", lambda pictures: None)
        window.resize(1000, 700)
        window.show()
        window.start(avatar)
        made.append(window)
        return window

    yield make
    for window in made:
        window.shut_down()
        window.close()
        window.deleteLater()
    qapp.processEvents()


@pytest.fixture
def plugged(sound_system: Any) -> Any:
    sound_system.plug("Studio Mic")
    return sound_system
