"""One or several photos of a person -> an avatar."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from scipy import ndimage

from avatar.binding import BoundGaussians
from avatar.camera import Camera
from avatar.creation.capture.depth import depth_picture, project
from avatar.creation.capture.features import eye_colours, load_features
from avatar.creation.capture.layers import Layers, separate
from avatar.creation.capture.mouth_place import with_mouth_at
from avatar.creation.capture.person_head import Person, fit_person, mouth_at_rest, person_head
from avatar.creation.capture.refine import Shown, refine
from avatar.creation.capture.shell import ShellPlace, grow_shell
from avatar.creation.capture.skin_paint import SkinBody, lay_skin, paint, see_skin
from avatar.creation.capture.turning import pose_of, turned_on_neck
from avatar.creation.forge.splats import Splats
from avatar.errors import UserError
from avatar.flame.arkit import weights_from_dict
from avatar.heads import open_head
from avatar.render import open_renderer
from avatar.rig import Avatar
from avatar.tracking.face_points import FaceModel
from avatar.tracking.fit import FaceFitter, Intrinsics
from avatar.tracking.landmarker import FaceLandmarker, FaceLandmarks
from avatar.tracking.matte import Matte, PersonSegmenter, soft_matte

__all__ = ["MAX_GAUSSIANS", "Photo", "capture", "cut", "look_at"]

MAX_GAUSSIANS = 45_000
_log = logging.getLogger(__name__)

Progress = Callable[[float, str], None]

_FACE_PX = 340
"""Width that a face is brought to: more costs time and cannot be seen."""
_SMALL_PX = 200
"""Narrower faces are enlarged to this, at most twofold, so that splats can be as fine as the picture."""
_LEAST_FACE_PX = 60
_MOST_TURNED = 0.5
"""How far the tip of the nose may lie off the middle of the face, relative to its half width, in the first photo."""
_FINE_M = 0.0015
_REST_M = 0.0044
_LIPS_M = 0.001
_BUST_M = 0.26
_PREVIEW_PX = 320
_SEEN_WELL = 0.3
_OUTSIDE = 0.05
"""Of the matte: less is background."""
_PLACES = ((0.0, 0.6, True), (0.0, 0.12, False), (0.05, 1.0, False), (0.0, 0.1, False), (0.05, 1.0, False))
"""Where in the order of importance features, the layer under the skin, skin, lids and shell come: first, last, and
whether in an order of their own."""


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture with one face in it, cut to what is of use."""

    picture: Image.Image
    landmarks: FaceLandmarks
    intrinsics: Intrinsics
    notes: tuple[str, ...] = ()
    """What could be better about it, in a line each."""


def look_at(
    picture: Image.Image, landmarker: FaceLandmarker, name: str = "the photo", focal_35mm: float | None = None
) -> Photo:
    """Find the face and cut the photo to head and shoulders.

    Raises:
        UserError: if there is no face in it, or one that cannot be used; it says why.
    """
    faces = landmarker.faces(picture)
    if not faces:
        raise UserError(f"{name}: no face was found; it should be seen from the front, whole, and well lit")
    face, notes = faces[0], []
    if len(faces) > 1 and faces[1].eye_distance > 0.6 * face.eye_distance:
        notes.append(f"{len(faces)} faces are in the picture: the largest was taken")
    left, _, right, _ = face.box
    if face.eye_distance < _LEAST_FACE_PX / 2.2:
        raise UserError(
            f"{name}: the face is only {right - left:.0f} pixels wide; {_LEAST_FACE_PX} are needed at least"
        )
    inside = ((face.points[:, :2] >= 0) & (face.points[:, :2] <= picture.size)).all(1).mean()
    if inside < 0.95:
        raise UserError(f"{name}: the picture's border cuts the face off")
    nose, cheeks = face.points[4, 0], face.points[[234, 454], 0]
    turned = abs(nose - cheeks.mean()) / max(abs(float(np.diff(cheeks)[0])) / 2, 1e-6)
    if turned > _MOST_TURNED:
        notes.append("the face is turned away: its far side is guessed")
    gap = float(np.linalg.norm(face.points[13, :2] - face.points[14, :2])) / face.eye_distance
    if gap > 0.12:
        notes.append("the mouth is open: a photo with the lips closed gives a better one")
    sharp = _sharpness(picture, face)
    if sharp < 2.0:
        notes.append("the face is blurred")
    brightness = float(np.asarray(picture.convert("L").crop(face.box)).mean())
    if brightness < 50:
        notes.append("the face is dark")
    width = right - left
    scale = min(_FACE_PX / width, 1.0) if width > _SMALL_PX else min(_SMALL_PX / width, 2.0)
    return cut(picture, face, Intrinsics.guess(picture.size, focal_35mm), scale, tuple(notes))


def cut(
    picture: Image.Image, face: FaceLandmarks, intrinsics: Intrinsics, scale: float, notes: tuple[str, ...] = ()
) -> Photo:
    """Head and shoulders around a face, at another scale."""
    left, top, right, bottom = face.box
    width = right - left
    box = np.array([left - 1.5 * width, top - 1.3 * width, right + 1.5 * width, bottom + 1.6 * width])
    box = np.clip(box, 0, [picture.width, picture.height] * 2).round().astype(int)
    part = picture.crop((int(box[0]), int(box[1]), int(box[2]), int(box[3])))
    size = (max(1, round(part.width * scale)), max(1, round(part.height * scale)))
    ratio = np.array(size) / np.array(part.size)
    moved = replace(
        face,
        points=(face.points - [box[0], box[1], 0]) * [*ratio, ratio[0]],
        irises=(face.irises - box[:2]) * ratio,
        size=size,
    )
    camera = Intrinsics(
        intrinsics.focal * ratio[0], (intrinsics.x - box[0]) * ratio[0], (intrinsics.y - box[1]) * ratio[1]
    )
    return Photo(part.resize(size, Image.Resampling.LANCZOS), moved, camera, notes)


def capture(
    photos: Sequence[Photo],
    name: str,
    tell: Progress = lambda share, what: None,
    show: Callable[[Image.Image], None] = lambda picture: None,
    *,
    threads: int = 2,
    steps: int | None = None,
    still_camera: bool = False,
) -> Avatar:
    """Make an avatar of the person in these photos; the first one, the frontmost, gives hair and clothes.

    Args:
        show: given a picture of the avatar as it is so far, once or twice.
        still_camera: whether one camera that stood still took them all: then the head turned on its neck.
        steps: of the training at the end; what a photo needs if None.

    Raises:
        UserError: if there is no photo.
    """
    if not photos:
        raise UserError("an avatar needs at least one photo")
    tell(0.02, "shape")
    head, arkit = open_head()
    landmarks, intrinsics = [p.landmarks for p in photos], [p.intrinsics for p in photos]
    person = person_head(head, arkit, landmarks, intrinsics, fit_person(head, arkit, landmarks, intrinsics))
    photos = _bent(photos, person)
    tell(0.15, "cutting out")
    segmenter = PersonSegmenter(threads)
    mattes = [soft_matte(p.picture, segmenter(p.picture)) for p in photos]
    layers = [separate(p.picture, p.landmarks, m) for p, m in zip(photos, mattes, strict=True)]
    first = person.fits[0]
    if still_camera:
        cameras = [first.camera(p.intrinsics, p.picture.size) for p in photos]
        poses = [turned_on_neck(person.head, person.arkit, f, first) for f in person.fits]
    else:
        cameras = [f.camera(p.intrinsics, p.picture.size) for p, f in zip(photos, person.fits, strict=True)]
        poses = [pose_of(person.arkit, f) for f in person.fits]
    posed = [person.head.vertices(p).double().numpy() for p in poses]
    tell(0.3, "skin")
    body = SkinBody.of(person.head)
    sights = [see_skin(body, v, c, m.foreground, l) for v, c, m, l in zip(posed, cameras, mattes, layers, strict=True)]
    painted = paint(body, sights)
    closed = person.head.vertices(person.arkit.params(weights_from_dict({"eyeBlinkLeft": 1, "eyeBlinkRight": 1})))
    skin = lay_skin(body, painted, closed.double().numpy(), _spacing(body))
    tell(0.5, "hair and clothes")
    faces = person.head.faces.numpy()
    shell, shell_trust = _shell(person, posed[0], cameras[0], layers[0], mattes[0], photos[0])
    parts = [laid.splats.to_bound(laid.vertices, faces) for laid in skin] + [shell.to_bound(posed[0], faces)]
    tell(0.6, "eyes and mouth")
    eyes = eye_colours(photos[0].picture, photos[0].landmarks)
    lash = _darkest(mattes[0], layers[0], photos[0])
    bound = [load_features().tinted(eyes, lash, 1.0), *parts]
    trust = [np.zeros(len(bound[0])), *(laid.trust for laid in skin), shell_trust]
    gaussians, trusted = _ordered(bound, trust)
    shown = [
        Shown(c, p, np.concatenate([m.foreground * m.alpha[..., None], m.alpha[..., None]], 2).astype(np.float32))
        for c, p, m in zip(cameras, poses, mattes, strict=True)
    ]
    made = Avatar(
        name,
        person.head,
        gaussians,
        person.arkit,
        metadata={"description": f"made from {len(photos)} photo{'s' if len(photos) > 1 else ''}"},
    )
    inside = _inside(made, shown) | (trusted > _SEEN_WELL)
    made, trusted = replace(made, gaussians=_selected(gaussians, inside)), trusted[inside]
    show(_portrait(made))
    finished = refine(
        made,
        shown,
        trusted,
        lambda share, what: tell(0.65 + 0.35 * share, what),
        threads=threads,
        steps=steps,
    )
    show(_portrait(finished))
    return finished


def _bent(photos: Sequence[Photo], person: Person) -> list[Photo]:
    """The photos with their lips where the person's head has them; those whose lips are at rest, where fits are good,
    as they are."""
    fitter = FaceFitter(FaceModel(person.head, person.arkit))
    bent = []
    for photo, fit in zip(photos, person.fits, strict=True):
        picture, landmarks = photo.picture, photo.landmarks
        if not mouth_at_rest(fit):
            picture, landmarks = with_mouth_at(picture, landmarks, fitter.projected(fit, photo.intrinsics))
        bent.append(replace(photo, picture=picture, landmarks=landmarks))
    return bent


def _portrait(avatar: Avatar) -> Image.Image:
    camera = Camera.preset("portrait", _PREVIEW_PX, _PREVIEW_PX)
    drawn = open_renderer("cpu").draw(avatar, avatar.head.neutral(), camera, background=(0.86, 0.87, 0.89))
    return Image.fromarray(np.ascontiguousarray(drawn[..., 2::-1]))


def _ordered(
    parts: Sequence[BoundGaussians], trust: Sequence[Float[np.ndarray, " n"]]
) -> tuple[BoundGaussians, Float[np.ndarray, " n"]]:
    """All parts in one order of importance, of which the first are a picture by themselves; no more than the most."""
    rng = np.random.default_rng(0)
    place = []
    for part, (first, last, own_order) in zip(parts, _PLACES, strict=True):
        along = np.linspace(0, 1, len(part)) if own_order else rng.random(len(part))
        place.append(first + (last - first) * along)
    order = np.argsort(np.concatenate(place), kind="stable")[:MAX_GAUSSIANS]
    joined = BoundGaussians(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(parts[0])))
    return _selected(joined, order), np.concatenate(list(trust))[order]


def _selected(gaussians: BoundGaussians, which: np.ndarray) -> BoundGaussians:
    index = torch.from_numpy(which)
    return BoundGaussians(*(getattr(gaussians, field.name)[index] for field in fields(gaussians)))


def _inside(avatar: Avatar, shown: Sequence[Shown]) -> Bool[np.ndarray, " n"]:
    """Which Gaussians lie within the person's outline in every picture: ears under hair do not stick out.

    Fits are not so exact that this holds for a cheek that is seen from the front when it makes the outline itself:
    what some picture shows well is not to be judged by it.
    """
    inside = np.ones(len(avatar.gaussians), bool)
    for view in shown:
        pixels, _ = project(avatar.pose(view.params).means.double().numpy(), view.camera)
        at = np.floor(pixels).astype(int)
        framed = ((at >= 0) & (at < [view.camera.width, view.camera.height])).all(1)
        x, y = at[framed].T
        inside[framed] &= ndimage.grey_dilation(view.picture[..., 3], 3)[y, x] > _OUTSIDE
    return inside


def _shell(
    person: Person, posed: np.ndarray, camera: Camera, layers: Layers, matte: Matte, photo: Photo
) -> tuple[Splats, np.ndarray]:
    head, fit, points = person.head, person.fits[0], photo.landmarks.points
    faces = head.faces.numpy()
    skin = np.isin(faces, head.regions["skin"].numpy()).all(1)
    mesh = depth_picture(posed, faces[skin], camera)
    height = float(np.ptp(points[:, 1]))

    def depth(place: tuple[float, float, float]) -> float:
        return float((fit.rotation @ np.array(place) + fit.translation)[2])

    bust = camera.K[1, 2] + camera.K[1, 1] * (_BUST_M + fit.translation[1]) / fit.translation[2]
    place = ShellPlace(
        fit,
        photo.intrinsics,
        depth((0, 0.02, -0.045)),
        depth((0, -0.2, -0.06)),
        float(points[152, 1]),
        height,
        float(bust),
    )
    moved = head.shapedirs.abs().sum((1, 2)) + head.posedirs.abs().sum((1, 2))
    still = ((moved < 1e-4) & (head.lbs_weights[:, 2] < 0.01)).numpy()
    carrying = np.flatnonzero(still[faces].all(1) & skin)
    spacing = max(0.9 * place.head_depth / photo.intrinsics.focal, 0.0019)
    return grow_shell(layers, matte, mesh, place, spacing, (posed[faces[carrying]].mean(1), carrying))


def _spacing(body: SkinBody) -> np.ndarray:
    """Fine on the face, coarse where hair and clothes cover the skin or nobody looks closely."""
    v = body.surface.vertices
    face = np.clip((v[:, 2] + 0.01) / 0.02, 0, 1) * np.clip((v[:, 1] + 0.14) / 0.02, 0, 1)
    ears = np.clip((np.abs(v[:, 0]) - 0.062) / 0.006, 0, 1) * (np.abs(v[:, 1]) < 0.05) * (v[:, 2] > -0.05)
    spacing = _REST_M + (_FINE_M - _REST_M) * np.clip(np.maximum(face, ears), 0, 1)
    return np.where(body.lips > 0.3, _LIPS_M, spacing)


def _darkest(matte: Matte, layers: Layers, photo: Photo) -> Float[np.ndarray, "3"]:
    """A colour for lashes: that of the darkest hundredth of the face."""
    face = matte.foreground[layers.skin > 0.6]
    if not len(face):
        return np.array([0.10, 0.08, 0.07])
    order = np.argsort(face.sum(1))[: max(10, len(face) // 100)]
    return np.clip(0.8 * np.median(face[order], 0), 0.03, 0.35)


def _sharpness(picture: Image.Image, face: FaceLandmarks) -> float:
    """Spread of the Laplacian over a face brought to a fixed size, in levels of 255."""
    grey = np.asarray(picture.convert("L").crop(face.box).resize((128, 128), Image.Resampling.BOX), np.float64)
    return float(
        np.abs(4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]).mean()
    )
