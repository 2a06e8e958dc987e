"""Sequences of a face mesh in motion, whatever data set they come from, and the project's own compact layout for them.

The compact layout ("native") is a folder::

    templates.npz             one neutral face (V, 3) per subject, metres
    speech/SUBJECT__NAME.npz  offsets (T, V, 3) int16 in steps of 2 micrometres, fps; speech also has audio, sample_rate
    expression/...            the same
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float32

from animation.lab.data.arrays import load_arrays, number
from animation.resampling import resample_poses
from avatar.errors import UserError
from avatar.formats.untrusted import require_finite

__all__ = [
    "DOMAINS",
    "Domain",
    "MeshSequence",
    "native_subjects",
    "read_native",
    "write_native",
]

Domain = Literal["speech", "expression"]
DOMAINS: tuple[Domain, Domain] = ("speech", "expression")

_STEP_M = 2e-6


@dataclass(frozen=True, eq=False)
class MeshSequence:
    """One recording of one subject: what every loader of this package yields. Metres."""

    subject: str
    name: str
    domain: Domain
    fps: float
    template: Float32[np.ndarray, "v 3"]
    """The subject's neutral face."""
    offsets: Float32[np.ndarray, "t v 3"]
    """Each pose less the template."""
    audio: Float32[np.ndarray, " n"] | None = None
    """Mono, -1..1."""
    sample_rate: int = 16000

    def __post_init__(self) -> None:
        if self.offsets.ndim != 3 or self.offsets.shape[1:] != self.template.shape or self.template.shape[1:] != (3,):
            raise ValueError(
                f"MeshSequence {self.subject}/{self.name}: offsets {self.offsets.shape} do not fit the template "
                f"{self.template.shape}"
            )
        if self.fps <= 0:
            raise ValueError(f"MeshSequence {self.subject}/{self.name}: expected fps above 0, got {self.fps}")

    @property
    def key(self) -> str:
        """What names the sequence in its data set."""
        return f"{self.subject}/{self.name}"

    @property
    def n_poses(self) -> int:
        return len(self.offsets)

    @property
    def duration_s(self) -> float:
        return self.n_poses / self.fps

    def at_rate(self, fps: float) -> MeshSequence:
        """The same sequence with another number of poses a second."""
        if fps == self.fps:
            return self
        offsets = resample_poses(self.offsets, self.fps, fps)
        return MeshSequence(
            self.subject, self.name, self.domain, fps, self.template, offsets, self.audio, self.sample_rate
        )


def write_native(root: Path | str, sequences: Iterable[MeshSequence]) -> None:
    """Write sequences in the compact layout; each is written before the next is asked for."""
    root = Path(root)
    templates: dict[str, np.ndarray] = {}
    for sequence in sequences:
        folder = root / sequence.domain
        folder.mkdir(parents=True, exist_ok=True)
        steps = np.rint(sequence.offsets / _STEP_M)
        if np.abs(steps).max(initial=0) > np.iinfo(np.int16).max:
            raise ValueError(f"write_native: {sequence.key} moves further than 65 mm from its template")
        arrays = {"offsets": steps.astype(np.int16), "fps": np.float64(sequence.fps)}
        if sequence.audio is not None:
            arrays |= {
                "audio": sequence.audio.astype(np.float32),
                "sample_rate": np.int64(sequence.sample_rate),
            }
        np.savez(folder / f"{sequence.subject}__{sequence.name}.npz", **arrays)  # type: ignore[arg-type]
        templates[sequence.subject] = sequence.template
    root.mkdir(parents=True, exist_ok=True)
    np.savez(root / "templates.npz", **templates)  # type: ignore[arg-type]


def native_subjects(root: Path | str, domain: Domain) -> list[str]:
    """All subjects with sequences of a domain."""
    return sorted({path.stem.split("__", 1)[0] for path in (Path(root) / domain).glob("*__*.npz")})


def read_native(root: Path | str, domain: Domain, subjects: Iterable[str] | None = None) -> Iterator[MeshSequence]:
    """The sequences of one domain in the compact layout, in the order of their names.

    Raises:
        UserError: if the folder lacks parts, or a file is damaged.
    """
    root = Path(root)
    templates = load_arrays(root / "templates.npz", ())
    wanted = None if subjects is None else set(subjects)
    files = sorted((root / domain).glob("*__*.npz"))
    if not files:
        raise UserError(f"{root / domain}: no sequences (SUBJECT__NAME.npz) in it")
    for path in files:
        subject, name = path.stem.split("__", 1)
        if wanted is not None and subject not in wanted:
            continue
        if subject not in templates:
            raise UserError(f"{root / 'templates.npz'}: has no neutral face of {subject}, which {path.name} needs")
        arrays = load_arrays(path, ("offsets", "fps"))
        template = templates[subject].astype(np.float32)
        require_finite(root / "templates.npz", **{subject: template})
        offsets = arrays["offsets"]
        if template.ndim != 2 or template.shape[1:] != (3,):
            raise UserError(f"{root / 'templates.npz'}: expected (V, 3) vertices for {subject}, got {template.shape}")
        if offsets.ndim != 3 or offsets.shape[1:] != template.shape or offsets.dtype != np.int16:
            raise UserError(
                f"{path}: expected int16 offsets (T, {len(template)}, 3), got {offsets.dtype} {offsets.shape}"
            )
        if not len(offsets):
            raise UserError(f"{path}: holds no poses")
        audio = arrays.get("audio")
        if audio is not None:
            require_finite(path, audio=audio)
            audio = audio.astype(np.float32).reshape(-1)
        yield MeshSequence(
            subject,
            name,
            domain,
            number(path, "fps", arrays["fps"], 1.0),
            template,
            offsets.astype(np.float32) * np.float32(_STEP_M),
            audio,
            int(number(path, "sample_rate", arrays.get("sample_rate", 16000), 1000)),
        )
