"""Laws of the audio front end: exact streaming, true resampling, features in known units."""

from __future__ import annotations

import numpy as np
import pytest

from animation.speech.audio import (
    HOP_SAMPLES,
    SAMPLE_RATE,
    LevelTracker,
    LogMel,
    StreamingResampler,
    log_mel,
    resample,
)

RATES = (8000, 11025, 22050, 44100, 48000, 96000)


def in_chunks(resampler: StreamingResampler, samples: np.ndarray, chunk: int) -> np.ndarray:
    parts = [resampler.feed(samples[i : i + chunk]) for i in range(0, len(samples), chunk)]
    return np.concatenate([*parts, resampler.finish()])


@pytest.mark.parametrize("rate", [*RATES, SAMPLE_RATE, 37800])
def test_resampling_does_not_depend_on_the_chunks(rate: int) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, rate // 3).astype(np.float32)
    whole = in_chunks(StreamingResampler(rate), samples, len(samples))
    assert len(whole) == round(len(samples) * SAMPLE_RATE / rate)
    for chunk in (7, rate // 50, rate // 50 + 1):
        np.testing.assert_array_equal(in_chunks(StreamingResampler(rate), samples, chunk), whole)
    short = samples[: rate // 50]
    np.testing.assert_array_equal(
        in_chunks(StreamingResampler(rate), short, 1), in_chunks(StreamingResampler(rate), short, len(short))
    )


@pytest.mark.parametrize("rate", RATES)
def test_a_tone_keeps_its_shape_and_its_place_in_time(rate: int) -> None:
    def tone(at: int) -> np.ndarray:
        time_s = np.arange(round(at * 0.48)) / at
        return (np.sin(2 * np.pi * 440 * time_s) + 0.3 * np.sin(2 * np.pi * 2500 * time_s)).astype(np.float32)

    inner = slice(200, -200)
    np.testing.assert_allclose(
        in_chunks(StreamingResampler(rate), tone(rate), 960)[inner], tone(SAMPLE_RATE)[inner], atol=1e-4
    )


def test_tones_that_16_khz_cannot_hold_are_taken_out() -> None:
    time_s = np.arange(48000) / 48000
    tone = np.sin(2 * np.pi * 11000 * time_s).astype(np.float32)
    assert np.abs(in_chunks(StreamingResampler(48000), tone, 480)[200:-200]).max() < 1e-3


@pytest.mark.parametrize("rate", RATES)
def test_an_output_waits_for_no_more_than_the_stated_delay(rate: int) -> None:
    resampler, sent, got = StreamingResampler(rate), 0, 0
    for _ in range(40):
        block = np.zeros(rate // 100, np.float32)
        sent += len(block)
        got += len(resampler.feed(block))
        assert sent / rate - got / SAMPLE_RATE <= resampler.delay_s + 1.5 / SAMPLE_RATE
    assert resampler.delay_s <= 0.004


def test_channels_are_averaged_and_bad_numbers_silenced() -> None:
    stereo = np.random.default_rng(1).normal(0, 0.1, (4800, 2)).astype(np.float32)
    both = StreamingResampler(48000, 2).feed(stereo)
    np.testing.assert_array_equal(both, StreamingResampler(48000).feed(stereo.mean(1, dtype=np.float32)))
    broken = np.full(960, np.nan, np.float32)
    assert np.all(StreamingResampler(48000).feed(broken) == 0)


def test_wrong_shapes_and_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="channels"):
        StreamingResampler(48000, 0)
    with pytest.raises(ValueError, match=r"\(n, 2\)"):
        StreamingResampler(48000, 2).feed(np.zeros(100, np.float32))


def test_one_shot_resampling_is_close_to_the_streaming_one() -> None:
    noise = np.random.default_rng(2).normal(0, 0.1, 44100).astype(np.float32)
    smooth = resample(resample(noise, 44100), 16000)
    streamed = in_chunks(StreamingResampler(44100), noise, 441)
    assert abs(len(smooth) - len(streamed)) <= 1
    inner = slice(300, 15000)
    assert np.std(smooth[inner] - streamed[inner]) < 0.3 * np.std(smooth[inner])


def test_white_noise_of_a_variance_gives_its_logarithm_in_every_band() -> None:
    noise = np.random.default_rng(3).normal(0, 0.1, 20 * SAMPLE_RATE).astype(np.float32)
    bands = np.log(np.exp(log_mel(noise)).mean(0))
    np.testing.assert_allclose(bands, np.log(0.01), atol=0.15)


def test_features_by_hop_equal_those_of_the_whole() -> None:
    noise = np.random.default_rng(4).normal(0, 0.1, 30 * HOP_SAMPLES).astype(np.float32)
    mel = LogMel()
    hops = np.concatenate([mel.hop(noise[i : i + HOP_SAMPLES]) for i in range(0, len(noise), HOP_SAMPLES)])
    np.testing.assert_allclose(hops, log_mel(noise), atol=1e-4)


def test_the_level_rises_fast_falls_slowly_and_has_a_floor() -> None:
    tracker = LevelTracker()
    for _ in range(25):
        tracker.hop(-10.0)
    assert tracker.level_db == pytest.approx(-10.0, abs=0.5)
    for _ in range(50):
        tracker.hop(-90.0)
    assert tracker.level_db == pytest.approx(-12.0, abs=0.6)
    for _ in range(5000):
        tracker.hop(-90.0)
    assert tracker.level_db == LevelTracker.FLOOR_DB
