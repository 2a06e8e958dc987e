"""Baked light: a studio of area lights, its shadows, and light scattered under the skin.

A Gaussian avatar carries display colours, so the light has to be baked on the neutral head. The studio is a set of
directions with a radiance each; visibility per direction comes from orthographic depth maps of a mesh (hard occluders)
and from a ray march through a density grid (hair). Every colour then is an honest sum over the lights: soft shadows,
sky light and the occlusion of highlights all follow from the same table.

Reference: J. Jimenez et al., "Practical Real-Time Strategies for Accurate Indirect Occlusion" (2016), eq. 12, for the
colour that light takes on in a crease.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from scipy import sparse

__all__ = ["DensityGrid", "MeshOccluder", "Studio", "diffuse", "even_directions", "irradiance"]


@dataclass(frozen=True)
class Studio:
    """Light from a set of directions.

    Attributes:
        directions: unit vectors towards the light, in the head's frame (+y up, +z forward, +x the subject's left).
        radiance: linear RGB of each direction times its solid angle.
    """

    directions: Float[np.ndarray, "d 3"]
    radiance: Float[np.ndarray, "d 3"]

    def __len__(self) -> int:
        return len(self.directions)

    def thinned(self, every: int) -> Studio:
        """The same light from only every so many of the directions: coarser shadows, for a preview."""
        return Studio(self.directions[::every], every * self.radiance[::every])

    @staticmethod
    def portrait() -> Studio:
        """A large warm key from the upper left of the picture, a frontal fill, two cool rims, a soft room."""
        dome = even_directions(84)
        up = dome[:, 1:2]
        front = np.clip(dome[:, 2:3], 0, 1)
        room = 0.215 + 0.12 * up + 0.08 * front
        tint = np.array([1.00, 0.99, 1.00]) * (0.5 + 0.5 * up) + np.array([1.08, 0.98, 0.88]) * (0.5 - 0.5 * up)
        directions, radiance = [dome], [room * tint * (4 * np.pi / len(dome))]
        areas = (
            # centre, half angle in degrees, samples, colour times total power
            ((-0.62, 0.55, 0.72), 21.0, 24, np.array([1.00, 0.935, 0.85]) * 3.05),
            ((0.50, 0.05, 0.95), 25.0, 16, np.array([0.96, 0.98, 1.00]) * 0.50),
            ((0.90, 0.30, -0.62), 14.0, 10, np.array([0.92, 0.97, 1.06]) * 1.05),
            ((-0.85, 0.35, -0.75), 14.0, 10, np.array([1.00, 0.97, 0.93]) * 0.75),
            ((0.05, 0.95, -0.25), 20.0, 10, np.array([1.00, 0.98, 0.96]) * 0.55),
        )
        for centre, half_angle, count, power in areas:
            cap = _cap(np.array(centre), half_angle, count)
            directions.append(cap)
            radiance.append(np.repeat(power[None] / count, count, 0))
        return Studio(np.concatenate(directions), np.concatenate(radiance))


def even_directions(count: int) -> np.ndarray:
    """(count, 3) directions spread evenly over the sphere (Fibonacci spiral)."""
    i = np.arange(count) + 0.5
    y = 1 - 2 * i / count
    angle = np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - y * y)
    return np.stack([r * np.cos(angle), y, r * np.sin(angle)], 1)


def _cap(centre: np.ndarray, half_angle_deg: float, count: int) -> np.ndarray:
    """(count, 3) directions spread evenly over a round cap."""
    i = np.arange(count) + 0.5
    z = 1 - i / count * (1 - np.cos(np.radians(half_angle_deg)))
    angle = np.pi * (1 + 5**0.5) * i
    r = np.sqrt(1 - z * z)
    local = np.stack([r * np.cos(angle), r * np.sin(angle), z], 1)
    w = centre / np.linalg.norm(centre)
    u = np.cross([0.0, 1.0, 0.0], w)
    u /= np.linalg.norm(u)
    return local @ np.stack([u, np.cross(w, u), w])


@njit(cache=True, nogil=True)
def _depth_map(points: np.ndarray, triangles: np.ndarray, size: int) -> np.ndarray:
    """Nearest depth per texel; points (n, 3) are texel x, texel y, depth."""
    depth = np.full((size, size), 1e9, np.float32)
    for t in range(triangles.shape[0]):
        a, b, c = points[triangles[t, 0]], points[triangles[t, 1]], points[triangles[t, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if area == 0.0:
            continue
        x0 = max(0, int(min(a[0], b[0], c[0])))
        x1 = min(size - 1, int(max(a[0], b[0], c[0])) + 1)
        y0 = max(0, int(min(a[1], b[1], c[1])))
        y1 = min(size - 1, int(max(a[1], b[1], c[1])) + 1)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                u = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / area
                v = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / area
                if u < -1e-4 or v < -1e-4 or u + v > 1.0001:
                    continue
                z = a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2])
                if z < depth[y, x]:
                    depth[y, x] = z
    return depth


@dataclass(frozen=True)
class MeshOccluder:
    """A triangle mesh that blocks light. Its depth maps are kept, so asking again for the same directions is cheap.

    Attributes:
        vertices: metres.
        faces: triangles, either winding.
    """

    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f 3"]
    _maps: dict[tuple[bytes, int], np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def visibility(
        self,
        points: Float[np.ndarray, "n 3"],
        normals: Float[np.ndarray, "n 3"],
        directions: Float[np.ndarray, "d 3"],
        size: int = 512,
        bias_m: float = 0.0016,
    ) -> Float[np.ndarray, "n d"]:
        """How much of each direction every point sees, 0..1, softened over the texels of the depth map."""
        centre = 0.5 * (self.vertices.max(0) + self.vertices.min(0))
        scale = size / float(np.linalg.norm(np.ptp(self.vertices, axis=0)))
        out = np.empty((len(points), len(directions)), np.float32)
        lifted = points + normals * bias_m * 0.6 - centre
        for k, direction in enumerate(directions):
            u = np.cross(direction, [0.0, 1.0, 0.0] if abs(direction[1]) < 0.9 else [1.0, 0.0, 0.0])
            u /= np.linalg.norm(u)
            axes = np.stack([u * scale, np.cross(u, direction) * scale, -direction], 1)
            offset = np.array([size / 2, size / 2, 0.0])
            key = (direction.tobytes(), size)
            if key not in self._maps:
                texels = (self.vertices - centre) @ axes + offset
                self._maps[key] = _depth_map(texels, np.ascontiguousarray(self.faces, np.int64), size)
            out[:, k] = _compare(self._maps[key], lifted @ axes + offset, bias_m)
        return out


@njit(cache=True, nogil=True)
def _compare(depth: np.ndarray, points: np.ndarray, bias: float) -> np.ndarray:
    """Share of the four nearest texels that do not hide each point, bilinear."""
    size = depth.shape[0]
    out = np.empty(points.shape[0], np.float32)
    for i in range(points.shape[0]):
        x = min(max(points[i, 0], 0.0), size - 2.0)
        y = min(max(points[i, 1], 0.0), size - 2.0)
        ix, iy = int(x), int(y)
        fx, fy = x - ix, y - iy
        limit = points[i, 2] - bias
        share = 0.0
        if depth[iy, ix] > limit:
            share += (1 - fx) * (1 - fy)
        if depth[iy, ix + 1] > limit:
            share += fx * (1 - fy)
        if depth[iy + 1, ix] > limit:
            share += (1 - fx) * fy
        if depth[iy + 1, ix + 1] > limit:
            share += fx * fy
        out[i] = share
    return out


@njit(cache=True, nogil=True, fastmath=True)
def _march(grid: np.ndarray, points: np.ndarray, direction: np.ndarray, step: float, count: int) -> np.ndarray:
    """Optical depth through `grid` from each point (in cells) along `direction`, trilinear, `step` cells at a time."""
    nx, ny, nz = grid.shape
    out = np.zeros(points.shape[0], np.float32)
    for i in range(points.shape[0]):
        total = 0.0
        for s in range(count):
            t = (s + 0.75) * step
            x = points[i, 0] + direction[0] * t
            y = points[i, 1] + direction[1] * t
            z = points[i, 2] + direction[2] * t
            if x < 0 or y < 0 or z < 0 or x >= nx - 1 or y >= ny - 1 or z >= nz - 1:
                break
            ix, iy, iz = int(x), int(y), int(z)
            fx, fy, fz = x - ix, y - iy, z - iz
            c00 = grid[ix, iy, iz] * (1 - fx) + grid[ix + 1, iy, iz] * fx
            c10 = grid[ix, iy + 1, iz] * (1 - fx) + grid[ix + 1, iy + 1, iz] * fx
            c01 = grid[ix, iy, iz + 1] * (1 - fx) + grid[ix + 1, iy, iz + 1] * fx
            c11 = grid[ix, iy + 1, iz + 1] * (1 - fx) + grid[ix + 1, iy + 1, iz + 1] * fx
            total += (c00 * (1 - fy) + c10 * fy) * (1 - fz) + (c01 * (1 - fy) + c11 * fy) * fz
        out[i] = total * step
    return out


@dataclass(frozen=True)
class DensityGrid:
    """Fibres as a density that dims light passing through.

    Attributes:
        origin: the corner of cell (0, 0, 0), metres.
        cell_m: edge of a cell, metres.
        density: optical depth gathered while crossing one cell.
    """

    origin: Float[np.ndarray, " 3"]
    cell_m: float
    density: Float[np.ndarray, "x y z"]

    @staticmethod
    def from_points(
        points: Float[np.ndarray, "n 3"], area_m2: Float[np.ndarray, " n"], cell_m: float = 0.006, gain: float = 1.0
    ) -> DensityGrid:
        """Spread the shadow area of fibre pieces over a grid: optical depth of a cell = area inside / cell face."""
        margin = 3 * cell_m
        low = points.min(0) - margin
        shape = np.ceil((points.max(0) + margin - low) / cell_m).astype(int) + 1
        grid = np.zeros(shape, np.float32)
        place = (points - low) / cell_m - 0.5
        base = np.floor(place).astype(int)
        f = place - base
        for dx in (0, 1):
            for dy in (0, 1):
                for dz in (0, 1):
                    weight = (
                        (f[:, 0] if dx else 1 - f[:, 0])
                        * (f[:, 1] if dy else 1 - f[:, 1])
                        * (f[:, 2] if dz else 1 - f[:, 2])
                    )
                    np.add.at(
                        grid, (base[:, 0] + dx, base[:, 1] + dy, base[:, 2] + dz), weight * area_m2 * gain / cell_m**2
                    )
        return DensityGrid(low + 0.5 * cell_m, cell_m, grid)

    def transmittance(
        self, points: Float[np.ndarray, "n 3"], directions: Float[np.ndarray, "d 3"], reach_m: float = 0.10
    ) -> Float[np.ndarray, "n d"]:
        """exp(-optical depth) from every point along every direction."""
        place = np.ascontiguousarray((points - self.origin) / self.cell_m, np.float32)
        count = int(np.ceil(reach_m / self.cell_m))
        out = np.empty((len(points), len(directions)), np.float32)
        for k, direction in enumerate(directions):
            out[:, k] = np.exp(-_march(self.density, place, direction.astype(np.float32), 1.0, count))
        return out


def irradiance(
    studio: Studio,
    normals: Float[np.ndarray, "n 3"],
    visibility: Float[np.ndarray, "n d"],
    wrap: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Float[np.ndarray, "n 3"]:
    """Light that arrives at a surface, per channel; `wrap` lets a channel reach past the terminator (scattering)."""
    cosine = normals.astype(np.float32) @ studio.directions.T.astype(np.float32)
    out = np.empty((len(normals), 3))
    for c in range(3):
        w = wrap[c]
        lobe = np.clip((cosine + w) / (1 + w), 0, None)
        out[:, c] = (lobe * visibility) @ studio.radiance[:, c].astype(np.float32)
    return out / np.pi


def diffuse(
    values: Float[np.ndarray, "n 3"],
    points: Float[np.ndarray, "n 3"],
    edges: Int[np.ndarray, "e 2"],
    radius_m: tuple[float, float, float],
) -> Float[np.ndarray, "n 3"]:
    """Scatter a per-vertex colour under the skin: heat flow over the mesh, a radius for each channel.

    Solves (I + t L) x = values with the graph Laplacian weighted by inverse squared edge length, t = radius^2 / 4; red
    travels farthest, which is what warms the edge of a shadow.
    """
    i, j = edges.T
    length2 = np.maximum(((points[i] - points[j]) ** 2).sum(1), 1e-10)
    n = len(points)
    degree = np.maximum(np.bincount(i, minlength=n) + np.bincount(j, minlength=n), 1)
    w = 4.0 / length2 / (0.5 * (degree[i] + degree[j]))
    adjacency = sparse.coo_matrix((np.r_[w, w], (np.r_[i, j], np.r_[j, i])), shape=(n, n)).tocsr()
    laplacian = sparse.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency
    out = np.empty_like(values)
    for c in range(3):
        system = sparse.identity(n) + (radius_m[c] ** 2 / 4) * laplacian
        inverse = sparse.diags(1 / system.diagonal())
        x, _ = sparse.linalg.cg(system, values[:, c], x0=values[:, c], rtol=1e-3, maxiter=60, M=inverse)
        out[:, c] = x
    return out
