"""The teeth that GaussianAvatars adds to FLAME: 120 vertices and 168 triangles inside the lips.

Avatars trained with that code are bound to these triangles (9976 to 10143), so that vertices, order and
connectivity must be the same.

Reference: Qian et al., "GaussianAvatars", CVPR 2024, supplementary material; layout as in the authors' public code.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from avatar.errors import UserError
from avatar.flame.head import HeadModel

__all__ = ["FLAME_FACES", "FLAME_VERTICES", "LOWER_LIP", "UPPER_LIP", "add_teeth"]

FLAME_VERTICES = 5023
FLAME_FACES = 9976
UPPER_LIP = (1713, 1715, 1716, 1735, 1696, 1694, 1657, 3543, 2774, 2811, 2813, 2850, 2833, 2832, 2830)
"""The inner edge of FLAME's upper lip, from the right corner to the left; `LOWER_LIP` corresponds vertex by vertex."""
LOWER_LIP = (1576, 1577, 1773, 1774, 1795, 1802, 1865, 3503, 2948, 2905, 2898, 2881, 2880, 2713, 2712)
_NECK, _JAW = 1, 2
_COLUMNS = len(UPPER_LIP)

# Rows of 15 vertices each, as offsets into the 120: the two triangles of the quad between columns i and i + 1.
# The diagonals turn at the middle, so that the arch is symmetric.
_U_ROOT, _L_ROOT, _U_EDGE, _L_EDGE, _U_ROOT_BACK, _U_EDGE_BACK, _L_ROOT_BACK, _L_EDGE_BACK = range(0, 120, 15)
_Corner = tuple[int, int]  # row, 0 or 1 for the next column
_Quad = tuple[tuple[_Corner, _Corner, _Corner], tuple[_Corner, _Corner, _Corner]]


def _quads(right: _Quad, left: _Quad) -> list[list[int]]:
    faces = []
    for i in range(_COLUMNS - 1):
        for triangle in right if i < 7 else left:
            faces.append([row + i + step for row, step in triangle])
    return faces


def _faces() -> Tensor:
    ur, lr, ue, le = _U_ROOT, _L_ROOT, _U_EDGE, _L_EDGE
    urb, ueb, lrb, leb = _U_ROOT_BACK, _U_EDGE_BACK, _L_ROOT_BACK, _L_EDGE_BACK
    faces = [
        *_quads(
            (((ur, 0), (ue, 1), (ue, 0)), ((ur, 0), (ur, 1), (ue, 1))),
            (((ur, 0), (ur, 1), (ue, 0)), ((ur, 1), (ue, 1), (ue, 0))),
        ),
        *_quads(
            (((urb, 0), (ueb, 0), (ueb, 1)), ((urb, 0), (ueb, 1), (urb, 1))),
            (((urb, 0), (ueb, 0), (urb, 1)), ((urb, 1), (ueb, 0), (ueb, 1))),
        ),
        *_quads(
            (((ueb, 0), (ue, 0), (ueb, 1)), ((ueb, 1), (ue, 0), (ue, 1))),
            (((ueb, 0), (ue, 0), (ue, 1)), ((ueb, 0), (ue, 1), (ueb, 1))),
        ),
        *_quads(
            (((le, 0), (le, 1), (lr, 0)), ((le, 1), (lr, 1), (lr, 0))),
            (((le, 0), (lr, 1), (lr, 0)), ((le, 0), (le, 1), (lr, 1))),
        ),
        *_quads(
            (((lrb, 0), (leb, 1), (leb, 0)), ((lrb, 0), (lrb, 1), (leb, 1))),
            (((lrb, 0), (lrb, 1), (leb, 0)), ((lrb, 1), (leb, 1), (leb, 0))),
        ),
        *_quads(
            (((leb, 0), (leb, 1), (le, 0)), ((leb, 1), (le, 1), (le, 0))),
            (((leb, 0), (leb, 1), (le, 1)), ((leb, 0), (le, 1), (le, 0))),
        ),
    ]
    return torch.tensor(faces)


def add_teeth(head: HeadModel) -> HeadModel:
    """FLAME with GaussianAvatars' teeth: 5,143 vertices and 10,144 triangles.

    Raises:
        UserError: if the head has not FLAME's 5,023 vertices and 9,976 triangles.
    """
    if head.n_vertices != FLAME_VERTICES or len(head.faces) != FLAME_FACES:
        raise UserError(
            f"teeth can be added to FLAME only: expected {FLAME_VERTICES} vertices and {FLAME_FACES} triangles, "
            f"got {head.n_vertices} and {len(head.faces)}"
        )
    upper, lower = head.v_template[list(UPPER_LIP)], head.v_template[list(LOWER_LIP)]
    gap = (upper - lower).norm(dim=-1).mean()
    up, forward = gap * torch.tensor([0.0, 1.0, 0.0]), gap * torch.tensor([0.0, 0.0, 1.0])
    middle = (upper + lower) / 2
    middle[:, 1] = middle[:, 1].mean()
    middle = middle - 1.5 * forward
    upper_edge = middle + 0.1 * up
    upper_root = upper_edge + 2 * up
    lower_edge = middle - 0.1 * up - 0.4 * forward
    lower_root = lower_edge - 2 * up
    front = [upper_root, lower_root, upper_edge, lower_edge]
    back = [part - forward for part in (upper_root, upper_edge, lower_root, lower_edge)]
    teeth = torch.cat(front + back)

    identity = (head.shapedirs[list(UPPER_LIP)] + head.shapedirs[list(LOWER_LIP)]) / 2
    identity[..., head.n_shape :] = 0
    joint = torch.tensor([_NECK, _JAW, _NECK, _JAW, _NECK, _NECK, _JAW, _JAW]).repeat_interleave(_COLUMNS)
    n = len(teeth)
    faces = torch.cat([head.faces, _faces() + FLAME_VERTICES])
    faces_uv = torch.cat([head.faces_uv, torch.zeros(len(_faces()), 3, dtype=torch.int64)])
    return replace(
        head,
        v_template=torch.cat([head.v_template, teeth]),
        shapedirs=torch.cat([head.shapedirs, identity.repeat(8, 1, 1)]),
        posedirs=torch.cat([head.posedirs, torch.zeros(n, 3, 36)]),
        J_regressor=torch.cat([head.J_regressor, torch.zeros(5, n)], 1),
        lbs_weights=torch.cat([head.lbs_weights, torch.nn.functional.one_hot(joint, 5).float()]),
        faces=faces,
        faces_uv=faces_uv,
        regions=head.regions
        | {
            "upper_teeth": FLAME_VERTICES + (joint == _NECK).nonzero().squeeze(-1),
            "lower_teeth": FLAME_VERTICES + (joint == _JAW).nonzero().squeeze(-1),
        },
    )
