"""Small files of the formats that users bring along, made from random numbers."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch

from avatar.binding import BoundGaussians
from avatar.flame.arkit import NAMES
from avatar.formats.gaussian_ply import write_bound
from avatar.formats.glb import GlbWriter
from tests.avatar.synthetic import make_head

LAM_NAMES = tuple(reversed(NAMES[:-1]))
"""LAM's 51 morph targets (all but tongueOut), in an order that is not ours."""


def write_lam_glb(
    path: Path, side: int = 6, seed: int = 0, names: tuple[str, ...] = LAM_NAMES, still: str | None = None
) -> np.ndarray:
    """A sheet with morph targets, its eyes at (+-0.03, 1.7, 0); returns the targets (n, v, 3).

    Args:
        still: a target that moves nothing.
    """
    rng = np.random.default_rng(seed)
    head = make_head(side=side, seed=seed)
    vertices = (head.v_template + torch.tensor([0.0, 1.7, 0.0])).numpy()
    targets = rng.normal(0, 0.003, (len(names), len(vertices), 3)).astype(np.float32)
    targets[:, rng.random(len(vertices)) < 0.5] = 0
    for name, x in (("eyeBlinkLeft", 0.03), ("eyeBlinkRight", -0.03)):
        near = np.argsort(np.linalg.norm(vertices - [x, 1.7, 0.0], axis=1))[:3]
        targets[names.index(name)] = 0
        targets[names.index(name), near, 1] = -0.004
    if still is not None:
        targets[names.index(still)] = 0
    writer = GlbWriter()
    primitive = {
        "attributes": {"POSITION": writer.array(vertices, vertices=True)},
        "indices": writer.array(head.faces.numpy().astype(np.uint16).reshape(-1), index=True),
        "targets": [{"POSITION": writer.sparse(target, 0.0)} for target in targets],
    }
    writer.add("meshes", {"primitives": [primitive], "extras": {"targetNames": list(names)}})
    writer.save(path)
    return targets


def write_offset_ply(path: Path, n: int, seed: int = 0) -> np.ndarray:
    """One splat for each vertex, in LAM's 17 properties; returns the table (n, 17)."""
    rng = np.random.default_rng(seed)
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"]
    names += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    table = np.concatenate(
        [
            rng.normal(0, 0.002, (n, 3)),
            np.zeros((n, 3)),
            rng.random((n, 3)),
            rng.normal(0, 2, (n, 1)),
            rng.normal(-6, 0.5, (n, 3)),
            rng.normal(size=(n, 4)),
        ],
        1,
    ).astype("<f4")
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {n}", *(f"property float {p}" for p in names)]
    path.write_bytes(("\n".join([*header, "end_header"]) + "\n").encode() + table.tobytes())
    return table


def write_lam(
    path: Path, side: int = 6, seed: int = 0, names: tuple[str, ...] = LAM_NAMES
) -> tuple[np.ndarray, np.ndarray]:
    """A LAM zip; returns its morph targets and its splats."""
    folder = path.parent
    targets = write_lam_glb(folder / "skin.glb", side, seed, names)
    table = write_offset_ply(folder / "offset.ply", side * side, seed)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("skin.glb", "offset.ply"):
            file.write(folder / name, f"someone/{name}")
            (folder / name).unlink()
        file.writestr("__MACOSX/someone/offset.ply", b"resource fork")
        file.writestr("someone/vertex_order.json", "[]")
    return targets, table


def make_gaussians(n: int, n_faces: int, sh: int = 16, seed: int = 0) -> BoundGaussians:
    """Random bound Gaussians with unnormalised quaternions, as training leaves them."""
    g = torch.Generator().manual_seed(seed)
    return BoundGaussians(
        0.3 * torch.randn(n, 3, generator=g),
        torch.randn(n, 4, generator=g),
        torch.randn(n, 3, generator=g) - 2,
        2 * torch.randn(n, generator=g),
        0.3 * torch.randn(n, sh, 3, generator=g),
        torch.randint(0, n_faces, (n,), generator=g),
    )


def write_ply(path: Path, n: int = 20, n_faces: int = 50, seed: int = 0) -> BoundGaussians:
    """A GaussianAvatars PLY."""
    gaussians = make_gaussians(n, n_faces, seed=seed)
    write_bound(path, gaussians)
    return gaussians
