"""A head in FLAME's layout: template, linear bases, joints, skinning."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar.flame.params import FlameParams
from avatar.flame.skinning import axis_angle_to_matrix, linear_blend_skinning, rigid_transforms
from avatar.flame.tongue import TongueTip

__all__ = ["PARENTS", "HeadModel"]

PARENTS = (-1, 0, 1, 1, 1)
"""Kinematic tree: root, neck, jaw, left eye, right eye."""


@dataclass(frozen=True, eq=False)
class HeadModel:
    """A FLAME-layout head. Metres; +y up, +z out of the face, +x the subject's left.

    Reference: Li et al., "Learning a model of facial shape and expression from 4D scans", 2017, equations 2-4.
    """

    v_template: Float[Tensor, "v 3"]
    shapedirs: Float[Tensor, "v 3 s_plus_e"]
    """Identity directions first, then expression directions."""
    n_shape: int
    posedirs: Float[Tensor, "v 3 36"]
    J_regressor: Float[Tensor, "5 v"]
    lbs_weights: Float[Tensor, "v 5"]
    faces: Int[Tensor, "f 3"]
    uv: Float[Tensor, "u 2"]
    faces_uv: Int[Tensor, "f 3"]
    expression_names: tuple[str, ...] = ()
    regions: dict[str, Int[Tensor, " n"]] = field(default_factory=dict)
    """Named sets of vertices. Paired sets (upper_lip_inner, lower_lip_inner) correspond index by index."""

    def __post_init__(self) -> None:
        v = self.v_template.shape[0]
        expected = {
            "v_template": (v, 3),
            "shapedirs": (v, 3, self.shapedirs.shape[-1]),
            "posedirs": (v, 3, 36),
            "J_regressor": (5, v),
            "lbs_weights": (v, 5),
            "faces": (self.faces.shape[0], 3),
        }
        for name, shape in expected.items():
            found = tuple(getattr(self, name).shape)
            if found != shape:
                raise ValueError(f"HeadModel.{name}: expected shape {shape}, got {found}")
        if not 0 <= self.n_shape <= self.shapedirs.shape[-1]:
            raise ValueError(f"HeadModel.n_shape: expected 0..{self.shapedirs.shape[-1]}, got {self.n_shape}")
        if self.expression_names and len(self.expression_names) != self.n_expression:
            raise ValueError(
                f"HeadModel.expression_names: expected {self.n_expression} names, got {len(self.expression_names)}"
            )
        if self.faces.numel() and (int(self.faces.min()) < 0 or int(self.faces.max()) >= v):
            raise ValueError(f"HeadModel.faces: vertex indices must lie in 0..{v - 1}")

    @property
    def n_expression(self) -> int:
        return self.shapedirs.shape[-1] - self.n_shape

    @property
    def n_vertices(self) -> int:
        return self.v_template.shape[0]

    @cached_property
    def tongue(self) -> TongueTip | None:
        """What raises the tip of its tongue; None without a region `tongue`."""
        return TongueTip.of(self.v_template, self.regions, self.J_regressor[2] @ self.v_template)

    def neutral(self) -> FlameParams:
        """The pose at rest, with this head's numbers of coefficients."""
        return FlameParams.neutral(self.n_shape, self.n_expression)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> HeadModel:
        """A copy on another device, in another floating-point type if given."""
        moved: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Tensor):
                moved[f.name] = value.to(device, dtype if value.is_floating_point() else None)
        return replace(self, **moved, regions={k: i.to(device) for k, i in self.regions.items()})

    def part(self, vertices: Int[Tensor, " n"]) -> HeadModel:
        """Some vertices of this head, posed exactly as in the whole, at their share of its cost. No faces, no regions,
        and so no raised tongue.

        The joints become five vertices more, after the n that are asked for.
        """
        joints = self.J_regressor.shape[0]
        zeros = self.v_template.new_zeros
        return HeadModel(
            torch.cat([self.v_template[vertices], self.J_regressor @ self.v_template]),
            torch.cat([self.shapedirs[vertices], torch.einsum("jv,vcs->jcs", self.J_regressor, self.shapedirs)]),
            self.n_shape,
            torch.cat([self.posedirs[vertices], zeros(joints, 3, 36)]),
            torch.cat([zeros(joints, len(vertices)), torch.eye(joints).to(self.J_regressor)], 1),
            torch.cat([self.lbs_weights[vertices], torch.eye(joints).to(self.lbs_weights)]),
            self.faces[:0],
            self.uv[:0],
            self.faces_uv[:0],
            self.expression_names,
        )

    def shaped(
        self,
        shape: Float[Tensor, "*batch s"],
        expression: Float[Tensor, "*batch e"],
        static_offset: Float[Tensor, "*batch v 3"] | None = None,
    ) -> Float[Tensor, "*batch v 3"]:
        """The unposed surface: template + identity + expression (+ offset)."""
        vertices = self.v_template
        if self.n_shape:
            vertices = vertices + torch.einsum("vcs,...s->...vc", self.shapedirs[..., : self.n_shape], shape)
        vertices = vertices + torch.einsum("vce,...e->...vc", self.shapedirs[..., self.n_shape :], expression)
        return vertices if static_offset is None else vertices + static_offset

    def joints(self, shaped: Float[Tensor, "*batch v 3"]) -> Float[Tensor, "*batch 5 3"]:
        """Joint positions of an unposed surface."""
        return self.J_regressor @ shaped

    def forward(
        self,
        shape: Float[Tensor, "*batch s"],
        expression: Float[Tensor, "*batch e"],
        global_orient: Float[Tensor, "*batch 3"],
        neck_pose: Float[Tensor, "*batch 3"],
        jaw_pose: Float[Tensor, "*batch 3"],
        leye_pose: Float[Tensor, "*batch 3"],
        reye_pose: Float[Tensor, "*batch 3"],
        transl: Float[Tensor, "*batch 3"],
        static_offset: Float[Tensor, "*batch v 3"] | None = None,
        tongue_tip: Float[Tensor, "*batch"] | None = None,
    ) -> Float[Tensor, "*batch v 3"]:
        """Vertices of the posed head, batched and differentiable."""
        shaped = self.shaped(shape, expression, static_offset)
        joints = self.joints(shaped)
        pose = torch.stack([global_orient, neck_pose, jaw_pose, leye_pose, reye_pose], -2)
        rotations = axis_angle_to_matrix(pose)
        identity = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
        feature = (rotations[..., 1:, :, :] - identity).flatten(-3)
        corrected = shaped + torch.einsum("vcp,...p->...vc", self.posedirs, feature)
        if tongue_tip is not None and self.tongue is not None:
            raised = self.tongue.amounts(tongue_tip, jaw_pose[..., 0])
            corrected = corrected + torch.einsum("vct,...t->...vc", self.tongue.directions, raised)
        transforms = rigid_transforms(rotations, joints, PARENTS)
        return linear_blend_skinning(corrected, transforms, self.lbs_weights) + transl[..., None, :]

    def vertices(
        self, params: FlameParams, static_offset: Float[Tensor, "v 3"] | None = None
    ) -> Float[Tensor, "*batch v 3"]:
        """Vertices of a pose (or a stack of poses) on this head's device.

        Raises:
            ValueError: if the pose has other numbers of coefficients than the head.
        """
        for name, expected in (("shape", self.n_shape), ("expression", self.n_expression)):
            found = getattr(params, name).shape[-1]
            if found != expected:
                raise ValueError(
                    f"HeadModel.vertices: the head has {expected} {name} coefficients, the pose has {found}"
                )

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values)).to(self.v_template)

        return self.forward(
            tensor(params.shape),
            tensor(params.expression),
            tensor(params.global_orient),
            tensor(params.neck_pose),
            tensor(params.jaw_pose),
            tensor(params.leye_pose),
            tensor(params.reye_pose),
            tensor(params.transl),
            static_offset,
            torch.as_tensor(params.tongue_tip).to(self.v_template),
        )
