"""Every kind of audio file is read, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from app.audio_file import open_audio
from avatar.errors import UserError


def tone(rate: int, channels: int = 1, seconds: float = 0.7) -> np.ndarray:
    t = np.arange(int(rate * seconds)) / rate
    return np.repeat(0.5 * np.sin(2 * np.pi * 100 * t)[:, None], channels, 1).astype(np.float32)


def read(path: Path) -> np.ndarray:
    return np.concatenate(list(open_audio(path).blocks()))


@pytest.mark.parametrize(
    ("suffix", "subtype", "rate", "channels"),
    [
        ("wav", "PCM_U8", 8_000, 1),
        ("wav", "PCM_16", 44_100, 2),
        ("wav", "FLOAT", 96_000, 1),
        ("wav", "PCM_24", 48_000, 8),
        ("flac", "PCM_16", 16_000, 1),
        ("ogg", "VORBIS", 48_000, 1),
    ],
)
def test_formats_rates_and_channels(tmp_path: Path, suffix: str, subtype: str, rate: int, channels: int) -> None:
    path = tmp_path / f"a.{suffix}"
    expected = tone(rate, channels)
    soundfile.write(path, expected, rate, subtype=subtype)
    audio = open_audio(path)
    assert (audio.sample_rate, audio.channels) == (rate, channels)
    assert audio.duration_s == pytest.approx(0.7, abs=0.01)
    found = read(path)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < (0.1 if suffix == "ogg" else 0.01)


def test_sound_of_a_video_container(tmp_path: Path) -> None:
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=32_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(32_000).T.copy(), "fltp", "mono")
        frame.rate = 32_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    audio = open_audio(path)
    assert audio.sample_rate == 32_000
    assert len(read(path)) / 32_000 == pytest.approx(0.7, abs=0.1)
    assert np.sqrt((read(path) ** 2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_not_finite_samples_are_silence(tmp_path: Path) -> None:
    samples = tone(16_000)
    samples[100:110] = np.nan
    samples[200] = np.inf
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    found = read(tmp_path / "a.wav")
    assert np.isfinite(found).all() and (found[100:110] == 0).all() and found[200] == 0


@pytest.mark.parametrize("kind", ["missing", "folder", "empty", "text", "header only", "truncated", "noise"])
def test_bad_files_are_one_clear_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bad.wav"
    soundfile.write(tmp_path / "good.wav", tone(16_000), 16_000)
    good = (tmp_path / "good.wav").read_bytes()
    contents = {
        "empty": b"",
        "text": b"this is not sound\n" * 50,
        "header only": good[:44],
        "truncated": good[:20],
        "noise": np.random.default_rng(0).bytes(5000),
    }
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(contents[kind])
    with pytest.raises(UserError, match=r"bad\.wav") as error:
        read(path)
    assert "\n" not in str(error.value)
