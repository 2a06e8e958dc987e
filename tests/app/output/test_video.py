"""Files that play, in step, with their alpha."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import wave
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from app.output import ImageSequenceWriter, VideoWriter, open_writer, save_still
from avatar.errors import UserError

RATE = 48_000


def picture(bright: bool = False, alpha: int = 255, size: int = 64) -> np.ndarray:
    image = np.zeros((size, size, 4), np.uint8)
    image[..., :3] = 255 if bright else 16
    image[..., 3] = alpha
    return image


def write_clicks(writer: VideoWriter, seconds: int, times: np.ndarray) -> None:
    """A white image and a click at every full second."""
    samples = np.zeros(seconds * RATE, np.float32)
    for k in range(seconds):
        samples[k * RATE : k * RATE + 48] = 0.9
    done = 0
    for t in times:
        writer.write_image(picture(t % 1.0 < 0.039), t)
        upto = min(len(samples), round((t + 0.02) * RATE))
        writer.write_audio(samples[done:upto])
        done = upto
    writer.write_audio(samples[done:])


def flashes(path: Path) -> list[float]:
    out, before = [], False
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            bright = frame.to_ndarray(format="gray").mean() > 128
            if bright and not before:
                out.append(float(frame.time))
            before = bright
    return out


def clicks(path: Path) -> list[float]:
    out: list[float] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            loud = np.flatnonzero(np.abs(np.atleast_2d(frame.to_ndarray())[0].astype(float)) > 0.25)
            if loud.size and (not out or frame.time + loud[0] / frame.sample_rate - out[-1] > 0.5):
                out.append(float(frame.time) + loud[0] / frame.sample_rate)
    return out


@pytest.mark.parametrize(("suffix", "fps"), [(".mp4", None), (".mp4", 25.0), (".mkv", None)])
def test_flash_and_click_agree(tmp_path: Path, suffix: str, fps: float | None) -> None:
    path = tmp_path / f"clip{suffix}"
    with VideoWriter(path, 64, 64, RATE, fps=fps, quality="draft") as writer:
        write_clicks(writer, 3, np.arange(0, 3, 0.02))
        assert writer.duration_s == pytest.approx(3.0, abs=0.05)
    seen, heard = flashes(path), clicks(path)
    assert len(seen) == len(heard) == 3
    np.testing.assert_allclose(heard, [0, 1, 2], atol=0.003)
    np.testing.assert_allclose(seen, [0, 1, 2], atol=0.021 if fps else 0.002)


def test_times_of_a_variable_rate_survive(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(3).uniform(0.008, 0.09, 60))
    times -= times[0]
    path = tmp_path / "v.mp4"
    with VideoWriter(path, 64, 64, RATE) as writer:
        for t in times:
            writer.write_image(picture(), t)
        writer.write_audio(np.zeros(RATE, np.float32))
    with av.open(str(path)) as container:
        shown = [float(f.time) for f in container.decode(video=0)]
    np.testing.assert_allclose(shown, times, atol=1e-4)


def test_constant_rate_fills_gaps_and_keeps_count(tmp_path: Path) -> None:
    path = tmp_path / "c.mp4"
    with VideoWriter(path, 64, 64, None, fps=30) as writer:
        for t in (0.0, 0.01, 0.1, 0.101, 0.5, 0.9667):
            writer.write_image(picture(), t)
    with av.open(str(path)) as container:
        shown = [float(f.time) for f in container.decode(video=0)]
    np.testing.assert_allclose(shown, np.arange(30) / 30, atol=1e-3)


def test_an_image_that_does_not_come_later_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "late.mp4"
    with VideoWriter(path, 64, 64) as writer:
        for t in (0.0, 0.1, 0.05, 0.1, 0.2):
            writer.write_image(picture(), t)
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_colours_come_back(tmp_path: Path) -> None:
    image = np.zeros((64, 64, 4), np.uint8)
    image[:] = (40, 120, 210, 255)
    path = tmp_path / "colour.mp4"
    with VideoWriter(path, 64, 64, quality="high") as writer:
        writer.write_image(image, 0.0)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert frame.colorspace == 1  # BT.709, said in the file and used for the conversion
        back = frame.to_ndarray(format="rgb24")[20:40, 20:40].mean((0, 1))
    np.testing.assert_allclose(back, (210, 120, 40), atol=4)


@pytest.mark.parametrize(("suffix", "decoder"), [(".mov", None), (".webm", "libvpx-vp9")])
def test_alpha_is_kept_straight(tmp_path: Path, suffix: str, decoder: str | None) -> None:
    image = np.zeros((64, 64, 4), np.uint8)
    image[:, :32] = (20, 60, 100, 128)  # premultiplied: straight (40, 120, 199)
    image[:, 32:] = (40, 120, 200, 255)
    path = tmp_path / f"a{suffix}"
    with open_writer(path, 64, 64, RATE, alpha=True, quality="high") as writer:  # type: ignore[attr-defined]
        for t in (0.0, 0.04):
            writer.write_image(image, t)
        writer.write_audio(np.zeros(4800, np.float32))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if decoder:
            context = av.CodecContext.create(decoder, "r")
            context.extradata = stream.codec_context.extradata
            frames = [f for p in container.demux(stream) for f in context.decode(p)]
        else:
            frames = list(container.decode(stream))
        rgba = frames[0].to_ndarray(format="rgba")
    np.testing.assert_allclose(rgba[32, 8], (199, 120, 40, 128), atol=6)
    np.testing.assert_allclose(rgba[32, 56], (200, 120, 40, 255), atol=6)


def test_sequence_has_every_image_and_the_sound(tmp_path: Path) -> None:
    folder = tmp_path / "requests"
    with ImageSequenceWriter(folder, 8, 6, 16_000, fps=10) as writer:
        for k, t in enumerate((0.0, 0.1, 0.4)):
            writer.write_image(np.full((6, 8, 4), (k, k, k, 200), np.uint8), t)
        writer.write_audio(np.linspace(-1, 1, 8000, dtype=np.float32))
    assert sorted(p.name for p in folder.glob("*.png")) == [f"{k:06d}.png" for k in range(5)]
    assert Image.open(folder / "000003.png").mode == "RGBA"
    assert (folder / "sound.wav").stat().st_size == 44 + 16_000
    with pytest.raises(UserError, match="not empty"):
        ImageSequenceWriter(folder, 8, 6, None, fps=10)


def test_still(tmp_path: Path) -> None:
    image = np.full((4, 5, 4), (10, 20, 30, 60), np.uint8)
    assert Image.open(save_still(tmp_path / "new" / "s.png", image)).getpixel((2, 2)) == (128, 85, 43, 60)
    with pytest.raises(UserError, match=r"\.png"):
        save_still(tmp_path / "s.jpg", image)


@pytest.mark.parametrize(
    ("name", "size", "options", "words"),
    [
        ("a.avi", (64, 64), {}, r"\.avi"),
        ("a.mp4", (63, 64), {}, "even"),
        ("a.mp4", (64, 64), {"quality": "best"}, "quality"),
        ("a.mp4", (64, 64), {"fps": 0.1}, "images a second"),
        ("a.mp4", (64, 64), {"alpha": True}, "transparent"),
        ("a.mp4", (64, 64), {"sample_rate": 3}, "sample rate"),
        ("file/a.mp4", (64, 64), {}, "cannot write here"),
    ],
)
def test_bad_requests_end_in_one_line(
    tmp_path: Path, name: str, size: tuple[int, int], options: dict, words: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match=words) as caught:
        open_writer(tmp_path / name, *size, **options)
    assert "\n" not in str(caught.value)


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "s.mp4", 64, 64) as writer, pytest.raises(ValueError, match="expected"):
        writer.write_image(picture(size=32), 0.0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "full.mp4").symlink_to("/dev/full")
    with pytest.raises(UserError, match="disk is full"):
        writer = VideoWriter(tmp_path / "full.mp4", 64, 64)
        write_clicks_without_sound(writer)


def write_clicks_without_sound(writer: VideoWriter) -> None:
    for t in np.arange(0, 3, 0.02):
        writer.write_image(np.random.default_rng(0).integers(0, 255, (64, 64, 4), dtype=np.uint8), t)
    writer.close()


def test_odd_rates_are_resampled(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    with VideoWriter(path, 64, 64, 37_800) as writer:
        for k in range(50):
            writer.write_image(picture(), k / 50)
        writer.write_audio(np.sin(np.arange(37_800) / 20).astype(np.float32) * 0.5)
    with av.open(str(path)) as container:
        length = sum(f.samples / f.sample_rate for f in container.decode(audio=0))
    assert length == pytest.approx(1.0, abs=0.05)


CHILD = """
import resource, signal, sys, time, numpy as np
from app.output import open_writer
from avatar.errors import UserError
path, rate, limit = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
w = open_writer(path, 64, 64, 16000, quality="standard", live=True)
rng = np.random.default_rng(0)
start, k = time.monotonic(), 0
try:
    while True:
        image = rng.integers(0, 255, (64, 64, 4), dtype=np.uint8)
        image[..., 3] = 255
        w.write_image(image, k / 30)
        w.write_audio(rng.normal(0, 0.1, 533).astype(np.float32))
        k += 1
        print(k, flush=True)
        time.sleep(max(0, start + k / 30 - time.monotonic()) if rate else 0)
except UserError as error:
    print(error)
try:
    w.close()
except UserError as error:
    print(error)
"""


def last_moments(path: Path) -> tuple[float, float]:
    """When the last image and the last sound of a file are; one broken packet at the very end is let pass."""
    if path.is_dir():
        sound = read_wave(path / "sound.wav")
        pictures = sorted(path.glob("[0-9]*.png"))
        Image.open(pictures[-1]).load()
        return len(pictures) / 30, len(sound) / 16_000
    last = []
    for kind in ("video", "audio"):
        times, broken = [0.0], 0
        with av.open(str(path)) as container:
            for packet in container.demux(**{kind: 0}):
                try:
                    times += [float(frame.time) for frame in packet.decode()]
                except av.FFmpegError:
                    broken += 1
        assert broken <= 1
        last.append(times[-1])
    return last[0], last[1]


def read_wave(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


KINDS = (".mp4", ".mov", ".webm", ".mkv", "")


def start(path: Path, paced: bool = True, limit: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-c", CHILD, str(path), str(int(paced)), str(limit)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_ten_killed_processes_lose_at_most_a_second_and_a_half_each(tmp_path: Path) -> None:
    """Two of each format."""
    rng = np.random.default_rng(11)
    paths = [tmp_path / f"killed{k}{KINDS[k % len(KINDS)]}" for k in range(10)]
    children = [start(path) for path in paths]
    try:
        for path, child in zip(paths, children, strict=True):
            assert child.stdout is not None
            until = 45 + rng.integers(0, 30)  # those that come later have run for longer
            written = next(count for line in child.stdout if (count := int(line)) >= until)
            child.kill()
            written = max([written, *(int(x) for x in child.stdout.read().split())])
            child.wait()
            assert min(last_moments(path)) >= written / 30 - 1.5, path.suffix
    finally:
        for child in children:
            child.kill()
            child.wait()
            if child.stdout is not None:
                child.stdout.close()


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system cannot limit the size of files")
@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_that_cannot_grow_keeps_what_it_has(tmp_path: Path, suffix: str) -> None:
    """As on a full disk: a write fails, and so does all that closing the file would write."""
    path = tmp_path / f"full{suffix}"
    child = start(path, paced=False, limit={".mov": 1_500_000, "": 70_000}.get(suffix, 250_000))  # of PNGs, the sound's
    said = child.communicate(timeout=60)[0].split("\n")
    written = max(int(line) for line in said if line.isdigit())
    assert any("cannot become larger" in line for line in said)
    assert min(last_moments(path)) >= written / 30 - 1.5


@pytest.mark.parametrize("suffix", KINDS[:-1])
def test_what_is_there_stays_until_the_new_file_is_whole(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"old{suffix}"
    path.write_bytes(b"precious")
    with pytest.raises(UserError, match="quality"):
        VideoWriter(path, 63, 64, quality="best")
    writer = VideoWriter(path, 64, 64)
    writer.write_image(picture(), 0.0)
    assert path.read_bytes() == b"precious"
    writer.abandon()
    assert path.read_bytes() == b"precious"
    assert (tmp_path / f"old.unfinished{suffix}").exists(), "the beginning is kept beside it"
    writer = VideoWriter(path, 64, 64)
    writer.abandon()  # nothing was written: nothing is kept
    assert len(list(tmp_path.iterdir())) == 2
    with VideoWriter(path, 64, 64) as writer:
        writer.write_image(picture(), 0.0)
    assert path.read_bytes() != b"precious"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_start_that_fails_takes_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.mp4"
    path.write_bytes(b"precious")

    def broken(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(VideoWriter, "_add_video", broken)
    for place in (path, tmp_path / "new.mp4"):
        with pytest.raises(UserError, match="cannot be written"):
            VideoWriter(place, 64, 64)
    assert [p.name for p in tmp_path.iterdir()] == ["old.mp4"]
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["rec:1.mp4", "12:30:45.mkv", "-y.webm", "http:a.mov"])
def test_a_name_with_a_colon_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with open_writer(name, 64, 64) as writer:  # type: ignore[attr-defined]
        writer.write_image(picture(), 0.0)
    assert (tmp_path / name).stat().st_size > 0


def test_a_folder_of_images_may_have_any_name(tmp_path: Path) -> None:
    """The window names it after the time: 19.11.18 is no suffix."""
    folder = tmp_path / "Avatar 2026-01-02 19.11.18"
    with open_writer(folder, 64, 64, RATE, sequence=True) as writer:  # type: ignore[attr-defined]
        writer.write_image(picture(), 0.0)
        writer.write_audio(np.zeros(100, np.float32))
    assert {p.name for p in folder.iterdir()} == {"000000.png", "sound.wav"}


def test_errno_without_a_special_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("app.output.video.av.open", broken)
    with pytest.raises(UserError, match="cannot be written"):
        VideoWriter(tmp_path / "x.mp4", 64, 64)


def test_encoding_is_faster_than_life(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 4), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    with VideoWriter(tmp_path / "fast.mp4", 512, 512) as writer:
        start = time.process_time()
        for k in range(30):
            writer.write_image(np.roll(image, k, 1), k / 30)
        spent = time.process_time() - start
    assert spent < 1.0
    shutil.rmtree(tmp_path)
