"""Laws of the Gaussians that training begins with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch

from avatar.binding import bind, triangle_frames
from avatar.creation.forge.anatomy import Anatomy
from avatar.creation.forge.mesh import triangulate
from avatar.creation.forge.pathtrace.beginning import beginning
from avatar.creation.forge.pathtrace.portrait import Portrait
from avatar.creation.forge.pathtrace.scene import Fibres, Material, Mesh

_SIDE = 8
_SKIN_X = 0.04


def _person() -> Any:
    """A flat sheet, half of it skin and half of it tongue, with hairs that stand on the skin."""
    x, y = np.meshgrid(np.linspace(0, 0.08, _SIDE + 1), np.linspace(0, 0.08, _SIDE + 1), indexing="ij")
    rest = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], 1)
    i, j = (g.ravel() for g in np.mgrid[:_SIDE, :_SIDE])
    here = i * (_SIDE + 1) + j
    quads = np.stack([here, here + _SIDE + 1, here + _SIDE + 2, here + 1], 1)
    parts = np.where(rest[quads].mean(1)[:, 0] < _SKIN_X, "skin", "tongue")
    rng = np.random.default_rng(0)
    roots = np.column_stack([rng.uniform(0, _SKIN_X, 50), rng.uniform(0, 0.08, 50), np.zeros(50)])
    hairs = roots[:, None] + np.linspace(0, 0.05, 9)[None, :, None] * np.array([0.0, 0.0, 1.0])
    material = Material("flesh")
    anatomy = SimpleNamespace(
        quads=quads,
        quad_parts=parts,
        expression=np.zeros((len(rest), 3, 2)),
        posedirs=np.zeros((len(rest), 3, 36)),
        lbs_weights=np.tile([0.0, 1, 0, 0, 0], (len(rest), 1)),
    )
    anatomy.skull = lambda vertices: Anatomy.skull(cast(Anatomy, anatomy), vertices)
    return SimpleNamespace(
        rest=rest,
        faces=triangulate(quads),
        objects=[
            Mesh("tongue", material, rest, quads[parts == "tongue"]),
            Fibres("hair", material, hairs, np.full(50, 1e-4), np.ones(9)),
        ],
        anatomy=anatomy,
    )


def test_disks_lie_on_surfaces_rods_along_hairs_and_each_hangs_on_its_own_part() -> None:
    person = _person()
    bound = beginning(cast(Portrait, person), 2000)
    frames = triangle_frames(torch.as_tensor(person.rest, dtype=torch.float32), torch.as_tensor(person.faces))
    cloud = bind(bound, frames)
    on_tongue = person.rest[person.faces[bound.triangles.numpy()]].mean(1)[:, 0] > _SKIN_X
    means, scales = cloud.means.numpy(), cloud.scales.numpy()
    assert 1900 < len(bound) <= 2000
    assert np.abs(means[on_tongue, 2]).max() < 1e-6
    assert (means[on_tongue, 0] > _SKIN_X - 1e-6).all()
    np.testing.assert_allclose(scales[on_tongue, 0], scales[on_tongue, 1], rtol=1e-4)
    assert (means[~on_tongue, 0] < _SKIN_X).all()
    assert means[~on_tongue, 2].min() > 0
    assert means[~on_tongue, 2].max() < 0.05
    assert (scales[~on_tongue].max(1) > 3 * scales[~on_tongue].min(1)).all()


def test_any_first_part_is_spread_over_everything_and_the_seed_decides() -> None:
    person = cast(Portrait, _person())
    one, same, other = (beginning(person, 1000, seed) for seed in (3, 3, 4))
    assert torch.equal(one.means, same.means)
    assert not torch.equal(one.triangles, other.triangles)
    tongue = torch.as_tensor(cast(Any, person).anatomy.quad_parts == "tongue").repeat_interleave(2)
    whole, part = (tongue[one.triangles[:n]].float().mean() for n in (len(one), 200))
    assert abs(float(whole - part)) < 0.03
