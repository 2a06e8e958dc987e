from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from animation.blendshapes.geometry_image import face_vertices, geometry_image
from avatar.errors import UserError
from avatar.heads import open_head
from tests.animation.synthetic_head import FLAME_VERTICES, flame_sized_head


@pytest.fixture(params=["default", "flame", "unnamed"])
def head(request):
    return open_head()[0] if request.param == "default" else flame_sized_head(request.param == "flame")[0]


def test_no_triangle_folds_over(head):
    image = geometry_image(head, 64)
    corners = image.uv[image.faces]
    area = np.linalg.det(np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], -1))
    assert (np.sign(area) == np.sign(area[0])).all()
    assert image.uv.min() >= 0 and image.uv.max() <= 1


def test_the_square_stands_like_a_portrait(head):
    image = geometry_image(head, 64)
    where = head.v_template.numpy()[image.vertices]
    assert np.corrcoef(image.uv[:, 0], where[:, 0])[0, 1] > 0.8
    assert np.corrcoef(image.uv[:, 1], -where[:, 1])[0, 1] > 0.8


def test_eyes_and_mouth_are_holes_and_zero(head):
    image = geometry_image(head, 64)
    assert 0.85 < image.mask.mean() < 0.999
    picture = image.to_image(torch.ones(image.n_vertices, 3))
    assert torch.equal(picture[0] > 0.5, torch.from_numpy(image.mask))
    assert (picture[:, ~torch.from_numpy(image.mask)] == 0).all()
    torch.testing.assert_close(picture[:, torch.from_numpy(image.mask)], torch.ones(3, int(image.mask.sum())))


def test_sampling_both_ways_reproduces_what_is_linear_on_the_square(head):
    image = geometry_image(head, 128)
    inner = ((image.uv > 0.03) & (image.uv < 0.97)).all(1)
    slope = torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]])
    field = torch.from_numpy(image.uv).float() @ slope
    back = image.to_vertices(image.to_image(field))
    error = (back - field).norm(dim=1)[torch.from_numpy(inner)]
    assert error.median() < 1e-3
    assert error.quantile(0.99) < 0.05  # next to a hole fewer pixels share in the mean


def test_sampling_is_linear_and_batched(head):
    image = geometry_image(head, 32)
    a, b = torch.randn(2, image.n_vertices, 3)
    both = image.to_image(torch.stack([a, b, 2 * a - 3 * b]))
    torch.testing.assert_close(both[2], 2 * both[0] - 3 * both[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(image.to_vertices(both)[1], image.to_vertices(both[1]))


def test_laplacian_kills_what_is_constant(head):
    image = geometry_image(head, 32)
    np.testing.assert_allclose(image.laplacian @ np.ones(image.n_vertices), 0, atol=1e-9)


def test_a_topology_is_flattened_once(head):
    image = geometry_image(head, 32)
    moved = dataclasses.replace(head, shapedirs=head.shapedirs * 2)
    assert geometry_image(moved, 32) is image
    assert geometry_image(head, 16) is not image


def test_flame_sized_head_has_flame_s_numbers():
    head, _ = flame_sized_head()
    assert head.n_vertices == FLAME_VERTICES
    named, found = set(face_vertices(head)), set(face_vertices(flame_sized_head(False)[0]))
    assert len(named & found) > 0.8 * len(named)


def test_what_is_no_face_is_refused():
    head, _ = flame_sized_head()
    with pytest.raises(UserError, match="face region"):
        geometry_image(dataclasses.replace(head, regions={"face": torch.tensor([0, 500, 900])}), 32)
    with pytest.raises(ValueError, match="size"):
        geometry_image(head, 4)
    with pytest.raises(ValueError, match="to_image"):
        geometry_image(head, 32).to_image(torch.zeros(7, 3))
