"""Mouth poses of speech whose phonemes are known beforehand: nothing is recognised, or looked ahead for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from animation.speech.articulation import closure_spans, trajectories
from animation.speech.audio import HOP_S, HOP_SAMPLES
from animation.speech.channels import CLOSED, REST, TONGUE
from animation.speech.phonemes import NEARLY_CLOSED, SILENCE, VISEMES, Segment, viseme_labels
from animation.speech.stream import SpeechFrames, tongue_heard

__all__ = ["PromptedSpeech"]

_VOICE_MARGIN_S = 0.06
_QUIETEST = 1e-10
_NEAR, _NEAR_S = 0.42, 0.03
"""How far lips close that come near each other without meeting, and how long before and after they are on their way."""


class PromptedSpeech:
    """A speech source that knows what is said: the twin of `animation.speech.stream.SpeechStream` for spoken text.

    Args:
        segments: phonemes in time, from the start of the sound.
    """

    hop_s = HOP_S
    lookahead_ms = 0.0

    def __init__(self, segments: Sequence[Segment]) -> None:
        count = math.ceil(segments[-1].end_s / HOP_S) if segments else 0
        times = (np.arange(count) + 0.5) * HOP_S
        self._articulation = trajectories(segments, count)
        self._visemes = np.eye(len(VISEMES), dtype=np.float32)[viseme_labels(segments, count)]
        self._articulation[:, TONGUE] = tongue_heard(self._articulation[:, TONGUE], self._visemes)
        self._closure, self._voice = np.zeros(count, np.float32), np.zeros(count, np.float32)
        for start_s, end_s in closure_spans(segments):
            self._closure[(times >= start_s - HOP_S / 2) & (times < end_s)] = 1.0
        for segment in segments:
            if segment.phoneme in NEARLY_CLOSED:
                outside_s = np.maximum(segment.start_s - times, times - segment.end_s)
                near = _NEAR * np.clip(1 - (outside_s + _NEAR_S / 3) / _NEAR_S, 0, 1).astype(np.float32)
                self._articulation[:, CLOSED] = np.maximum(self._articulation[:, CLOSED], near)
            if segment.phoneme != SILENCE:
                near = (times > segment.start_s - _VOICE_MARGIN_S) & (times < segment.end_s + _VOICE_MARGIN_S)
                self._voice[near] = 1.0
        self.reset()

    def reset(self) -> None:
        """Back to the start of the sound."""
        self._pending = np.zeros(0, np.float32)
        self._emitted = 0

    def feed(self, samples: Float[np.ndarray, " n"]) -> SpeechFrames:
        """Take the next sound, mono at 16 kHz; give the poses that it covers."""
        sound = np.concatenate([self._pending, np.asarray(samples, np.float32)])
        count = len(sound) // HOP_SAMPLES
        self._pending = sound[count * HOP_SAMPLES :]
        return self._frames(sound[: count * HOP_SAMPLES])

    def finish(self) -> SpeechFrames:
        """The pose of the hop begun, if any. Then starts anew."""
        missing = -len(self._pending) % HOP_SAMPLES
        frames = self._frames(np.concatenate([self._pending, np.zeros(missing, np.float32)]))
        self.reset()
        return frames

    def _frames(self, sound: Float[np.ndarray, " n"]) -> SpeechFrames:
        count = len(sound) // HOP_SAMPLES
        energy = np.square(sound, dtype=np.float64).reshape(count, HOP_SAMPLES).mean(1)
        index = np.arange(self._emitted, self._emitted + count)
        self._emitted += count
        known = index < len(self._voice)
        index = index[known]
        silent = count - len(index)  # after the last phoneme the mouth rests
        at_rest = np.zeros((silent, len(VISEMES)), np.float32)
        at_rest[:, 0] = 1.0
        return SpeechFrames(
            np.concatenate([self._articulation[index], np.tile(REST, (silent, 1))]),
            np.concatenate([self._visemes[index], at_rest]),
            np.concatenate([self._closure[index], np.zeros(silent, np.float32)]),
            np.concatenate([self._voice[index], np.zeros(silent, np.float32)]),
            (10 * np.log10(energy + _QUIETEST)).astype(np.float32),
        )
