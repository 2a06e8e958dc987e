"""Taking all the pictures of a person: writes a set to train on, and goes on where an interrupted run stopped."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from avatar.creation.forge.pathtrace.beginning import beginning
from avatar.creation.forge.pathtrace.environment import blender_python
from avatar.creation.forge.pathtrace.light import portrait_light
from avatar.creation.forge.pathtrace.portrait import Portrait
from avatar.creation.forge.pathtrace.scene import Picture, write_job, write_scene
from avatar.creation.forge.pathtrace.views import Shot, shots
from avatar.creation.forge.recipe import AvatarRecipe
from avatar.creation.training.dataset_writer import DatasetWriter, Division
from avatar.errors import UserError
from avatar.flame.arkit import weights_from_dict
from avatar.formats.native import save_avatar
from avatar.rig import Avatar

__all__ = ["BEGINNING", "photograph"]

Progress = Callable[[float, str], None]

BEGINNING = "beginning.safetensors"
"""In the folder of a set: the avatar that training begins with."""

_SCENE = "scene"
_GAUSSIANS = 45_000
_RECIPE = "recipe.json"


def photograph(
    recipe: AvatarRecipe,
    folder: Path,
    progress: Progress | None = None,
    wanted: Sequence[Shot] | None = None,
    threads: int = 0,
    part: tuple[int, int] = (1, 1),
) -> Path:
    """Render the pictures of a person that are not there yet; hours. Each is whole or not there at all.

    Args:
        folder: of the set; it is made if need be.
        progress: called with the share done, and what is being done with the time left.
        wanted: by default those of `views.shots`.
        threads: of the path tracer on the CPU; 0 for a GPU if Blender finds one, else for all.
        part: which share of the pictures, of how many: several machines may take one each, in one folder.

    Returns:
        The folder, for `Dataset.open`.

    Raises:
        UserError: if the folder holds pictures of something else, or the path tracer cannot be had or fails.
    """
    tell = progress or (lambda share, what: None)
    wanted = list(shots() if wanted is None else wanted)
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, recipe)
    python = blender_python(lambda line: tell(0.0, line))
    tell(0.0, "anatomy, hair and clothes")
    person = Portrait(recipe)
    scene = folder / (_SCENE if part == (1, 1) else f"{_SCENE}-{part[0]}-of-{part[1]}")
    scene.mkdir(exist_ok=True)
    pictures = _plan(person, folder, wanted)
    if not (folder / BEGINNING).is_file():
        save_avatar(_beginning(person), folder / BEGINNING)
    number, parts = part
    own = pictures[number - 1 :: parts]
    missing = [p for p in own if not Path(p.file).is_file()]
    if missing:
        for name in dict.fromkeys(s.pose for s in wanted):
            weights = next(s.weights for s in wanted if s.pose == name)
            np.savez(scene / _pose_file(name), **person.places(weights))  # type: ignore[arg-type]
        write_job(scene, write_scene(person.objects, scene / "scene.npz"), portrait_light(), missing, threads)
        _render(python, scene, len(own) - len(missing), len(own), tell)
    tell(1.0, "done")
    return folder


def _claim(folder: Path, recipe: AvatarRecipe) -> None:
    """Note whose pictures a folder holds, and in what light."""
    path = folder / _RECIPE
    mine = json.loads(json.dumps({**asdict(recipe), "light": asdict(portrait_light())}))
    if path.is_file():
        there = json.loads(path.read_text(encoding="utf-8"))
        if there != mine:
            other = "light" if there | {"light": None} == mine | {"light": None} else "recipe"
            raise UserError(f"{folder}: holds pictures of another {other}: give another folder, or delete this one")
    else:
        path.write_text(json.dumps(mine, indent=1), encoding="utf-8")


def _beginning(person: Portrait) -> Avatar:
    recipe, anatomy = person.recipe, person.anatomy
    metadata = {"description": recipe.description, "licence": "CC0-1.0", "recipe": asdict(recipe)}
    return Avatar(recipe.name, anatomy.head(), beginning(person, _GAUSSIANS), anatomy.arkit, metadata=metadata)


def _pose_file(name: str) -> str:
    return f"{name.replace(' ', '-')}.npz"


def _plan(person: Portrait, folder: Path, wanted: Sequence[Shot]) -> list[Picture]:
    """Write the lists of the set; returns what has to be drawn, pictures of one pose next to each other."""
    anatomy = person.anatomy
    writer = DatasetWriter(folder, anatomy.head(), anatomy.arkit)
    timesteps: dict[str, int] = {}
    pictures = []
    for shot in wanted:
        if shot.pose not in timesteps:
            timesteps[shot.pose] = writer.pose(anatomy.arkit.params(weights_from_dict(shot.weights)), shot.weights)
        division: Division = "train" if shot.division == "train" else "test"
        path = writer.view(timesteps[shot.pose], shot.camera, division)
        camera = shot.camera
        pictures.append(
            Picture(
                str(path.resolve()),
                _pose_file(shot.pose),
                camera.viewmat.tolist(),
                float(camera.K[0, 0]),
                camera.width,
                camera.height,
                shot.samples,
            )
        )
    writer.finish()
    return pictures


def _render(python: Path, scene: Path, done: int, total: int, tell: Progress) -> None:
    """Run the path tracer, and pass its progress on."""
    begun, here = time.monotonic(), 0
    tell(done / total, f"picture {done + 1} of {total}")
    with (
        (scene / "log.txt").open("w", encoding="utf-8") as log,
        subprocess.Popen(
            _command(python, scene), cwd=Path(__file__).parent, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            device = ""
            for line in process.stdout:
                if line.startswith("on "):
                    device = f" {line.strip()}"
                if not line.startswith("@ "):
                    continue
                here += 1
                left_s = (time.monotonic() - begun) / here * (total - done - here)
                tell((done + here) / total, f"picture {done + here + 1} of {total}{device}, {_duration(left_s)} left")
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise UserError(f"the path tracer stopped after {done + here} of {total} pictures: see {scene / 'log.txt'}")


def _command(python: Path, scene: Path) -> list[str]:
    """-s: nothing of the user's own packages. -m finds `blender` in the current folder, which is this one."""
    return [str(python), "-s", "-m", "blender", str(scene.resolve())]


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{max(minutes, 1)} min"
