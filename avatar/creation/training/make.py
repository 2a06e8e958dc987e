"""What the commands do: an avatar from a set of pictures, a smaller one from an avatar, a set from an avatar."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from avatar.binding import BoundGaussians
from avatar.creation.training.config import TrainingConfig
from avatar.creation.training.dataset import Dataset
from avatar.creation.training.emphasis import face_emphasis
from avatar.creation.training.initial import disks_on_mesh
from avatar.creation.training.portraits import draw_portraits, plan_portraits, write_portraits
from avatar.creation.training.run import RunOptions, RunReport, Tell, run_training
from avatar.creation.training.trainer import Trainer
from avatar.errors import UserError
from avatar.flame.arkit import ArkitMap
from avatar.flame.head import HeadModel
from avatar.render import open_renderer
from avatar.rig import Avatar

__all__ = ["best_device", "distill", "make_dataset", "train_on_pictures"]

_TRAINED = "trained by this program"


def best_device(asked: str) -> str:
    """Where to train: "auto" is the GPU where there is one that CUDA can use."""
    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "cpu"


def train_on_pictures(
    folder: Path,
    name: str,
    options: RunOptions,
    config: TrainingConfig,
    *,
    begin: Avatar | None = None,
    gaussians: int = 40_000,
    flame: tuple[HeadModel, ArkitMap] | None = None,
    device: str = "auto",
    tell: Tell = lambda message, share: None,
) -> RunReport:
    """An avatar of the person in a set of pictures.

    Args:
        begin: an avatar to start with, on a head of the same triangles; grey disks on the mesh for None.
        flame: the FLAME model that a set without a head of its own was tracked with.

    Raises:
        UserError: for a set or an avatar that cannot be used, naming what is missing.
        KeyboardInterrupt: see `run_training`.
    """
    dataset = Dataset.open(folder, flame)
    emphasis = face_emphasis(dataset.head)
    if begin is None:
        bound = disks_on_mesh(dataset.head, gaussians, config.seed, emphasis, config.sh_count)
    else:
        bound = _on_another_head(begin, dataset.head).first(gaussians)
    metadata = {"description": f"{_TRAINED} on {len(dataset.train)} pictures"}
    metadata |= {} if begin is None else begin.metadata  # who it is, and whose
    metadata["source"] = _TRAINED
    start = Avatar(name, dataset.head, bound, dataset.arkit, metadata=metadata)
    if begin is not None and begin.appearance is not None:
        start = replace(start, appearance=begin.appearance.reordered(torch.arange(len(bound))))
    trainer = Trainer(start, dataset.train, config, device=best_device(device), emphasis=emphasis)
    return run_training(trainer, dataset.held_out, options, tell)


def _on_another_head(avatar: Avatar, head: HeadModel) -> BoundGaussians:
    if not torch.equal(avatar.head.faces, head.faces):
        raise UserError(
            f"avatar {avatar.name!r} has a head of {len(avatar.head.faces)} triangles, the set one of "
            f"{len(head.faces)} others: begin with the mesh (--from mesh)"
        )
    return avatar.gaussians


def distill(
    avatar: Avatar,
    options: RunOptions,
    config: TrainingConfig,
    *,
    gaussians: int = 40_000,
    pictures: int = 200,
    size: int = 512,
    device: str = "auto",
    tell: Tell = lambda message, share: None,
) -> RunReport:
    """A smaller avatar that looks the same, whatever level of detail it is drawn at.

    Raises:
        KeyboardInterrupt: see `run_training`.
    """
    portraits = plan_portraits(avatar, pictures, size, config.seed)
    with closing(open_renderer("auto")) as renderer:
        views = draw_portraits(avatar, portraits, renderer, tell)
    train, held_out = ([v for v, p in zip(views, portraits, strict=True) if p.held_out == k] for k in (False, True))
    count = min(gaussians, len(avatar.gaussians))
    start = replace(avatar, gaussians=avatar.gaussians.first(count))
    if avatar.appearance is not None:
        start = replace(start, appearance=avatar.appearance.reordered(torch.arange(count)))
    trainer = Trainer(start, train, config, device=best_device(device), emphasis=face_emphasis(avatar.head))
    return run_training(trainer, held_out, options, tell)


def make_dataset(
    avatar: Avatar, folder: Path, pictures: int, size: int, seed: int, tell: Tell = lambda message, share: None
) -> None:
    """A set of pictures of an avatar, one in ten of them for measuring."""
    portraits = plan_portraits(avatar, pictures, size, seed)
    with closing(open_renderer("auto")) as renderer:
        write_portraits(avatar, portraits, renderer, folder, tell)
