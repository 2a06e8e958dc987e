"""A self-made corpus of talking and of grimacing faces, for any head model.

It stands in for VOCASET and Florence4D, which need registration: speech of several people, each with a style of
articulation, and seventy expressions of other people, each with a way of making faces. As in real recordings neither
is pure. Speakers bear a slight, slowly changing expression, and people who make faces move their lips a little as if
they spoke; meshes carry the noise of registration. What is hidden is written beside the corpus, for evaluation only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from animation.blendshapes.flame_map import FaceMotion
from animation.expression.named import EXPRESSIONS, expression_weights
from animation.lab.data.sequences import Domain, MeshSequence
from animation.speech.articulation import closure_spans, trajectories
from animation.speech.lips import LipModel, default_lips
from animation.speech.mouth import MouthMap
from animation.speech.phonemes import BILABIALS, PHONEMES, SILENCE, VOWELS, Segment
from avatar.flame.arkit import NAMES, ArkitMap, indices
from avatar.flame.head import HeadModel

__all__ = [
    "TRAINING",
    "VALIDATION",
    "CorpusRecipe",
    "Performance",
    "Utterance",
    "babble",
    "face_sequences",
    "performances",
    "render_performance",
]

_MM = 1e3
_LOWER_FACE = indices(*(n for n in NAMES if n.startswith(("mouth", "jaw")) or n in ("cheekPuff", "tongueOut")))
_BUSY_MOUTH = 0.5
"""What is left of an expression's mouth while the mouth speaks."""
_GAZE = indices(*(n for n in NAMES if n.startswith("eyeLook")))


@dataclass(frozen=True)
class CorpusRecipe:
    """How much of what the corpus holds."""

    speakers: int = 12
    sentences: int = 40
    identities: int = 24
    """People who make faces; none of them speaks."""
    expressions: int = len(EXPRESSIONS)
    """How many of the 70 each of them makes, drawn at random."""
    speech_fps: float = 60.0
    expression_fps: float = 30.0
    expression_poses: int = 60
    """Poses of one expression sequence, neutral to apex to neutral."""
    hidden_expression: float = 0.3
    """Largest share of an expression's apex that hides in speech."""
    hidden_articulation: float = 0.3
    """Largest share of speech's articulation that hides in expressions."""
    noise_mm: float = 0.05
    """Standard deviation of each vertex's registration noise, per axis."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("speakers", "sentences", "identities", "expression_poses"):
            if getattr(self, name) < 1:
                raise ValueError(f"CorpusRecipe.{name}: expected at least 1, got {getattr(self, name)}")
        if not 1 <= self.expressions <= len(EXPRESSIONS):
            raise ValueError(f"CorpusRecipe.expressions: expected 1..{len(EXPRESSIONS)}, got {self.expressions}")
        for name in ("hidden_expression", "hidden_articulation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"CorpusRecipe.{name}: expected 0..1, got {getattr(self, name)}")
        if self.noise_mm < 0 or self.speech_fps <= 0 or self.expression_fps <= 0:
            raise ValueError("CorpusRecipe: noise must not be negative, rates must be above 0")


TRAINING = CorpusRecipe(
    speakers=150, sentences=1, identities=120, expressions=16, speech_fps=30, expression_fps=15, expression_poses=30
)
"""What the weights that ship are trained on. Many people matter more than much of each: with a dozen, the module learns
their habits."""
VALIDATION = replace(TRAINING, speakers=6, identities=6, expressions=30, seed=71)


@dataclass(frozen=True)
class Utterance:
    """A sentence with its phonemes in time; `samples` mono at 16 kHz, None for a mouth without a voice."""

    segments: tuple[Segment, ...]
    samples: Float[np.ndarray, " n"] | None = None

    @property
    def duration_s(self) -> float:
        spoken = max((segment.end_s for segment in self.segments), default=0.0)
        return max(spoken, 0.0 if self.samples is None else len(self.samples) / 16000)


@dataclass(frozen=True, eq=False)
class Performance:
    """What one face does, before it becomes a mesh: primary and hidden blendshape weights, (T, 52)."""

    subject: str
    name: str
    domain: Domain
    fps: float
    shape: Float32[np.ndarray, " s"]
    primary: Float32[np.ndarray, "t 52"]
    secondary: Float32[np.ndarray, "t 52"]
    utterance: Utterance | None = None


def babble(rng: np.random.Generator, duration_s: float = 2.5) -> Utterance:
    """A voiceless utterance: phonemes in a plausible order with plausible lengths, silence at both ends."""
    vowels = sorted(VOWELS)
    consonants = sorted(set(PHONEMES) - VOWELS - {SILENCE})
    closing = sorted(BILABIALS)
    at = float(rng.uniform(0.1, 0.25))
    segments = [Segment(SILENCE, 0.0, at)]
    while at < duration_s - 0.4:
        word: list[str] = []
        for _ in range(int(rng.integers(1, 4))):
            word.append(str(rng.choice(closing if rng.random() < 0.22 else consonants)))
            word.append(str(rng.choice(vowels)))
        if rng.random() < 0.5:
            word.append(str(rng.choice(consonants)))
        for phoneme in word:
            length = float(rng.uniform(0.07, 0.19) if phoneme in VOWELS else rng.uniform(0.05, 0.11))
            segments.append(Segment(phoneme, at, at + length))
            at += length
        if rng.random() < 0.25:
            pause = float(rng.uniform(0.1, 0.35))
            segments.append(Segment(SILENCE, at, at + pause))
            at += pause
    segments.append(Segment(SILENCE, at, at + 0.2))
    return Utterance(tuple(segments))


class _Speaker:
    """A person's style of articulation."""

    def __init__(self, rng: np.random.Generator, n_shape: int) -> None:
        self.shape = rng.normal(0, 0.6, n_shape).astype(np.float32)
        self.gain = float(np.exp(rng.normal(0, 0.15)))
        self.channel_gain = np.exp(rng.normal(0, 0.15, 7)).astype(np.float32)
        units = np.exp(rng.normal(0, 0.2, len(NAMES)))
        for i, name in enumerate(NAMES):  # one gain a unit, and a slight asymmetry
            if name.endswith("Left"):
                both = units[i]
                units[i] = both * np.exp(rng.normal(0, 0.05))
                units[i + NAMES[i:].index(name[:-4] + "Right")] = both * np.exp(rng.normal(0, 0.05))
        units[indices("mouthClose", "jawOpen")] = 1.0  # they carry the seal, and a seal is not a matter of style
        self.units = units.astype(np.float32)


class _Mimic:
    """A person's way of making faces."""

    def __init__(self, rng: np.random.Generator, n_shape: int) -> None:
        self.shape = rng.normal(0, 0.6, n_shape).astype(np.float32)
        self.gain = float(rng.uniform(0.75, 1.1))
        self.units = np.exp(rng.normal(0, 0.25, len(NAMES))).astype(np.float32)


def _bump(t: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """0 to 1, smooth at both ends."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def _articulate(
    speaker: _Speaker, mouth: MouthMap, segments: Sequence[Segment], n_poses: int, fps: float
) -> Float32[np.ndarray, "t 52"]:
    channels = trajectories(segments, n_poses, 1 / fps) * speaker.channel_gain
    times = (np.arange(n_poses) + 0.5) / fps
    closure = np.zeros(n_poses, np.float32)
    for start, end in closure_spans(segments):
        edge = np.minimum((times - start + 0.04) / 0.04, (end + 0.035 - times) / 0.035)
        closure = np.maximum(closure, _bump(edge).astype(np.float32))
    weights = mouth.weights(np.clip(channels, 0, 1), speaker.gain, closure) * speaker.units
    for row, amount in zip(weights, closure, strict=True):
        row[:] = mouth.lips.seal(np.clip(row, 0, 1), float(amount))
    weights[:, _GAZE] = 0
    return np.clip(weights, 0, 1).astype(np.float32)


def _slow_expression(
    rng: np.random.Generator, mimic: _Mimic, n_poses: int, fps: float, largest: float
) -> Float32[np.ndarray, "t 52"]:
    """One or two expressions that come and go behind the speech."""
    out = np.zeros((n_poses, len(NAMES)), np.float32)
    times = np.arange(n_poses) / fps
    length = max(times[-1], 0.5)
    names = sorted(EXPRESSIONS)
    for _ in range(int(rng.integers(1, 3))):
        apex = _apex(rng, mimic, str(rng.choice(names)))
        middle, width = rng.uniform(0, length), rng.uniform(0.5, 1.5) * length
        curve = _bump(1.5 - np.abs(times - middle) / width)
        out = np.maximum(out, (rng.uniform(0.35, 1.0) * largest * curve)[:, None] * apex)
    out[:, _LOWER_FACE] *= _BUSY_MOUTH
    return out.astype(np.float32)


def _apex(rng: np.random.Generator, mimic: _Mimic, name: str) -> Float32[np.ndarray, "52"]:
    apex = expression_weights(name) * mimic.gain * mimic.units
    apex *= np.exp(rng.normal(0, 0.08, len(NAMES))).astype(np.float32)
    apex[_GAZE] = 0
    return np.clip(apex, 0, 1)


def performances(
    recipe: CorpusRecipe,
    n_shape: int,
    utterances: Sequence[Sequence[Utterance]] | None = None,
    lips: LipModel | None = None,
) -> Iterator[Performance]:
    """Every performance of the corpus in turn: all speakers, then everybody who makes faces. Seeded.

    Args:
        recipe: sizes and strengths.
        n_shape: identity coefficients of the head.
        utterances: the sentences of each speaker; voiceless ones are made up where there are none.
        lips: of the head to be moved; the generic head's if None.
    """
    mouth = MouthMap(default_lips() if lips is None else lips)
    for i in range(recipe.speakers):
        rng = np.random.default_rng([recipe.seed, 1, i])
        speaker, mood = _Speaker(rng, n_shape), _Mimic(rng, 0)
        for j in range(recipe.sentences):
            given = utterances is not None and i < len(utterances) and j < len(utterances[i])
            utterance = utterances[i][j] if given and utterances is not None else babble(rng)
            n_poses = max(2, round(utterance.duration_s * recipe.speech_fps))
            primary = _articulate(speaker, mouth, utterance.segments, n_poses, recipe.speech_fps)
            secondary = _slow_expression(rng, mood, n_poses, recipe.speech_fps, recipe.hidden_expression)
            yield Performance(
                f"speaker{i + 1:02d}",
                f"sentence{j + 1:02d}",
                "speech",
                recipe.speech_fps,
                speaker.shape,
                primary,
                secondary,
                utterance,
            )
    for i in range(recipe.identities):
        rng = np.random.default_rng([recipe.seed, 2, i])
        mimic, voice = _Mimic(rng, n_shape), _Speaker(rng, 0)
        for name in sorted(rng.choice(sorted(EXPRESSIONS), recipe.expressions, replace=False)):
            apex = _apex(rng, mimic, name)
            n, fps = recipe.expression_poses, recipe.expression_fps
            phase = np.arange(n) / max(n - 1, 1)
            peak = rng.uniform(0.42, 0.58)
            curve = _bump(np.where(phase < peak, phase / peak, (1 - phase) / (1 - peak)) * 1.08)
            lag = rng.uniform(0.8, 1.25, len(NAMES))  # parts of the face do not move in step
            primary = (curve[:, None] ** lag * apex).astype(np.float32)
            murmur = babble(rng, max(n / fps, 1.0))
            amount = recipe.hidden_articulation * rng.uniform(0.35, 1.0)
            secondary = amount * _articulate(voice, mouth, murmur.segments, n, fps)
            yield Performance(f"face{i + 1:02d}", str(name), "expression", fps, mimic.shape, primary, secondary)


def render_performance(
    performance: Performance,
    head: HeadModel,
    arkit: ArkitMap,
    noise_mm: float = 0.0,
    part: str = "both",
    seed: int = 0,
) -> MeshSequence:
    """A performance as meshes.

    Args:
        performance: what the face does.
        head: whose face.
        arkit: the head's blendshapes.
        noise_mm: registration noise.
        part: 'both', or 'primary' for the truth without what is hidden.
        seed: of the noise.
    """
    weights = performance.primary + (performance.secondary if part == "both" else 0.0)
    poses = []
    shape = torch.from_numpy(performance.shape)
    zero = torch.zeros(3)
    neutral = head.forward(shape, torch.zeros(head.n_expression), zero, zero, zero, zero, zero, zero)
    for start in range(0, len(weights), 64):
        chunk = np.clip(weights[start : start + 64], 0, 1)
        pose = arkit.params(chunk, np.broadcast_to(performance.shape, (len(chunk), len(performance.shape))))
        poses.append(head.vertices(pose) - neutral)
    offsets = torch.cat(poses).numpy()
    if noise_mm:
        rng = np.random.default_rng(seed)
        offsets = offsets + rng.normal(0, noise_mm * 1e-3, offsets.shape).astype(np.float32)
    audio = None
    if performance.utterance is not None and performance.utterance.samples is not None:
        audio = np.asarray(performance.utterance.samples, np.float32)
    return MeshSequence(
        performance.subject,
        performance.name,
        performance.domain,
        performance.fps,
        neutral.numpy(),
        offsets.astype(np.float32),
        audio,
    )


def face_sequences(
    performed: Iterable[Performance],
    head: HeadModel,
    arkit: ArkitMap,
    vertices: Int[np.ndarray, " n"],
    noise_mm: float = 0.0,
    part: str = "both",
    seed: int = 0,
) -> Iterator[MeshSequence]:
    """Performances as sequences of some of a head's vertices alone: as `render_performance`, twenty times as fast.

    Args:
        performed: what faces do; those of one person should follow each other.
        head: whose face.
        arkit: the head's blendshapes.
        vertices: in the head's numbering.
        noise_mm: registration noise.
        part: 'both', or 'primary' for the truth without what is hidden.
        seed: of the noise.
    """
    person, motion = "", None
    rng = np.random.default_rng(seed)
    for performance in performed:
        if motion is None or performance.subject != person:
            person, motion = performance.subject, FaceMotion.from_head(head, arkit, vertices, performance.shape)
        weights = performance.primary + (performance.secondary if part == "both" else 0.0)
        offsets = motion.deformation(np.clip(weights, 0, 1))
        if noise_mm:
            offsets = offsets + rng.normal(0, noise_mm / _MM, offsets.shape).astype(np.float32)
        yield MeshSequence(
            performance.subject, performance.name, performance.domain, performance.fps, motion.template, offsets
        )
