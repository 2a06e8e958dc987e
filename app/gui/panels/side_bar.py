"""The side bar: all panels, one below the other."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from app.gui.capture.face_panel import FacePanel
from app.gui.look.theme import SPACE
from app.gui.main.notices import Banner
from app.gui.panels.controls import Panel
from app.gui.panels.motion import EmotionPanel, ExpressionPanel, MotionPanel
from app.gui.panels.outputs import OutputsPanel
from app.gui.panels.picture import PicturePanel
from app.gui.panels.scene import AvatarPanel, ViewPanel
from app.gui.panels.voice import VoicePanel
from app.settings import Settings, Store

__all__ = ["SideBar"]

_WIDTH = 372


class SideBar(QFrame):
    """Holds the panels, and keeps in the settings which are folded."""

    def __init__(self, store: Store, banner: Banner) -> None:
        super().__init__()
        self._store = store
        self.avatars = AvatarPanel(store)
        self.emotions = EmotionPanel(store)
        self.expressions = ExpressionPanel(store)
        self.voice = VoicePanel(store)
        self.face = FacePanel(store)
        self.view = ViewPanel(store)
        self.motion = MotionPanel(store)
        self.outputs = OutputsPanel(store, banner)
        self.picture = PicturePanel(store)
        self.panels: dict[str, Panel] = {
            "avatar": self.avatars, "emotion": self.emotions, "expressions": self.expressions, "voice": self.voice,
            "face": self.face, "view": self.view, "motion": self.motion, "picture": self.picture,
            "outputs": self.outputs,
        }  # fmt: skip
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(SPACE[3], SPACE[3], SPACE[3], SPACE[3])
        column.setSpacing(SPACE[2])
        for name, panel in self.panels.items():
            column.addWidget(panel)
            panel.folded.connect(lambda folded, name=name: self._fold(name, folded))
        column.addStretch(1)
        self.area = QScrollArea()
        self.area.setObjectName("side")
        self.area.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Tab goes through what is in it
        self.area.setWidget(inside)
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setObjectName("sideFrame")
        self.setFixedWidth(_WIDTH)
        around = QVBoxLayout(self)
        around.setContentsMargins(1, 0, 0, 0)
        around.addWidget(self.area)

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        for name, panel in self.panels.items():
            panel.show_settings(settings)
            panel.set_folded(name in settings.collapsed)

    def dress(self) -> None:
        """Take on the theme's colours."""
        for panel in self.panels.values():
            panel.dress()

    def _fold(self, name: str, folded: bool) -> None:
        others = tuple(n for n in self._store.value.collapsed if n != name)
        self._store.change(collapsed=(*others, name) if folded else others)
