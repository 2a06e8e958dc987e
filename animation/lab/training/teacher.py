"""The teacher: the speech network with an ear for what follows, too. It hears a whole recording before it speaks.

It cannot stream. What it reaches is the ceiling: what the same voices, labels and sizes give when nothing is live.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from animation.lab.training.batches import normalize_level
from animation.lab.training.network import TrainableSpeechNetwork
from animation.speech.audio import HOP_SAMPLES, LevelTracker, frequency_warp, log_mel
from animation.speech.model import SealRule, SpeechModelConfig, SpeechOutput
from animation.speech.stream import SpeechFrames, SpeechStream
from avatar.errors import UserError
from avatar.formats.tensors import format_of, read_tensors, write_tensors

__all__ = ["Teacher", "TeacherListener", "is_teacher", "teacher_config"]

_FORMAT = "gaussian-avatar-speech-teacher"
_MARGIN_HOPS = 10
"""Silence before and after a recording."""


def teacher_config(config: SpeechModelConfig) -> SpeechModelConfig:
    """The shape of a teacher as large as a streaming network, each way: it describes the hop that it hears."""
    return replace(config, lookaheads_hops=(0,), seals=(SealRule(),))


class Teacher:
    """A trained teacher.

    Args:
        network: that hears both ways.
    """

    def __init__(self, network: TrainableSpeechNetwork) -> None:
        self.config = network.config
        self._network = network.eval()

    @torch.no_grad()
    def hear(self, samples: Float[np.ndarray, " n"]) -> list[SpeechOutput]:
        """The mouth at each hop begun of a recording at 16 kHz, as `SpeechNetwork` would say it."""
        count = -(-len(samples) // HOP_SAMPLES)
        padded = np.zeros((count + 2 * _MARGIN_HOPS) * HOP_SAMPLES, np.float32)
        padded[_MARGIN_HOPS * HOP_SAMPLES :][: len(samples)] = samples
        heard = normalize_level(np.exp(log_mel(padded))[None], np.full(1, LevelTracker.START_DB))[0]
        power = np.exp(heard.astype(np.float32))
        tracts = np.stack([np.log(power @ frequency_warp(factor) + np.float32(1e-12)) for factor in self.config.tracts])
        logits = self._network(torch.from_numpy(tracts.astype(np.float32)))[0]
        spoken = slice(_MARGIN_HOPS, _MARGIN_HOPS + count)

        def mean(likely: Tensor) -> np.ndarray:
            return np.asarray(likely.mean(0)[spoken])

        plain = int(np.argmin(np.abs(np.log(self.config.tracts))))
        rows = zip(
            mean(logits.viseme.softmax(-1)),
            mean(logits.articulation.sigmoid()),
            mean(logits.closure.sigmoid()),
            np.asarray(logits.voice[plain].sigmoid()[spoken]),
            strict=True,
        )
        return [SpeechOutput(viseme, channels, float(closed), float(voice)) for viseme, channels, closed, voice in rows]

    def closures(self, samples: Float[np.ndarray, " n"]) -> Float[np.ndarray, " t"]:
        """The probability of closure at each hop begun of a recording."""
        return np.array([output.closure for output in self.hear(samples)], np.float32)

    def save(self, path: Path, rule: SealRule, about: dict[str, object]) -> None:
        """Keep the weights in a file, with the rule that seals the lips and what is known of them."""
        tensors = {name: np.asarray(t, np.float16) for name, t in self._network.state_dict().items()}
        config = replace(self.config, seals=(rule,))
        write_tensors(path, tensors, {"config": asdict(config), "about": about}, _FORMAT)

    @classmethod
    def load(cls, path: Path) -> Teacher:
        """Read what `save` wrote.

        Raises:
            UserError: not there, not readable, or not a teacher of this shape.
        """
        tensors, info = read_tensors(path, _FORMAT, "a teacher of the speech model")
        network = TrainableSpeechNetwork(SpeechModelConfig.from_dict(dict(info.get("config", {}))), both_ways=True)
        try:
            network.load_state_dict({name: torch.from_numpy(t.astype(np.float32)) for name, t in tensors.items()})
        except RuntimeError as error:
            raise UserError(f"{path}: its tensors do not fit a teacher of the speech model") from error
        return cls(network)


def is_teacher(path: Path) -> bool:
    """Whether a file of weights is a teacher's.

    Raises:
        UserError: not there, or not readable.
    """
    return format_of(path) == _FORMAT


class _Recital:
    """Says hop by hop what a teacher has heard."""

    lookahead_hops = 0

    def __init__(self, config: SpeechModelConfig, outputs: list[SpeechOutput]) -> None:
        self.config, self._outputs, self._next = config, outputs, 0

    def memory(self) -> tuple[np.ndarray, ...]:
        return ()

    def recall(self, memory: tuple[np.ndarray, ...]) -> None:
        self._next = 0

    def step(self, features: Float[np.ndarray, "2 40"]) -> SpeechOutput:
        self._next += 1
        return self._outputs[min(self._next, len(self._outputs)) - 1]


class TeacherListener:
    """A teacher with the rules of the stream behind it, to be scored as the stream is."""

    lookahead_ms = None

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher

    def frames(self, samples: Float[np.ndarray, " n"]) -> SpeechFrames:
        """See `animation.lab.evaluation.speech.Listener.frames`."""
        if not len(samples):
            return SpeechFrames.empty()
        stream = SpeechStream(_Recital(self._teacher.config, self._teacher.hear(samples)))
        return SpeechFrames.concatenate([stream.feed(samples), stream.finish()])
