"""Gain, gate and meter."""

from __future__ import annotations

import numpy as np
import pytest

from app.live.level import FLOOR_DB, LevelMeter, NoiseGate
from app.settings import VoiceSettings

RATE = 48_000


def tone(amplitude: float, seconds: float) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * 220 * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def through(gate: NoiseGate, samples: np.ndarray, settings: VoiceSettings, block: int = 480) -> np.ndarray:
    return np.concatenate([gate.process(samples[i : i + block], settings) for i in range(0, len(samples), block)])


def test_gate_silences_noise_passes_voice_and_never_clicks() -> None:
    settings = VoiceSettings(gate=True, gate_db=-40.0, gate_hold_s=0.2)
    quiet, loud = tone(0.003, 1.0), tone(0.3, 1.0)
    out = through(NoiseGate(RATE), np.concatenate([quiet, loud, quiet]), settings)
    assert np.abs(out[RATE // 2 : RATE - 480]).max() == 0.0
    np.testing.assert_array_equal(out[RATE + 480 : 2 * RATE], loud[480:])
    held = out[2 * RATE : 2 * RATE + 9000]
    np.testing.assert_array_equal(held, quiet[:9000])
    assert np.abs(out[-RATE // 2 :]).max() == 0.0
    assert np.abs(np.diff(out)).max() <= np.abs(np.diff(loud)).max() + 0.02


def test_gate_that_is_off_changes_nothing() -> None:
    samples = tone(0.0001, 0.1)
    np.testing.assert_array_equal(through(NoiseGate(RATE), samples, VoiceSettings(gate=False)), samples)


@pytest.mark.parametrize("amplitude", [0.01, 0.1, 0.5, 1.0])
def test_meter_reads_decibels(amplitude: float) -> None:
    meter = LevelMeter()
    for _ in range(100):
        meter.process(tone(amplitude, 0.01), RATE)
    assert meter.peak_db == pytest.approx(20 * np.log10(amplitude), abs=0.2)
    assert meter.loudness_db == pytest.approx(20 * np.log10(amplitude / np.sqrt(2)), abs=0.5)
    assert (meter.clipped > 0) == (amplitude >= 1.0)


def test_meter_falls_slowly_and_counts_zeros() -> None:
    meter = LevelMeter()
    meter.process(tone(0.5, 0.01), RATE)
    peak = meter.peak_db
    for _ in range(50):
        meter.process(np.zeros(480, np.float32), RATE)
    assert meter.peak_db == pytest.approx(peak - 12.0, abs=0.1)
    assert meter.silent_s == pytest.approx(0.5)
    for _ in range(300):
        meter.process(np.zeros(480, np.float32), RATE)
    assert meter.peak_db == FLOOR_DB


def test_mute_and_gain() -> None:
    assert VoiceSettings(gain_db=20).gain == pytest.approx(10)
    assert VoiceSettings(gain_db=20, muted=True).gain == 0.0
