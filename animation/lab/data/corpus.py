"""The speech corpus on disk: utterances with phonemes in time, from synthetic voices and from recordings.

A corpus folder holds one pair of files a source: `NAME.npy`, all samples end to end as 16-bit mono at 16 kHz, and
`NAME.json`, where each utterance lies, who says it, and its phonemes.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float

from animation.lab.data.neural_speech import NeuralClip, read_clips, speak_clips
from animation.lab.data.recordings import fetch
from animation.lab.data.sung import sung_phrases
from animation.lab.data.synthetic_speech import (
    FESTIVAL_VOICES,
    FLITE_VOICES,
    Espeak,
    FestivalVoice,
    SyntheticSpeech,
    festival,
    flite,
)
from animation.lab.data.texts import TEXT_PACKAGES, texts
from animation.speech.audio import SAMPLE_RATE
from animation.speech.phonemes import SILENCE, Segment
from animation.speech.voice.times import spoken_segments
from avatar.errors import UserError
from avatar.formats.atomic import write_bytes

__all__ = [
    "NEURAL_TEST",
    "VOICE_PACKAGES",
    "CorpusConfig",
    "Utterance",
    "label_neural",
    "load_utterances",
    "prepare_synthetic",
    "save_utterances",
    "source_names",
    "split_of",
]

Progress = Callable[[str, float], None]
Split = Literal["train", "validation", "test"]

_log = logging.getLogger(__name__)

VOICE_PACKAGES = (
    "apt install espeak-ng flite festival festvox-kallpc16k festvox-kdlpc16k festvox-us-slt-hts festvox-italp16k "
    "festvox-itapc16k festvox-czech-dita festvox-czech-krb festvox-czech-machac festvox-czech-ph festvox-suopuhe-lj "
    "festvox-suopuhe-mv festvox-ca-ona-hts festvox-ru"
)

_SPLIT_PARTS = 12
CLIPS = "kokoro"
"""The folder of what the neural voice has said."""
_NEURAL = "kokoro"
NEURAL_TEST = "kokoro_test"
"""The source of the neural voices that are kept for tests."""
_RATES = (5.0, 22.0)  # phonemes a second of speech that are believable
# Voices of espeak-ng that no person has, and those kept back for other uses.
_UNNATURAL_NAMES = """
    AnxiousAndy Demonic UniRobot anikaRobot croak robosoft robosoft2 robosoft3 robosoft4 robosoft5 robosoft6
    robosoft7 robosoft8 whisper whisperf fast serious Mr Tweaky Storm
"""
_UNNATURAL = frozenset(_UNNATURAL_NAMES.split())
_ENGLISH_ACCENTS = ("en-us", "en-us", "en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-us-nyc")


@dataclass(frozen=True)
class Utterance:
    """A stretch of speech: where it is from, the sound as float32 at 16 kHz, and its phonemes in time."""

    source: str
    name: str
    speaker: str
    language: str
    samples: Float[np.ndarray, " n"]
    segments: tuple[Segment, ...]

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


@dataclass(frozen=True)
class CorpusConfig:
    """How much to make. Minutes are of sound, a voice or a voice family."""

    espeak_minutes: float = 100.0
    flite_minutes: float = 24.0
    festival_minutes: float = 10.0
    sung_minutes: float = 6.0
    kokoro_minutes: float = 120.0
    kokoro_test_minutes: float = 8.0
    seed: int = 0
    aligner_steps: int = 600
    dropped_share: float = 0.12


def split_of(utterance_name: str) -> Split:
    """Which part of a divided source a file belongs to: a hash of its name, the same in every corpus."""
    part = zlib.crc32(utterance_name.encode()) % _SPLIT_PARTS
    return "test" if part == 0 else "validation" if part == 1 else "train"


def source_names(folder: Path) -> list[str]:
    """The sources present in a corpus folder."""
    return sorted(path.stem for path in folder.glob("*.json") if path.with_suffix(".npy").exists())


def save_utterances(folder: Path, source: str, utterances: Iterable[Utterance]) -> float:
    """Write one source; returns its minutes. A half-written source is never taken for a whole one."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, sounds, start = [], [], 0
    for u in utterances:
        samples = np.round(np.clip(u.samples, -1, 1) * 32767).astype(np.int16)
        segments = [[s.phoneme, round(s.start_s, 4), round(s.end_s, 4)] for s in u.segments]
        rows.append(
            {
                "name": u.name,
                "speaker": u.speaker,
                "language": u.language,
                "start": start,
                "count": len(samples),
            }
            | {"segments": segments}
        )
        sounds.append(samples)
        start += len(samples)
    np.save(folder / f"{source}.npy", np.concatenate(sounds) if sounds else np.zeros(0, np.int16))
    index = {"source": source, "sample_rate": SAMPLE_RATE, "utterances": rows}
    write_bytes(folder / f"{source}.json", json.dumps(index).encode())
    return start / SAMPLE_RATE / 60


def load_utterances(folder: Path, source: str) -> Iterator[Utterance]:
    """Read one source.

    Raises:
        UserError: it is not there or not a corpus file.
    """
    path = folder / f"{source}.json"
    try:
        index = json.loads(path.read_text())
        sound = np.load(folder / f"{source}.npy", mmap_mode="r", allow_pickle=False)
        rows = index["utterances"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"cannot read the corpus {path}: {error}; make it with: gaussian-avatar corpus speech"
        ) from error
    for row in rows:
        samples = np.asarray(sound[row["start"] : row["start"] + row["count"]], np.float32) / 32767.0
        segments = tuple(Segment(phoneme, float(a), float(b)) for phoneme, a, b in row["segments"])
        yield Utterance(source, row["name"], row["speaker"], row["language"], samples, segments)


def _padded(
    speech: SyntheticSpeech, rng: np.random.Generator, seconds: tuple[float, float] = (0.1, 0.5)
) -> SyntheticSpeech:
    """The speech with silence on both sides."""
    before, after = (int(x * SAMPLE_RATE) for x in rng.uniform(*seconds, 2))
    samples = np.concatenate([np.zeros(before, np.float32), speech.samples, np.zeros(after, np.float32)])
    offset_s = before / SAMPLE_RATE
    inner = [s.shifted(offset_s) for s in speech.segments]
    if inner[0].phoneme == SILENCE:
        offset_s = inner.pop(0).end_s
    if inner[-1].phoneme == SILENCE:
        inner.pop()
    return SyntheticSpeech(
        samples,
        (Segment(SILENCE, 0.0, offset_s), *inner, Segment(SILENCE, inner[-1].end_s, len(samples) / SAMPLE_RATE)),
    )


def _espeak_utterances(texts: dict[str, list[str]], config: CorpusConfig, progress: Progress) -> Iterator[Utterance]:
    rng = np.random.default_rng(config.seed)
    engine = Espeak()
    variants = [v for v in engine.variants() if v not in _UNNATURAL]
    languages = sorted(set(texts) - {"en"})
    seconds, number, failures = 0.0, 0, 0
    while seconds < 60 * config.espeak_minutes and failures < 200:
        english = rng.random() < 0.5
        language = "en" if english else str(rng.choice(languages))
        base = str(rng.choice(_ENGLISH_ACCENTS)) if english else language
        voice = f"{base}+{rng.choice(variants)}"
        text = texts[language][rng.integers(len(texts[language]))]
        rate, pitch, liveliness = (
            int(rng.integers(120, 250)),
            int(rng.integers(15, 85)),
            int(rng.integers(25, 85)),
        )
        try:
            speech = engine.speak(text, voice, rate, pitch, liveliness)
        except ValueError:
            failures += 1
            continue
        if speech is None or len(speech.samples) < SAMPLE_RATE // 2:
            continue
        speech = _padded(speech, rng)
        yield Utterance("espeak", f"espeak-{number}", voice, language, speech.samples, speech.segments)
        seconds += len(speech.samples) / SAMPLE_RATE
        number += 1
        if number % 50 == 0:
            progress("speaking with espeak-ng", min(1.0, seconds / 60 / config.espeak_minutes))


def _flite_utterances(texts: list[str], voice: str, config: CorpusConfig, progress: Progress) -> Iterator[Utterance]:
    rng = np.random.default_rng([config.seed, zlib.crc32(voice.encode())])
    seconds, number = 0.0, 0
    low, high = (150, 235) if voice == "slt" else (85, 150)
    while seconds < 60 * config.flite_minutes:
        text = texts[rng.integers(len(texts))]
        speech = flite(text, voice, float(rng.uniform(0.75, 1.3)), float(rng.uniform(low, high)))
        if speech is None:
            continue
        yield Utterance(f"flite_{voice}", f"{voice}-{number}", voice, "en", speech.samples, speech.segments)
        seconds += len(speech.samples) / SAMPLE_RATE
        number += 1
        if number % 50 == 0:
            progress(f"speaking with flite, voice {voice}", min(1.0, seconds / 60 / config.flite_minutes))


def _festival_utterances(
    texts: list[str], voice: FestivalVoice, config: CorpusConfig, progress: Progress
) -> Iterator[Utterance]:
    rng = np.random.default_rng([config.seed, zlib.crc32(voice.name.encode())])
    order = rng.permutation(len(texts))
    seconds, batch = 0.0, 40
    for first in range(0, min(len(order), 40 * batch), batch):
        chosen = [texts[i] for i in order[first : first + batch]]
        stretches = rng.uniform(0.8, 1.25, len(chosen)).tolist()
        for index, speech in festival(chosen, voice, stretches):
            name = f"{voice.name}-{first + index}"
            yield Utterance(f"festival_{voice.name}", name, voice.name, voice.language, speech.samples, speech.segments)
            seconds += len(speech.samples) / SAMPLE_RATE
        progress(f"speaking with festival, voice {voice.name}", min(1.0, seconds / 60 / config.festival_minutes))
        if seconds >= 60 * config.festival_minutes or seconds == 0.0:
            return


def _sung_utterances(config: CorpusConfig) -> Iterator[Utterance]:
    for number, (samples, segments) in enumerate(sung_phrases(config.sung_minutes, config.seed)):
        yield Utterance("sung", f"sung-{number}", f"singer-{number}", "", samples, segments)


def prepare_synthetic(folder: Path, packages: Path, config: CorpusConfig, progress: Progress) -> None:
    """Make the synthetic sources that are not there yet, but for the neural voice's labels.

    Args:
        folder: the corpus.
        packages: where Debian's packages get unpacked.
        config: how much to make.
        progress: called with a message and the share done.
    """
    fetch(list(TEXT_PACKAGES), packages, progress)
    spoken = texts(packages)
    jobs: list[tuple[str, Callable[[], Iterator[Utterance]]]] = [
        ("espeak", partial(_espeak_utterances, spoken, config, progress))
    ]
    for flite_voice in FLITE_VOICES:
        jobs.append(
            (
                f"flite_{flite_voice}",
                partial(_flite_utterances, spoken["en"], flite_voice, config, progress),
            )
        )
    for festival_voice in FESTIVAL_VOICES:
        jobs.append(
            (
                f"festival_{festival_voice.name}",
                partial(_festival_utterances, spoken[festival_voice.language], festival_voice, config, progress),
            )
        )
    jobs.append(("sung", partial(_sung_utterances, config)))
    for name, make in jobs:
        if (folder / f"{name}.json").exists():
            continue
        minutes = save_utterances(folder, name, make())
        if minutes:
            _log.info("%s: %.1f minutes", name, minutes)
        else:
            _log.warning("%s: this voice says nothing; is its package installed? (%s)", name, VOICE_PACKAGES)
    speak_clips(folder / CLIPS, "test", config.kokoro_test_minutes, spoken, config.seed, progress)
    speak_clips(folder / CLIPS, "train", config.kokoro_minutes, spoken, config.seed, progress)


def label_neural(folder: Path, hear: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, "t p"]]) -> None:
    """Make the corpus's sources of what the neural voice has said, where they are not there yet.

    Args:
        folder: the corpus.
        hear: an aligner's log likelihoods of phonemes every 10 ms; they help to place boundaries.
    """
    if not (folder / f"{NEURAL_TEST}.json").exists():
        save_utterances(folder, NEURAL_TEST, _neural_utterances(read_clips(folder / CLIPS, "test"), hear))
    if any(name.startswith(_NEURAL) and name != NEURAL_TEST for name in source_names(folder)):
        return
    by_language: dict[str, list[Utterance]] = {}
    for utterance in _neural_utterances(read_clips(folder / CLIPS, "train"), hear):
        by_language.setdefault(utterance.language, []).append(utterance)
    for language, utterances in sorted(by_language.items()):
        save_utterances(folder, f"{_NEURAL}_{language}", utterances)


def _neural_utterances(
    clips: Iterable[NeuralClip], hear: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, "t p"]]
) -> Iterator[Utterance]:
    """Clips with their phonemes in time, and silence on both sides; implausible ones are left out."""
    for number, clip in enumerate(clips):
        segments = spoken_segments(clip.tokens, clip.frames, clip.samples, hear(clip.samples))
        spoken = [s for s in segments if s.phoneme != SILENCE]
        if len(spoken) < 2 or not _RATES[0] < len(spoken) / sum(s.duration_s for s in spoken) < _RATES[1]:
            continue
        speech = _padded(SyntheticSpeech(clip.samples, segments), np.random.default_rng([number]), (0.1, 0.7))
        language = clip.language.split("-")[0]
        yield Utterance(f"{_NEURAL}_{language}", clip.name, clip.voice, language, speech.samples, speech.segments)
