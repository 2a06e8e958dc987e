"""Fast posing against its readable twin in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar.binding import triangle_frames
from avatar.camera import Camera
from avatar.flame.params import FlameParams
from avatar.render.posing import FastHead
from avatar.render.probe import probe_head

HEAD = probe_head()
FAST = FastHead(HEAD)


def _params(seed: int) -> FlameParams:
    rng = np.random.default_rng(seed)
    rotations = {n: rng.normal(scale=0.5, size=3) for n in ("global_orient", "neck_pose", "jaw_pose", "leye_pose")}
    return HEAD.neutral().replace(
        shape=rng.normal(size=2),
        expression=rng.normal(size=8) * (rng.random(8) < 0.6),
        transl=rng.normal(scale=0.1, size=3),
        **rotations,
    )


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_vertices_and_frames_agree_with_torch(seed: int) -> None:
    params = _params(seed)
    vertices = HEAD.vertices(params)
    frames = FAST.frames(params).reshape(-1, 3, 4)
    np.testing.assert_allclose(FAST.vertices(params), vertices, atol=2e-6)
    expected = triangle_frames(torch.from_numpy(FAST.vertices(params)).double(), HEAD.faces)
    scaled = (expected.rotations * expected.scales[:, None, None]).numpy()
    np.testing.assert_allclose(frames[:, :, :3], scaled, atol=1e-5)  # of frames some 5e-3 large
    np.testing.assert_allclose(frames[:, :, 3], expected.origins, atol=1e-6)


def test_a_view_moves_the_vertices() -> None:
    params, view = _params(5), Camera.orbit(10, 10, 40, 20).viewmat
    moved = FAST.vertices(params).copy() @ view[:3, :3].T + view[:3, 3]
    np.testing.assert_allclose(FAST.vertices(params, view[:3]), moved, atol=2e-6)


def test_an_offset_is_added_before_posing() -> None:
    offset = torch.randn(HEAD.n_vertices, 3) * 0.002
    params = _params(9)
    np.testing.assert_allclose(
        FastHead(HEAD, offset.numpy()).vertices(params), HEAD.vertices(params, offset), atol=2e-6
    )


@pytest.mark.parametrize("angle", [0.0, 1e-6, 1e-4, np.pi, 6.0])
def test_rotations_of_every_size(angle: float) -> None:
    params = HEAD.neutral().replace(neck_pose=np.array([0.6, 0.0, 0.8]) * angle)
    np.testing.assert_allclose(FAST.vertices(params), HEAD.vertices(params), atol=1e-6)


def test_batches_are_refused() -> None:
    batch = FlameParams.stack([HEAD.neutral()] * 2)
    with pytest.raises(ValueError, match="one pose"):
        FAST.vertices(batch)
