"""Where the voice stresses, heard as it speaks: a small network on the acoustics of the last half second."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from animation.speech.acoustics import Acoustics
from avatar.errors import UserError
from avatar.formats.tensors import read_tensors

__all__ = ["AHEAD_HOPS", "CONTEXT_HOPS", "FORMAT", "StressListener", "StressWeights", "VoiceFeatures"]

FORMAT = "gaussian-avatar stress"
_MAX_BYTES = 1 << 20

AHEAD_HOPS = 3
"""How many hops of sound after its own moment the network hears: what the speech model waits for anyway."""
CONTEXT_HOPS = 26
"""The hops that it sees, those ahead included."""


class VoiceFeatures:
    """A hop relative to what is usual for the speaker: loudness, sonority and pitch over running means, and clarity."""

    SIZE = 4
    _SLOW = 0.02
    _RANGE_DB = 25.0

    def __init__(self) -> None:
        self._usual_db = -30.0
        self._usual_st: float | None = None

    def feed(self, heard: Acoustics) -> Float32[np.ndarray, "4"]:
        """The features of the next hop."""
        if heard.sonority_db > max(self._usual_db - self._RANGE_DB, -65.0):
            self._usual_db += self._SLOW * (heard.sonority_db - self._usual_db)
        pitch = 0.0
        if heard.pitch_hz > 0:
            st = 12 * float(np.log2(heard.pitch_hz / 100))
            usual = st if self._usual_st is None else self._usual_st
            self._usual_st = usual + self._SLOW * float(np.clip(st - usual, -4, 4))
            pitch = float(np.clip(st - self._usual_st, -8, 8))
        loud, clear = (
            float(np.clip((value - self._usual_db) / 10, -3, 2)) for value in (heard.sonority_db, heard.loudness_db)
        )
        return np.array([loud, clear, pitch / 4, heard.clarity], np.float32)


class StressWeights:
    """The network: one hidden layer over the last `CONTEXT_HOPS` features."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        """
        Raises:
            ValueError: for tensors of other names or sizes.
        """
        width = CONTEXT_HOPS * VoiceFeatures.SIZE
        try:
            self._in, self._in_bias, self._out, self._out_bias = (
                np.ascontiguousarray(tensors[name], np.float32)
                for name in ("hidden.weight", "hidden.bias", "out.weight", "out.bias")
            )
        except KeyError as error:
            raise ValueError(f"stress weights: {error.args[0]} is missing") from error
        if self._in.shape != (len(self._in_bias), width) or self._out.shape != (1, len(self._in_bias)):
            raise ValueError(f"stress weights: expected a hidden layer over {width} numbers, got {self._in.shape}")

    @classmethod
    def load(cls, path: Path) -> StressWeights:
        """From a file of `train stress`.

        Raises:
            UserError: if it cannot be read.
        """
        tensors, _ = read_tensors(path, FORMAT, "the weights of a stress detector", max_bytes=_MAX_BYTES)
        try:
            return cls(tensors)
        except ValueError as error:
            raise UserError(f"{path}: {error}") from error

    @classmethod
    @cache
    def shipped(cls) -> StressWeights:
        """The weights that ship."""
        return cls.load(Path(str(resources.files("animation") / "weights" / "stress.safetensors")))

    def probability(self, context: Float32[np.ndarray, "*batch c"]) -> Float[np.ndarray, "*batch"]:
        """How surely a stressed vowel is at its loudest, `AHEAD_HOPS` before the last hop of the context."""
        hidden = np.maximum(context @ self._in.T + self._in_bias, 0)
        return 1 / (1 + np.exp(-(hidden @ self._out[0] + self._out_bias[0])))


class StressListener:
    """Follows a voice hop by hop."""

    def __init__(self, weights: StressWeights | None = None) -> None:
        """
        Args:
            weights: those that ship if None.
        """
        self._weights = StressWeights.shipped() if weights is None else weights
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._features = VoiceFeatures()
        self._context = np.zeros((CONTEXT_HOPS, VoiceFeatures.SIZE), np.float32)
        self._context[:, :2] = -3.0

    def feed(self, heard: Acoustics) -> float:
        """How surely a stressed vowel is at its loudest `AHEAD_HOPS` before this hop, 0..1."""
        self._context[:-1] = self._context[1:]
        self._context[-1] = self._features.feed(heard)
        return float(self._weights.probability(self._context.reshape(-1)))
