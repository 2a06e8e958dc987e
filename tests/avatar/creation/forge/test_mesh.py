"""Laws of subdivision, areas, rasterising and visibility."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.creation.forge.mesh import (
    catmull_clark,
    compact,
    face_areas,
    largest_face_areas,
    linear_subdivision,
    rasterise,
    triangulate,
    vertex_normals,
    visible,
)


def cube() -> tuple[np.ndarray, np.ndarray]:
    vertices = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    return vertices, quads


def grid(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A square of n x n quads in the plane z = 0."""
    y, x = np.mgrid[: n + 1, : n + 1]
    vertices = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1).astype(float)
    corner = (np.arange(n)[:, None] * (n + 1) + np.arange(n)[None]).ravel()
    return vertices, np.stack([corner, corner + 1, corner + n + 2, corner + n + 1], 1)


@pytest.mark.parametrize("scheme", [catmull_clark, linear_subdivision])
@pytest.mark.parametrize("mesh", [cube(), grid(4)], ids=["closed", "open"])
def test_subdivision_is_an_affine_map_with_four_quads_for_one(scheme, mesh) -> None:
    vertices, quads = mesh
    matrix, finer = scheme(quads, len(vertices))
    assert len(finer) == 4 * len(quads)
    assert finer.max() == matrix.shape[0] - 1
    np.testing.assert_allclose(np.asarray(matrix.sum(1)).ravel(), 1.0, atol=1e-12)
    # The children of a quad stay around it: their mean is near the parent's.
    children = (matrix @ vertices)[finer].mean(1).reshape(len(quads), 4, 3).mean(1)
    assert np.abs(children - vertices[quads].mean(1)).max() < 0.5


def test_catmull_clark_shrinks_a_cube_towards_a_smooth_surface_of_the_same_topology() -> None:
    vertices, quads = cube()
    for _ in range(3):
        matrix, quads = catmull_clark(quads, len(vertices))
        vertices = matrix @ vertices
    edges = len(np.unique(np.sort(np.stack([quads, np.roll(quads, -1, 1)], -1).reshape(-1, 2), 1), axis=0))
    assert len(vertices) - edges + len(quads) == 2
    radius = np.linalg.norm(vertices, axis=1)
    assert radius.max() / radius.min() < 1.25
    assert radius.max() < np.sqrt(3)


def test_linear_subdivision_keeps_shape_and_area() -> None:
    vertices, quads = cube()
    matrix, finer = linear_subdivision(quads, len(vertices))
    area = face_areas(matrix @ vertices, triangulate(finer))
    assert area.sum() == pytest.approx(24.0)


def test_open_borders_stay_in_their_line_and_corners_leave_it_only_along_it() -> None:
    vertices, quads = grid(5)
    matrix, _ = catmull_clark(quads, len(vertices))
    finer = matrix @ vertices
    assert np.abs(finer[:, 2]).max() == 0
    assert finer[:, :2].min() >= -1e-12
    assert finer[:, :2].max() <= 5 + 1e-12
    border = finer[(vertices.shape[0] and np.abs(finer[:, 1]) < 1e-9)]
    assert len(border) >= 9


def test_triangles_of_a_quad_are_neighbours_in_the_list_and_cover_it() -> None:
    vertices, quads = grid(3)
    triangles = triangulate(quads)
    np.testing.assert_array_equal(triangles[0::2], quads[:, :3])
    np.testing.assert_allclose(face_areas(vertices, triangles).reshape(-1, 2).sum(1), 1.0)


def test_compacting_keeps_every_quad() -> None:
    quads = np.array([[7, 3, 9, 20], [9, 20, 3, 1]])
    used, packed = compact(quads)
    np.testing.assert_array_equal(used[packed], quads)
    assert packed.max() == len(used) - 1


def test_normals_of_a_smooth_ball_are_radial() -> None:
    vertices, quads = cube()
    for _ in range(4):
        matrix, quads = linear_subdivision(quads, len(vertices))
        vertices = matrix @ vertices
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    normals = vertex_normals(vertices, triangulate(quads))
    cosine = (normals * vertices).sum(1)
    assert np.abs(cosine).min() > 0.99
    assert (np.sign(cosine) == np.sign(cosine[0])).all()


def test_the_largest_area_bounds_every_pose() -> None:
    rng = np.random.default_rng(3)
    vertices, quads = grid(3)
    triangles = triangulate(quads)
    poses = [vertices + 0.3 * rng.normal(size=vertices.shape) for _ in range(4)]
    largest = largest_face_areas(poses, triangles)
    areas = np.stack([face_areas(p, triangles) for p in poses])
    assert (largest >= areas).all()
    assert (largest == areas).any(0).all()
    with pytest.raises(ValueError, match="at least one pose"):
        largest_face_areas([], triangles)


def test_rasterising_finds_the_nearest_triangle_and_the_point_on_it() -> None:
    rng = np.random.default_rng(5)
    points = np.column_stack([rng.uniform(0, 24, (36, 2)), rng.uniform(1, 9, 36)])
    triangles = np.arange(36).reshape(12, 3)
    index, barycentric, depth = rasterise(points, triangles, 24, 24)
    for y in range(24):
        for x in range(24):
            best, nearest = -1, 1e30
            for t, (a, b, c) in enumerate(points[triangles]):
                edges = np.stack([b[:2] - a[:2], c[:2] - a[:2]], 1)
                u, v = np.linalg.solve(edges, [x + 0.5 - a[0], y + 0.5 - a[1]])
                z = a[2] * (1 - u - v) + b[2] * u + c[2] * v
                if min(u, v, 1 - u - v) > 1e-5 and z < nearest:
                    best, nearest = t, z
            if best < 0:
                continue
            assert index[y, x] == best
            assert depth[y, x] == pytest.approx(nearest)
            u, v = barycentric[y, x]
            a, b, c = points[triangles[best]]
            np.testing.assert_allclose((a * (1 - u - v) + b * u + c * v)[:2], [x + 0.5, y + 0.5], atol=1e-9)


def test_a_ball_is_lit_on_the_side_of_the_light_and_shadows_what_is_behind() -> None:
    vertices, quads = cube()
    for _ in range(4):
        matrix, quads = linear_subdivision(quads, len(vertices))
        vertices = matrix @ vertices
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    light = np.array([0.36, 0.48, 0.8])
    facing = vertices @ light
    lit = visible(vertices * 1.02, light, vertices, triangulate(quads), bias=0.02, resolution=300)
    assert lit[facing > 0.25].all()
    assert not lit[facing < -0.25].any()
    away = np.array([[-3.0, -4.0, -6.7], [3.0, 4.0, 6.7]])
    np.testing.assert_array_equal(visible(away * 0.4, light, vertices, triangulate(quads)), [False, True])
