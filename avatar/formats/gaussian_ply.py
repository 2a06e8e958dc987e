"""Splats in PLY files: Inria's layout, with GaussianAvatars' triangle bindings where there are any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from avatar.binding import BoundGaussians
from avatar.cloud import GaussianCloud
from avatar.errors import UserError
from avatar.formats.ply import PlyVertices, parse_vertices
from avatar.formats.untrusted import read_bytes, refusing

__all__ = ["PlySplats", "by_importance", "read_splats", "write_bound", "write_cloud"]

MAX_SPLATS = 4_000_000
_REST = {0: 1, 9: 4, 24: 9, 45: 16}


@dataclass(frozen=True, eq=False)
class PlySplats:
    """What a splat PLY holds: raw values (log scales, logit opacities), in the file's own order and frame."""

    means: Float32[Tensor, "n 3"]
    quats: Float32[Tensor, "n 4"]
    log_scales: Float32[Tensor, "n 3"]
    logit_opacities: Float32[Tensor, " n"]
    sh: Float32[Tensor, "n k 3"]
    triangles: Int64[Tensor, " n"] | None
    comments: tuple[str, ...]

    def comment(self, key: str) -> str | None:
        """The rest of the first comment line that begins with `key`."""
        return next((c[len(key) :].strip() for c in self.comments if c.startswith(key)), None)

    def bound(self, n_faces: int, path: Path | str) -> BoundGaussians:
        """The splats as Gaussians of a head with `n_faces` triangles.

        Raises:
            UserError: if they are not bound to triangles, or to others than the head has.
        """
        if self.triangles is None:
            raise UserError(
                f"{path}: a plain splat scene: its Gaussians are bound to no face (there is no binding_0), so nothing "
                "moves them; take an avatar that GaussianAvatars has trained"
            )
        low, high = int(self.triangles.min()), int(self.triangles.max())
        if low < 0 or high >= n_faces:
            raise UserError(f"{path}: bound to triangles {low}..{high}, but the head has 0..{n_faces - 1}")
        return BoundGaussians(self.means, self.quats, self.log_scales, self.logit_opacities, self.sh, self.triangles)

    def cloud(self) -> GaussianCloud:
        """The splats as a cloud in the file's frame (bindings ignored)."""
        return GaussianCloud(
            self.means,
            torch.nn.functional.normalize(self.quats, dim=-1),
            self.log_scales.exp(),
            self.logit_opacities.sigmoid(),
            self.sh,
        )


def read_splats(path: Path | str, data: bytes | None = None) -> PlySplats:
    """Read a splat PLY.

    Args:
        data: the file's contents where they do not lie on disk (inside a zip); `path` then only names it.

    Raises:
        UserError: if it is no such file, truncated, or holds unusable values.
    """
    raw = read_bytes(path) if data is None else data
    if b"packed_position" in raw[: raw.find(b"end_header") + 1]:
        raise UserError(f"{path}: a compressed PLY, as SuperSplat writes it; export it uncompressed")
    with refusing(path, "a splat PLY"):
        vertices = parse_vertices(raw, path, MAX_SPLATS)
        missing = [n for n in ("x", "y", "z", "opacity", "scale_0", "rot_3", "f_dc_0") if n not in vertices.names]
        if missing:
            raise UserError(f"{path}: a PLY, but not of Gaussian splats (it has no {', '.join(missing)})")
        splats = _splats(vertices, path)
    for field in ("means", "quats", "log_scales", "logit_opacities", "sh"):
        if not torch.isfinite(getattr(splats, field)).all():
            raise UserError(f"{path}: {field} of some splats are not finite")
    if bool((splats.quats.norm(dim=-1) < 1e-12).any()):
        raise UserError(f"{path}: some splats have a zero quaternion")
    if float(splats.log_scales.max()) > 20 or float(splats.means.abs().max()) > 1e6:
        raise UserError(f"{path}: some splats are absurdly large or far away")
    return splats


def write_bound(path: Path | str, gaussians: BoundGaussians, comments: Sequence[str] = ()) -> None:
    """Write an avatar's Gaussians as GaussianAvatars does: 63 properties, SH padded with zeros to degree 3."""
    g = gaussians
    binding = g.triangles.to(torch.float32)[:, None]
    _write(path, g.means, g.quats, g.log_scales, g.logit_opacities, g.sh, binding, comments)


def write_cloud(path: Path | str, cloud: GaussianCloud, comments: Sequence[str] = ()) -> None:
    """Write a posed cloud as Inria's 62 properties, readable by splat viewers."""
    opacities = cloud.opacities.clamp(1e-6, 1 - 1e-6).logit()
    _write(path, cloud.means, cloud.quats, cloud.scales.clamp_min(1e-12).log(), opacities, cloud.sh, None, comments)


def by_importance(bound: BoundGaussians, cloud: GaussianCloud) -> BoundGaussians:
    """Sort by what a Gaussian adds to a picture, largest first: opacity times the root of its area.

    The area itself would leave out the eyes, whose Gaussians are small, before anything else: on a LAM avatar the
    first quarter is then 4 % further from the full picture, the first half 40 %.
    """
    area = cloud.scales.topk(2, dim=-1).values.prod(-1)
    order = torch.argsort(cloud.opacities * area.sqrt(), descending=True, stable=True)
    return BoundGaussians(
        bound.means[order],
        bound.quats[order],
        bound.log_scales[order],
        bound.logit_opacities[order],
        bound.sh[order],
        bound.triangles[order],
    )


def _splats(vertices: PlyVertices, path: Path | str) -> PlySplats:
    def columns(*wanted: str) -> Tensor:
        return torch.from_numpy(vertices.columns(*wanted))

    n_rest = sum(n.startswith("f_rest_") for n in vertices.names)
    if n_rest not in _REST:
        raise UserError(f"{path}: {n_rest} f_rest properties; 0, 9, 24 or 45 are understood")
    sh = columns("f_dc_0", "f_dc_1", "f_dc_2")[:, None]
    if n_rest:
        rest = columns(*(f"f_rest_{i}" for i in range(n_rest)))
        sh = torch.cat([sh, rest.reshape(len(rest), 3, n_rest // 3).mT], 1)
    triangles = None
    if "binding_0" in vertices.names:
        stored = vertices.table["binding_0"].astype(np.float64)
        if not np.isfinite(stored).all() or (stored != np.floor(stored)).any() or np.abs(stored).max() > 2**31:
            raise UserError(f"{path}: binding_0 holds values that are no triangle numbers")
        triangles = torch.from_numpy(stored.astype(np.int64))
    return PlySplats(
        columns("x", "y", "z"),
        columns("rot_0", "rot_1", "rot_2", "rot_3"),
        columns("scale_0", "scale_1", "scale_2"),
        columns("opacity")[:, 0],
        _without_empty_bands(sh).contiguous(),
        triangles,
        vertices.comments,
    )


def _without_empty_bands(sh: Tensor) -> Tensor:
    """Leave out the highest SH bands where they are zero throughout: they cost time and change nothing."""
    for smaller in (9, 4, 1):
        if sh.shape[1] > smaller and bool(sh[:, smaller:].any()):
            break
        sh = sh[:, :smaller]
    return sh


def _write(
    path: Path | str,
    means: Tensor,
    quats: Tensor,
    log_scales: Tensor,
    logit_opacities: Tensor,
    sh: Tensor,
    binding: Tensor | None,
    comments: Sequence[str],
) -> None:
    n = means.shape[0]
    padded = torch.zeros(n, 16, 3)
    padded[:, : sh.shape[1]] = sh
    columns = [means, torch.zeros(n, 3), padded[:, 0], padded[:, 1:].mT.reshape(n, 45), logit_opacities[:, None]]
    columns += [log_scales, quats]
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(45))]
    names += ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    if binding is not None:
        columns.append(binding)
        names.append("binding_0")
    header = ["ply", "format binary_little_endian 1.0", *(f"comment {' '.join(c.split())}" for c in comments)]
    header += [f"element vertex {n}", *(f"property float {name}" for name in names), "end_header", ""]
    body = torch.cat(columns, 1).detach().cpu().numpy().astype("<f4")
    Path(path).write_bytes("\n".join(header).encode("ascii", "replace") + body.tobytes())
