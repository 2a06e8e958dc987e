"""The stream: exact in chunks of any size, on time, cheap, and still when nobody speaks."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import fields

import numpy as np
import pytest

from animation.speech.audio import HOP_SAMPLES, SAMPLE_RATE
from animation.speech.channels import JAW, LIP_IN, REST
from animation.speech.model import SpeechOutput
from animation.speech.phonemes import VISEME_INDEX, VISEMES
from animation.speech.stream import SpeechFrames, SpeechStream, tongue_heard


@pytest.fixture(scope="module")
def stream() -> SpeechStream:
    return SpeechStream.open()


def speech_like(seconds: float, seed: int = 0) -> np.ndarray:
    """A buzz with moving formants, in syllables."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 120 * k * time_s) / k for k in range(1, 30))
    syllables = np.clip(np.sin(2 * np.pi * 2 * time_s), 0, 1)
    return (0.05 * buzz * syllables + 0.002 * rng.normal(0, 1, len(time_s))).astype(np.float32)


def run(stream: SpeechStream, samples: np.ndarray, chunk: int) -> SpeechFrames:
    stream.reset()
    parts = [stream.feed(samples[i : i + chunk]) for i in range(0, len(samples), chunk)]
    return SpeechFrames.concatenate([*parts, stream.finish()])


def assert_identical(a: SpeechFrames, b: SpeechFrames) -> None:
    for field in fields(SpeechFrames):
        np.testing.assert_array_equal(getattr(a, field.name), getattr(b, field.name))


@pytest.mark.parametrize("chunk", [7, HOP_SAMPLES, HOP_SAMPLES + 1, 160, 5000])
def test_chunks_do_not_matter(stream: SpeechStream, chunk: int) -> None:
    samples = speech_like(2.015)
    assert_identical(run(stream, samples, chunk), run(stream, samples, len(samples)))


def test_single_samples_do_not_matter(stream: SpeechStream) -> None:
    samples = speech_like(0.3)
    assert_identical(run(stream, samples, 1), run(stream, samples, len(samples)))


@pytest.mark.parametrize("count", [0, 1, HOP_SAMPLES - 1, HOP_SAMPLES, HOP_SAMPLES + 1, 10 * HOP_SAMPLES + 5])
def test_one_pose_for_every_hop_begun(stream: SpeechStream, count: int) -> None:
    frames = run(stream, speech_like(1.0)[:count], 333)
    assert len(frames) == -(-count // HOP_SAMPLES)
    for field in fields(SpeechFrames):
        values = getattr(frames, field.name)
        assert values.dtype == np.float32
        assert len(values) == len(frames)
        assert np.isfinite(values).all()
    assert np.all((frames.articulation >= 0) & (frames.articulation <= 1))


def test_poses_leave_after_the_stated_lookahead_and_no_later(stream: SpeechStream) -> None:
    assert stream.lookahead_ms <= 80
    stream.reset()
    got = 0
    for hop in range(40):
        got += len(stream.feed(np.zeros(HOP_SAMPLES, np.float32)))
        heard_ms = (hop + 1) * stream.hop_s * 1000
        due = sum((k + 0.5) * stream.hop_s * 1000 + stream.lookahead_ms <= heard_ms + 1e-6 for k in range(hop + 1))
        assert got == due


def test_the_past_is_never_changed_by_the_future(stream: SpeechStream) -> None:
    samples = speech_like(1.5)
    cut = SAMPLE_RATE
    other = np.concatenate([samples[:cut], speech_like(0.5, seed=9)])
    known = int(cut / HOP_SAMPLES - (stream.lookahead_ms / 1000 / stream.hop_s + 0.5))
    one, two = run(stream, samples, 512), run(stream, other, 512)
    np.testing.assert_array_equal(one.articulation[:known], two.articulation[:known])


@pytest.mark.parametrize("level", [0.0, 1e-4, 1e-3, 1e-2, 1e-1])
@pytest.mark.parametrize("kind", ["white", "pink", "hum", "fan"])
def test_the_mouth_rests_in_silence_and_noise(stream: SpeechStream, level: float, kind: str) -> None:
    rng = np.random.default_rng(5)
    time_s = np.arange(4 * SAMPLE_RATE) / SAMPLE_RATE
    white = rng.normal(0, 1, len(time_s))
    sounds = {
        "white": white,
        "pink": np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.maximum(np.arange(len(time_s) // 2 + 1), 20)) * 30),
        "hum": sum(np.sin(2 * np.pi * 50 * k * time_s) / k for k in range(1, 9)) + 0.05 * white,
        "fan": np.convolve(white, np.ones(12) / 4, "same") * (1 + 0.2 * np.sin(2 * np.pi * 3 * time_s)),
    }
    frames = run(stream, (level * sounds[kind]).astype(np.float32), 320)
    jaw = frames.articulation[:, JAW]
    assert np.mean(jaw - REST[JAW] > 0.05) < 0.02
    assert np.mean(frames.voice > 0.5) < 0.02


def test_a_weak_f_after_a_silence_is_bitten_and_silence_is_not(stream: SpeechStream, monkeypatch) -> None:
    """The network halves its belief between silence and f: what counts is what is spoken, if anything is."""
    visemes = np.full(len(VISEMES), 0.01, np.float32)
    heard = SpeechOutput(visemes, REST.copy(), closure=0.0, voice=0.9)
    monkeypatch.setattr(stream._network, "step", lambda features: heard)

    def lip_in(silence: float, f: float) -> float:
        visemes[[VISEME_INDEX["sil"], VISEME_INDEX["FF"]]] = silence, f
        return float(run(stream, np.zeros(SAMPLE_RATE, np.float32), 400).articulation[-1, LIP_IN])

    assert lip_in(0.6, 0.3) > 0.95
    assert lip_in(0.9, 0.02) == 0
    assert lip_in(0.1, 0.2) == 0
    assert 0.2 < lip_in(0.1, 0.43) < 0.8


def test_bad_samples_do_no_harm(stream: SpeechStream) -> None:
    samples = speech_like(0.5)
    samples[100:200] = np.nan
    samples[300] = np.inf
    assert np.isfinite(run(stream, samples, 320).articulation).all()
    with pytest.raises(ValueError, match="mono"):
        stream.feed(np.zeros((10, 2), np.float32))


def test_the_level_of_the_microphone_hardly_matters(stream: SpeechStream) -> None:
    samples = speech_like(4.0)
    loud, quiet = run(stream, samples, 320), run(stream, samples * np.float32(0.1), 320)
    settled = slice(100, None)
    assert np.abs(loud.articulation - quiet.articulation)[settled].mean() < 0.08
    assert np.median((loud.loudness_db - quiet.loudness_db)[settled]) == pytest.approx(20, abs=1)


def test_it_costs_little(stream: SpeechStream) -> None:
    samples = speech_like(4.0)
    begun = time.process_time()
    run(stream, samples, 320)
    assert (time.process_time() - begun) / 4.0 < 0.5  # 0.15 on a free core; this only catches disasters


def test_live_speech_needs_no_torch() -> None:
    code = (
        "import sys, numpy; from animation.speech.stream import SpeechStream; "
        "SpeechStream.open().feed(numpy.zeros(4000, 'float32')); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_tongue_follows_the_viseme_where_that_is_sure() -> None:
    visemes = np.zeros((4, len(VISEMES)), np.float32)
    visemes[0, VISEME_INDEX["aa"]] = 1
    visemes[1, VISEME_INDEX["nn"]], visemes[1, VISEME_INDEX["DD"]] = 0.4, 0.5
    visemes[2, VISEME_INDEX["TH"]] = 0.7
    visemes[3, VISEME_INDEX["SS"]], visemes[3, VISEME_INDEX["TH"]] = 0.9, 0.1
    tongue = np.full(4, 0.55, np.float32)
    np.testing.assert_allclose(tongue_heard(tongue, visemes), [0.55, 0.8, 1.0, 0.55])
