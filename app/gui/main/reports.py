"""What the engine reports, in front of the user."""

from __future__ import annotations

import logging
from collections.abc import Callable

from PyQt6.QtCore import QObject, pyqtSignal
from PyQt6.QtWidgets import QWidget

from app.gui.look.wording import failure_words, notice_words, sentence, source_words
from app.gui.main.bridge import Bridge
from app.gui.main.clips import Clips
from app.gui.main.notices import LASTING, Banner, ErrorDialog
from app.live.notice import Notice
from app.live.worker import Failure

__all__ = ["EngineReports"]

_SOURCE_S = 10.0
_log = logging.getLogger(__name__)


class EngineReports(QObject):
    """Puts messages into the banner, with what can be done about it."""

    waiting = pyqtSignal(str)
    """What is to stand where there is no picture yet."""
    avatars_changed = pyqtSignal()

    def __init__(self, window: QWidget, bridge: Bridge, banner: Banner, clips: Clips, open_file: Callable) -> None:
        """
        Args:
            open_file: lets the user choose another avatar.
        """
        super().__init__()
        self._window, self._bridge, self._banner, self._clips = window, bridge, banner, clips
        self._open_file = open_file
        self._dialog: ErrorDialog | None = None
        self.seen_image = False
        """Whether there has been a picture."""
        bridge.source_changed.connect(self._on_source)
        bridge.failed.connect(self._on_failed)
        bridge.noticed.connect(self._on_notice)
        bridge.said.connect(self.say)
        bridge.avatar_loaded.connect(self._on_avatar)
        bridge.avatar_failed.connect(self._on_avatar_failed)

    @property
    def dialog(self) -> ErrorDialog | None:
        """The dialog that is open."""
        return self._dialog

    def first_image(self) -> None:
        """There is a picture now."""
        self.seen_image = True

    def explain_waiting(self) -> None:
        """The first picture takes its time."""
        if not self.seen_image and not self._bridge.session.failures:
            self.waiting.emit(self.tr("Preparing the renderer. The first start takes a little longer."))

    def say(self, text: str) -> None:
        """One line, for a while."""
        self._banner.put_up(text, "warn", "notice", for_s=10)

    def show_error(self, failure: Failure) -> None:
        """A dialog with cause and details; one at a time."""
        if self._dialog is not None:
            return
        dialog = ErrorDialog(self._window, self.tr("Something went wrong"), failure.message, failure.details)
        self._dialog = dialog
        dialog.destroyed.connect(self._dialog_closed)
        dialog.open()

    def restart(self) -> None:
        """A new engine."""
        self._banner.take_down()
        self._bridge.restart()

    def look_again(self) -> None:
        """Devices may have come or gone."""
        self._bridge.session.devices.look_again()

    def _on_source(self) -> None:
        """The Voice panel says what is wrong, for as long as it is; here it is said once, with what comes of it."""
        state = self._bridge.session.devices.state
        key = "source"
        actions = ((self.tr("Look again"), self.look_again),)
        if state.kind == "missing" and self._clips.offer_sample():
            text = self.tr("A sample speaks until there is a microphone.")
            self._banner.put_up(text, "info", key, actions, for_s=_SOURCE_S)
        elif state.kind == "lost":
            self._banner.put_up(source_words(state), "bad", key, actions, for_s=_SOURCE_S)
        elif state.kind in ("device", "none") and self._banner.key == key and not state.problem:
            self._banner.take_down()
        self._clips.refresh()

    def _on_failed(self, failure: Failure) -> None:
        _log.error("%s: %s", failure.worker, failure.message)
        actions = (
            (self.tr("Details"), lambda: self.show_error(failure)),
            (self.tr("Restart"), self.restart),
        )
        self._banner.put_up(failure_words(failure), "bad", LASTING, actions)
        if not self.seen_image:
            self.waiting.emit("")

    def _on_notice(self, notice: Notice) -> None:
        self.say(notice_words(notice))

    def _on_avatar(self, asked: str) -> None:
        if asked and self._banner.key == "avatar":  # the default one comes in the place of what has failed
            self._banner.take_down()
        self.avatars_changed.emit()

    def _on_avatar_failed(self, asked: str, problem: str) -> None:
        actions = ((self.tr("Open a file…"), self._open_file),)
        self._banner.put_up(sentence(problem), "bad", "avatar", actions)
        self.avatars_changed.emit()
        if not self.seen_image and not asked:
            self.waiting.emit(self.tr("No avatar to show"))

    def _dialog_closed(self) -> None:
        self._dialog = None
