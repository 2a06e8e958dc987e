"""Fit the 52 ARKit blendshapes to a head whose expression basis is another: FLAME's, above all.

The blendshapes are known as displacement fields on our own head. Carried over to the other head's vertices, each is
approached by regularised least squares with that head's expression directions, and with its jaw for those that
move the jaw. Gaze turns the eyes by the same angles.

Reference: the linear map of blendshapes to FLAME's expression and jaw of Mao et al., arXiv 2510.25234; the
regularisation and the treatment of jaw and eyes are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float32
from scipy.spatial import cKDTree

from avatar.flame.arkit import NAMES, ArkitMap
from avatar.flame.correspondence import Correspondence, match_surfaces
from avatar.flame.head import HeadModel
from avatar.flame.params import FlameParams

__all__ = ["ArkitFit", "fit_arkit", "fit_fields", "transfer_regions"]

_JAW_UNITS = ("jawOpen", "jawForward", "jawLeft", "jawRight")
_STEP_RAD = np.array([0.25, 0.05, 0.05])
_MOVES_M = 1e-4  # vertices that a blendshape moves by less do not count in its residual
_NEAR_M = 0.004
_TURNS_M = 1e-4  # a radian of the jaw that moves no vertex by more moves nothing: that jaw is among the expressions


@dataclass(frozen=True, eq=False)
class ArkitFit:
    """A fitted map and how well it does."""

    arkit: ArkitMap
    residual_mm: dict[str, float]
    """For each blendshape, RMS over the vertices that it should move, at full weight."""
    size_mm: dict[str, float]
    """For each blendshape, RMS of the motion that it should make: a residual near it means that nothing fits."""
    matched: float
    """Share of the target's vertices that have a counterpart."""

    def summary(self) -> str:
        """One line for a person."""
        worst = sorted(self.residual_mm, key=lambda n: -self.residual_mm[n])[:3]
        shares = ", ".join(f"{n} ({self.residual_mm[n]:.2f} of {self.size_mm[n]:.2f})" for n in worst)
        return (
            f"ARKit fit: {self.arkit.residual_mm:.2f} mm RMS left of {_rms(self.size_mm):.2f} mm of motion; "
            f"least well: {shares}"
        )


def fit_arkit(
    source: HeadModel, arkit: ArkitMap, target: HeadModel, ridge: float = 1e-3, match: Correspondence | None = None
) -> ArkitFit:
    """The ARKit map of another head.

    Args:
        source: our own head, with regions.
        arkit: its map.
        target: the head to fit, with paired inner lips as regions.
        ridge: weight of the penalty on coefficients, relative to the mean power of the basis.
        match: of their surfaces; found here if None.
    """
    match = match_surfaces(source, target) if match is None else match
    poses = arkit.params(np.eye(len(NAMES), dtype=np.float32))
    rest = source.v_template.numpy()
    fields = {}
    for i, name in enumerate(NAMES):
        fields[name] = match.carry(source.vertices(_row(poses, i)).numpy() - rest)
    expression, jaw, left = fit_fields(target, match, fields, ridge)
    size = {name: _moving_rms(match, fields[name], fields[name]) for name in NAMES}
    fitted = ArkitMap(
        expression,
        jaw,
        arkit.leye,
        arkit.reye,
        target.n_shape,
        residual_mm=_rms({n: r for n, r in left.items() if size[n] > 0}),
    )
    return ArkitFit(fitted, left, size, float(match.matched.mean()))


def fit_fields(
    target: HeadModel,
    match: Correspondence,
    fields: Mapping[str, np.ndarray],
    ridge: float = 1e-3,
) -> tuple[Float32[np.ndarray, "n e"], Float32[np.ndarray, "n 3"], dict[str, float]]:
    """Express displacement fields on a head's vertices by its expression and jaw.

    Args:
        fields: by name, (V, 3) metres at the target's vertices. Those named as ARKit's jaw blendshapes may turn
            the jaw; all others must do with the expression directions.

    Returns:
        Expression coefficients, jaw rotations (radians), and the RMS error of each field in millimetres.
    """
    rows = np.repeat(match.matched, 3)
    basis = target.shapedirs[..., target.n_shape :].reshape(-1, target.n_expression).double().numpy()[rows]
    penalty = ridge * float(np.square(basis).sum(0).mean())
    gram = basis.T @ basis + penalty * np.eye(basis.shape[1])
    turns = _jaw_columns(target)[rows]
    has_jaw = bool(np.abs(turns).max(initial=0) > _TURNS_M)
    expression = np.zeros((len(fields), target.n_expression), np.float32)
    jaw = np.zeros((len(fields), 3), np.float32)
    left = {}
    for i, (name, field) in enumerate(fields.items()):
        wanted = field.reshape(-1)[rows]
        if has_jaw and name in _JAW_UNITS:
            both = np.concatenate([turns, basis], 1)
            free = np.diag(np.concatenate([np.full(3, 1e-9), np.full(basis.shape[1], penalty)]))
            found = np.linalg.solve(both.T @ both + free, both.T @ wanted)
            jaw[i], expression[i] = found[:3], found[3:]
            # Turning is not linear: with the angle settled, the expression makes up for the rest.
            turned = _turned(target, found[:3].astype(np.float32)).reshape(-1)[rows]
            expression[i] = np.linalg.solve(gram, basis.T @ (wanted - turned))
        else:
            turned = 0.0
            expression[i] = np.linalg.solve(gram, basis.T @ wanted)
        error = np.zeros_like(field)
        error[match.matched] = (basis @ expression[i] + turned - wanted).reshape(-1, 3)
        left[name] = _moving_rms(match, field, error)
    return expression, jaw, left


def transfer_regions(source: HeadModel, target: HeadModel, match: Correspondence) -> HeadModel:
    """Name the target's vertices as the source's skin is named, where it has no region of that name yet.

    A vertex belongs to a region if its place on the source does, or if it is the nearest to one of the region's.
    """
    rows = np.flatnonzero(match.matched)
    owner = match.corners[rows, match.weights[rows].argmax(1)]
    points = source.v_template.double().numpy()
    places = np.einsum("vk,vkc->vc", match.weights[rows], points[match.corners[rows]])
    tree = cKDTree(places)
    skin = source.regions["skin"].numpy()
    regions = dict(target.regions)
    for name, members in source.regions.items():
        inside = members.numpy()
        if name in regions or np.isin(inside, skin).mean() < 0.5:
            continue
        distance, nearest = tree.query(points[inside])
        found = np.union1d(rows[np.isin(owner, inside)], rows[nearest[distance < _NEAR_M]])
        if len(found):
            regions[name] = torch.from_numpy(found)
    return replace(target, regions=regions)


def _row(poses: FlameParams, i: int) -> FlameParams:
    return FlameParams(
        poses.shape[i], poses.expression[i], poses.global_orient[i], poses.neck_pose[i], poses.jaw_pose[i],
        poses.leye_pose[i], poses.reye_pose[i], poses.transl[i],
    )  # fmt: skip


def _turned(head: HeadModel, jaw_pose: np.ndarray) -> np.ndarray:
    """Displacements (V, 3) of a jaw rotation alone."""
    moved = head.vertices(head.neutral().replace(jaw_pose=jaw_pose)) - head.v_template
    return moved.double().numpy()


def _jaw_columns(head: HeadModel) -> np.ndarray:
    """Displacement per radian about each axis, (V * 3, 3), as a secant over the usual range."""
    columns = [
        _turned(head, (step * axis).astype(np.float32)) / step for step, axis in zip(_STEP_RAD, np.eye(3), strict=True)
    ]
    return np.stack(columns, -1).reshape(-1, 3)


def _moving_rms(match: Correspondence, field: np.ndarray, values: np.ndarray) -> float:
    moving = match.matched & (np.linalg.norm(field, axis=1) > _MOVES_M)
    return float(np.sqrt(np.square(values[moving]).sum(1).mean()) * 1e3) if moving.any() else 0.0


def _rms(values: Mapping[str, float]) -> float:
    return float(np.sqrt(np.mean(np.square(list(values.values()))))) if values else 0.0
