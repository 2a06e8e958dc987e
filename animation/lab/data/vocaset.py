"""VOCASET, in the layout in which it is distributed and in FaceFormer's.

As distributed [checked]: `data_verts.npy` (N, V, 3), memory-mapped; `subj_seq_to_idx.pkl` {subject: {sequence: {pose:
row}}}; `raw_audio_fixed.pkl` {subject: {sequence: {'audio', 'sample_rate'}}}; `templates.pkl` {subject: (V, 3)}; 60
poses a second. FaceFormer's: `wav/SUBJECT_SEQUENCE.wav`, `vertices_npy/SUBJECT_SEQUENCE.npy` (T, 3 V), `templates.pkl`.
"""

from __future__ import annotations

import pickle
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float32

from animation.lab.data.arrays import load_array
from animation.lab.data.pickles import load_pickle
from animation.lab.data.sequences import MeshSequence
from avatar.errors import UserError
from avatar.formats.untrusted import require_finite

__all__ = ["FPS", "read_vocaset", "vocaset_subjects", "write_faceformer", "write_vocaset"]

FPS = 60.0
_VERTICES, _INDEX, _AUDIO, _TEMPLATES = (
    "data_verts.npy", "subj_seq_to_idx.pkl", "raw_audio_fixed.pkl", "templates.pkl",
)  # fmt: skip
_FOLDERS = ("wav", "vertices_npy")


def vocaset_subjects(root: Path | str) -> list[str]:
    """All subjects of a VOCASET folder of either layout.

    Raises:
        UserError: if it has no readable templates.
    """
    return sorted(_templates(Path(root)))


def read_vocaset(
    root: Path | str,
    subjects: Collection[str] | None = None,
    sentences: Collection[int] | None = None,
    fps: float = FPS,
    audio: bool = True,
) -> Iterator[MeshSequence]:
    """Sequences of either layout, in the order of their names.

    Args:
        root: the folder.
        subjects: only these; all if None.
        sentences: only these numbers of 'sentenceNN'; all if None.
        fps: of the meshes on the disk.
        audio: False skips the sound.

    Raises:
        UserError: if a part is missing or malformed; it says which and what was expected.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    if (root / _VERTICES).is_file():
        yield from _read_distributed(root, subjects, sentences, fps, audio)
    elif (root / _FOLDERS[1]).is_dir():
        yield from _read_faceformer(root, subjects, sentences, fps, audio)
    else:
        raise UserError(f"{root}: neither {_VERTICES} (VOCASET) nor {_FOLDERS[1]}/ (FaceFormer's layout) in it")


def _templates(root: Path) -> dict[str, Float32[np.ndarray, "v 3"]]:
    path = root / _TEMPLATES
    raw = load_pickle(path)
    if not isinstance(raw, Mapping) or not raw:
        raise UserError(f"{path}: expected a dictionary of neutral faces by subject")
    templates = {}
    for name, value in raw.items():
        try:
            array = np.asarray(value, np.float32)
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: the neutral face of {name} is not an array of numbers") from error
        require_finite(path, **{str(name): array})
        if array.ndim != 2 or array.shape[1] != 3:
            raise UserError(f"{path}: expected (V, 3) vertices for {name}, got {array.shape}")
        templates[str(name)] = array
    return templates


def _wanted(subject: str, sequence: str, subjects: Collection[str] | None, sentences: Collection[int] | None) -> bool:
    if subjects is not None and subject not in subjects:
        return False
    number = "".join(c for c in sequence if c.isdigit())
    return sentences is None or (number != "" and int(number) in sentences)


def _read_distributed(
    root: Path, subjects: Collection[str] | None, sentences: Collection[int] | None, fps: float, audio: bool
) -> Iterator[MeshSequence]:
    templates, index = _templates(root), load_pickle(root / _INDEX)
    sounds = load_pickle(root / _AUDIO) if audio else {}
    vertices = load_array(root / _VERTICES, mmap=True)
    if vertices.ndim != 3 or vertices.shape[2] != 3:
        raise UserError(f"{root / _VERTICES}: expected (N, V, 3) vertices, got {vertices.shape}")
    if not isinstance(index, Mapping) or not all(isinstance(found, Mapping) for found in index.values()):
        raise UserError(f"{root / _INDEX}: expected rows by subject and sequence")
    if not isinstance(sounds, Mapping):
        raise UserError(f"{root / _AUDIO}: expected sounds by subject and sequence")
    for subject in sorted(index):
        if subject not in templates:
            raise UserError(f"{root / _TEMPLATES}: has no neutral face of {subject}, which {_INDEX} names")
        if templates[subject].shape[0] != vertices.shape[1]:
            raise UserError(
                f"{root}: {subject}'s neutral face has {templates[subject].shape[0]} vertices, "
                f"{_VERTICES} has {vertices.shape[1]}"
            )
        for sequence in sorted(index[subject]):
            if not _wanted(subject, sequence, subjects, sentences):
                continue
            poses = index[subject][sequence]
            try:
                rows = np.array([int(poses[pose]) for pose in sorted(poses)], np.int64)
            except (TypeError, ValueError, KeyError, OverflowError) as error:
                raise UserError(f"{root / _INDEX}: {subject}/{sequence} is not a table of rows by pose") from error
            if not len(rows) or rows.min() < 0 or rows.max() >= len(vertices):
                raise UserError(f"{root / _INDEX}: {subject}/{sequence} points outside of {_VERTICES}")
            sound, rate = _sound(sounds, subject, sequence, root) if audio else (None, 16000)
            moved = np.asarray(vertices[rows], np.float32) - templates[subject]
            require_finite(root / _VERTICES, **{f"{subject}/{sequence}": moved})
            yield MeshSequence(subject, sequence, "speech", fps, templates[subject], moved, sound, rate)


def _sound(sounds: Any, subject: str, sequence: str, root: Path) -> tuple[np.ndarray | None, int]:
    try:
        entry = sounds[subject][sequence]
        samples, rate = np.asarray(entry["audio"]), int(entry["sample_rate"])
    except (KeyError, TypeError, IndexError):
        return None, 16000  # VOCASET lacks the sound of a few sequences
    if samples.ndim != 1 or rate <= 0:
        raise UserError(f"{root / _AUDIO}: {subject}/{sequence} is not a row of samples")
    if np.issubdtype(samples.dtype, np.integer):
        return (samples / np.float32(np.iinfo(samples.dtype).max + 1)).astype(np.float32), rate
    return samples.astype(np.float32), rate


def _read_faceformer(
    root: Path, subjects: Collection[str] | None, sentences: Collection[int] | None, fps: float, audio: bool
) -> Iterator[MeshSequence]:
    templates = _templates(root)
    files = sorted((root / _FOLDERS[1]).glob("*.npy"))
    if not files:
        raise UserError(f"{root / _FOLDERS[1]}: no .npy files in it")
    for path in files:
        subject = max((name for name in templates if path.stem.startswith(f"{name}_")), key=len, default="")
        if not subject:
            raise UserError(f"{path}: no subject of {_TEMPLATES} begins its name")
        sequence = path.stem[len(subject) + 1 :]
        if not _wanted(subject, sequence, subjects, sentences):
            continue
        flat = load_array(path)
        template = templates[subject]
        if flat.ndim != 2 or flat.shape[1] != template.size:
            raise UserError(f"{path}: expected (T, {template.size}) for this neutral face, got {flat.shape}")
        sound, rate = None, 16000
        wav = root / _FOLDERS[0] / f"{path.stem}.wav"
        if audio:
            if not wav.is_file():
                raise UserError(f"{wav}: missing, though {path.name} is there")
            try:
                samples, rate = soundfile.read(str(wav), dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise UserError(f"{wav}: not a readable sound file ({error})") from error
            sound = samples.mean(1)
        if not len(flat):
            raise UserError(f"{path}: holds no poses")
        moved = flat.astype(np.float32).reshape(len(flat), -1, 3) - template
        require_finite(path, vertices=moved)
        yield MeshSequence(subject, sequence, "speech", fps, template, moved, sound, rate)


def write_vocaset(root: Path | str, sequences: Iterable[MeshSequence], n_poses: int) -> None:
    """Write sequences as VOCASET is distributed.

    Args:
        root: the folder.
        sequences: speech, written one by one.
        n_poses: of all sequences together; the array on the disk is made before the first arrives.

    Raises:
        ValueError: if the sequences have another number of poses in all.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    array: np.memmap | None = None
    index: dict[str, dict[str, dict[int, int]]] = {}
    sounds: dict[str, dict[str, dict[str, Any]]] = {}
    templates: dict[str, np.ndarray] = {}
    row = 0
    for sequence in sequences:
        if row + sequence.n_poses > n_poses:
            raise ValueError(f"write_vocaset: more than the {n_poses} poses announced")
        if array is None:
            shape = (n_poses, *sequence.template.shape)
            array = np.lib.format.open_memmap(root / _VERTICES, "w+", np.float32, shape)
        array[row : row + sequence.n_poses] = sequence.offsets + sequence.template
        rows = index.setdefault(sequence.subject, {}).setdefault(sequence.name, {})
        rows.update({pose: row + pose for pose in range(sequence.n_poses)})
        if sequence.audio is not None:
            entry = {"audio": sequence.audio, "sample_rate": sequence.sample_rate}
            sounds.setdefault(sequence.subject, {})[sequence.name] = entry
        templates[sequence.subject] = sequence.template
        row += sequence.n_poses
    if array is None or row != n_poses:
        raise ValueError(f"write_vocaset: {n_poses} poses announced, {row} came")
    array.flush()
    for name, value in ((_INDEX, index), (_AUDIO, sounds), (_TEMPLATES, templates)):
        (root / name).write_bytes(pickle.dumps(value, protocol=2))


def write_faceformer(root: Path | str, sequences: Iterable[MeshSequence]) -> None:
    """Write speech sequences in FaceFormer's layout."""
    root = Path(root)
    for folder in _FOLDERS:
        (root / folder).mkdir(parents=True, exist_ok=True)
    templates: dict[str, np.ndarray] = {}
    for sequence in sequences:
        stem = f"{sequence.subject}_{sequence.name}"
        flat = (sequence.offsets + sequence.template).reshape(sequence.n_poses, -1)
        np.save(root / _FOLDERS[1] / f"{stem}.npy", flat.astype(np.float32))
        samples = sequence.audio
        if samples is None:
            samples = np.zeros(round(sequence.duration_s * sequence.sample_rate), np.float32)
        soundfile.write(str(root / _FOLDERS[0] / f"{stem}.wav"), samples, sequence.sample_rate)
        templates[sequence.subject] = sequence.template
    (root / _TEMPLATES).write_bytes(pickle.dumps(templates, protocol=2))
