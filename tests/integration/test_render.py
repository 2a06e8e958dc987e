"""The main job, as a user runs it: a voice in, a video of a talking head out."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from animation.speech.phonemes import Segment
from animation.speech.voice.narrator import SpokenText
from app.cli import main
from app.offline import RenderOptions, render_spoken

SAMPLE = Path(__file__).parents[2] / "app" / "assets" / "sample.flac"
SMALL = ["--size", "96", "--gaussians", "30000", "--fps", "15", "--backend", "cpu"]


def clip(path: Path, seconds: float, lead_s: float = 0.0) -> Path:
    """The beginning of the sample clip, after some silence."""
    samples, rate = soundfile.read(SAMPLE, dtype="float32")
    samples = np.concatenate([np.zeros(int(lead_s * rate), np.float32), samples])[: int(seconds * rate)]
    soundfile.write(path, samples, rate)
    return path


def images(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(np.float32)


def durations(path: Path) -> tuple[float, float]:
    """Seconds of picture and of sound."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        return float(video.duration * video.time_base), float(audio.duration * audio.time_base)


def test_speech_becomes_a_video_with_sound_in_step(tmp_path: Path) -> None:
    source = clip(tmp_path / "speech.wav", 3.0, lead_s=1.0)
    out = tmp_path / "out.mp4"
    assert main(["render", str(source), "-o", str(out), "--camera", "mouth", *SMALL]) == 0
    picture_s, sound_s = durations(out)
    assert picture_s == pytest.approx(3.0, abs=0.1) and sound_s == pytest.approx(3.0, abs=0.1)
    movement = np.abs(np.diff(images(out), axis=0)).mean((1, 2, 3))
    silent, speaking = movement[3:12], movement[18:]
    assert speaking.mean() > 3 * silent.mean()  # the lips move when there is speech, and rest before


def test_spoken_text_becomes_a_video_whose_lips_follow_the_phonemes(tmp_path: Path) -> None:
    segments = (Segment("SIL", 0.0, 1.0), Segment("M", 1.0, 1.1), Segment("AA", 1.1, 1.6), Segment("SIL", 1.6, 2.0))
    hiss = 0.01 * np.random.default_rng(0).normal(size=2 * 24000).astype(np.float32)
    options = RenderOptions(width=96, height=96, fps=15, camera="mouth", backend="cpu", max_gaussians=30000)
    made = render_spoken(SpokenText(hiss, segments), tmp_path / "out.mp4", options)
    assert made.finished
    assert durations(made.path) == pytest.approx((2.0, 2.0), abs=0.1)
    frames = images(made.path)
    opened = np.abs(frames - frames[5]).mean((1, 2, 3))
    assert opened[18:23].max() > 5 * opened[:13].max()


def test_the_same_seed_gives_the_same_video(tmp_path: Path) -> None:
    source = clip(tmp_path / "speech.wav", 1.0)
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert main(["render", str(source), "-o", str(tmp_path / f"{name}.mp4"), "--seed", seed, *SMALL]) == 0
    a, b, c = (images(tmp_path / f"{name}.mp4") for name in "abc")
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_an_emotion_track_changes_the_face(tmp_path: Path) -> None:
    source = clip(tmp_path / "speech.wav", 2.0)
    track = tmp_path / "track.txt"
    track.write_text("0 neutral 1\n0.5 happy 1\n")
    base = ["render", str(source), *SMALL]
    assert main([*base, "-o", str(tmp_path / "n.mp4")]) == 0
    assert main([*base, "-o", str(tmp_path / "t.mp4"), "--emotion-track", str(track)]) == 0
    difference = np.abs(images(tmp_path / "n.mp4") - images(tmp_path / "t.mp4")).mean((1, 2, 3))
    assert difference[:6].max() < 0.5 * difference[-6:].min()


def test_transparent_background_keeps_its_alpha(tmp_path: Path) -> None:
    from PIL import Image

    source = clip(tmp_path / "speech.wav", 0.3)
    folder = tmp_path / "images"
    assert main(["render", str(source), "-o", str(folder), "--background", "transparent", *SMALL]) == 0
    alpha = np.asarray(Image.open(sorted(folder.glob("*.png"))[0]))[..., 3]
    assert alpha[0, 0] == 0 and alpha[48, 48] > 250


def test_interrupt_leaves_a_video_that_plays(tmp_path: Path) -> None:
    source = clip(tmp_path / "speech.wav", 11.0)
    out = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "app.cli", "render", str(source), "-o", str(out), "--size", "256", "--fps", "60"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    deadline = time.monotonic() + 120
    while not (out.exists() and out.stat().st_size > 20_000) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors and "plays" in errors
    assert len(images(out)) > 5


def test_curves_drive_the_avatar_too(tmp_path: Path) -> None:
    source = clip(tmp_path / "speech.wav", 1.0)
    assert main(["animate", str(source), "-o", str(tmp_path / "curves.arkit.npz")]) == 0
    assert main(["render", str(tmp_path / "curves.arkit.npz"), "-o", str(tmp_path / "out.mp4"), *SMALL]) == 0
    assert len(images(tmp_path / "out.mp4")) == pytest.approx(15, abs=1)
