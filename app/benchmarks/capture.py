"""How well faces are captured and followed, on rendered people whose shape and pose are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from avatar.camera import Camera
from avatar.creation.capture.from_photos import capture
from avatar.creation.capture.person_head import fit_person, person_head
from avatar.creation.capture.photo import Photo
from avatar.creation.capture.rendered_people import draw, people, sittings
from avatar.creation.capture.turning import pose_of
from avatar.flame.arkit import NAMES, indices
from avatar.heads import open_head
from avatar.library import shipped_names
from avatar.render import open_renderer
from avatar.render.conformance import psnr_db
from avatar.render.protocol import Renderer
from avatar.rig import Avatar
from avatar.tracking.alignment import align
from avatar.tracking.driving import DrivingModel
from avatar.tracking.fit import Intrinsics
from avatar.tracking.landmarker import FaceLandmarker
from avatar.tracking.tracker import FaceTracker, Rest

__all__ = ["measure"]

_SEED = 4711
"""Not that of the tables: nobody here was learned from."""
_SIZE = 480
_AIM, _FOV, _FAR_M = (0.0, -0.03, 0.0), 28.0, 0.9
_BACKGROUND = (0.55, 0.6, 0.65)
_DRIVEN = {
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "jaw": ("jawOpen",),
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "brows": ("browInnerUp", "browDownLeft", "browDownRight", "browOuterUpLeft", "browOuterUpRight"),
    "gaze": ("eyeLookInLeft", "eyeLookOutLeft", "eyeLookInRight", "eyeLookOutRight"),
}


def measure(
    count: int = 4, each: int = 25, tell: Callable[[str, float], None] = lambda what, share: None
) -> dict[str, Any]:
    """Figures on `count` people; plain data.

    `shape_mm`: distance of the face's vertices from the truth after a similarity transform, of the average head, from
    one picture and from five as the tracker guesses it, and of an avatar from one photo. `photo_db`: PSNR over
    the person, from the photo's own side and from `turn` degrees.
    `driving_r`: correlation with the truth. `turn_deg`: error of the head's turn.
    """
    renderer, landmarker = open_renderer("cpu"), FaceLandmarker()
    shapes: dict[str, list[float]] = {"average": [], "one picture": [], "five pictures": [], "of the avatar": []}
    decibels: dict[str, list[float]] = {"0": [], "20": [], "40": []}
    for k, person in enumerate(people(shipped_names(), count, _SEED)):
        tell("shapes and photos", 0.6 * k / count)
        for name, value in _shape_errors(person, renderer, landmarker).items():
            shapes[name].append(value)
        for name, value in _photo_quality(person, renderer, landmarker).items():
            decibels[name].append(value)
    tell("driving", 0.6)
    driving, turn = _driving(count, each, renderer, landmarker)
    tell("done", 1.0)
    return {
        "people": count,
        "shape_mm": {name: round(float(np.mean(v)), 2) for name, v in shapes.items()},
        "photo_db": {name: round(float(np.mean(v)), 1) for name, v in decibels.items()},
        "driving_r": driving,
        "turn_deg": turn,
    }


def _camera(yaw_deg: float, pitch_deg: float = 0.0) -> Camera:
    return Camera.orbit(_SIZE, _SIZE, yaw_deg, pitch_deg, _FAR_M, _AIM, _FOV)


def _photo(person: Avatar, camera: Camera, renderer: Renderer, landmarker: FaceLandmarker) -> Photo:
    picture = draw(renderer, person, person.head.neutral(), camera, _BACKGROUND)
    face = landmarker.faces(picture)[0]
    return Photo(picture, face, Intrinsics(float(camera.K[0, 0]), float(camera.K[0, 2]), float(camera.K[1, 2])))


def _shape_errors(person: Avatar, renderer: Renderer, landmarker: FaceLandmarker) -> dict[str, float]:
    head, arkit = open_head()
    region = head.regions["face"].numpy()
    truth = person.head.v_template.double().numpy()[region]

    def error(found: Float[np.ndarray, "v 3"]) -> float:
        rotation, scale, shift = align(found[region], truth)
        moved = scale * found[region] @ rotation.T + shift
        return float(np.linalg.norm(moved - truth, axis=1).mean() * 1e3)

    views = [_photo(person, _camera(yaw), renderer, landmarker) for yaw in (0.0, -25.0, 25.0, -12.0, 12.0)]
    out = {"average": error(head.v_template.double().numpy())}
    model = DrivingModel.shipped()
    seen = [model.features(view.landmarks) for view in views]
    for name, used in (("one picture", seen[:1]), ("five pictures", seen)):
        shape = torch.from_numpy(model.shape(used)).to(head.v_template)
        out[name] = error(head.shaped(shape, torch.zeros(head.n_expression)).double().numpy())
    marks, cameras = [views[0].landmarks], [views[0].intrinsics]
    made = person_head(head, arkit, marks, cameras, fit_person(head, arkit, marks, cameras))
    out["of the avatar"] = error(made.head.v_template.double().numpy())
    return out


def _photo_quality(person: Avatar, renderer: Renderer, landmarker: FaceLandmarker) -> dict[str, float]:
    head, arkit = open_head()
    front = _camera(0.0)
    photo = _photo(person, front, renderer, landmarker)
    made = capture([photo], "made")
    fits = fit_person(head, arkit, [photo.landmarks], [photo.intrinsics])
    own = person_head(head, arkit, [photo.landmarks], [photo.intrinsics], fits)
    params = pose_of(own.arkit, own.fits[0])
    nearer = float(own.fits[0].translation[2]) / _FAR_M
    out = {}
    for yaw in (0.0, 20.0, 40.0):
        camera = _camera(yaw)
        step = camera.viewmat.astype(np.float64) @ np.linalg.inv(front.viewmat.astype(np.float64))
        step[:3, 3] *= nearer  # the fit may stand nearer, and the head be smaller, by the same factor
        seen = own.fits[0].camera(photo.intrinsics, (_SIZE, _SIZE))
        moved = replace(seen, viewmat=(step @ seen.viewmat).astype(np.float32))
        truth = renderer.draw(person, person.head.neutral(), camera).astype(np.float64) / 255
        found = renderer.draw(made, params, moved).astype(np.float64) / 255
        body = truth[..., 3] > 0.5
        out[f"{yaw:.0f}"] = psnr_db(truth[body][:, :3], found[body][:, :3])
    return out


def _driving(
    count: int, each: int, renderer: Renderer, landmarker: FaceLandmarker
) -> tuple[dict[str, float], dict[str, float]]:
    model = DrivingModel.shipped()
    tracker = FaceTracker(landmarker, model)
    truth, found, turns = [], [], []
    resting: list[Any] = []
    person, rest_camera = -1, np.eye(3)
    for sitting in sittings(people(shipped_names(), count, _SEED + 1), renderer, each, _SEED + 2, 360, turn_deg=20.0):
        if sitting.number != person:
            person, resting, tracker.rest = sitting.number, [], None
        landmarker.forget()
        seen = tracker.see(sitting.picture)
        if seen is None:
            continue
        if not sitting.weights.any():
            resting.append((seen, sitting.camera.viewmat[:3, :3].astype(np.float64)))
            continue
        if tracker.rest is None:
            tracker.rest = Rest.of([s for s, _ in resting])
            rest_camera = _nearest_rotation(np.mean([c for _, c in resting], 0))
        face = tracker.interpret(*seen)
        truth.append(sitting.weights)
        found.append(face.weights)
        turned = model.turn(seen[1], tracker.rest.values, tracker.rest.rotation)
        real = sitting.camera.viewmat[:3, :3].astype(np.float64) @ rest_camera.T
        cosine = (np.trace(turned @ real.T) - 1) / 2
        turns.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    a, b = np.array(truth), np.array(found)

    def r(names: tuple[str, ...]) -> float:
        rows = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in indices(*names)]
        return round(float(np.nanmean(rows)), 2)

    every = {name: r((name,)) for name in NAMES if a[:, indices(name)[0]].std() > 0}
    driving = {name: r(members) for name, members in _DRIVEN.items()}
    driving["median of all"] = round(float(np.nanmedian(list(every.values()))), 2)
    error = {"median": round(float(np.median(turns)), 2), "p90": round(float(np.percentile(turns, 90)), 2)}
    return driving, error


def _nearest_rotation(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    u, _, vt = np.linalg.svd(matrix)
    return u @ vt
