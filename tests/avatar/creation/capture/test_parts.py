"""The parts of a capture, each by its law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from scipy.spatial import cKDTree

from avatar.camera import Camera
from avatar.creation.capture.depth import depth_picture, project
from avatar.creation.capture.features import EyeColours, load_features
from avatar.creation.capture.hull import hair_hull
from avatar.creation.capture.layers import separate
from avatar.creation.capture.outline import Shown, no_wider_than_outline
from avatar.creation.capture.painted import hair_carriers
from avatar.creation.capture.person_head import Person, bend, graph
from avatar.creation.capture.rest import CalmPictures, _looking, person_at_rest
from avatar.creation.capture.shell import inflate
from avatar.creation.capture.skin_paint import SkinBody, SkinSight, lay_skin, paint
from avatar.creation.capture.turning import on_still_body
from avatar.creation.forge.splats import SH_DC
from avatar.creation.lids import with_closing_lids
from avatar.flame.arkit import ArkitMap, indices, weights_from_dict
from avatar.flame.head import HeadModel
from avatar.flame.rotations import axis_angle_to_matrix
from avatar.heads import open_head
from avatar.render.cpu import CpuRenderer
from avatar.render.probe import probe_avatar
from avatar.tracking.face_points import FaceModel
from avatar.tracking.fit import FaceFit, Intrinsics
from avatar.tracking.landmarker import FaceLandmarks
from avatar.tracking.matte import Matte
from avatar.tracking.topology import BROWS, CHIN, OVAL


def test_a_disc_inflates_to_a_hemisphere() -> None:
    y, x = np.mgrid[:200, :200]
    away = np.hypot(x - 99.5, y - 99.5)
    height = np.sqrt(inflate(away < 60))
    ball = np.sqrt(np.maximum(60**2 - away**2, 0))
    inside = away < 50
    assert np.abs(height - ball)[inside].max() < 2.5


def test_bending_follows_its_pulls_and_is_smooth() -> None:
    head, _ = open_head()
    faces = head.faces.numpy()
    nose = int(np.argmax(head.v_template[faces].mean(1)[:, 2].numpy()))
    pulls = np.array([[0.0, 0.0, 0.004]])
    moved = bend(faces, head.n_vertices, np.array([nose]), np.array([[1 / 3] * 3]), pulls, np.array([1.0]))
    here = moved[faces[nose]].mean(0)
    assert 0.001 < here[2] <= 0.004
    adjacency = graph(faces, head.n_vertices)
    mean = adjacency @ moved / np.maximum(np.asarray(adjacency.sum(1)), 1)
    assert np.abs(mean - moved).max() < 0.001


def test_lids_of_another_face_still_meet() -> None:
    head, arkit = open_head()
    lower = head.regions["lower_lid_margin_left"]
    offset = torch.zeros_like(head.v_template)
    offset[lower, 1] -= 0.0015
    head = with_closing_lids(head, offset)
    shut = head.vertices(arkit.params(weights_from_dict({"eyeBlinkLeft": 1.0})), offset)
    upper = shut[head.regions["upper_lid_margin_left"]].numpy()
    low = shut[lower].numpy()
    low = low[np.argsort(low[:, 0])]
    gap = np.interp(upper[:, 0], low[:, 0], low[:, 1]) - upper[:, 1]
    assert np.abs(gap).max() < 0.0006


def test_the_depth_picture_of_a_plane() -> None:
    corners = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    camera = Camera.orbit(64, 48, 0, 0, 2.0, (0, 0, 0), 20)
    drawn = depth_picture(corners, np.array([[0, 1, 2], [0, 2, 3]]), camera)
    assert np.allclose(drawn.depth, 2.0)
    assert set(np.unique(drawn.triangles)) == {0, 1}


def test_paint_keeps_what_is_seen_and_mirrors_the_rest() -> None:
    head, arkit = open_head()
    body = SkinBody.of(head)
    n = len(body.surface.vertices)
    left = body.surface.vertices[:, 0] > 0.005
    face = body.surface.vertices[:, 2] > 0.02
    colours = np.full((n, 3), 0.5)
    colours[:, 0] = np.where(body.surface.vertices[:, 1] > -0.03, 0.9, 0.2)
    painted = paint(body, [SkinSight(colours, (left & face).astype(float), np.zeros(n))])
    seen = left & face
    assert np.abs(painted.colours[seen] - colours[seen]).mean() < 0.05
    right = (body.surface.vertices[:, 0] < -0.015) & face & (np.abs(body.surface.vertices[:, 1] + 0.03) > 0.015)
    assert np.abs(painted.colours[right] - colours[right]).mean() < 0.12
    closed = head.vertices(arkit.params(weights_from_dict({"eyeBlinkLeft": 1, "eyeBlinkRight": 1}))).double().numpy()
    laid = lay_skin(body, painted, closed, np.full(n, 0.004), 0.002)
    assert len(laid) == 3 and all(len(part.splats) == len(part.trust) for part in laid)
    assert not laid[0].trust.any() and laid[1].trust.max() > 0.9


def test_hair_continues_as_hair_and_skin_as_skin() -> None:
    body = SkinBody.of(open_head()[0])
    places = body.surface.vertices
    hair = places[:, 1] > 0.03
    colours = np.where(hair[:, None], [0.1, 0.1, 0.1], [0.9, 0.9, 0.9])
    seen = (places[:, 2] > 0.03) & (np.abs(places[:, 1] - 0.03) > 0.01)
    painted = paint(body, [SkinSight(colours, seen.astype(float), hair.astype(float))]).colours[:, 0]
    mixed = (painted > 0.2) & (painted < 0.8)
    assert mixed.mean() < 0.05 and (painted < 0.2).any() and (painted > 0.8).any()


@pytest.mark.parametrize("haired", [True, False])
def test_who_has_hair_above_the_forehead_has_some_behind_it(haired: bool) -> None:
    body = SkinBody.of(open_head()[0])
    x, y, z = body.surface.vertices.T
    hair = (y > 0.075) & haired
    colours = np.where(hair[:, None], [0.1, 0.1, 0.1], [0.9, 0.9, 0.9])
    painted = paint(body, [SkinSight(colours, ((z > 0.0) & (y > -0.15)).astype(float), hair.astype(float))]).colours
    behind = (z < -0.09) & (y > 0.02)
    assert (painted[behind] < 0.2).all() if haired else (painted[behind] > 0.8).all()
    throat = (z > -0.03) & (np.abs(y + 0.12) < 0.02) & (np.abs(x) < 0.06)
    assert throat.any() and (painted[throat] > 0.8).all()


def test_what_reaches_out_of_the_outline_becomes_smaller() -> None:
    avatar = probe_avatar(600, 1)
    camera = Camera.orbit(96, 96, 0, 0, target=(0, 0, 0), fov_deg=15)
    params = avatar.head.neutral()
    renderer = CpuRenderer(1)
    left = np.zeros((96, 96, 4), np.float32)
    left[:, :48] = 1.0
    pixels, _ = project(avatar.pose(params).means.double().numpy(), camera)
    within = avatar.reordered(torch.from_numpy(pixels[:, 0] < 48))
    wide = within.gaussians.log_scales + (0.008 / within.pose(params).scales).log()  # three pixels
    within = replace(within, gaussians=replace(within.gaussians, log_scales=wide))
    smaller = no_wider_than_outline(within, Shown(camera, params, left))
    before, after = (renderer.render(a.pose(params), camera)[:, 51:, 3].sum() for a in (within, smaller))
    assert before > 1.0 and after < 0.15 * before
    change = (smaller.gaussians.log_scales - within.gaussians.log_scales).numpy()
    assert (change <= 0).all()
    inside = pixels[pixels[:, 0] < 48, 0] < 20
    assert inside.any() and (change[inside] == 0).all()


def test_a_cheek_in_the_shade_stays_skin() -> None:
    """Shaded skin has the hair's colour here; only the edge tells where hair begins."""
    size = 220
    y, x = np.mgrid[:size, :size]
    shade = np.clip((x - 110) / 45, 0, 1)[..., None]
    image = (1 - shade) * [0.85, 0.65, 0.55] + shade * [0.5, 0.39, 0.31]
    image[x > 165] = [0.25, 0.18, 0.12]
    image[y < 55] = [0.3, 0.22, 0.15]
    points = np.zeros((468, 3))
    turn = np.linspace(0, 2 * np.pi, len(OVAL), endpoint=False)
    points[:, :2] = [110, 110]
    points[OVAL, :2] = np.c_[110 + 50 * np.sin(turn), 115 - 60 * np.cos(turn)]
    points[BROWS, 1] = 85
    points[CHIN, :2] = [110, 175]
    face = FaceLandmarks(points, np.zeros((2, 5, 2)), 1.0, (size, size))
    everywhere = Matte(np.ones((size, size)), image)
    found = separate(Image.fromarray((255 * image).astype(np.uint8)), face, everywhere)
    assert (found.skin[100:140, 130:158] > 0.5).all() and not found.rest[100:140, 130:158].any()
    assert found.rest[100:150, 172:].all() and found.rest[10:45, 60:160].all()


def test_a_throat_is_skin_down_to_the_collar_and_clothes_are_not_hair() -> None:
    size = 300
    y, x = np.mgrid[:size, :size]
    image = np.full((size, size, 3), [0.80, 0.60, 0.50])
    hair = (np.hypot(x - 150, y - 85) < 75) & (np.hypot((x - 150) / 0.85, y - 105) > 55) & (y < 150)
    hair |= (np.abs(x - 150) > 48) & (np.abs(x - 150) < 75) & (y > 80) & (y < 230)
    collar = 205 + 25 * np.clip(1 - np.abs(x - 150) / 40, 0, 1)
    image[(y > collar) & ~hair] = [0.10, 0.35, 0.30]
    image[hair] = [0.30, 0.18, 0.08]
    points = np.zeros((468, 3))
    points[:, :2] = [150, 105]
    turn = np.linspace(0, 2 * np.pi, len(OVAL), endpoint=False)
    points[OVAL, :2] = np.c_[150 + 45 * np.sin(turn), 105 - 55 * np.cos(turn)]
    points[BROWS, 1] = 85
    points[CHIN, :2] = [150, 160]
    face = FaceLandmarks(points, np.zeros((2, 5, 2)), 1.0, (size, size))
    picture = Image.fromarray((255 * image).astype(np.uint8))
    found = separate(picture, face, Matte(((np.hypot(x - 150, y - 85) < 75) | (y > 120)).astype(np.float64), image))
    assert not found.rest[165:216, 140:160].any() and found.rest[240:].mean() > 0.9
    assert found.clothes[240:, 60:240].mean() > 0.9 and not found.clothes[170:222, 80:98].any()


def test_whose_chest_is_dressed_has_a_dressed_back() -> None:
    body = SkinBody.of(open_head()[0])
    places = body.surface.vertices
    dressed = places[:, 1] < -0.16
    colours = np.where(dressed[:, None], [0.1, 0.3, 0.4], [0.8, 0.6, 0.5])
    seen = (places[:, 2] > 0.0).astype(float)
    painted = paint(body, [SkinSight(colours, seen, dressed.astype(float))]).colours
    back = (places[:, 1] < -0.2) & (places[:, 2] < -0.1)
    assert back.sum() > 500 and np.abs(painted[back] - [0.1, 0.3, 0.4]).max() < 0.05


def _fits(
    head: HeadModel, arkit: ArkitMap, weights: list[dict[str, float]]
) -> tuple[list[FaceFit], list[FaceLandmarks]]:
    lens, model, upright = (
        Intrinsics(700.0, 320.0, 240.0),
        FaceModel(head, arkit),
        axis_angle_to_matrix(np.array([np.pi, 0.0, 0.0])),
    )
    place, fits, marks = np.array([0.0, 0.0, 0.6]), [], []
    for one in weights:
        own = weights_from_dict(one).astype(np.float64)
        seen = model.pose(np.zeros(0), own, derivatives=False).points @ upright.T + place
        pixels = lens.focal * seen[:, :2] / seen[:, 2:] + [lens.x, lens.y]
        irises = np.repeat(pixels[[[33, 133], [263, 362]]].mean(1)[:, None], 5, 1)
        marks.append(FaceLandmarks(np.c_[pixels, 1000 * (seen[:, 2] - 0.6)], irises, 1.0, (640, 480)))
        fits.append(FaceFit(upright, place, np.zeros(0), own, np.full((2, 3), [0.2, 0.0, 0.0]), 0.0))
    return fits, marks


def test_calm_pictures_are_the_head_at_rest() -> None:
    """And shut eyes, parted lips are told by how they differ, whatever the fit would find in a calm face."""
    head, arkit = open_head()
    own, own_arkit = replace(head, shapedirs=head.shapedirs[..., head.n_shape :], n_shape=0), replace(arkit, n_shape=0)
    calm = {"jawOpen": 0.1, "mouthSmileLeft": 0.15, "browDownLeft": 0.1, "eyeBlinkLeft": 0.08, "eyeLookDownLeft": 0.6}
    _, marks = _fits(own, own_arkit, [calm, calm, calm, calm | {"jawOpen": 0.6}, calm | {"eyeBlinkLeft": 0.6}])
    seen = CalmPictures(np.array([True, True, True, False, False]), np.array([[False, False]] * 4 + [[False, True]]))
    lens = Intrinsics(700.0, 320.0, 240.0)
    shares: list[float] = []
    rested = person_at_rest(head, arkit, marks, [lens] * len(marks), seen, shares.append)
    assert shares == [0.0]
    assert not any(np.abs(fit.weights).any() or np.abs(fit.gaze).any() for fit in rested.fits[:3])
    assert 0.3 < rested.fits[3].weights[indices("jawOpen")[0]] < 0.7  # 0.5 more than at rest
    assert rested.fits[4].weights[indices("eyeBlinkLeft")[0]] == 1.0
    model = FaceModel(rested.head, rested.arkit).pose(np.zeros(0), np.zeros(52), derivatives=False).points
    smiling = weights_from_dict(calm).astype(np.float64)
    true = FaceModel(own, own_arkit).pose(np.zeros(0), smiling, derivatives=False).points
    wide, found = (np.linalg.norm(points[61] - points[291]) for points in (true, model))
    assert abs(found - wide) < 0.002  # a bit of a smile is this face
    shut = rested.head.vertices(own_arkit.params(weights_from_dict({"eyeBlinkLeft": 1.0}))).numpy()
    upper, lower = (shut[head.regions[f"{row}_lid_margin_left"]] for row in ("upper", "lower"))
    lower = lower[np.argsort(lower[:, 0])]
    assert np.abs(np.interp(upper[:, 0], lower[:, 0], lower[:, 1]) - upper[:, 1]).max() < 0.0006


def test_eyes_that_mostly_look_down_look_ahead_at_rest() -> None:
    head, _ = open_head()
    turned = _looking(head, np.array([[0.2, 0.0, 0.0], [0.0, 0.1, 0.0]]))
    lids = head.regions["upper_lid_left"]
    assert torch.equal(turned.v_template[lids], head.v_template[lids])  # they do not follow the eyes
    for joint, by in ((4, [0.2, 0.0, 0.0]), (3, [0.0, 0.1, 0.0])):
        eye, turn = head.lbs_weights[:, joint] > 0.5, torch.from_numpy(axis_angle_to_matrix(np.array(by))).float()
        found, straight = (
            v[eye] - head.J_regressor[joint] @ head.v_template for v in (turned.v_template, head.v_template)
        )
        assert torch.allclose(found, straight @ turn.T, atol=1e-5)


def test_captured_people_are_given_teeth_that_show_when_lips_part() -> None:
    features = load_features()
    teeth = features.of("teeth")
    assert int(teeth.sum()) > 1500
    assert features.gaussians.logit_opacities[teeth].sigmoid().median() > 0.5


def test_eyes_take_the_colours_of_a_photo() -> None:
    features = load_features()
    blue = np.array([0.2, 0.3, 0.6])
    tinted = features.tinted(EyeColours((blue, blue), np.array([0.8, 0.8, 0.8])), np.array([0.3, 0.2, 0.1]), 1.0)
    iris = tinted.sh[features.of("iris_left"), 0] * SH_DC + 0.5
    assert iris.median(0).values[2] > 1.3 * iris.median(0).values[0]
    assert torch.allclose(tinted.sh[features.of("lashes"), 0] * SH_DC + 0.5, torch.tensor([0.3, 0.2, 0.1]), atol=1e-5)


def test_a_head_that_turns_on_its_neck_shows_where_the_neck_is() -> None:
    """Landmarks of a head that turns about another pivot, on shoulders that stay, with distances that are noise."""
    head, arkit = open_head()
    own, own_arkit = replace(head, shapedirs=head.shapedirs[..., head.n_shape :], n_shape=0), replace(arkit, n_shape=0)
    lens, rng = Intrinsics(700.0, 320.0, 240.0), np.random.default_rng(0)
    points = FaceModel(own, own_arkit).pose(np.zeros(0), np.zeros(52), derivatives=False).points
    pivot = (own.J_regressor[1] @ own.v_template).double().numpy() + np.array([0.0, -0.012, -0.015])
    upright, place = axis_angle_to_matrix(np.array([np.pi, 0.0, 0.0])), np.array([0.01, 0.02, 0.6])
    turns = [np.zeros(3), *([0.15 * np.sin(k), t, 0.0] for k, t in enumerate((-0.6, -0.3, 0.2, 0.4, 0.65)))]
    fits, pictures = [], []
    for turn in turns:
        neck = axis_angle_to_matrix(np.array(turn))
        seen = ((points - pivot) @ neck.T + pivot) @ upright.T + place
        pixels = lens.focal * seen[:, :2] / seen[:, 2:] + [lens.x, lens.y] + rng.normal(0, 0.3, (len(seen), 2))
        pictures.append(FaceLandmarks(np.c_[pixels, np.zeros(len(seen))], np.zeros((2, 5, 2)), 1.0, (640, 480)))
        away = upright @ (pivot - neck @ pivot) + place + [0.0, 0.0, rng.normal(0, 0.01) * bool(fits)]
        fits.append(FaceFit(upright @ neck, away, np.zeros(0), np.zeros(52), np.zeros((2, 3)), 0.0))
    found = on_still_body(Person(own, own_arkit, tuple(fits), 0.0), pictures, [lens] * len(fits))
    joint = (found.person.head.J_regressor[1] @ own.v_template).double().numpy()
    assert np.abs((joint - pivot)[[0, 2]]).max() < 0.005  # how high it lies, turns to the side do not show
    assert np.allclose((found.person.head.J_regressor[[0, 2]] - own.J_regressor[[0, 2]]), 0)
    for pose, turn in zip(found.poses, turns, strict=True):
        assert np.abs(pose.neck_pose - turn).max() < 0.02 and np.abs(pose.transl).max() < 0.003
    calm = np.arange(len(fits)) >= 4  # turned by 0.4 and 0.65: as the head is held
    held = on_still_body(Person(own, own_arkit, tuple(fits), 0.0), pictures, [lens] * len(fits), calm)
    assert np.abs(np.median([pose.neck_pose for pose in held.poses[4:]], 0)).max() < 1e-3
    for one, other in zip(found.poses, held.poses, strict=True):  # and pictures show what they showed
        seen = [
            project(
                model.person.head.vertices(pose).double().numpy()[own.regions["face"]],
                model.still.camera(lens, (640, 480)),
            )[0]
            for model, pose in ((found, one), (held, other))
        ]
        assert np.abs(seen[0] - seen[1]).max() < 1.0
    rest, still = own.v_template.numpy(), found.person.head.vertices(found.poses[1]).numpy()
    root = (own.lbs_weights[:, 0] > 1 - 1e-6).numpy()
    assert np.abs(still[root] - rest[root]).max() < 0.004  # shoulders stay


_FROM_FRONT = [(0.0, turn) for turn in (-40, -20, 0, 20, 40)]
_ALL_ROUND = [(tilt, turn) for tilt in (-60, -20, 20, 60) for turn in range(-180, 180, 45)]


@pytest.mark.parametrize("views_deg", [_FROM_FRONT, _ALL_ROUND], ids=["from the front", "nothing unseen"])
def test_a_hull_is_what_all_outlines_have_in_common(views_deg: list[tuple[float, float]]) -> None:
    """A ball of hair about the head, seen from many sides."""
    head, _ = open_head()
    own = replace(head, shapedirs=head.shapedirs[..., head.n_shape :], n_shape=0)
    lens, centre, radius = Intrinsics(500.0, 160.0, 160.0), np.array([0.0, 0.06, -0.06]), 0.13
    fits, mattes = [], []
    y, x = np.mgrid[:320, :320] + 0.5
    for tilt, turn in np.radians(views_deg):
        rotation = axis_angle_to_matrix(np.array([np.pi + tilt, 0.0, 0.0]))
        rotation = rotation @ axis_angle_to_matrix(np.array([0.0, turn, 0.0]))
        place = np.array([0.0, 0.0, 0.7])
        fits.append(FaceFit(rotation, place, np.zeros(0), np.zeros(52), np.zeros((2, 3)), 0.0))
        middle = rotation @ centre + place
        at = lens.focal * middle[:2] / middle[2] + [lens.x, lens.y]
        disc = np.hypot(x - at[0], y - at[1]) < lens.focal * radius / np.sqrt(middle[2] ** 2 - radius**2)
        mattes.append(Matte(disc.astype(np.float64), np.full((320, 320, 3), [0.4, 0.2, 0.1])))
    carrying = hair_carriers(own)
    places = own.v_template.double().numpy()[own.faces.numpy()[carrying]].mean(1)
    hair = hair_hull(own, fits, [lens] * len(fits), mattes, (places, carrying))
    away = np.linalg.norm(hair.positions - centre, axis=1)
    assert len(hair.positions) > 1000 and abs(np.median(away) - radius) < 0.006
    assert np.isin(hair.triangles, carrying).all()
    assert np.allclose(hair.sh[:, 0] * SH_DC + 0.5, [0.4, 0.2, 0.1], atol=1e-6)
    none = [Matte(np.zeros((320, 320)), m.foreground) for m in mattes]
    assert not len(hair_hull(own, fits, [lens] * len(fits), none, (places, carrying)).positions)


def test_a_hull_ends_behind_where_nobody_looked_from() -> None:
    """Hair of 8 mm: outlines from the front and up to 40 degrees agree on a wedge far behind it."""
    head, _ = open_head()
    own = replace(head, shapedirs=head.shapedirs[..., head.n_shape :], n_shape=0)
    lens, place, fits, mattes = Intrinsics(500.0, 160.0, 160.0), np.array([0.0, 0.0, 0.7]), [], []
    places, faces = own.v_template.double().numpy(), own.faces.numpy()
    for turn in np.radians([-40, -20, 0, 20, 40]):
        rotation = axis_angle_to_matrix(np.array([np.pi, 0.0, 0.0])) @ axis_angle_to_matrix(np.array([0.0, turn, 0.0]))
        fits.append(FaceFit(rotation, place, np.zeros(0), np.zeros(52), np.zeros((2, 3)), 0.0))
        drawn = depth_picture(places, faces, fits[-1].camera(lens, (320, 320)))
        outline = ndimage.binary_dilation(np.isfinite(drawn.depth), iterations=6)
        mattes.append(Matte(outline.astype(np.float64), np.full((320, 320, 3), [0.4, 0.2, 0.1])))
    carrying = hair_carriers(own)
    hair = hair_hull(own, fits, [lens] * 5, mattes, (places[faces[carrying]].mean(1), carrying))
    behind = hair.positions[:, 2] < places[own.regions["skin"].numpy(), 2].max() - 0.15
    off, _ = cKDTree(places[own.regions["skin"].numpy()]).query(hair.positions)
    assert behind.sum() > 500 and off.max() < 0.025
