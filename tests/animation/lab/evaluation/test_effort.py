"""The mouth by vocal effort: the efforts are what they say, and a shout opens it wider than a murmur."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from animation.lab.data.corpus import Utterance
from animation.lab.evaluation.articulation import CAPTURED
from animation.lab.evaluation.effort import EFFORTS, articulation_by_effort, evaluate_effort
from animation.speech.acoustics import VoiceAnalyzer
from animation.speech.audio import SAMPLE_RATE, resample
from animation.speech.phonemes import Segment
from animation.speech.stream import SpeechStream
from app.sample_clip import sample_clip
from avatar.errors import UserError


def _utterance(start_s: float, end_s: float) -> Utterance:
    import soundfile

    samples, rate = soundfile.read(sample_clip(), dtype="float32")
    sound = resample(samples, rate)[round(start_s * SAMPLE_RATE) : round(end_s * SAMPLE_RATE)]
    return Utterance("sample", "clip", "af_heart", "en", sound, (Segment("AA", 0.0, end_s - start_s),))


def test_efforts_differ_in_tilt_and_level() -> None:
    sound = _utterance(0.5, 2.5).samples
    tilts = {}
    for name in ("soft", "normal", "loud", "shouted"):
        heard = VoiceAnalyzer().feed(EFFORTS[name].timbre(sound).astype(np.float32))
        tilts[name] = np.mean([h.tilt_db for h in heard if h.pitch_hz > 0])
    assert tilts["soft"] < tilts["normal"] < tilts["loud"] < tilts["shouted"]
    assert [EFFORTS[n].gain_db for n in EFFORTS] == sorted(e.gain_db for e in EFFORTS.values())


def test_a_shout_opens_the_mouth_wider_than_a_murmur() -> None:
    pair = (_utterance(0.0, 4.0), _utterance(4.0, 7.0))
    table = articulation_by_effort([pair], SpeechStream.open(), ("soft", "shouted"))
    assert set(CAPTURED) < set(table["soft"])
    assert table["shouted"]["opening_p95_mm"] > table["soft"]["opening_p95_mm"] + 1
    assert table["shouted"]["jawOpen"] > table["soft"]["jawOpen"]


def test_no_voices_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="corpus speech"):
        evaluate_effort(tmp_path, None, 3, lambda what, share: None)
