"""Light, room, camera and the settings of the renderer."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from mathutils import Matrix, Vector

from .graph import FIBRE_PASS, Graph
from .objects import to_blender

__all__ = ["Camera", "add_lights", "configure"]

_SENSOR_MM = 36.0
_KEPT_NOISE = 0.1
_GPUS = ("OPTIX", "CUDA", "HIP", "METAL", "ONEAPI")


def add_lights(lights: list[dict[str, Any]], room: dict[str, Any]) -> None:
    """Area lights that the camera does not see, and the faint light of a room.

    Args:
        lights: each with "name", "position" and "target" (metres, the program's axes), "size" (width, height),
            "watts" and "colour".
        room: "above" and "below", colours of the light from there, and "strength".
    """
    for entry in lights:
        lamp = bpy.data.lights.new(entry["name"], "AREA")
        lamp.shape = entry.get("shape", "RECTANGLE")
        lamp.size, lamp.size_y = entry["size"]
        lamp.energy, lamp.color = entry["watts"], entry["colour"]
        thing = bpy.data.objects.new(entry["name"], lamp)
        bpy.context.collection.objects.link(thing)
        position, target = (Vector(to_blender(np.array(entry[k])).tolist()) for k in ("position", "target"))
        thing.location = position
        thing.rotation_euler = (position - target).to_track_quat("Z", "Y").to_euler()
        thing.visible_camera = False
    graph = Graph(bpy.data.worlds.new("room"))
    direction = graph.node("ShaderNodeTexCoord", output="Generated")
    height = graph.node("ShaderNodeSeparateXYZ", {0: direction}, 2)
    colour = graph.blended(room["below"], room["above"], height.ramp(-0.6, 0.7))
    light = graph.node("ShaderNodeBackground", {"Color": colour, "Strength": room["strength"]})
    bpy.context.scene.world = graph.finish(light, "ShaderNodeOutputWorld")


class Camera:
    """A pinhole given as the program gives it: OpenCV's axes, focal length in pixels, the centre in the middle."""

    def __init__(self) -> None:
        self._camera = bpy.data.cameras.new("camera")
        self._camera.sensor_width = _SENSOR_MM
        self._camera.sensor_fit = "HORIZONTAL"
        self._thing = bpy.data.objects.new("camera", self._camera)
        bpy.context.collection.objects.link(self._thing)
        bpy.context.scene.camera = self._thing

    def look(self, world_to_camera: np.ndarray, focal_px: float, width: int, height: int) -> None:
        """Take a new view."""
        render = bpy.context.scene.render
        render.resolution_x, render.resolution_y = width, height
        self._camera.lens = focal_px / width * _SENSOR_MM
        to_world = np.linalg.inv(world_to_camera)
        matrix = np.eye(4)
        # Blender's camera looks along its own -z, with y up.
        matrix[:3, :3] = to_blender(to_world[:3, :3].T).T @ np.diag([1.0, -1.0, -1.0])
        matrix[:3, 3] = to_blender(to_world[:3, 3])
        self._thing.matrix_world = Matrix(matrix.tolist())


def configure(settings: dict[str, Any]) -> str:
    """Set Cycles up.

    Args:
        settings: "threads" (of the CPU; 0: a GPU if there is one, else all), "exposure" in stops, "view_transform",
            "look", "denoise".

    Returns:
        The name of what will compute.
    """
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    gpu = None if settings["threads"] else _gpu()
    cycles.device = "GPU" if gpu else "CPU"
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = False  # the compositor does it
    cycles.use_light_tree = False  # three times the cost of a sample, for a handful of lamps
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 5, 2, 2
    cycles.transmission_bounces, cycles.transparent_max_bounces = 5, 6
    cycles.sample_clamp_direct, cycles.sample_clamp_indirect = 3.0, 1.5
    cycles.caustics_reflective = cycles.caustics_refractive = False
    scene.cycles_curves.shape = "RIBBONS"
    scene.cycles_curves.subdivisions = 2
    scene.render.use_persistent_data = True
    scene.render.film_transparent = True
    scene.render.threads_mode = "FIXED" if settings["threads"] else "AUTO"
    scene.render.threads = settings["threads"] or 1
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.compression = 60
    scene.view_settings.view_transform = settings["view_transform"]
    scene.view_settings.look = settings["look"]
    scene.view_settings.exposure = settings["exposure"]
    if settings["denoise"]:
        _denoise(scene)
    return gpu or "the CPU"


def _gpu() -> str | None:
    """Have Cycles use the first kind of GPU that it finds; the name of the device."""
    preferences = bpy.context.preferences.addons["cycles"].preferences
    known = {kind for kind, *_ in preferences.get_device_types(bpy.context)}
    for kind in _GPUS:
        devices = preferences.get_devices_for_type(kind) if kind in known else []
        if devices:
            preferences.compute_device_type = kind
            for device in devices:
                device.use = device.type == kind
            return next(d.name for d in devices if d.type == kind)
    return None


def _denoise(scene: Any) -> None:
    """Denoise the colours, and the alpha channel for itself: Cycles leaves it noisy, a rim of dots around hair.

    Hairs keep a part of their noise, or they would be smeared into a solid; many views average it out.
    """
    layer = scene.view_layers[0]
    layer.cycles.denoising_store_passes = True
    mask = layer.aovs.add()
    mask.name, mask.type = FIBRE_PASS, "VALUE"
    scene.use_nodes = True
    tree = scene.node_tree
    tree.nodes.clear()
    layers = tree.nodes.new("CompositorNodeRLayers")
    clean = {}
    for source in ("Image", "Alpha"):
        node = clean[source] = tree.nodes.new("CompositorNodeDenoise")
        node.prefilter = "FAST"
        tree.links.new(layers.outputs[source], node.inputs["Image"])
        tree.links.new(layers.outputs["Denoising Normal"], node.inputs["Normal"])
        tree.links.new(layers.outputs["Denoising Albedo"], node.inputs["Albedo"])
    amount = tree.nodes.new("CompositorNodeMath")
    amount.operation = "MULTIPLY"
    tree.links.new(layers.outputs[FIBRE_PASS], amount.inputs[0])
    amount.inputs[1].default_value = _KEPT_NOISE
    mixed = tree.nodes.new("CompositorNodeMixRGB")
    tree.links.new(amount.outputs[0], mixed.inputs["Fac"])
    tree.links.new(clean["Image"].outputs[0], mixed.inputs[1])
    tree.links.new(layers.outputs["Image"], mixed.inputs[2])
    joined = tree.nodes.new("CompositorNodeSetAlpha")
    joined.mode = "REPLACE_ALPHA"
    tree.links.new(mixed.outputs[0], joined.inputs["Image"])
    tree.links.new(clean["Alpha"].outputs[0], joined.inputs["Alpha"])
    tree.links.new(joined.outputs[0], tree.nodes.new("CompositorNodeComposite").inputs["Image"])
