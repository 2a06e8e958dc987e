"""The first avatar of a person: what photos show, laid on their head by rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64

from avatar.binding import BoundGaussians
from avatar.camera import Camera
from avatar.creation.capture.depth import depth_picture
from avatar.creation.capture.features import eye_colours, load_features
from avatar.creation.capture.layers import Layers, separate
from avatar.creation.capture.outline import Shown, inside_outline, no_wider_than_outline
from avatar.creation.capture.person_head import Person
from avatar.creation.capture.photo import Photo
from avatar.creation.capture.shell import ShellPlace, grow_shell
from avatar.creation.capture.skin_paint import SkinBody, lay_skin, paint, see_skin
from avatar.creation.forge.splats import Splats
from avatar.flame.arkit import weights_from_dict
from avatar.flame.head import HeadModel
from avatar.flame.params import FlameParams
from avatar.rig import Avatar
from avatar.tracking.matte import Matte, PersonSegmenter, soft_matte

__all__ = ["MAX_GAUSSIANS", "PaintedAvatar", "hair_carriers", "paint_avatar"]

MAX_GAUSSIANS = 45_000

Progress = Callable[[float, str], None]

_FINE_M = 0.0015
_REST_M = 0.0044
_THROAT_M = 0.0024
_LIPS_M = 0.001
_BUST_M = 0.26
_SEEN_WELL = 0.3
_STILL = 0.98
"""Share of a triangle that stays when the neck turns, from which on clothes may hang on it."""
_PLACES = (
    (0.0, 0.6, True), (0.0, 0.12, False), (0.05, 1.0, False), (0.0, 0.1, False), (0.05, 1.0, False), (0.0, 0.3, False),
)  # fmt: skip
"""Where in the order of importance features, the layer under the skin, skin, lids, shell and more hair come: first,
last, and whether in an order of their own."""


@dataclass(frozen=True, eq=False)
class PaintedAvatar:
    """An avatar, how far the photos may correct each of its Gaussians (0..1), and what they show."""

    avatar: Avatar
    trust: Float[np.ndarray, " n"]
    shown: tuple[Shown, ...]


def paint_avatar(
    person: Person,
    photos: Sequence[Photo],
    cameras: Sequence[Camera],
    poses: Sequence[FlameParams],
    name: str,
    tell: Progress = lambda share, what: None,
    *,
    threads: int = 2,
    mattes: Sequence[Matte] | None = None,
    hair: Splats | None = None,
) -> PaintedAvatar:
    """Lay skin, hair and clothes as the photos show them, and eyes and mouth in their colours.

    Args:
        photos: the first gives hair and clothes; `person` has its fits in their order.
        cameras, poses: of each photo.
        mattes: of each photo, where they are known.
        hair: laid besides, on the head at rest: what the first photo does not show.
    """
    if mattes is None:
        segmenter, mattes = PersonSegmenter(threads), []
        for k, photo in enumerate(photos):
            tell(0.2 * k / len(photos), "cutting out")
            mattes.append(soft_matte(photo.picture, segmenter(photo.picture)))
    layers, sights = [], []
    body = SkinBody.of(person.head)
    for k, (photo, matte, camera, pose) in enumerate(zip(photos, mattes, cameras, poses, strict=True)):
        tell(0.2 + 0.3 * k / len(photos), "skin")
        layers.append(separate(photo.picture, photo.landmarks, matte))
        tell(0.2 + 0.3 * (k + 0.5) / len(photos), "skin")
        posed = person.head.vertices(pose).double().numpy()
        sights.append(see_skin(body, posed, camera, matte.foreground, layers[-1]))
    tell(0.5, "skin")
    painted = paint(body, sights, lambda: tell(0.5, "skin"))
    closed = person.head.vertices(person.arkit.params(weights_from_dict({"eyeBlinkLeft": 1, "eyeBlinkRight": 1})))
    tell(0.6, "skin")
    skin = lay_skin(body, painted, closed.double().numpy(), _spacing(body))
    tell(0.7, "hair and clothes")
    faces = person.head.faces.numpy()
    posed = person.head.vertices(poses[0]).double().numpy()
    shell, shell_trust = _shell(person, posed, cameras[0], layers[0], mattes[0], photos[0])
    parts = [laid.splats.to_bound(laid.vertices, faces) for laid in skin] + [shell.to_bound(posed, faces)]
    tell(0.9, "eyes and mouth")
    eyes = eye_colours(photos[0].picture, photos[0].landmarks)
    lash = _darkest(mattes[0], layers[0], photos[0])
    bound = [load_features().tinted(eyes, lash, 1.0), *parts]
    trust = [np.zeros(len(bound[0])), *(laid.trust for laid in skin), shell_trust]
    if hair is not None:
        bound.append(hair.to_bound(person.head.v_template.double().numpy(), faces))
        trust.append(np.ones(len(bound[-1])))
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
    inside = inside_outline(made, shown) | (trusted > _SEEN_WELL)
    made, trusted = replace(made, gaussians=gaussians.reordered(torch.from_numpy(inside))), trusted[inside]
    return PaintedAvatar(no_wider_than_outline(made, shown[0]), trusted, tuple(shown))


def _ordered(
    parts: Sequence[BoundGaussians], trust: Sequence[Float[np.ndarray, " n"]]
) -> tuple[BoundGaussians, Float[np.ndarray, " n"]]:
    """All parts in one order of importance, of which the first are a picture by themselves; no more than the most."""
    rng = np.random.default_rng(0)
    place = []
    for part, (first, last, own_order) in zip(parts, _PLACES, strict=False):  # more hair or none
        along = np.linspace(0, 1, len(part)) if own_order else rng.random(len(part))
        place.append(first + (last - first) * along)
    order = np.argsort(np.concatenate(place), kind="stable")[:MAX_GAUSSIANS]
    return BoundGaussians.joined(parts).reordered(torch.from_numpy(order)), np.concatenate(list(trust))[order]


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
    spacing = max(0.9 * place.head_depth / photo.intrinsics.focal, 0.0019)
    carrying = hair_carriers(head)
    still = carrying[head.lbs_weights.numpy()[faces[carrying], 0].mean(1) > _STILL]
    hair, clothes = ((posed[faces[which]].mean(1), which) for which in (carrying, still))
    return grow_shell(layers, matte, mesh, place, spacing, hair, clothes)


def hair_carriers(head: HeadModel) -> Int64[np.ndarray, " t"]:
    """Triangles of the skin that no expression moves."""
    faces = head.faces.numpy()
    skin = np.isin(faces, head.regions["skin"].numpy()).all(1)
    moved = head.shapedirs.abs().sum((1, 2)) + head.posedirs.abs().sum((1, 2))
    still = ((moved < 1e-4) & (head.lbs_weights[:, 2] < 0.01)).numpy()
    return np.flatnonzero(still[faces].all(1) & skin)


def _spacing(body: SkinBody) -> np.ndarray:
    """Fine on the face, coarse where hair and clothes cover the skin or nobody looks closely."""
    v = body.surface.vertices
    face = np.clip((v[:, 2] + 0.01) / 0.02, 0, 1) * np.clip((v[:, 1] + 0.14) / 0.02, 0, 1)
    ears = np.clip((np.abs(v[:, 0]) - 0.062) / 0.006, 0, 1) * (np.abs(v[:, 1]) < 0.05) * (v[:, 2] > -0.05)
    throat = np.clip((v[:, 2] + 0.05) / 0.02, 0, 1) * np.clip((v[:, 1] + 0.24) / 0.02, 0, 1)
    spacing = _REST_M + (_THROAT_M - _REST_M) * throat
    spacing += (_FINE_M - spacing) * np.clip(np.maximum(face, ears), 0, 1)
    return np.where(body.lips > 0.3, _LIPS_M, spacing)


def _darkest(matte: Matte, layers: Layers, photo: Photo) -> Float[np.ndarray, "3"]:
    """A colour for lashes: that of the darkest hundredth of the face."""
    face = matte.foreground[layers.skin > 0.6]
    if not len(face):
        return np.array([0.10, 0.08, 0.07])
    order = np.argsort(face.sum(1))[: max(10, len(face) // 100)]
    return np.clip(0.8 * np.median(face[order], 0), 0.03, 0.35)
