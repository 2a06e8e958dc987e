"""Landmarks to weights: turning and scaling a face changes nothing, and the regression finds a linear map."""

from __future__ import annotations

import numpy as np

from avatar.flame.rotations import axis_angle_to_matrix
from avatar.tracking.driving import DrivingModel, FaceFeatures, features
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.tracker import FaceTracker, Rest, TrackedFace


def a_face(points: np.ndarray) -> FaceLandmarks:
    irises = np.repeat(points[[33, 263], None, :2], 5, 1)
    return FaceLandmarks(points, irises, 1.0, (640, 480))


def test_features_do_not_see_size_place_and_turn() -> None:
    canonical = DrivingModel.shipped().canonical
    face = canonical + np.random.default_rng(0).normal(0, 0.002, canonical.shape)
    plain = features(a_face(1000 * face + [300, 200, 0]), canonical)
    turn = axis_angle_to_matrix(np.array([0.2, -0.4, 0.1]))
    other = features(a_face(1700 * face @ turn.T + [100, 50, 0]), canonical)
    mesh = slice(0, 3 * 468)
    assert np.abs(plain.values[mesh] - other.values[mesh]).max() < 1e-6
    relative = other.rotation @ plain.rotation.T
    assert np.abs(relative - turn).max() < 1e-6


def test_learning_finds_linear_maps() -> None:
    rng = np.random.default_rng(0)
    weights, shapes = rng.uniform(0, 1, (300, 52)), rng.normal(0, 1, (300, 8))
    weights[::3] = 0
    mixing = rng.normal(0, 1, (8, 3 * 468 + 4))
    values = weights @ rng.normal(0, 1, (52, 3 * 468 + 4)) + 5 * shapes @ mixing
    rest = 5 * shapes @ mixing
    turns = [axis_angle_to_matrix(t) for t in rng.normal(0, 0.2, (300, 3))]
    faces = [FaceFeatures(v, t) for v, t in zip(values, turns, strict=True)]
    model = DrivingModel.learn(
        np.zeros((468, 3)), faces, weights, [(r, np.eye(3)) for r in rest], np.array(turns), shapes
    )
    found = np.array([model.weights(face, r) for face, r in zip(faces, rest, strict=True)])
    assert np.abs(found - weights).max() < 0.05
    turned = [model.turn(face, r, np.eye(3)) for face, r in zip(faces, rest, strict=True)]
    assert np.abs(np.array(turned) - np.array(turns)).max() < 0.05
    still = ~weights.any(1)
    shaped = np.array([model.shape([face]) for face in faces])
    assert np.abs(shaped - shapes)[still].max() < 0.05


def test_a_face_at_rest_does_nothing_and_a_turned_one_turns() -> None:
    model = DrivingModel.shipped()
    tracker = FaceTracker(landmarker=object(), model=model)  # type: ignore[arg-type]
    still = a_face(1000 * model.canonical + [300, 200, 0])
    turned = a_face(1000 * model.canonical @ axis_angle_to_matrix(np.array([0, 0.3, 0])).T + [300, 200, 0])
    tracker.rest = Rest.of([(still, model.features(still))])
    calm: TrackedFace = tracker.interpret(still, model.features(still))
    assert calm.weights.max() == 0
    assert np.abs(calm.neck).max() < 1e-6
    turning = tracker.interpret(turned, model.features(turned)).neck
    assert abs(abs(turning[1]) - 0.3) < 0.06 and np.abs(turning[[0, 2]]).max() < 0.06
