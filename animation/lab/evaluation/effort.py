"""How far the mouth moves by vocal effort: from a whisper to a shout, on voices that training never heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from animation.driver import AvatarDriver, DriverSettings
from animation.face import DrivenFace
from animation.lab.data.corpus import NEURAL_TEST, Utterance
from animation.lab.evaluation.articulation import CAPTURED
from animation.lab.evaluation.speech import held_out
from animation.lab.training.effort import raised, softened, whispered
from animation.speech.audio import HOP_S
from animation.speech.phonemes import SILENCE
from animation.speech.stream import SpeechStream
from avatar.errors import UserError
from avatar.flame.arkit import indices
from avatar.flame.params import FlameParams
from avatar.heads import open_head

__all__ = ["EFFORTS", "Effort", "articulation_by_effort", "evaluate_effort"]

Progress = Callable[[str, float], None]

_STILL = DriverSettings(intensity=1.0, blinks=False, gaze=False, head=False)
_WIDE = 95


@dataclass(frozen=True)
class Effort:
    """A way to speak, made of an ordinary one: its timbre by processing, its level by a gain."""

    timbre: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]
    gain_db: float


def _seed(low: float, high: float) -> int:
    """A seed whose generator gives the processing a strength within these bounds."""
    return next(seed for seed in range(10_000) if low <= np.random.default_rng(seed).uniform(0.2, 1.0) <= high)


_HALF, _FULL = _seed(0.55, 0.65), _seed(0.97, 1.0)

EFFORTS: Mapping[str, Effort] = {
    "whispered": Effort(lambda x: whispered(x, np.random.default_rng(0)), -14.0),
    "soft": Effort(lambda x: softened(x, np.random.default_rng(_FULL))[0], -8.0),
    "normal": Effort(lambda x: x, 0.0),
    "loud": Effort(lambda x: raised(x, np.random.default_rng(_HALF))[0], 5.0),
    "shouted": Effort(lambda x: raised(x, np.random.default_rng(_FULL))[0], 10.0),
}
"""Levels beside conversation: those of people (Olsen, "Average speech levels", 1998), halved by a microphone's gain."""


def articulation_by_effort(
    pairs: Iterable[tuple[Utterance, Utterance]],
    speech: SpeechStream,
    efforts: Sequence[str] = tuple(EFFORTS),
    settings: DriverSettings = _STILL,
) -> dict[str, dict[str, float]]:
    """Standard deviations of ARKit's weights over speech, by effort; whole driver, generic head.

    Args:
        pairs: two utterances of a voice. The first is said in the usual way, and shows what is usual; the second is
            measured, in every effort.
        speech: the model.

    Returns:
        by effort, then blendshape; besides `jaw_p95`, and `opening_p95_mm` between the lips.
    """
    face, index = DrivenFace.of(*open_head()), indices(*CAPTURED)
    weights: dict[str, list[np.ndarray]] = {name: [] for name in efforts}
    for first, second in pairs:
        spoken = _in_speech(second)
        quietened = first.samples * np.float32(0.3)  # so that a shout is not clipped
        for name in efforts:
            effort = EFFORTS[name]
            changed = np.clip(effort.timbre(second.samples) * np.float32(0.3 * 10 ** (effort.gain_db / 20)), -1, 1)
            driver = AvatarDriver(face, settings, speech)
            poses = driver.feed(np.concatenate([quietened, changed]).astype(np.float32)) + driver.finish()
            driver.reset()
            found = FlameParams.stack(poses).blendshape_weights
            assert found is not None
            start = round(first.duration_s / HOP_S)
            weights[name].append(found[start : start + len(spoken)][spoken[: len(found) - start]])
    result = {}
    for name, rows in weights.items():
        together = np.concatenate(rows)
        result[name] = {
            blendshape: round(float(value), 4)
            for blendshape, value in zip(CAPTURED, together[:, index].std(0), strict=True)
        } | {
            "jaw_p95": round(float(np.percentile(together[:, index[0]], _WIDE)), 3),
            "opening_p95_mm": round(float(np.percentile(face.lips.opening_mm(together), _WIDE)), 1),
        }
    return result


def evaluate_effort(
    data: Path, weights: Path | None, sentences: int, progress: Progress
) -> dict[str, dict[str, float]]:
    """The table for the English neural voices of a corpus that are kept for tests.

    Args:
        data: the corpus folder.
        weights: of the speech model; those that ship if None.
        sentences: of each voice, at most, beside the one that shows what is usual.

    Raises:
        UserError: no such recordings.
    """
    by_voice: dict[str, list[Utterance]] = {}
    for utterance in held_out(data, NEURAL_TEST) if (data / f"{NEURAL_TEST}.json").exists() else []:
        if utterance.language == "en":
            by_voice.setdefault(utterance.speaker, []).append(utterance)
    pairs = [(said[0], other) for said in by_voice.values() for other in said[1 : 1 + sentences]]
    if not pairs:
        raise UserError(f"no neural voices kept for tests in {data}: make them with gaussian-avatar corpus speech")

    def told() -> Iterable[tuple[Utterance, Utterance]]:
        for number, pair in enumerate(pairs):
            progress(pair[1].speaker, number / len(pairs))
            yield pair

    return articulation_by_effort(told(), SpeechStream.open(weights))


def _in_speech(utterance: Utterance) -> np.ndarray:
    """Which poses of an utterance are spoken, by its labels."""
    times = (np.arange(int(utterance.duration_s / HOP_S)) + 0.5) * HOP_S
    spoken = np.zeros(len(times), bool)
    for segment in utterance.segments:
        if segment.phoneme != SILENCE:
            spoken |= (times >= segment.start_s) & (times < segment.end_s)
    return spoken
