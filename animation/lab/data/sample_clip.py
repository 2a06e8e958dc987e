"""The bundled sample clip: a neural voice that introduces the program.

python -c "from animation.lab.data.sample_clip import make_sample_clip; make_sample_clip('app/assets/sample.flac')"
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from animation.speech.phonemes import SILENCE
from animation.speech.voice.narrator import Narrator

__all__ = ["SAMPLE_TEXT", "SAMPLE_VOICE", "make_sample_clip"]

SAMPLE_TEXT = (
    "Hi, I'm so pleased to meet you! Lend me your voice, and I'll give it a face: every vowel, every whisper, "
    "every big, beaming smile. Ha, ha! Who would have believed it? So, what shall we talk about first?"
)
SAMPLE_VOICE = "af_heart"
_LEVEL_DB = -20.0
_PEAK = 0.9
_LEAD_S = 0.25
_LONGEST_PAUSE_S = 0.3


def make_sample_clip(path: Path | str) -> float:
    """Write the clip as 24 kHz mono FLAC at a speech level of -20 dBFS; returns its length in seconds.

    Raises:
        UserError: the extra `voice` is missing, or its voices cannot be fetched.
    """
    spoken = Narrator(SAMPLE_VOICE).say(SAMPLE_TEXT)
    rate = spoken.sample_rate
    pieces, speech = [], np.zeros(len(spoken.samples), bool)
    for number, segment in enumerate(spoken.segments):
        edge = number in (0, len(spoken.segments) - 1)
        kept_s = _LEAD_S if edge else _LONGEST_PAUSE_S
        start, end = round(segment.start_s * rate), round(segment.end_s * rate)
        if segment.phoneme != SILENCE or segment.duration_s <= kept_s:
            pieces.append((start, end))
        elif number == 0:
            pieces.append((end - round(kept_s * rate), end))
        elif edge:
            pieces.append((start, start + round(kept_s * rate)))
        else:  # pauses are cut in the middle, where it is quiet
            half = round(kept_s * rate / 2)
            pieces += [(start, start + half), (end - half, end)]
        speech[start:end] = segment.phoneme != SILENCE
    level = np.sqrt(np.mean(spoken.samples[speech] ** 2))
    samples = np.concatenate([spoken.samples[a:b] for a, b in pieces]) * (10 ** (_LEVEL_DB / 20) / level)
    samples = (samples * min(1.0, _PEAK / np.abs(samples).max())).astype(np.float32)
    soundfile.write(path, samples, rate, format="FLAC", subtype="PCM_16")
    return len(samples) / rate
