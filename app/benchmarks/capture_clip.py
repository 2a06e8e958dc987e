"""How well clips are captured, on rendered people who turn, blink and talk before a webcam that nobody measured."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from scipy.spatial.transform import Rotation

from avatar.camera import Camera
from avatar.creation.capture.frames import choose_frames
from avatar.creation.capture.from_clip import CLIP_TRAINING, TrackedClipPictures, track_pictures, train_on_clip
from avatar.creation.capture.rendered_clip import clip_camera, write_clip
from avatar.creation.capture.rendered_people import people
from avatar.creation.training.run import RunOptions
from avatar.flame.arkit import weights_from_dict
from avatar.formats.native import load_avatar
from avatar.library import shipped_names
from avatar.render import open_renderer
from avatar.render.conformance import psnr_db
from avatar.render.protocol import Renderer
from avatar.rig import Avatar
from avatar.tracking.alignment import align
from avatar.tracking.pictures import Clip

__all__ = ["compare", "measure_clips"]

_SEED = 7411
"""Nobody here was learned from, nor tried on while capture was written."""
_SIZE = 640
_FACES: dict[str, dict[str, float]] = {
    "rest": {},
    "ah": {"jawOpen": 0.6},
    "shut": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "smile": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "mouthUpperUpLeft": 0.2, "mouthUpperUpRight": 0.2},
}
_TURNS_DEG = (-40, -30, -20, -10, 0, 10, 20, 30, 40)
_FEW_DEG = (-40, 0, 40)
_BRIEF_STEPS, _BRIEF_COUNT = 600, 24_000
_BLUR_PX, _ROUNDS = 2.0, 4
_PROBE = np.array([0.004, 0.004, 0.004, 0.0006, 0.0006, 0.003])
"""Radians and metres by which cameras are moved to see what changes."""


def measure_clips(
    count: int, tell: Callable[[str, float], None] = lambda what, share: None, brief: bool = False
) -> dict[str, Any]:
    """Figures on `count` people; plain data. Each takes as long as a clip does.

    Args:
        brief: train on pictures of half the size, fewer Gaussians, fewer steps: a tenth of the time, and less than the
            command gives.

    `shape_mm`: distance of the face's vertices from the truth after a similarity transform. `db`: PSNR over the head
    (down to the chin) where the clip's camera sees it turned by so much at rest, and the mean and the least of all
    faces and turns; `person_db`: the mean with neck and shoulders.
    """
    renderer = open_renderer("cpu")
    rows = []
    for k, person in enumerate(people(shipped_names(), count, _SEED)):

        def told(share: float, what: str, k: int = k) -> None:
            tell(f"clip {k + 1}: {what}", (k + share) / count)

        with tempfile.TemporaryDirectory() as folder:
            path, out = Path(folder) / "clip.mp4", Path(folder) / "made.safetensors"
            write_clip(person, renderer, path, _SIZE, seed=_SEED + k)
            tracked = track_pictures(choose_frames(Clip.open(path)), "made", lambda s, w: told(0.2 * s, w))
            config = CLIP_TRAINING
            if brief:
                tracked, config = _halved(tracked), replace(config, steps=_BRIEF_STEPS, least=_BRIEF_COUNT // 3)
            train_on_clip(tracked, RunOptions(out), lambda s, w: told(0.2 + 0.8 * s, w), config)
            rows.append(compare(load_avatar(out), person, renderer, clip_camera(_SIZE, _SEED + k)))
    mean: Callable[[str], float] = lambda name: round(float(np.mean([row[name] for row in rows])), 1)  # noqa: E731
    turned = {str(t): round(float(np.mean([row["by_turn"][t] for row in rows])), 1) for t in _TURNS_DEG}
    return {
        "people": count,
        "brief": brief,
        "shape_mm": round(float(np.mean([row["shape_mm"] for row in rows])), 2),
        "db": turned | {"mean": mean("db"), "least": round(min(row["least_db"] for row in rows), 1)},
        "person_db": mean("whole_db"),
    }


def _halved(tracked: TrackedClipPictures) -> TrackedClipPictures:
    """With pictures of half the size, and the most important Gaussians."""
    views = []
    for view in tracked.views:
        height, width = (side // 2 for side in view.read().shape[:2])
        picture = view.read()[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 4).mean((1, 3))
        camera = Camera(view.camera.viewmat, view.camera.K * np.array([[0.5], [0.5], [1]], np.float32), width, height)
        views.append(replace(view, camera=camera, picture=picture.round().astype(np.uint8)))
    first = replace(tracked.first, gaussians=tracked.first.gaussians.first(_BRIEF_COUNT))
    return TrackedClipPictures(first, tuple(views))


def compare(made: Avatar, person: Avatar, renderer: Renderer, camera: Camera) -> dict[str, Any]:
    """One person's figures: the head turned on its neck before the camera.

    Where the made head stands is found from the picture of each turn at rest, as others track the pictures that they
    measure on: meshes that differ by a millimetre or two do not say it well enough.
    """
    region = person.head.regions["face"].numpy()
    mine, truth = _rest(made)[region], _rest(person)[region]
    rotation, scale, shift = align(mine, truth)
    error = np.linalg.norm(scale * mine @ rotation.T + shift - truth, axis=1).mean() * 1e3
    whole, heads, by_turn, placed = [], [], {}, {}
    for name, face in _FACES.items():
        weights = weights_from_dict(face)
        for turn in _TURNS_DEG if name == "rest" else _FEW_DEG:
            neck = np.array([0.0, np.radians(turn), 0.0])
            true_pose = person.arkit.params(weights).replace(neck_pose=neck)
            own_pose = made.arkit.params(weights).replace(neck_pose=rotation.T @ neck)
            points = person.head.vertices(true_pose, person.static_offset).double().numpy()[region]
            wanted = _picture(renderer, person, true_pose, camera)
            above = np.arange(camera.height)[:, None] <= _lowest(points, camera)
            if turn not in placed:
                found = made.head.vertices(own_pose, made.static_offset).double().numpy()[region]
                placed[turn] = _laid_over(
                    partial(_picture, renderer, made, own_pose),
                    _before(camera, found, points),
                    wanted,
                    above,
                )
            drawn = _picture(renderer, made, own_pose, placed[turn])
            body = wanted[..., 3] > 0.5
            whole.append(psnr_db(wanted[body][:, :3], drawn[body][:, :3]))
            heads.append(psnr_db(wanted[body & above][:, :3], drawn[body & above][:, :3]))
            if name == "rest":
                by_turn[turn] = heads[-1]
    return {
        "shape_mm": error, "by_turn": by_turn, "db": np.mean(heads), "least_db": min(heads), "whole_db": np.mean(whole),
    }  # fmt: skip


def _laid_over(
    draw: Callable[[Camera], Float[np.ndarray, "h w 4"]],
    camera: Camera,
    wanted: Float[np.ndarray, "h w 4"],
    where: Bool[np.ndarray, "h 1"],
) -> Camera:
    """A camera near to this one from which the picture is most like the one that is wanted: Gauss-Newton with
    differences, on blurred pictures."""

    def blurred(picture: Float[np.ndarray, "h w 4"]) -> Float[np.ndarray, " n"]:
        return (ndimage.gaussian_filter(picture, (_BLUR_PX, _BLUR_PX, 0)) * where[..., None])[::2, ::2].ravel()

    target, centre = blurred(wanted), camera.viewmat[:3, 3].astype(np.float64)

    def moved(step: Float[np.ndarray, "6"], at: Camera) -> Camera:
        view = at.viewmat.astype(np.float64)
        turn = Rotation.from_rotvec(step[:3]).as_matrix()
        view[:3, :3] = turn @ view[:3, :3]
        view[:3, 3] = turn @ (view[:3, 3] - centre) + centre + step[3:]
        return replace(at, viewmat=view.astype(np.float32))

    for _ in range(_ROUNDS):
        here = blurred(draw(camera))
        columns = [(blurred(draw(moved(step, camera))) - here) / step.max() for step in np.diag(_PROBE)]
        slopes = np.stack(columns, 1)
        gram = slopes.T @ slopes
        found = np.linalg.solve(gram + 1e-3 * np.diag(np.diag(gram)), slopes.T @ (target - here))
        camera = moved(found.clip(-5 * _PROBE, 5 * _PROBE), camera)
    return camera


def _rest(avatar: Avatar) -> Float[np.ndarray, "v 3"]:
    template = avatar.head.v_template if avatar.static_offset is None else avatar.head.v_template + avatar.static_offset
    return template.double().numpy()


def _before(camera: Camera, found: Float[np.ndarray, "n 3"], placed: Float[np.ndarray, "n 3"]) -> Camera:
    """The camera as it must stand before a made face to see it where the true one is."""
    rotation, scale, shift = align(found, placed)
    true_view, view = camera.viewmat.astype(np.float64), np.eye(4)
    view[:3, :3] = true_view[:3, :3] @ rotation
    view[:3, 3] = (true_view[:3, :3] @ shift + true_view[:3, 3]) / scale
    return replace(camera, viewmat=view.astype(np.float32))


def _picture(renderer: Renderer, avatar: Avatar, params: Any, camera: Camera) -> Float[np.ndarray, "h w 4"]:
    return renderer.draw(avatar, params, camera).astype(np.float64) / 255


def _lowest(face: Float[np.ndarray, "n 3"], camera: Camera) -> float:
    """The row of the chin."""
    seen = face @ camera.viewmat[:3, :3].T.astype(np.float64) + camera.viewmat[:3, 3]
    return float((camera.K[1, 1] * seen[:, 1] / seen[:, 2] + camera.K[1, 2]).max())
