from __future__ import annotations

import numpy as np
import pytest

from animation.expression.arousal import ArousalTracker
from animation.speech.acoustics import SILENT, Acoustics

RATE = 50.0


def talk(
    seconds: float,
    level_db: float = -25,
    pitch_hz: float = 120,
    syllables: float = 4,
    tilt_db: float = -22,
    seed: int = 0,
) -> list[Acoustics]:
    """Syllables of a voice; a pitch of 0 is a whisper."""
    rng = np.random.default_rng(seed)
    heard = []
    for k in range(round(seconds * RATE)):
        beat = np.sin(np.pi * syllables * k / RATE) ** 2
        wave = 1.5 * np.sin(2 * np.pi * 0.4 * k / RATE) + rng.normal(0, 0.3)
        voiced = pitch_hz > 0 and beat > 0.2
        loud = level_db - 14 + 14 * beat + rng.normal(0, 0.5)
        hz = pitch_hz * 2 ** (wave / 12) if voiced else 0.0
        heard.append(Acoustics(loud, hz, 0.9 if voiced else 0.2, tilt_db + rng.normal(0, 2), loud))
    return heard


def arousal(then: list[Acoustics], first: list[Acoustics] | None = None) -> float:
    """After ten seconds of the usual voice."""
    tracker = ArousalTracker(RATE)
    for heard in first or talk(10):
        tracker.feed(heard, 1.0)
    return [tracker.feed(heard, 1.0) for heard in then][-1]


def test_the_usual_voice_is_neither_nor():
    assert abs(arousal(talk(5, seed=1))) < 0.15


def test_efforts_come_in_order():
    whisper = arousal(talk(5, level_db=-33, pitch_hz=0))
    soft = arousal(talk(5, level_db=-31, tilt_db=-25))
    calm = arousal(talk(5, seed=1))
    fast = arousal(talk(5, syllables=5.5))
    loud = arousal(talk(5, level_db=-17, pitch_hz=150, tilt_db=-18))
    shout = arousal(talk(5, level_db=-12, pitch_hz=190, tilt_db=-15, syllables=5))
    assert whisper < soft < calm < fast < loud < shout
    assert whisper > -1 and shout < 1


@pytest.mark.parametrize("gain_db", [-20.0, 12.0])
@pytest.mark.parametrize("pitch", [0.6, 1.7])
def test_each_speaker_and_microphone_has_a_usual_of_its_own(gain_db, pitch):
    usual = talk(10, level_db=-25 + gain_db, pitch_hz=120 * pitch)
    louder = talk(5, level_db=-17 + gain_db, pitch_hz=150 * pitch)
    assert arousal(louder, usual) == pytest.approx(arousal(talk(5, level_db=-17, pitch_hz=150)), abs=0.03)


def test_what_lasts_becomes_the_usual():
    assert arousal(talk(90, level_db=-17, pitch_hz=150)) < 0.4 * arousal(talk(5, level_db=-17, pitch_hz=150))


def test_nothing_is_said_before_enough_is_heard_and_pauses_calm_down():
    tracker = ArousalTracker(RATE)
    assert not any(tracker.feed(heard, 1.0) for heard in talk(1.5))
    excited = arousal(talk(5, level_db=-15, pitch_hz=170))
    tracker = ArousalTracker(RATE)
    for heard in talk(10) + talk(5, level_db=-15, pitch_hz=170):
        tracker.feed(heard, 1.0)
    rested = [tracker.feed(SILENT, 0.0) for _ in range(400)]
    assert 0 < rested[-1] < 0.2 * excited and np.all(np.diff(rested) <= 0)


def test_it_moves_smoothly():
    tracker = ArousalTracker(RATE)
    course = [tracker.feed(heard, 1.0) for heard in talk(8) + talk(4, level_db=-12, pitch_hz=200) + talk(4)]
    assert np.abs(np.diff(course)).max() < 0.08
