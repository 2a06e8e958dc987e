"""The speech network in numpy: one hop of features in, one pose's worth of mouth out.

Filters shared along frequency look at the last four feature frames, then two GRU layers carry the past. Everything is
causal. Several sets of heads read the same memory: each learned to describe the mouth so many hops ago, which gives it
that much of the future, and one of them is chosen when the network is made. The twin in torch,
`animation.lab.training.network`, trains the weights.

The network listens several times at once, as if to speakers with shorter and longer vocal tracts, and the mean of what
it hears is given: voices unlike those that it learned from are understood better. Whether anybody speaks is asked of
the time without stretching alone: stretched music may sound like a voice.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Float

from animation.speech.audio import FRAMES_PER_HOP, N_MELS, frequency_warp
from animation.speech.channels import CHANNELS
from animation.speech.phonemes import VISEMES
from avatar.errors import UserError
from avatar.formats.tensors import read_tensors, write_tensors

__all__ = [
    "DEFAULT_WEIGHTS",
    "Ear",
    "SealRule",
    "SpeechModelConfig",
    "SpeechNetwork",
    "SpeechOutput",
    "expected_shapes",
    "load_weights",
    "read_about",
    "save_weights",
]

DEFAULT_WEIGHTS = Path(__file__).parent.parent / "weights" / "speech.safetensors"
_HEADS = {"viseme": len(VISEMES), "articulation": len(CHANNELS), "closure": 1, "voice": 1}
_FORMAT = "gaussian-avatar-speech"
_VERSION = 2
_LEAST_POWER = np.float32(1e-12)


@dataclass(frozen=True)
class SealRule:
    """When the lips seal: on one pose of probability `on` or on two in a row of `likely`, for at least `hold` poses;
    they part below `off`."""

    on: float = 0.9
    likely: float = 0.6
    off: float = 0.3
    hold: int = 2


@dataclass(frozen=True)
class SpeechModelConfig:
    """Shape of the network and the tuned reading of its outputs.

    `mel_mean` and `mel_scale` bring level-normalised features to about zero mean and unit spread. `lookaheads_hops` are
    those there are heads for, the best first, and `seals` the rule of each. Somebody speaks from `voice_on` on, until
    below `voice_off`. `tracts` are the factors by which the mel axis is stretched, one for each time that the network
    listens.
    """

    hidden: int = 256
    layers: int = 2
    filters: int = 24
    filter_bands: int = 7
    filter_stride: int = 2
    filter_frames: int = 4
    lookaheads_hops: tuple[int, ...] = (3, 1, 0)
    seals: tuple[SealRule, ...] = (SealRule(), SealRule(), SealRule())
    mel_mean: float = -6.0
    mel_scale: float = 4.0
    voice_on: float = 0.5
    voice_off: float = 0.3
    tracts: tuple[float, ...] = (0.88, 1.0, 1.12)

    def __post_init__(self) -> None:
        if not self.lookaheads_hops or len(self.seals) != len(self.lookaheads_hops):
            raise ValueError(f"expected a seal for each of the look-aheads {self.lookaheads_hops}, got {self.seals}")
        if not self.tracts:
            raise ValueError("expected at least one length of vocal tract")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SpeechModelConfig:
        """From what `asdict` gave, after a way through JSON; unknown names are left out."""
        known = {field.name for field in fields(cls)}
        kept = {name: value for name, value in values.items() if name in known}
        if "lookaheads_hops" in kept:
            kept["lookaheads_hops"] = tuple(int(hops) for hops in kept["lookaheads_hops"])
        if "tracts" in kept:
            kept["tracts"] = tuple(float(factor) for factor in kept["tracts"])
        if "seals" in kept:
            kept["seals"] = tuple(SealRule(**rule) for rule in kept["seals"])
        return cls(**kept)

    def seal(self, lookahead_hops: int) -> SealRule:
        """The rule for a look-ahead."""
        return self.seals[self.lookaheads_hops.index(lookahead_hops)]

    @property
    def patches(self) -> int:
        """Places of the filters along frequency."""
        return (N_MELS - self.filter_bands) // self.filter_stride + 1


class SpeechOutput(NamedTuple):
    """The mouth at one pose: probabilities of `VISEMES`, `CHANNELS` in 0..1, and two probabilities."""

    visemes: Float[np.ndarray, " v"]
    articulation: Float[np.ndarray, " 7"]
    closure: float
    voice: float


class Ear(Protocol):
    """What listens hop by hop, as `SpeechNetwork` does."""

    config: SpeechModelConfig
    lookahead_hops: int

    def memory(self) -> tuple[np.ndarray, ...]:
        """All that it knows of the past, for `recall`."""
        ...

    def recall(self, memory: tuple[np.ndarray, ...]) -> None:
        """Go back to a past that `memory` gave."""
        ...

    def step(self, features: Float[np.ndarray, "2 40"]) -> SpeechOutput:
        """Advance by one hop; the mouth `lookahead_hops` hops before it."""
        ...


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


class SpeechNetwork:
    """The network with its recurrent state.

    Args:
        config: its shape.
        tensors: its weights by name, as `load_weights` gives them.
        lookahead_hops: one of the configuration's; the first if None.

    Raises:
        ValueError: a tensor is missing or has the wrong shape, or there are no heads for that look-ahead.
    """

    def __init__(
        self, config: SpeechModelConfig, tensors: dict[str, np.ndarray], lookahead_hops: int | None = None
    ) -> None:
        self.config = config
        self.lookahead_hops = config.lookaheads_hops[0] if lookahead_hops is None else lookahead_hops
        if self.lookahead_hops not in config.lookaheads_hops:
            raise ValueError(f"look-ahead: expected one of {config.lookaheads_hops} hops, got {lookahead_hops}")
        for name, shape in expected_shapes(config).items():
            found = tensors[name].shape if name in tensors else None
            if found != shape:
                raise ValueError(f"speech weights: expected {name} of shape {shape}, got {found}")
        # Turned as they are multiplied: BLAS is four times quicker on a few rows.
        weights = {name: np.ascontiguousarray(tensors[name].T, np.float32) for name in expected_shapes(config)}
        self._filter_weight, self._filter_bias = weights["filters.weight"], weights["filters.bias"]
        self._into_weight, self._into_bias = weights["into.weight"], weights["into.bias"]
        self._norm_weight, self._norm_bias = weights["norm.weight"], weights["norm.bias"]
        self._layers = [
            tuple(weights[f"recurrent.{kind}_l{n}"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
            for n in range(config.layers)
        ]
        heads = [f"heads.{self.lookahead_hops}.{head}" for head in _HEADS]
        self._head_weight = np.concatenate([weights[f"{head}.weight"] for head in heads], axis=1)
        self._head_bias = np.concatenate([weights[f"{head}.bias"] for head in heads])
        # Patches of (band, frame): each row of the index picks the inputs of one place along frequency.
        starts = np.arange(config.patches) * config.filter_stride
        self._patch_bands = starts[:, None] + np.arange(config.filter_bands)
        self._plain = int(np.argmin(np.abs(np.log(config.tracts))))
        self._warps = np.stack([frequency_warp(factor) for factor in config.tracts])
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        c = self.config
        self._frames = np.zeros((len(c.tracts), c.filter_frames, N_MELS), np.float32)
        self._state = [np.zeros((len(c.tracts), c.hidden), np.float32) for _ in range(c.layers)]

    def memory(self) -> tuple[np.ndarray, ...]:
        """All that the network knows of the past, for `recall`."""
        return (self._frames.copy(), *(state.copy() for state in self._state))

    def recall(self, memory: tuple[np.ndarray, ...]) -> None:
        """Go back to a past that `memory` gave."""
        self._frames, *self._state = (array.copy() for array in memory)

    def step(self, features: Float[np.ndarray, "2 40"]) -> SpeechOutput:
        """Advance by one hop.

        Args:
            features: log-mel of the hop's two frames, less the speaker's level (natural logarithm).

        Returns:
            The mouth `lookahead_hops` hops before this one.
        """
        c = self.config
        ears = len(c.tracts)
        heard = np.log(np.exp(features.astype(np.float32)) @ self._warps + _LEAST_POWER)
        scaled = (heard - np.float32(c.mel_mean)) * np.float32(1 / c.mel_scale)
        self._frames = np.concatenate([self._frames[:, FRAMES_PER_HOP:], scaled], axis=1)
        patches = self._frames.transpose(0, 2, 1)[:, self._patch_bands].reshape(ears, c.patches, -1)
        local = np.maximum(patches @ self._filter_weight + self._filter_bias, 0.0)
        x = np.concatenate([local.reshape(ears, -1), scaled.reshape(ears, -1)], axis=1)
        x = x @ self._into_weight + self._into_bias
        spread = np.sqrt(x.var(-1, keepdims=True) + np.float32(1e-5))
        x = (x - x.mean(-1, keepdims=True)) / spread * self._norm_weight + self._norm_bias
        x = np.maximum(x, 0.0)
        size = c.hidden
        for n, (weight_in, weight_state, bias_in, bias_state) in enumerate(self._layers):
            from_input = x @ weight_in + bias_in
            from_state = self._state[n] @ weight_state + bias_state
            gates = _sigmoid(from_input[:, : 2 * size] + from_state[:, : 2 * size])
            new = np.tanh(from_input[:, 2 * size :] + gates[:, :size] * from_state[:, 2 * size :])
            self._state[n] = x = new + gates[:, size:] * (self._state[n] - new)
        viseme_logits, rest = np.split(x @ self._head_weight + self._head_bias, [len(VISEMES)], axis=1)
        likely = _sigmoid(rest)
        articulation, (closure, _) = np.split(likely.mean(0), [len(CHANNELS)])
        exponentials = np.exp(viseme_logits - viseme_logits.max(-1, keepdims=True))
        visemes = (exponentials / exponentials.sum(-1, keepdims=True)).mean(0)
        return SpeechOutput(visemes, articulation, float(closure), float(likely[self._plain, -1]))


def expected_shapes(config: SpeechModelConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor that inference needs."""
    c = config
    into = c.patches * c.filters + FRAMES_PER_HOP * N_MELS
    shapes: dict[str, tuple[int, ...]] = {
        "filters.weight": (c.filters, c.filter_bands * c.filter_frames),
        "filters.bias": (c.filters,),
        "into.weight": (c.hidden, into),
        "into.bias": (c.hidden,),
        "norm.weight": (c.hidden,),
        "norm.bias": (c.hidden,),
    }
    for n in range(c.layers):
        shapes |= {
            f"recurrent.weight_ih_l{n}": (3 * c.hidden, c.hidden),
            f"recurrent.weight_hh_l{n}": (3 * c.hidden, c.hidden),
            f"recurrent.bias_ih_l{n}": (3 * c.hidden,),
            f"recurrent.bias_hh_l{n}": (3 * c.hidden,),
        }
    for hops in c.lookaheads_hops:
        for head, size in _HEADS.items():
            shapes |= {f"heads.{hops}.{head}.weight": (size, c.hidden), f"heads.{hops}.{head}.bias": (size,)}
    return shapes


def save_weights(
    path: Path, config: SpeechModelConfig, tensors: dict[str, np.ndarray], about: dict[str, object]
) -> None:
    """Write the tensors that inference needs as float16, with the config and what is known about the model.

    Args:
        path: the file.
        config: shape of the network.
        tensors: its weights.
        about: data statement, training and scores: anything JSON takes.
    """
    kept = {name: np.asarray(tensors[name], np.float16) for name in expected_shapes(config)}
    write_tensors(path, kept, {"config": asdict(config), "about": about}, _FORMAT, version=_VERSION)


def read_about(path: Path | None = None) -> dict[str, object]:
    """What is known about a weights file: data statement, training, scores.

    Raises:
        UserError: as `load_weights`.
    """
    path = path or DEFAULT_WEIGHTS
    return dict(read_tensors(path, _FORMAT, "the weights of a speech model", version=_VERSION)[1]["about"])


def load_weights(path: Path | None = None) -> tuple[SpeechModelConfig, dict[str, np.ndarray]]:
    """Read weights and their config; the shipped ones when no path is given.

    Raises:
        UserError: not there, not readable, or not of this kind.
    """
    path = path or DEFAULT_WEIGHTS
    tensors, info = read_tensors(path, _FORMAT, "the weights of a speech model", version=_VERSION)
    config = SpeechModelConfig.from_dict(dict(info.get("config", {})))
    if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
        raise UserError(f"{path} holds numbers that are not finite")
    return config, tensors
