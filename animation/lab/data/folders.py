"""Folders of training data in any layout, divided by person into training, validation and test."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from animation.lab.data.florence4d import florence4d_subjects, read_florence4d
from animation.lab.data.mead import clip_to_mesh, mead_subjects, read_mead
from animation.lab.data.sequences import DOMAINS, Domain, MeshSequence, native_subjects, read_native
from animation.lab.data.splits import VOCASET_SPLIT, Split, sentence_numbers, subject_split
from animation.lab.data.vocaset import read_vocaset, vocaset_subjects
from avatar.errors import UserError
from avatar.flame.head import HeadModel

__all__ = ["FORMATS", "DataFolder", "FaceData", "guess_format"]

FORMATS = ("native", "vocaset", "faceformer", "florence4d", "3dmead")
"""The compact layout of this program; VOCASET as distributed and as FaceFormer keeps it; Florence4D; 3DMEAD."""

_PARTS = ("train", "validation", "test")
_DOMAINS_OF: dict[str, tuple[Domain, ...]] = {
    "native": DOMAINS, "vocaset": ("speech",), "faceformer": ("speech",), "florence4d": ("expression",),
    "3dmead": DOMAINS,
}  # fmt: skip


def guess_format(path: Path | str) -> str:
    """The layout of a folder, by what lies in it.

    Raises:
        UserError: if it is no folder, or nothing in it is known.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path}: no such folder")
    if (path / "templates.npz").is_file():
        return "native"
    if (path / "data_verts.npy").is_file():
        return "vocaset"
    if (path / "vertices_npy").is_dir():
        return "faceformer"
    if next(path.glob("*/*/*.ply"), None) is not None:
        return "florence4d"
    if (path / "native" / "templates.npz").is_file():
        raise UserError(f"{path}: this is a whole corpus; give one of the folders in it, such as {path / 'native'}")
    if any(next(path.rglob(pattern), None) is not None for pattern in ("*.npy", "*.hdf5", "*.h5")):
        return "3dmead"
    raise UserError(f"{path}: no data of a known layout in it ({', '.join(FORMATS)})")


@dataclass(frozen=True)
class DataFolder:
    """One data set on the disk."""

    path: Path
    format: str

    @classmethod
    def open(cls, path: Path | str, format: str = "") -> DataFolder:
        """A folder whose layout is named, or guessed if it is not.

        Raises:
            UserError: if the layout is unknown.
        """
        if format and format not in FORMATS:
            raise UserError(f"unknown format {format!r}: choose from {', '.join(FORMATS)}")
        return cls(Path(path), format or guess_format(path))

    def subjects(self, domain: Domain) -> tuple[str, ...]:
        """Who is in it.

        Raises:
            UserError: if a part is missing or malformed.
        """
        if domain not in _DOMAINS_OF[self.format]:
            return ()
        if self.format == "native":
            return tuple(native_subjects(self.path, domain))
        if self.format in ("vocaset", "faceformer"):
            return tuple(vocaset_subjects(self.path))
        if self.format == "florence4d":
            return tuple(florence4d_subjects(self.path))
        return tuple(mead_subjects(self.path, neutral=domain == "speech"))

    def sequences(
        self,
        domain: Domain,
        head: HeadModel,
        subjects: Collection[str] | None = None,
        sentences: Collection[int] | None = None,
        audio: bool = True,
    ) -> Iterator[MeshSequence]:
        """Its sequences of one domain.

        Args:
            domain: which.
            head: of whose topology the meshes must be; FLAME coefficients become meshes of it.
            subjects: only these; all if None.
            sentences: only these of VOCASET; all if None.
            audio: False skips the sound.

        Raises:
            UserError: if a part is missing or malformed, or the meshes are of another topology.
        """
        for sequence in self._read(domain, head, subjects, sentences, audio):
            if len(sequence.template) not in _vertex_counts(head):
                raise UserError(
                    f"{self.path}: {sequence.key} has {len(sequence.template)} vertices, the head model "
                    f"{head.n_vertices}; name the head that the data was registered to (--head)"
                )
            yield sequence

    def _read(
        self,
        domain: Domain,
        head: HeadModel,
        subjects: Collection[str] | None,
        sentences: Collection[int] | None,
        audio: bool,
    ) -> Iterator[MeshSequence]:
        if domain not in _DOMAINS_OF[self.format]:
            return
        if self.format == "native":
            if not native_subjects(self.path, domain):
                return
            yield from read_native(self.path, domain, subjects)
        elif self.format in ("vocaset", "faceformer"):
            yield from read_vocaset(self.path, subjects, sentences, audio=audio)
        elif self.format == "florence4d":
            yield from read_florence4d(self.path, subjects)
        else:
            for clip in read_mead(self.path, subjects):
                if (clip.emotion == "neutral") == (domain == "speech"):
                    yield clip_to_mesh(clip, head)


def _vertex_counts(head: HeadModel) -> set[int]:
    """Numbers of vertices that data of a head may have: FLAME's data sets lack the teeth that our FLAME has."""
    teeth = sum(len(head.regions.get(name, ())) for name in ("upper_teeth", "lower_teeth"))
    appended = teeth and all(
        int(head.regions[name].min()) >= head.n_vertices - teeth
        for name in ("upper_teeth", "lower_teeth")
        if name in head.regions
    )
    return {head.n_vertices, head.n_vertices - teeth} if appended else {head.n_vertices}


@dataclass(frozen=True)
class FaceData:
    """Folders of data, with every person in exactly one of the parts."""

    folders: tuple[DataFolder, ...]
    split: Split

    @classmethod
    def open(
        cls,
        paths: Sequence[Path | str],
        formats: Sequence[str] = (),
        domains: Sequence[Domain] = DOMAINS,
        seed: int = 0,
    ) -> FaceData:
        """Open folders and divide their people.

        Args:
            paths: the folders.
            formats: the layout of each, or one for all; guessed if empty.
            domains: what the folders must have between them, with people to train on and to validate on.
            seed: of the division; VOCASET's people have their own.

        Raises:
            UserError: if a folder is not readable, or there are too few people.
        """
        if not paths:
            raise UserError("no data: give one or more folders (--data)")
        if len(formats) not in (0, 1, len(paths)):
            raise UserError(f"{len(formats)} formats for {len(paths)} folders: give one a folder, or one for all")
        each = [*formats] if len(formats) == len(paths) else [formats[0] if formats else ""] * len(paths)
        folders = tuple(DataFolder.open(path, name) for path, name in zip(paths, each, strict=True))
        people = {domain: {s for folder in folders for s in folder.subjects(domain)} for domain in domains}
        for domain in domains:
            if not people[domain]:
                names = ", ".join(f"{folder.path} ({folder.format})" for folder in folders)
                raise UserError(f"no {domain} in {names}; give a folder that has it too")
        split = _divide(people, seed)
        for domain in domains:
            for part in _PARTS[:2]:
                if not people[domain] & set(split.part(part)):
                    raise UserError(f"too few people for a split: nobody with {domain} is left for {part}")
        return cls(folders, split)

    def sequences(
        self,
        part: str,
        head: HeadModel,
        domains: Sequence[Domain] = DOMAINS,
        audio: bool = True,
        tell: Callable[[str], None] = lambda text: None,
    ) -> Iterator[MeshSequence]:
        """The sequences of one part's people.

        Args:
            part: 'train', 'validation' or 'test'.
            head: of whose topology the meshes must be.
            domains: which.
            audio: False skips the sound.
            tell: told what is being read.

        Raises:
            UserError: as `DataFolder.sequences`.
        """
        persons = self.split.part(part)
        for folder in self.folders:
            official = folder.format in ("vocaset", "faceformer") and set(persons) & set(VOCASET_SPLIT.part(part))
            sentences = sentence_numbers(part) if official else None
            for domain in domains:
                for sequence in folder.sequences(domain, head, persons, sentences, audio):
                    tell(f"{part}: {sequence.key}")
                    yield sequence


def _divide(people: Mapping[Domain, set[str]], seed: int) -> Split:
    """Each group on its own (who only speaks, who only makes faces, who does both), so that no part lacks a domain."""
    groups: dict[tuple[bool, ...], list[str]] = {}
    for name in sorted(set().union(*people.values())):
        groups.setdefault(tuple(name in found for found in people.values()), []).append(name)
    parts: dict[str, list[str]] = {part: [] for part in _PARTS}
    for names in groups.values():
        if len(names) < 3 and len(groups) > 1:
            parts["train"] += names
            continue
        split = subject_split(names, seed=seed)
        for part in _PARTS:
            parts[part] += split.part(part)
    return Split(*(tuple(np.unique(parts[part]).tolist()) for part in _PARTS))
