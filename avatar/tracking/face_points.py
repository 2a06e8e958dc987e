"""Where the 468 landmarks lie on a head, and how that place moves with its shape and expression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from safetensors import SafetensorError
from safetensors.numpy import load_file

from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.correspondence import match_surfaces
from avatar.flame.head import HeadModel
from avatar.flame.rotations import axis_angle_to_matrix
from avatar.heads import open_head
from avatar.tracking.topology import COUNT

__all__ = ["FaceModel", "Landmarks", "PosedPoints", "closest_on_triangles", "tables"]

_JAW = 2
_STEP = 1e-3
_NEAR_CANDIDATES = 40


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Where each of the 468 landmarks lies on a head's mesh."""

    triangles: Int64[np.ndarray, "468"]
    barycentric: Float64[np.ndarray, "468 3"]
    spread_m: Float64[np.ndarray, "468"]
    """How much that place differs from person to person."""

    @classmethod
    def shipped(cls) -> Landmarks:
        """Of the generic head.

        Raises:
            UserError: if the table was made for another head than the one that ships.
        """
        found = tables()
        head, _ = open_head()
        if int(found["n_vertices"][0]) != head.n_vertices or int(found["n_faces"][0]) != len(head.faces):
            raise UserError("the tracking tables belong to another head model: gaussian-avatar train tracking")
        return cls(found["triangles"].astype(np.int64), found["barycentric"], found["spread_m"])

    @classmethod
    def on(cls, head: HeadModel) -> Landmarks:
        """Of any head in FLAME's layout: carried over from the generic head by the surfaces' correspondence."""
        ours, (generic, _) = cls.shipped(), open_head()
        if head.n_vertices == generic.n_vertices and torch.equal(head.faces, generic.faces):
            return ours
        match = match_surfaces(generic, head)
        rest = generic.v_template.double().numpy()
        places = np.einsum("vk,vkc->vc", match.weights, rest[match.corners])
        faces = head.faces.numpy()
        usable = np.flatnonzero(match.matched[faces].all(1))
        corners = places[faces[usable]]
        centres = corners.mean(1)
        triangles, barycentric = np.zeros(COUNT, np.int64), np.zeros((COUNT, 3))
        wanted = np.einsum("nk,nkc->nc", ours.barycentric, rest[generic.faces.numpy()[ours.triangles]])
        for i, place in enumerate(wanted):
            near = np.argsort(np.linalg.norm(centres - place, axis=1))[:_NEAR_CANDIDATES]
            weights, distance = closest_on_triangles(place, corners[near])
            best = int(distance.argmin())
            triangles[i], barycentric[i] = usable[near[best]], weights[best]
        return cls(triangles, barycentric, ours.spread_m * match.scale)

    def places(
        self, vertices: Float[np.ndarray, "v 3"], faces: Int64[np.ndarray, "f 3"]
    ) -> Float64[np.ndarray, "468 3"]:
        """The landmarks of a posed mesh."""
        return np.einsum("nk,nkc->nc", self.barycentric, vertices[faces[self.triangles]])


@dataclass(frozen=True, eq=False)
class PosedPoints:
    """The landmarks of one shape and expression, head upright, and what they do when these change."""

    points: Float64[np.ndarray, "468 3"]
    by_shape: Float64[np.ndarray, "468 3 s"]
    by_weight: Float64[np.ndarray, "468 3 52"]


class FaceModel:
    """A head cut down to its 468 landmarks, moved by shape coefficients and ARKit weights."""

    def __init__(self, head: HeadModel, arkit: ArkitMap, landmarks: Landmarks | None = None) -> None:
        self.arkit = arkit
        self.landmarks = Landmarks.on(head) if landmarks is None else landmarks
        corners = head.faces.numpy()[self.landmarks.triangles]

        def cut(values: torch.Tensor) -> np.ndarray:
            picked = values.double().numpy()[corners]
            return np.einsum("nk,nk...->n...", self.landmarks.barycentric, picked)

        self.n_shape = head.n_shape
        self._rest = cut(head.v_template)
        dirs = cut(head.shapedirs)
        self._shape, self._expression = dirs[..., : head.n_shape], dirs[..., head.n_shape :]
        self._by_weight = np.einsum("nce,we->ncw", self._expression, arkit.expression.astype(np.float64))
        self._posedirs = cut(head.posedirs).reshape(COUNT, 3, 4, 9)
        self._jaw_share = cut(head.lbs_weights)[:, _JAW]
        regressor = head.J_regressor.double()
        joints = regressor @ head.v_template.double()
        self._joints = joints.numpy()
        self._joints_by_shape = torch.einsum(
            "jv,vcs->jcs", regressor, head.shapedirs[..., : head.n_shape].double()
        ).numpy()
        self._turning = np.flatnonzero(np.abs(arkit.jaw).max(1) > 0)
        self.eye_radius_m, self._eyeballs = _eyeballs(head, self._joints)

    def eyeballs(self, shape: Float[np.ndarray, " s"]) -> Float64[np.ndarray, "2 3"]:
        """Centres of the right and the left eye."""
        return self._eyeballs + np.einsum("jcs,s->jc", self._joints_by_shape[[4, 3]], shape)

    def pose(
        self, shape: Float[np.ndarray, " s"], weights: Float[np.ndarray, "52"], derivatives: bool = True
    ) -> PosedPoints:
        """Landmarks in the head's frame, metres."""
        weights = np.asarray(weights, np.float64)
        unposed = self._rest + self._shape @ shape + self._by_weight @ weights
        pivot = self._joints[_JAW] + self._joints_by_shape[_JAW] @ shape
        points = self._skinned(unposed, pivot, weights)
        if not derivatives:
            return PosedPoints(points, np.zeros((COUNT, 3, 0)), np.zeros((COUNT, 3, 0)))
        jaw = axis_angle_to_matrix(weights @ self.arkit.jaw)
        blend = np.eye(3) + self._jaw_share[:, None, None] * (jaw - np.eye(3))
        moved_pivot = (jaw - np.eye(3)) @ self._joints_by_shape[_JAW]
        by_shape = blend @ self._shape - self._jaw_share[:, None, None] * moved_pivot
        by_weight = blend @ self._by_weight
        for k in self._turning:
            further = weights.copy()
            further[k] += _STEP
            by_weight[..., k] += (self._skinned(unposed, pivot, further) - points) / _STEP
        return PosedPoints(points, by_shape, by_weight)

    def _skinned(self, unposed: np.ndarray, pivot: np.ndarray, weights: np.ndarray) -> np.ndarray:
        turns = [
            axis_angle_to_matrix(weights @ table) - np.eye(3)
            for table in (self.arkit.jaw, self.arkit.leye, self.arkit.reye)
        ]
        corrected = unposed
        for joint, turn in enumerate(turns, start=1):
            if np.abs(turn).max() > 1e-9:
                corrected = corrected + self._posedirs[:, :, joint] @ turn.ravel()
        return corrected + self._jaw_share[:, None] * ((corrected - pivot) @ turns[0].T)


def _eyeballs(head: HeadModel, joints: np.ndarray) -> tuple[float, np.ndarray]:
    """Radius, and centres of the right and the left eye."""
    centres = joints[[4, 3]]
    regions = [head.regions.get(name) for name in ("eye_right", "eye_left")]
    if any(r is None or not len(r) for r in regions):
        return 0.012, centres
    rest = head.v_template.double().numpy()
    radii = [
        np.linalg.norm(rest[r.numpy()] - c, axis=1).mean()
        for r, c in zip(regions, centres, strict=True)
        if r is not None
    ]
    return float(np.mean(radii)), centres


def closest_on_triangles(
    point: Float[np.ndarray, "3"], corners: Float[np.ndarray, "m 3 3"]
) -> tuple[Float64[np.ndarray, "m 3"], Float64[np.ndarray, " m"]]:
    """Barycentric weights of the points of triangles near to one point (exact inside, clamped outside), and how far
    these are."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac, ap = b - a, c - a, point - a
    normal = np.cross(ab, ac)
    square = np.maximum((normal * normal).sum(1), 1e-30)
    w = (np.cross(ab, ap) * normal).sum(1) / square
    v = (np.cross(ap, ac) * normal).sum(1) / square
    weights = np.clip(np.stack([1 - v - w, v, w], 1), 0, None)
    weights /= weights.sum(1, keepdims=True)
    return weights, np.linalg.norm(np.einsum("mk,mkc->mc", weights, corners) - point, axis=1)


@lru_cache(maxsize=1)
def tables() -> dict[str, np.ndarray]:
    """What `gaussian-avatar train tracking` has learned from renders of the shipped avatars.

    Raises:
        UserError: if the file is missing or damaged.
    """
    path = Path(str(resources.files("avatar") / "tracking" / "tables.safetensors"))
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: the tracking tables cannot be read; reinstall the program") from error
