"""From a rendered photo to an avatar, and what is said about pictures that cannot become one."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from app.capture import capture_files
from app.track import track_curves
from avatar.camera import Camera
from avatar.creation.capture.from_photos import capture
from avatar.creation.capture.painted import MAX_GAUSSIANS
from avatar.creation.capture.photo import look_at
from avatar.creation.capture.rendered_people import draw, random_weights
from avatar.errors import UserError
from avatar.flame.arkit import indices, weights_from_dict
from avatar.library import open_avatar
from avatar.render import open_renderer
from avatar.tracking.landmarker import FaceLandmarker
from avatar.tracking.pictures import Clip

BACKGROUND = (0.55, 0.6, 0.65)


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    avatar = open_avatar("clara")
    camera = Camera.preset("portrait", 360, 360)
    return draw(open_renderer("cpu"), avatar, avatar.head.neutral(), camera, BACKGROUND)


@pytest.mark.usefixtures("tracking_models")
def test_the_avatar_looks_like_the_photo(portrait: Image.Image) -> None:
    photo = look_at(portrait, FaceLandmarker())
    shares: list[float] = []
    pictures: list[Image.Image] = []
    made = capture([photo], "made", lambda share, what: shares.append(share), pictures.append, steps=3)
    assert len(pictures) == 2 and pictures[0].size == pictures[1].size
    assert shares == sorted(shares) and len(made.gaussians) <= MAX_GAUSSIANS
    camera = Camera.preset("portrait", 200, 200)
    drawn = np.asarray(draw(open_renderer("cpu"), made, made.head.neutral(), camera, BACKGROUND), np.float64)
    truth = np.asarray(portrait.resize((200, 200), Image.Resampling.BOX), np.float64)
    face = (slice(70, 135), slice(70, 130))
    assert np.abs(drawn[face] - truth[face]).mean() < 16  # of 255; head and camera were found, not given
    blink = made.head.vertices(made.arkit.params(weights_from_dict({"eyeBlinkLeft": 1.0})))
    upper, lower = (blink[made.head.regions[f"{row}_lid_margin_left"]][:, 1].mean() for row in ("upper", "lower"))
    assert abs(float(upper - lower)) < 0.002


@pytest.mark.usefixtures("tracking_models")
def test_pictures_without_a_usable_face_are_refused(portrait: Image.Image) -> None:
    landmarker = FaceLandmarker()
    with pytest.raises(UserError, match="no face was found"):
        look_at(Image.new("RGB", (300, 300), "grey"), landmarker)
    tiny = Image.new("RGB", (900, 900), "grey")
    tiny.paste(portrait.resize((70, 70)), (400, 400))
    with pytest.raises(UserError, match=r"no face|pixels wide"):
        look_at(tiny, landmarker)
    both = Image.new("RGB", (720, 360))
    both.paste(portrait, (0, 0))
    both.paste(portrait, (360, 0))
    assert any("2 faces" in note for note in look_at(both, landmarker).notes)


@pytest.mark.usefixtures("tracking_models")
def test_odd_pictures_get_an_answer(portrait: Image.Image) -> None:
    """What becomes of a picture does not matter; that it is a photo or one line does."""
    rng = np.random.default_rng(0)
    landmarker = FaceLandmarker()
    taken = 0
    for _ in range(24):
        picture = portrait.rotate(float(rng.uniform(-180, 180)), expand=bool(rng.integers(2)))
        left, top = rng.integers(0, 120, 2)
        picture = picture.crop(
            (int(left), int(top), int(left + rng.integers(80, 300)), int(top + rng.integers(80, 300)))
        )
        if rng.random() < 0.3:
            picture = picture.convert("L").convert("RGB")
        if rng.random() < 0.3:
            small = picture.resize((max(picture.width // 6, 1), max(picture.height // 6, 1)))
            picture = small.resize(picture.size)
        if rng.random() < 0.3:
            noise = np.asarray(picture, np.float64) + rng.normal(0, 60, (picture.height, picture.width, 3))
            picture = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
        try:
            photo = look_at(picture, landmarker)
        except UserError as error:
            assert "\n" not in str(error)
            continue
        taken += 1
        assert np.isfinite(photo.landmarks.points).all() and photo.picture.size == photo.landmarks.size
    assert taken > 0


@pytest.mark.usefixtures("tracking_models")
def test_a_clip_drives(tmp_path: Path) -> None:
    avatar, renderer = open_avatar("clara"), open_renderer("cpu")
    truth = [0.0] * 6 + [0.3, 0.7, 1.0, 1.0, 0.6, 0.2] + [0.0] * 4
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        for k, shut in enumerate(truth):
            weights = weights_from_dict({"eyeBlinkLeft": shut, "eyeBlinkRight": shut, "jawOpen": 0.5 * (k > 12)})
            camera = Camera.orbit(256, 256, 2.0 * k, 0, 1.0, (0, -0.005, -0.03), 19)
            picture = draw(renderer, avatar, avatar.arkit.params(weights), camera, BACKGROUND)
            container.mux(stream.encode(av.VideoFrame.from_image(picture)))
        container.mux(stream.encode())
    curves, missed = track_curves(Clip.open(path), (0.0, 0.5))
    assert missed == 0 and len(curves) == len(truth)
    blink = curves.weights[:, indices("eyeBlinkLeft", "eyeBlinkRight")].mean(1)
    assert np.corrcoef(blink, truth)[0, 1] > 0.9
    jaw = curves.weights[:, indices("jawOpen")[0]]
    assert jaw[13:].mean() > 0.25 > jaw[:12].mean()
    turn = curves.neck[:, 1]
    assert np.degrees(abs(turn[-1] - turn[0])) == pytest.approx(30, abs=8)


def test_files_that_are_no_photos(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("notes")
    for sources, message in (
        ([tmp_path / "notes.jpg"], "not a picture"),
        ([], "at least one"),
        ([tmp_path / "missing.png"], "no such file"),
        ([tmp_path / "a.mp4", tmp_path / "b.png"], "not both"),
    ):
        with pytest.raises(UserError, match=message):
            capture_files(sources, "me", tmp_path / "me.safetensors")
    with pytest.raises(UserError, match="cannot be a name"):
        capture_files([tmp_path / "notes.jpg"], "../me")
    assert list(tmp_path.glob("*.safetensors")) == []


def test_random_expressions_stay_in_range() -> None:
    rng = np.random.default_rng(0)
    rows = np.array([random_weights(rng) for _ in range(100)])
    assert rows.min() >= 0 and rows.max() <= 1 and (rows.max(0) > 0).sum() > 30
