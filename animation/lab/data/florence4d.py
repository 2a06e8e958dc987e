"""Florence4D: expressions as sequences of meshes, neutral to apex to neutral.

Layout [checked]: `IDENTITY/EXPRESSION/EXPRESSION_NN.ply`, FLAME's connectivity (5,023 vertices), metres, 60 or 90
meshes a sequence, apex near the thirtieth. The first mesh of a sequence is neutral; its mean over an identity's
sequences is taken as the template [chosen], because the data set has none of its own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int

from animation.lab.data.sequences import MeshSequence
from avatar.errors import UserError
from avatar.formats.ply import parse_vertices
from avatar.formats.untrusted import read_bytes, require_finite

__all__ = ["FPS", "florence4d_subjects", "read_florence4d", "read_ply_vertices", "write_florence4d"]

FPS = 30.0
_MAX_VERTICES = 1_000_000
_NUMBERED = re.compile(r"^(?P<name>.+)_(?P<number>\d+)$")


def florence4d_subjects(root: Path | str) -> list[str]:
    """All identities of a folder.

    Raises:
        UserError: if there are none.
    """
    root = Path(root)
    names = sorted(p.name for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    if not names:
        raise UserError(f"{root}: no folders of identities in it (IDENTITY/EXPRESSION/EXPRESSION_NN.ply)")
    return names


def read_florence4d(
    root: Path | str,
    subjects: Collection[str] | None = None,
    n_vertices: int | None = None,
    fps: float = FPS,
) -> Iterator[MeshSequence]:
    """Every identity's expressions, in the order of their names.

    Args:
        root: the folder of the identities.
        subjects: only these; all if None.
        n_vertices: what each mesh must have; the first mesh decides if None.
        fps: meshes a second.

    Raises:
        UserError: if a folder is empty, a mesh damaged, or of another topology.
    """
    root = Path(root)
    for subject in florence4d_subjects(root):
        if subjects is not None and subject not in subjects:
            continue
        found: dict[str, np.ndarray] = {}
        for folder in sorted(p for p in (root / subject).iterdir() if p.is_dir()):
            files = sorted(folder.glob("*.ply"), key=_number)
            if not files:
                raise UserError(f"{folder}: no meshes (EXPRESSION_NN.ply) in it")
            meshes = [read_ply_vertices(path) for path in files]
            for path, mesh in zip(files, meshes, strict=True):
                n_vertices = len(mesh) if n_vertices is None else n_vertices
                if len(mesh) != n_vertices:
                    raise UserError(f"{path}: expected {n_vertices} vertices, got {len(mesh)}")
            found[folder.name] = np.stack(meshes)
        if not found:
            raise UserError(f"{root / subject}: no folders of expressions in it")
        template = np.mean([meshes[0] for meshes in found.values()], 0).astype(np.float32)
        for name, poses in found.items():
            yield MeshSequence(subject, name, "expression", fps, template, poses - template)


def _number(path: Path) -> tuple[int, str]:
    match = _NUMBERED.match(path.stem)
    if match is None:
        raise UserError(f"{path}: expected a name like EXPRESSION_07.ply")
    return int(match["number"]), path.name


def read_ply_vertices(path: Path) -> Float32[np.ndarray, "v 3"]:
    """The vertices of a PLY mesh, ASCII or little-endian binary; its faces are not read.

    Raises:
        UserError: if the file is missing or damaged.
    """
    vertices = parse_vertices(read_bytes(path), path, _MAX_VERTICES)
    if not {"x", "y", "z"} <= set(vertices.names):
        raise UserError(f"{path}: its vertices have no x y z")
    points = vertices.columns("x", "y", "z")
    require_finite(path, vertices=points)
    return points


def write_florence4d(root: Path | str, sequences: Iterable[MeshSequence], faces: Int[np.ndarray, "f 3"]) -> None:
    """Write expression sequences as Florence4D is laid out, as binary PLY."""
    triangles = np.zeros(len(faces), np.dtype([("n", "u1"), ("corners", "<i4", 3)]))
    triangles["n"], triangles["corners"] = 3, faces
    for sequence in sequences:
        folder = Path(root) / sequence.subject / sequence.name
        folder.mkdir(parents=True, exist_ok=True)
        header = (
            f"ply\nformat binary_little_endian 1.0\nelement vertex {len(sequence.template)}\n"
            "property float x\nproperty float y\nproperty float z\n"
            f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
        ).encode()
        for pose, offsets in enumerate(sequence.offsets):
            vertices = (sequence.template + offsets).astype("<f4")
            path = folder / f"{sequence.name}_{pose:02d}.ply"
            path.write_bytes(header + vertices.tobytes() + triangles.tobytes())
