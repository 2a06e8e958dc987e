"""Panels of the side bar that say how the avatar feels and moves."""

from __future__ import annotations

from PyQt6.QtCore import Qt
from PyQt6.QtWidgets import QButtonGroup, QGridLayout, QLineEdit, QListWidget, QListWidgetItem, QPushButton

from animation.expression.emotions import EMOTIONS
from animation.expression.named import ALIASES, EXPRESSIONS, expression_label
from app.gui.look.icons import icon
from app.gui.look.theme import SPACE, current
from app.gui.panels.controls import Panel, SliderRow, Switch, muted_label
from app.gui.panels.emotion_button import EmotionButton
from app.settings import Settings, Store

__all__ = ["EmotionPanel", "ExpressionPanel", "MotionPanel"]

_WORDS = Qt.ItemDataRole.UserRole + 1
"""What the search looks through."""


class EmotionPanel(Panel):
    """Eight emotions, keys 1 to 8, how strong, and how fast they come."""

    def __init__(self, store: Store) -> None:
        super().__init__(self.tr("Emotion"))
        self._store = store
        names = {
            "neutral": self.tr("Neutral"), "happy": self.tr("Happy"), "sad": self.tr("Sad"),
            "surprised": self.tr("Surprised"), "afraid": self.tr("Afraid"), "disgusted": self.tr("Disgusted"),
            "angry": self.tr("Angry"), "contempt": self.tr("Contempt"),
        }  # fmt: skip
        self.buttons: dict[str, EmotionButton] = {}
        self._group = QButtonGroup(self)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, SPACE[1])
        grid.setSpacing(SPACE[2])
        for index, emotion in enumerate(EMOTIONS):
            button = EmotionButton(emotion, names.get(emotion, emotion.capitalize()), str(index + 1))
            button.clicked.connect(lambda checked=False, emotion=emotion: store.change(emotion=emotion))
            self._group.addButton(button)
            grid.addWidget(button, index // 4, index % 4)
            self.buttons[emotion] = button
        self.content.addLayout(grid)
        self.intensity = SliderRow(self.tr("Intensity"), 0.0, 1.0, 0.8, lambda v: f"{100 * v:.0f} %")
        self.intensity.changed.connect(lambda v: store.change(intensity=v))
        self.transition = SliderRow(
            self.tr("Transition"),
            0.0,
            3.0,
            0.5,
            lambda v: f"{1000 * v:.0f} ms",
            0.05,
            self.tr("How long a change of emotion takes"),
        )
        self.transition.changed.connect(lambda v: store.change(transition_s=v))
        self.follow_voice = Switch(self.tr("Follow my voice"))
        self.follow_voice.setToolTip(
            self.tr("A loud, high or fast voice makes the emotion stronger, a soft one weaker")
        )
        self.follow_voice.toggled.connect(lambda on: store.change(follow_voice=on))
        self.add(self.intensity, self.transition, self.follow_voice)

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        self._group.setExclusive(False)  # none is checked while an expression has the emotion's place
        for emotion, button in self.buttons.items():
            button.setChecked(emotion == settings.emotion)
        self._group.setExclusive(True)
        self.intensity.set_value(settings.intensity)
        self.transition.set_value(settings.transition_s)
        self.follow_voice.setChecked(settings.follow_voice)


class ExpressionPanel(Panel):
    """The named expressions in a list that can be searched: a click holds one on top, a double click makes it the
    emotion, which comes with the transition, lives, and yields to speech."""

    def __init__(self, store: Store) -> None:
        super().__init__(self.tr("Expressions"))
        self._store = store
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Search expressions"))
        self.search.setAccessibleName(self.tr("Search expressions"))
        self.search.setClearButtonEnabled(True)
        leading = QLineEdit.ActionPosition.LeadingPosition
        self._search_icon = self.search.addAction(icon("search", current().faint, 16), leading)
        self.search.textChanged.connect(self._filter)
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Expressions"))
        self.list.setFixedHeight(168)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setToolTip(self.tr("Click: hold on top of the emotion. Double click: take its place"))
        other_words = {name: word for word, name in ALIASES.items()}
        for name in sorted(EXPRESSIONS, key=expression_label):
            item = QListWidgetItem(expression_label(name))
            item.setData(Qt.ItemDataRole.UserRole, name)
            item.setData(_WORDS, f"{expression_label(name)} {other_words.get(name, '')}".lower())
            self.list.addItem(item)
        self.list.itemDoubleClicked.connect(self._worn)
        self.list.itemSelectionChanged.connect(self._picked)
        self.amount = SliderRow(self.tr("Amount"), 0.0, 1.0, 0.8, lambda v: f"{100 * v:.0f} %")
        self.amount.changed.connect(lambda v: store.change(expression_amount=v))
        self.release = QPushButton(self.tr("Let go"))
        self.release.setToolTip(self.tr("Hold no expression"))
        self.release.clicked.connect(lambda: store.change(expression=None))
        self.nothing = muted_label(self.tr("Nothing found"))
        self.nothing.hide()
        self.add(self.search, self.nothing, self.list, self.amount, self.release)

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        blocked = self.list.blockSignals(True)
        self.list.clearSelection()
        for item in self._items():
            if item.data(Qt.ItemDataRole.UserRole) == settings.expression:
                item.setSelected(True)
                self.list.scrollToItem(item)
        self.list.blockSignals(blocked)
        self.amount.set_value(settings.expression_amount)
        self.release.setEnabled(settings.expression is not None)

    def dress(self) -> None:
        super().dress()
        if self._search_icon is not None:
            self._search_icon.setIcon(icon("search", current().faint, 16))

    def _items(self) -> list[QListWidgetItem]:
        found = (self.list.item(i) for i in range(self.list.count()))
        return [item for item in found if item is not None]

    def _filter(self, text: str) -> None:
        words = text.lower().split()
        for item in self._items():
            item.setHidden(not all(word in item.data(_WORDS) for word in words))
        self.nothing.setVisible(all(item.isHidden() for item in self._items()))

    def _picked(self) -> None:
        items = self.list.selectedItems()
        self._store.change(expression=items[0].data(Qt.ItemDataRole.UserRole) if items else None)

    def _worn(self, item: QListWidgetItem) -> None:
        self._store.change(expression=None, emotion=item.data(Qt.ItemDataRole.UserRole))


class MotionPanel(Panel):
    """Idle life, and how large movements are."""

    def __init__(self, store: Store) -> None:
        super().__init__(self.tr("Motion"))
        self.blinks = Switch(self.tr("Blinks"))
        self.gaze = Switch(self.tr("Gaze wanders"))
        self.head = Switch(self.tr("Head moves"))
        self.blinks.toggled.connect(lambda on: store.change(blinks=on))
        self.gaze.toggled.connect(lambda on: store.change(gaze=on))
        self.head.toggled.connect(lambda on: store.change(head=on))

        rows = {
            "mouth_opening": (self.tr("Mouth opening"), 2.0, 1.0, self.tr("Size of the mouth's movements")),
            "emphasis": (self.tr("Emphasis"), 2.0, 1.0, self.tr("How much stressed words show on head and brows")),
            "emotion_over_speech": (
                self.tr("Feeling"), 1.0, 0.5,
                self.tr("While speaking: low lets the words have the mouth, high keeps the emotion on it"),
            ),
            "liveliness": (self.tr("Liveliness"), 2.0, 1.0, self.tr("Size of the movements of head and brows")),
            "personal": (
                self.tr("Personal style"), 1.0, 1.0,
                self.tr("How far an avatar captured from a clip moves as its person does: mouth, blinks, head"),
            ),
            "variety": (self.tr("Variety"), 1.0, 0.5, self.tr("How freely an emotion changes while it lasts")),
            "calm": (self.tr("Calm"), 1.0, 0.5, self.tr("Low follows every sound, high is calm")),
        }  # fmt: skip
        self.dials: dict[str, SliderRow] = {}
        for name, (label, high, default, hint) in rows.items():
            dial = SliderRow(label, 0.0, high, default, lambda v: f"{100 * v:.0f} %", hint=hint)
            dial.changed.connect(lambda v, name=name: store.change(**{name: v}))
            self.dials[name] = dial
        self.add(self.blinks, self.gaze, self.head, *self.dials.values())

    def show_settings(self, settings: Settings) -> None:
        """Follow the settings."""
        for switch, on in ((self.blinks, settings.blinks), (self.gaze, settings.gaze), (self.head, settings.head)):
            switch.setChecked(on)
        for name, dial in self.dials.items():
            dial.set_value(getattr(settings, name))
