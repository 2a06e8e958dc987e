"""The lips of the head model: how far they stand apart for given blendshape weights, and what makes them meet.

Closing is solved on the geometry rather than tuned by hand, because every emotion pulls the lips apart in its own
way: the change of weights that brings the paired rims of the lips together is the optimum of a small bounded
least-squares problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int8

from avatar.flame.arkit import NAMES, ArkitMap, indices
from avatar.flame.head import HeadModel
from avatar.flame.rotations import axis_angle_to_matrix
from avatar.heads import open_head

__all__ = ["LipModel", "default_lips"]

_UPPER, _LOWER = "upper_lip_inner", "lower_lip_inner"
_MAX_PAIRS = 17
_TARGET_MM = -0.18
"""Sealed lips are pressed together a little: touching exactly would open them at the first rounding error."""
_GAP_STRESS = 2.0
"""A remaining gap is seen; the same overlap is not."""
_DEPTH_WEIGHT = 0.35
"""How much a pair may slide in depth, relative to standing apart: lips that meet must also meet front to back."""
_ROUNDS = 2

# What may change to close the lips: (blendshapes, cost of one unit, how far below and above the present weight).
# Taking back what opens them is cheap, mouthClose is what it is for, pressing and rolling show and so cost more.
_CONTROLS: tuple[tuple[tuple[str, ...], float, float, float], ...] = (
    (("jawOpen",), 250.0, 1.0, 0.06),
    (("mouthClose",), 25.0, 1.0, 1.0),
    (("mouthFunnel",), 8.0, 1.0, 0.0),
    (("mouthPucker",), 60.0, 0.3, 0.15),
    (("mouthLowerDownLeft", "mouthLowerDownRight"), 4.0, 1.0, 0.35),
    (("mouthUpperUpLeft", "mouthUpperUpRight"), 4.0, 1.0, 0.35),
    (("mouthShrugUpper",), 12.0, 1.0, 0.25),
    (("mouthShrugLower",), 40.0, 1.0, 0.5),
    (("mouthPressLeft", "mouthPressRight"), 20.0, 1.0, 0.5),
    (("mouthRollLower",), 60.0, 0.3, 0.3),
    (("mouthRollUpper",), 60.0, 0.3, 0.3),
    (("mouthStretchLeft", "mouthStretchRight"), 30.0, 0.6, 0.0),
    (("mouthSmileLeft", "mouthSmileRight"), 90.0, 0.4, 0.0),
    (("mouthDimpleLeft", "mouthDimpleRight"), 60.0, 0.6, 0.0),
)


@dataclass(frozen=True, eq=False)
class LipModel:
    """The paired inner rims of the lips as an exact, small copy of the head model, in numpy.

    Pair k are the points upper[k] and lower[k] that touch when the mouth is closed. All arrays are float32, lengths
    in millimetres, axes those of the head; neck and eyes at rest.
    """

    template: Float[np.ndarray, "2*p 3"]
    basis: Float[np.ndarray, "2*p 3 52"]
    """What one unit of each blendshape adds before the jaw turns."""
    jaw_correction: Float[np.ndarray, "2*p 3 9"]
    jaw_weight: Float[np.ndarray, " 2*p"]
    joint: Float[np.ndarray, "3"]
    joint_basis: Float[np.ndarray, "3 52"]
    jaw: Float[np.ndarray, "52 3"]
    """Axis-angle of the jaw per unit of each blendshape."""

    @staticmethod
    def fits(head: HeadModel) -> bool:
        """Whether a head says where its lips are."""
        return _UPPER in head.regions and _LOWER in head.regions

    @classmethod
    def from_head(cls, head: HeadModel, arkit: ArkitMap) -> LipModel:
        """The lips of a head with the regions `upper_lip_inner` and `lower_lip_inner`.

        Raises:
            ValueError: if the head lacks them, or they do not pair up.
        """
        try:
            upper, lower = head.regions[_UPPER].numpy(), head.regions[_LOWER].numpy()
        except KeyError as error:
            raise ValueError(f"LipModel: the head has no region {error.args[0]!r}") from error
        if len(upper) != len(lower) or not len(upper):
            raise ValueError(f"LipModel: expected pairs, got {len(upper)} upper and {len(lower)} lower lip vertices")
        if len(upper) > _MAX_PAIRS:
            # Spread over the width, whatever the order the region lists them in.
            order = np.argsort(head.v_template[upper, 0].numpy())
            kept = order[np.linspace(0, len(upper) - 1, _MAX_PAIRS).round().astype(int)]
            upper, lower = upper[kept], lower[kept]
        index = np.concatenate([upper, lower])
        expression = head.shapedirs[..., head.n_shape :].numpy()
        regressor = head.J_regressor[2].numpy()
        used = np.flatnonzero(regressor)
        to_mm = np.float32(1e3)
        return cls(
            template=head.v_template[index].numpy() * to_mm,
            basis=expression[index] @ arkit.expression.T * to_mm,
            jaw_correction=head.posedirs[index][..., 9:18].numpy() * to_mm,
            jaw_weight=head.lbs_weights[index, 2].numpy(),
            joint=regressor @ head.v_template.numpy() * to_mm,
            joint_basis=np.einsum("v,vce->ce", regressor[used], expression[used]) @ arkit.expression.T * to_mm,
            jaw=arkit.jaw,
        )

    @property
    def n_pairs(self) -> int:
        return len(self.template) // 2

    def positions(self, weights: Float[np.ndarray, "*batch 52"]) -> Float[np.ndarray, "*batch 2*p 3"]:
        """Where the rims are, in millimetres: upper points first, then the lower points in the same order."""
        weights = np.asarray(weights, np.float32)
        rotation = axis_angle_to_matrix(weights @ self.jaw)
        return self._skin(self._unposed(weights, rotation), weights, rotation)

    def gaps_mm(self, weights: Float[np.ndarray, "*batch 52"]) -> Float[np.ndarray, "*batch p"]:
        """Height of the opening between the rims at each pair; negative where the lips press into one another."""
        points = self.positions(weights)
        return points[..., : self.n_pairs, 1] - points[..., self.n_pairs :, 1]

    def opening_mm(self, weights: Float[np.ndarray, "*batch 52"]) -> Float[np.ndarray, "*batch"]:
        """The largest height of the opening between the lips; 0 when they touch all along."""
        return np.maximum(self.gaps_mm(weights).max(-1), 0.0)

    def seal(self, weights: Float[np.ndarray, "52"], closure: float) -> Float[np.ndarray, "52"]:
        """Weights that move the lips the fraction `closure` (0..1) of the way to being closed.

        At 1 the rims meet all along; the rest of the face is left as it is. Continuous in both arguments.
        """
        closure = min(max(float(closure), 0.0), 1.0)
        if closure == 0.0:
            return weights
        return weights + np.float32(closure) * self._closing(weights)

    def _unposed(self, weights: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        feature = (rotation - _EYE).reshape(*rotation.shape[:-2], 9)
        shape = (*weights.shape[:-1], *self.template.shape)
        moved = weights @ self.basis.reshape(-1, len(NAMES)).T + feature @ self.jaw_correction.reshape(-1, 9).T
        return self.template + moved.reshape(shape)

    def _skin(self, unposed: np.ndarray, weights: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        joint = (self.joint + weights @ self.joint_basis.T)[..., None, :]
        turned = (unposed - joint) @ np.swapaxes(rotation, -1, -2) + joint
        return unposed + self.jaw_weight[:, None] * (turned - unposed)

    def _closing(self, weights: np.ndarray) -> np.ndarray:
        """The change of weights that closes the lips (Gauss-Newton with proximal steps, bounds on every control)."""
        start = np.asarray(weights, np.float64)
        w = start.copy()
        lower = np.maximum(start[_INDEX] - _BELOW, np.minimum(start[_INDEX], 0.0))
        upper = np.minimum(start[_INDEX] + _ABOVE, np.maximum(start[_INDEX], 1.0))
        side = np.zeros(len(_INDEX), np.int8)
        for _ in range(_ROUNDS):
            residual, jacobian = self._residual(w)
            hessian = jacobian.T @ jacobian + _HESSIAN_COST
            step, side = _bounded_minimum(hessian, jacobian.T @ residual, lower - w[_INDEX], upper - w[_INDEX], side)
            w[_INDEX] += step
        return (w - start).astype(np.float32)

    def _residual(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far the pairs are from meeting, and its derivative by the controls."""
        n = self.n_pairs
        rotation = axis_angle_to_matrix(weights @ self.jaw)
        points = self._skin(self._unposed(weights, rotation), weights, rotation)
        # Expression units move a point in the frame that skinning turns it into, and the jaw joint with it.
        blend = _EYE + self.jaw_weight[:, None, None] * (rotation - _EYE)
        slope = blend @ self.basis[..., _INDEX]
        slope += self.jaw_weight[:, None, None] * ((_EYE - rotation) @ self.joint_basis[:, _INDEX])
        # The jaw turns: a difference quotient is simpler than the derivative of the exponential map, and as exact here.
        step = 1e-3
        opened = weights.copy()
        opened[_JAW_OPEN] += step
        turned = axis_angle_to_matrix(opened @ self.jaw)
        slope[..., _JAW_CONTROL] = (self._skin(self._unposed(opened, turned), opened, turned) - points) / step
        apart, by_control = points[:n] - points[n:], slope[:n] - slope[n:]
        depth = apart[:, 2] - (self.template[:n, 2] - self.template[n:, 2])
        height = apart[:, 1] - _TARGET_MM
        stress = np.where(height > 0, _GAP_STRESS, 1.0)
        residual = np.concatenate([stress * height, _DEPTH_WEIGHT * depth])
        return residual, np.concatenate([stress[:, None] * by_control[:, 1], _DEPTH_WEIGHT * by_control[:, 2]])


@cache
def default_lips() -> LipModel:
    """The lips of the generic head that ships."""
    return LipModel.from_head(*open_head())


_INDEX = np.concatenate([indices(*names) for names, *_ in _CONTROLS])
_COST, _BELOW, _ABOVE = (
    np.concatenate([np.full(len(control[0]), control[column]) for control in _CONTROLS]) for column in (1, 2, 3)
)
_HESSIAN_COST = np.diag(_COST)
_EYE = np.eye(3, dtype=np.float32)
_JAW_OPEN = int(indices("jawOpen")[0])
_JAW_CONTROL = int(np.flatnonzero(_INDEX == _JAW_OPEN)[0])


def _bounded_minimum(
    hessian: Float[np.ndarray, "n n"],
    gradient: Float[np.ndarray, " n"],
    lower: Float[np.ndarray, " n"],
    upper: Float[np.ndarray, " n"],
    side: Int8[np.ndarray, " n"],
) -> tuple[Float[np.ndarray, " n"], Int8[np.ndarray, " n"]]:
    """argmin of x'Hx/2 + g'x within bounds, H positive definite.

    Args:
        side: a guess at where each variable ends: -1 at its lower bound, +1 at the upper one, 0 between them.

    Returns:
        the minimum, and where each variable ended.

    Reference: Judice and Pires, "A block principal pivoting algorithm for large-scale strictly monotone linear
    complementarity problems", 1994. All violated bounds change sides at once, which takes two to four rounds here.
    """
    x = np.zeros(len(gradient))
    for _ in range(10):
        free = side == 0
        held = np.where(side < 0, lower, upper)
        held[free] = 0.0
        # Held variables keep their place in the system as equations of their own: cheaper than to cut it smaller.
        system = np.where(free[:, None] & free, hessian, 0.0)
        system.flat[:: len(x) + 1] += ~free
        x = np.linalg.solve(system, np.where(free, -(gradient + hessian @ held), held))
        slope = gradient + hessian @ x
        new = side.copy()
        new[free & (x < lower - 1e-9)] = -1
        new[free & (x > upper + 1e-9)] = 1
        new[(side * slope > 1e-9) & ~free] = 0
        if (new == side).all():
            break
        side = new
    return np.clip(x, lower, upper), side
