"""Speech whose phonemes are known: poses in time, exact in chunks of any size, lips sealed on every p, b and m."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from animation.driver import AvatarDriver, DriverSettings
from animation.expression.emotions import EMOTIONS
from animation.face import DrivenFace
from animation.speech.audio import HOP_SAMPLES, SAMPLE_RATE
from animation.speech.channels import REST
from animation.speech.lips import default_lips
from animation.speech.phonemes import Segment
from animation.speech.prompted import PromptedSpeech
from animation.speech.stream import SpeechFrames
from avatar.heads import open_head

WORDS = "SIL M AA M AA SIL B EY B IY P AO P S IY F AY V SIL"
LENGTH_S = {"SIL": 0.3, "M": 0.07, "B": 0.07, "P": 0.08}


def segments() -> list[Segment]:
    found, start_s = [], 0.0
    for phoneme in WORDS.split():
        end_s = start_s + LENGTH_S.get(phoneme, 0.11)
        found.append(Segment(phoneme, start_s, end_s))
        start_s = end_s
    return found


def sound(extra_s: float = 0.0) -> np.ndarray:
    count = int((segments()[-1].end_s + extra_s) * SAMPLE_RATE)
    return (0.1 * np.random.default_rng(0).normal(size=count)).astype(np.float32)


def run(samples: np.ndarray, chunk: int) -> SpeechFrames:
    source = PromptedSpeech(segments())
    parts = [source.feed(samples[at : at + chunk]) for at in range(0, len(samples), chunk)]
    return SpeechFrames.concatenate([*parts, source.finish()])


@pytest.mark.parametrize("chunk", [1, 7, HOP_SAMPLES, HOP_SAMPLES + 1])
def test_chunks_do_not_matter(chunk: int) -> None:
    samples = sound()[: 40 * HOP_SAMPLES + 11]
    whole, parts = run(samples, len(samples)), run(samples, chunk)
    for field in fields(SpeechFrames):
        np.testing.assert_array_equal(getattr(parts, field.name), getattr(whole, field.name))


def test_one_pose_for_every_hop_begun_and_rest_after_the_last_phoneme() -> None:
    frames = run(sound(extra_s=0.5), 500)
    assert len(frames) == -(-len(sound(extra_s=0.5)) // HOP_SAMPLES)
    np.testing.assert_array_equal(frames.articulation[-1], REST)
    assert frames.voice[-1] == 0 and frames.closure[-1] == 0 and frames.visemes[-1].argmax() == 0


@pytest.mark.parametrize("emotion", ["neutral", "happy", "surprised"])
def test_lips_meet_on_every_bilabial_and_part_between_them(emotion: str) -> None:
    settings = DriverSettings(emotion, 1.0, blinks=False, gaze=False, head=False)
    driver = AvatarDriver(DrivenFace.of(*open_head()), settings, PromptedSpeech(segments()))
    samples = sound()
    poses = [*driver.feed(samples), *driver.finish()]
    gaps_mm = default_lips().opening_mm(np.stack([pose.blendshape_weights for pose in poses]))
    times = np.array([pose.stream_time_s for pose in poses])
    for segment in segments():
        during = gaps_mm[(times >= segment.start_s - 0.01) & (times < segment.end_s + 0.01)]
        if segment.phoneme in ("P", "B", "M"):
            assert during.min() < 0.3, segment
        elif segment.phoneme in ("AA", "EY", "AO", "AY"):
            assert during.max() > 2.0, segment


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_word_that_begins_with_f_after_a_silence_is_bitten_in_time(emotion: str) -> None:
    """The lower lip is at the teeth before the middle of every f and v, however open a feeling holds the mouth."""
    word = [Segment(*row) for row in (("SIL", 0, 1.0), ("F", 1.0, 1.1), ("AO", 1.1, 1.3), ("V", 1.3, 1.38),
                                      ("AA", 1.38, 1.5), ("SIL", 1.5, 2.0))]  # fmt: skip
    settings = DriverSettings(emotion, 1.0, blinks=False, gaze=False, head=False)
    driver = AvatarDriver(DrivenFace.of(*open_head()), settings, PromptedSpeech(word))
    samples = (0.1 * np.random.default_rng(0).normal(size=2 * SAMPLE_RATE)).astype(np.float32)
    poses = [*driver.feed(samples), *driver.finish()]
    weights = np.stack([pose.blendshape_weights for pose in poses])
    times = np.array([pose.stream_time_s for pose in poses])
    over_mm, opening_mm = default_lips().over_edge_mm(weights), default_lips().opening_mm(weights)
    for start_s, end_s in ((1.0, 1.1), (1.3, 1.38)):
        during = (times > (start_s + end_s) / 2 - 0.011) & (times < end_s - 0.02)
        assert np.abs(over_mm[during]).max() < 1.5, (emotion, over_mm[during])
        assert opening_mm[during].min() > 1.0
    assert over_mm[(times > 1.18) & (times < 1.25)].max() < -3, "and it leaves them in a vowel"


def test_lips_come_near_each_other_on_the_b_between_vowels_and_do_not_meet() -> None:
    phones = [("SIL", 0.3), ("AA", 0.12), ("BH", 0.08), ("AA", 0.12), ("SIL", 0.3)]
    starts = np.cumsum([0.0] + [length for _, length in phones])
    said = [Segment(p, float(a), float(a) + length) for (p, length), a in zip(phones, starts, strict=False)]
    settings = DriverSettings(blinks=False, gaze=False, head=False)
    driver = AvatarDriver(DrivenFace.of(*open_head()), settings, PromptedSpeech(said))
    poses = [*driver.feed(sound()[: int(said[-1].end_s * SAMPLE_RATE)]), *driver.finish()]
    gaps_mm = default_lips().opening_mm(np.stack([pose.blendshape_weights for pose in poses]))
    times = np.array([pose.stream_time_s for pose in poses])
    near, vowels = (
        gaps_mm[(times >= a.start_s) & (times < b.end_s)] for a, b in ((said[2], said[2]), (said[1], said[3]))
    )
    assert 1.0 < near.min() < 4.0
    assert vowels.max() > 10.0
