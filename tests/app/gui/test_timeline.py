"""The timeline: what is edited, what is drawn of a clip, and what hands and keys do. Qt runs offscreen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

os.environ["QT_QPA_PLATFORM"] = "offscreen"

from PyQt6.QtCore import QPoint, Qt
from PyQt6.QtTest import QTest

from animation.expression.emotions import EMOTIONS
from animation.expression.track import EmotionCue
from animation.performance.document import Performance
from animation.speech.phonemes import VISEMES
from app.gui.timeline.clip_sound import STEP_S, ClipSound, Sound, read_clip, sounds_of
from app.gui.timeline.direction import Direction, moved, restrained
from app.gui.timeline.panel import TimelinePanel
from avatar.errors import UserError

DURATION_S = 10.0
CUES = (EmotionCue(1.0, "happy", 0.8), EmotionCue(4.0, "sad", 0.5), EmotionCue(7.0, "angry", 1.0))


def direction() -> Direction:
    return Direction(Performance(cues=CUES), DURATION_S)


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(("put", "move", "change", "remove", "undo", "redo")),
            st.floats(-1, 12),
            st.integers(0, 6),
            st.sampled_from(EMOTIONS),
        ),
        max_size=20,
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_is_done_stays_in_order_and_can_be_undone(steps: list[Any]) -> None:
    edited = direction()
    for act, time_s, index, emotion in steps:
        inside = index < len(edited.cues)
        if act == "put":
            at = edited.put(time_s, emotion, 0.7)
            assert (edited.cues[at].emotion, edited.cues[at].intensity) == (emotion, 0.7)
        elif act == "move" and inside:
            edited.take(moved(edited.cues, index, time_s))
        elif act == "change" and inside:
            edited.change(index, emotion=emotion)
        elif act == "remove" and inside:
            edited.remove(index)
        elif act in ("undo", "redo"):
            getattr(edited, act)()
        times = [cue.time_s for cue in edited.cues]
        assert times == sorted(set(times))
        assert all(b.start_s <= b.end_s for b in edited.blocks())
    last = edited.performance
    undone = 0
    while edited.can_undo:
        edited.undo()
        undone += 1
    assert edited.cues == CUES
    for _ in range(undone):
        edited.redo()
    if not steps or steps[-1][0] not in ("undo", "redo"):
        assert edited.performance == last


def test_a_change_after_undoing_forgets_what_was_undone() -> None:
    edited = direction()
    edited.remove(0)
    edited.undo()
    edited.put(9.0, "afraid", 1.0)
    assert not edited.can_redo


def test_intensities_end_at_none_and_full() -> None:
    assert restrained(CUES, 0, -3)[0].intensity == 0
    assert restrained(CUES, 0, 3)[0].intensity == 1


def test_runs_of_lips_are_one_sound_and_silence_is_none() -> None:
    sil, closed, open_ = (VISEMES.index(v) for v in ("sil", "PP", "aa"))
    found = sounds_of(np.array([sil] * 5 + [closed] * 3 + [open_] * 10 + [sil] * 2 + [closed]))
    assert found == (
        Sound(pytest.approx(0.1), pytest.approx(0.16), "PP"),
        Sound(*map(pytest.approx, (0.16, 0.36)), "aa"),
    )
    assert sounds_of(np.zeros(0, np.intp)) == ()


def test_a_clip_is_as_long_and_as_loud_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "half.wav"
    sound = np.zeros(16_000, np.float32)
    sound[8000:] = 0.5 * np.sin(np.arange(8000) * 0.3)
    soundfile.write(path, sound, 16_000)
    clip = read_clip(path)
    assert clip is not None
    assert clip.duration_s == pytest.approx(1.0)
    middle = round(0.5 / STEP_S)
    assert clip.peaks[: middle - 1].max() < 0.01
    assert clip.peaks[middle:].min() > 0.45
    assert read_clip(path, lambda: True) is None


def test_what_is_no_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "no.wav"
    path.write_text("no sound")
    with pytest.raises(UserError, match=r"no\.wav"):
        read_clip(path)


@pytest.fixture
def panel(qtbot: Any) -> TimelinePanel:
    made = TimelinePanel()
    qtbot.addWidget(made)
    made.resize(1000 + made.width() - made.strip.width(), made.sizeHint().height())
    made.show_clip("clip", ClipSound(DURATION_S, np.full(1000, 0.3, np.float32), ()), direction())
    made.show()
    return made


def at(panel: TimelinePanel, time_s: float, share: float = 0.5) -> QPoint:
    """A point of the blocks' lane; `share` is how far up."""
    strip = panel.strip
    return QPoint(round(12 + time_s / DURATION_S * (strip.width() - 24)), round(strip.height() - 4 - 52 * share))


def drag(panel: TimelinePanel, start: QPoint, end: QPoint) -> None:
    left = Qt.MouseButton.LeftButton
    QTest.mousePress(panel.strip, left, pos=start)
    for share in (0.3, 0.6, 1.0):
        QTest.mouseMove(panel.strip, start + (end - start) * share)
    QTest.mouseRelease(panel.strip, left, pos=end)


def test_a_block_dragged_sideways_begins_later_and_one_undo_brings_it_back(panel: TimelinePanel) -> None:
    drag(panel, at(panel, 5.0), at(panel, 6.0))
    edited = panel.strip.direction
    assert edited.cues[1].time_s == pytest.approx(5.0, abs=0.03)
    assert (edited.cues[0], edited.cues[2]) == (CUES[0], CUES[2])
    panel.undo.click()
    assert edited.cues == CUES
    assert not panel.undo.isEnabled()


def test_a_block_dragged_up_is_stronger(panel: TimelinePanel) -> None:
    drag(panel, at(panel, 5.0, 0.2), at(panel, 5.02, 0.6))
    cue = panel.strip.direction.cues[1]
    assert cue.time_s == 4.0
    assert cue.intensity == pytest.approx(0.9, abs=0.03)


def test_keys_edit_the_chosen_block_and_do_not_reach_the_window(panel: TimelinePanel, qtbot: Any) -> None:
    QTest.mouseClick(panel.strip, Qt.MouseButton.LeftButton, pos=at(panel, 5.0))
    assert panel.emotion.currentText() == "sad"
    QTest.keyClick(panel.strip, Qt.Key.Key_4)
    QTest.keyClick(panel.strip, Qt.Key.Key_Up)
    QTest.keyClick(panel.strip, Qt.Key.Key_Right)
    assert panel.strip.direction.cues[1] == EmotionCue(4.02, EMOTIONS[3], 0.55)
    QTest.keyClick(panel.strip, Qt.Key.Key_Delete)
    assert panel.strip.direction.cues == (CUES[0], CUES[2])
    QTest.keyClick(panel.strip, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(panel.strip.direction.cues) == 3


def test_a_double_click_puts_an_emotion_and_buttons_change_and_remove_it(panel: TimelinePanel) -> None:
    QTest.mouseDClick(panel.strip, Qt.MouseButton.LeftButton, pos=at(panel, 0.5))
    cue = panel.strip.direction.cues[0]
    assert cue.time_s == pytest.approx(0.5, abs=0.02)
    assert panel.strip.selected == 0
    panel.emotion.textActivated.emit("afraid")
    assert panel.strip.direction.cues[0].emotion == "afraid"
    panel.remove.click()
    assert panel.strip.direction.cues == CUES


def test_the_clip_is_played_from_where_it_is_clicked(panel: TimelinePanel, qtbot: Any) -> None:
    asked: list[float] = []
    panel.play.connect(asked.append)
    place = QPoint(at(panel, 3.0).x(), 30)
    QTest.mouseClick(panel.strip, Qt.MouseButton.LeftButton, pos=place)
    assert asked == []
    panel.play_button.click()
    assert asked == [pytest.approx(3.0, abs=0.02)]
    panel.show_playing(3.5)
    QTest.mouseClick(panel.strip, Qt.MouseButton.LeftButton, pos=QPoint(at(panel, 8.0).x(), 30))
    assert asked[1:] == [pytest.approx(8.0, abs=0.02)]
    with qtbot.waitSignal(panel.stop, timeout=1000):
        panel.play_button.click()


def test_everything_is_painted(panel: TimelinePanel) -> None:
    sounds = (Sound(1.0, 1.1, "PP"), Sound(2.0, 4.0, "aa"))
    panel.show_clip("clip", ClipSound(DURATION_S, np.full(1000, 0.3, np.float32), sounds), direction())
    shown = panel.strip.grab().toImage()
    point = at(panel, 5.0, 0.1)
    panel.strip.direction.change(1, emotion="happy")
    assert panel.strip.grab().toImage().pixelColor(point) != shown.pixelColor(point)
    panel.show_clip("clip", None, Direction())
    assert panel.strip.grab().toImage().pixelColor(point) != shown.pixelColor(point)
