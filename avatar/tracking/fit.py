"""Landmarks -> camera, shape and expression of a head: regularised Gauss-Newton on its 468 points.

Unknowns are the head's place before the camera, its shape coefficients (of unit variance), and ARKit weights in 0..1,
which every head of this program understands; gaze follows from the irises. Residuals are measured in metres at the
face, so that near and far faces weigh alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, Float64
from numba import njit

from avatar.camera import Camera
from avatar.flame.arkit import NAMES, indices
from avatar.flame.rotations import axis_angle_to_matrix
from avatar.tracking.alignment import align
from avatar.tracking.face_points import FaceModel
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.topology import COUNT, LIDS, LIPS_INNER, LIPS_OUTER, OVAL, STILL

__all__ = ["FaceFit", "FaceFitter", "Intrinsics"]

_SIGMA_M = 0.0015
_DEPTH_SIGMA_M = 0.008
_TOGETHER = 0.12
"""Neighbouring landmarks err together: 468 of them say as much as 56 that do not."""
_WEIGHT_SD = 0.35
_RARE = {
    0.03: ("tongueOut", "cheekPuff", "jawForward"),
    0.2: (
        "cheekSquintLeft", "cheekSquintRight", "mouthShrugLower", "mouthShrugUpper", "mouthRollLower",
        "mouthRollUpper", "mouthPressLeft", "mouthPressRight", "mouthDimpleLeft", "mouthDimpleRight",
        "eyeSquintLeft", "eyeSquintRight", "noseSneerLeft", "noseSneerRight",
    ),
    0.5: ("jawOpen",),
}  # fmt: skip
_GAZE = tuple(f"eyeLook{way}{side}" for side in ("Right", "Left") for way in ("Up", "Down", "In", "Out"))
_GUESSED = 9.0
"""How much surer a guess of the shape is than the average."""
_ROUNDS, _SWEEPS = 8, 60
_MAX_TURN_RAD = 0.6


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera without a place: focal length and centre, pixels."""

    focal: float
    x: float
    y: float

    @classmethod
    def guess(cls, size: tuple[int, int], focal_35mm: float | None = None) -> Intrinsics:
        """Of a picture of this size.

        Args:
            focal_35mm: the equivalent focal length that a camera notes, millimetres; if unknown, that of a telephone
                held at arm's length or of a webcam.
        """
        diagonal = float(np.hypot(*size))
        focal = diagonal * (focal_35mm or 38.0) / 43.27
        return cls(focal, size[0] / 2, size[1] / 2)


@dataclass(frozen=True, eq=False)
class FaceFit:
    """What was found. The head is upright at the origin; the camera stands before it."""

    rotation: Float64[np.ndarray, "3 3"]
    translation: Float64[np.ndarray, "3"]
    """World to camera, OpenCV's axes, metres."""
    shape: Float64[np.ndarray, " s"]
    weights: Float64[np.ndarray, "52"]
    gaze: Float64[np.ndarray, "2 3"]
    """Axis-angle of the right and the left eye, radians."""
    residual_px: float
    """RMS distance of the landmarks."""

    def camera(self, intrinsics: Intrinsics, size: tuple[int, int]) -> Camera:
        """That took the picture."""
        viewmat = np.eye(4, dtype=np.float32)
        viewmat[:3, :3], viewmat[:3, 3] = self.rotation, self.translation
        K = np.array([[intrinsics.focal, 0, intrinsics.x], [0, intrinsics.focal, intrinsics.y], [0, 0, 1]], np.float32)
        return Camera(viewmat, K, *size)


class FaceFitter:
    """Fits one head to pictures."""

    def __init__(self, face: FaceModel) -> None:
        self.face = face
        weight = 1 / np.hypot(_SIGMA_M, np.maximum(face.landmarks.spread_m, 0.0005))
        weight[OVAL] *= 0.35
        weight[LIDS] *= 2.0
        weight[LIPS_INNER] *= 1.6
        weight[LIPS_OUTER] *= 1.3
        self._weight = weight * np.sqrt(_TOGETHER)
        sd = np.full(len(NAMES), _WEIGHT_SD)
        for value, names in _RARE.items():
            sd[indices(*names)] = value
        self._prior = 1 / sd**2
        self._free = np.setdiff1d(np.arange(len(NAMES)), indices(*_GAZE))

    def fit(
        self,
        landmarks: FaceLandmarks,
        intrinsics: Intrinsics,
        start: FaceFit | None = None,
        *,
        shape: bool = True,
        rounds: int = _ROUNDS,
        calm: float = 0.0,
    ) -> FaceFit:
        """Fit one picture.

        Args:
            start: a fit of the same head to begin with; the picture before, in a video.
            shape: whether the shape is looked for; else it stays as it is in `start`.
            calm: weight of staying near `start`'s expression.
        """
        return self.fit_all([landmarks], intrinsics, None if start is None else [start], shape, rounds, calm)[0]

    def fit_all(
        self,
        pictures: Sequence[FaceLandmarks],
        intrinsics: Intrinsics | Sequence[Intrinsics],
        start: Sequence[FaceFit] | None = None,
        shape: bool = True,
        rounds: int = _ROUNDS,
        calm: float = 0.0,
        likely: Float[np.ndarray, " s"] | None = None,
    ) -> list[FaceFit]:
        """Fit pictures of one person, with one shape in all of them.

        Args:
            likely: what the shape is guessed to be by other means; the average if None.
        """
        cameras = [intrinsics] * len(pictures) if isinstance(intrinsics, Intrinsics) else list(intrinsics)
        fits = list(start) if start is not None else [self.begin(p, c) for p, c in zip(pictures, cameras, strict=True)]
        before = [f.weights for f in fits]
        ns, nw = (self.face.n_shape if shape else 0), len(self._free)
        for _ in range(rounds):
            beta = fits[0].shape
            gram, right = np.eye(ns), -beta[:ns]
            if likely is not None:
                gram, right = _GUESSED * gram, _GUESSED * (right + likely[:ns])
            solved = []
            for picture, camera, fit, old in zip(pictures, cameras, fits, before, strict=True):
                H, g = self._normal_equations(picture, camera, fit, ns)
                k = np.arange(6 + ns, 6 + ns + nw)
                H[k, k] += self._prior[self._free] + calm
                g[k] -= (self._prior * fit.weights + calm * (fit.weights - old))[self._free]
                solved.append((H, g))
            if ns:
                for H, g in solved:
                    own = np.r_[0:6, 6 + ns : 6 + ns + nw]
                    both = np.linalg.solve(H[np.ix_(own, own)], np.c_[H[own, 6 : 6 + ns], g[own]])
                    gram = gram + H[6 : 6 + ns, 6 : 6 + ns] - H[6 : 6 + ns, own] @ both[:, :-1]
                    right = right + g[6 : 6 + ns] - H[6 : 6 + ns, own] @ both[:, -1]
                step = np.linalg.solve(gram, right)
            else:
                step = np.zeros(0)
            fits = [
                self._stepped(fit, H, g, step, picture, camera)
                for fit, (H, g), picture, camera in zip(fits, solved, pictures, cameras, strict=True)
            ]
        return [self._measured(f, p, c) for f, p, c in zip(fits, pictures, cameras, strict=True)]

    def projected(self, fit: FaceFit, intrinsics: Intrinsics) -> Float64[np.ndarray, "468 2"]:
        """Where the fit sees the landmarks, pixels."""
        seen = self.face.pose(fit.shape, fit.weights, derivatives=False).points @ fit.rotation.T + fit.translation
        return intrinsics.focal * seen[:, :2] / seen[:, 2:] + [intrinsics.x, intrinsics.y]

    def begin(
        self, landmarks: FaceLandmarks, camera: Intrinsics, shape: Float[np.ndarray, " s"] | None = None
    ) -> FaceFit:
        """A face at rest about where the landmarks are, to begin with; of average shape for None."""
        shape = np.zeros(self.face.n_shape) if shape is None else shape
        weights = np.zeros(len(NAMES))
        own = self.face.pose(shape, weights, derivatives=False).points
        rotation, scale, _ = align(own[STILL], landmarks.points[STILL])
        centre = landmarks.points[STILL, :2].mean(0)
        place = np.array([(centre[0] - camera.x) / scale, (centre[1] - camera.y) / scale, camera.focal / scale])
        translation = place - rotation @ own[STILL].mean(0)
        return FaceFit(rotation, translation, shape, weights, np.zeros((2, 3)), 0.0)

    def with_gaze(self, fit: FaceFit, gaze: Float[np.ndarray, "2 3"]) -> FaceFit:
        """The fit with its eyes turned otherwise (axis-angle of the right and the left one)."""
        weights = fit.weights.copy()
        weights[indices(*_GAZE)] = self._gaze_weights(gaze)
        return replace(fit, weights=weights, gaze=gaze)

    def _normal_equations(
        self, landmarks: FaceLandmarks, camera: Intrinsics, fit: FaceFit, ns: int
    ) -> tuple[np.ndarray, np.ndarray]:
        posed = self.face.pose(fit.shape, fit.weights)
        turned = posed.points @ fit.rotation.T
        seen = turned + fit.translation
        ray = seen[:, :2] / seen[:, 2:]
        per_metre = camera.focal / seen[:, 2]
        by = np.zeros((COUNT, 3, 6 + ns + len(self._free)))
        x, y, z = turned.T
        by[:, 0, 1], by[:, 0, 2] = z, -y
        by[:, 1, 0], by[:, 1, 2] = -z, x
        by[:, 2, 0], by[:, 2, 1] = y, -x
        by[:, [0, 1, 2], [3, 4, 5]] = 1
        inner = np.concatenate([posed.by_shape[..., :ns], posed.by_weight[..., self._free]], 2)
        by[:, :, 6:] = np.einsum("ab,nbk->nak", fit.rotation, inner, optimize=True)
        wanted = (landmarks.points[:, :2] - [camera.x, camera.y]) / camera.focal
        error = (wanted - ray) * seen[:, 2:]
        jacobian = by[:, :2] - ray[:, :, None] * by[:, 2:]
        w = self._weight
        rows, values = [(jacobian * w[:, None, None]).reshape(2 * COUNT, -1)], [(error * w[:, None]).ravel()]
        # The network's depth is coarse, but it tells a long nose from a short one.
        depth = landmarks.points[:, 2] / per_metre - seen[:, 2]
        depth = depth - np.median(depth)
        shallow = w * (_SIGMA_M / _DEPTH_SIGMA_M)
        rows.append((by[:, 2] - by[:, 2].mean(0)) * shallow[:, None])
        values.append(depth * shallow)
        A, b = np.concatenate(rows), np.concatenate(values)
        H = A.T @ A
        H[np.arange(6), np.arange(6)] += 1e-3
        return H, A.T @ b

    def _stepped(
        self, fit: FaceFit, H: np.ndarray, g: np.ndarray, step: np.ndarray, landmarks: FaceLandmarks, camera: Intrinsics
    ) -> FaceFit:
        ns = len(step)
        k = np.r_[6 + ns : len(g)]
        right = g - H[:, 6 : 6 + ns] @ step
        pose = np.arange(6)
        both = np.linalg.solve(H[:6, :6], np.c_[H[np.ix_(pose, k)], right[:6]])
        inner = H[np.ix_(k, k)] - H[np.ix_(k, pose)] @ both[:, :-1]
        now = fit.weights[self._free]
        moved = _in_box(
            np.ascontiguousarray(inner), right[k] - H[np.ix_(k, pose)] @ both[:, -1], -now, 1 - now, _SWEEPS
        )
        placed = both[:, -1] - both[:, :-1] @ moved
        weights = fit.weights.copy()
        weights[self._free] = (now + moved).clip(0, 1)
        shape = fit.shape.copy()
        shape[:ns] += step
        turned = replace(
            fit,
            rotation=axis_angle_to_matrix(placed[:3]) @ fit.rotation,
            translation=fit.translation + placed[3:6],
            shape=shape,
            weights=weights,
        )
        return self.with_gaze(turned, self._gaze(turned, landmarks, camera))

    def _gaze(self, fit: FaceFit, landmarks: FaceLandmarks, camera: Intrinsics) -> Float64[np.ndarray, "2 3"]:
        """Where the rays through the irises' centres meet the eyeballs."""
        out = np.zeros((2, 3))
        eye_m = self.face.eye_radius_m
        origin = -fit.rotation.T @ fit.translation
        for side, centre in enumerate(self.face.eyeballs(fit.shape)):
            x, y = landmarks.irises[side, 0]
            ray = fit.rotation.T @ np.array([(x - camera.x) / camera.focal, (y - camera.y) / camera.focal, 1.0])
            ray /= np.linalg.norm(ray)
            along = (origin - centre) @ ray
            inside = along**2 - ((origin - centre) @ (origin - centre) - eye_m**2)
            looks = origin + ray * (-along - np.sqrt(max(inside, 0.0))) - centre
            looks /= np.linalg.norm(looks)
            turn = np.array([np.arcsin(np.clip(-looks[1], -1, 1)), np.arctan2(looks[0], max(looks[2], 0.1)), 0.0])
            out[side] = turn.clip(-_MAX_TURN_RAD, _MAX_TURN_RAD)
        return out

    def _gaze_weights(self, gaze: Float[np.ndarray, "2 3"]) -> Float32[np.ndarray, "8"]:
        """In the order of `_GAZE`."""
        out = np.zeros(8, np.float32)
        for side, table in enumerate((self.face.arkit.reye, self.face.arkit.leye)):
            rows = table[indices(*_GAZE[4 * side : 4 * side + 4])]
            for axis in (0, 1):
                turn = float(gaze[side, axis])
                for k, row in enumerate(rows):
                    if abs(row[axis]) > 0.5 * np.abs(row).max() > 0 and row[axis] * turn > 0:
                        out[4 * side + k] = min(turn / row[axis], 1.0)
        return out

    def _measured(self, fit: FaceFit, landmarks: FaceLandmarks, camera: Intrinsics) -> FaceFit:
        error = self.projected(fit, camera) - landmarks.points[:, :2]
        return replace(fit, residual_px=float(np.sqrt(np.square(error).sum(1).mean())))


@njit(cache=True)
def _in_box(A: np.ndarray, b: np.ndarray, low: np.ndarray, high: np.ndarray, sweeps: int) -> np.ndarray:
    """The x within low..high that minimises x'Ax/2 - b'x, by coordinate descent from 0."""
    x = np.minimum(np.maximum(np.zeros_like(b), low), high)
    for _ in range(sweeps):
        moved = 0.0
        for i in range(len(b)):
            gradient = b[i]
            for j in range(len(b)):
                gradient -= A[i, j] * x[j]
            new = min(max(x[i] + gradient / A[i, i], low[i]), high[i])
            moved = max(moved, abs(new - x[i]))
            x[i] = new
        if moved < 1e-5:
            break
    return x
