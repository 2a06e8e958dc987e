"""The joints of a head, and what makes their turns reproduce the sculpted units exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from avatar.flame.arkit import NAMES, ArkitMap, indices

__all__ = [
    "EYES",
    "JAW",
    "Hinge",
    "eye_posedirs",
    "inverse_jaw",
    "jaw_hinge",
    "jaw_weights",
    "joint_arkit_map",
    "joint_regressor",
    "pose_feature",
    "rigid_motion",
]

JAW = 2
EYES = {"Left": 3, "Right": 4}

_REGRESSOR_SUPPORT = 80

Units = Mapping[str, np.ndarray]
Members = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Hinge:
    """The jaw's turn about the subject's left-right axis when jawOpen is 1."""

    joint: Float[np.ndarray, " 3"]
    angle: float

    @property
    def turn(self) -> Float[np.ndarray, "3 3"]:
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])

    def carry(self, vertices: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v 3"]:
        """How far the turn moves points that hang on it wholly."""
        return (vertices - self.joint) @ (self.turn - np.eye(3)).T


def pose_feature(joint: int, row: int, column: int) -> int:
    """Where an entry of a joint's rotation stands in the pose feature."""
    return 9 * (joint - 1) + 3 * row + column


def rigid_motion(a: Float[np.ndarray, "n 3"], b: Float[np.ndarray, "n 3"]) -> tuple[np.ndarray, np.ndarray]:
    """The rigid motion that takes points `a` nearest to `b`: (rotation, translation).

    Reference: W. Kabsch, "A solution for the best rotation to relate two sets of vectors", 1976.
    """
    ca, cb = a.mean(0), b.mean(0)
    u, _, vt = np.linalg.svd((a - ca).T @ (b - cb))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))])
    rotation = vt.T @ flip @ u.T
    return rotation, cb - rotation @ ca


def jaw_hinge(teeth: Float[np.ndarray, "n 3"], jaw_open: Float[np.ndarray, "n 3"]) -> Hinge:
    """The hinge from how the sculpted jawOpen carries the lower teeth, which it does rigidly."""
    rotation, shift = rigid_motion(teeth, teeth + jaw_open)
    joint = np.linalg.lstsq(np.eye(3) - rotation, shift, rcond=None)[0]
    joint[0] = 0
    return Hinge(joint, float(np.arcsin((rotation[2, 1] - rotation[1, 2]) / 2)))


def jaw_weights(
    vertices: Float[np.ndarray, "v 3"], jaw_open: Float[np.ndarray, "v 3"], hinge: Hinge
) -> Float[np.ndarray, " v"]:
    """How much each vertex hangs on the jaw, 0..1: jawOpen projected on the hinge's motion."""
    rigid = hinge.carry(vertices)
    weights = np.clip((rigid * jaw_open).sum(1) / np.maximum((rigid**2).sum(1), 1e-10), 0, 1)
    weights[(jaw_open**2).sum(1) < 1e-12] = 0
    return weights


def inverse_jaw(
    displacement: Float[np.ndarray, "v 3"], weights: Float[np.ndarray, " v"], hinge: Hinge
) -> Float[np.ndarray, "v 3"]:
    """What must be added before skinning so that the open jaw's skinning turns it into `displacement`."""
    blended = (1 - weights)[:, None, None] * np.eye(3) + weights[:, None, None] * hinge.turn
    return np.linalg.solve(blended, displacement[:, :, None])[:, :, 0]


def eye_posedirs(
    posedirs: Float[np.ndarray, "v 3 36"], vertices: Float[np.ndarray, "v 3"], units: Units, members: Members
) -> dict[str, Float[np.ndarray, " 3"]]:
    """Write the lids' share of looking around into `posedirs`; return the eye's axis-angle for each eyeLook unit.

    A turn about x shows in the pose feature as sin (odd) and cos - 1 (even); the two together reproduce both the
    sculpted look up and the sculpted look down exactly, and likewise in and out.
    """
    looks: dict[str, np.ndarray] = {}
    for side, joint in EYES.items():
        eyeball = members[f"eye_{side.lower()}"]
        for pair, axis, odd, even in (
            (("Up", "Down"), 0, pose_feature(joint, 2, 1), pose_feature(joint, 1, 1)),
            (("In", "Out"), 1, pose_feature(joint, 0, 2), pose_feature(joint, 0, 0)),
        ):
            features, residuals = [], []
            for direction in pair:
                name = f"eyeLook{direction}{side}"
                rotation, _ = rigid_motion(vertices[eyeball], vertices[eyeball] + units[name][eyeball])
                skew = (rotation - rotation.T) / 2
                sine = skew[2, 1] if axis == 0 else skew[0, 2]
                looks[name] = np.eye(3)[axis] * np.arcsin(sine)
                features.append([sine, np.sqrt(1 - sine**2) - 1])
                lids = units[name].copy()
                lids[eyeball] = 0
                residuals.append(lids)
            solution = np.einsum("kc,cvx->kvx", np.linalg.inv(np.array(features)), np.array(residuals))
            posedirs[:, :, odd] = solution[0]
            posedirs[:, :, even] = solution[1]
    return looks


def joint_regressor(
    vertices: Float[np.ndarray, "v 3"],
    joints: Float[np.ndarray, "3 3"],
    candidates: Int[np.ndarray, " c"],
    members: Members,
) -> Float[np.ndarray, "5 v"]:
    """Joints as affine combinations of vertices: root, neck and jaw of nearby `candidates`, the eyes of their eyeballs.

    Args:
        vertices: the neutral head.
        joints: where root, neck and jaw are.
        candidates: vertices that no expression moves, so that no expression moves a joint.
        members: vertices of "eye_left" and "eye_right".
    """
    out = np.zeros((5, len(vertices)))
    for row, joint in enumerate(joints):
        distance = np.linalg.norm(vertices[candidates] - joint, axis=1)
        near = candidates[np.argsort(distance)[:_REGRESSOR_SUPPORT]]
        system = np.vstack([vertices[near].T, np.ones(len(near))])
        out[row, near] = np.linalg.lstsq(system, np.append(joint, 1.0), rcond=None)[0]
    for side, row in EYES.items():
        eyeball = members[f"eye_{side.lower()}"]
        out[row, eyeball] = 1 / len(eyeball)
    return out


def joint_arkit_map(
    expression_names: tuple[str, ...], jaw_angle: float, looks: Mapping[str, np.ndarray], n_shape: int
) -> ArkitMap:
    """The map of a head whose expressions are the blendshapes themselves, jaw and gaze being joint poses."""
    expression = np.zeros((len(NAMES), len(expression_names)), np.float32)
    expression[indices(*expression_names), np.arange(len(expression_names))] = 1
    jaw, leye, reye = np.zeros((3, len(NAMES), 3), np.float32)
    jaw[indices("jawOpen"), 0] = jaw_angle
    for name, axis_angle in looks.items():
        (leye if name.endswith("Left") else reye)[indices(name)] = axis_angle
    return ArkitMap(expression, jaw, leye, reye, n_shape)
