"""Recordings of real speakers with their words, out of Debian's packages."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path

import av
import numpy as np
import soundfile
from jaxtyping import Float

from animation.lab.data.drascula import drascula_lines
from animation.lab.data.fillets import fillets_lines
from animation.lab.data.sources import Source
from animation.lab.data.steel_sky import steel_sky_lines
from animation.lab.data.talkie import spoken_lines
from animation.speech.audio import resample
from avatar.errors import UserError

__all__ = ["Recording", "fetch", "load_sound", "recordings"]


@dataclass(frozen=True)
class Recording:
    """One file: its name within the source, the sound at 16 kHz, and the words."""

    name: str
    samples: Float[np.ndarray, " n"]
    text: str


def fetch(packages: list[str], folder: Path, progress: Callable[[str, float], None]) -> None:
    """Download Debian packages and unpack each into `folder/package`; those already there are left alone.

    Raises:
        UserError: no apt-get or dpkg here, or a download failed.
    """
    for number, package in enumerate(packages):
        target = folder / package
        if target.exists():
            continue
        progress(f"fetching {package}", number / len(packages))
        for tool in ("apt-get", "dpkg"):
            if shutil.which(tool) is None:
                raise UserError(f"{tool} is missing: the recordings come from Debian's packages")
        downloads = folder / "deb"
        downloads.mkdir(parents=True, exist_ok=True)
        command = ["apt-get", "download", package]
        done = subprocess.run(command, cwd=downloads, capture_output=True, text=True, check=False)
        archives = sorted(downloads.glob(f"{package}_*.deb"))
        if done.returncode != 0 or not archives:
            lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
            reason = lines[-1] if lines else "apt-get failed"
            raise UserError(f"cannot download {package}: {reason} (try: apt-get update)")
        partial = folder / f"{package}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        subprocess.run(["dpkg", "-x", str(archives[-1]), str(partial)], check=True)
        partial.rename(target)
    progress("fetched the packages", 1.0)


def load_sound(path: Path) -> Float[np.ndarray, " n"]:
    """A sound file as mono 16 kHz; raw G.722 and GSM by their suffix, raw 16-bit 16 kHz as '.raw'."""
    if path.suffix == ".raw":
        return np.fromfile(path, "<i2").astype(np.float32) / 32768.0
    if path.suffix in (".g722", ".gsm"):
        with av.open(str(path), format=path.suffix[1:]) as container:
            stream = container.streams.audio[0]
            chunks = [frame.to_ndarray().reshape(-1) for frame in container.decode(stream)]
            rate = stream.rate
        samples = np.concatenate(chunks).astype(np.float32) / 32768.0 if chunks else np.zeros(0, np.float32)
    else:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        samples = samples.mean(axis=1)
    return resample(samples, rate)


def recordings(source: Source, folder: Path) -> Iterator[Recording]:
    """The files of a source for which the words are known.

    Args:
        source: one of `SOURCES`.
        folder: the folder that `fetch` filled.
    """
    reader = {
        "prompts": _read_prompts,
        "stamps": _read_stamps,
        "librivox": _read_librivox,
        "alsa": _read_alsa,
        "talkie": _read_talkie,
        "drascula": _read_drascula,
        "steelsky": _read_steel_sky,
        "fillets": _read_fillets,
        "letters": _read_letters,
    }
    yield from reader[source.kind](source, folder)


_STAMPS_THINNING = 3
_ASIDE = re.compile(r"\[.*?\]|<.*?>|\(.*?\)|\{.*?\}")


def _read_prompts(source: Source, folder: Path) -> Iterator[Recording]:
    words: dict[str, str] = {}
    for package in source.packages:
        for path in sorted((folder / package).rglob("core-sounds-*.txt.gz")):
            with gzip.open(path, "rt", encoding="utf-8-sig", errors="replace") as file:
                for line in file:
                    name, colon, text = line.partition(":")
                    if colon and not line.startswith(";"):
                        words[name.strip()] = _ASIDE.sub("", text).strip()
    for package in source.packages:
        for path in sorted((folder / package).rglob("*")):
            if path.suffix not in (".g722", ".wav", ".gsm"):
                continue
            parts = path.parts[path.parts.index("sounds") + 2 :]
            name = "/".join(parts).removesuffix(path.suffix)
            if words.get(name):
                yield Recording(name, load_sound(path), words[name])


def _read_stamps(source: Source, folder: Path) -> Iterator[Recording]:
    """Every third picture's name: hundreds of short files a speaker are plenty for a test."""
    root = folder / source.packages[0]
    for path in sorted(root.rglob(f"*_desc_{source.language}.ogg")):
        captions = path.with_name(path.name.removesuffix(f"_desc_{source.language}.ogg") + ".txt")
        name = str(path.relative_to(root))
        if zlib.crc32(name.encode()) % _STAMPS_THINNING or not captions.exists():
            continue
        for line in captions.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(f"{source.language}.utf8="):
                text = line.partition("=")[2].strip()
                if text and not re.search(r'[0-9$%&/«»"”“()]', text):
                    yield Recording(name, load_sound(path), text)


def _read_librivox(source: Source, folder: Path) -> Iterator[Recording]:
    root = next(iter(sorted((folder / source.packages[0]).rglob("librivox"))), None)
    if root is None:
        return
    for line in (root / "transcription").read_text().splitlines():
        match = re.fullmatch(r"<s> (.*) </s> \((.*)\)", line.strip())
        if match and (path := root / f"{match[2]}.wav").exists():
            yield Recording(match[2], load_sound(path), match[1])
    spoken = root.parent / "goforward.raw"
    if spoken.exists():
        yield Recording("goforward", load_sound(spoken), "go forward ten meters")


def _read_alsa(source: Source, folder: Path) -> Iterator[Recording]:
    for path in sorted((folder / source.packages[0]).rglob("sounds/alsa/*.wav")):
        if path.stem != "Noise":
            yield Recording(path.stem, load_sound(path), path.stem.replace("_", " ").lower())


def _read_talkie(source: Source, folder: Path) -> Iterator[Recording]:
    for name, samples, text in spoken_lines(folder / source.packages[0], heroes=source.name == "talkie_joe"):
        yield Recording(name, samples, text)


def _read_drascula(source: Source, folder: Path) -> Iterator[Recording]:
    return starmap(Recording, drascula_lines(folder / source.packages[0]))


def _read_steel_sky(source: Source, folder: Path) -> Iterator[Recording]:
    return starmap(Recording, steel_sky_lines(folder / source.packages[0]))


def _read_fillets(source: Source, folder: Path) -> Iterator[Recording]:
    for name, path, text in fillets_lines(folder, source.packages, source.language):
        yield Recording(name, load_sound(path), text)


def _read_letters(source: Source, folder: Path) -> Iterator[Recording]:
    """Letters by their names, and syllables or short words."""
    for index in sorted((folder / source.packages[0]).rglob(f"klettres/{source.language}/sounds.xml")):
        for name, path in re.findall(r'<sound\s+name="([^"]+)"\s+file="([^"]+)"', index.read_text(encoding="utf-8")):
            sound = index.parents[1] / path
            if sound.exists():
                yield Recording(path, load_sound(sound), name)
