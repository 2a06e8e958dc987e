"""Rotations and linear blend skinning, batched and differentiable (torch)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "axis_angle_to_matrix",
    "linear_blend_skinning",
    "matrix_to_quaternion",
    "quaternion_multiply",
    "quaternion_to_matrix",
    "rigid_transforms",
]


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rodrigues' formula; radians. Smooth at zero, so that gradients there are finite."""
    square = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = square < 1e-8
    safe = torch.where(small, torch.ones_like(square), square)
    angle = safe.sqrt()
    # sin(t)/t and (1-cos(t))/t^2, with their Taylor series near zero
    a = torch.where(small, 1 - square / 6, angle.sin() / angle)
    b = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / safe)
    x, y, z = axis_angle.unbind(-1)
    o = torch.zeros_like(x)
    k = torch.stack([o, -z, y, z, o, -x, -y, x, o], -1).reshape(*axis_angle.shape[:-1], 3, 3)
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return identity + a * k + b * (k @ k)


def quaternion_to_matrix(quats: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotation matrices of wxyz quaternions, which need not be normalised."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ],
        -1,
    ).reshape(*quats.shape[:-1], 3, 3)  # fmt: skip


def matrix_to_quaternion(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 4"]:
    """Unit wxyz quaternions of rotation matrices; accurate at every angle.

    All four of Shepperd's candidates are formed and the best conditioned one is taken. w >= 0 is not enforced.
    """
    m = matrix.flatten(-2)
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = m.unbind(-1)
    squares = torch.stack([1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22], -1)
    candidates = torch.stack(
        [
            torch.stack([squares[..., 0], m21 - m12, m02 - m20, m10 - m01], -1),
            torch.stack([m21 - m12, squares[..., 1], m10 + m01, m02 + m20], -1),
            torch.stack([m02 - m20, m10 + m01, squares[..., 2], m12 + m21], -1),
            torch.stack([m10 - m01, m20 + m02, m21 + m12, squares[..., 3]], -1),
        ],
        -2,
    )
    best = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    return torch.nn.functional.normalize(candidates.gather(-2, best).squeeze(-2), dim=-1)


def quaternion_multiply(a: Float[Tensor, "*batch 4"], b: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """The Hamilton product a b (rotate by `b`, then by `a`); wxyz."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def rigid_transforms(
    rotations: Float[Tensor, "*batch j 3 3"], joints: Float[Tensor, "*batch j 3"], parents: Sequence[int]
) -> Float[Tensor, "*batch j 3 4"]:
    """What each joint does to a point of the rest pose, [R | t], composed along the kinematic tree.

    Args:
        rotations: each joint's rotation relative to its parent.
        joints: joint positions at rest, metres.
        parents: the parent of each joint, -1 for the root; parents come before children.
    """
    world: list[tuple[Tensor, Tensor]] = []
    for i, parent in enumerate(parents):
        local = rotations[..., i, :, :]
        if parent < 0:
            world.append((local, joints[..., i, :]))
            continue
        up, origin = world[parent]
        offset = joints[..., i, :] - joints[..., parent, :]
        world.append((up @ local, origin + (up @ offset[..., None]).squeeze(-1)))
    rotation = torch.stack([r for r, _ in world], -3)
    position = torch.stack([p for _, p in world], -2)
    translation = position - (rotation @ joints[..., None]).squeeze(-1)
    return torch.cat([rotation, translation[..., None]], -1)


def linear_blend_skinning(
    vertices: Float[Tensor, "*batch v 3"],
    transforms: Float[Tensor, "*batch j 3 4"],
    lbs_weights: Float[Tensor, "v j"],
) -> Float[Tensor, "*batch v 3"]:
    """Move each vertex by the weighted mean of its joints' transforms."""
    blended = (lbs_weights @ transforms.flatten(-2)).unflatten(-1, (3, 4))
    return (blended[..., :3] @ vertices[..., None]).squeeze(-1) + blended[..., 3]
