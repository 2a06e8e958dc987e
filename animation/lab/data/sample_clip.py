"""The bundled sample clip: a voice of flite that introduces the program.

python -c "from animation.lab.data.sample_clip import make_sample_clip; make_sample_clip('app/assets/sample.flac')"
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from animation.lab.data.synthetic_speech import flite
from animation.speech.audio import SAMPLE_RATE
from avatar.errors import UserError

__all__ = ["SAMPLE_TEXT", "make_sample_clip"]

SAMPLE_TEXT = (
    "Hello, I am happy to meet you! Speak, and my mouth will move with your voice: every vowel, every pause, "
    "every beam of a smile. Whisper, hum, or boom a blue tune. Shall we begin?"
)
_VOICE = "slt"
_LEVEL_DB = -20.0
_PEAK = 0.9
_SILENCE_S = 0.25


def make_sample_clip(path: Path | str) -> float:
    """Write the clip as 16 kHz mono FLAC at a speech level of -20 dBFS; returns its length in seconds.

    Raises:
        UserError: flite is missing or does not know the voice.
    """
    speech = flite(SAMPLE_TEXT, _VOICE, stretch=1.0)
    if speech is None:
        raise UserError(f"flite cannot speak with the voice {_VOICE!r}: apt install flite")
    samples = speech.samples
    loud = np.abs(samples) > 0.02 * np.abs(samples).max()
    samples = samples * (10 ** (_LEVEL_DB / 20) / np.sqrt(np.mean(samples[loud] ** 2)))
    samples = samples * min(1.0, _PEAK / np.abs(samples).max())
    edge = np.zeros(int(_SILENCE_S * SAMPLE_RATE), np.float32)
    samples = np.concatenate([edge, samples, edge]).astype(np.float32)
    soundfile.write(path, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return len(samples) / SAMPLE_RATE
