"""The fast path of posing: parameters to vertices to triangle frames, in numba.

Its readable twin is the torch path: `HeadModel.vertices` and `avatar.binding.triangle_frames`. Binding and spherical
harmonics follow in each renderer's projection, so that Gaussians out of sight cost little. On one thread: it takes
less than half a millisecond, and waiting for a second thread can take longer.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32

from avatar.flame.head import PARENTS, HeadModel
from avatar.flame.params import FlameParams
from avatar.render.compilation import kernel

__all__ = ["FastHead"]

f32 = np.float32
_CHUNK = 256  # vertices at a time: their coordinates stay in the first-level cache
_PARENTS = np.array(PARENTS, np.int64)
_N_CORRECTIONS = 9 * (len(PARENTS) - 1)
_WORLD = np.ascontiguousarray(np.eye(4, dtype=np.float32)[:3])


@kernel
def _joint_transforms(pose, joints, transl, view, parents, feature, transforms, offset):
    """Rotations to pose feature (36,) and joint transforms (5, 12), both seen through `view` (3, 4).

    `offset` (3,) is what is added to every vertex after skinning: the translation, seen through `view`.
    """
    local = np.empty((5, 3, 3), np.float64)
    world = np.empty((5, 3, 3), np.float64)
    position = np.empty((5, 3), np.float64)
    for j in range(5):
        x = np.float64(pose[j, 0])
        y = np.float64(pose[j, 1])
        z = np.float64(pose[j, 2])
        square = x * x + y * y + z * z
        angle = math.sqrt(square)
        if square < 1e-8:
            a = np.float64(1 - square / 6)
            b = np.float64(0.5 - square / 24)
        else:
            a = np.float64(math.sin(angle) / angle)
            b = np.float64((1 - math.cos(angle)) / square)
        r = local[j]
        r[0, 0] = 1 - b * (y * y + z * z)
        r[0, 1] = b * x * y - a * z
        r[0, 2] = b * x * z + a * y
        r[1, 0] = b * x * y + a * z
        r[1, 1] = 1 - b * (x * x + z * z)
        r[1, 2] = b * y * z - a * x
        r[2, 0] = b * x * z - a * y
        r[2, 1] = b * y * z + a * x
        r[2, 2] = 1 - b * (x * x + y * y)
        if j > 0:
            for i in range(9):
                feature[9 * (j - 1) + i] = f32(r[i // 3, i % 3] - (1.0 if i % 4 == 0 else 0.0))
        parent = parents[j]
        for i in range(3):
            if parent < 0:
                position[j, i] = joints[j, i]
                for k in range(3):
                    world[j, i, k] = r[i, k]
            else:
                position[j, i] = position[parent, i]
                for k in range(3):
                    position[j, i] += world[parent, i, k] * (joints[j, k] - joints[parent, k])
                    world[j, i, k] = 0.0
                    for m in range(3):
                        world[j, i, k] += world[parent, i, m] * r[m, k]
    for j in range(5):
        for i in range(3):
            shift = np.float64(0)
            for k in range(3):
                value = np.float64(0)
                for m in range(3):
                    value += view[i, m] * world[j, m, k]
                transforms[j, 4 * i + k] = f32(value)
                shift += view[i, k] * position[j, k] - value * joints[j, k]
            transforms[j, 4 * i + 3] = f32(shift)
    for i in range(3):
        total = np.float64(view[i, 3])
        for k in range(3):
            total += view[i, k] * np.float64(transl[k])
        offset[i] = f32(total)


@kernel
def _skin(base, directions, active, coefficients, weights, transforms, offset, vertices):
    """Blend directions into `base` (3 V,) and skin: `vertices` (V, 3) out.

    Args:
        directions: (D, 3 V).
        active: (A,) which directions have coefficients other than zero.
        coefficients: (A,).
    """
    n = vertices.shape[0]
    for chunk in range((n + _CHUNK - 1) // _CHUNK):
        begin = chunk * _CHUNK
        end = min(begin + _CHUNK, n)
        shaped = base[3 * begin : 3 * end].copy()
        for a in range(active.shape[0]):
            row = directions[active[a], 3 * begin : 3 * end]
            c = coefficients[a]
            for i in range(shaped.shape[0]):
                shaped[i] += c * row[i]
        for v in range(begin, end):
            x = shaped[3 * (v - begin)]
            y = shaped[3 * (v - begin) + 1]
            z = shaped[3 * (v - begin) + 2]
            for i in range(3):
                total = offset[i]
                for j in range(5):
                    total += weights[v, j] * (
                        transforms[j, 4 * i] * x
                        + transforms[j, 4 * i + 1] * y
                        + transforms[j, 4 * i + 2] * z
                        + transforms[j, 4 * i + 3]
                    )
                vertices[v, i] = total


@kernel
def _frames(vertices, faces, frames):
    """Triangle frames as matrices [scale * rotation | origin] (F, 12), rows; see `avatar.binding.triangle_frames`."""
    for f in range(faces.shape[0]):
        a = np.uintp(faces[f, 0])
        b = np.uintp(faces[f, 1])
        c = np.uintp(faces[f, 2])
        ex = vertices[b, 0] - vertices[a, 0]
        ey = vertices[b, 1] - vertices[a, 1]
        ez = vertices[b, 2] - vertices[a, 2]
        sx = vertices[c, 0] - vertices[a, 0]
        sy = vertices[c, 1] - vertices[a, 1]
        sz = vertices[c, 2] - vertices[a, 2]
        edge = np.sqrt(ex * ex + ey * ey + ez * ez)
        inverse = f32(1) / max(edge, f32(1e-20))
        ex *= inverse
        ey *= inverse
        ez *= inverse
        nx = ey * sz - ez * sy
        ny = ez * sx - ex * sz
        nz = ex * sy - ey * sx
        inverse = f32(1) / max(np.sqrt(nx * nx + ny * ny + nz * nz), f32(1e-20))
        nx *= inverse
        ny *= inverse
        nz *= inverse
        px = ey * nz - ez * ny
        py = ez * nx - ex * nz
        pz = ex * ny - ey * nx
        scale = f32(0.5) * (edge + abs(px * sx + py * sy + pz * sz))
        third = f32(1 / 3)
        frames[f, 0] = scale * ex
        frames[f, 1] = scale * nx
        frames[f, 2] = scale * px
        frames[f, 3] = (vertices[a, 0] + vertices[b, 0] + vertices[c, 0]) * third
        frames[f, 4] = scale * ey
        frames[f, 5] = scale * ny
        frames[f, 6] = scale * py
        frames[f, 7] = (vertices[a, 1] + vertices[b, 1] + vertices[c, 1]) * third
        frames[f, 8] = scale * ez
        frames[f, 9] = scale * nz
        frames[f, 10] = scale * pz
        frames[f, 11] = (vertices[a, 2] + vertices[b, 2] + vertices[c, 2]) * third


class FastHead:
    """A head prepared for posing many times. Not for two threads at once.

    What other fast paths build on is public: a posed vertex is the sum over joints of weight times transform (3 x 4)
    applied to `base` plus `directions` blended with `coefficients`, after `drive`.
    """

    def __init__(self, head: HeadModel, static_offset: np.ndarray | None = None) -> None:
        """
        Args:
            static_offset: per-vertex offset (V, 3) of the unposed head, metres.
        """

        def array(value: object) -> np.ndarray:
            return np.ascontiguousarray(np.asarray(value), np.float32)

        v = head.n_vertices
        self._n_shape, self._n_expression = head.n_shape, head.n_expression
        self._tongue = head.tongue
        shapedirs = array(head.shapedirs.cpu()).reshape(3 * v, -1)
        posedirs = array(head.posedirs.cpu()).reshape(3 * v, 36)
        tongue = np.zeros((3 * v, 0)) if head.tongue is None else array(head.tongue.directions.cpu()).reshape(3 * v, -1)
        regressor = head.J_regressor.cpu().numpy().astype(np.float64)
        template = array(head.v_template.cpu()).copy()
        if static_offset is not None:
            template += array(static_offset)
        self._template = template.reshape(-1)
        self._identity = np.ascontiguousarray(shapedirs[:, : self._n_shape])
        self._joint_template = regressor @ template
        self._joint_directions = np.einsum("jv,vcd->jcd", regressor, shapedirs.reshape(v, 3, -1).astype(np.float64))
        self._joint_base = self._joint_template
        self._shape: np.ndarray | None = None
        self.base: Float32[np.ndarray, " v*3"] = self._template
        """The unposed surface of the last shape, without expression: another array for another shape."""
        self.directions: Float32[np.ndarray, "d v*3"] = array(
            np.concatenate([shapedirs[:, self._n_shape :], posedirs, tongue], 1).T
        )
        """Expressions, corrections by pose, then what raises the tip of the tongue."""
        self.weights: Float32[np.ndarray, "v 5"] = array(head.lbs_weights.cpu())
        self.faces = np.ascontiguousarray(head.faces.cpu().numpy(), np.int32)
        self.coefficients = np.zeros(len(self.directions), np.float32)
        """Of `directions`, as `drive` left them."""
        self.transforms: Float32[np.ndarray, "5 12"] = np.zeros((5, 12), np.float32)
        """What each joint does to a vertex, 3 x 4, rows, as `drive` left it."""
        self.offset = np.zeros(3, np.float32)
        """What is added after skinning, metres, as `drive` left it."""
        self._vertices = np.zeros((v, 3), np.float32)
        self._matrices = np.zeros((len(self.faces), 12), np.float32)

    def _set_shape(self, shape: np.ndarray) -> None:
        if self._shape is not None and np.array_equal(shape, self._shape):
            return
        self._shape = shape.copy()
        self.base = self._template + self._identity @ shape
        self._joint_base = self._joint_template + self._joint_directions[..., : self._n_shape] @ shape

    def drive(self, params: FlameParams, view: Float32[np.ndarray, "3 4"] = _WORLD) -> None:
        """Work out `base`, `coefficients`, `transforms` and `offset` of a single pose, moved by `view`.

        Raises:
            ValueError: if the pose has other numbers of coefficients than the head.
        """
        for name, expected in (("shape", self._n_shape), ("expression", self._n_expression)):
            found = getattr(params, name).shape
            if found != (expected,):
                raise ValueError(f"FastHead: expected {expected} {name} coefficients of one pose, got shape {found}")
        self._set_shape(params.shape)
        n = self._n_expression
        self.coefficients[:n] = params.expression
        joints = self._joint_base + self._joint_directions[..., self._n_shape :] @ params.expression
        if self._tongue is not None:
            tip, jaw = float(params.tongue_tip), float(params.jaw_pose[0])
            self.coefficients[n + _N_CORRECTIONS :] = self._tongue.amounts_of(tip, jaw)
        pose = np.stack([params.global_orient, params.neck_pose, params.jaw_pose, params.leye_pose, params.reye_pose])
        _joint_transforms(
            pose, joints, np.ascontiguousarray(params.transl), np.ascontiguousarray(view), _PARENTS,
            self.coefficients[n : n + _N_CORRECTIONS], self.transforms, self.offset,
        )  # fmt: skip

    def vertices(self, params: FlameParams, view: Float32[np.ndarray, "3 4"] = _WORLD) -> Float32[np.ndarray, "v 3"]:
        """Vertices of a single pose, moved by `view`. The array is overwritten by the next call.

        Raises:
            ValueError: if the pose has other numbers of coefficients than the head.
        """
        self.drive(params, view)
        active = np.flatnonzero(self.coefficients)
        _skin(
            self.base, self.directions, active, self.coefficients[active], self.weights,
            self.transforms, self.offset, self._vertices,
        )  # fmt: skip
        return self._vertices

    def frames(self, params: FlameParams, view: Float32[np.ndarray, "3 4"] = _WORLD) -> Float32[np.ndarray, "f 12"]:
        """Triangle frames of a single pose, seen through `view`: [scale * rotation | origin], 3 x 4, rows.

        The array is overwritten by the next call.
        """
        vertices = self.vertices(params, view)
        _frames(vertices, self.faces, self._matrices)
        return self._matrices
