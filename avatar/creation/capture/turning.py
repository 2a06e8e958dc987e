"""Before a camera that stands still, a head turns on its neck and the shoulders stay: poses that say so."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.flame.params import FlameParams
from avatar.tracking.fit import FaceFit

__all__ = ["pose_of", "turned_on_neck"]

_NECK = 1


def pose_of(arkit: ArkitMap, fit: FaceFit) -> FlameParams:
    """The pose that a fit found, head upright: its camera went around the head."""
    return arkit.params(fit.weights.astype(np.float32)).replace(leye_pose=fit.gaze[1], reye_pose=fit.gaze[0])


def turned_on_neck(head: HeadModel, arkit: ArkitMap, fit: FaceFit, before: FaceFit) -> FlameParams:
    """The same pose seen by the camera of another fit, `before`: the neck turns, and the body goes where it must."""
    joint = (head.J_regressor[_NECK] @ head.v_template).double().numpy()
    turn = before.rotation.T @ fit.rotation
    shift = before.rotation.T @ (fit.translation - before.translation) + turn @ joint - joint
    return pose_of(arkit, fit).replace(neck_pose=Rotation.from_matrix(turn).as_rotvec(), transl=shift)
