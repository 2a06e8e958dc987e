"""Writing a set of pictures: the poses and cameras first, the pictures by whoever draws them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from avatar.camera import Camera
from avatar.creation.training.dataset import OPENGL_AXES
from avatar.flame.arkit import NAMES, ArkitMap
from avatar.flame.head import HeadModel
from avatar.flame.params import FlameParams
from avatar.formats.atomic import write_bytes
from avatar.formats.head_file import save_head

__all__ = ["DatasetWriter"]

_HEAD = "head.safetensors"


Division = Literal["train", "val", "test"]


class DatasetWriter:
    """Writes a folder that `Dataset.open` reads (its layout is described there).

        writer = DatasetWriter(folder, avatar.head, avatar.arkit, avatar.static_offset)
        smile = writer.pose(arkit.params(weights), weights={"mouthSmileLeft": 0.8})
        path = writer.view(smile, camera)          # draw a PNG to this path: straight alpha, or `write_picture`
        writer.finish()

    Nothing but the list is kept in memory. A set may be finished before its pictures are drawn:
    `Dataset.open(..., finished_only=True)` takes those that are there.
    """

    def __init__(
        self, folder: Path | str, head: HeadModel, arkit: ArkitMap, static_offset: Tensor | None = None
    ) -> None:
        """Write the head.

        Args:
            static_offset: of the avatar (V, 3), metres; it becomes part of the head's template.

        Raises:
            ValueError: if the head still has directions of identity: a set shows one person.
        """
        if head.n_shape:
            raise ValueError(f"DatasetWriter: expected a head without directions of identity, got {head.n_shape}")
        self.folder = Path(folder)
        for part in ("images", "flame_param"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        if static_offset is not None:
            head = replace(head, v_template=head.v_template + static_offset)
        save_head(head, arkit, self.folder / _HEAD)
        self._n_expression = head.n_expression
        self._weights: list[dict[str, float]] = []
        self._entries: dict[Division, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
        self._cameras = 0

    def pose(self, params: FlameParams, weights: Mapping[str, float] | None = None) -> int:
        """Add a pose; returns its timestep.

        Args:
            weights: the ARKit weights that it was made of, by name.
        """
        if params.expression.shape != (self._n_expression,):
            raise ValueError(
                f"DatasetWriter.pose: expected {self._n_expression} expression coefficients of one pose, "
                f"got shape {params.expression.shape}"
            )
        unknown = set(weights or ()) - set(NAMES)
        if unknown:
            raise ValueError(f"DatasetWriter.pose: not ARKit blendshapes: {', '.join(sorted(unknown))}")
        timestep = len(self._weights)
        self._weights.append({name: round(float(value), 5) for name, value in (weights or {}).items() if value})
        np.savez(
            self.folder / self._pose_file(timestep),
            shape=np.zeros(0, np.float32),
            expr=params.expression[None],
            rotation=params.global_orient[None],
            neck_pose=params.neck_pose[None],
            jaw_pose=params.jaw_pose[None],
            eyes_pose=np.concatenate([params.leye_pose, params.reye_pose])[None],
            translation=params.transl[None],
        )
        return timestep

    def view(self, timestep: int, camera: Camera, division: Division = "train") -> Path:
        """Add a picture of a pose; returns where it belongs: a PNG with its background in the alpha channel."""
        if not 0 <= timestep < len(self._weights):
            raise ValueError(f"DatasetWriter.view: expected a timestep of 0..{len(self._weights) - 1}, got {timestep}")
        K = camera.K.astype(float)
        to_world = np.linalg.inv(camera.viewmat.astype(np.float64)) @ OPENGL_AXES
        file = f"images/{timestep:05d}_{self._cameras:05d}.png"
        entry: dict[str, Any] = {
            "timestep_index": timestep,
            "camera_index": self._cameras,
            "file_path": file,
            "flame_param_path": self._pose_file(timestep),
            "arkit_weights": self._weights[timestep],
            "transform_matrix": to_world.tolist(),
            "fl_x": K[0, 0], "fl_y": K[1, 1], "cx": K[0, 2], "cy": K[1, 2], "w": camera.width, "h": camera.height,
            "camera_angle_x": 2 * float(np.arctan2(camera.width / 2, K[0, 0])),
        }  # fmt: skip
        self._cameras += 1
        self._entries[division].append(entry)
        return self.folder / file

    def finish(self) -> None:
        """Write the lists of pictures, each at once or not at all."""
        for division, entries in self._entries.items():
            contents = {
                "head": _HEAD,
                "frames": entries,
                "timestep_indices": sorted({e["timestep_index"] for e in entries}),
                "camera_indices": sorted({e["camera_index"] for e in entries}),
            }
            write_bytes(self.folder / f"transforms_{division}.json", json.dumps(contents, indent=1).encode())

    @staticmethod
    def _pose_file(timestep: int) -> str:
        return f"flame_param/{timestep:05d}.npz"
