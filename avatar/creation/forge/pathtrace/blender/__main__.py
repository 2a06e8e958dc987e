"""Render the pictures that `FOLDER/job.json` asks for: `python -m blender FOLDER`.

The first line of standard output is `on DEVICE`. For each picture one `@ FILE SECONDS CPU_SECONDS` follows once the
file is whole.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import bpy
import numpy as np

from .objects import Objects
from .studio import Camera, add_lights, configure


def main(folder: Path) -> None:
    """Render all pictures of a job, in the order given."""
    job = json.loads((folder / "job.json").read_text())
    bpy.ops.wm.read_factory_settings(use_empty=True)
    sys.stdout.write(f"on {configure(job['settings'])}\n")
    sys.stdout.flush()
    add_lights(job["lights"], job["room"])
    with np.load(folder / job["scene"]) as arrays:
        objects = Objects(job["objects"], arrays)
    camera = Camera()
    scene = bpy.context.scene
    posed: str | None = None
    for picture in job["pictures"]:
        begun, cpu = time.monotonic(), time.process_time()
        if picture["pose"] != posed:
            with np.load(folder / picture["pose"]) as places:
                objects.pose(places)
            posed = picture["pose"]
        if picture["samples"] != scene.cycles.samples:
            scene.cycles.samples = picture["samples"]
            # Persistent data would keep the samples of before; telling it so rebuilds all of the scene, as a new pose
            # does: seconds, where a new camera alone costs a tenth of one.
            scene.update_tag()
            bpy.context.view_layer.update()
        camera.look(np.array(picture["world_to_camera"]), picture["focal_px"], picture["width"], picture["height"])
        target = Path(picture["file"])
        partial = target.with_name(f".{target.name}")
        scene.render.filepath = str(partial)
        bpy.ops.render.render(write_still=True)
        partial.replace(target)
        sys.stdout.write(f"@ {target} {time.monotonic() - begun:.1f} {time.process_time() - cpu:.1f}\n")
        sys.stdout.flush()


main(Path(sys.argv[-1]))
