"""Speech models that need the whole utterance, behind the driver's interface; and the opening of either kind."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from animation.resampling import resample_poses
from animation.speech.audio import HOP_S, HOP_SAMPLES
from animation.speech.channels import CLOSED
from animation.speech.faceformer import FORMAT as FACEFORMER
from animation.speech.faceformer import FaceFormer, load_faceformer
from animation.speech.mouth_fit import MouthFit, lips_touch, spoken_closures, voiced, widened
from animation.speech.phonemes import VISEMES
from animation.speech.stream import SpeechFrames, SpeechStream
from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.formats.tensors import format_of

__all__ = ["OfflineSpeech", "open_speech_model"]

_VOICE_MARGIN_S = 0.06
_QUIETEST = 1e-10
_TEETH = 120
"""Vertices that our FLAME has after those of the data sets."""


class OfflineSpeech:
    """FaceFormer as the driver's speech source: silent until `finish`, then all poses at once.

    Articulation is fitted to the meshes, so that the result drives any head; a closure is where the lips touch in the
    middle of speech.
    """

    hop_s = HOP_S
    lookahead_ms = math.inf

    def __init__(self, model: FaceFormer, head: HeadModel, arkit: ArkitMap, style: int = 0) -> None:
        """
        Args:
            model: the speech model.
            head: of the topology that it was trained on.
            arkit: its blendshapes.
            style: whose way of speaking, an index into the model's subjects.
        """
        self._model, self._head, self._style = model, head, style
        self._fit = MouthFit(head, arkit)
        self.reset()

    def reset(self) -> None:
        """Forget all sound."""
        self._heard: list[np.ndarray] = []

    def feed(self, samples: Float32[np.ndarray, " n"]) -> SpeechFrames:
        """Keep the sound; nothing is said about it yet."""
        self._heard.append(np.array(samples, np.float32))
        return SpeechFrames.empty()

    def finish(self) -> SpeechFrames:
        """All poses of what was fed."""
        samples = np.concatenate(self._heard) if self._heard else np.zeros(0, np.float32)
        self.reset()
        n_hops = -(-len(samples) // HOP_SAMPLES)
        if n_hops == 0:
            return SpeechFrames.empty()
        samples = np.pad(np.nan_to_num(samples), (0, n_hops * HOP_SAMPLES - len(samples)))
        spoken = self._model.predict(np.pad(samples, (0, HOP_SAMPLES)), self._style)
        offsets = resample_poses(spoken, self._model.config.fps, 1 / HOP_S)
        offsets = offsets[np.minimum(np.arange(n_hops), len(offsets) - 1)]
        articulation = self._fit.articulation(offsets)
        voice = voiced(samples, n_hops)
        closed = spoken_closures(lips_touch(self._head, offsets, articulation), voice)
        articulation[closed, CLOSED] = 1.0
        power = np.mean(samples.reshape(-1, HOP_SAMPLES).astype(np.float64) ** 2, 1)
        return SpeechFrames(
            articulation,
            np.zeros((n_hops, len(VISEMES)), np.float32),
            closed.astype(np.float32),
            widened(voice, _VOICE_MARGIN_S).astype(np.float32),
            (10 * np.log10(power + _QUIETEST)).astype(np.float32),
        )


def open_speech_model(path: Path | str, heads: Iterable[tuple[HeadModel, ArkitMap]]) -> SpeechStream | OfflineSpeech:
    """A speech model from its file: the streaming one, or FaceFormer.

    Args:
        path: what `train speech` or `train faceformer` wrote.
        heads: in which to look for the topology that FaceFormer was trained on.

    Raises:
        UserError: if the file is not readable, or no head fits it.
    """
    if format_of(path) != FACEFORMER:
        return SpeechStream.open(Path(path))
    model, _ = load_faceformer(path)
    for head, arkit in heads:
        if head.n_vertices in (model.config.n_vertices, model.config.n_vertices + _TEETH):
            return OfflineSpeech(model, head, arkit)
    raise UserError(
        f"{path}: was trained on meshes of {model.config.n_vertices:,} vertices, and no head here has as many; "
        "import the FLAME model first"
    )
