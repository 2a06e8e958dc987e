"""Where MediaPipe's 468 points lie on our head, without labelling by hand.

Renders of people whose mesh is known are tracked, the landmarks cast back onto the mesh that was seen, and their
places averaged on the generic head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avatar.camera import Camera
from avatar.creation.capture.depth import depth_picture, project
from avatar.flame.head import HeadModel
from avatar.tracking.face_points import Landmarks, closest_on_triangles
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.topology import COUNT, LOWER_LIDS, LOWER_LIP, UPPER_LIDS, UPPER_LIP

__all__ = ["Observations", "PlaceFinder"]

_LEAST_COSINE = 0.25
_REACH_PX = 8.0
"""Lips and lids touch: their landmarks go to the nearest place on the right one, up to so far away (at 360 px)."""
_NEAR_M = 0.003
_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class Observations:
    """Places on the generic head where a landmark was seen, metres, and how squarely."""

    landmark: Int64[np.ndarray, " n"]
    place: Float64[np.ndarray, "n 3"]
    weight: Float64[np.ndarray, " n"]


class PlaceFinder:
    """Casts landmarks back onto meshes with the generic head's topology."""

    def __init__(self, head: HeadModel) -> None:
        self.head = head
        self._faces = head.faces.numpy()
        regions = {name: set(index.tolist()) for name, index in head.regions.items()}

        def inside(name: str) -> Bool[np.ndarray, " f"]:
            return np.asarray(np.isin(self._faces, list(regions[name])).all(1))

        self._skin = inside("skin")
        self._own: dict[int, Int64[np.ndarray, " n"]] = {}
        parts = [("upper_lip", UPPER_LIP), ("lower_lip", LOWER_LIP)]
        for side, name in enumerate(("right", "left")):
            parts += [(f"upper_lid_{name}", UPPER_LIDS[side]), (f"lower_lid_{name}", LOWER_LIDS[side])]
        for name, rows in parts:
            triangles = np.flatnonzero(inside(name) & self._skin)
            self._own |= {int(i): triangles for i in rows}

    def observe(self, landmarks: FaceLandmarks, camera: Camera, vertices: Float64[np.ndarray, "v 3"]) -> Observations:
        """What one picture says."""
        pixels, _ = project(vertices, camera)
        corners = vertices[self._faces]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-20
        to_eye = camera.position - corners.mean(1)
        cosine = (normal * to_eye).sum(1) / np.linalg.norm(to_eye, axis=1)
        flat = np.concatenate([pixels[self._faces], np.zeros((*self._faces.shape, 1))], 2)
        middle = flat[..., :2].mean(1)
        hit = depth_picture(vertices, self._faces, camera).triangles
        x, y = (landmarks.points[:, i].astype(int).clip(0, n - 1) for i, n in enumerate((camera.width, camera.height)))
        rows, places, weights = [], [], []
        rest = self.head.v_template.double().numpy()
        for i in range(COUNT):
            target = landmarks.points[i, :2]
            own = self._own.get(i)
            if own is None:
                near = hit[y[i], x[i], None]
                if near[0] < 0 or not self._skin[near[0]]:
                    continue
            else:
                near = own[cosine[own] > _LEAST_COSINE]
                near = near[np.argsort(np.abs(middle[near] - target).max(1))[:24]]
            near = near[cosine[near] > _LEAST_COSINE]
            if not len(near):
                continue
            share, distance = closest_on_triangles(np.array([*target, 0.0]), flat[near])
            best = int(distance.argmin())
            if distance[best] > _REACH_PX * camera.width / 360:
                continue
            triangle = near[best]
            rows.append(i)
            places.append(share[best] @ rest[self._faces[triangle]])
            weights.append(cosine[triangle] ** 2)
        return Observations(np.array(rows, np.int64), np.array(places).reshape(-1, 3), np.array(weights))

    def average(self, seen: Sequence[Observations], person: Sequence[int]) -> Landmarks:
        """The places that all pictures agree on best.

        Args:
            person: who was seen in each.

        Raises:
            ValueError: if a landmark was never seen.
        """
        landmark = np.concatenate([o.landmark for o in seen])
        place = np.concatenate([o.place for o in seen])
        weight = np.concatenate([o.weight for o in seen])
        who = np.repeat(np.asarray(person), [len(o.landmark) for o in seen])
        rest = self.head.v_template.double().numpy()
        centres = rest[self._faces].mean(1)
        everywhere = np.flatnonzero(self._skin)
        triangles, barycentric, spread = np.zeros(COUNT, np.int64), np.zeros((COUNT, 3)), np.zeros(COUNT)
        for i in range(COUNT):
            mine = landmark == i
            if not mine.any():
                raise ValueError(f"landmark {i} was never seen on the head")
            points, squarely, whose = place[mine], weight[mine], who[mine]
            mean = np.median(points, 0)
            share = squarely
            for _ in range(_ROUNDS):  # far-off observations count less
                far = np.linalg.norm(points - mean, axis=1)
                share = squarely / (1 + (far / _NEAR_M) ** 2)
                mean = share @ points / share.sum()
            allowed = self._own.get(i, everywhere)
            near = allowed[np.argsort(np.linalg.norm(centres[allowed] - mean, axis=1))[:40]]
            found, distance = closest_on_triangles(mean, rest[self._faces[near]])
            best = int(distance.argmin())
            triangles[i], barycentric[i] = near[best], found[best]
            means = np.array([np.average(points[whose == w], 0, share[whose == w]) for w in np.unique(whose)])
            spread[i] = np.sqrt(np.square(means - mean).sum(1).mean())
        return Landmarks(triangles, barycentric, spread)
