"""Other programs that hear lips, run on the same recordings: fetched or found installed, never part of this one."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

from animation.lab.data.corpus import Utterance
from animation.speech.audio import HOP_S, HOP_SAMPLES, SAMPLE_RATE
from animation.speech.phonemes import VISEME_INDEX, VISEMES, viseme_labels
from avatar.errors import UserError
from avatar.formats.atomic import write_bytes
from avatar.home import cache_dir
from avatar.npm import NpmPackage

__all__ = ["PEERS", "Heard", "Peer"]

Progress = Callable[[str, float], None]

_RUNNER = Path(__file__).with_name("lip_peers.mjs")
_TIMEOUT_S = 3600


@dataclass(frozen=True)
class Heard:
    """What a program heard: the viseme of each pose of each recording, known when the pose's middle had sounded."""

    visemes: list[Int[np.ndarray, " t"]]
    cpu_s: float
    """Of listening alone."""


@dataclass(frozen=True)
class Peer:
    """A program to race against."""

    name: str
    install: str
    """What brings it where it is missing."""
    listen: Callable[[Sequence[Utterance], Progress], Heard]
    knows: str
    """What was known to it beforehand."""
    ahead_ms: float = 0.0
    """How much sound after a pose's middle it had heard all the same."""
    also: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Visemes that count as right for a phoneme besides ours: its own table's."""


@dataclass(frozen=True)
class _NodeProgram:
    """A program of npm's, run by node on `lip_peers.mjs`."""

    name: str
    version: str
    package: NpmPackage
    files: tuple[str, ...]
    settings: dict[str, int] = field(default_factory=dict)

    def __call__(self, recordings: Sequence[Utterance], progress: Progress) -> Heard:
        node = shutil.which("node")
        if node is None:
            raise UserError("node is not installed (version 18 or later)")
        folder = self._fetched(progress)
        progress(self.name, 0.0)
        with tempfile.TemporaryDirectory() as scratch:
            job = self.settings | {
                "counts": [len(u.samples) for u in recordings],
                "speakers": [f"{u.source} {u.speaker}" for u in recordings],
                "labels": [viseme_labels(u.segments, n_poses(u)).tolist() for u in recordings],
                "visemes": list(VISEMES),
            }
            Path(scratch, "job.json").write_text(json.dumps(job))
            np.concatenate([u.samples for u in recordings]).astype("<f4").tofile(Path(scratch, "sound.f32"))
            command = [node, str(_RUNNER), self.name, str(folder), scratch]
            try:
                done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_TIMEOUT_S)
            except subprocess.CalledProcessError as error:
                lines = [line for line in error.stderr.splitlines() if "Error" in line]
                raise UserError(f"{self.name} failed in node: {lines[0] if lines else error}") from error
            except (subprocess.SubprocessError, OSError) as error:
                raise UserError(f"{self.name} failed in node: {error}") from error
        answer = json.loads(done.stdout)
        return Heard([np.asarray(row, np.int64) for row in answer["visemes"]], float(answer["cpu_s"]))

    def _fetched(self, progress: Progress) -> Path:
        """The folder of its files in the user's cache, fetched if they are not there."""
        folder = cache_dir() / "peers" / f"{self.name}-{self.version}"
        if not all((folder / name).is_file() for name in self.files):
            files = self.package.fetch(self.name, f"put the package's files into {folder}", progress)
            for name in self.files:
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(target, files[name])
        return folder


def n_poses(recording: Utterance) -> int:
    """Poses of a recording, one for each hop begun."""
    return -(-len(recording.samples) // HOP_SAMPLES)


_PYLIPSYNC = {"aa": "aa", "ee": "E", "ih": "ih", "oh": "oh", "ou": "ou", "silence": "sil"}


def _pylipsync(recordings: Sequence[Utterance], progress: Progress) -> Heard:
    if importlib.util.find_spec("pylipsync") is None:
        raise UserError("pylipsync is not installed")
    try:
        from pylipsync import PhonemeAnalyzer
    except ImportError as error:
        raise UserError(f"pylipsync cannot be imported ({error})") from error
    analyzer, visemes, cpu_s = PhonemeAnalyzer(), [], 0.0
    for number, recording in enumerate(recordings):
        progress("pylipsync", number / len(recordings))
        start = time.process_time()
        found = analyzer.extract_phoneme_segments(recording.samples, SAMPLE_RATE, fps=round(1 / HOP_S))
        cpu_s += time.process_time() - start
        heard = [s.dominant_phoneme for s in found]
        names = [_PYLIPSYNC[p.name] if p.target > 0 else "sil" for p in heard]
        visemes.append(np.array([VISEME_INDEX[name] for name in names], np.int64))
    return Heard(visemes, cpu_s)


_HEADAUDIO_MODULES = ("classifier", "mfcc", "parameters", "processor", "ringbuffer", "training", "vadgate")
_HEADAUDIO = _NodeProgram(
    "headaudio",
    "0.1.0",
    NpmPackage(
        "@met4citizen/headaudio/-/headaudio-0.1.0.tgz",
        "94n+82/gYJ1kxisfEgAJcnx1fDbZjB/HDMCCXLh3QsNqJNZmOVzybgiJ5ctYEHlYdWkXS3je84do7wrHwzAlMQ==",
        47_710,
    ),
    (*(f"modules/{name}.mjs" for name in _HEADAUDIO_MODULES), "dist/model-en-mixed.bin"),
)
_HEADAUDIO_TABLE: dict[str, tuple[str, ...]] = {
    "SH": ("SS",), "ZH": ("SS",), "HH": ("SS",), "L": ("RR",), "Y": ("RR",), "W": ("RR",), "NG": ("nn",),
    "AH": ("E",), "ER": ("E",), "UY": ("ih", "oh"),
}  # fmt: skip
"""Where its own table of visemes differs from ours."""
_WLIPSYNC = _NodeProgram(
    "wlipsync",
    "1.3.1",
    NpmPackage(
        "wlipsync/-/wlipsync-1.3.1.tgz",
        "R7m2b7UkfpXxvQYxypIkJqtmgmgMXNZ/z3558u9S0rI0HoMhKusXz4tFdDSsct3eRoZg1WBan6YfcawGxJqP1g==",
        22_970,
    ),
    ("dist/wlipsync.wasm",),
    {"method": 0, "standardized": 1},
)
_FETCHED = "its package is fetched where node is installed"

PEERS = (
    Peer(
        "HeadAudio 0.1.0",
        f"{_FETCHED}, as by: npm install @met4citizen/headaudio",
        _HEADAUDIO,
        "its own model, of four of Kokoro's English voices",
        also=_HEADAUDIO_TABLE,
    ),
    Peer(
        "wLipSync 1.3.1, of others",
        f"{_FETCHED}, as by: npm install wlipsync",
        replace(_WLIPSYNC, settings=_WLIPSYNC.settings | {"own": False}),
        "visemes of all other speakers tested, by our labels",
    ),
    Peer(
        "wLipSync 1.3.1, calibrated",
        f"{_FETCHED}, as by: npm install wlipsync",
        replace(_WLIPSYNC, settings=_WLIPSYNC.settings | {"own": True}),
        "the speaker's visemes in the tested recordings themselves, by our labels",
    ),
    Peer("pylipsync", "pip install pylipsync", _pylipsync, "its own five vowels", ahead_ms=32.0),
)
