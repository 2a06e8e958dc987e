"""Picture -> faces -> 468 landmarks, lids and irises, by MediaPipe's networks.

Only the networks' files are MediaPipe's. What stands around them (anchors of the detector, squares that follow the
face, lids from the iris network) is written here on numpy and Pillow.

Reference: Bazarevsky et al., "BlazeFace", 2019; Kartynnik et al., "Real-time facial surface geometry from monocular
video on mobile GPUs", 2019; Ablavatski et al., "Real-time pupil tracking from monocular video", 2020.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from PIL import Image

from avatar.tracking.networks import Network, Square, crop
from avatar.tracking.topology import COUNT, EYE_CORNERS, EYE_RINGS

__all__ = ["FaceLandmarker", "FaceLandmarks"]

_LEAST_SCORE = 0.5
_SAME_FACE = 0.3
"""Boxes that overlap more (intersection over union) are one face."""
_ROOM = 1.5
"""Side of the square that the face mesh sees, relative to the face."""
_EYE_ROOM = 2.3
_MOST_ALONG = 16
"""Squares along the longer side of a picture in which small faces are looked for."""
_SETTLE = 2
"""How often the square is brought nearer to the mesh that was found in it, on the first picture of a face."""


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """A face as seen in a picture. Pixels, y down, pixel centres at +0.5."""

    points: Float[np.ndarray, "468 3"]
    """x, y, and z in pixels too, which grows away from the camera; see `topology`. The lids' borders are those of the
    iris network."""
    irises: Float[np.ndarray, "2 5 2"]
    """Right eye, left eye (the subject's): centre, then four points of the border."""
    score: float
    """How sure the network is that there is a face, 0..1."""
    size: tuple[int, int]
    """Of the picture, width and height."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        low, high = self.points[:, :2].min(0), self.points[:, :2].max(0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def eye_distance(self) -> float:
        """Between the irises' centres, pixels."""
        return float(np.linalg.norm(self.irises[0, 0] - self.irises[1, 0]))


class FaceLandmarker:
    """Finds and follows faces. Keeps where the last one was; not safe for two threads at once."""

    def __init__(self, threads: int = 1) -> None:
        """Raises:
        UserError: if LiteRT or the models cannot be had.
        """
        self._detector = Network("face_detection_short_range.tflite", threads)
        self._mesh = Network("face_landmark.tflite", threads)
        self._iris = Network("iris_landmark.tflite", threads)
        self._anchors = _anchors(self._detector.size)
        self._last: Square | None = None

    def faces(self, picture: Image.Image) -> list[FaceLandmarks]:
        """All faces of a picture, the largest first. Looks for small and for turned ones too."""
        found = []
        for square in self._detect_all(picture):
            landmarks = self._settled(picture, square)
            if landmarks is not None:
                found.append(landmarks)
        return sorted(found, key=lambda f: -f.eye_distance)

    def follow(self, picture: Image.Image) -> FaceLandmarks | None:
        """The face of a running video: where it was in the picture before, else the largest there is, upright or turned
        by right angles as a camera may be held."""
        if self._last is not None:
            landmarks = self._landmarks(picture, self._last)
            if landmarks is not None:
                self._last = _square_around(landmarks.points)
                return landmarks
        self._last = None
        for detect in (self._detect, self._detect_turned):
            found = detect(picture)
            landmarks = self._settled(picture, max(found, key=lambda f: f[0].side)[0]) if found else None
            if landmarks is not None:
                self._last = _square_around(landmarks.points)
                return landmarks
        return None

    def forget(self) -> None:
        """The next picture has nothing to do with the last."""
        self._last = None

    def _settled(self, picture: Image.Image, square: Square) -> FaceLandmarks | None:
        for _ in range(_SETTLE):
            points, score = self._points(picture, square)
            if score < _LEAST_SCORE / 5:
                return None
            square = _square_around(points)
        return self._landmarks(picture, square)

    def _landmarks(self, picture: Image.Image, square: Square) -> FaceLandmarks | None:
        points, score = self._points(picture, square)
        if score < _LEAST_SCORE:
            return None
        irises = np.empty((2, 5, 2))
        for eye, (corners, ring) in enumerate(zip(EYE_CORNERS, EYE_RINGS, strict=True)):
            points[ring, :2], irises[eye] = self._eye(picture, points[list(corners), :2], mirrored=eye == 1)
        return FaceLandmarks(points, irises, score, picture.size)

    def _points(self, picture: Image.Image, square: Square) -> tuple[Float[np.ndarray, "468 3"], float]:
        size = self._mesh.size
        mesh, flag = sorted(self._mesh(crop(picture, square, size)), key=lambda o: -o.size)
        raw = mesh.reshape(COUNT, 3).astype(np.float64)
        points = np.concatenate([square.to_picture(raw[:, :2], size), raw[:, 2:] * (square.side / size)], 1)
        return points, _sigmoid(float(flag.ravel()[0]))

    def _eye(
        self, picture: Image.Image, corners: Float[np.ndarray, "2 2"], mirrored: bool
    ) -> tuple[Float[np.ndarray, "16 2"], Float[np.ndarray, "5 2"]]:
        """The lids' border and the iris. The network knows one eye; the other is shown to it in a mirror."""
        span = corners[1] - corners[0]
        x, y = corners.mean(0)
        square = Square(x, y, max(_EYE_ROOM * float(np.hypot(*span)), 2.0), math.atan2(span[1], span[0]))
        size = self._iris.size
        outputs = sorted(self._iris(crop(picture, square, size, mirrored)), key=lambda o: -o.size)
        found = []
        for raw in outputs:
            points = raw.reshape(-1, 3)[:, :2].astype(np.float64)
            if mirrored:
                points[:, 0] = size - points[:, 0]
            found.append(square.to_picture(points, size))
        return found[0][:16], found[1]

    def _detect_all(self, picture: Image.Image) -> list[Square]:
        """In the whole picture, then in parts of it for faces that are small there, then turned by right angles."""
        found = self._detect(picture)
        for part in _parts(picture):
            found += [(s, score) for s, score in self._detect(picture, part) if s.side < 0.75 * part.side]
        found = found or self._detect_turned(picture)
        kept: list[Square] = []
        for square, _ in sorted(found, key=lambda f: -f[1]):
            if all(_overlap(square, other) < _SAME_FACE for other in kept):
                kept.append(square)
        return kept

    def _detect_turned(self, picture: Image.Image) -> list[tuple[Square, float]]:
        """In the whole picture, turned by the first right angle at which there is a face."""
        whole = _whole(picture)
        for quarter in (1, 3, 2):
            found = self._detect(picture, replace(whole, angle=quarter * math.pi / 2))
            if found:
                return found
        return []

    def _detect(self, picture: Image.Image, area: Square | None = None) -> list[tuple[Square, float]]:
        """In an area of a picture, or in all of it."""
        area = area or _whole(picture)
        size = self._detector.size
        boxes, scores = sorted(self._detector(crop(picture, area, size) * 2 - 1), key=lambda o: -o.size)
        sure = np.array([_sigmoid(float(s)) for s in scores[:, 0]])
        found: list[tuple[Square, float]] = []
        for index in np.argsort(-sure):
            if sure[index] < _LEAST_SCORE:
                break
            box = boxes[index].reshape(8, 2).astype(np.float64)
            keypoints = area.to_picture(np.concatenate([box[:1], box[2:4]]) + self._anchors[index] * size, size)
            eyes = keypoints[2] - keypoints[1]
            side = _ROOM * float(box[1].max()) * area.side / size
            square = Square(keypoints[0, 0], keypoints[0, 1], side, math.atan2(eyes[1], eyes[0]))
            if all(_overlap(square, other) < _SAME_FACE for other, _ in found):
                found.append((square, float(sure[index])))
        return found


def _whole(picture: Image.Image) -> Square:
    width, height = picture.size
    return Square(width / 2, height / 2, max(width, height))


def _parts(picture: Image.Image) -> Iterator[Square]:
    """Overlapping squares: quarters and the middle, and along a wide or a high picture."""
    whole, (width, height) = _whole(picture), picture.size
    for x, y in np.array([[-1, -1], [1, -1], [0, 0], [-1, 1], [1, 1]]) * whole.side / 4:
        yield Square(whole.x + x, whole.y + y, whole.side / 2)
    short, rest = min(width, height), abs(width - height)
    count = min(math.ceil(2 * rest / short) + 1, _MOST_ALONG) if rest > 0.3 * short else 0
    for along in np.linspace(-rest / 2, rest / 2, count):
        wide = width > height
        yield Square(whole.x + along * wide, whole.y + along * (not wide), short)


def _square_around(points: Float[np.ndarray, "468 3"]) -> Square:
    """What the mesh should see next, upright by the outer corners of the eyes."""
    eyes = points[263, :2] - points[33, :2]
    angle = math.atan2(eyes[1], eyes[0])
    c, s = math.cos(angle), math.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    upright = points[:, :2] @ turn
    low, high = upright.min(0), upright.max(0)
    x, y = turn @ ((low + high) / 2)
    return Square(x, y, _ROOM * max(float((high - low).max()), 4.0), angle)


def _overlap(a: Square, b: Square) -> float:
    """Intersection over union, as if neither were turned."""
    w, h = (min(a.side, b.side, (a.side + b.side) / 2 - abs(d)) for d in (a.x - b.x, a.y - b.y))
    both = max(w, 0) * max(h, 0)
    return both / (a.side**2 + b.side**2 - both)


def _anchors(size: int) -> Float[np.ndarray, "n 2"]:
    """Centres that the detector's boxes are relative to, 0..1."""
    rows = []
    for stride, count in ((8, 2), (16, 6)):
        cells = size // stride
        y, x = np.mgrid[:cells, :cells]
        rows.append(np.repeat((np.stack([x.ravel(), y.ravel()], 1) + 0.5) / cells, count, 0))
    return np.concatenate(rows)


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-min(max(value, -80.0), 80.0)))
