"""A GLB with morph-target animation: the head's mesh, ARKit's 52 blendshapes as morph targets, and a turning neck.

Jaw and eyes turn in an arc; their morph targets are the straight way to the same end, as is usual for ARKit meshes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from app.output.curves.columns import arkit_table, is_read
from app.output.curves.track import MAX_POSES, Curves, checked
from app.output.head_angles import from_quaternions, to_quaternions
from avatar.errors import UserError
from avatar.flame.arkit import NAMES
from avatar.formats.glb import Glb, GlbWriter, read_glb
from avatar.formats.untrusted import refusing
from avatar.rig import Avatar

__all__ = ["read", "write"]

_STILL_M = 2e-6  # smaller displacements are left out
_NECK_JOINT = "neck"
_ROOT_JOINT = "root"
_SKIN_COLOUR = [0.76, 0.57, 0.47, 1.0]


def write(curves: Curves, path: Path, avatar: Avatar) -> None:
    """Write the animation on the avatar's own mesh."""
    head = avatar.head
    rest = head.vertices(head.neutral(), avatar.static_offset).numpy()
    units = avatar.arkit.params(np.eye(len(NAMES), dtype=np.float32))
    posed = head.vertices(units, avatar.static_offset).numpy()
    joints = head.joints(head.shaped(*_neutral_coefficients(avatar), avatar.static_offset)).numpy()
    follows = head.lbs_weights[:, 1:].sum(1).clamp(0, 1).numpy()

    writer = GlbWriter()
    weights4 = np.zeros((len(rest), 4), np.float32)
    weights4[:, 0], weights4[:, 1] = 1 - follows, follows
    joints4 = np.zeros((len(rest), 4), np.uint8)
    joints4[:, 1] = follows > 0
    primitive = {
        "attributes": {
            "POSITION": writer.array(rest.astype(np.float32), vertices=True),
            "NORMAL": writer.array(_normals(rest, head.faces.numpy()), vertices=True),
            "JOINTS_0": writer.array(joints4, vertices=True),
            "WEIGHTS_0": writer.array(weights4, vertices=True),
        },
        "indices": writer.array(head.faces.numpy().astype(np.uint32).reshape(-1), index=True),
        "material": writer.add(
            "materials",
            {"name": "skin", "pbrMetallicRoughness": {"baseColorFactor": _SKIN_COLOUR, "metallicFactor": 0.0}},
        ),
        "targets": [{"POSITION": writer.sparse(posed[i] - rest, _STILL_M)} for i in range(len(NAMES))],
    }
    mesh = writer.add(
        "meshes",
        {
            "name": avatar.name,
            "primitives": [primitive],
            "weights": [0.0] * len(NAMES),
            "extras": {"targetNames": list(NAMES)},
        },
    )
    neck = writer.add("nodes", {"name": _NECK_JOINT, "translation": (joints[1] - joints[0]).tolist()})
    root = writer.add("nodes", {"name": _ROOT_JOINT, "translation": joints[0].tolist(), "children": [neck]})
    inverse = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    inverse[:, 3, :3] = -joints[:2]  # column-major: the translation is the last row
    bind = writer.array(inverse.reshape(2, 16))
    skin = writer.add("skins", {"joints": [root, neck], "skeleton": root, "inverseBindMatrices": bind})
    body = writer.add("nodes", {"name": avatar.name, "mesh": mesh, "skin": skin})
    writer.add("scenes", {"nodes": [root, body]})
    writer.scene["scene"] = 0
    _animate(writer, curves, body, root, neck, joints[0])
    writer.save(path)


def _neutral_coefficients(avatar: Avatar) -> tuple[Any, Any]:
    zeros = avatar.head.v_template.new_zeros
    return zeros(avatar.head.n_shape), zeros(avatar.head.n_expression)


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit normals of vertices, float32, weighted by area; what no triangle touches points up."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    across = np.cross(b - a, c - a)
    normals = np.zeros(vertices.shape, np.float64)
    for i in range(3):
        np.add.at(normals, faces[:, i], across)
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.where(length > 0, normals / np.maximum(length, 1e-30), [0.0, 1.0, 0.0]).astype(np.float32)


def _animate(writer: GlbWriter, curves: Curves, body: int, root: int, neck: int, origin: np.ndarray) -> None:
    times = writer.array((curves.times_s - min(curves.times_s[0], 0.0)).astype(np.float32))
    quats = np.roll(to_quaternions(curves.neck), -1, axis=-1).astype(np.float32)
    tracks = [
        (body, "weights", curves.weights.astype(np.float32).reshape(-1)),
        (neck, "rotation", quats),
        (root, "translation", (curves.transl + origin).astype(np.float32)),
    ]
    samplers = [{"input": times, "output": writer.array(values), "interpolation": "LINEAR"} for _, _, values in tracks]
    channels = [{"sampler": i, "target": {"node": node, "path": kind}} for i, (node, kind, _) in enumerate(tracks)]
    writer.add("animations", {"name": "speech", "samplers": samplers, "channels": channels})


def read(path: Path) -> Curves:
    """Read the first animation of morph targets with ARKit's names; a joint named `neck` or `head` turns the head.

    Raises:
        UserError: if it is no GLB, or nothing in it moves such morph targets.
    """
    glb = read_glb(path)
    with refusing(path, "a GLB with morph-target animation"):
        for animation in glb.items("animations"):
            for channel in animation["channels"]:
                node = _node(glb, channel["target"])
                if channel["target"]["path"] == "weights" and node is not None and "mesh" in node:
                    names = glb.items("meshes")[_index(node["mesh"])].get("extras", {}).get("targetNames", [])
                    if isinstance(names, list) and any(is_read(str(n)) for n in names):
                        return _read(glb, animation, channel, [str(n) for n in names])
    raise UserError(f"{path}: has no animation of morph targets with ARKit's names")


def _read(glb: Glb, animation: dict[str, Any], channel: dict[str, Any], names: list[str]) -> Curves:
    times, values = _sampled(glb, animation, channel)
    if values.size != len(times) * len(names):
        raise UserError(f"{glb.path}: {values.size} weights for {len(times)} times and {len(names)} morph targets")
    weights = arkit_table(glb.path, names, values.reshape(len(times), len(names)))
    neck, transl = np.zeros((len(times), 3)), np.zeros((len(times), 3))
    for other in animation["channels"]:
        node = _node(glb, other["target"])
        name = str(node.get("name", "")).lower() if node is not None else ""
        if other["target"]["path"] == "rotation" and name in (_NECK_JOINT, "head"):
            at, quats = _sampled(glb, animation, other)
            if quats.shape != (len(at), 4) or (np.linalg.norm(quats, axis=1) < 1e-6).any():
                raise UserError(f"{glb.path}: rotations of {name} are no quaternions")
            rotations = from_quaternions(np.roll(quats, 1, axis=-1))
            neck = np.stack([np.interp(times, at, rotations[:, c]) for c in range(3)], 1)
        elif other["target"]["path"] == "translation" and name == _ROOT_JOINT and node is not None:
            at, places = _sampled(glb, animation, other)
            if places.shape != (len(at), 3):
                raise UserError(f"{glb.path}: translations of {name} are malformed")
            moved = places - np.asarray(node.get("translation", [0, 0, 0]), np.float64).reshape(3)
            transl = np.stack([np.interp(times, at, moved[:, c]) for c in range(3)], 1)
    return checked(glb.path, times, weights, neck, transl)


def _sampled(glb: Glb, animation: dict[str, Any], channel: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    sampler = animation["samplers"][_index(channel["sampler"])]
    if sampler.get("interpolation", "LINEAR") not in ("LINEAR", "STEP"):
        raise UserError(f"{glb.path}: cubic animation is not read; export it sampled")
    times = glb.array(_index(sampler["input"]))[:, 0].astype(np.float64)
    if not 0 < len(times) <= MAX_POSES:
        raise UserError(f"{glb.path}: an animation of {len(times)} times; 1 to {MAX_POSES} are accepted")
    return times, glb.array(_index(sampler["output"])).astype(np.float64)


def _node(glb: Glb, target: dict[str, Any]) -> dict[str, Any] | None:
    nodes = glb.items("nodes")
    index = target.get("node")
    return nodes[_index(index)] if isinstance(index, int) and index < len(nodes) else None


def _index(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"expected an index, found {str(value)[:40]!r}")
    return value
