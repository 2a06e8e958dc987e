"""Laws of hair, brows and beard: it grows where it should, stays out of the head, and repeats itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from avatar.creation.forge.brows import BrowRecipe, brow_density, grow_brows
from avatar.creation.forge.fibres import DistanceField, Strands, concatenate_strands, fibre_splats
from avatar.creation.forge.hair import Hair, grow_hair
from avatar.creation.forge.hair_recipe import HairRecipe, hair_density
from avatar.creation.forge.hair_styles import STYLES
from avatar.creation.forge.lighting import Studio
from avatar.creation.forge.mesh import face_areas
from avatar.errors import UserError
from tests.avatar.creation.forge.sphere_head import CENTRE, RADIUS_M, ball, marks

GROWING = sorted(set(STYLES) - {"none"})


@pytest.fixture(scope="module")
def field() -> DistanceField:
    surface = ball()
    low, high = CENTRE - RADIUS_M - 0.05, CENTRE + RADIUS_M + 0.05
    return DistanceField.of(surface.vertices, surface.normals, low, high)


def _grow(field: DistanceField, recipe: HairRecipe, seed: int = 3) -> Hair | None:
    surface = ball()
    corners = surface.vertices[surface.triangles]
    centre = corners.mean(1)
    normal = (centre - CENTRE) / np.linalg.norm(centre - CENTRE, axis=1, keepdims=True)
    area = face_areas(surface.vertices, surface.triangles)
    heads = surface.head_vertices[surface.head_faces].mean(1)
    return grow_hair(centre, normal, area, field, marks(), recipe, (heads, np.arange(len(heads))), seed)


def test_the_field_measures_distance_and_points_away(field: DistanceField) -> None:
    rng = np.random.default_rng(0)
    away = rng.normal(size=(300, 3))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    for gap in (-0.02, 0.005, 0.02):
        points = CENTRE + away * (RADIUS_M + gap)
        assert np.abs(field.at(points) - gap).max() < 0.004
        assert (np.einsum("nc,nc->n", field.gradient(points), away) > 0.9).all()


@pytest.mark.parametrize("style", GROWING)
def test_hair_of_every_style_stays_out_of_the_head_and_is_finite(style: str, field: DistanceField) -> None:
    hair = _grow(field, HairRecipe(style=style, strands=150))
    assert hair is not None
    for strands in (hair.base, hair.detail, hair.fine):
        assert np.isfinite(strands.points).all()
        distance = np.linalg.norm(strands.points - CENTRE, axis=2)
        assert distance.min() > RADIUS_M - 0.004
        assert (strands.width_m > 0).all()
        assert (strands.albedo > 0).all()
        steps = np.linalg.norm(np.diff(strands.points, axis=1), axis=2)
        assert steps.max() < 0.06


def test_hair_is_reproducible_and_depends_on_the_seed(field: DistanceField) -> None:
    recipe = HairRecipe(strands=60)
    a, b, c = _grow(field, recipe), _grow(field, recipe), _grow(field, recipe, seed=4)
    assert a is not None and b is not None and c is not None
    assert np.array_equal(a.detail.points, b.detail.points)
    assert not np.array_equal(a.detail.points, c.detail.points)


def test_longer_hair_is_longer_and_grey_hair_is_lighter(field: DistanceField) -> None:
    def grown(**change: float) -> Strands:
        hair = _grow(field, replace(HairRecipe(strands=200, colour=(0.02, 0.015, 0.01)), **change))
        assert hair is not None
        return hair.detail

    def length(strands: Strands) -> float:
        return float(np.linalg.norm(np.diff(strands.points, axis=1), axis=2).sum(1).mean())

    assert length(grown(length=1.4)) > 1.2 * length(grown(length=1.0))
    assert grown(grey=0.8).albedo.mean() > 3 * grown(grey=0.0).albedo.mean()


def test_no_hair_on_the_face_and_less_with_a_receding_hairline() -> None:
    points = ball().vertices
    full = hair_density(points, marks(), HairRecipe(), 1)
    bald = hair_density(points, marks(), HairRecipe(recession=0.8), 1)
    face = (points[:, 2] > 1.2 * np.abs(points[:, 0])) & (points[:, 1] < marks().brow_y)
    temple = (np.abs(points[:, 1] - marks().eye[1]) < 0.008) & (points[:, 2] > marks().ear[2] + 0.020)
    crown = (points[:, 1] > 0.11) & (points[:, 2] < -0.03)
    assert full[face].max() == 0
    assert full[temple].max() > 0.2  # down before the ears
    assert full[crown].min() == 1
    assert bald.sum() < 0.9 * full.sum()
    assert hair_density(points, marks(), HairRecipe(style="none"), 1).max() == 0


def test_the_hairline_is_not_a_straight_edge() -> None:
    angle = np.linspace(-0.25, 0.25, 60)
    heights = []
    for a in angle:
        y = np.linspace(0.06, 0.11, 200)
        z = np.sqrt(np.maximum(RADIUS_M**2 - (y - CENTRE[1]) ** 2, 0)) + CENTRE[2]
        column = np.stack([np.sin(a) * 0.06 + 0 * y, y, z], 1)
        density = hair_density(column, marks(), HairRecipe(), 1)
        heights.append(y[np.argmax(density > 0.5)])
        width = y[np.argmax(density > 0.95)] - y[np.argmax(density > 0.05)]
        assert width > 0.003  # it thins out
    assert np.std(heights) > 0.0003


def test_unknown_styles_are_refused_and_none_grows_nothing(field: DistanceField) -> None:
    with pytest.raises(UserError, match="bob"):
        _grow(field, HairRecipe(style="mullet"))
    assert _grow(field, HairRecipe(style="none")) is None


def test_brows_are_symmetric_bands_above_the_eyes() -> None:
    rng = np.random.default_rng(0)
    points = np.c_[rng.uniform(-0.08, 0.08, 4000), rng.uniform(-0.05, 0.1, 4000), np.full(4000, 0.05)]
    density = brow_density(points, marks(), BrowRecipe())
    mirrored = brow_density(points * [-1, 1, 1], marks(), BrowRecipe())
    assert np.allclose(density, mirrored)
    grown = points[density > 0.3]
    assert np.abs(grown[:, 1] - marks().brow_y).max() < 0.012
    assert np.abs(grown[:, 0]).min() > 0.005
    assert np.abs(grown[:, 0]).max() < 0.06


def test_brow_hairs_are_short_and_rooted_in_the_skin() -> None:
    surface = ball(8)
    points = surface.sample(np.full(len(surface.vertices), 0.0015), np.random.default_rng(0))
    brows = grow_brows(points, marks(), BrowRecipe(), 1)
    steps = np.linalg.norm(np.diff(brows.points, axis=1), axis=2).sum(1)
    assert steps.min() > 0.001
    assert steps.max() < 0.011
    radius = np.linalg.norm(brows.points[:, 0] - CENTRE, axis=1)
    assert np.abs(radius - np.median(radius)).max() < 0.002


def test_fibre_splats_follow_their_segments() -> None:
    rng = np.random.default_rng(0)
    points = np.cumsum(rng.normal(0, 0.002, (20, 6, 3)) + np.array([0, -0.004, 0]), axis=1)
    strands = Strands(points, np.full(20, 1e-4), np.full((20, 5, 3), 0.1), np.arange(20))
    outward = np.tile([0.0, 0.0, 1.0], (100, 1))
    splats = fibre_splats(strands, Studio.portrait(), outward, None, None)
    assert len(splats) == 100
    edge = np.diff(points, axis=1).reshape(-1, 3)
    along = np.einsum("nc,nc->n", splats.frames[:, :, 0], edge) / np.linalg.norm(edge, axis=1)
    assert np.allclose(along, 1)
    assert np.allclose(splats.positions, strands.centres)
    assert np.array_equal(splats.triangles, np.repeat(np.arange(20), 5))
    assert (splats.scales[:, 0] > splats.scales[:, 1]).mean() > 0.95
    twice = concatenate_strands([strands, strands])
    assert len(twice) == 40
    assert strands.thinned(2).points.shape == (20, 3, 3)
    assert strands.thinned(2).albedo.shape == (20, 2, 3)
