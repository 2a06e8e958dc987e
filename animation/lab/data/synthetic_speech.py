"""Synthetic voices that tell when they say which phoneme: espeak-ng, flite and festival.

All three are free programs from Debian's packages. Their times are exact, because they come from the synthesizer and
not from listening; the flite and festival voices were made from recordings of people.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float

from animation.speech.audio import resample
from animation.speech.phone_sets import from_cmu, from_festival, from_ipa
from animation.speech.phonemes import SILENCE, Segment
from animation.speech.voice.espeak import EspeakLibrary
from avatar.errors import UserError

__all__ = [
    "FESTIVAL_VOICES",
    "FLITE_VOICES",
    "Espeak",
    "FestivalVoice",
    "SyntheticSpeech",
    "festival",
    "flite",
]

FLITE_VOICES = ("slt", "rms", "awb", "kal16")

_PHONEME_EVENT = 7
_END_EVENTS = (5, 6)
_UTF8 = 1
_RATE, _PITCH, _PITCH_RANGE = 1, 3, 4


@dataclass(frozen=True)
class SyntheticSpeech:
    """An utterance: `samples` mono float32 at 16 kHz, and its phonemes in time."""

    samples: Float[np.ndarray, " n"]
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class FestivalVoice:
    """A voice of festival: its name, the family of its phone names, the language of its text and its encoding."""

    name: str
    family: str
    language: str
    encoding: str


FESTIVAL_VOICES = (
    FestivalVoice("kal_diphone", "english", "en", "latin-1"),
    FestivalVoice("ked_diphone", "english", "en", "latin-1"),
    FestivalVoice("cmu_us_slt_arctic_hts", "english", "en", "latin-1"),
    FestivalVoice("lp_diphone", "italian", "it", "latin-1"),
    FestivalVoice("pc_diphone", "italian", "it", "latin-1"),
    FestivalVoice("czech_dita", "czech", "cs", "iso8859-2"),
    FestivalVoice("czech_krb", "czech", "cs", "iso8859-2"),
    FestivalVoice("czech_machac", "czech", "cs", "iso8859-2"),
    FestivalVoice("czech_ph", "czech", "cs", "iso8859-2"),
    # Debian has no Finnish or Catalan sentences: Italian and Spanish ones, read by Finnish and Catalan rules.
    FestivalVoice("hy_fi_mv_diphone", "finnish", "it", "latin-1"),
    FestivalVoice("suo_fi_lj_diphone", "finnish", "it", "latin-1"),
    FestivalVoice("upc_ca_ona_hts", "catalan", "es", "latin-1"),
    FestivalVoice("msu_ru_nsh_clunits", "russian", "ru", "utf-8"),
)


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Espeak(EspeakLibrary):
    """espeak-ng as a speaker that tells when it says which phoneme.

    Raises:
        UserError: the library is not installed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._chunks: list[np.ndarray] = []
        self._events: list[tuple[str, float]] = []
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def variants(self) -> list[str]:
        """Names of the voice variants ('!v'), to be put after a language and a plus sign."""
        return sorted(path.name for path in (self.data_dir() / "voices" / "!v").iterdir())

    def _receive(self, samples, count: int, events) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while events[index].type != 0:
            event = events[index]
            if event.type == _PHONEME_EVENT:
                raw = ctypes.string_at(ctypes.addressof(event.id), 8).split(b"\0")[0]
                self._events.append((raw.decode("utf-8", "replace"), event.sample / self.rate))
            elif event.type in _END_EVENTS:
                self._events.append(("", event.sample / self.rate))
            index += 1
        return 0

    def speak(
        self, text: str, voice: str, rate: int = 175, pitch: int = 50, pitch_range: int = 50
    ) -> SyntheticSpeech | None:
        """Say a text, or None when nothing audible comes of it.

        Args:
            text: what to say.
            voice: language, with an optional variant: 'en-us+f2'.
            rate: words a minute.
            pitch: 0..99.
            pitch_range: 0..99, liveliness.

        Raises:
            ValueError: no such voice.
        """
        self.choose(voice)
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_PITCH_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, int(value), 0)
        self._chunks, self._events = [], []
        encoded = text.encode()
        self._library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, 1, 0, _UTF8, None, None)
        self._library.espeak_Synchronize()
        if not self._chunks:
            return None
        samples = np.concatenate(self._chunks).astype(np.float32) / 32768.0
        segments = _from_events(self._events, len(samples) / self.rate)
        if not segments:
            return None
        segments = _closures_before_release(segments, samples, self.rate)
        return SyntheticSpeech(resample(samples, self.rate), tuple(segments))


def _from_events(events: Sequence[tuple[str, float]], duration_s: float) -> list[Segment]:
    """Segments from (IPA, start) events; a symbol without lips of its own prolongs the phoneme before it."""
    segments: list[Segment] = []
    named = [(name, start) for name, start in events if name]
    if named and named[0][1] > 0:
        segments.append(Segment(SILENCE, 0.0, named[0][1]))
    for position, (name, start) in enumerate(named):
        end = named[position + 1][1] if position + 1 < len(named) else duration_s
        if end <= start:
            continue
        phonemes = from_ipa(name)
        if phonemes:
            edges = np.linspace(start, end, len(phonemes) + 1)
            segments.extend(Segment(p, float(edges[i]), float(edges[i + 1])) for i, p in enumerate(phonemes))
        elif name.startswith("_") or not name.strip() or not segments:
            segments.append(Segment(SILENCE, start, end))
        else:
            segments[-1] = segments[-1]._replace(end_s=end)
    return segments


def _closures_before_release(segments: Sequence[Segment], samples: Float[np.ndarray, " n"], rate: int) -> list[Segment]:
    """Give the near-silence before a stop's burst back to the stop: espeak reports stops at their release."""
    step_s = 0.005
    edges = np.arange(0, len(samples), int(rate * step_s))
    energy_db = 10 * np.log10(np.add.reduceat(samples.astype(np.float64) ** 2, edges) / (rate * step_s) + 1e-10)
    quiet_db = np.percentile(energy_db, 95) - 38
    mended = list(segments)
    for index, segment in enumerate(segments):
        if index == 0 or segment.phoneme not in ("P", "B", "T", "D", "K", "G", "CH", "JH"):
            continue
        after_speech = segments[index - 1].phoneme != SILENCE
        limit_s = 0.10 if after_speech else 0.07
        release = int(segment.start_s / step_s)
        first = release
        while first > 0 and energy_db[first - 1] < quiet_db and (release - first) * step_s < limit_s:
            first -= 1
        start_s = first * step_s
        if start_s < segment.start_s:
            if after_speech:
                start_s = max(start_s, mended[index - 1].start_s + 0.015)
            mended[index] = segment._replace(start_s=start_s)
            mended[index - 1] = mended[index - 1]._replace(end_s=start_s)
    return mended


def flite(text: str, voice: str, stretch: float = 1.0, pitch_hz: float | None = None) -> SyntheticSpeech | None:
    """Say an English text with one of `FLITE_VOICES`, or None when flite fails on it.

    Args:
        text: what to say.
        voice: name of the voice.
        stretch: length relative to the voice's own.
        pitch_hz: mean pitch; the voice's own when None.

    Raises:
        UserError: flite is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "-psdur", "--setf", f"duration_stretch={stretch:.2f}"]
        if pitch_hz is not None:
            command += ["--setf", f"int_f0_target_mean={pitch_hz:.0f}"]
        try:
            done = subprocess.run([*command, "-t", text, "-o", str(path)], capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise UserError("flite is missing: apt install flite") from error
        if done.returncode != 0 or not path.exists():
            return None
        samples, rate = soundfile.read(path, dtype="float32")
    segments: list[Segment] = []
    start_s = 0.0
    for token in done.stdout.split():
        name, _, end = token.rpartition(":")
        segments.append(Segment(from_cmu(name), start_s, float(end)))
        start_s = float(end)
    if not segments:
        return None
    if len(samples) / rate > start_s:
        segments.append(Segment(SILENCE, start_s, len(samples) / rate))
    return SyntheticSpeech(resample(samples, rate), tuple(segments))


def festival(
    texts: Sequence[str], voice: FestivalVoice, stretches: Sequence[float]
) -> Iterator[tuple[int, SyntheticSpeech]]:
    """Say texts with a voice of festival, all in one process; yields (index of the text, speech) of those that worked.

    Raises:
        UserError: festival is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = [f"(voice_{voice.name})"]
        for index, (text, stretch) in enumerate(zip(texts, stretches, strict=True)):
            clean = text.replace('"', "").replace("\\", "")
            script.append(
                f"(Parameter.set 'Duration_Stretch {stretch:.2f})"
                f'(set! u (SynthText "{clean}"))'
                f'(utt.save.wave u "{folder}/{index}.wav")(utt.save.segs u "{folder}/{index}.lab")'
            )
        path = Path(folder) / "batch.scm"
        path.write_text("\n".join(script), encoding=voice.encoding, errors="ignore")
        try:
            subprocess.run(["festival", "-b", str(path)], capture_output=True, check=False)
        except FileNotFoundError as error:
            raise UserError("festival is missing: apt install festival and the festvox packages") from error
        for index in range(len(texts)):
            speech = _read_festival(Path(folder) / f"{index}.wav", Path(folder) / f"{index}.lab", voice)
            if speech is not None:
                yield index, speech


def _read_festival(wav: Path, labels: Path, voice: FestivalVoice) -> SyntheticSpeech | None:
    """Read one wave and its xlabel file; None when either is missing, tiny, or names an unknown phone."""
    if not (wav.exists() and labels.exists()):
        return None
    samples, rate = soundfile.read(wav, dtype="float32")
    if len(samples) < 0.3 * rate:
        return None
    segments: list[Segment] = []
    start_s = 0.0
    for line in labels.read_text(encoding="latin-1").splitlines():
        fields = line.split()
        if len(fields) != 3:
            continue
        end_s = float(fields[0])
        phoneme = from_festival(fields[2], voice.family)
        if phoneme is None:
            return None
        segments.append(Segment(phoneme, start_s, end_s))
        start_s = end_s
    if not segments:
        return None
    if len(samples) / rate > start_s:
        segments.append(Segment(SILENCE, start_s, len(samples) / rate))
    return SyntheticSpeech(resample(samples, rate), tuple(segments))
