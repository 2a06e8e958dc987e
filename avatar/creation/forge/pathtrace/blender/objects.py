"""Meshes and hairs of a scene folder, and their new places when the face moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy
import numpy as np

from .materials import MATERIALS

__all__ = ["Objects", "to_blender"]

_AXES = np.array([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]], np.float32)


def to_blender(points: np.ndarray) -> np.ndarray:
    """From the program's axes (+y up, +z out of the face) to Blender's (+z up, the face looks along -y)."""
    return points @ _AXES.T


class Objects:
    """Everything that can be seen.

    Args:
        descriptions: for each object its "name", "kind" ("mesh" or "strands"), "material" and that material's
            "parameters".
        arrays: "NAME.vertices" (v, 3), "NAME.faces" (f, 3 or 4) and "NAME.attribute" of a mesh; "NAME.points"
            (n, k, 3), "NAME.radius" and "NAME.tone" (n,) and "NAME.profile" (k,) of strands.
    """

    def __init__(self, descriptions: list[dict[str, Any]], arrays: Mapping[str, np.ndarray]) -> None:
        self._data: dict[str, Any] = {}
        self._rest: dict[str, np.ndarray] = {}
        self._moved: set[str] = set()
        materials: dict[str, Any] = {}
        for entry in descriptions:
            name, key = entry["name"], repr((entry["material"], entry["parameters"]))
            if key not in materials:
                materials[key] = MATERIALS[entry["material"]](**entry["parameters"])
            own = {k.partition(".")[2]: arrays[k] for k in arrays if k.startswith(f"{name}.")}
            build = _mesh if entry["kind"] == "mesh" else _strands
            data = build(name, own)
            data.materials.append(materials[key])
            bpy.context.collection.objects.link(bpy.data.objects.new(name, data))
            self._data[name] = data
            self._rest[name] = own["vertices" if entry["kind"] == "mesh" else "points"]

    def pose(self, places: Mapping[str, np.ndarray]) -> None:
        """Move the objects named, and everything moved before but not named now back to where it was at rest."""
        named = self._data.keys() & places.keys()
        for name in self._moved - named:
            self._place(name, self._rest[name])
        for name in named:
            self._place(name, places[name])
        self._moved = named

    def _place(self, name: str, points: np.ndarray) -> None:
        data = self._data[name]
        flat = np.ascontiguousarray(to_blender(points), np.float32).ravel()
        if hasattr(data, "vertices"):
            data.vertices.foreach_set("co", flat)
        else:
            data.points.foreach_set("position", flat)
        data.update() if hasattr(data, "update") else data.update_tag()


def _mesh(name: str, arrays: Mapping[str, np.ndarray]) -> Any:
    vertices, faces = to_blender(arrays["vertices"]), arrays["faces"]
    count, corners = faces.shape
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", np.ascontiguousarray(vertices, np.float32).ravel())
    mesh.loops.add(count * corners)
    mesh.loops.foreach_set("vertex_index", np.ascontiguousarray(faces, np.int32).ravel())
    mesh.polygons.add(count)
    mesh.polygons.foreach_set("loop_start", np.arange(0, count * corners, corners, dtype=np.int32))
    mesh.update(calc_edges=True)
    mesh.shade_smooth()
    for key in arrays.keys() - {"vertices", "faces"}:
        values = np.ascontiguousarray(arrays[key], np.float32)
        if values.ndim == 1:
            mesh.attributes.new(key, "FLOAT", "POINT").data.foreach_set("value", values)
        elif key == "rest":
            mesh.attributes.new(key, "FLOAT_VECTOR", "POINT").data.foreach_set("vector", values.ravel())
        else:
            opaque = np.concatenate([values, np.ones((len(values), 1), np.float32)], 1)
            mesh.attributes.new(key, "FLOAT_COLOR", "POINT").data.foreach_set("color", opaque.ravel())
    return mesh


def _strands(name: str, arrays: Mapping[str, np.ndarray]) -> Any:
    points = arrays["points"]
    n, k, _ = points.shape
    curves = bpy.data.hair_curves.new(name)
    curves.add_curves([k] * n)
    curves.points.foreach_set("position", np.ascontiguousarray(to_blender(points), np.float32).ravel())
    radius = arrays["radius"][:, None] * arrays["profile"][None]
    if "radius" not in curves.attributes:
        curves.attributes.new("radius", "FLOAT", "POINT")
    curves.attributes["radius"].data.foreach_set("value", np.ascontiguousarray(radius, np.float32).ravel())
    tone = np.ascontiguousarray(arrays["tone"], np.float32)
    curves.attributes.new("tone", "FLOAT", "CURVE").data.foreach_set("value", tone)
    return curves
