"""Commands that train Gaussians: an avatar from pictures, a smaller one from an avatar, pictures from an avatar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from app.cli.terminal import Output, console, messages, registry
from app.options import refuse
from avatar.errors import UserError

if TYPE_CHECKING:
    from avatar.creation.training.config import TrainingConfig
    from avatar.creation.training.run import RunReport

__all__: list[str] = []

_Device = Literal["auto", "cpu", "cuda"]


@registry.command(name="train avatar")
def train_avatar(
    *,
    data: Path,
    out: Output,
    start: Annotated[str, arg(name="from")] = "mesh",
    gaussians: int = 40_000,
    steps: int = 8_000,
    device: _Device = "auto",
    preview: Path | None = None,
    flame: str | None = None,
    offsets: bool | None = None,
    exposure: bool | None = None,
    seed: int = 0,
) -> int:
    """Train an avatar on pictures of a head whose cameras and poses are known.

    Stopped, it leaves an avatar that can be used, and goes on when the same command is given again.

    Args:
        data: a folder as GaussianAvatars and VHAP export them, or made by render-dataset.
        out: the avatar, a .safetensors file.
        start: an avatar to begin with, by name or file; or mesh, for grey disks on the head.
        gaussians: how many.
        steps: how long; each takes one picture.
        device: cpu, cuda or auto.
        preview: a picture to watch, drawn now and then: fewest Gaussians, all of them, and what it should be.
        flame: the imported FLAME model that the pictures were tracked with, where there are several.
        offsets: let the head's vertices move; on for sets tracked with FLAME, off for those with a head of their own.
        exposure: learn what each picture's camera did to brightness and color; on for sets tracked with FLAME.
        seed: the same seed gives the same avatar.
    """
    from avatar.creation.training.dataset import has_own_head
    from avatar.creation.training.make import train_on_pictures
    from avatar.creation.training.run import RunOptions
    from avatar.heads import only_flame, open_flame
    from avatar.library import open_avatar

    _check(out, gaussians, steps)
    photographs = not has_own_head(data)
    if not photographs:
        refuse(f"{data} has a head of its own", flame=flame)
    tracked_with = open_flame(flame or only_flame()) if photographs else None
    config = replace(
        _config(steps, seed),
        learn_offsets=photographs if offsets is None else offsets,
        learn_exposure=photographs if exposure is None else exposure,
    )
    begin = None if start == "mesh" else open_avatar(start)
    with messages() as tell:
        report = train_on_pictures(
            data, out.stem, RunOptions(out, preview), config,
            begin=begin, gaussians=gaussians, flame=tracked_with, device=device, tell=tell,
        )  # fmt: skip
    return _wrote(out, report)


@registry.command
def distill(
    avatar: Positional[str],
    *,
    out: Output,
    gaussians: int = 40_000,
    steps: int = 6_000,
    pictures: int = 200,
    size: int = 512,
    device: _Device = "auto",
    preview: Path | None = None,
    seed: int = 0,
) -> int:
    """Make a smaller avatar that looks like a large one at every level of detail.

    Stopped, it leaves an avatar that can be used, and goes on when the same command is given again.

    Args:
        avatar: a name from `gaussian-avatar avatars`, or a file: ours, a LAM zip, a GaussianAvatars PLY.
        out: the smaller avatar, a .safetensors file.
        gaussians: how many it is to have at most.
        steps: how long; each takes one picture.
        pictures: of the large one, to learn from.
        size: of the pictures, pixels.
        device: cpu, cuda or auto.
        preview: a picture to watch, drawn now and then: fewest Gaussians, all of them, and what it should be.
        seed: the same seed gives the same avatar.
    """
    from avatar.creation.training.make import distill as make_smaller
    from avatar.creation.training.run import RunOptions
    from avatar.library import open_avatar

    _check(out, gaussians, steps)
    _check_pictures(pictures, size)
    chosen = open_avatar(avatar)
    if gaussians > len(chosen.gaussians):
        console.print(f"It has {len(chosen.gaussians):,} Gaussians: all of them stay")
    with messages() as tell:
        report = make_smaller(
            replace(chosen, name=out.stem), RunOptions(out, preview), _config(steps, seed),
            gaussians=gaussians, pictures=pictures, size=size, device=device, tell=tell,
        )  # fmt: skip
    return _wrote(out, report)


@registry.command(name="render-dataset")
def render_dataset(avatar: Positional[str], *, out: Output, views: int = 100, size: int = 512, seed: int = 0) -> int:
    """Draw a set of pictures of an avatar to train another on, with cameras and poses.

    Args:
        avatar: a name from `gaussian-avatar avatars`, or a file.
        out: the folder; it must be empty or new.
        views: how many pictures; one in ten is for measuring.
        size: width and height, pixels.
        seed: the same seed gives the same pictures.
    """
    from avatar.creation.training.make import make_dataset
    from avatar.library import open_avatar

    _check_pictures(views, size)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out}: is there already and not empty; choose another folder")
    chosen = open_avatar(avatar)
    with messages() as tell:
        make_dataset(chosen, out, views, size, seed, tell)
    console.print(
        f"Wrote {views} pictures to {out}: gaussian-avatar train avatar --data {out} -o {chosen.name}-2.safetensors"
    )
    return 0


def _check(out: Path, gaussians: int, steps: int) -> None:
    if out.suffix.lower() != ".safetensors":
        raise UserError(f"{out}: an avatar is a .safetensors file")
    if not 1_000 <= gaussians <= 1_000_000:
        raise UserError(f"--gaussians {gaussians}: expected 1,000 to 1,000,000")
    if steps < 1:
        raise UserError(f"--steps {steps}: expected 1 or more")


def _check_pictures(pictures: int, size: int) -> None:
    if not 20 <= pictures <= 10_000:
        raise UserError(f"{pictures} pictures: expected 20 to 10,000")
    if not 64 <= size <= 4096:
        raise UserError(f"--size {size}: expected 64 to 4096 pixels")


def _config(steps: int, seed: int) -> TrainingConfig:
    from avatar.creation.training.config import TrainingConfig

    return TrainingConfig(steps=steps, seed=seed)


def _wrote(out: Path, report: RunReport) -> int:
    size_mb = out.stat().st_size / 1e6
    levels = ", ".join(f"{count:,}: {db:.1f}" for count, db in report.psnr_db.items())
    console.print(f"Wrote {out}, {size_mb:.1f} MB. PSNR of the first so many Gaussians, dB: {levels}")
    return 0
