"""A made-up head with FLAME's numbers of vertices, joints and axes, and a face with holes for eyes and mouth."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from animation.lab.data.sequences import MeshSequence
from avatar.flame.arkit import NAMES, ArkitMap
from avatar.flame.head import HeadModel

FLAME_VERTICES = 5023
_COLUMNS, _ROWS = 71, 70
_HOLES = ((-0.031, 0.02, 0.011, 0.005), (0.031, 0.02, 0.011, 0.005), (0.0, -0.045, 0.022, 0.003))
_BUMPS = {
    "mouthSmileLeft": (0.025, -0.04, 0.018, (0.004, 0.006, 0.0)),
    "mouthSmileRight": (-0.025, -0.04, 0.018, (-0.004, 0.006, 0.0)),
    "mouthPucker": (0.0, -0.045, 0.022, (0.0, 0.0, 0.009)),
    "mouthClose": (0.0, -0.055, 0.015, (0.0, 0.008, 0.0)),
    "browInnerUp": (0.0, 0.045, 0.02, (0.0, 0.007, 0.0)),
    "browDownLeft": (0.03, 0.04, 0.015, (0.0, -0.006, 0.0)),
    "browDownRight": (-0.03, 0.04, 0.015, (0.0, -0.006, 0.0)),
    "cheekPuff": (0.0, -0.02, 0.05, (0.0, 0.0, 0.006)),
}


@cache
def flame_sized_head(named_face: bool = True) -> tuple[HeadModel, ArkitMap]:
    """The head and its blendshapes; without the region 'face' if not `named_face`."""
    x, y = np.meshgrid(np.linspace(-0.07, 0.07, _COLUMNS), np.linspace(0.085, -0.11, _ROWS))
    z = 0.09 * np.sqrt(np.clip(1 - (x / 0.1) ** 2 - ((y + 0.01) / 0.16) ** 2, 0, None)) - 0.03
    grid = np.stack([x, y, z], -1).reshape(-1, 3)
    rest = FLAME_VERTICES - len(grid)
    angle = np.linspace(0, 2 * np.pi, rest - 1, endpoint=False)
    ball = np.stack([0.1 * np.cos(angle), 0.1 * np.sin(angle), np.full(rest - 1, -0.15)], -1)
    vertices = np.concatenate([grid, ball, [[0, 0, -0.2]]])
    r, c = np.meshgrid(np.arange(_ROWS - 1), np.arange(_COLUMNS - 1), indexing="ij")
    a = (r * _COLUMNS + c).ravel()
    quads = np.stack([a, a + _COLUMNS, a + _COLUMNS + 1, a + 1], 1)
    faces = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    in_hole = np.zeros(len(vertices), bool)
    for cx, cy, rx, ry in _HOLES:
        in_hole |= ((vertices[:, 0] - cx) / rx) ** 2 + ((vertices[:, 1] - cy) / ry) ** 2 < 1
    faces = faces[~in_hole[faces].any(1)]
    first = len(grid)
    ring = first + np.arange(rest - 1)
    faces = np.concatenate([faces, np.stack([ring, np.roll(ring, -1), np.full(rest - 1, len(vertices) - 1)], 1)])
    inside = (grid[:, 0] / 0.066) ** 2 + ((grid[:, 1] + 0.012) / 0.09) ** 2 < 1
    names = tuple(_BUMPS)
    expression = np.zeros((len(vertices), 3, len(names)))
    for i, (bx, by, radius, push) in enumerate(_BUMPS.values()):
        square = ((vertices[:, :2] - [bx, by]) ** 2).sum(1) / radius**2
        expression[:, :, i] = np.exp(-square)[:, None] * np.array(push)
    identity = np.stack([vertices * [0.05, 0, 0], vertices * [0, 0.05, 0]], 2)
    weights = np.zeros((len(vertices), 5))
    weights[:, 2] = np.clip((-0.03 - vertices[:, 1]) / 0.04, 0, 1) * (vertices[:, 2] > -0.05)
    weights[:, 1] = 1 - weights[:, 2]
    regressor = np.zeros((5, len(vertices)))
    regressor[:, -1] = 1  # all joints deep in the head
    tensor = lambda values: torch.from_numpy(np.asarray(values, np.float32))  # noqa: E731
    regions = {"face": torch.from_numpy(np.flatnonzero(np.r_[inside, np.zeros(rest, bool)]))} if named_face else {}
    lip_band = (np.abs(vertices[:, 1] + 0.045) < 0.012) & (np.abs(vertices[:, 0]) < 0.03) & (vertices[:, 2] > 0)
    regions["lips"] = torch.from_numpy(np.flatnonzero(lip_band))
    head = HeadModel(
        tensor(vertices),
        tensor(np.concatenate([identity, expression], 2)),
        2,
        torch.zeros(len(vertices), 3, 36),
        tensor(regressor),
        tensor(weights),
        torch.from_numpy(faces),
        torch.zeros(1, 2),
        torch.zeros(len(faces), 3, dtype=torch.long),
        names,
        regions,
    )
    to_expression = np.zeros((len(NAMES), len(names)), np.float32)
    for i, name in enumerate(names):
        to_expression[NAMES.index(name), i] = 1
    jaw = np.zeros((len(NAMES), 3), np.float32)
    jaw[NAMES.index("jawOpen"), 0] = 0.2
    still = np.zeros((len(NAMES), 3), np.float32)
    return head, ArkitMap(to_expression, jaw, still, still, 2)


def moving_sequences(subjects: int = 4, poses: int = 24, seed: int = 0, noise_mm: float = 0.0) -> list[MeshSequence]:
    """Speech (jaw, lips; fast) and expressions (brows, corners; slow) of the head, by different people."""
    head, arkit = flame_sized_head()
    rng = np.random.default_rng(seed)
    index = {name: i for i, name in enumerate(NAMES)}
    sequences = []
    for i in range(subjects):
        t = np.arange(poses) / 30
        weights = np.zeros((2, poses, len(NAMES)), np.float32)
        for unit, hertz in (("jawOpen", 4), ("mouthPucker", 3), ("mouthClose", 5)):
            weights[0, :, index[unit]] = 0.4 + 0.4 * np.sin(2 * np.pi * (hertz * t + rng.random()))
        slow = np.sin(np.pi * np.arange(poses) / (poses - 1)) ** 2
        for unit in ("browInnerUp", "mouthSmileLeft", "mouthSmileRight", "browDownLeft"):
            weights[1, :, index[unit]] = rng.uniform(0.3, 1) * slow
        weights[0] += 0.15 * weights[1]
        for domain, curve in zip(("speech", "expression"), weights, strict=True):
            moved = (head.vertices(arkit.params(curve)) - head.v_template).numpy()
            moved = moved + rng.normal(0, noise_mm * 1e-3, moved.shape).astype(np.float32)
            audio = rng.normal(0, 0.1, poses * 16000 // 30).astype(np.float32) if domain == "speech" else None
            name = "sentence01" if domain == "speech" else "happy"
            subject = f"{domain}{i}"
            sequences.append(
                MeshSequence(subject, name, domain, 30.0, head.v_template.numpy(), moved.astype(np.float32), audio)
            )
    return sequences
