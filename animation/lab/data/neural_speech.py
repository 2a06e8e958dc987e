"""Speech of a neural voice for the corpus: hundreds of speakers mixed from Kokoro's voices, in many languages.

Every clip follows from the seed and its number alone. Clips are kept with the model's own tokens and frames, in files
of a few minutes each, so that an interrupted run goes on and labels can be made again without speaking again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soxr
from jaxtyping import Float

from animation.lab.data.texts import is_held_out
from animation.speech.audio import SAMPLE_RATE
from animation.speech.voice import kokoro
from animation.speech.voice.kokoro import Kokoro
from animation.speech.voice.parts import fetch_voices, load_style
from animation.speech.voice.spelling import LANGUAGES, Language, Speller
from avatar.formats.atomic import replacing

__all__ = ["HELD_OUT_VOICES", "NeuralClip", "read_clips", "speak_clips"]

_log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
Part = Literal["train", "test"]

HELD_OUT_VOICES = (
    "af_nova", "af_sky", "am_onyx", "am_puck", "bf_lily", "bm_lewis", "ff_siwis", "if_sara", "em_alex", "pf_dora",
)  # fmt: skip
"""Never trained or tuned on, nor mixed into what is."""

# Kokoro was not trained on the languages of the last line; their sounds in its voices teach what no other text holds.
_LANGUAGES: dict[str, tuple[Language, str, float]] = {
    name: (LANGUAGES[name], name[:2], share)
    for name, share in {"en-us": 0.24, "en-gb": 0.11, "es": 0.13, "fr": 0.13, "it": 0.11, "pt-br": 0.11}.items()
} | {
    name: (Language(name, ""), name, share)
    for name, share in {"de": 0.05, "ru": 0.03, "pl": 0.02, "cs": 0.02, "da": 0.02, "el": 0.015, "ca": 0.015}.items()
}
_CLIPS_PER_FILE = 40
_TOKENS = (3, 360)
_LOUDEST = 0.95
_NATIVE = 0.35
_OFF_VOICE = 0.5
_STYLE_NOISE = 0.06


@dataclass(frozen=True, eq=False)
class NeuralClip:
    """One clip: sound at 16 kHz, who said what, and when the model's tokens were said."""

    name: str
    voice: str
    language: str
    speed: float
    text: str
    tokens: tuple[str, ...]
    frames: tuple[int, ...]
    samples: Float[np.ndarray, " n"]


@dataclass(frozen=True)
class _Plan:
    """What a clip will be: everything but its sound."""

    voice: str
    language: str
    speed: float
    text: str
    style: np.ndarray


def _mixed_style(rng: np.random.Generator, voices: Sequence[str]) -> tuple[str, Float[np.ndarray, "510 256"]]:
    """A voice of one to three others, half of them a little off."""
    count = int(rng.choice([1, 2, 3], p=[0.3, 0.5, 0.2]))
    names = rng.choice(voices, count, replace=False)
    weights = rng.dirichlet(np.full(count, 1.5))
    style = sum(float(w) * load_style(str(n)) for w, n in zip(weights, names, strict=True))
    assert isinstance(style, np.ndarray)
    if rng.random() < _OFF_VOICE:
        style = style + rng.normal(0, _STYLE_NOISE, (1, style.shape[1])) * style.std()
    return "+".join(f"{n}*{w:.2f}" for n, w in zip(names, weights, strict=True)), style.astype(np.float32)


def _text(rng: np.random.Generator, pool: Sequence[str]) -> str:
    """A sentence, two of them, or a few words out of one."""
    first = pool[int(rng.integers(len(pool)))]
    kind = rng.random()
    if kind < 0.15:
        return f"{first} {pool[int(rng.integers(len(pool)))]}"
    if kind < 0.32:
        words = first.split()
        count = int(rng.integers(1, 5))
        start = int(rng.integers(max(1, len(words) - count + 1)))
        return " ".join(words[start : start + count]).strip(",;:—- ")
    return first


def _plan(part: Part, number: int, seed: int, texts: Mapping[str, Sequence[str]], voices: Sequence[str]) -> _Plan:
    rng = np.random.default_rng([seed, part == "test", number])
    if part == "test":
        voice = HELD_OUT_VOICES[number % len(HELD_OUT_VOICES)]
        language = next(name for name, entry in LANGUAGES.items() if entry.letter == voice[0])
        pool = texts[_LANGUAGES[language][1]]
        return _Plan(voice, language, 1.0, pool[number // len(HELD_OUT_VOICES) % len(pool)], load_style(voice))
    shares = np.array([share for _, _, share in _LANGUAGES.values()])
    language = str(rng.choice(list(_LANGUAGES), p=shares / shares.sum()))
    spoken, key, _ = _LANGUAGES[language]
    native = [voice for voice in voices if voice[0] == spoken.letter]
    if native and rng.random() < _NATIVE:
        voice = str(rng.choice(native))
        style = load_style(voice)
    else:
        voice, style = _mixed_style(rng, voices)
    return _Plan(voice, language, round(float(rng.uniform(0.8, 1.3)), 3), _text(rng, texts[key]), style)


def _spoken(plan: _Plan, name: str, speller: Speller, model: Kokoro) -> NeuralClip | None:
    phonemes = model.known(speller.spell(plan.text, _LANGUAGES[plan.language][0]))
    if not _TOKENS[0] <= len(phonemes) <= _TOKENS[1]:
        return None
    spoken = model.speak(phonemes, plan.style, plan.speed)
    samples = soxr.resample(spoken.samples, kokoro.SAMPLE_RATE, SAMPLE_RATE)
    peak = float(np.abs(samples).max())
    if peak == 0.0 or not np.isfinite(peak):
        return None
    samples = samples * min(1.0, _LOUDEST / peak)
    frames = tuple(int(f) for f in spoken.frames)
    return NeuralClip(name, plan.voice, plan.language, plan.speed, plan.text, spoken.tokens, frames, samples)


def speak_clips(
    folder: Path,
    part: Part,
    minutes: float,
    texts: Mapping[str, Sequence[str]],
    seed: int,
    progress: Progress,
) -> None:
    """Speak until there are so many minutes of a part; what is there is kept.

    Args:
        folder: of the files `PART-00000.npz` and so on.
        part: 'train' or 'test', which have other voices and other sentences.
        minutes: of sound.
        texts: sentences by two-letter language.
        seed: of everything random.
        progress: called with a message and the share done.

    Raises:
        UserError: the neural voice is not installed, or its voices cannot be fetched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    voices = [v for v in fetch_voices(progress) if v not in HELD_OUT_VOICES]
    pools = {key: [t for t in pool if is_held_out(t) == (part == "test")] for key, pool in texts.items()}
    speller, model = Speller(), Kokoro()
    seconds, shard = 0.0, 0
    while seconds < 60 * minutes:
        path = folder / f"{part}-{shard:05d}.npz"
        if not path.exists():
            clips = []
            for number in range(shard * _CLIPS_PER_FILE, (shard + 1) * _CLIPS_PER_FILE):
                clip = _spoken(_plan(part, number, seed, pools, voices), f"{part}-{number}", speller, model)
                clips += [clip] if clip is not None else []
            _write(path, clips)
        with np.load(path, allow_pickle=False) as file:
            seconds += len(file["samples"]) / SAMPLE_RATE
        shard += 1
        progress(f"speaking with Kokoro, {seconds / 60:.0f} minutes", min(1.0, seconds / 60 / minutes))


def _write(path: Path, clips: Sequence[NeuralClip]) -> None:
    rows = [{k: v for k, v in asdict(c).items() if k != "samples"} | {"count": len(c.samples)} for c in clips]
    sound = np.concatenate([np.zeros(0, np.float32), *(clip.samples for clip in clips)])
    with replacing(path) as fresh:
        np.savez(fresh, samples=np.round(sound * 32767).astype(np.int16), clips=np.array(json.dumps(rows)))


def read_clips(folder: Path, part: Part) -> Iterator[NeuralClip]:
    """All clips of a part."""
    for path in sorted(folder.glob(f"{part}-[0-9][0-9][0-9][0-9][0-9].npz")):
        with np.load(path, allow_pickle=False) as file:
            sound, rows = file["samples"].astype(np.float32) / 32767, json.loads(str(file["clips"]))
        start = 0
        for row in rows:
            count = row.pop("count")
            row["tokens"], row["frames"] = tuple(row["tokens"]), tuple(row["frames"])
            yield NeuralClip(**row, samples=sound[start : start + count])
            start += count
