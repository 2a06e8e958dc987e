"""News for the user: a banner over the picture, and a dialog for what needs details."""

from __future__ import annotations

import platform
from collections.abc import Callable

from PyQt6.QtCore import QEvent, QSize, Qt, QTimer, QUrl
from PyQt6.QtGui import QColor, QDesktopServices, QFontDatabase, QGuiApplication, QPainter, QPaintEvent, QPen
from PyQt6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.gui.look.icons import icon
from app.gui.look.theme import SPACE, current
from app.log import log_path

__all__ = ["CRASHED", "LASTING", "Action", "Banner", "ErrorDialog"]

LASTING, CRASHED = "failure", "crash"

Action = tuple[str, Callable[[], None]]


class Banner(QWidget):
    """One message at the foot of the picture, and what can be done about it. A newer one replaces it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._kind = "info"
        self.key = ""
        """What the message is about; whoever put it up can take it down again."""
        self._icon = QLabel()
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(SPACE[2])
        self._close = QToolButton()
        self._close.setProperty("flat", True)
        self._close.setProperty("square", True)
        self._close.setAccessibleName(self.tr("Dismiss"))
        self._close.setToolTip(self.tr("Dismiss"))
        self._close.clicked.connect(self.take_down)
        row = QHBoxLayout(self)
        row.setContentsMargins(SPACE[3], SPACE[2], SPACE[2], SPACE[2])
        row.setSpacing(SPACE[3])
        row.addWidget(self._icon)
        row.addWidget(self._text, 1)
        row.addLayout(self._buttons)
        row.addWidget(self._close)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.take_down)
        parent.installEventFilter(self)
        self.hide()

    @property
    def text(self) -> str:
        """The message on display; empty if there is none."""
        return self._text.text() if self.isVisible() else ""

    def put_up(
        self, text: str, kind: str = "info", key: str = "", actions: tuple[Action, ...] = (), for_s: float = 0
    ) -> None:
        """Show a message.

        Args:
            kind: `info`, `good`, `warn` or `bad`.
            key: what it is about; a message with the key `LASTING` gives way only to another, one with
                `CRASHED` to what is bad, and both to the user.
            for_s: it goes by itself after so long; 0 stays.
        """
        stays = (self.key == LASTING and key != LASTING) or (self.key == CRASHED and kind != "bad")
        if self.isVisible() and stays:
            return
        self._kind, self.key = kind, key
        self._text.setText(text)
        self.setAccessibleName(text)
        while (item := self._buttons.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for label, act in actions:
            button = QPushButton(label)
            button.clicked.connect(lambda checked=False, act=act: act())
            self._buttons.addWidget(button)
        self.dress()
        self.show()
        self._place()
        self.raise_()
        if for_s > 0:
            self._timer.start(round(for_s * 1000))
        else:
            self._timer.stop()

    def take_down(self) -> None:
        """Hide it."""
        self.key = ""
        self._timer.stop()
        self.hide()

    def dress(self) -> None:
        """Take on the theme's colours."""
        theme = current()
        tint = {"info": theme.accent, "good": theme.good, "warn": theme.warn, "bad": theme.bad}[self._kind]
        name = "info" if self._kind in ("info", "good") else "warning"
        self._icon.setPixmap(icon(name, tint, 20).pixmap(QSize(20, 20)))
        self._close.setIcon(icon("cross", theme.muted, 16))
        self.update()

    def eventFilter(self, watched: object, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return False

    def paintEvent(self, event: QPaintEvent | None) -> None:
        theme = current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tint = {"info": theme.accent, "good": theme.good, "warn": theme.warn, "bad": theme.bad}[self._kind]
        painter.setPen(QPen(QColor(tint), 1))
        painter.setBrush(QColor(theme.surface))
        painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 8, 8)
        painter.end()

    def _place(self) -> None:
        parent = self.parentWidget()
        if parent is None:
            return
        width = min(parent.width() - 2 * SPACE[4], 680)
        height = max(self.heightForWidth(width), self.sizeHint().height(), 46)
        self.setGeometry((parent.width() - width) // 2, parent.height() - SPACE[4] - height, width, height)


class ErrorDialog(QDialog):
    """What went wrong, why, and details to copy."""

    def __init__(self, parent: QWidget | None, title: str, message: str, details: str) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setMinimumWidth(560)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        heading = QLabel(title)
        heading.setProperty("role", "title")
        text = QLabel(message)
        text.setWordWrap(True)
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = QVBoxLayout(self)
        column.setContentsMargins(SPACE[5], SPACE[5], SPACE[5], SPACE[4])
        column.setSpacing(SPACE[3])
        column.addWidget(heading)
        column.addWidget(text)
        self._details = f"{message}\n\n{details}\n{platform.platform()}, Python {platform.python_version()}"
        if details:
            field = QPlainTextEdit(details)
            field.setReadOnly(True)
            field.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
            field.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
            field.setAccessibleName(self.tr("Details"))
            field.setMinimumHeight(180)
            column.addWidget(field)
        row = QHBoxLayout()
        row.setSpacing(SPACE[2])
        copy = QPushButton(self.tr("&Copy details"))
        copy.clicked.connect(self._copy)
        log = QPushButton(self.tr("Open &log"))
        log.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_path()))))
        close = QPushButton(self.tr("Close"))
        close.setProperty("primary", True)
        close.setDefault(True)
        close.clicked.connect(self.accept)
        row.addWidget(copy)
        row.addWidget(log)
        row.addStretch(1)
        row.addWidget(close)
        column.addLayout(row)

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self._details)
