"""From articulation to the mouth: speech as ARKit blendshape weights, with lips that close when they should."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from animation.speech.channels import CHANNELS, CLOSED, JAW, LIP_IN, ROUNDING, TONGUE
from animation.speech.lips import LipModel, default_lips
from avatar.flame.arkit import NAMES, indices

__all__ = ["ClosureGate", "MouthMap", "bitten", "rest_seal"]

# What each channel does to the mouth at 1. Sizes are those of people: over read sentences the standard deviations of
# these blendshapes agree with ARKit captures (see docs/animation.md).
_SHAPES: dict[str, dict[str, float]] = {
    "rounding": {"mouthPucker": 0.62, "mouthFunnel": 0.25, "mouthClose": 0.1},
    "spread": {
        "mouthStretchLeft": 0.48, "mouthStretchRight": 0.48, "mouthSmileLeft": 0.16, "mouthSmileRight": 0.16,
        "mouthDimpleLeft": 0.1, "mouthDimpleRight": 0.1, "mouthLowerDownLeft": 0.28, "mouthLowerDownRight": 0.28,
        "mouthUpperUpLeft": 0.08, "mouthUpperUpRight": 0.08,
    },
    "lip_in": {
        "mouthRollLower": 0.12, "mouthUpperUpLeft": 0.42, "mouthUpperUpRight": 0.42, "mouthShrugLower": 0.16,
    },
    "funnel": {"mouthFunnel": 0.36, "mouthUpperUpLeft": 0.06, "mouthUpperUpRight": 0.06},
}  # fmt: skip
_OPEN_SHAPE = {
    "mouthLowerDownLeft": 0.55, "mouthLowerDownRight": 0.55, "mouthUpperUpLeft": 0.13, "mouthUpperUpRight": 0.13,
}  # fmt: skip
"""What open, unrounded vowels add, so that teeth show."""
_PARTED_SHAPE = {
    "mouthLowerDownLeft": 0.25, "mouthLowerDownRight": 0.25, "mouthUpperUpLeft": 0.08, "mouthUpperUpRight": 0.08,
}  # fmt: skip
"""Lips that are not closed stand a little apart, even with the teeth together (s, z)."""
_PRESSED_SHAPE = {"mouthPressLeft": 0.45, "mouthPressRight": 0.45, "mouthRollLower": 0.06, "mouthRollUpper": 0.06}
"""What p, b and m add to the closed lips."""
_ROUNDING_BEND = np.float32(0.5)
"""Half rounded lips show little of it; w and oo pucker fully."""
_WIDEST_JAW, _JAW_BEND = 0.6, 1.35
"""jawOpen at the widest vowel, and how much more readily the jaw leaves its rest than it goes to the end of its way."""
_ROUND_CLOSE, _ROUND_JAW = 1.8, 0.15
"""Of the jaw's way beyond the second, what fully rounded lips take back: an oh is small however low the jaw is."""
_TONGUE_OUT = 0.22
"""How far the tongue shows between the teeth at full `tongue` (th); t, d, n, l stay behind them."""
_TONGUE_SHOWS, _TIP_RISES = (0.82, 1.0), (0.5, 0.75)
"""Values of `tongue` between which it comes out, and between which its tip rises."""
_TIP_BETWEEN = 0.3
"""How far its tip is raised there: as thin as it gets, and no higher than the teeth."""


def _vector(shape: dict[str, float]) -> Float32[np.ndarray, "52"]:
    weights = np.zeros(len(NAMES), np.float32)
    weights[indices(*shape)] = list(shape.values())
    return weights


_MATRIX = np.stack([_vector(_SHAPES.get(channel, {})) for channel in CHANNELS])
_OPEN, _PARTED, _PRESSED = _vector(_OPEN_SHAPE), _vector(_PARTED_SHAPE), _vector(_PRESSED_SHAPE)
_TONGUE_INDEX = int(indices("tongueOut")[0])
_JAW_INDEX = int(indices("jawOpen")[0])
_CLOSE_INDEX = int(indices("mouthClose")[0])


def _ramp(value: np.ndarray | float, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _bent(jaw: Float[np.ndarray, "*batch"]) -> Float[np.ndarray, "*batch"]:
    """0 at 0 and 1 at 1, steeper at first."""
    return np.float32(1 / -np.expm1(-_JAW_BEND)) * -np.expm1(np.float32(-_JAW_BEND) * jaw)


def rest_seal(articulation: Float[np.ndarray, "*batch 7"]) -> Float[np.ndarray, "*batch"]:
    """How far the lips lie on each other by themselves, 0..1: fully at rest, not at all in open sounds."""
    return _ramp(articulation[..., CLOSED], 0.3, 0.66)


def bitten(articulation: Float[np.ndarray, "*batch 7"]) -> Float[np.ndarray, "*batch"]:
    """How far the lower lip is brought to the upper teeth, 0..1: on f and v."""
    return _ramp(articulation[..., LIP_IN], 0.25, 0.65)


class MouthMap:
    """Articulation to blendshape weights, the same for both sides of the face. Free of state."""

    def __init__(self, lips: LipModel | None = None) -> None:
        """
        Args:
            lips: of the head to be moved; the generic head's if None.
        """
        self.lips = default_lips() if lips is None else lips

    def weights(
        self,
        articulation: Float[np.ndarray, "*batch 7"],
        gain: float = 1.0,
        closure: Float[np.ndarray, "*batch"] | float = 0.0,
    ) -> Float32[np.ndarray, "*batch 52"]:
        """The mouth of speech alone.

        Args:
            articulation: channels in the order of `CHANNELS`.
            gain: how strongly the mouth moves; closing is not affected.
            closure: how far p, b or m seals the lips, 0..1. The lips are pressed accordingly; bringing them together
                is the fusion's work, because an emotion may hold them apart.

        Returns:
            float32 weights, 0..1.
        """
        channels = np.clip(np.asarray(articulation, np.float32), 0.0, 1.0)
        moved = channels.copy()
        moved[..., ROUNDING] *= 1 - _ROUNDING_BEND * (1 - channels[..., ROUNDING])
        moved *= np.float32(gain)
        closure = np.asarray(closure, np.float32)
        jaw, rounding, lip_in = moved[..., JAW], channels[..., ROUNDING], moved[..., LIP_IN]
        free = (1.0 - _ramp(rounding, 0.1, 0.6)) * (1.0 - lip_in.clip(0, 1)) * (1.0 - channels[..., CLOSED])
        parted = (1.0 - rest_seal(channels)) * (1.0 - closure) * (1.0 - lip_in.clip(0, 1))
        parted = parted * (1.0 - 0.7 * _ramp(rounding, 0.1, 0.6))
        weights = moved @ _MATRIX + np.float32(min(gain, 1.0)) * parted[..., None] * _PARTED
        weights[..., _JAW_INDEX] = np.float32(gain * _WIDEST_JAW) * _bent(channels[..., JAW])
        low = np.maximum(weights[..., _JAW_INDEX] - np.float32(_ROUND_JAW), 0.0)
        weights[..., _CLOSE_INDEX] += _ROUND_CLOSE * moved[..., ROUNDING] * low
        weights = weights + (_ramp(jaw, 0.12, 0.75) * free)[..., None] * _OPEN + closure[..., None] * _PRESSED
        weights[..., _TONGUE_INDEX] = _TONGUE_OUT * _ramp(moved[..., TONGUE], *_TONGUE_SHOWS) * (1.0 - closure)
        weights = np.clip(weights, 0.0, 1.0).astype(np.float32)
        seal = rest_seal(channels)
        flat = weights.reshape(-1, len(NAMES))
        for row, amount in zip(flat, seal.reshape(-1), strict=True):
            row[:] = self.lips.seal(row, float(amount))
        return np.clip(flat, 0.0, 1.0).reshape(weights.shape)

    def tongue_tip(self, articulation: Float[np.ndarray, "*batch 7"]) -> Float32[np.ndarray, "*batch"]:
        """How far the tip of the tongue is raised, 0..1: for t, d, n and l behind the upper teeth."""
        tongue = np.clip(np.asarray(articulation, np.float32)[..., TONGUE], 0.0, 1.0)
        raised, between = _ramp(tongue, *_TIP_RISES), _ramp(tongue, *_TONGUE_SHOWS)
        return np.asarray(raised + between * (_TIP_BETWEEN - raised), np.float32)

    def lip_gap_mm(self, weights: Float[np.ndarray, "*batch 52"]) -> Float[np.ndarray, "*batch"]:
        """Largest height of the opening between the lips on the posed head, 0 when they touch all along."""
        return self.lips.opening_mm(weights)


@dataclass(frozen=True)
class ClosureGate:
    """Decides, pose by pose, how far p, b or m seals the lips: hysteresis, a least duration, fast edges.

    It looks back only, so a seal begins with the pose that the model gives it: an onset is never delayed.
    """

    on: float = 0.5
    off: float = 0.3
    least_poses: int = 2

    def start(self) -> ClosureState:
        """The state at the start of a stream."""
        return ClosureState(self)


class ClosureState:
    """What a `ClosureGate` remembers between poses."""

    _OPENING = (0.2, 0.0)
    """Seal in the poses after a closure: lips part within 40 ms."""

    def __init__(self, gate: ClosureGate) -> None:
        self._gate = gate
        self._held = self._released = 0

    def feed(self, probability: float, voice: float, closed: float) -> float:
        """Seal 0..1 of one pose from the model's probability of p/b/m, its voice activity, and `closed`."""
        gate = self._gate
        evidence = max(probability, closed * voice if closed > 0.85 else 0.0)
        sealed = self._held > 0
        if evidence >= gate.on or (sealed and (evidence > gate.off or self._held < gate.least_poses)):
            self._held += 1
            self._released = 0
            return 1.0
        if sealed:
            self._held = 0
            self._released = 1
        elif self._released:
            self._released += 1
        tail = self._OPENING[self._released - 1] if 0 < self._released <= len(self._OPENING) else 0.0
        if self._released > len(self._OPENING):
            self._released = 0
        # The lips are already on their way while the model is not yet sure.
        return max(tail, float(_ramp(evidence, 0.5 * gate.on, 1.1 * gate.on)))
