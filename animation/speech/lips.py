"""The lips of the head model: how far they stand apart for given blendshape weights, what makes them meet, and what
brings the lower one to the upper teeth.

Both are solved on the geometry rather than tuned by hand, because every emotion pulls the lips in its own way: the
change of weights that brings the paired rims of the lips together (p, b, m), or the lower rim to the edge of the upper
incisors (f, v), is the optimum of a small bounded least-squares problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int

from animation.speech.lip_controls import LipControls
from avatar.flame.arkit import NAMES, ArkitMap, indices
from avatar.flame.head import HeadModel
from avatar.flame.rotations import axis_angle_to_matrix
from avatar.heads import open_head

__all__ = ["LipModel", "default_lips"]

_UPPER, _LOWER, _TEETH = "upper_lip_inner", "lower_lip_inner", "upper_teeth"
_MAX_PAIRS = 17
_TARGET_MM = -0.18
"""Sealed lips are pressed together a little: touching exactly would open them at the first rounding error."""
_GAP_STRESS = 2.0
"""A remaining gap is seen; the same overlap is not."""
_DEPTH_WEIGHT = 0.35
"""How much a pair may slide in depth, relative to standing apart: lips that meet must also meet front to back."""

# What may change to close the lips: (blendshapes, cost of one unit, how far below and above the present weight).
# Taking back what opens them is cheap, mouthClose is what it is for, pressing and rolling show and so cost more.
_SEALING = LipControls(
    (
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
)
# The same to bring the lower lip to the teeth: it is the jaw's and the lower lip's work, and the upper lip gives way.
_BITING = LipControls(
    (
        (("jawOpen",), 120.0, 1.0, 0.06),
        (("mouthClose",), 90.0, 1.0, 0.15),
        (("mouthFunnel",), 8.0, 1.0, 0.0),
        (("mouthPucker",), 60.0, 0.5, 0.0),
        (("mouthLowerDownLeft", "mouthLowerDownRight"), 4.0, 1.0, 0.2),
        (("mouthShrugLower",), 25.0, 1.0, 0.4),
        (("mouthRollLower",), 60.0, 1.0, 0.4),
        (("mouthUpperUpLeft", "mouthUpperUpRight"), 8.0, 0.0, 0.45),
        (("mouthShrugUpper",), 25.0, 0.3, 0.2),
        (("mouthRollUpper",), 15.0, 1.0, 0.0),
        (("mouthStretchLeft", "mouthStretchRight"), 60.0, 0.5, 0.0),
        (("mouthSmileLeft", "mouthSmileRight"), 90.0, 0.3, 0.0),
    )
)
_BITTEN_SHARE = 0.6
"""Of the mouth's width, where the lower lip meets the incisors."""
_OVER_EDGE_MM = 0.5
"""So far the lower lip covers the edge of the teeth."""
_BEFORE_TEETH_MM = 1.5
_TEETH_SHOWN_MM = 2.0
"""At least so far over their edge the upper lip stays away from what bites it."""
_EDGE_DEPTH_WEIGHT = 0.15
_INCISOR_MM = 6.0
"""Teeth so far behind the foremost are molars."""
_WITHOUT_TEETH_MM = (-2.1, -5.0)
"""The edge of the incisors below and behind the upper lip's rim at rest, on heads that say nothing of teeth."""


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
    bitten: Int[np.ndarray, " q"]
    """Pairs whose lower points meet the incisors on f and v."""
    edge: Float[np.ndarray, "q 2"]
    """Height and depth (y, z) of the incisors' edge at each of them; it belongs to the skull."""

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
        template = head.v_template.numpy() * to_mm
        bitten, edge = _incisors(
            template[upper], template[head.regions[_TEETH].numpy()] if _TEETH in head.regions else None
        )
        return cls(
            template=template[index],
            basis=expression[index] @ arkit.expression.T * to_mm,
            jaw_correction=head.posedirs[index][..., 9:18].numpy() * to_mm,
            jaw_weight=head.lbs_weights[index, 2].numpy(),
            joint=regressor @ head.v_template.numpy() * to_mm,
            joint_basis=np.einsum("v,vce->ce", regressor[used], expression[used]) @ arkit.expression.T * to_mm,
            jaw=arkit.jaw,
            bitten=bitten,
            edge=edge,
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
        return weights + np.float32(closure) * _SEALING.least_change(weights, self._apart)

    def over_edge_mm(self, weights: Float[np.ndarray, "*batch 52"]) -> Float[np.ndarray, "*batch"]:
        """How far the lower lip's rim stands over the edge of the upper incisors, its mean; negative where it is below
        them and air goes through."""
        lower = self.positions(weights)[..., self.n_pairs + self.bitten, 1]
        return (lower - self.edge[:, 0]).mean(-1)

    def bite(self, weights: Float[np.ndarray, "52"], amount: float) -> Float[np.ndarray, "52"]:
        """Weights that bring the lower lip the fraction `amount` (0..1) of the way to the edge of the upper teeth, and
        the upper lip off it, as on f and v.

        The rest of the face is left as it is. Continuous in both arguments.
        """
        amount = min(max(float(amount), 0.0), 1.0)
        if amount == 0.0:
            return weights
        return weights + np.float32(amount) * _BITING.least_change(weights, self._off_the_teeth)

    def _unposed(self, weights: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        feature = (rotation - _EYE).reshape(*rotation.shape[:-2], 9)
        shape = (*weights.shape[:-1], *self.template.shape)
        moved = weights @ self.basis.reshape(-1, len(NAMES)).T + feature @ self.jaw_correction.reshape(-1, 9).T
        return self.template + moved.reshape(shape)

    def _skin(self, unposed: np.ndarray, weights: np.ndarray, rotation: np.ndarray) -> np.ndarray:
        joint = (self.joint + weights @ self.joint_basis.T)[..., None, :]
        turned = (unposed - joint) @ np.swapaxes(rotation, -1, -2) + joint
        return unposed + self.jaw_weight[:, None] * (turned - unposed)

    def _apart(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far the pairs are from meeting, and its derivative by what seals."""
        n = self.n_pairs
        points, slope = self._moved(weights, _SEALING)
        apart, by_control = points[:n] - points[n:], slope[:n] - slope[n:]
        depth = apart[:, 2] - (self.template[:n, 2] - self.template[n:, 2])
        height = apart[:, 1] - _TARGET_MM
        stress = np.where(height > 0, _GAP_STRESS, 1.0)
        residual = np.concatenate([stress * height, _DEPTH_WEIGHT * depth])
        return residual, np.concatenate([stress[:, None] * by_control[:, 1], _DEPTH_WEIGHT * by_control[:, 2]])

    def _off_the_teeth(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far the lower lip is from the incisors' edge and the upper lip too low, and its derivative by what
        bites."""
        points, slope = self._moved(weights, _BITING)
        below, above = self.n_pairs + self.bitten, self.bitten
        height = points[below, 1] - (self.edge[:, 0] + _OVER_EDGE_MM)
        depth = points[below, 2] - (self.edge[:, 1] + _BEFORE_TEETH_MM)
        hiding = points[above, 1] - (self.edge[:, 0] + _TEETH_SHOWN_MM)
        # Both set in over a millimetre: a step here would be a jerk of the lips.
        stress, hides = 1.0 + (_GAP_STRESS - 1.0) * np.clip(-height, 0.0, 1.0), np.clip(-hiding, 0.0, 1.0)
        residual = np.concatenate([stress * height, _EDGE_DEPTH_WEIGHT * depth, hides * hiding])
        return residual, np.concatenate(
            [stress[:, None] * slope[below, 1], _EDGE_DEPTH_WEIGHT * slope[below, 2], hides[:, None] * slope[above, 1]]
        )

    def _moved(self, weights: np.ndarray, controls: LipControls) -> tuple[np.ndarray, np.ndarray]:
        """The rims' points, and their derivative by some controls."""
        rotation = axis_angle_to_matrix(weights @ self.jaw)
        points = self._skin(self._unposed(weights, rotation), weights, rotation)
        # Expression units move a point in the frame that skinning turns it into, and the jaw joint with it.
        blend = _EYE + self.jaw_weight[:, None, None] * (rotation - _EYE)
        slope = blend @ self.basis[..., controls.index]
        slope += self.jaw_weight[:, None, None] * ((_EYE - rotation) @ self.joint_basis[:, controls.index])
        # The jaw turns: a difference quotient is simpler than the derivative of the exponential map, and as exact here.
        step = 1e-3
        opened = weights.copy()
        opened[_JAW_OPEN] += step
        turned = axis_angle_to_matrix(opened @ self.jaw)
        by_jaw = (self._skin(self._unposed(opened, turned), opened, turned) - points) / step
        slope[..., controls.index == _JAW_OPEN] = by_jaw[..., None]
        return points, slope


def _incisors(
    upper: Float[np.ndarray, "p 3"], teeth: Float[np.ndarray, "t 3"] | None
) -> tuple[Int[np.ndarray, " q"], Float[np.ndarray, "q 2"]]:
    """Pairs of the lips that lie before the incisors, and the height and depth of the incisors' edge behind each."""
    across = upper[:, 0] - upper[:, 0].mean()
    bitten = np.flatnonzero(np.abs(across) <= _BITTEN_SHARE * np.abs(across).max())
    if teeth is None:
        return bitten, upper[bitten][:, 1:] + np.array(_WITHOUT_TEETH_MM, np.float32)
    edge = []
    for x in upper[bitten, 0]:
        near = teeth[np.argsort(np.abs(teeth[:, 0] - x))[: max(len(teeth) // 16, 1)]]
        front = near[near[:, 2] > near[:, 2].max() - _INCISOR_MM]
        edge.append(front[front[:, 1].argmin(), 1:])
    return bitten, np.stack(edge)


@cache
def default_lips() -> LipModel:
    """The lips of the generic head that ships."""
    return LipModel.from_head(*open_head())


_EYE = np.eye(3, dtype=np.float32)
_JAW_OPEN = int(indices("jawOpen")[0])
