"""The loop that every training of this package runs in: Lightning Fabric around a task's loss.

It adds nothing of its own to the optimisation. It keeps a checkpoint from which a killed run goes on exactly as if it
had not been killed (batches are drawn from the seed and the step's number, so that no generator's state has to
survive), a CSV of the curves, and a plot of them.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from avatar.errors import UserError

__all__ = ["EngineOptions", "Progress", "Task", "batch_rng", "plot_curves", "run"]

_log = logging.getLogger(__name__)

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with the steps done, the steps in all, and the newest measures."""


class Task(Protocol):
    """What can be trained."""

    name: str
    steps: int
    seed: int
    module: nn.Module
    """Called as module(batch), gives {'loss': ..., further measures}; each a scalar."""

    def parameter_groups(self) -> list[dict[str, Any]]: ...

    def batch(self, step: int, rank: int) -> Any:
        """The batch of a step, on the CPU, the same for the same arguments."""
        ...

    def validate(self) -> Mapping[str, float]: ...

    def learning_rate(self, step: int) -> float:
        """Factor on the groups' own learning rates."""
        ...


@dataclass(frozen=True)
class EngineOptions:
    """Where and how a training runs."""

    accelerator: str = "auto"
    """'cpu', 'cuda' or 'auto', as Lightning Fabric understands them."""
    devices: int = 1
    threads: int = 0
    """CPU threads; 0 leaves torch's own number."""
    validate_every: int = 100
    checkpoint_every: int = 100
    resume: bool = True
    """Go on from a checkpoint in the folder, if there is one."""


def batch_rng(seed: int, step: int, rank: int = 0) -> np.random.Generator:
    """The generator that draws one step's batch."""
    return np.random.default_rng([seed, step, rank])


def run(task: Task, out: Path | str, options: EngineOptions | None = None, progress: Progress | None = None) -> Path:
    """Train a task to its last step.

    Args:
        task: what to train; its module's weights are changed in place.
        out: folder of the checkpoint, the curves and the plot.
        options: device, pace of checkpoints.
        progress: told about every step.

    Returns:
        The path of the curves, a CSV.

    Raises:
        UserError: if Lightning Fabric is not installed, the device is missing, or the checkpoint does not fit.
    """
    options = options or EngineOptions()
    fabric = _fabric(options)
    out = Path(out)
    if fabric.global_rank == 0:
        out.mkdir(parents=True, exist_ok=True)
    if options.threads:
        torch.set_num_threads(options.threads)
    optimizer = torch.optim.Adam(task.parameter_groups(), betas=(0.9, 0.99))
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    module, optimizer = fabric.setup(task.module, optimizer)
    curves, checkpoint = out / "curves.csv", out / "checkpoint.pt"
    first = _resume(checkpoint, curves, task, optimizer, fabric.device) if options.resume else 0
    if first == 0 and fabric.global_rank == 0:
        curves.unlink(missing_ok=True)
    measures: dict[str, float] = {}
    for step in range(first, task.steps):
        factor = task.learning_rate(step)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        results = module(fabric.to_device(task.batch(step, fabric.global_rank)))
        optimizer.zero_grad()
        fabric.backward(results["loss"])
        optimizer.step()
        done = step + 1
        if done % options.validate_every == 0 or done == task.steps:
            measures = {name: float(value.detach()) for name, value in results.items() if isinstance(value, Tensor)}
            if not np.isfinite(measures["loss"]):
                raise UserError(f"{out}: the loss is not finite at step {done}; lower the learning rate")
            module.eval()
            with torch.no_grad():
                measures |= {f"validation_{name}": float(value) for name, value in task.validate().items()}
            module.train()
            if fabric.global_rank == 0:
                _append(curves, {"step": done, **measures})
        if fabric.global_rank == 0 and (done % options.checkpoint_every == 0 or done == task.steps):
            _save(checkpoint, task, optimizer, done)
        if progress is not None:
            progress(done, task.steps, measures)
    if fabric.global_rank == 0:
        plot_curves(curves, out / "curves.png")
    task.module.to("cpu")
    return curves


def _fabric(options: EngineOptions) -> Any:
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise UserError('training needs Lightning Fabric: pip install "gaussian-avatar[train]"') from error
    try:
        fabric = Fabric(accelerator=options.accelerator, devices=options.devices)
    except Exception as error:  # Fabric raises its own kinds for a device that is not there
        raise UserError(f"cannot train on {options.devices} x {options.accelerator!r}: {error}") from error
    fabric.launch()
    return fabric


def _save(path: Path, task: Task, optimizer: torch.optim.Optimizer, done: int) -> None:
    state = {
        "task": task.name,
        "seed": task.seed,
        "steps": task.steps,
        "done": done,
        "module": task.module.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)  # a kill leaves the old checkpoint or the new one, never half of one


def _resume(path: Path, curves: Path, task: Task, optimizer: torch.optim.Optimizer, device: torch.device) -> int:
    if not path.is_file():
        return 0
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        if (state["task"], state["seed"], state["steps"]) != (task.name, task.seed, task.steps):
            raise UserError(
                f"{path}: belongs to another training ({state['task']}, seed {state['seed']}, {state['steps']} steps); "
                "choose another folder or delete it"
            )
        task.module.load_state_dict(state["module"])
        optimizer.load_state_dict(state["optimizer"])
    except UserError:
        raise
    except Exception as error:  # torch.load raises many kinds for a damaged file
        raise UserError(f"{path}: not a usable checkpoint ({error}); delete it to start afresh") from error
    done = int(state["done"])
    rows = [row for row in _read(curves) if int(float(row["step"])) <= done]
    curves.unlink(missing_ok=True)
    for row in rows:
        _append(curves, row)
    _log.info("going on from step %d of %s", done, path)
    return done


def _append(path: Path, row: Mapping[str, Any]) -> None:
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(row))
        if new:
            writer.writeheader()
        writer.writerow(row)


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def plot_curves(curves: Path, picture: Path) -> None:
    """Draw every column of a CSV of curves over its steps."""
    rows = _read(curves)
    if not rows:
        return
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError('plots need matplotlib: pip install "gaussian-avatar[train]"') from error
    names = [name for name in rows[0] if name != "step"]
    columns = 3
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(4 * columns, 2.6 * lines), layout="constrained")
    for axes, name in zip(figure.subplots(lines, columns, squeeze=False).flat, names, strict=False):
        axes.plot([float(r["step"]) for r in rows], [float(r[name]) for r in rows], lw=1.2)
        axes.set_title(name, fontsize=9)
        axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=80)
