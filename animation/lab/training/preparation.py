"""Making the speech corpus: fetch, synthesize, align, write. Each step done is kept and not redone."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from animation.lab.data.alignment import (
    Alignment,
    SphinxAligner,
    disagreement_s,
    pronounce_words,
    viterbi,
    words_of,
)
from animation.lab.data.corpus import (
    CorpusConfig,
    Utterance,
    label_neural,
    load_utterances,
    prepare_synthetic,
    save_utterances,
    source_names,
)
from animation.lab.data.recordings import Recording, fetch, load_sound, recordings
from animation.lab.data.sources import SOURCES, Source
from animation.lab.data.synthetic_speech import Espeak
from animation.lab.training.aligner import Aligner, AlignerConfig, train_aligner
from animation.lab.training.banks import training_utterances
from animation.speech.phonemes import SILENCE, Segment

__all__ = ["MUSIC_PACKAGE", "prepare_corpus"]

MUSIC_PACKAGE = "asterisk-moh-opsound-g722"
_MUSIC_FOLDER = "music"
_ALIGNER_FILE = "aligner.safetensors"
_SECOND_ALIGNER_FILE = "aligner-again.safetensors"

Progress = Callable[[str, float], None]
_log = logging.getLogger(__name__)

_RATES = (5.0, 22.0)  # phonemes a second of speech that are believable
_SHORTEST_S = 0.35
_DISAGREEMENT_S = 0.03
_TRAINING_DISAGREEMENT_S = 0.06

_SECOND_HIDDEN = 160
_SECOND_STEPS = 5 / 3
"""Of the second aligner: its size, and how many steps it learns for one of the first's."""
_LESSONS = {
    "prompts": (1.5, 15.0), "talkie": (2.0, 40.0), "espeak": (0.4, 20.0), "flite": (0.5, 6.0), "festival": (1.0, 6.0),
    "steelsky": (2.0, 40.0), "drascula": (3.0, 40.0), "fillets": (3.0, 40.0), "sung": (0.0, 0.0),
}  # fmt: skip
"""What the second aligner learns from, by kind of voice: how often it is drawn, and how many minutes of a source."""


def prepare_corpus(out_dir: Path | str, progress: Progress, config: CorpusConfig | None = None) -> dict[str, float]:
    """Fetch and make everything that training and evaluation need.

    Args:
        out_dir: the corpus folder; Debian's packages get unpacked below it.
        progress: called with a message and the share of the current step done.
        config: how much to make.

    Returns:
        Minutes of sound by source.

    Raises:
        UserError: a program or package is missing, with what to install.
    """
    config = config or CorpusConfig()
    folder = Path(out_dir)
    packages = folder / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    fetch(
        sorted({package for source in SOURCES for package in source.packages} | {MUSIC_PACKAGE}),
        packages,
        progress,
    )
    prepare_synthetic(folder, packages, config, progress)
    _prepare_music(folder, packages)
    missing = [source for source in SOURCES if not (folder / f"{source.name}.json").exists()]
    aligned_before = (folder / _ALIGNER_FILE).exists()
    needed = missing if aligned_before else [s for s in SOURCES if s in missing or _teaches(s)]
    pronunciations: dict[str, dict[str, list[str]]] = {}
    if missing or not aligned_before:
        for number, source in enumerate(needed):
            progress(f"aligning {source.name} with pocketsphinx", number / len(needed))
            pronunciations[source.name] = _pronunciations(source, packages)
            _sphinx_alignments(source, folder, packages, pronunciations[source.name])
        aligner = _bootstrap_aligner(folder, packages, pronunciations, config, progress)

        def align(sources: list[Source], by: Aligner, again: str = "") -> None:
            for number, source in enumerate(sources):
                progress(f"aligning {source.name}{again}", number / len(sources))
                sphinx = _sphinx_alignments(source, folder, packages, pronunciations[source.name])
                utterances = _aligned(source, packages, by, sphinx, pronunciations[source.name], config)
                minutes = save_utterances(folder, source.name, utterances)
                _log.info("%s: %d utterances, %.1f minutes%s", source.name, len(utterances), minutes, again)

        align(missing, aligner)
        twice = [source for source in missing if source.aligned_again]
        if twice:
            align(twice, _second_aligner(folder, config, progress), " again")
    aligner = Aligner.load(folder / _ALIGNER_FILE, AlignerConfig())
    progress("labelling the neural voice", 0.0)
    label_neural(folder, aligner.log_likelihood)
    return {name: sum(u.duration_s for u in load_utterances(folder, name)) / 60 for name in source_names(folder)}


def _teaches(source: Source) -> bool:
    """Whether the aligner learns from the source: its words are sure, and it is not kept for tests."""
    return source.role == "split" and not source.doubtful_words


def _prepare_music(folder: Path, packages: Path) -> None:
    """Music on hold as 16-bit sound: what the mouth must not move to."""
    target = folder / _MUSIC_FOLDER
    if target.exists():
        return
    partial = folder / f"{_MUSIC_FOLDER}.partial"
    partial.mkdir(exist_ok=True)
    for path in sorted((packages / MUSIC_PACKAGE).rglob("*.g722")):
        np.save(partial / f"{path.stem}.npy", np.round(load_sound(path) * 32767).astype(np.int16))
    partial.rename(target)


def _pronunciations(source: Source, packages: Path) -> dict[str, list[str]]:
    engine = Espeak()
    words = [word for recording in recordings(source, packages) for word in words_of(recording.text)]
    return pronounce_words(words, lambda word: engine.pronounce(word, source.espeak_voice))


def _sphinx_alignments(
    source: Source, folder: Path, packages: Path, pronunciations: dict[str, list[str]]
) -> dict[str, Alignment]:
    """pocketsphinx's alignments of a source, kept in a file."""
    path = folder / "sphinx" / f"{source.name}.json"
    if not path.exists():
        aligner = SphinxAligner(pronunciations)
        found = {}
        for recording in recordings(source, packages):
            alignment = aligner.align(recording.samples, words_of(recording.text))
            if alignment is not None:
                found[recording.name] = {
                    "score": alignment.score,
                    "segments": [list(s) for s in alignment.segments],
                }
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found))
    return {
        name: Alignment(tuple(Segment(*s) for s in row["segments"]), row["score"])
        for name, row in json.loads(path.read_text()).items()
    }


def _best(items: Sequence[tuple[Recording, Alignment]], dropped_share: float) -> list[tuple[Recording, Alignment]]:
    """Believable alignments, without the share that fits worst."""
    kept = []
    for recording, alignment in items:
        spoken = [s for s in alignment.segments if s.phoneme != SILENCE]
        seconds = sum(s.duration_s for s in spoken)
        if spoken and _RATES[0] < len(spoken) / max(seconds, 0.01) < _RATES[1]:
            kept.append((recording, alignment))
    if not kept:
        return []
    threshold = np.quantile([alignment.score for _, alignment in kept], dropped_share)
    return [item for item in kept if item[1].score >= threshold]


def _bootstrap_aligner(
    folder: Path,
    packages: Path,
    pronunciations: dict[str, dict[str, list[str]]],
    config: CorpusConfig,
    progress: Progress,
) -> Aligner:
    """Train on synthetic voices and what pocketsphinx aligned in the divided sources' training files."""
    kept = folder / _ALIGNER_FILE
    settings = AlignerConfig(steps=config.aligner_steps, seed=config.seed)
    if kept.exists():
        return Aligner.load(kept, settings)
    examples: list[tuple[Utterance, float]] = []
    prompts = {source.name for source in SOURCES}
    for name in source_names(folder):
        if name not in prompts:
            weight = 0.4 if name == "espeak" else 1.0
            examples += [(utterance, weight) for utterance in load_utterances(folder, name)]
    for source in SOURCES:
        if _teaches(source):
            sphinx = _sphinx_alignments(source, folder, packages, pronunciations[source.name])
            found = [(r, sphinx[r.name]) for r in recordings(source, packages) if r.name in sphinx]
            weight = 3.0 if source.language == "en" else 1.5
            examples += [(_utterance(source, r, a), weight) for r, a in _best(found, 2 * config.dropped_share)]
    aligner = train_aligner(examples, settings, progress)
    aligner.save(kept)
    return aligner


def _second_aligner(folder: Path, config: CorpusConfig, progress: Progress) -> Aligner:
    """Train on all that is for training: synthetic voices, and recordings as the first aligner found them."""
    kept = folder / _SECOND_ALIGNER_FILE
    steps = int(_SECOND_STEPS * config.aligner_steps)
    settings = AlignerConfig(hidden=_SECOND_HIDDEN, steps=steps, seed=config.seed)
    if kept.exists():
        return Aligner.load(kept, settings)
    examples: list[tuple[Utterance, float]] = []
    for name, utterances in training_utterances(folder).items():
        weight, minutes = _LESSONS.get(name.split("_")[0], (1.0, float("inf")))
        ends = np.cumsum([utterance.duration_s for utterance in utterances])
        examples += [(u, weight) for u, end_s in zip(utterances, ends, strict=True) if end_s <= 60 * minutes]
    aligner = train_aligner(examples, settings, progress)
    aligner.save(kept)
    return aligner


def _utterance(source: Source, recording: Recording, alignment: Alignment) -> Utterance:
    return Utterance(
        source.name,
        recording.name,
        source.name,
        source.language,
        recording.samples,
        tuple(alignment.segments),
    )


def _aligned(
    source: Source,
    packages: Path,
    aligner: Aligner,
    sphinx: dict[str, Alignment],
    pronunciations: dict[str, list[str]],
    config: CorpusConfig,
) -> list[Utterance]:
    """A source's utterances. Held-out speakers and doubtful words: only files on whose times both aligners agree."""
    found = []
    for recording in recordings(source, packages):
        if len(recording.samples) < _SHORTEST_S * 16000:
            continue
        words = [pronunciations[w] for w in words_of(recording.text) if w in pronunciations]
        if not words:
            continue
        alignment = viterbi(aligner.log_likelihood(recording.samples), words)
        if alignment is None:
            continue
        if source.role != "split" or source.doubtful_words:
            other = sphinx.get(recording.name)
            limit_s = _DISAGREEMENT_S if source.role in ("validation", "test") else _TRAINING_DISAGREEMENT_S
            if other is None or disagreement_s(alignment.segments, other.segments) > limit_s:
                continue
        found.append((recording, alignment))
    share = config.dropped_share if source.role == "split" and not source.doubtful_words else 0.0
    return [_utterance(source, recording, alignment) for recording, alignment in _best(found, share)]
