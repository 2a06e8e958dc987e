"""Vowels that last hold the mouth open, sung by formulas or with a voice's own resonances; tones and noise do not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter

from animation.driver import AvatarDriver, DriverSettings
from animation.face import DrivenFace
from animation.life.breath import SungBreath
from animation.speech.acoustics import SILENT
from animation.speech.articulation import targets
from animation.speech.audio import HOP_SAMPLES, SAMPLE_RATE, resample
from animation.speech.channels import CLOSED, JAW, ROUNDING, SPREAD
from animation.speech.held import Held, HeldVowels
from animation.speech.resonances import BANDWIDTHS_HZ, HIGHER_HZ, RESONANCES_HZ, envelope_db
from avatar.flame.params import FlameParams
from avatar.heads import open_head

CLIP = Path(__file__).parents[3] / "app" / "assets" / "sample.flac"
SPOKEN_S = {"aa": 7.91, "E": 6.29, "ih": 6.61, "oh": 10.01, "ou": 8.55}
"""Middles of vowels in the clip."""


def source(pitch_hz: float, seconds: float, vibrato: float) -> list[np.ndarray]:
    """The harmonics of a voice on one note, 12 dB an octave weaker."""
    time_s = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    turns = np.cumsum(pitch_hz * (1 + vibrato * np.sin(2 * np.pi * 5.5 * time_s))) / SAMPLE_RATE
    fade = np.clip(np.minimum(time_s, time_s[::-1]) / 0.03, 0, 1)
    return [fade * np.cos(2 * np.pi * k * turns) / k**2 for k in range(1, int(7500 / pitch_hz))]


def levelled(sound: np.ndarray) -> np.ndarray:
    return (0.06 * sound / np.sqrt(np.mean(sound**2))).astype(np.float32)


def sung(vowel: str, pitch_hz: float, tract: float = 1.1, seconds: float = 1.5, vibrato: float = 0.02) -> np.ndarray:
    """A vowel by its resonances; the lips' radiation tilts it by 6 dB an octave."""
    resonances = [tract * hz for hz in (*RESONANCES_HZ[vowel], *HIGHER_HZ)]
    parts = source(pitch_hz, seconds, vibrato)
    passed_db = envelope_db(resonances, BANDWIDTHS_HZ, pitch_hz * np.arange(1, len(parts) + 1))
    return levelled(
        sum(k * part * 10 ** (db / 20) for k, (part, db) in enumerate(zip(parts, passed_db, strict=True), 1))
    )


def sung_by_somebody(at_s: float, pitch_hz: float, seconds: float = 2.0, vibrato: float = 0.02) -> np.ndarray:
    """A moment of the clip's voice, held on a note: its resonances (linear prediction of order 18), another source."""
    samples, rate = soundfile.read(CLIP, dtype="float32")
    middle = int(at_s * SAMPLE_RATE)
    piece = lfilter([1, -0.95], [1], resample(samples, rate)[middle - 400 : middle + 400]) * np.hanning(800)
    correlation = np.correlate(piece, piece, "full")[799 : 799 + 19] * np.r_[1.0005, np.ones(18)]
    taps = solve_toeplitz(correlation[:18], correlation[1:])
    pulses = sum(k * part for k, part in enumerate(source(pitch_hz, seconds, vibrato), 1))
    return levelled(lfilter([1.0], np.r_[1.0, -taps], pulses))


def heard(sound: np.ndarray) -> list[Held]:
    vowels = HeldVowels()
    return [vowels.hop(sound[k : k + HOP_SAMPLES]) for k in range(0, len(sound) - HOP_SAMPLES + 1, HOP_SAMPLES)]


def opening_mm(sounds: Sequence[np.ndarray]) -> np.ndarray:
    """How far the lips stand apart through the whole driver, half a second of silence before the sounds."""
    face = DrivenFace.of(*open_head())
    driver = AvatarDriver(face, DriverSettings(blinks=False, gaze=False, head=False))
    poses = driver.feed(np.concatenate([np.zeros(SAMPLE_RATE // 2, np.float32), *sounds])) + driver.finish()
    return face.lips.opening_mm(np.asarray(FlameParams.stack(poses).blendshape_weights))


def poses(start_s: float, end_s: float) -> slice:
    return slice(round(start_s * 50), round(end_s * 50))


@pytest.mark.parametrize("vibrato", [0.0, 0.03])
@pytest.mark.parametrize(
    ("vowel", "pitch_hz"),
    [
        ("AA", 110),
        ("AA", 220),
        ("AA", 440),
        ("IY", 110),
        ("IY", 330),
        ("UW", 150),
        ("EH", 220),
        ("AO", 110),
        ("AO", 262),
    ],
)
def test_a_vowel_is_told_by_its_resonances(vowel: str, pitch_hz: float, vibrato: float) -> None:
    held = heard(sung(vowel, pitch_hz, vibrato=vibrato))[20:-5]
    assert min(h.amount for h in held) > 0.9
    for channel in (JAW, CLOSED, ROUNDING, SPREAD):
        values = np.array([h.articulation[channel] for h in held])
        assert np.abs(values - targets(vowel)[channel]).max() < 0.3, channel
        assert np.ptp(values) < 0.2, "and does not flicker"


def test_it_takes_a_while_and_ends_with_the_tone() -> None:
    sound = np.concatenate([sung("AA", 200, seconds=1.0), np.zeros(SAMPLE_RATE // 2, np.float32)])
    amount = np.array([h.amount for h in heard(sound)])
    assert amount[:5].max() == 0, "a vowel of speech is over by then"
    assert amount[15:48].min() > 0.9
    assert amount[60:].max() < 0.05


def tones() -> dict[str, np.ndarray]:
    time_s, rng = np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE, np.random.default_rng(4)
    noise = rng.normal(0, 1, len(time_s))

    def row(pitch_hz: float, levels: Sequence[float] | np.ndarray) -> np.ndarray:
        return np.sum([a * np.sin(2 * np.pi * pitch_hz * k * time_s + k * k) for k, a in enumerate(levels, 1)], axis=0)

    falling = 1.0 / np.arange(1, 30)
    return {
        "sine": row(440, [1.0]),
        "flute": row(523, [1, 0.3, 0.1, 0.02]),
        "hum": row(100, falling[:12]) + 0.05 * noise,
        "saw": row(220, falling),
        "organ": row(220, falling * (np.arange(1, 30) % 2)),
        "clarinet": row(220, [1, 0.05, 0.6, 0.06, 0.4, 0.1, 0.2, 0.1, 0.1]),
        "chord": row(220, falling) + row(277, falling[:24]) + row(330, falling[:20]),
        "fan": np.convolve(noise, np.ones(12) / 4, "same"),
        "fan with a tone": np.convolve(noise, np.ones(12) / 4, "same") + row(90, falling),
    }


@pytest.mark.parametrize("name", tones())
def test_tones_and_noise_are_no_vowels(name: str) -> None:
    assert max(h.amount for h in heard(levelled(tones()[name]))) == 0


def test_a_tone_without_end_is_a_machine() -> None:
    amount = np.array([h.amount for h in heard(sung("AA", 200, seconds=27.0, vibrato=0))])
    assert amount[poses(1, 24.5)].min() > 0.9
    assert amount[poses(25.5, 26.9)].max() < 0.05


def test_above_its_resonance_a_voice_opens_the_jaw_with_the_pitch_and_vibrato_shows_a_little() -> None:
    low, high = (np.array([h.articulation[JAW] for h in heard(sung("IY", hz))[20:-5]]) for hz in (220, 660))
    assert low.mean() < 0.3 < 0.5 < high.mean()
    still = np.array([h.articulation[JAW] for h in heard(sung("AA", 220, vibrato=0.0))[20:-5]])
    moved = np.array([h.articulation[JAW] for h in heard(sung("AA", 220, vibrato=0.03))[20:-5]])
    assert np.ptp(still) < 0.02 < np.ptp(moved) < 0.12


@pytest.mark.parametrize("pitch_hz", [196, 262])
@pytest.mark.parametrize("viseme", SPOKEN_S)
def test_the_whole_driver_keeps_the_mouth_of_a_singer_open(viseme: str, pitch_hz: float) -> None:
    course = opening_mm([sung_by_somebody(SPOKEN_S[viseme], pitch_hz)])[poses(0.85, 2.4)]
    assert course.min() > 3.0
    assert np.abs(np.diff(course)).max() < 2.0, "no flicker"


def test_a_perfectly_even_vowel_stays_open_as_well_and_a_plain_tone_leaves_the_mouth_at_rest() -> None:
    assert opening_mm([sung("AA", 200, seconds=3.0, vibrato=0)])[poses(0.85, 3.4)].min() > 10.0
    for name in ("sine", "hum", "fan"):
        assert opening_mm([levelled(tones()[name])]).max() < 0.5


def test_after_a_sung_phrase_a_breath_is_drawn() -> None:
    course = opening_mm([sung("AA", 220, seconds=1.5), np.zeros(2 * SAMPLE_RATE, np.float32)])
    assert course[poses(2.15, 2.8)].max() > 2.0, "the lips part"
    assert course[poses(3.0, 3.9)].max() < 0.5, "and rest again"
    voiced = SILENT._replace(clarity=0.95, pitch_hz=200.0)
    breath = SungBreath(50.0)
    syllables = [breath.feed(voiced if k % 10 < 7 else SILENT, 1.0) for k in range(200)]
    assert not any([*syllables, *(breath.feed(SILENT, 0.0) for _ in range(60))]), "speech is followed by none"
