"""From blendshape weights to FLAME parameters: one matrix a head model, fitted once.

Blendshapes map linearly to FLAME's expression and jaw pose [stated]. Each column is fitted to the head's expression
directions and to what small turns of the jaw do, by least squares with a ridge [chosen]. A jaw turns on an arc, which a
straight direction does not follow: the second-order part of the turn takes part in the fit and is then dropped, so that
it is not mistaken for an expression. The head model draws the arc again when it poses the jaw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int
from torch import Tensor

from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.flame.rotations import axis_angle_to_matrix

__all__ = ["FaceMotion", "FlameMap", "arkit_matrix"]

_TURN = 0.15  # radians, about the half of speech's widest
_MM = 1e3


@dataclass(frozen=True, eq=False)
class FlameMap:
    """Weights -> (expression, jaw pose), with the honesty of its fit."""

    matrix: Float32[np.ndarray, "k e_plus_3"]
    n_expression: int
    residual_mm: float
    """Root mean square over the face of what the head cannot follow, per unit of weight, mean over the blendshapes."""

    @classmethod
    def fit(
        cls,
        head: HeadModel,
        vertices: Int[np.ndarray, " n"],
        blendshapes: Float[Tensor, "k n 3"],
        ridge: float = 1e-4,
    ) -> FlameMap:
        """Fit every blendshape to a head.

        Args:
            head: any head in FLAME's layout.
            vertices: which of its vertices the blendshapes move.
            blendshapes: metres per unit of weight.
            ridge: relative to the mean square of the head's own directions.

        Raises:
            ValueError: if the blendshapes are not over these vertices.
        """
        if tuple(blendshapes.shape[1:]) != (len(vertices), 3):
            raise ValueError(f"FlameMap.fit: expected (k, {len(vertices)}, 3), got {tuple(blendshapes.shape)}")
        design = _directions(head, vertices)
        target = blendshapes.double().flatten(1).T.numpy()
        gram = design.T @ design
        scale = np.diag(gram).copy()
        scale[scale == 0] = 1.0  # what does not move the face (the tongue) stays at zero
        normal = gram / np.sqrt(np.outer(scale, scale)) + ridge * np.eye(len(gram))
        solution = np.linalg.solve(normal, (design.T @ target) / np.sqrt(scale)[:, None]) / np.sqrt(scale)[:, None]
        residual = (design @ solution - target).reshape(len(vertices), 3, -1)
        rms = np.sqrt((residual**2).sum(1).mean(0))
        e = head.n_expression
        return cls(solution[: e + 3].T.astype(np.float32), e, float(rms.mean()) * _MM)

    def params(
        self, weights: Float[np.ndarray, "*b k"]
    ) -> tuple[Float32[np.ndarray, "*b e"], Float32[np.ndarray, "*b 3"]]:
        """Expression and jaw pose (axis-angle, radians) of blendshape weights."""
        both = np.asarray(weights, np.float32) @ self.matrix
        return both[..., : self.n_expression], both[..., self.n_expression :]


def _directions(head: HeadModel, vertices: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n3 d"]:
    """Expression directions, first-order jaw turns, second-order jaw turns; one a column."""
    expression = head.shapedirs[vertices][..., head.n_shape :].double().flatten(0, 1).numpy()
    turns = []
    for axis in range(3):
        for sign in (1, -1):
            jaw = np.zeros(3, np.float32)
            jaw[axis] = sign * _TURN
            moved = head.vertices(head.neutral().replace(jaw_pose=jaw))
            turns.append((moved - head.v_template)[vertices].double().flatten().numpy())
    columns = [(turns[2 * i] - turns[2 * i + 1]) / (2 * _TURN) for i in range(3)]
    # A head's joints may shift its whole surface: curvature is what both signs of a turn share.
    columns += [(turns[2 * i] + turns[2 * i + 1]) / (2 * _TURN**2) for i in range(3)]
    return np.concatenate([expression, np.stack(columns, 1)], 1)


def arkit_matrix(arkit: ArkitMap) -> Float32[np.ndarray, "e_plus_3 52"]:
    """The linear inverse of a head's ARKit map: (expression, jaw pose) to the blendshape weights of least length.

    Gaze is left out: it does not move the face's skin by itself.
    """
    forward = np.concatenate([arkit.expression, arkit.jaw], 1).astype(np.float64)
    return np.linalg.pinv(forward, rcond=1e-6).astype(np.float32)


@dataclass(frozen=True, eq=False)
class FaceMotion:
    """How ARKit weights move the face's vertices: an exact, small copy of the head model in numpy, neck at rest."""

    template: Float32[np.ndarray, "n 3"]
    basis: Float32[np.ndarray, "52 n3"]
    """What one unit of each blendshape adds before the jaw turns, metres."""
    jaw_correction: Float32[np.ndarray, "9 n3"]
    jaw_weight: Float32[np.ndarray, " n"]
    joint: Float32[np.ndarray, "3"]
    joint_basis: Float32[np.ndarray, "52 3"]
    jaw: Float32[np.ndarray, "52 3"]

    @classmethod
    def from_head(
        cls,
        head: HeadModel,
        arkit: ArkitMap,
        vertices: Int[np.ndarray, " n"],
        shape: Float[np.ndarray, " s"] | None = None,
    ) -> FaceMotion:
        """The motion of some of a head's vertices, for a person of the given identity; the average one if None."""
        expression = head.shapedirs[..., head.n_shape :].numpy()
        regressor = head.J_regressor[2].numpy()
        flat = expression[vertices].reshape(-1, expression.shape[-1])
        template = head.v_template.numpy()
        if shape is not None:
            template = template + head.shapedirs[..., : head.n_shape].numpy() @ np.asarray(shape, np.float32)
        return cls(
            template[vertices],
            arkit.expression @ flat.T,
            head.posedirs[vertices][..., 9:18].numpy().reshape(-1, 9).T.copy(),
            head.lbs_weights[vertices, 2].numpy(),
            regressor @ template,
            arkit.expression @ np.einsum("v,vce->ce", regressor, expression).T,
            arkit.jaw,
        )

    def deformation(self, weights: Float[np.ndarray, "b 52"]) -> Float32[np.ndarray, "b n 3"]:
        """Displacement of each vertex from the neutral face, metres."""
        weights = np.asarray(weights, np.float32)
        rotation = axis_angle_to_matrix(weights @ self.jaw)
        identity = np.eye(3, dtype=np.float32)
        correction = (rotation - identity).reshape(-1, 9) @ self.jaw_correction
        moved = (weights @ self.basis + correction).reshape(len(weights), -1, 3)
        arm = self.template + moved - (self.joint + weights @ self.joint_basis)[:, None]
        turned = arm @ np.swapaxes(rotation - identity, 1, 2)
        return moved + self.jaw_weight[:, None] * turned
