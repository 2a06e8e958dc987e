"""A shape is guessed from three sides, and from no fewer."""

from __future__ import annotations

import numpy as np

from avatar.flame.rotations import axis_angle_to_matrix
from avatar.heads import open_head
from avatar.tracking.driving import FaceFeatures
from avatar.tracking.shape_guess import ShapeGuess

_FLIP = np.diag([1.0, -1.0, -1.0])


def _turned(values: np.ndarray, turn_deg: float) -> FaceFeatures:
    return FaceFeatures(values, axis_angle_to_matrix(np.array([0.0, np.radians(turn_deg), 0.0])) @ _FLIP)


def test_turns_are_told() -> None:
    assert abs(abs(_turned(np.zeros(3), 25.0).turn_deg) - 25.0) < 1e-9
    assert abs(_turned(np.zeros(3), 25.0).nod_deg) < 1e-9
    up = FaceFeatures(np.zeros(3), axis_angle_to_matrix(np.array([0.3, 0.0, 0.0])) @ _FLIP)
    assert abs(abs(np.radians(up.nod_deg)) - 0.3) < 1e-9 and abs(up.turn_deg) < 1e-9


def test_three_sides_say_more_than_one_and_fewer_say_nothing() -> None:
    rng = np.random.default_rng(0)
    shapes = rng.normal(0, 1, (200, 6))
    mixing = {turn: rng.normal(0, 3, (6, 30)) * (np.arange(6) % 3 == k)[:, None] for k, turn in enumerate((-25, 0, 25))}
    faces, who = [], []
    for person, shape in enumerate(shapes):
        for turn, own in mixing.items():
            for _ in range(2):
                faces.append(_turned(shape @ own + rng.normal(0, 0.05, 30), turn + rng.uniform(-5, 5)))
                who.append(person)
    guess = ShapeGuess.learn(faces[:-2], who[:-2], shapes)  # one side of the last person is missing
    found = guess(faces[:6])
    assert found is not None and np.abs(found - shapes[0]).max() < 0.1
    assert guess(faces[:4]) is None and guess(faces[-6:-2]) is None
    stored = guess.tensors()
    assert stored["sides_matrix"].dtype == np.float16 and stored["sides_matrix"].shape == (90, 6)


def test_the_shipped_map_is_of_the_generic_head() -> None:
    guess, (head, _) = ShapeGuess.shipped(), open_head()
    assert guess.matrix.shape[1] == head.n_shape == len(guess.offset) and np.isfinite(guess.matrix).all()
