"""LAM avatars: a zip with a rigged face mesh and one Gaussian for each of its vertices.

The mesh becomes a head in FLAME's layout whose expression basis is its 51 ARKit morph targets; jaw and eyes are
morph targets too, so that only the neck turns by skinning. Each Gaussian is bound to one of the triangles around
its vertex: the one that follows the vertex best through all targets. Thereby Gaussians turn with the face, which
LAM's own formula (vertex + offset) leaves out.

Reference: He et al., "LAM: Large Avatar Model for One-shot Animatable Gaussian Head", SIGGRAPH 2025.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.binding import BoundGaussians, triangle_frames, unbind
from avatar.errors import UserError
from avatar.flame.arkit import NAMES, ArkitMap
from avatar.flame.head import HeadModel
from avatar.flame.margins import lid_margins, lip_margins
from avatar.formats.gaussian_ply import PlySplats, by_importance, read_splats
from avatar.formats.glb import Glb, read_glb
from avatar.formats.untrusted import Archive, refusing
from avatar.rig import Avatar

__all__ = ["load_lam"]

_SH_DC = 0.28209479177387814
_MAX_BYTES = 512 << 20
_MAX_VERTICES = 500_000
_LIDS = torch.tensor([0.0, 0.020, 0.040])  # between the lids of a head in this program's frame, metres
_EYE_DEPTH = 0.016  # of an eyeball's centre behind its lids
_LOOK_RAD = 0.25
_THINNEST_M = 1e-5
_REACH_M = {"mouthSmile": 0.0093}
"""How far people go who do it as strongly as they can: LAM's own smile stops at two thirds of that, so that hardly
anybody sees it at the size of a video call. Reference: as for `animation.lab.evaluation.emotion.NORMS`."""
_MOST_GAIN = 1.6
_ROOT = torch.tensor([0.0, -0.16, -0.030])
_NECK = torch.tensor([0.0, -0.055, -0.030])
_NECK_TURNS_Y = (-0.150, -0.075)  # below the first height nothing turns with the neck, above the second all does


@dataclass(frozen=True, eq=False)
class _Mesh:
    vertices: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    targets: dict[str, Float[Tensor, "v 3"]]


def load_lam(path: Path | str) -> Avatar:
    """Read a LAM zip.

    Returns:
        The avatar, its weak targets strengthened; `metadata["binding_error_mm"]` is the mean distance, over Gaussians
        and morph targets, between where it puts a Gaussian and LAM's own formula.

    Raises:
        UserError: if the zip, the mesh or the splats are damaged or do not belong together.
    """
    path = Path(path)
    archive = Archive(path, _MAX_BYTES)
    parts = {}
    for wanted in ("skin.glb", "offset.ply"):
        found = [n for n in archive.names if Path(n).name == wanted and not n.startswith("__MACOSX")]
        if len(found) != 1:
            problem = "has no" if not found else "has more than one"
            raise UserError(f"{path}: not a LAM avatar: the zip {problem} {wanted}")
        parts[wanted] = archive.read(found[0])
    mesh = _read_mesh(read_glb(path / "skin.glb", parts["skin.glb"]))
    splats = read_splats(path / "offset.ply", parts["offset.ply"])
    if len(splats.means) != len(mesh.vertices):
        raise UserError(
            f"{path}: {len(splats.means)} Gaussians in offset.ply for {len(mesh.vertices)} vertices in skin.glb; "
            "a LAM avatar has one for each"
        )
    with refusing(path, "a usable LAM avatar"):
        head = _head(mesh)
        gaussians, error_mm = _bind(head, splats, path)
        expression = np.zeros((len(NAMES), head.n_expression), np.float32)
        for column, name in enumerate(head.expression_names):
            expression[NAMES.index(name), column] = _gain(name, mesh.targets[name])
        leye, reye = _gaze()
        arkit = ArkitMap(expression, np.zeros((len(NAMES), 3), np.float32), leye, reye)
    metadata = {"source": "LAM", "binding_error_mm": round(error_mm, 4)}
    return Avatar(path.stem, head, gaussians, arkit, metadata=metadata)


def _gain(name: str, target: Float[Tensor, "v 3"]) -> float:
    """How many times a morph target is taken, so that a weight of 1 looks on this head as on others."""
    reach_m = _REACH_M.get(name.removesuffix("Left").removesuffix("Right"))
    return 1.0 if reach_m is None else min(max(reach_m / max(float(target.norm(dim=-1).max()), 1e-6), 1.0), _MOST_GAIN)


def _gaze() -> tuple[np.ndarray, np.ndarray]:
    """How far one unit of each eyeLook target turns an eye, radians.

    The targets move the eyeballs themselves, and no vertex is skinned to the eye joints; the angles are there for
    those who aim the eyes (idle motion) or report where they look (Live Link).
    """
    leye, reye = np.zeros((2, len(NAMES), 3), np.float32)
    for eye, side, outwards in ((leye, "Left", 1), (reye, "Right", -1)):
        eye[NAMES.index(f"eyeLookUp{side}"), 0] = -_LOOK_RAD
        eye[NAMES.index(f"eyeLookDown{side}"), 0] = _LOOK_RAD
        eye[NAMES.index(f"eyeLookOut{side}"), 1] = outwards * _LOOK_RAD
        eye[NAMES.index(f"eyeLookIn{side}"), 1] = -outwards * _LOOK_RAD
    return leye, reye


def _read_mesh(glb: Glb) -> _Mesh:
    with refusing(glb.path, "a rigged face mesh"):
        meshes = glb.items("meshes")
        if len(meshes) != 1 or len(meshes[0]["primitives"]) != 1:
            raise UserError(f"{glb.path}: expected one mesh of one part")
        mesh, primitive = meshes[0], meshes[0]["primitives"][0]
        names = mesh.get("extras", {}).get("targetNames", [])
        accessors = primitive.get("targets", [])
        if len(names) != len(accessors) or len(set(names)) != len(names):
            raise UserError(f"{glb.path}: {len(names)} target names for {len(accessors)} morph targets")
        if len(names) > 4 * len(NAMES):
            raise UserError(f"{glb.path}: {len(names)} morph targets; too many to accept")
        missing = [n for n in ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight") if n not in names]
        if missing:
            raise UserError(f"{glb.path}: lacks the ARKit morph targets {', '.join(missing)}")
        vertices = _vertices(glb, primitive["attributes"]["POSITION"])
        faces = glb.array(primitive["indices"])
        if faces.dtype.kind != "u" or faces.size == 0 or faces.size % 3 or int(faces.max()) >= len(vertices):
            raise UserError(f"{glb.path}: its triangles name vertices that it does not have")
        targets = {}
        for name, accessor in zip(names, accessors, strict=True):
            if name in NAMES:
                targets[name] = _vertices(glb, accessor["POSITION"])
                if targets[name].shape != vertices.shape:
                    raise UserError(f"{glb.path}: morph target {name} has another number of vertices")
        return _Mesh(vertices, torch.from_numpy(faces.reshape(-1, 3).astype(np.int64)), targets)


def _vertices(glb: Glb, accessor: int) -> Tensor:
    values = glb.array(accessor)
    if values.dtype != np.float32 or values.shape[1] != 3 or not 0 < len(values) <= _MAX_VERTICES:
        raise UserError(f"{glb.path}: positions of an unusual kind ({values.dtype} {values.shape})")
    if np.abs(values).max() > 100:
        raise UserError(f"{glb.path}: vertices lie more than 100 m away")
    return torch.from_numpy(values)


def _head(mesh: _Mesh) -> HeadModel:
    """A head in FLAME's layout, moved so that its eyes lie where this program's heads have theirs."""
    centres = []
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        moved = mesh.targets[name].norm(dim=-1)
        total = float(moved.sum())
        if total < 1e-6:
            raise ValueError(f"the morph target {name} moves nothing, so the eyes cannot be found")
        centres.append((moved[:, None] * mesh.vertices).sum(0) / total)
    shift = _LIDS - (centres[0] + centres[1]) / 2
    vertices = mesh.vertices + shift
    left, right = (centre + shift - torch.tensor([0.0, 0.0, _EYE_DEPTH]) for centre in centres)
    n = len(vertices)
    low, high = _NECK_TURNS_Y
    t = ((vertices[:, 1] - low) / (high - low)).clamp(0, 1)
    lbs_weights = torch.zeros(n, 5)
    lbs_weights[:, 1] = t * t * (3 - 2 * t)
    lbs_weights[:, 0] = 1 - lbs_weights[:, 1]
    names = tuple(name for name in NAMES if name in mesh.targets)
    basis = torch.stack([mesh.targets[name] for name in names], -1)
    return HeadModel(
        v_template=vertices,
        shapedirs=basis,
        n_shape=0,
        posedirs=torch.zeros(n, 3, 36),
        J_regressor=_regressor(vertices, torch.stack([_ROOT, _NECK, _NECK, left, right]), basis),
        lbs_weights=lbs_weights,
        faces=mesh.faces,
        uv=vertices[:, :2].contiguous(),
        faces_uv=mesh.faces,
        expression_names=names,
        regions={
            "face": basis.abs().amax((1, 2)).gt(1e-5).nonzero().squeeze(-1),
            **lip_margins(vertices, mesh.targets["jawOpen"]),
            **lid_margins(vertices, mesh.targets["eyeBlinkLeft"], mesh.targets["eyeBlinkRight"]),
        },
    )


def _regressor(vertices: Tensor, joints: Tensor, basis: Tensor) -> Tensor:
    """Rows of sum 1 that give `joints` from vertices which no morph target moves: joints then stay put."""
    still = (basis.abs().amax((1, 2)) < 1e-6).nonzero().squeeze(-1)
    if len(still) < 4:
        still = torch.arange(len(vertices))
    homogeneous = torch.cat([vertices[still], torch.ones(len(still), 1)], 1).double()
    goal = torch.cat([joints, torch.ones(len(joints), 1)], 1).double()
    rows = goal @ torch.linalg.pinv(homogeneous)  # the smallest weights that do it
    regressor = torch.zeros(len(joints), len(vertices))
    regressor[:, still] = rows.float()
    return regressor


def _bind(head: HeadModel, splats: PlySplats, path: Path) -> tuple[BoundGaussians, float]:
    """Gaussians in their triangles' frames, most important first, and the mean error in millimetres."""
    faces, n = head.faces, head.n_vertices
    corner = faces.T.reshape(-1)  # vertex of each (corner, triangle) pair
    triangle = torch.arange(len(faces)).repeat(3)
    neutral = triangle_frames(head.v_template, faces)
    centres = head.v_template + splats.means
    usable = neutral.scales > 1e-7
    if not bool(usable.any()):
        raise UserError(f"{path}: the mesh has no triangle of any size")
    local = (neutral.rotations[triangle].mT @ (centres[corner] - neutral.origins[triangle])[..., None]).squeeze(-1)
    local /= neutral.scales[triangle].clamp_min(1e-7)[:, None]
    square = torch.zeros(len(corner))
    for k in range(head.n_expression):
        move = head.shapedirs[..., k]
        frames = triangle_frames(head.v_template + move, faces)
        turned = (frames.rotations[triangle] @ local[..., None]).squeeze(-1)
        found = frames.scales[triangle][:, None] * turned + frames.origins[triangle]
        square += (found - (centres + move)[corner]).square().sum(-1)
    square[~usable[triangle]] = torch.inf
    square = square.nan_to_num(nan=torch.inf)
    order = torch.argsort(square, descending=True, stable=True)
    best = torch.full((n,), -1)
    best[corner[order]] = order  # the last write wins: the smallest error
    lonely = best < 0
    if bool(lonely.any()) or not bool(torch.isfinite(square[best]).all()):
        raise UserError(f"{path}: {int(lonely.sum())} vertices of the mesh lie on no usable triangle")
    triangles = triangle[best]
    sh = (splats.sh[:, :1] - 0.5) / _SH_DC  # LAM stores plain RGB where others have SH
    raw = splats.cloud()
    # Thinner than 10 micrometres nothing shows; LAM's e-24 metres would only coarsen the steps of our own file.
    cloud = replace(raw, means=centres, sh=sh, scales=raw.scales.clamp_min(_THINNEST_M))
    bound = unbind(cloud, neutral, triangles)
    bound = replace(bound, logit_opacities=splats.logit_opacities)
    error = (square[best] / max(head.n_expression, 1)).sqrt().mean()
    return by_importance(bound, cloud), float(error) * 1e3
