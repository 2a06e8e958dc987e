"""Whether the head hears the voice: beats on stresses, differences between seeds, and the order of arousal."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Float32
from scipy.linalg import solve_toeplitz
from scipy.signal import butter, find_peaks, lfilter

from animation.driver import AvatarDriver, DriverSettings
from animation.expression.arousal import ArousalTracker
from animation.face import DrivenFace
from animation.lab.data.self_made_voices import made_up_sentences
from animation.lab.data.stresses import StressedSpeech, speaker, stressed_speech
from animation.lab.training.stress import loudest_hops
from animation.speech.acoustics import VoiceAnalyzer
from animation.speech.audio import HOP_S, SAMPLE_RATE
from animation.speech.stream import SpeechStream
from avatar.flame.arkit import NAMES
from avatar.flame.params import FlameParams
from avatar.heads import open_head

__all__ = ["ORDER", "BeatScore", "arousal_order", "beat_alignment", "evaluate_motion", "seed_differences"]

Progress = Callable[[str, float], None]

_NEAR_S = 0.08
_LEAST_DEG = 0.5
_QUICK_S = 0.4
"""A beat is a nod that goes down and comes back by half a degree within so long on either side."""
_EDGE_S = 0.4


@dataclass
class BeatScore:
    """Beats of the head against the stresses of the voice."""

    beats: int = 0
    near: int = 0
    by_chance: float = 0.0
    seconds: float = 0.0
    offsets_s: list[float] = field(default_factory=list)

    def add(self, other: BeatScore) -> None:
        """Count another's beats as well."""
        self.beats += other.beats
        self.near += other.near
        self.by_chance += other.by_chance
        self.seconds += other.seconds
        self.offsets_s += other.offsets_s

    def summary(self) -> dict[str, float]:
        """Ready for JSON."""
        return {
            "beats": self.beats,
            "beats_per_s": round(self.beats / max(self.seconds, 1e-9), 2),
            "within_80_ms": round(self.near / max(self.beats, 1), 3),
            "by_chance": round(self.by_chance / max(self.seconds, 1e-9), 3),
            "median_offset_ms": round(1e3 * float(np.median(self.offsets_s))) if self.offsets_s else 0,
        }


def evaluate_motion(
    voices: Sequence[str], progress: Progress = lambda text, share: None, utterances: int = 24
) -> dict[str, object]:
    """Beats, differences between seeds, and the order of arousal.

    Args:
        voices: see `animation.lab.data.stresses.stressed_speech`.
        utterances: of each voice; neural ones speak a fourth of that.

    Raises:
        UserError: if a voice is not installed.
    """
    speeches = list(stressed_speech(voices, utterances, 1, progress))
    progress("head and stresses", 0.0)
    scores, together = beat_alignment(speeches), BeatScore()
    for score in scores.values():
        together.add(score)
    beats = {kind: score.summary() for kind, score in {**scores, "all": together}.items()}
    samples = np.concatenate([speech.samples for speech in speeches[:4]])
    return {
        "beats": beats,
        "seed_differences": seed_differences(samples, DriverSettings(), range(4)),
        "arousal": arousal_order(voices, 2, progress),
    }


def beat_alignment(speeches: Iterable[StressedSpeech], settings: DriverSettings | None = None) -> dict[str, BeatScore]:
    """How many of the head's beats fall on stresses, by kind of voice.

    A beat is the lowest point of a quick nod, a stress the loudest moment of a stressed vowel; what would fall near one
    by chance is the share of the time that lies within 80 ms of a stress.
    """
    face = DrivenFace.of(*open_head())
    scores: dict[str, BeatScore] = {}
    for speech in speeches:
        driver = AvatarDriver(face, settings)
        poses = driver.feed(speech.samples) + driver.finish()
        pitch = np.degrees([pose.neck_pose[0] for pose in poses])
        lowest, _ = find_peaks(pitch, prominence=_LEAST_DEG, wlen=2 * round(_QUICK_S / HOP_S) + 1)
        beats = (lowest + 0.5) * HOP_S
        end_s = len(poses) * HOP_S - _EDGE_S
        stresses = (loudest_hops(speech) + 0.5) * HOP_S
        if not len(stresses):
            continue
        score = scores.setdefault(speech.voice.split()[0], BeatScore())
        for beat_s in beats[(beats > _EDGE_S) & (beats < end_s)]:
            offset_s = float((beat_s - stresses)[np.abs(beat_s - stresses).argmin()])
            score.beats += 1
            score.near += abs(offset_s) <= _NEAR_S
            score.offsets_s.append(offset_s)
        times = np.arange(_EDGE_S, end_s, 0.01)
        score.by_chance += float((np.abs(times[:, None] - stresses).min(1) <= _NEAR_S).mean()) * (end_s - _EDGE_S)
        score.seconds += end_s - _EDGE_S
    return scores


def seed_differences(
    samples: Float32[np.ndarray, " n"], settings: DriverSettings, seeds: Sequence[int]
) -> dict[str, float]:
    """How much the performances of different seeds differ.

    Returns:
        the least share, over pairs of seeds, of the variance of the head's angles and of the brows that is not common
        to both; and the greatest difference between their lips' weights.
    """
    face = DrivenFace.of(*open_head())
    brows = [k for k, name in enumerate(NAMES) if name.startswith("brow")]
    lips = [k for k, name in enumerate(NAMES) if name.startswith(("mouth", "jaw"))]
    runs: list[list[FlameParams]] = []
    for seed in seeds:
        driver = AvatarDriver(face, replace(settings, seed=seed))
        runs.append(driver.feed(samples) + driver.finish())
    heads = [np.stack([p.neck_pose for p in run]) for run in runs]
    weights = [np.asarray(FlameParams.stack(run).blendshape_weights) for run in runs]
    pairs = [(a, b) for a in range(len(runs)) for b in range(a)]
    return {
        "head": round(min(_own(heads[a], heads[b]) for a, b in pairs), 3),
        "brows": round(min(_own(weights[a][:, brows], weights[b][:, brows]) for a, b in pairs), 3),
        "lips": round(max(float(np.abs(weights[a] - weights[b])[:, lips].max()) for a, b in pairs), 3),
    }


def _own(a: Float[np.ndarray, "t n"], b: Float[np.ndarray, "t n"]) -> float:
    """Share of the variance of two courses that they do not have in common: 0 if equal, 1 if unrelated."""
    return float((a - b).var(0).sum() / max((a.var(0) + b.var(0)).sum(), 1e-12))


ORDER = (
    ("whispered", "calm"), ("soft", "calm"), ("calm", "fast"), ("calm", "loud"), ("calm", "loud and fast"),
    ("fast", "loud and fast"), ("soft", "loud"), ("whispered", "loud"), ("whispered", "fast"), ("soft", "fast"),
)  # fmt: skip
"""Pairs of ways to speak of which the second sounds more aroused."""
_WAYS = ("whispered", "soft", "calm", "fast", "loud", "loud and fast")
_FIRST_S = 1.2
"""A tracker needs so long to hear a change."""


def arousal_order(
    voices: Sequence[str], repeats: int = 3, progress: Progress = lambda text, share: None
) -> dict[str, object]:
    """Whether ways to speak come out in the order of their arousal, each after ten seconds of the speaker's calm voice.

    Args:
        voices: as for `animation.lab.data.stresses.stressed_speech`.

    Returns:
        the share of the pairs of `ORDER` that are right, and the mean arousal of each way to speak.
    """
    stream = SpeechStream.open()
    values: dict[str, list[float]] = {way: [] for way in _WAYS}
    for number, voice in enumerate(voices):
        for repeat in range(repeats):
            progress(voice, (number + repeat / repeats) / len(voices))
            rng = np.random.default_rng([repeat, number, 13])
            first = _spoken(voice, "calm", 5, rng)
            for way in _WAYS:
                values[way].append(_arousal(stream, first, _spoken(voice, way, 3, copy.deepcopy(rng))))
    right = [a < b for low, high in ORDER for a, b in zip(values[low], values[high], strict=True)]
    return {
        "pairs": len(right),
        "right": round(float(np.mean(right)), 3),
        "arousal": {way: round(float(np.mean(v)), 2) for way, v in values.items()},
    }


def _arousal(stream: SpeechStream, first: Float32[np.ndarray, " n"], then: Float32[np.ndarray, " m"]) -> float:
    pause = np.zeros(round(0.4 * SAMPLE_RATE), np.float32)
    sound = np.concatenate([first, pause, then])
    sound = sound + np.random.default_rng(0).normal(0, 3e-4, len(sound)).astype(np.float32)
    heard = VoiceAnalyzer().feed(sound)
    stream.reset()
    frames = stream.feed(sound)
    tracker = ArousalTracker(1 / HOP_S)
    course = [tracker.feed(h, float(v)) for h, v in zip(heard, frames.voice, strict=False)]
    begin = round(((len(first) + len(pause)) / SAMPLE_RATE + _FIRST_S) / HOP_S)
    return float(np.mean(course[begin:]))


def _spoken(voice: str, way: str, sentences: int, rng: np.random.Generator) -> Float32[np.ndarray, " n"]:
    """A voice in one way: pace and pitch by the synthesizer, effort by level and tilt; a whisper has a noisy source."""
    text = " ".join(made_up_sentences(sentences, rng))
    said = speaker(voice, rng, pace=1.28 if "fast" in way else 1.0, excited="loud" in way)(text)
    assert said is not None, f"{voice} failed on {text!r}"
    samples = 0.15 * said[0] / max(float(np.abs(said[0]).max()), 1e-6)
    if "loud" in way:
        return _tilted(samples, 5.0, 9.0)
    if way == "soft":
        return _tilted(samples, -4.0, -9.0)
    return _tilted(_whispered(samples, rng), 4.0, -8.0) if way == "whispered" else samples.astype(np.float32)


def _tilted(samples: Float[np.ndarray, " n"], high_db: float, gain_db: float) -> Float32[np.ndarray, " n"]:
    """More or less of what lies above 1 kHz, and of everything."""
    b, a = butter(2, 1000 / (SAMPLE_RATE / 2))
    low = lfilter(b, a, samples)
    raised = low + 10 ** (high_db / 20) * (samples - low)
    return (10 ** (gain_db / 20) * raised).astype(np.float32)


def _whispered(samples: Float[np.ndarray, " n"], rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """The voice's formants, with noise for its source (linear prediction of order 18)."""
    size, step, order = 400, 200, 18
    window = np.hanning(size)
    out = np.zeros(len(samples) + size)
    for start in range(0, len(samples) - size, step):
        piece = samples[start : start + size] * window
        correlation = np.correlate(piece, piece, "full")[size - 1 : size + order]
        if correlation[0] < 1e-7:
            continue
        correlation[0] *= 1.001
        taps = solve_toeplitz(correlation[:order], correlation[1 : order + 1])
        power = max(float(correlation[0] - taps @ correlation[1 : order + 1]), 1e-9)
        noise = rng.normal(0, np.sqrt(power / size), size)
        out[start : start + size] += lfilter([1.0], np.concatenate([[1.0], -taps]), noise) * window
    return out[: len(samples)]
