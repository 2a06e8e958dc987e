"""Laws of the baked light."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.creation.forge.lighting import DensityGrid, MeshOccluder, Studio, diffuse, even_directions, irradiance
from avatar.creation.forge.shading import (
    constant_sh,
    display,
    fit_sh,
    sh_basis,
    shade_fibres,
    shade_surface,
    view_directions,
)

ONE_LIGHT = Studio(np.array([[0.0, 0.0, 1.0]]), np.array([[np.pi, np.pi, np.pi]]))


def test_the_directions_are_spread_evenly() -> None:
    d = even_directions(400)
    assert np.allclose(np.linalg.norm(d, axis=1), 1)
    assert np.abs(d.mean(0)).max() < 0.01
    assert np.allclose(d.T @ d / len(d), np.eye(3) / 3, atol=0.01)


def test_a_uniform_sky_lights_every_normal_alike() -> None:
    d = even_directions(2000)
    sky = Studio(d, np.full((2000, 3), 4 * np.pi / 2000))
    light = irradiance(sky, even_directions(50), np.ones((50, 2000), np.float32))
    assert np.allclose(light, 1.0, atol=0.01)


def test_wrapped_light_reaches_past_the_terminator_and_plain_light_does_not() -> None:
    past = np.array([[np.cos(0.1), 0.0, -np.sin(0.1)]])
    light = irradiance(ONE_LIGHT, past, np.ones((1, 1), np.float32), wrap=(0.3, 0.0, 0.0))[0]
    assert light[0] > 0.05
    assert light[1] == light[2] == 0


def _plate(half: float, z: float) -> MeshOccluder:
    corners = np.array([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])
    return MeshOccluder(corners, np.array([[0, 1, 2], [0, 2, 3]]))


def test_a_plate_shadows_what_lies_behind_it_and_nothing_else() -> None:
    plate = _plate(0.1, 0.0)
    points = np.array([[0.0, 0.0, -0.05], [0.0, 0.0, 0.05], [0.0, 0.0, 0.0]])
    toward = np.tile([0.0, 0.0, 1.0], (3, 1))
    seen = plate.visibility(points, toward, np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    assert seen[0, 0] == 0  # behind
    assert seen[1, 0] == 1  # in front
    assert seen[2, 0] == 1  # on it: no shadow of itself
    assert (seen[:2, 1] == 1).all()


def test_asking_an_occluder_twice_gives_the_same_answer() -> None:
    plate = _plate(0.1, 0.0)
    points = np.random.default_rng(0).uniform(-0.2, 0.2, (100, 3))
    normals = np.tile([0.0, 0.0, 1.0], (100, 1))
    directions = even_directions(8)
    first = plate.visibility(points, normals, directions)
    assert np.array_equal(first, plate.visibility(points, normals, directions))


def test_light_fades_exponentially_with_the_depth_of_hair() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.05, 0.05, (40_000, 3))
    area = np.full(40_000, 0.1**2 * 2.0 / 40_000)  # optical depth 2 across the block
    grid = DensityGrid.from_points(points, area, cell_m=0.005)
    along = np.array([[0.0, 0.0, 1.0]])
    through = grid.transmittance(np.array([[0.0, 0.0, -0.045], [0.0, 0.0, 0.0]]), along, reach_m=0.2)[:, 0]
    assert through[0] == pytest.approx(np.exp(-1.9), rel=0.15)
    assert through[1] == pytest.approx(np.exp(-1.0), rel=0.15)


def test_scattering_spreads_light_red_farthest_and_leaves_even_light_alone() -> None:
    side = 31
    x, y = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], 1) * 0.001
    index = np.arange(side * side).reshape(side, side)
    edges = np.concatenate(
        [
            np.stack([index[1:].ravel(), index[:-1].ravel()], 1),
            np.stack([index[:, 1:].ravel(), index[:, :-1].ravel()], 1),
        ]
    )
    even = np.full((side * side, 3), 0.7)
    assert np.allclose(diffuse(even, points, edges, (0.004, 0.002, 0.001)), even, atol=1e-3)
    half = np.repeat((points[:, :1] > 0.015).astype(float), 3, 1)
    spread = diffuse(half, points, edges, (0.004, 0.002, 0.001)).reshape(side, side, 3)
    dark = spread[12, 15]  # a few millimetres into the shadow
    assert dark[0] > dark[1] > dark[2] > 0
    assert (np.diff(spread[:, 15], axis=0) > -1e-3).all()


def test_display_is_monotonic_and_bounded() -> None:
    x = np.linspace(0, 8, 500)
    y = display(x)
    assert (np.diff(y) >= 0).all()
    assert y[0] == 0
    assert 0.95 < y[-1] <= 1


def test_constant_sh_looks_the_same_from_everywhere() -> None:
    colour = np.array([[0.2, 0.5, 0.9]])
    seen = sh_basis(even_directions(30)) @ constant_sh(colour)[0] + 0.5
    assert np.allclose(seen, colour, atol=1e-9)


def test_the_fit_reproduces_what_degree_two_can_express() -> None:
    rng = np.random.default_rng(0)
    views, weights = view_directions()
    basis = sh_basis(-views)
    truth = rng.normal(0, 0.05, (6, 9, 3))
    colours = np.einsum("kc,ncd->nkd", basis, truth) + 0.5
    again = np.einsum("kc,ncd->nkd", basis, fit_sh(colours)) + 0.5
    error = ((again - colours) ** 2 * weights[:, None]).sum(1) / weights.sum()
    assert np.sqrt(error).max() < 0.01


def test_the_sheen_brightens_the_mirror_direction_most() -> None:
    flat = np.array([[0.0, 0.0, 1.0]])
    args = (ONE_LIGHT, np.full((1, 3), 0.05), flat, np.ones((1, 1), np.float32))
    matt = shade_surface(*args, specular=0.0)[0]
    shiny = shade_surface(*args, specular=1.0, roughness=0.5)[0]
    gain = [float((sh_basis(-np.array([v])) @ (shiny - matt))[0, 0]) for v in ([0.0, 0.0, 1.0], [0.9, 0.0, 0.436])]
    assert gain[0] > gain[1] > -0.02
    assert gain[0] > 0.02


def test_what_no_light_reaches_is_black() -> None:
    dark = np.zeros((1, 1), np.float32)
    normal = np.array([[0.0, 0.0, 1.0]])
    albedo = np.full((1, 3), 0.5)
    for sh in (
        shade_surface(ONE_LIGHT, albedo, normal, dark, specular=1.0),
        shade_fibres(ONE_LIGHT, albedo, np.array([[1.0, 0.0, 0.0]]), normal, dark),
    ):
        assert np.abs(sh_basis(-normal) @ sh[0] + 0.5).max() < 0.02


def test_a_fibre_shines_where_the_light_strikes_it_squarely() -> None:
    across, along = np.array([[1.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 1.0]])
    normal = np.array([[0.0, 0.0, 1.0]])
    seen = [
        (
            sh_basis(-normal) @ shade_fibres(ONE_LIGHT, np.full((1, 3), 0.1), t, normal, np.ones((1, 1), np.float32))[0]
        ).sum()
        for t in (across, along)
    ]
    assert seen[0] > seen[1] + 0.1
