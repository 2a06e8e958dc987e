"""A photo's mouth is moved to where the head has its own, and nothing else is."""

import numpy as np
from PIL import Image

from avatar.creation.capture.mouth_place import with_mouth_at
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.topology import LIPS_INNER, LIPS_OUTER

_LIPS = np.concatenate([LIPS_OUTER, LIPS_INNER])


def _mouth() -> FaceLandmarks:
    points = np.zeros((468, 3))
    points[:, :2] = [60.0, 20.0]
    for lips, across, down in ((LIPS_OUTER, 24.0, 9.0), (LIPS_INNER, 18.0, 4.0)):
        angle = np.linspace(0, 2 * np.pi, len(lips), endpoint=False)
        points[lips, :2] = np.stack([60 - across * np.cos(angle), 70 - down * np.sin(angle)], 1)
    return FaceLandmarks(points, np.zeros((2, 5, 2)), 1.0, (120, 120))


def test_lips_come_to_where_they_are_wanted_and_the_rest_of_the_face_stays() -> None:
    face = _mouth()
    pixels = np.full((120, 120, 3), 180, np.uint8)
    red = face.points[LIPS_OUTER[5], :2]  # the middle of the upper lip
    pixels[int(red[1]) - 1 : int(red[1]) + 2, int(red[0]) - 2 : int(red[0]) + 3] = [200, 40, 60]
    pixels[10:15, 58:63] = [10, 200, 10]  # something far from the mouth
    wanted = face.points[:, :2] + [0.0, 5.0]

    picture, moved = with_mouth_at(Image.fromarray(pixels), face, wanted)

    found = np.asarray(picture).astype(int)
    x, y = red.astype(int)
    assert found[y + 5, x, 1] < 80 and found[y, x, 1] > 150
    assert (found[:22] == pixels[:22]).all()
    assert np.allclose(moved.points[_LIPS, :2], wanted[_LIPS])
    others = np.setdiff1d(np.arange(468), _LIPS)
    assert (moved.points[others] == face.points[others]).all()


def test_lips_that_are_in_place_leave_the_photo_as_it_is() -> None:
    face = _mouth()
    pixels = np.random.default_rng(0).integers(0, 255, (120, 120, 3)).astype(np.uint8)
    picture, _ = with_mouth_at(Image.fromarray(pixels), face, face.points[:, :2].copy())
    assert np.abs(np.asarray(picture).astype(int) - pixels).max() <= 1
