"""The menu bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PyQt6.QtCore import QUrl
from PyQt6.QtGui import QAction, QActionGroup, QDesktopServices, QKeySequence
from PyQt6.QtWidgets import QInputDialog, QMainWindow, QMenu, QMessageBox

from app.log import log_path
from app.settings import Settings, Store

__all__ = ["MenuActions", "Menus"]


@dataclass(frozen=True)
class MenuActions:
    """What the menu bar can do beyond changing settings."""

    open_avatar: Callable[[], object]
    new_avatar: Callable[[], object]
    new_person: Callable[[], object]
    play_sound: Callable[[], object]
    record: Callable[[], object]
    save_still: Callable[[], object]
    show_recordings: Callable[[], object]
    reset_camera: Callable[[], object]
    toggle_panel: Callable[[], object]
    toggle_overlay: Callable[[], object]
    toggle_timeline: Callable[[], object]


class Menus:
    """File, edit, looks, view, help. Built once; follows the settings."""

    def __init__(self, window: QMainWindow, store: Store, actions: MenuActions) -> None:
        self._window, self._store = window, store
        tr = window.tr
        bar = window.menuBar()
        assert bar is not None

        def menu(title: str) -> QMenu:
            made = bar.addMenu(title)
            assert made is not None
            return made

        file = menu(tr("&File"))
        self._add(file, tr("Open &avatar…"), actions.open_avatar, "Ctrl+O")
        self._add(file, tr("&New avatar from a photo…"), actions.new_avatar, "Ctrl+N")
        self._add(file, tr("New avatar by &hand…"), actions.new_person, "Ctrl+Shift+N")
        self._add(file, tr("&Play a sound…"), actions.play_sound, "Ctrl+P")
        file.addSeparator()
        self._add(file, tr("&Record"), actions.record, "Ctrl+R")
        self._add(file, tr("Save &still"), actions.save_still, "Ctrl+S")
        self._add(file, tr("Show &recordings"), actions.show_recordings)
        file.addSeparator()
        self._add(file, tr("&Quit"), window.close, "Ctrl+Q")

        edit = menu(tr("&Edit"))
        self.undo = self._add(edit, tr("&Undo"), self._store.undo, "Ctrl+Z")
        self.redo = self._add(edit, tr("&Redo"), self._store.redo, "Ctrl+Shift+Z")
        edit.addSeparator()
        self._add(edit, tr("Reset all &settings"), self._reset)

        self._looks = menu(tr("&Looks"))
        self._looks.aboutToShow.connect(self._fill_looks)

        view = menu(tr("&View"))
        self._add(view, tr("&Reset camera"), actions.reset_camera, "Ctrl+0")
        self._add(view, tr("Show or hide the &panel"), actions.toggle_panel, "Ctrl+B")
        self._add(view, tr("&Timeline of the clip"), actions.toggle_timeline, "Ctrl+L")
        self._add(view, tr("Avatar without a &frame"), actions.toggle_overlay, "Ctrl+T")
        self._add(view, tr("&Full screen"), self._toggle_full_screen, "F11")
        view.addSeparator()
        group = QActionGroup(window)
        self._themes: dict[str, QAction] = {}
        for key, label in (
            ("system", tr("Theme of the &system")),
            ("light", tr("&Light theme")),
            ("dark", tr("&Dark theme")),
        ):
            action = self._add(view, label, partial(self._store.change, theme=key))
            action.setCheckable(True)
            group.addAction(action)
            self._themes[key] = action

        about = menu(tr("&Help"))
        self._add(about, tr("&Keys"), self._keys, "F1")
        self._add(
            about,
            tr("Open &log folder"),
            lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_path().parent))),
        )
        self._add(about, tr("&About"), self._about)

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        self.undo.setEnabled(self._store.can_undo)
        self.redo.setEnabled(self._store.can_redo)
        self._themes[settings.theme].setChecked(True)

    def _add(self, menu: QMenu, label: str, act: Callable[[], object], keys: str = "") -> QAction:
        action = QAction(label, self._window)
        action.triggered.connect(lambda checked=False: act())
        if keys:
            action.setShortcut(QKeySequence(keys))
        menu.addAction(action)
        return action

    def _fill_looks(self) -> None:
        tr = self._window.tr
        self._looks.clear()
        self._add(self._looks, tr("&Keep this look…"), self._keep)
        presets = self._store.value.presets
        if presets:
            self._looks.addSeparator()
        for preset in presets:
            self._add(self._looks, preset.name, partial(self._store.apply_preset, preset.name))
        if presets:
            self._looks.addSeparator()
            forget = self._looks.addMenu(tr("&Forget"))
            assert forget is not None
            for preset in presets:
                self._add(forget, preset.name, partial(self._store.drop_preset, preset.name))

    def _keep(self) -> None:
        tr = self._window.tr
        name, agreed = QInputDialog.getText(self._window, tr("Keep this look"), tr("Name"))
        if agreed and name.strip():
            self._store.keep_preset(name.strip())

    def _reset(self) -> None:
        fresh = Settings()
        kept = ("presets", "theme", "version", "collapsed")
        self._store.change(**{f: getattr(fresh, f) for f in Settings.__struct_fields__ if f not in kept})

    def _toggle_full_screen(self) -> None:
        if self._window.isFullScreen():
            self._window.showNormal()
        else:
            self._window.showFullScreen()

    def _keys(self) -> None:
        tr = self._window.tr
        rows = (
            ("1 – 8", tr("Emotions")), ("R", tr("Record, stop")), ("S", tr("Save a still")),
            ("P", tr("Play, stop the clip")), ("M", tr("Mute")), ("0", tr("Reset the camera")),
            ("Ctrl+L", tr("Timeline of the clip")), (tr("Arrows"), tr("Turn the camera (with Shift: move it)")),
            ("+  −", tr("Zoom")), ("Ctrl+Z", tr("Undo a setting")), ("Ctrl+B", tr("Show or hide the panel")),
            ("F11", tr("Full screen")),
        )  # fmt: skip
        lines = "".join(f"<tr><td style='padding: 3px 24px 3px 0'><b>{k}</b></td><td>{v}</td></tr>" for k, v in rows)
        box = QMessageBox(self._window)
        box.setWindowTitle(tr("Keys"))
        box.setText(f"<table>{lines}</table>")
        box.open()

    def _about(self) -> None:
        from importlib.metadata import version

        tr = self._window.tr
        QMessageBox.about(
            self._window,
            tr("About Gaussian Avatar"),
            tr("Gaussian Avatar {}\n\nTalk, and watch a 3D Gaussian head speak with the emotion you pick.").format(
                version("gaussian-avatar")
            ),
        )
