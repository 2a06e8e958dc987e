"""Whichever channels somebody speaks in, the voice is heard: whole, once, and without delay."""

from __future__ import annotations

import numpy as np
import pytest

from app.downmix import Downmix

RATE = 48_000


def voice(seed: int, seconds: float = 4.0, amplitude: float = 0.2) -> np.ndarray:
    """Syllables of a few tones, with pauses: loud and quiet four times a second."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    syllables = np.clip(np.sin(2 * np.pi * (3.1 + 0.7 * rng.random()) * t + 6 * rng.random()), 0, 1) ** 0.5
    phrases = np.sin(2 * np.pi * 0.4 * t + 6 * rng.random()) > -0.5
    tones = sum(np.sin(2 * np.pi * f * t) for f in 150 * rng.uniform(1, 8, 5)) / 5
    return (amplitude * syllables * phrases * tones).astype(np.float32)


def noise(seed: int, seconds: float = 4.0, amplitude: float = 0.05) -> np.ndarray:
    return (amplitude * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def mixed(channels: list[np.ndarray], block: int, names: tuple[str, ...] = (), pick: int | None = None) -> np.ndarray:
    samples = np.stack(channels, 1)
    downmix = Downmix(samples.shape[1], RATE, names, pick)
    return np.concatenate([downmix.feed(samples[i : i + block]) for i in range(0, len(samples), block)])


def level_db(samples: np.ndarray, reference: np.ndarray) -> float:
    return float(10 * np.log10((samples**2).mean() / (reference**2).mean()))


def likeness(samples: np.ndarray, reference: np.ndarray) -> float:
    return float(abs(np.corrcoef(samples, reference)[0, 1]))


BLOCKS = pytest.mark.parametrize("block", [480, 24_000])
"""As a device delivers sound, and as a file is read."""


@BLOCKS
@pytest.mark.parametrize("others", ["the same", "antiphase", "silent", "delayed", "quieter"])
def test_a_stereo_recording_of_one_voice_is_that_voice_at_its_own_level(block: int, others: str) -> None:
    speech = voice(1)
    other = {
        "the same": speech,
        "antiphase": -speech,
        "silent": np.zeros_like(speech),
        "delayed": np.roll(speech, 50),
        "quieter": 0.3 * speech,
    }[others]
    for channels in ([speech, other], [other, speech]):
        found = mixed(channels, block)
        assert level_db(found, speech) == pytest.approx(0.0, abs=0.1)
        assert max(likeness(found, c) for c in channels if c.any()) > 0.999


@BLOCKS
@pytest.mark.parametrize("place", range(4))
def test_speech_in_any_input_of_an_interface_is_heard(block: int, place: int) -> None:
    """The other inputs hiss, louder than the voice."""
    channels = [noise(k, amplitude=0.1) for k in range(4)]
    speech = voice(3)
    channels[place] = speech + noise(9, amplitude=1e-3)
    found = mixed(channels, block)[RATE:]
    assert likeness(found, speech[RATE:]) > 0.98
    assert level_db(found, speech[RATE:]) == pytest.approx(0.0, abs=0.5)


@BLOCKS
def test_dialogue_in_the_centre_goes_before_louder_music_at_the_sides(block: int) -> None:
    names = ("FL", "FR", "FC", "LFE", "BL", "BR")
    music = voice(7, amplitude=0.3)
    rumble = (0.9 * np.sin(2 * np.pi * 40 * np.arange(len(music)) / RATE)).astype(np.float32)
    speech = voice(5)
    found = mixed([music, 0.9 * music, speech, rumble, 0.2 * music, 0.2 * music], block, names)
    assert likeness(found[RATE:], speech[RATE:]) > 0.99


@BLOCKS
def test_a_steady_sound_in_both_channels_stays_one(block: int) -> None:
    hum = (0.3 * np.sin(2 * np.pi * 400 * np.arange(5 * RATE) / RATE)).astype(np.float32)
    np.testing.assert_array_equal(mixed([hum, hum], block), hum)


@BLOCKS
def test_two_people_who_take_turns_are_both_heard(block: int) -> None:
    seconds = 12.0
    turns = (np.arange(round(seconds * RATE)) / RATE) % 4.0 < 2.0
    first, second = voice(11, seconds) * turns, voice(12, seconds) * ~turns
    channels = [first + noise(1, seconds, 1e-3), second + noise(2, seconds, 1e-3)]
    found = mixed(channels, block)
    late = slice(8 * RATE, None)
    for speech in (first, second):
        heard = np.abs(speech[late]) > 0.01
        assert level_db(found[late][heard], speech[late][heard]) == pytest.approx(0.0, abs=0.5)


def test_a_channel_can_be_picked() -> None:
    channels = [voice(1), voice(2), voice(3)]
    np.testing.assert_array_equal(mixed(channels, 480, pick=1), channels[1])
    with pytest.raises(ValueError, match=r"0\.\.1"):
        Downmix(2, RATE, pick=2)


def test_one_channel_passes_untouched_and_changes_do_not_click() -> None:
    np.testing.assert_array_equal(mixed([voice(1)], 480), voice(1))
    level = np.full(RATE, 0.2, np.float32)
    wobble = 1 + 0.5 * np.sin(2 * np.pi * 5 * np.arange(RATE) / RATE).astype(np.float32)
    first, second = level * wobble * np.r_[np.ones(RATE // 2), np.zeros(RATE // 2)], level * wobble[::-1]
    found = mixed([first.astype(np.float32), np.r_[np.zeros(RATE // 2), second[RATE // 2 :]].astype(np.float32)], 480)
    middle = found[RATE // 2 + 480 * 20 :]
    assert np.abs(np.diff(middle)).max() < 0.01
