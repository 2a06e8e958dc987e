"""The race: our lips and other programs', on the same recordings that none of ours has learned from, scored alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from animation.lab.data.corpus import NEURAL_TEST, Utterance
from animation.lab.evaluation.speech import held_out, tested_sources
from animation.lab.evaluation.speech_score import SpeechScore
from animation.speech.audio import HOP_S, SAMPLE_RATE
from animation.speech.phonemes import PHONEMES, VISEME_INDEX, phoneme_labels, viseme_labels
from animation.speech.stream import SpeechFrames, SpeechStream
from app.benchmarks.lip_peers import PEERS, Heard, Peer
from app.benchmarks.machine import describe_machine
from avatar.errors import UserError

__all__ = ["GROUPS", "bench_lips"]

Progress = Callable[[str, float], None]

_SILENT, _TOGETHER = VISEME_INDEX["sil"], VISEME_INDEX["PP"]
_SEALED = 0.5
_LOOKAHEADS_MS = (70.0, 30.0, 10.0)
_MOST_DELAY_POSES = 6
_QUICK_S = 12.0
_BLOCK = SAMPLE_RATE // 100
_NOT_MEASURED = ("offset_ms", "silence_opening_mm")
_ENGLISH = ("librivox_en", "alsa_en")
GROUPS = ("speakers never heard", "of them English", "new files of heard speakers", "neural voices never heard")


@dataclass(frozen=True)
class _Row:
    """A program at one delay of the sound."""

    name: str
    knows: str
    delay_ms: float
    visemes: Sequence[Int[np.ndarray, " t"]]
    sealed: Sequence[Bool[np.ndarray, " t"]]
    cpu_per_s: float
    also: Mapping[str, tuple[str, ...]]


def bench_lips(
    data: Path, quick: bool = False, weights: Path | None = None, progress: Progress = lambda what, share: None
) -> dict[str, Any]:
    """Race on the held-out recordings of a corpus.

    Args:
        data: the folder of `gaussian-avatar corpus speech`.
        quick: some seconds of each source.
        weights: of our speech model; those that ship if None.
        progress: called with a message and the share done.

    Returns:
        plain data: a row for each program and delay, and what is not here.

    Raises:
        UserError: no corpus, or no readable weights.
    """
    recordings = _recordings(data, quick)
    seconds = sum(u.duration_s for u in recordings)
    rows = []
    steps = len(_LOOKAHEADS_MS) + len(PEERS)
    for number, lookahead_ms in enumerate(_LOOKAHEADS_MS):
        rows.append(_ours(recordings, lookahead_ms, weights, _step(progress, number, steps)))
    absent = {}
    for number, peer in enumerate(PEERS, len(_LOOKAHEADS_MS)):
        try:
            heard = peer.listen(recordings, _step(progress, number, steps))
        except UserError as error:
            absent[peer.name] = f"not here: {error} ({peer.install})"
            continue
        rows += _peer_rows(peer, heard, recordings, seconds)
    progress("done", 1.0)
    return {
        "minutes": round(seconds / 60, 2),
        "recordings": len(recordings),
        "machine": describe_machine(),
        "results": [_summary(row, recordings, tested_sources(data)) for row in rows],
        "absent": absent,
    }


def _step(progress: Progress, number: int, count: int) -> Progress:
    """What one of many steps tells of its own share."""
    return lambda what, share: progress(what, (number + share) / count)


def _recordings(data: Path, quick: bool) -> list[Utterance]:
    found: list[Utterance] = []
    for source in tested_sources(data):
        seconds = 0.0
        for utterance in held_out(data, source):
            if quick and seconds >= _QUICK_S:
                break
            found.append(utterance)
            seconds += utterance.duration_s
    if not found:
        raise UserError(f"no held-out recordings in {data}: make them with gaussian-avatar corpus speech")
    return found


def _ours(recordings: Sequence[Utterance], lookahead_ms: float, weights: Path | None, progress: Progress) -> _Row:
    stream = SpeechStream.open(weights, lookahead_ms)
    visemes, sealed, cpu_s = [], [], 0.0
    for number, recording in enumerate(recordings):
        progress("ours", number / len(recordings))
        stream.reset()
        blocks = np.split(recording.samples, np.arange(_BLOCK, len(recording.samples), _BLOCK))
        start = time.process_time()
        parts = [stream.feed(block) for block in blocks]
        parts.append(stream.finish())
        cpu_s += time.process_time() - start
        frames = SpeechFrames.concatenate(parts)
        visemes.append(frames.visemes.argmax(1))
        sealed.append((frames.closure >= _SEALED) | (visemes[-1] == _SILENT))
    seconds = sum(u.duration_s for u in recordings)
    return _Row("ours", "nobody", stream.lookahead_ms, visemes, sealed, cpu_s / seconds, {})


def _peer_rows(peer: Peer, heard: Heard, recordings: Sequence[Utterance], seconds: float) -> list[_Row]:
    """Without delay, and with the delay at which it gets most of speech right, if that is another."""

    def delayed(poses: int) -> _Row:
        visemes = [np.concatenate([v[poses:], np.full(min(poses, len(v)), v[-1:])]) for v in heard.visemes]
        sealed = [(v == _TOGETHER) | (v == _SILENT) for v in visemes]
        delay_ms = poses * HOP_S * 1000 + peer.ahead_ms
        return _Row(peer.name, peer.knows, delay_ms, visemes, sealed, heard.cpu_s / seconds, peer.also)

    rows = [delayed(poses) for poses in range(_MOST_DELAY_POSES + 1)]
    best = max(rows, key=lambda row: sum(_score(row, k, u).right_in_speech for k, u in enumerate(recordings)))
    return [best] if best is rows[0] else [best, rows[0]]


def _score(row: _Row, number: int, recording: Utterance) -> SpeechScore:
    heard, sealed = row.visemes[number], row.sealed[number]
    right = heard == viseme_labels(recording.segments, len(heard))
    if row.also:
        phonemes = phoneme_labels(recording.segments, len(heard))
        for phoneme, others in row.also.items():
            said = phonemes == PHONEMES.index(phoneme)
            right |= said & np.isin(heard, [VISEME_INDEX[other] for other in others])
    return SpeechScore.of_poses(recording, right, sealed)


def _groups(source: str, role: str) -> list[str]:
    if source == NEURAL_TEST:
        return ["neural voices never heard"]
    if role != "test":
        return ["new files of heard speakers"]
    return ["speakers never heard", *(["of them English"] if source in _ENGLISH else [])]


def _summary(row: _Row, recordings: Sequence[Utterance], roles: Mapping[str, str]) -> dict[str, Any]:
    scores = {group: SpeechScore() for group in ("all", *GROUPS)}
    for number, recording in enumerate(recordings):
        one = _score(row, number, recording)
        for group in ("all", *_groups(recording.source, roles[recording.source])):
            scores[group].join(one)
    figures = {
        group: {name: value for name, value in score.summary().items() if name not in _NOT_MEASURED}
        for group, score in scores.items()
        if score.files
    }
    return {
        "name": row.name,
        "knows": row.knows,
        "sound_after_ms": round(row.delay_ms),
        "cpu_s_per_s": round(row.cpu_per_s, 4),
        "by_group": figures,
    }
