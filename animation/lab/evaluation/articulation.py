"""How far the mouth moves in speech, against people."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from animation.speech.stream import SpeechFrames
from avatar.flame.arkit import indices

__all__ = ["CAPTURED", "ArticulationScore"]

CAPTURED = {
    "jawOpen": 0.097,
    "mouthLowerDownLeft": 0.200,
    "mouthPucker": 0.096,
    "mouthClose": 0.065,
    "mouthRollLower": 0.043,
    "mouthStretchLeft": 0.065,
    "mouthUpperUpLeft": 0.084,
    "mouthPressLeft": 0.075,
    "mouthFunnel": 0.030,
}
"""Standard deviations of ARKit's weights in captures of people who read English sentences.

Reference: I. Park, J. Cho, "SAiD: Speech-driven blendshape facial animation with diffusion", 2023, the BlendVOCA set.
"""

_SPEAKING = 0.5
_LOUDER_DB = 3.0
_INDICES = indices(*CAPTURED)


class ArticulationScore:
    """Weights of poses in speech, in all and by how loud the voice is beside its own usual level."""

    def __init__(self) -> None:
        self._weights: list[np.ndarray] = []
        self._relative_db: list[np.ndarray] = []

    def add(self, weights: Float[np.ndarray, "t 52"], frames: SpeechFrames) -> None:
        """Count an utterance in: the driver's weights, and the frames that they came from."""
        spoken = frames.voice > _SPEAKING
        if spoken.any():
            loudness = frames.loudness_db[spoken]
            self._weights.append(weights[spoken][:, _INDICES])
            self._relative_db.append(loudness - np.median(loudness))

    def join(self, other: ArticulationScore) -> None:
        """Count in what another has counted."""
        self._weights += other._weights
        self._relative_db += other._relative_db

    def summary(self) -> dict[str, dict[str, float]]:
        """Standard deviations by blendshape: of people, of all poses, of quieter and of louder moments."""
        if not self._weights:
            return {}
        weights, relative_db = np.concatenate(self._weights), np.concatenate(self._relative_db)
        parts = {
            "all": np.ones(len(weights), bool),
            "quieter": relative_db < -_LOUDER_DB,
            "louder": relative_db > _LOUDER_DB,
        }
        return {
            name: {"captured": captured}
            | {part: round(float(weights[where, column].std()), 4) for part, where in parts.items() if where.any()}
            for column, (name, captured) in enumerate(CAPTURED.items())
        }
