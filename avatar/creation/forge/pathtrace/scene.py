"""What is handed to the path tracer: meshes, hairs, lights, and the pictures wanted, as plain arrays and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Fibres", "Lamp", "Light", "Material", "Mesh", "Picture", "write_job"]

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """A material of `blender/materials.py` and the arguments it is made with."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface.

    Attributes:
        name: of its own in the scene.
        vertices: of the neutral face, metres.
        faces: triangles or quads.
        attributes: per vertex, what its material asks for: numbers (v,) and colours (v, 3); "rest" is a place.
    """

    name: str
    material: Material
    vertices: Float[np.ndarray, "v 3"]
    faces: Int[np.ndarray, "f k"]
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """As the scene file names them."""
        return {"vertices": self.vertices, "faces": self.faces, **self.attributes}


@dataclass(frozen=True, eq=False)
class Fibres:
    """Hairs with equally many points each.

    Attributes:
        points: of the neutral face, root first, metres.
        radius_m: of each hair at its thickest.
        profile: the radius along every hair in units of that.
        tone: how much darker (above 0) or lighter than the others each is.
    """

    name: str
    material: Material
    points: Float[np.ndarray, "n k 3"]
    radius_m: Float[np.ndarray, " n"]
    profile: Float[np.ndarray, " k"]
    tone: Float[np.ndarray, " n"] | float = 0.0

    def arrays(self) -> dict[str, np.ndarray]:
        """As the scene file names them."""
        tone = np.broadcast_to(np.asarray(self.tone, float), len(self.points))
        return {"points": self.points, "radius": self.radius_m, "profile": self.profile, "tone": tone}


@dataclass(frozen=True)
class Lamp:
    """An area light: metres, watts, linear RGB."""

    name: str
    position: tuple[float, float, float]
    size: tuple[float, float]
    watts: float
    colour: RGB = (1.0, 1.0, 1.0)
    target: tuple[float, float, float] = (0.0, 0.0, 0.0)
    shape: str = "RECTANGLE"


@dataclass(frozen=True)
class Light:
    """A studio and how the camera develops it.

    Attributes:
        lamps: what shines.
        above, below: colour of the room's faint light from there.
        room: its strength.
        exposure: stops.
        view_transform, look: of Blender's colour management.
    """

    lamps: tuple[Lamp, ...]
    above: RGB
    below: RGB
    room: float
    exposure: float = 0.0
    view_transform: str = "AgX"
    look: str = "AgX - Medium High Contrast"


@dataclass(frozen=True)
class Picture:
    """One picture wanted.

    Attributes:
        file: where to, absolute.
        pose: the npz with the places of what moves, relative to the job's folder.
        world_to_camera: 4 x 4, OpenCV's axes, rows.
        focal_px: focal length; the principal point is the middle.
        samples: of the path tracer.
    """

    file: str
    pose: str
    world_to_camera: Sequence[Sequence[float]]
    focal_px: float
    width: int
    height: int
    samples: int


def write_scene(objects: Sequence[Mesh | Fibres], path: Path) -> list[dict[str, Any]]:
    """Write the arrays of a scene; returns the description of its objects that belongs in the job.

    Raises:
        ValueError: if two objects share a name.
    """
    names = [o.name for o in objects]
    if len(set(names)) < len(names):
        raise ValueError(f"scene: expected names of their own, got {', '.join(names)}")
    arrays = {}
    for thing in objects:
        for key, values in thing.arrays().items():
            whole = np.issubdtype(values.dtype, np.integer)
            arrays[f"{thing.name}.{key}"] = np.asarray(values, np.int32 if whole else np.float32)
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return [
        {
            "name": o.name,
            "kind": "mesh" if isinstance(o, Mesh) else "strands",
            "material": o.material.kind,
            "parameters": dict(o.material.parameters),
        }
        for o in objects
    ]


def write_job(
    folder: Path,
    objects: list[dict[str, Any]],
    light: Light,
    pictures: Sequence[Picture],
    threads: int = 0,
    denoise: bool = True,
) -> None:
    """Write `job.json` for `python -m blender FOLDER`.

    Args:
        objects: as `write_scene` returned them; the arrays lie in `scene.npz` of the folder.
        threads: of the path tracer on the CPU; 0 for a GPU if Blender finds one, else for all.
    """
    job = {
        "scene": "scene.npz",
        "objects": objects,
        "lights": [asdict(lamp) for lamp in light.lamps],
        "room": {"above": light.above, "below": light.below, "strength": light.room},
        "settings": {
            "threads": threads,
            "exposure": light.exposure,
            "view_transform": light.view_transform,
            "look": light.look,
            "denoise": denoise,
        },
        "pictures": [asdict(p) for p in pictures],
    }
    (folder / "job.json").write_text(json.dumps(job))
