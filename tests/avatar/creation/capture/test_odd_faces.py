"""Odd faces by the hundred: each becomes a photo, with a note on what is wrong with it, or is refused in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from avatar.camera import Camera
from avatar.creation.capture.frames import choose_frames
from avatar.creation.capture.photo import look_at
from avatar.creation.capture.rendered_people import draw
from avatar.errors import UserError
from avatar.library import open_avatar
from avatar.render import open_renderer
from avatar.tracking.landmarker import FaceLandmarker
from avatar.tracking.pictures import Clip

BACKGROUND = (0.55, 0.6, 0.65)
GOOD, REFUSED = "", "no face was found|pixels wide|cuts the face off"
"""A photo without remarks; and what is said of what cannot be one."""
ANY = None

Case = tuple[str, Image.Image, str | None]
"""What it is, the picture, and what is said of it: parts of a note or of a refusal."""


@pytest.fixture(scope="module")
def faces() -> list[Image.Image]:
    """From the front, and turned by 60 degrees."""
    renderer = open_renderer("cpu")
    avatar = open_avatar("clara")
    cameras = (Camera.preset("portrait", 360, 360), Camera.orbit(360, 360, 60.0, 0, 1.0, (0, -0.005, -0.03), 23.0))
    return [draw(renderer, avatar, avatar.head.neutral(), camera, BACKGROUND) for camera in cameras]


def _noisy(picture: Image.Image, sigma: float, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).normal(0, sigma, (picture.height, picture.width, 3))
    return Image.fromarray((np.asarray(picture, np.float64) + noise).clip(0, 255).astype(np.uint8))


def _fit_to_use(face: Image.Image) -> Iterator[Case]:
    for size in (240, 300, 500, 900):
        yield f"{size} px", face.resize((size, size), Image.Resampling.BICUBIC), GOOD
    for name, change in (
        ("mirrored", ImageOps.mirror), ("grey", lambda p: p.convert("L").convert("RGB")),
        ("hard", ImageOps.autocontrast), ("flat", lambda p: ImageEnhance.Contrast(p).enhance(0.5)),
        ("garish", lambda p: ImageEnhance.Color(p).enhance(2.5)),
    ):  # fmt: skip
        yield name, change(face), GOOD
    for light in (0.6, 0.8, 1.2, 1.4):
        yield f"light {light}", ImageEnhance.Brightness(face).enhance(light), GOOD
    for turn in (-20, -10, 10, 20, 90, 180, 270):
        yield f"turned by {turn}", face.rotate(turn, expand=True, fillcolor=(140, 153, 166)), GOOD
    for sigma in (4, 10, 20):
        yield f"noise {sigma}", _noisy(face, sigma), GOOD
    for x, y in ((-60, 0), (60, 0), (0, 30)):
        yield f"moved by {x}, {y}", face.transform(face.size, Image.Transform.AFFINE, (1, 0, x, 0, 1, y)), GOOD
    wide = Image.new("RGB", (1600, 500), (140, 153, 166))
    wide.paste(face, (1100, 70))
    yield "in a corner of a wide picture", wide, GOOD


def _remarked(front: Image.Image, side: Image.Image) -> Iterator[Case]:
    for radius, said in ((4, "blurred"), (5, "blurred"), (6, "blurred|sharp"), (7, "blurred|sharp")):
        yield f"blur {radius}", front.filter(ImageFilter.GaussianBlur(radius)), said
    for light in (0.12, 0.2, 0.28):
        yield f"light {light}", ImageEnhance.Brightness(front).enhance(light), "dark|no face"
    for count in (2, 3):
        row = Image.new("RGB", (360 * count, 360))
        for k in range(count):
            row.paste(front, (360 * k, 0))
        yield f"{count} faces", row, f"{count} faces"
    small = Image.new("RGB", (720, 360))
    small.paste(front, (0, 0))
    small.paste(front.resize((120, 120)), (480, 100))
    yield "a large and a small one", small, GOOD
    yield "from the side", side, "turned away"
    hidden = front.copy()
    ImageDraw.Draw(hidden).rectangle((0, 0, 360, 175), fill=(20, 20, 20))
    yield "eyes covered", hidden, ANY
    hidden = front.copy()
    ImageDraw.Draw(hidden).rectangle((0, 190, 360, 360), fill=(200, 180, 160))
    yield "mouth covered", hidden, ANY


def _refused(face: Image.Image) -> Iterator[Case]:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:300, :300]
    plain = {
        "grey": np.full((300, 300), 128), "black": np.zeros((300, 300)), "white": np.full((300, 300), 255),
        "slope": x * 0.8, "board": 255 * ((x // 30 + y // 30) % 2), "waves": 127 + 120 * np.sin(x / 9) * np.cos(y / 13),
        "rings": 127 + 120 * np.sin(np.hypot(x - 150, y - 150) / 7), "noise": rng.uniform(0, 255, (300, 300)),
    }  # fmt: skip
    for name, values in plain.items():
        said = ANY if name == "rings" else "no face"  # the network takes rings for a face
        yield name, Image.fromarray(values.astype(np.uint8)).convert("RGB"), said
    for seed in range(16):
        scene = Image.new("RGB", (320, 240), tuple(int(v) for v in rng.integers(0, 256, 3)))
        pen = ImageDraw.Draw(scene)
        for _ in range(14):
            (left, top), (wide, high) = rng.integers(0, 240, 2), rng.integers(10, 120, 2)
            shape = pen.rectangle if rng.random() < 0.5 else pen.ellipse
            color = tuple(int(v) for v in rng.integers(0, 256, 3))
            shape((int(left), int(top), int(left + wide), int(top + high)), fill=color)
        yield f"shapes {seed}", scene, "no face"
    for share in (0.35, 0.45, 0.5):
        for side in ("left", "right", "top", "bottom"):
            cut = round(360 * share)
            box = {"left": (cut, 0, 360, 360), "right": (0, 0, 360 - cut, 360)}.get(side)
            box = box or {"top": (0, cut, 360, 360), "bottom": (0, 0, 360, 360 - cut)}[side]
            yield f"{share} cut off at the {side}", face.crop(box), ANY if share < 0.5 else REFUSED
    for size in (40, 70, 100, 130):
        far = Image.new("RGB", (1200, 900), (140, 153, 166))
        far.paste(face.resize((size, size), Image.Resampling.BOX), (500, 300))
        yield f"far away, {size}", far, REFUSED
    for sigma in (120, 200):
        yield f"noise {sigma}", _noisy(face, sigma), ANY
    for cells in (6, 10):
        tiny = face.resize((cells, cells), Image.Resampling.BOX)
        yield f"{cells} blocks", tiny.resize((360, 360), Image.Resampling.NEAREST), "no face"


@pytest.mark.usefixtures("tracking_models")
def test_odd_faces_get_an_answer(faces: list[Image.Image]) -> None:
    landmarker = FaceLandmarker()
    cases = [*_fit_to_use(faces[0]), *_remarked(*faces), *_refused(faces[0])]
    assert len(cases) > 75
    taken = refused = 0
    for name, picture, wanted in cases:
        try:
            photo = look_at(picture, landmarker, name)
        except UserError as error:
            said = str(error)
            assert said.startswith(f"{name}: ") and "\n" not in said
            refused += 1
        else:
            said = "; ".join(photo.notes)
            assert np.isfinite(photo.landmarks.points).all() and photo.picture.size == photo.landmarks.size
            taken += 1
        if wanted == GOOD:
            assert not said, (name, said)
        elif wanted is not ANY:
            assert any(part in said for part in wanted.split("|")), (name, said)
    assert taken >= 30 and refused >= 30


def _clip(path: Path, pictures: list[Image.Image]) -> Clip:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"preset": "ultrafast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = 240, 240, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_image(picture.resize((240, 240)))))
        container.mux(stream.encode())
    return Clip.open(path)


@pytest.mark.usefixtures("tracking_models")
def test_odd_clips_of_faces_get_an_answer(faces: list[Image.Image], tmp_path: Path) -> None:
    front, grey = faces[0], Image.new("RGB", (240, 240), "grey")
    few = "too few for an avatar"
    cases: list[tuple[str, list[Image.Image], str | int]] = [
        ("nobody.mp4", [grey] * 6, few), ("noise.mp4", [_noisy(grey, 90, k) for k in range(6)], few),
        ("one.mp4", [front], few), ("a_glimpse.mp4", [grey, front, front, grey, grey], few),
        ("still.mp4", [front] * 6, 6), ("comes_late.mp4", [grey] * 4 + [front] * 6, 6),
        ("goes.mp4", [front] * 6 + [grey] * 4, 6), ("flickers.mp4", [front, grey] * 6, 6),
        ("jumps.mp4", [front, ImageOps.mirror(front)] * 4, 8), ("grey.mp4", [front.convert("L").convert("RGB")] * 5, 5),
        ("upside_down.mp4", [front.rotate(180)] * 5, 5), ("on_its_side.mp4", [front.rotate(90)] * 5, 5),
    ]  # fmt: skip
    for name, pictures, wanted in cases:
        answer: Callable[[], object] = lambda: len(choose_frames(_clip(tmp_path / name, pictures)).photos)  # noqa: B023, E731
        if isinstance(wanted, str):
            with pytest.raises(UserError, match=wanted) as caught:
                answer()
            assert name in str(caught.value) and "\n" not in str(caught.value)
        else:
            assert answer() == wanted, name
    seen = choose_frames(_clip(tmp_path / "again.mp4", [front] * 6))
    assert any("both sides" in line for line in seen.missing) and any("mouth" in line for line in seen.missing)
    assert any("never shut" in line for line in seen.missing) and seen.painted
