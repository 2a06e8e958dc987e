"""A training's state in one file: with it, training goes on as if it had not been stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from avatar.creation.training.trainer import Trainer
from avatar.errors import UserError
from avatar.formats.tensors import read_tensors, write_tensors

__all__ = ["belongs", "load_checkpoint", "save_checkpoint"]

_FORMAT = "gaussian-avatar training"


def save_checkpoint(trainer: Trainer, path: Path | str) -> None:
    """Write everything that the next step depends on, all or nothing."""
    state = trainer.state()
    tensors = {name: tensor.detach().cpu().numpy() for name, tensor in state.tensors.items()}
    write_tensors(path, tensors, {"signature": trainer.signature(), "counters": state.counters}, _FORMAT)


def belongs(trainer: Trainer, path: Path | str) -> bool:
    """Whether a file is the state of this training, and not of another or damaged."""
    try:
        return bool(read_tensors(path, _FORMAT, "the state of a training")[1].get("signature") == trainer.signature())
    except UserError:
        return False


def load_checkpoint(trainer: Trainer, path: Path | str) -> None:
    """Bring a trainer that was made as the saved one was to where that had come.

    Raises:
        UserError: if the file is damaged, or belongs to another training.
    """
    arrays, info = read_tensors(path, _FORMAT, "the state of a training")
    found, own = info.get("signature"), trainer.signature()
    if found != own:
        raise UserError(f"{path}: belongs to another training ({_difference(found, own)}); delete it to begin anew")
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    try:
        trainer.restore(tensors, info["counters"])
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}: damaged ({' '.join(str(error).split())[:120]}); delete it to begin anew") from error


def _difference(found: Any, own: dict[str, Any]) -> str:
    """The first thing in which two trainings differ."""
    if not isinstance(found, dict):
        return "it does not say which"
    for name, value in own.items():
        if found.get(name) != value:
            return f"{name} was {str(found.get(name))[:60]}, is {str(value)[:60]}"
    return "of another kind"
