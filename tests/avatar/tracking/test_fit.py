"""The fit finds what made the landmarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avatar.flame.arkit import indices, weights_from_dict
from avatar.flame.rotations import axis_angle_to_matrix
from avatar.heads import open_head
from avatar.tracking.alignment import align
from avatar.tracking.face_points import FaceModel
from avatar.tracking.fit import FaceFit, FaceFitter, Intrinsics
from avatar.tracking.landmarker import FaceLandmarks

SIZE = (640, 480)
CAMERA = Intrinsics(700.0, 320.0, 240.0)
FRONT = np.diag([1.0, -1.0, -1.0])


@pytest.fixture(scope="module")
def face() -> FaceModel:
    return FaceModel(*open_head())


def seen(face: FaceModel, shape: np.ndarray, weights: np.ndarray, turn: np.ndarray) -> tuple[FaceFit, FaceLandmarks]:
    """A face before the camera and its exact landmarks."""
    fit = FaceFit(
        axis_angle_to_matrix(turn) @ FRONT, np.array([0.01, -0.02, 0.7]), shape, weights, np.zeros((2, 3)), 0.0
    )
    points = face.pose(shape, weights, derivatives=False).points @ fit.rotation.T + fit.translation
    pixels = CAMERA.focal * points[:, :2] / points[:, 2:] + [CAMERA.x, CAMERA.y]
    depth = (points[:, 2:] - points[:, 2:].mean()) * CAMERA.focal / points[:, 2:].mean()
    irises = np.empty((2, 5, 2))
    for side, centre in enumerate(face.eyeballs(shape) + np.array([0, 0, face.eye_radius_m])):
        x, y, z = fit.rotation @ centre + fit.translation
        irises[side] = [CAMERA.focal * x / z + CAMERA.x, CAMERA.focal * y / z + CAMERA.y]
    return fit, FaceLandmarks(np.c_[pixels, depth], irises, 1.0, SIZE)


def test_turn_jaw_and_smile_are_found(face: FaceModel) -> None:
    weights = weights_from_dict({"jawOpen": 0.5, "mouthSmileLeft": 0.6, "mouthSmileRight": 0.6}).astype(float)
    truth, landmarks = seen(face, np.zeros(face.n_shape), weights, np.array([0.05, 0.3, -0.1]))
    found = FaceFitter(face).fit(landmarks, CAMERA)
    turned = np.degrees(np.arccos((np.trace(found.rotation @ truth.rotation.T) - 1) / 2))
    assert turned < 1.0
    assert found.residual_px < 0.5
    named = indices("jawOpen", "mouthSmileLeft", "mouthSmileRight")
    assert np.abs(found.weights[named] - weights[named]).max() < 0.25  # the prior holds them back a little


def test_a_shape_is_found_from_several_pictures(face: FaceModel) -> None:
    exact = replace(face.landmarks, spread_m=np.zeros(468))
    face = FaceModel(*open_head(), exact)
    shape = np.random.default_rng(0).normal(0, 0.7, face.n_shape)
    pictures = [seen(face, shape, np.zeros(52), np.array([0, yaw, 0]))[1] for yaw in (-0.4, 0.0, 0.4)]
    fits = FaceFitter(face).fit_all(pictures, CAMERA)
    rest = np.zeros(52)
    own, found, mean = (
        face.pose(s, rest, derivatives=False).points for s in (shape, fits[0].shape, np.zeros(face.n_shape))
    )

    def apart(a: np.ndarray, b: np.ndarray) -> float:
        rotation, scale, shift = align(a, b)
        return float(np.linalg.norm(scale * a @ rotation.T + shift - b, axis=1).mean())

    assert apart(found, own) < 0.7 * apart(mean, own)
    assert all(np.array_equal(f.shape, fits[0].shape) for f in fits)


def test_gaze_follows_the_irises(face: FaceModel) -> None:
    _, landmarks = seen(face, np.zeros(face.n_shape), np.zeros(52), np.zeros(3))
    aside = FaceLandmarks(landmarks.points, landmarks.irises + np.array([4.0, 0.0]), 1.0, SIZE)
    ahead, looks = (FaceFitter(face).fit(seen_, CAMERA, shape=False) for seen_ in (landmarks, aside))
    assert np.abs(ahead.gaze).max() < 0.05
    assert (looks.gaze[:, 1] > 0.2).all()  # right in the picture is the subject's left
    left, right = looks.weights[indices("eyeLookOutLeft", "eyeLookInRight")]
    assert left > 0.2 and right > 0.2


def test_derivatives_are_those_of_the_points(face: FaceModel) -> None:
    rng = np.random.default_rng(1)
    shape, weights = rng.normal(0, 0.5, face.n_shape), rng.uniform(0, 0.5, 52)
    posed = face.pose(shape, weights)
    for k in (0, 7):
        step = np.zeros(face.n_shape)
        step[k] = 1e-4
        slope = (face.pose(shape + step, weights, derivatives=False).points - posed.points) / 1e-4
        assert np.abs(slope - posed.by_shape[..., k]).max() < 1e-6
    for k in indices("jawOpen", "mouthSmileLeft", "browInnerUp"):
        step = np.zeros(52)
        step[k] = 1e-4
        slope = (face.pose(shape, weights + step, derivatives=False).points - posed.points) / 1e-4
        assert np.abs(slope - posed.by_weight[..., k]).max() < 1e-4
