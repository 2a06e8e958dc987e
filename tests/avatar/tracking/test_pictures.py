"""Pictures and clips come in upright, in RGB, and are refused in one line where they cannot be read."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from avatar.errors import UserError
from avatar.tracking.pictures import Clip, focal_35mm, is_clip, open_picture


def test_exif_turns_the_picture(tmp_path: Path) -> None:
    picture = Image.new("RGB", (120, 80), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 26
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert open_picture(tmp_path / "turned.jpg").size == (80, 120)
    assert focal_35mm(tmp_path / "turned.jpg") == 26
    picture.save(tmp_path / "plain.png")
    assert focal_35mm(tmp_path / "plain.png") is None


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "I;16", "1"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(np.full((90, 100), 128, np.uint8))
    picture = Image.fromarray(np.full((90, 100), 32768, np.uint16)) if mode == "I;16" else grey.convert(mode)
    path = tmp_path / ("p.tif" if mode == "CMYK" else "p.png")
    picture.save(path)
    found = open_picture(path)
    assert found.mode == "RGB" and found.size == (100, 90)
    if mode != "1":
        assert abs(int(np.asarray(found).mean()) - 128) < 12


def test_large_pictures_shrink_and_small_ones_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (3840, 2160)).save(tmp_path / "4k.jpg")
    assert max(open_picture(tmp_path / "4k.jpg").size) == 2400
    Image.new("RGB", (40, 400)).save(tmp_path / "small.png")
    with pytest.raises(UserError, match="too few"):
        open_picture(tmp_path / "small.png")


def test_what_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    Image.new("RGB", (200, 200)).save(tmp_path / "whole.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:300])
    for name in ("text.jpg", "half.jpg", "missing.jpg"):
        with pytest.raises(UserError, match=name):
            open_picture(tmp_path / name)
    with pytest.raises(UserError, match=r"text\.mp4"):
        (tmp_path / "text.mp4").write_text("not a video")
        Clip.open(tmp_path / "text.mp4")


def write_clip(path: Path) -> Path:
    """A second, ever brighter."""
    with av.open(f"file:{path}", "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for level in range(0, 200, 20):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), level, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_clip_is_read_in_order(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4")
    clip = Clip.open(path)
    assert is_clip(path) and clip.size == (96, 64) and clip.duration_s == pytest.approx(1.0, abs=0.15)
    times, levels = zip(*((t, np.asarray(p).mean()) for t, p in clip.pictures()), strict=True)
    assert times[0] == 0 and np.allclose(np.diff(times), 0.1, atol=0.01)
    assert np.abs(np.array(levels) - np.arange(0, 200, 20)).max() < 6
    assert len(list(clip.pictures(max_rate_hz=5))) == 5


@pytest.mark.parametrize("name", ["12:30:45.mp4", "http:me.mkv", "-i.mov"])
def test_a_name_with_a_colon_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    clip = Clip.open(write_clip(Path(name)))
    assert len(list(clip.pictures())) == 10


def test_a_list_of_other_files_is_refused(tmp_path: Path) -> None:
    write_clip(tmp_path / "good.mp4")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    with pytest.raises(UserError, match=r"list\.mp4: a list that names other files"):
        Clip.open(tmp_path / "list.mp4")
