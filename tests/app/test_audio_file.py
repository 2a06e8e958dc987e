"""Every kind of audio file is read to its end and in time, or refused in one line."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from app.audio_file import open_audio
from app.offline import _driven
from avatar.errors import UserError
from tests.app.sound_files import joined, loud_spans, tone, write_sound

RATE = 48_000


def read(path: Path, warnings: list[str] | None = None, **options: Any) -> np.ndarray:
    said: list[str] = [] if warnings is None else warnings
    samples = np.concatenate(list(open_audio(path, warn=said.append, **options).blocks()))
    assert warnings is not None or not said
    return samples


@pytest.mark.parametrize(
    ("suffix", "subtype", "rate", "channels"),
    [
        ("wav", "PCM_U8", 8_000, 1),
        ("wav", "PCM_16", 44_100, 2),
        ("wav", "FLOAT", 96_000, 1),
        ("wav", "DOUBLE", 22_050, 1),
        ("wav", "PCM_24", 48_000, 8),
        ("aiff", "PCM_16", 44_100, 1),
        ("flac", "PCM_16", 16_000, 1),
        ("flac", "PCM_24", 48_000, 2),
        ("ogg", "VORBIS", 48_000, 1),
    ],
)
def test_formats_rates_and_channels(tmp_path: Path, suffix: str, subtype: str, rate: int, channels: int) -> None:
    path = tmp_path / f"a.{suffix}"
    expected = tone(rate, 0.7)
    soundfile.write(path, np.repeat(expected[:, None], channels, 1), rate, subtype=subtype)
    audio = open_audio(path)
    assert (audio.sample_rate, audio.channels) == (rate, channels)
    assert audio.duration_s == pytest.approx(0.7, abs=0.01)
    found = read(path)
    missing = len(expected) - len(found)
    assert missing == (128 if suffix == "ogg" else 0)  # FFmpeg leaves Vorbis's last half block out
    assert np.abs(found - expected[: len(found)]).max() < 0.02


def test_sound_of_a_video_container(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.m4a", "aac", [[(0, tone(32_000, 0.7))]], 32_000)
    audio = open_audio(path)
    assert audio.sample_rate == 32_000
    found = read(path)
    assert len(found) / 32_000 == pytest.approx(0.7, abs=0.05)
    assert np.sqrt((found**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize(("name", "codec"), [("a.webm", "libopus"), ("a.mkv", "pcm_s16le"), ("a.mp4", "aac")])
def test_a_gap_between_timestamps_is_silence_of_its_length(tmp_path: Path, name: str, codec: str) -> None:
    """As browsers record a microphone that is muted, or a tab that sleeps."""
    path = write_sound(tmp_path / name, codec, [[(0, tone(RATE, 1)), (2, tone(RATE, 2))]])
    found = read(path)
    assert len(found) / RATE == pytest.approx(4.0, abs=0.04)
    np.testing.assert_allclose(loud_spans(found, RATE), [0, 1, 2, 4], atol=0.04)


def test_a_gap_of_a_second_is_fifty_poses(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.webm", "libopus", [[(0, tone(RATE, 1)), (2, tone(RATE, 2))]])

    class Counting:
        """A driver that counts the sound of 20 ms that it is given."""

        fed = 0

        def feed(self, samples: np.ndarray) -> list[Any]:
            self.fed += len(samples)
            return []

        def finish(self) -> list[Any]:
            return []

    driver = Counting()
    audio = open_audio(path)
    assert not list(_driven(audio.sample_rate, audio.blocks(), driver, lambda mono: None))  # type: ignore[arg-type]
    assert driver.fed // 320 == 200


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "pcm_s16le"), ("a.mp4", "aac")])
def test_sound_that_starts_later_than_the_picture_keeps_its_place(tmp_path: Path, name: str, codec: str) -> None:
    path = write_sound(tmp_path / name, codec, [[(0.5, tone(RATE, 1))]], picture_s=2.0)
    np.testing.assert_allclose(loud_spans(read(path), RATE), [0.5, 1.5], atol=0.04)


def test_sound_that_starts_before_the_picture_is_all_there(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.nut", "pcm_s16le", [[(-0.5, tone(RATE, 1))]], picture_s=1.0)
    assert len(read(path)) == RATE


def test_a_stream_without_a_beginning_starts_at_its_own(tmp_path: Path) -> None:
    """The times of broadcast streams, and of what was cut out of longer files, begin anywhere."""
    stream = write_sound(tmp_path / "a.ts", "aac", [[(3.0, tone(RATE, 1))]])
    cut = write_sound(tmp_path / "a.mkv", "pcm_s16le", [[(5000.0, tone(RATE, 1))]])
    for path in (stream, cut):
        assert len(read(path)) / RATE == pytest.approx(1.0, abs=0.05)


def two(tmp_path: Path, write: Callable[[Path, np.ndarray, int], Any], suffix: str, *rates: int) -> Path:
    """Two files of two seconds each, joined."""
    paths = []
    for i, rate in enumerate(rates):
        paths.append(tmp_path / f"{i}{suffix}")
        write(paths[-1], tone(rate, 2.0, 300 + 200 * i), rate)
    return joined(tmp_path / f"joined{suffix}", *paths)


def encoder(codec: str, **options: Any) -> Callable[[Path, np.ndarray, int], Any]:
    return lambda path, samples, rate: write_sound(path, codec, [[(0, samples)]], rate, **options)


@pytest.mark.parametrize("rates", [(44_100, 44_100), (44_100, 48_000), (24_000, 44_100)])
@pytest.mark.parametrize(
    ("suffix", "write"),
    [
        (".mp3", encoder("libmp3lame")),  # each with a Xing header that counts its own frames alone
        (".aac", encoder("aac", container="adts")),
        (".ogg", lambda path, samples, rate: soundfile.write(path, samples, rate, subtype="VORBIS")),
        (".oga", encoder("flac", container="ogg")),
    ],
)
def test_joined_files_are_read_to_their_end_at_the_right_speed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, write: Any, rates: tuple[int, int]
) -> None:
    """Joined MP3s, chained Ogg files; and a rate that changes midway. No decoder talks to the terminal about it."""
    path = two(tmp_path, write, suffix, *rates)
    audio = open_audio(path)
    assert audio.sample_rate == rates[0]
    found = read(path)
    assert len(found) / rates[0] == pytest.approx(4.0, abs=0.1)
    second = found[int(2.5 * rates[0]) : int(3.5 * rates[0])]
    loudest_hz = np.abs(np.fft.rfft(second)).argmax() / len(second) * rates[0]
    assert loudest_hz == pytest.approx(500, abs=3)
    assert capfd.readouterr().err == ""


def test_channels_may_change_midway(tmp_path: Path) -> None:
    mono = write_sound(tmp_path / "0.opus", "libopus", [[(0, tone(RATE, 2))]])
    stereo = np.stack([np.zeros(2 * RATE, np.float32), tone(RATE, 2)], 1)
    stereo_path = write_sound(tmp_path / "1.opus", "libopus", [[(0, stereo)]], layout="stereo")
    found = read(joined(tmp_path / "both.opus", mono, stereo_path))
    assert len(found) / RATE == pytest.approx(4.0, abs=0.05)
    for second in (0.5, 2.5):
        part = found[int(second * RATE) : int((second + 1) * RATE)]
        assert np.sqrt((part**2).mean()) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_wav_whose_header_does_not_know_its_length(tmp_path: Path, size: int) -> None:
    """As a recorder leaves it that was killed, or that wrote into a pipe."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(RATE, 2), RATE)
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = struct.pack("<I", size)
    path.write_bytes(content)
    assert len(read(path)) == 2 * RATE


@pytest.mark.parametrize(
    ("name", "codec", "container"),
    [("a.m4a", "aac", None), ("a.mp3", "libmp3lame", None), ("a.webm", "libopus", None), ("a.ogg", "libopus", None)],
)
def test_a_damaged_packet_is_skipped_and_time_is_kept(
    tmp_path: Path, name: str, codec: str, container: str | None
) -> None:
    samples = tone(RATE, 4)
    samples[int(1.5 * RATE) : int(3.0 * RATE)] = 0
    path = write_sound(tmp_path / name, codec, [[(0, samples)]], container=container)
    with av.open(str(path)) as file:
        packets = [(p.pos, p.size, p.pts) for p in file.demux(audio=0) if p.size and p.pos is not None]
    at, size, _ = packets[len(packets) // 4]
    content = bytearray(path.read_bytes())
    payload = at + (500 if name.endswith("ogg") else 16)  # what the container writes before it stays
    content[payload : payload + size // 2] = bytes([0xFF]) * (size // 2)
    path.write_bytes(content)
    said: list[str] = []
    found = read(path, said)
    assert len(found) / RATE == pytest.approx(4.0, abs=0.06)
    np.testing.assert_allclose(loud_spans(found, RATE)[-2:], [3.0, 4.0], atol=0.06)
    assert len(said) <= 1  # some decoders find something to play in it
    assert all("damaged" in line for line in said)
    assert said or codec in ("libopus", "libmp3lame")


def test_a_file_that_is_cut_off_gives_what_it_has(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.webm", "libopus", [[(0, tone(RATE, 4))]])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    said: list[str] = []
    assert 1.5 < len(read(path, said)) / RATE < 2.5
    assert len(said) == 1
    assert "before it says" in said[0]


def test_of_several_tracks_the_default_one_or_the_one_asked_for(tmp_path: Path) -> None:
    tracks = [[(0, tone(RATE, 1, amplitude=a))] for a in (0.1, 0.4, 0.8)]
    path = write_sound(tmp_path / "a.mkv", "pcm_s16le", tracks, default=1)
    assert open_audio(path).tracks == 3
    assert np.abs(read(path)).max() == pytest.approx(0.4, abs=0.01)
    assert np.abs(read(path, track=3)).max() == pytest.approx(0.8, abs=0.01)
    with pytest.raises(UserError, match="3 sound tracks; there is no track 4"):
        open_audio(path, track=4)


def test_one_channel_can_be_asked_for(tmp_path: Path) -> None:
    sound = np.stack([tone(RATE, 1, amplitude=a) for a in (0.1, 0.4, 0.2)], 1)
    soundfile.write(tmp_path / "a.wav", sound, RATE)
    assert np.abs(read(tmp_path / "a.wav", channel=3)).max() == pytest.approx(0.2, abs=0.01)
    with pytest.raises(UserError, match="has 3 channels; there is no channel 4"):
        open_audio(tmp_path / "a.wav", channel=4)


def test_a_name_with_a_colon_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("12:30:45.m4a", "rec:1.wav", "-i.wav"):
        write_sound(Path(name), "aac" if name.endswith("m4a") else "pcm_s16le", [[(0, tone(RATE, 1))]])
        assert len(read(Path(name))) / RATE == pytest.approx(1.0, abs=0.05)


def test_sound_beyond_full_scale_is_clipped_and_said(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 4 * tone(RATE, 1), RATE, subtype="FLOAT")
    said: list[str] = []
    assert np.abs(read(tmp_path / "a.wav", said)).max() == 1.0
    assert len(said) == 1
    assert "2.00 times full scale" in said[0]


def test_not_finite_samples_are_silence(tmp_path: Path) -> None:
    samples = tone(16_000, 0.7)
    samples[100:110] = np.nan
    samples[200] = np.inf
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    found = read(tmp_path / "a.wav")
    assert np.isfinite(found).all()
    assert (found[100:110] == 0).all()
    assert found[200] == 0


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile good.wav\n", "#EXTM3U\n#EXTINF:1,\ngood.ts\n"])
def test_a_list_of_other_files_is_refused(tmp_path: Path, text: str) -> None:
    soundfile.write(tmp_path / "good.wav", tone(16_000, 0.7), 16_000)
    (tmp_path / "list.wav").write_text(text)
    with pytest.raises(UserError, match=r"list\.wav"):
        read(tmp_path / "list.wav")


@pytest.mark.parametrize(
    "kind", ["missing", "folder", "empty", "text", "header only", "truncated", "noise", "picture alone", "broken ogg"]
)
def test_bad_files_are_one_clear_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bad.wav"
    soundfile.write(tmp_path / "good.wav", tone(16_000, 0.7), 16_000)
    good = (tmp_path / "good.wav").read_bytes()
    contents = {
        "empty": b"",
        "text": b"this is not sound\n" * 50,
        "header only": good[:44],
        "truncated": good[:20],
        "noise": np.random.default_rng(0).bytes(5000),
        "broken ogg": b"OggS" + bytes([0, 2]) + bytes(60) + b"OggS" + bytes(20),
    }
    if kind == "folder":
        path.mkdir()
    elif kind == "picture alone":
        write_sound(path, "aac", [], container="mp4", picture_s=1.0)
    elif kind != "missing":
        path.write_bytes(contents[kind])
    with pytest.raises(UserError, match=r"bad\.wav") as error:
        read(path)
    assert "\n" not in str(error.value)
