"""A person's outline in a photo: what would stick out of it goes, or becomes smaller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64
from scipy import ndimage

from avatar.camera import Camera
from avatar.creation.capture.depth import project
from avatar.flame.params import FlameParams
from avatar.flame.skinning import quaternion_to_matrix
from avatar.rig import Avatar

__all__ = ["Shown", "inside_outline", "no_wider_than_outline"]

_BODY = 0.5
"""Share of a triangle that stays when the neck turns, from which on it is the body's."""
_MISFIT_M = 0.004
"""How far a turned head may lie beside its picture."""
_OUTSIDE, _EDGE = 0.05, 0.5
"""Of the matte: less than the first is background; the outline is where it is the second."""
_REACH = 2.0
"""Standard deviations of a Gaussian that are to lie within the outline."""
_LEAST_PX = 0.7
"""A standard deviation that is always allowed."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture, premultiplied RGBA 0..1, with the camera and the pose that show it."""

    camera: Camera
    params: FlameParams
    picture: Float32[np.ndarray, "h w 4"]


def inside_outline(avatar: Avatar, shown: Sequence[Shown]) -> Bool[np.ndarray, " n"]:
    """Which Gaussians lie within the person's outline in every picture: ears under hair do not stick out.

    Fits are not so exact that this holds for a cheek that is seen from the front when it makes the outline itself:
    what some picture shows well is not to be judged by it.
    """
    inside = np.ones(len(avatar.gaussians), bool)
    on_body = (avatar.head.lbs_weights[avatar.head.faces, 0].mean(1) > _BODY)[avatar.gaussians.triangles].numpy()
    for nth, view in enumerate(shown):
        pixels, depth = project(avatar.pose(view.params).means.double().numpy(), view.camera)
        at = np.floor(pixels).astype(int)
        framed = _framed(at, view.camera)
        if nth:  # clothes are laid by the first
            framed &= ~on_body
        x, y = at[framed].T
        reach = _MISFIT_M * view.camera.K[0, 0] / float(np.median(depth)) if nth else 1.0
        outline = ndimage.grey_dilation(view.picture[..., 3], 2 * round(reach) + 1)
        inside[framed] &= outline[y, x] > _OUTSIDE
    return inside


def no_wider_than_outline(avatar: Avatar, view: Shown) -> Avatar:
    """With those Gaussians made smaller that would reach out of the person's outline in a picture.

    How far a Gaussian reaches is told in the direction of the outline that is nearest: those on a side that is seen
    edgeways stay as they are.
    """
    mask = view.picture[..., 3] > _EDGE
    signed = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    towards = np.stack(np.gradient(ndimage.gaussian_filter(signed, 1.0))[::-1], -1)
    towards /= np.maximum(np.linalg.norm(towards, axis=-1, keepdims=True), 1e-6)
    cloud = avatar.pose(view.params)
    means, camera = cloud.means.double().numpy(), view.camera
    pixels, depth = project(means, camera)
    at = np.floor(pixels).astype(int)
    framed = _framed(at, camera) & (depth > 0)
    x, y = at[framed].T
    axes = (quaternion_to_matrix(cloud.quats) * cloud.scales[:, None, :]).double().numpy()[framed]
    flat = _across(means[framed], camera)
    wide = np.linalg.norm(np.einsum("na,nab,nbc->nc", towards[y, x], flat, axes), axis=1)
    allowed = np.maximum(signed[y, x] / _REACH, _LEAST_PX)
    less = np.zeros(len(means))
    less[framed] = np.log(np.minimum(allowed / np.maximum(wide, 1e-9), 1.0))
    bound = avatar.gaussians
    log_scales = bound.log_scales + torch.from_numpy(less[:, None]).to(bound.log_scales)
    return replace(avatar, gaussians=replace(bound, log_scales=log_scales))


def _across(means: Float[np.ndarray, "n 3"], camera: Camera) -> Float64[np.ndarray, "n 2 3"]:
    """How pixels change with places of the world."""
    turn = camera.viewmat[:3, :3].astype(np.float64)
    seen = means @ turn.T + camera.viewmat[:3, 3]
    by_seen = np.zeros((len(means), 2, 3))
    by_seen[:, 0, 0] = by_seen[:, 1, 1] = 1.0
    by_seen[:, :, 2] = -seen[:, :2] / seen[:, 2:]
    return by_seen * (np.diag(camera.K)[:2] / seen[:, 2:])[..., None] @ turn


def _framed(at: np.ndarray, camera: Camera) -> Bool[np.ndarray, " n"]:
    return np.asarray(((at >= 0) & (at < [camera.width, camera.height])).all(1))
