"""Shader graphs written as arithmetic: `height = 2e-4 * graph.noise(place, 300) * graph.attribute("lips")`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bpy

__all__ = ["FIBRE_PASS", "Field", "Graph"]

FIBRE_PASS = "fibre"
"""Name of the pass that says how much of a pixel is hair."""


class Field:
    """An output socket of a graph: a number, a vector or a colour that varies over a surface."""

    def __init__(self, graph: Graph, socket: Any) -> None:
        self.graph = graph
        self.socket = socket

    def __add__(self, other: Field | float) -> Field:
        return self.graph.math("ADD", self, other)

    def __sub__(self, other: Field | float) -> Field:
        return self.graph.math("SUBTRACT", self, other)

    def __rsub__(self, other: float) -> Field:
        return self.graph.math("SUBTRACT", other, self)

    def __mul__(self, other: Field | float) -> Field:
        return self.graph.math("MULTIPLY", self, other)

    def __pow__(self, other: float) -> Field:
        return self.graph.math("POWER", self, other)

    def __neg__(self) -> Field:
        return self * -1.0

    __radd__ = __add__
    __rmul__ = __mul__

    def max(self, other: Field | float) -> Field:
        """The larger of two."""
        return self.graph.math("MAXIMUM", self, other)

    def ramp(self, low: float, high: float, to_low: float = 0.0, to_high: float = 1.0) -> Field:
        """`to_low` below `low`, `to_high` above `high`, smooth between."""
        inputs = {"Value": self, "From Min": low, "From Max": high, "To Min": to_low, "To Max": to_high}
        return self.graph.node("ShaderNodeMapRange", inputs, interpolation_type="SMOOTHSTEP")


Value = Field | float | Sequence[float]
Inputs = Mapping[Any, Any]
"""Values (`Value`) by the name or number of an input."""


class Graph:
    """The node tree of a material or a world."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        owner.use_nodes = True
        self._tree = owner.node_tree
        self._tree.nodes.clear()

    @classmethod
    def material(cls, name: str) -> Graph:
        """The graph of a new material."""
        return cls(bpy.data.materials.new(name))

    def node(self, kind: str, inputs: Inputs | None = None, output: str | int = 0, **settings) -> Field:
        """Add a node and return one of its outputs."""
        node = self._tree.nodes.new(kind)
        for name, setting in settings.items():
            setattr(node, name, setting)
        for key, value in (inputs or {}).items():
            self._put(node.inputs[key], value)
        return Field(self, node.outputs[output])

    def _put(self, socket: Any, value: Value) -> None:
        if isinstance(value, Field):
            self._tree.links.new(value.socket, socket)
        elif isinstance(value, Sequence) and socket.type == "RGBA":
            socket.default_value = (*value, 1.0)
        else:
            socket.default_value = value

    def finish(self, shader: Field, kind: str = "ShaderNodeOutputMaterial") -> Any:
        """Make `shader` the surface; returns the material or world."""
        self._tree.links.new(shader.socket, self._tree.nodes.new(kind).inputs["Surface"])
        return self.owner

    def mark_fibre(self) -> None:
        """Have what is made of this material count as hair."""
        node = self._tree.nodes.new("ShaderNodeOutputAOV")
        node.aov_name = FIBRE_PASS
        node.inputs["Value"].default_value = 1.0

    # --- inputs -----------------------------------------------------------------------------------------------------

    def attribute(self, name: str, output: str = "Fac") -> Field:
        """A number stored per vertex; `output` "Vector" or "Color" for the others."""
        return self.node("ShaderNodeAttribute", output=output, attribute_name=name)

    def math(self, operation: str, a: Value, b: Value) -> Field:
        """One of Blender's operations on two numbers."""
        return self.node("ShaderNodeMath", {0: a, 1: b}, operation=operation)

    # --- patterns (scale in cells a metre) --------------------------------------------------------------------------

    def noise(self, place: Field, scale: float, detail: float = 2.0, roughness: float = 0.55) -> Field:
        """Fractal noise about 0.5."""
        inputs = {"Vector": place, "Scale": scale, "Detail": detail, "Roughness": roughness}
        return self.node("ShaderNodeTexNoise", inputs, "Fac")

    def cells(self, place: Field, scale: float, feature: str = "F1") -> Field:
        """Distance to the nearest of scattered points, or to the border between two of them ("DISTANCE_TO_EDGE")."""
        return self.node("ShaderNodeTexVoronoi", {"Vector": place, "Scale": scale}, "Distance", feature=feature)

    def stretched(self, place: Field, factors: Sequence[float]) -> Field:
        """A place with its axes scaled: patterns grow along an axis whose factor is small."""
        return self.node("ShaderNodeVectorMath", {0: place, 1: factors}, operation="MULTIPLY")

    def displaced(self, place: Field, by: Field, amount: float) -> Field:
        """A place shifted along (1, 1, 1) by a number, to make the border of a pattern uneven."""
        shift = self.node("ShaderNodeCombineXYZ", {0: by * amount, 1: by * amount, 2: by * amount})
        return self.node("ShaderNodeVectorMath", {0: place, 1: shift}, operation="ADD")

    # --- colours ----------------------------------------------------------------------------------------------------

    def tinted(self, colour: Value, tint: Value, amount: Value) -> Field:
        """`colour` times `tint`, as far as `amount` 0..1 says."""
        return self._blend("MULTIPLY", colour, tint, amount)

    def blended(self, colour: Value, other: Value, amount: Value) -> Field:
        """`colour` at `amount` 0, `other` at 1."""
        return self._blend("MIX", colour, other, amount)

    def _blend(self, blend_type: str, a: Value, b: Value, amount: Value) -> Field:
        inputs = {0: amount, 6: a, 7: b}
        return self.node("ShaderNodeMix", inputs, 2, data_type="RGBA", blend_type=blend_type, clamp_factor=True)

    # --- surfaces ---------------------------------------------------------------------------------------------------

    def bump(self, height_m: Field, strength: float = 1.0) -> Field:
        """The normal of a surface raised by a height in metres."""
        return self.node("ShaderNodeBump", {"Height": height_m, "Strength": strength, "Distance": 1.0})

    def principled(self, inputs: Inputs, subsurface: str = "RANDOM_WALK") -> Field:
        """Blender's general surface."""
        return self.node("ShaderNodeBsdfPrincipled", inputs, subsurface_method=subsurface)
