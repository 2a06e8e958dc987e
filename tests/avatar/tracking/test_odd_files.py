"""Odd pictures and clips by the hundred: each is read, upright and in RGB, or refused in one line that names it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
from PIL import Image

from avatar.errors import UserError
from avatar.tracking.pictures import Clip, open_picture

GREY = 128
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif", "GIF": ".gif"}
CLIP_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
EITHER = None
"""Of damage: what is left of some files is a picture."""

Case = tuple[str, bytes, tuple[int, int] | str | None]
"""A file's name, what is in it, and what becomes of it: a picture of this size, a refusal in these words, or either."""


def _saved(picture: Image.Image, kind: str, **how: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **how)
    return out.getvalue()


def _plain(size: tuple[int, int] = (120, 90)) -> Image.Image:
    """Grey, with a slope that tells its sides apart."""
    across = np.linspace(-40, 40, size[0])
    return Image.fromarray((GREY + np.broadcast_to(across, size[::-1])).astype(np.uint8)).convert("RGB")


def _modes() -> Iterator[Case]:
    can = {
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
        "WEBP": ("RGB", "RGBA"),
        "BMP": ("1", "L", "P", "RGB"),
        "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "LAB"),
        "GIF": ("L", "P"),
    }
    for kind, modes in can.items():
        for mode in modes:
            plain = _plain()
            if mode in ("I;16", "I"):
                high = np.asarray(plain.convert("L"), np.int32) * 257
                picture = Image.fromarray(high.astype(np.uint16)) if mode == "I;16" else Image.fromarray(high)
            elif mode == "LAB":
                picture = Image.merge("LAB", [plain.getchannel(0), *[Image.new("L", plain.size, 0)] * 2])
            else:
                picture = plain.convert(mode)
            yield f"{mode.replace(';', '')}_{kind}{SUFFIXES[kind]}", _saved(picture, kind), plain.size
    deep = np.asarray(_plain(), np.uint16) * 257
    yield "palette_with_a_hole.png", _saved(_plain().convert("P"), "PNG", transparency=3), (120, 90)
    yield "planes.tif", _saved(Image.fromarray((deep[..., 0] >> 8).astype(np.uint8)), "TIFF"), (120, 90)
    for kind in ("GIF", "WEBP", "PNG", "TIFF"):
        rest = [_plain(), _plain()]
        yield f"animated{SUFFIXES[kind]}", _saved(_plain(), kind, save_all=True, append_images=rest), (120, 90)
    for quality in (1, 10, 95):
        for how in ({"progressive": True}, {"optimize": True}, {"subsampling": 0}):
            name = f"q{quality}_{next(iter(how))}.jpg"
            yield name, _saved(_plain(), "JPEG", quality=quality, **how), (120, 90)
    yield "broken_profile.jpg", _saved(_plain(), "JPEG", icc_profile=b"nonsense" * 9), (120, 90)
    yield "broken_profile.png", _saved(_plain(), "PNG", icc_profile=b"\0" * 200), (120, 90)


def _turns() -> Iterator[Case]:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        for orientation in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 200):
            exif = Image.Exif()
            exif[0x0112] = orientation
            size = (90, 120) if orientation in (5, 6, 7, 8) else (120, 90)
            yield f"exif{orientation}{SUFFIXES[kind]}", _saved(_plain(), kind, exif=exif), size
    yield "exif_nonsense.jpg", _saved(_plain(), "JPEG", exif=b"Exif\0\0" + b"\xff" * 60), (120, 90)


def _sizes() -> Iterator[Case]:
    for size in ((1, 1), (1, 500), (500, 1), (63, 63), (63, 4000), (2, 2)):
        for kind in ("PNG", "JPEG", "WEBP"):
            yield f"{size[0]}x{size[1]}{SUFFIXES[kind]}", _saved(_plain(size), kind), "too few"
    for size, shrunk in (((64, 64), (64, 64)), ((64, 900), (64, 900)), ((4000, 3000), (2400, 1800))):
        for kind in ("PNG", "JPEG"):
            yield f"{size[0]}x{size[1]}{SUFFIXES[kind]}", _saved(_plain(size), kind), shrunk
    bits = Image.new("1", (16_500, 16_500))
    yield "bomb.png", _saved(bits, "PNG"), "more pixels than"
    yield "bomb.tif", _saved(bits, "TIFF", compression="group4"), "more pixels than"


def _damaged() -> Iterator[Case]:
    textured = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    for kind, suffix in SUFFIXES.items():
        whole = _saved(textured, kind)
        yield f"empty{suffix}", b"", "not a picture"
        for share in (0.01, 0.1, 0.5, 0.9):
            yield f"cut{share}_{kind}{suffix}", whole[: max(4, int(share * len(whole)))], "not a picture|damaged"
        for seed in range(8):
            spoiled, rng = bytearray(whole), np.random.default_rng(seed)
            for at in rng.integers(0, len(whole), 1 + 4 * seed):
                spoiled[at] = rng.integers(256)
            yield f"spoiled{seed}_{kind}{suffix}", bytes(spoiled), EITHER
        yield f"other_name_{kind}.png", whole, (120, 90)
        yield (
            f"magic{suffix}",
            whole[:16] + np.random.default_rng(1).bytes(400),
            "not a picture|damaged|more pixels|too few",
        )
    for name, content in (
        ("text.jpg", b"no picture"), ("page.png", b"<html><body>404</body></html>"),
        ("noise.webp", bytes(range(256)) * 9),
        ("pdf.jpg", b"%PDF-1.7\n%%EOF"), ("zip.png", b"PK\x03\x04" + b"\0" * 60), ("svg.png", b"<svg/>"),
    ):  # fmt: skip
        yield name, content, "not a picture"


def _pictures() -> list[Case]:
    return [*_modes(), *_turns(), *_sizes(), *_damaged()]


def _opened(path: Path) -> list[Image.Image]:
    return [open_picture(path)]


def _played(path: Path) -> list[Image.Image]:
    return [picture for _, picture in Clip.open(path).pictures()]


def _answer(path: Path, read: Callable[[], list[Image.Image]]) -> list[Image.Image] | str:
    """Pictures, all right ones, or one line."""
    try:
        found = read()
    except UserError as error:
        line = str(error)
        assert path.name in line and "\n" not in line and len(line) < 300, line
        return line
    for picture in found:
        assert picture.mode == "RGB" and min(picture.size) > 0
    return found


def _check(name: str, answer: list[Image.Image] | str, wanted: tuple[int, int] | str | None) -> None:
    if isinstance(wanted, str):
        assert isinstance(answer, str) and any(word in answer for word in wanted.split("|")), (name, answer)
    elif wanted is not EITHER:
        assert not isinstance(answer, str), (name, answer)
        assert answer[0].size == wanted, (name, answer[0].size)


def test_odd_pictures_are_read_or_refused(tmp_path: Path) -> None:
    cases = _pictures()
    assert len(cases) == len({name for name, _, _ in cases}) > 200
    counts = {"read": 0, "refused": 0}
    for name, content, wanted in cases:
        path = tmp_path / name
        path.write_bytes(content)
        answer = _answer(path, partial(_opened, path))
        _check(name, answer, wanted)
        counts["refused" if isinstance(answer, str) else "read"] += 1
        if wanted == (120, 90) and not name.startswith(("1_", "LAB", "palette", "other")):
            assert abs(float(np.asarray(answer[0], np.float64).mean()) - GREY) < 12, name
    assert counts["read"] > 100 and counts["refused"] > 60
    (tmp_path / "folder.jpg").mkdir()
    assert "no such file" in _answer(tmp_path / "folder.jpg", partial(_opened, tmp_path / "folder.jpg"))


def test_exif_turns_each_side_to_where_it_belongs(tmp_path: Path) -> None:
    """The slope of grey tells where the picture's left side has gone."""
    left_is = {1: "left", 2: "right", 3: "right", 4: "left", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}
    for orientation, side in left_is.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        (tmp_path / "turned.png").write_bytes(_saved(_plain(), "PNG", exif=exif))
        values = np.asarray(open_picture(tmp_path / "turned.png"), np.float64)[..., 0]
        ends = {"left": values[:, :5], "right": values[:, -5:], "top": values[:5], "bottom": values[-5:]}
        assert min(ends, key=lambda end: ends[end].mean()) == side


def _clip(
    codec: str = "libx264",
    kind: str = "mp4",
    size: tuple[int, int] = (96, 64),
    times: tuple[float, ...] = tuple(k / 10 for k in range(10)),
    sound: bool = False,
) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=kind) as container:
        if codec:
            stream = container.add_stream(codec, rate=1000 if kind == "matroska" else 50)
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 50)
        if sound:
            voice = container.add_stream("aac" if kind == "mp4" else "pcm_s16le", rate=16_000)
            voice.layout = "mono"
        if codec:
            for t in times:
                frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), GREY, np.uint8))
                frame.pts, frame.time_base = round(t * 50), Fraction(1, 50)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        if sound:
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), "s16", "mono")
            samples.rate, samples.pts = 16_000, 0
            container.mux(voice.encode(samples))
            container.mux(voice.encode())
    return out.getvalue()


def _clips() -> Iterator[tuple[str, bytes, int | str | None]]:
    """A file's name, what is in it, and how many pictures are read from it, or the words of a refusal, or either."""
    for codec, kind, name in (
        ("libx264", "mp4", "a.mp4"), ("libx264", "mov", "b.mov"), ("libx264", "matroska", "c.mkv"),
        ("mpeg4", "avi", "d.avi"), ("mjpeg", "avi", "e.avi"), ("mpeg4", "mp4", "f.m4v"),
        ("libx264", "mp4", "other_name.webm"),
    ):  # fmt: skip
        yield name, _clip(codec, kind), 10
    uneven = (0.0, 0.02, 0.1, 0.5, 0.52, 1.7, 1.72, 3.0)
    yield "uneven.mp4", _clip(times=uneven), len(uneven)
    yield "uneven.mkv", _clip(kind="matroska", times=uneven), len(uneven)
    yield "one_picture.mp4", _clip(times=(0.0,)), 1
    yield "starts_late.mkv", _clip(kind="matroska", times=(5.0, 5.1, 5.2)), 3
    yield "tiny.mp4", _clip(size=(2, 2)), 10
    yield "wide.mp4", _clip(size=(1920, 2), times=(0.0, 0.1)), 2
    yield "large.mp4", _clip(size=(1920, 1080), times=(0.0, 0.1)), 2
    yield "with_sound.mp4", _clip(sound=True), 10
    yield "only_sound.mp4", _clip(codec="", sound=True), "only sound"
    yield "only_sound.mkv", _clip(codec="", kind="matroska", sound=True), "only sound"
    for suffix in CLIP_SUFFIXES:
        yield f"empty{suffix}", b"", "not a video|no picture"
        yield f"text{suffix}", b"no video at all, only words in a file", "not a video|no picture"
        yield f"noise{suffix}", np.random.default_rng(2).bytes(3000), "not a video|no picture"
    for kind, suffix in (("mp4", ".mp4"), ("matroska", ".mkv"), ("avi", ".avi")):
        whole = _clip("mpeg4" if kind == "avi" else "libx264", kind)
        for share in (0.02, 0.3, 0.6, 0.95):
            refused = (kind == "mp4" and share < 0.9) or share < 0.1
            yield (
                f"cut{share}{suffix}",
                whole[: int(share * len(whole))],
                "not a video|no picture" if refused else EITHER,
            )
        for seed in range(6):
            spoiled, rng = bytearray(whole), np.random.default_rng(seed)
            for at in rng.integers(0, len(whole), 2 + 6 * seed):
                spoiled[at] = rng.integers(256)
            yield f"spoiled{seed}{suffix}", bytes(spoiled), EITHER


def test_odd_clips_are_read_or_refused(tmp_path: Path) -> None:
    cases = list(_clips())
    assert len(cases) == len({name for name, _, _ in cases}) >= 60
    read = refused = 0
    for name, content, wanted in cases:
        path = tmp_path / name
        path.write_bytes(content)
        answer = _answer(path, partial(_played, path))
        if isinstance(wanted, int):
            assert not isinstance(answer, str) and len(answer) == wanted, (name, answer)
            read += 1
        elif isinstance(wanted, str):
            assert isinstance(answer, str) and any(word in answer for word in wanted.split("|")), (name, answer)
            refused += 1
    assert read >= 15 and refused >= 20
